//! Endpoints for the workers of maintenance, which lease jobs.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use openapi::maintenance::TableName;
use openapi::text::{NEXT_MAX, RESULT_BYTES_MAX};
use openapi::worker::{
    Finish, FinishOutcome, Heartbeat, HeartbeatResponse, LeaseRequest, LeaseResponse, LeaseToken, Outputs,
    TableFolders,
};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::App;
use crate::api::error::{ApiError, CommonErrors, MutationErrors};
use crate::api::extract::{AtJob, Mutation};
use crate::schedule::job::WorkerLease;
use crate::schedule::outcome::{Finished, Next, Reported};

use super::jobs::job;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(lease_job))
        .routes(routes!(heartbeat))
        .routes(routes!(register_outputs))
        .routes(routes!(finish_job))
}

/// Leases the next job to a worker, if there is one.
///
/// Jobs of paused tables are not leased, and neither are those that the server itself runs.
#[utoipa::path(post, path = "/governance/v1/maintenance/jobs/lease", tag = "Maintenance workers",
    operation_id = "leaseMaintenanceJob", request_body = LeaseRequest,
    responses((status = 200, body = LeaseResponse), CommonErrors, MutationErrors))]
async fn lease_job(State(app): State<App>, mutation: Mutation) -> Result<Json<LeaseResponse>, ApiError> {
    let LeaseRequest { worker } = mutation.json().await?;
    if worker.is_empty() {
        return Err(ApiError::bad_request("a worker's name has at least one byte"));
    }
    let lease_ms = app.schedule.lease_ms();
    let Some(leased) = app.schedule.lease_job(&mutation.request, &worker).await? else {
        let (leftovers, unreadable) = (Vec::new(), Vec::new());
        return Ok(Json(LeaseResponse {
            job: None,
            table: None,
            lease_ms,
            leftovers,
            unreadable,
            folders: None,
        }));
    };
    let table = TableName {
        warehouse: leased.table.warehouse,
        namespace: leased.table.identifier.namespace.levels().to_vec(),
        table: leased.table.identifier.name,
    };
    Ok(Json(LeaseResponse {
        job: Some(job(leased.job)),
        table: Some(table),
        lease_ms,
        leftovers: leased.leftovers,
        unreadable: leased
            .unreadable
            .and_then(|files| serde_json::from_value(files).ok())
            .unwrap_or_default(),
        folders: Some(TableFolders {
            warehouse: leased.warehouse_location,
            own: leased.folders.as_slice().iter().map(|folder| folder.normal().to_owned()).collect(),
        }),
    }))
}

/// Renews the lease of a job.
///
/// The worker may include its progress, and the report of what it has committed.
#[utoipa::path(post, path = "/governance/v1/maintenance/jobs/{job-id}/heartbeat", tag = "Maintenance workers",
    operation_id = "heartbeatMaintenanceJob", params(("job-id" = String, Path)), request_body = Heartbeat,
    responses((status = 200, body = HeartbeatResponse), CommonErrors, MutationErrors))]
async fn heartbeat(
    State(app): State<App>,
    AtJob(job_id): AtJob,
    mutation: Mutation,
) -> Result<Json<HeartbeatResponse>, ApiError> {
    let Heartbeat { lease, progress, result } = mutation.json().await?;
    let reported = Reported { progress: progress.map(|progress| progress.to_string()), result: text(result) };
    let cancel = app.schedule.heartbeat(&mutation.request, job_lease(job_id, &lease), &reported).await?;
    Ok(Json(HeartbeatResponse { cancel }))
}

/// Announces the files that a worker is about to write.
///
/// If the worker fails, they are deleted by the worker of the next attempt.
#[utoipa::path(post, path = "/governance/v1/maintenance/jobs/{job-id}/outputs", tag = "Maintenance workers",
    operation_id = "registerMaintenanceOutputs", params(("job-id" = String, Path)), request_body = Outputs,
    responses((status = 204), CommonErrors, MutationErrors))]
async fn register_outputs(
    State(app): State<App>,
    AtJob(job_id): AtJob,
    mutation: Mutation,
) -> Result<StatusCode, ApiError> {
    let Outputs { lease, register, release } = mutation.json().await?;
    app.schedule.register_outputs(&mutation.request, job_lease(job_id, &lease), &register, &release).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Finishes a job.
///
/// The work that it found is queued for the same table, unless a job of the same action is already queued or
/// running, the table is paused, or its policy disables the action. An action that failed before is delayed:
/// by a minute after the first failure, and by twice as long after each further one.
#[utoipa::path(post, path = "/governance/v1/maintenance/jobs/{job-id}/finish", tag = "Maintenance workers",
    operation_id = "finishMaintenanceJob", params(("job-id" = String, Path)), request_body = Finish,
    responses((status = 204), CommonErrors, MutationErrors))]
async fn finish_job(
    State(app): State<App>,
    AtJob(job_id): AtJob,
    mutation: Mutation,
) -> Result<StatusCode, ApiError> {
    let Finish { lease, outcome } = mutation.json().await?;
    let finished = match outcome {
        FinishOutcome::Succeeded { result, next } => {
            if next.len() > NEXT_MAX {
                return Err(ApiError::bad_request(format!(
                    "an evaluation returned {} follow-up jobs, at most {NEXT_MAX} are queued",
                    next.len()
                )));
            }
            let next = next.into_iter().map(|next| Next {
                action: next.action,
                reason: next.reason,
                priority: next.priority,
                after_ms: i64::try_from(next.after_ms).unwrap_or(i64::MAX),
            });
            Finished::Succeeded { result: stored_result(&result), next: next.collect() }
        }
        FinishOutcome::Failed { error, result } => Finished::Failed(error, text(result)),
        FinishOutcome::Retry { error, after_ms, result } => {
            let after_ms = i64::try_from(after_ms).unwrap_or(i64::MAX);
            Finished::Retry(error, after_ms, text(result))
        }
        FinishOutcome::Cancelled { result } => Finished::Cancelled(text(result)),
    };
    app.schedule.finish_job(&mutation.request, job_lease(job_id, &lease), finished).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn text(json: Option<Value>) -> Option<String> {
    json.map(|json| stored_result(&json))
}

/// Returns the lease that a worker names.
pub(super) fn job_lease(job_id: Uuid, token: &LeaseToken) -> WorkerLease<'_> {
    WorkerLease { job_id, worker: &token.worker, attempt: token.attempt }
}

/// Serialises the result of a job for storage. A result that is too long is omitted instead of rejected,
/// because the work is done.
fn stored_result(result: &Value) -> String {
    let text = result.to_string();
    if text.len() <= RESULT_BYTES_MAX {
        return text;
    }
    json!({ "omitted": format!("the result has {} bytes, at most {RESULT_BYTES_MAX} are stored", text.len()) })
        .to_string()
}
