//! Endpoints for the jobs of maintenance, for those who operate it.

use axum::Json;
use axum::extract::State;
use openapi::maintenance::{Job, JobPage, JobQuery, NewJob, ScopeName};
use serde_json::Value;
use table_core::rewrite::policy::MaintenancePolicy;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::App;
use crate::api::error::{ApiError, CommonErrors, MutationErrors};
use crate::api::extract::{AtJob, Mutation, Params};
use crate::request::Request;
use crate::schedule::job::{MaintenanceJob, parse_state};

use super::scope::{find_table, require_table};

const PAGE_JOBS: u32 = 100;
const PAGE_JOBS_MAX: u32 = 1_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_jobs, queue_job))
        .routes(routes!(get_job))
        .routes(routes!(cancel_job))
}

/// Lists the maintenance jobs, newest first.
///
/// The list includes running, queued and finished jobs, also those that the server itself runs, which are
/// the purges of dropped tables.
#[utoipa::path(get, path = "/governance/v1/maintenance/jobs", tag = "Maintenance", operation_id = "listMaintenanceJobs",
    params(JobQuery), responses((status = 200, body = JobPage), CommonErrors))]
async fn list_jobs(
    State(app): State<App>,
    request: Request,
    Params(query): Params<JobQuery>,
) -> Result<Json<JobPage>, ApiError> {
    let state = query.state.map(parse_state).transpose();
    let state = state.map_err(|error| ApiError::bad_request(error.to_string()))?;
    let table = match (query.warehouse, query.namespace, query.table) {
        (None, None, None) => None,
        (Some(warehouse), Some(namespace), Some(table)) => {
            let scope = ScopeName { warehouse, namespace: Some(namespace), table: Some(table) };
            Some(require_table(&app, &request, scope).await?)
        }
        _ => {
            return Err(ApiError::bad_request(
                "Invalid query: send `warehouse`, `namespace` and `table`, or none of them",
            ));
        }
    };
    let before = match query.page_token.as_deref() {
        None | Some("") => None,
        Some(token) => Some(Uuid::try_parse(token).map_err(|_| {
            ApiError::bad_request(
                "Invalid page-token: send the `next-page-token` of an earlier page unchanged",
            )
        })?),
    };
    let limit = query.page_size.unwrap_or(PAGE_JOBS).clamp(1, PAGE_JOBS_MAX);
    let table = table.as_ref().map(|(warehouse, identifier)| (warehouse, identifier));
    let mut jobs = app.schedule.list_jobs(&request, table, state, before, limit + 1).await?;
    let has_more = jobs.len() > limit as usize;
    jobs.truncate(limit as usize);
    let next_page_token = jobs.last().filter(|_| has_more).map(|job| job.job_id.to_string());
    Ok(Json(JobPage { jobs: jobs.into_iter().map(job).collect(), next_page_token }))
}

/// Queues a job for a table.
///
/// It runs as soon as a worker is free; if the table is paused, after the pause has ended. If an automatic
/// job of the same action is already queued for a later time, that job is run now instead and retains its id.
#[utoipa::path(post, path = "/governance/v1/maintenance/jobs", tag = "Maintenance", operation_id = "queueMaintenanceJob",
    request_body = NewJob, responses((status = 200, body = Job), CommonErrors, MutationErrors))]
async fn queue_job(State(app): State<App>, mutation: Mutation) -> Result<Json<Job>, ApiError> {
    let NewJob { table, action, policy } = mutation.json().await?;
    let once = match policy {
        Some(policy) => Some(
            MaintenancePolicy::parse(policy.to_string().as_bytes())
                .map_err(|error| ApiError::bad_request(error.to_string()))?,
        ),
        None => None,
    };
    let (warehouse, identifier) = find_table(&app, &mutation.request, table).await?;
    let queued = app.schedule.queue_job(&mutation.request, &warehouse, &identifier, action, once).await?;
    Ok(Json(job(queued)))
}

/// Returns a job with its progress or its result.
#[utoipa::path(get, path = "/governance/v1/maintenance/jobs/{job-id}", tag = "Maintenance",
    operation_id = "getMaintenanceJob", params(("job-id" = String, Path)),
    responses((status = 200, body = Job), CommonErrors))]
async fn get_job(
    State(app): State<App>,
    request: Request,
    AtJob(job_id): AtJob,
) -> Result<Json<Job>, ApiError> {
    Ok(Json(job(app.schedule.require_job(&request, job_id).await?)))
}

/// Cancels a job.
///
/// If the job is running, its worker is asked to stop. A purge cannot be cancelled.
#[utoipa::path(post, path = "/governance/v1/maintenance/jobs/{job-id}/cancel", tag = "Maintenance",
    operation_id = "cancelMaintenanceJob", params(("job-id" = String, Path)),
    responses((status = 200, body = Job), CommonErrors, MutationErrors))]
async fn cancel_job(
    State(app): State<App>,
    AtJob(job_id): AtJob,
    mutation: Mutation,
) -> Result<Json<Job>, ApiError> {
    Ok(Json(job(app.schedule.cancel_job(&mutation.request, job_id).await?)))
}

/// Returns a job in the form of the API.
pub(super) fn job(job: MaintenanceJob) -> Job {
    Job {
        job_id: job.job_id,
        table: job.table_name,
        action: job.action,
        state: job.state.as_str().to_owned(),
        policy: parsed(&job.options),
        reason: job.reason,
        requested_by: job.requested_by,
        attempt: job.attempt,
        worker: job.worker,
        cancel_requested: job.cancel_requested,
        progress: job.progress.as_deref().map(parsed),
        result: job.result.as_deref().map(parsed),
        error: job.error,
        created_ms: job.created_ms,
        due_ms: job.due_ms,
        started_ms: job.started_ms,
        finished_ms: job.finished_ms,
    }
}

/// Parses JSON that this server wrote.
pub(super) fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}
