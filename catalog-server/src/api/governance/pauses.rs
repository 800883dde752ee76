//! Endpoints to pause and resume the maintenance of a table.

use axum::extract::State;
use axum::http::StatusCode;
use openapi::maintenance::{PauseRequest, Paused, ResumeRequest};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::App;
use crate::api::error::{ApiError, CommonErrors, MutationErrors};
use crate::api::extract::Mutation;
use crate::schedule::policies::TablePause;

use super::scope::find_table;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(pause)).routes(routes!(resume))
}

/// Pauses the maintenance of a table until it is resumed.
///
/// None of its jobs is leased to a worker, not even jobs requested by callers. A job that is already running
/// continues; it can be cancelled.
#[utoipa::path(post, path = "/governance/v1/maintenance/pause", tag = "Maintenance", operation_id = "pauseMaintenance",
    request_body = PauseRequest, responses((status = 204), CommonErrors, MutationErrors))]
async fn pause(State(app): State<App>, mutation: Mutation) -> Result<StatusCode, ApiError> {
    let PauseRequest { table, reason } = mutation.json().await?;
    let (warehouse, identifier) = find_table(&app, &mutation.request, table).await?;
    app.schedule.pause(&mutation.request, &warehouse, &identifier, &reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Resumes the maintenance of a table.
///
/// Its queued jobs are leased again, and the table is evaluated.
#[utoipa::path(post, path = "/governance/v1/maintenance/resume", tag = "Maintenance", operation_id = "resumeMaintenance",
    request_body = ResumeRequest, responses((status = 204), CommonErrors, MutationErrors))]
async fn resume(State(app): State<App>, mutation: Mutation) -> Result<StatusCode, ApiError> {
    let ResumeRequest { table } = mutation.json().await?;
    let (warehouse, identifier) = find_table(&app, &mutation.request, table).await?;
    app.schedule.resume(&mutation.request, &warehouse, &identifier).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns a pause in the form of the API.
pub(super) fn paused(pause: TablePause) -> Paused {
    Paused { reason: pause.reason, since_ms: pause.since_ms, paused_by: pause.paused_by }
}
