//! Endpoints for the warehouses of the catalog.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use openapi::warehouse::{
    CreatedWarehouse, WarehouseChecks, WarehouseDefinition, WarehouseDescription, WarehousePage,
    WarehouseQuery,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::App;
use crate::api::error::{ApiError, CommonErrors, MutationErrors};
use crate::api::extract::{Mutation, Params};
use crate::config::WarehouseConfig;
use crate::request::Request;

const PAGE_WAREHOUSES: u32 = 100;
const PAGE_WAREHOUSES_MAX: u32 = 1_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_warehouses, create_warehouse))
        .routes(routes!(get_warehouse))
        .routes(routes!(check_warehouse))
}

/// Lists the warehouses in the order of their names.
#[utoipa::path(get, path = "/governance/v1/warehouses", tag = "Warehouses", operation_id = "listWarehouses",
    params(WarehouseQuery), responses((status = 200, body = WarehousePage), CommonErrors))]
async fn list_warehouses(
    State(app): State<App>,
    request: Request,
    Params(query): Params<WarehouseQuery>,
) -> Result<Json<WarehousePage>, ApiError> {
    let limit = query.page_size.unwrap_or(PAGE_WAREHOUSES).clamp(1, PAGE_WAREHOUSES_MAX);
    let after = query.page_token.as_deref().filter(|token| !token.is_empty());
    if after.is_some_and(|token| WarehouseConfig::check_name(token).is_err()) {
        return Err(ApiError::bad_request(
            "Invalid page-token: send the `next-page-token` of an earlier page unchanged",
        ));
    }
    let mut warehouses = app.catalog.warehouses.list(&request, after, limit + 1).await?;
    let has_more = warehouses.len() > limit as usize;
    warehouses.truncate(limit as usize);
    let next_page_token = warehouses.last().filter(|_| has_more).map(|warehouse| warehouse.name.clone());
    Ok(Json(WarehousePage { warehouses, next_page_token }))
}

/// Creates a warehouse.
///
/// Its storage is checked with a file that is deleted again. If a check fails, nothing is kept.
#[utoipa::path(post, path = "/governance/v1/warehouses", tag = "Warehouses", operation_id = "createWarehouse",
    request_body = WarehouseDefinition,
    responses((status = 201, body = CreatedWarehouse), CommonErrors, MutationErrors))]
async fn create_warehouse(
    State(app): State<App>,
    mutation: Mutation,
) -> Result<(StatusCode, Json<CreatedWarehouse>), ApiError> {
    let new: WarehouseDefinition = mutation.json().await?;
    let (warehouse, checks) = app.catalog.warehouses.create(&mutation.request, &new).await?;
    Ok((StatusCode::CREATED, Json(CreatedWarehouse { warehouse, checks })))
}

/// Returns a warehouse.
#[utoipa::path(get, path = "/governance/v1/warehouses/{warehouse}", tag = "Warehouses", operation_id = "getWarehouse",
    params(("warehouse" = String, Path)), responses((status = 200, body = WarehouseDescription), CommonErrors))]
async fn get_warehouse(
    State(app): State<App>,
    request: Request,
    Path(name): Path<String>,
) -> Result<Json<WarehouseDescription>, ApiError> {
    Ok(Json(app.catalog.warehouses.describe(&request, &name).await?))
}

/// Checks the storage of a warehouse.
///
/// A file is written, read, listed and deleted. The first check that fails is the last one of the response.
#[utoipa::path(post, path = "/governance/v1/warehouses/{warehouse}/check", tag = "Warehouses",
    operation_id = "checkWarehouse", params(("warehouse" = String, Path)),
    responses((status = 200, body = WarehouseChecks), CommonErrors, MutationErrors))]
async fn check_warehouse(
    State(app): State<App>,
    Path(name): Path<String>,
    mutation: Mutation,
) -> Result<Json<WarehouseChecks>, ApiError> {
    let checks = app.catalog.warehouses.check(&mutation.request, &name).await?;
    Ok(Json(WarehouseChecks { checks }))
}
