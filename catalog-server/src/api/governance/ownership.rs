//! Endpoints for the ownership of folders: what maintenance of a table may write, delete and read.

use axum::Json;
use axum::extract::State;
use openapi::maintenance::ScopeName;
use openapi::worker::{ReadableQuery, ReadableRequest, ReadableResponse, TableFolders};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::App;
use crate::api::error::{ApiError, CommonErrors, MutationErrors};
use crate::api::extract::{AtJob, Mutation, Params};
use crate::request::Request;

use super::scope::require_table;
use super::workers::job_lease;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(folders)).routes(routes!(readable)).routes(routes!(readable_by_job))
}

/// Lists the folders that belong to a table.
///
/// The table has claimed them. Maintenance of the table may write and delete files only in these folders. For
/// maintenance jobs, they are part of the lease.
#[utoipa::path(get, path = "/governance/v1/maintenance/folders", tag = "Maintenance", operation_id = "getTableFolders",
    params(ScopeName), responses((status = 200, body = TableFolders), CommonErrors))]
async fn folders(
    State(app): State<App>,
    request: Request,
    Params(scope): Params<ScopeName>,
) -> Result<Json<TableFolders>, ApiError> {
    let (warehouse, identifier) = require_table(&app, &request, scope).await?;
    let folders = app.schedule.folders(&request, &warehouse, &identifier).await?;
    Ok(Json(TableFolders {
        warehouse: warehouse.location.normal().to_owned(),
        own: folders.as_slice().iter().map(|folder| folder.normal().to_owned()).collect(),
    }))
}

/// Checks that a file outside of a table's own folders may be read.
///
/// It may be read if it is in the warehouse and no other table or view has claimed the folder that contains
/// it.
#[utoipa::path(get, path = "/governance/v1/maintenance/readable", tag = "Maintenance", operation_id = "getReadableFolder",
    params(ReadableQuery), responses((status = 200, body = ReadableResponse), CommonErrors))]
async fn readable(
    State(app): State<App>,
    request: Request,
    Params(query): Params<ReadableQuery>,
) -> Result<Json<ReadableResponse>, ApiError> {
    let ReadableQuery { warehouse, namespace, table, location } = query;
    let scope = ScopeName { warehouse, namespace: Some(namespace), table: Some(table) };
    let (warehouse, identifier) = require_table(&app, &request, scope).await?;
    let folder = app.schedule.readable_by_table(&request, &warehouse, &identifier, &location).await?;
    Ok(Json(ReadableResponse { folder }))
}

/// Checks for a job that a file outside of its table's own folders may be read.
///
/// It may be read if it is in the warehouse and no other table or view has claimed the folder that contains
/// it.
#[utoipa::path(post, path = "/governance/v1/maintenance/jobs/{job-id}/readable", tag = "Maintenance workers",
    operation_id = "askReadableFolder", params(("job-id" = String, Path)), request_body = ReadableRequest,
    responses((status = 200, body = ReadableResponse), CommonErrors, MutationErrors))]
async fn readable_by_job(
    State(app): State<App>,
    AtJob(job_id): AtJob,
    mutation: Mutation,
) -> Result<Json<ReadableResponse>, ApiError> {
    let ReadableRequest { lease, location } = mutation.json().await?;
    let folder =
        app.schedule.readable_by_job(&mutation.request, job_lease(job_id, &lease), &location).await?;
    Ok(Json(ReadableResponse { folder }))
}
