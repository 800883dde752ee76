//! Endpoint `GET /v1/config`: the prefix of a warehouse and the supported endpoints.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::App;
use crate::api::error::{ApiError, CommonErrors};
use crate::api::extract::Params;
use crate::authz::action::Action;
use crate::request::Request;

use super::wire::CatalogConfig;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_config))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ConfigParams {
    /// Name of the warehouse, or `name@instant` for a read-only view of the catalog at an instant (RFC 3339,
    /// or milliseconds since 1970). Optional if there is only one warehouse.
    #[param(example = "main@2026-11-20T10:00:00Z")]
    warehouse: Option<String>,
}

/// Returns the prefix of a warehouse and the supported endpoints.
#[utoipa::path(get, path = "/v1/config", tag = "Configuration", operation_id = "getConfig",
    params(ConfigParams), responses((status = 200, body = CatalogConfig), CommonErrors))]
async fn get_config(
    State(app): State<App>,
    request: Request,
    Params(params): Params<ConfigParams>,
) -> Result<axum::Json<CatalogConfig>, ApiError> {
    let warehouse = match params.warehouse.as_deref() {
        None | Some("") => app.catalog.warehouses.require_only(&request, Action::LoadConfig).await?,
        Some(name) => app.catalog.warehouses.require(&request, name, Action::LoadConfig).await?,
    };
    let mut defaults = warehouse.client_settings();
    if let Some(word) = warehouse.planning.word() {
        defaults.insert("scan-planning-mode".to_owned(), word.to_owned());
    }
    Ok(axum::Json(CatalogConfig {
        defaults,
        overrides: BTreeMap::from([("prefix".to_owned(), warehouse.prefix())]),
        endpoints: app.endpoints.clone(),
        idempotency_key_lifetime: format!("PT{}M", app.retention.idempotency_minutes),
    }))
}
