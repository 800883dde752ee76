//! Maintenance endpoints: policies for administrators of tables, jobs for operators, leases for workers.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use openapi::maintenance::{
    ApplicablePolicy, ApplicableSetting, ExplainedAction, Explanation, Finish, FinishOutcome, FormerDocument,
    Heartbeat, HeartbeatResponse, HistoryQuery, Job, JobPage, JobQuery, LeaseRequest, LeaseResponse,
    LeaseToken, NewJob, Outputs, PauseRequest, Paused, PolicyResponse, ResumeRequest, ScopeName,
    TableFolders, TableHistory, TableName,
};
use openapi::text::{NEXT_MAX, RESULT_BYTES_MAX};
use serde_json::{Value, json};
use table_core::rewrite::policy::MaintenancePolicy;
use table_core::snapshot::superseded::Superseded;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::App;
use crate::api::error::{ApiError, CommonErrors, MutationErrors};
use crate::api::extract::{AtJob, Mutation, Params};
use crate::authz::action::Action;
use crate::catalog::names::{Identifier, Namespace};
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::request::Request;
use crate::schedule::error::ScheduleError;
use crate::schedule::outcome::{Finished, Next, Reported};
use crate::schedule::policies::MaintenanceScope;
use crate::store::maintenance::jobs::{JobLease, JobRow, JobState, Runner};
use crate::store::maintenance::policies::{PauseRow, PolicyRow};

const PAGE_JOBS: u32 = 100;
const PAGE_JOBS_MAX: u32 = 1_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_policy, put_policy, delete_policy))
        .routes(routes!(applicable_policy))
        .routes(routes!(explain))
        .routes(routes!(history))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(list_jobs, queue_job))
        .routes(routes!(get_job))
        .routes(routes!(cancel_job))
        .routes(routes!(lease_job))
        .routes(routes!(heartbeat))
        .routes(routes!(register_outputs))
        .routes(routes!(finish_job))
}

/// Returns the policy set on a warehouse, namespace or table.
///
/// Policies that apply to it by inheritance are not included.
#[utoipa::path(get, path = "/governance/v1/maintenance/policy", tag = "Maintenance", operation_id = "getMaintenancePolicy",
    params(ScopeName), responses((status = 200, body = PolicyResponse), CommonErrors))]
async fn get_policy(
    State(app): State<App>,
    request: Request,
    Params(scope): Params<ScopeName>,
) -> Result<Json<PolicyResponse>, ApiError> {
    let target = target(&app, &request, scope).await?;
    Ok(Json(policy_answer(app.schedule.require_policy(&request, &target).await?)))
}

/// Sets the policy of a warehouse, namespace or table.
///
/// The policy replaces the previous one. Settings that it omits are inherited.
#[utoipa::path(put, path = "/governance/v1/maintenance/policy", tag = "Maintenance", operation_id = "putMaintenancePolicy",
    params(ScopeName), request_body = Object,
    responses((status = 200, body = PolicyResponse), CommonErrors, MutationErrors))]
async fn put_policy(
    State(app): State<App>,
    Params(scope): Params<ScopeName>,
    mutation: Mutation,
) -> Result<Json<PolicyResponse>, ApiError> {
    let target = target(&app, &mutation.request, scope).await?;
    let policy = mutation.read(MaintenancePolicy::parse).await;
    let policy = policy.map_err(|error| ScheduleError::Invalid(error.to_string()))?;
    let put = app.schedule.put_policy(&mutation.request, &target, &policy).await?;
    Ok(Json(policy_answer(put)))
}

/// Removes the policy of a warehouse, namespace or table.
///
/// Its settings are inherited again.
#[utoipa::path(delete, path = "/governance/v1/maintenance/policy", tag = "Maintenance",
    operation_id = "deleteMaintenancePolicy", params(ScopeName),
    responses((status = 204), CommonErrors, MutationErrors))]
async fn delete_policy(
    State(app): State<App>,
    Params(scope): Params<ScopeName>,
    mutation: Mutation,
) -> Result<StatusCode, ApiError> {
    let target = target(&app, &mutation.request, scope).await?;
    app.schedule.delete_policy(&mutation.request, &target).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the effective policy of a table.
///
/// Each setting is listed with the policy that it comes from.
#[utoipa::path(get, path = "/governance/v1/maintenance/applicable-policy", tag = "Maintenance",
    operation_id = "getApplicableMaintenancePolicy", params(ScopeName),
    responses((status = 200, body = ApplicablePolicy), CommonErrors))]
async fn applicable_policy(
    State(app): State<App>,
    request: Request,
    Params(scope): Params<ScopeName>,
) -> Result<Json<ApplicablePolicy>, ApiError> {
    let (warehouse, identifier) = require_table(&app, &request, scope).await?;
    let applicable = app.schedule.applicable_policy(&request, &warehouse, &identifier).await?;
    let setting = |setting: table_core::rewrite::policy::Setting<String>| ApplicableSetting {
        name: setting.name,
        value: setting.value,
        source: setting.source,
    };
    Ok(Json(ApplicablePolicy {
        policy: serde_json::to_value(applicable.policy).unwrap_or_default(),
        settings: applicable.settings.into_iter().map(setting).collect(),
        paused: applicable.pause.map(paused),
    }))
}

/// Explains the maintenance of a table.
///
/// Returns the result of the last evaluation of the table and, for every action, its state and the reason for
/// it.
#[utoipa::path(get, path = "/governance/v1/maintenance/explain", tag = "Maintenance", operation_id = "explainMaintenance",
    params(ScopeName), responses((status = 200, body = Explanation), CommonErrors))]
async fn explain(
    State(app): State<App>,
    request: Request,
    Params(scope): Params<ScopeName>,
) -> Result<Json<Explanation>, ApiError> {
    let (warehouse, identifier) = require_table(&app, &request, scope).await?;
    let explained = app.schedule.explain(&request, &warehouse, &identifier).await?;
    let result = explained.evaluation.as_ref().and_then(|job| job.result.as_deref());
    let actions = explained.actions.into_iter().map(|explained| ExplainedAction {
        action: explained.action,
        state: explained.state.as_str().to_owned(),
        why: explained.why,
        job: explained.job.map(job),
    });
    Ok(Json(Explanation {
        table: TableName {
            warehouse: warehouse.prefix(),
            namespace: identifier.namespace.levels().to_vec(),
            table: identifier.name,
        },
        paused: explained.pause.map(paused),
        // The result may have a form that this server does not know if a worker of another version sent it.
        evaluation: result.and_then(|result| serde_json::from_str(result).ok()),
        evaluated_ms: explained.evaluation.and_then(|job| job.finished_ms),
        maintained_ms: explained.maintained_ms,
        actions: actions.collect(),
    }))
}

/// Lists the snapshots and schemas of a table that went out of use.
///
/// Each is listed with the time at which that happened; for a snapshot, when it stopped being the head of a
/// branch or tag. Snapshot expiry counts the age of a snapshot from that time, so that it is retained for its
/// full maximum age after it was replaced, and for as long as `warehouse@instant` may refer to it.
#[utoipa::path(get, path = "/governance/v1/maintenance/history", tag = "Maintenance", operation_id = "getTableHistory",
    params(HistoryQuery), responses((status = 200, body = TableHistory), CommonErrors))]
async fn history(
    State(app): State<App>,
    request: Request,
    Params(query): Params<HistoryQuery>,
) -> Result<Json<TableHistory>, ApiError> {
    let before = query.page_token.as_deref().map(str::parse::<i64>).transpose();
    let before =
        before.map_err(|_| ApiError::bad_request("Invalid `page-token`: it was not given out here"))?;
    let scope =
        ScopeName { warehouse: query.warehouse, namespace: Some(query.namespace), table: Some(query.table) };
    let (warehouse, identifier) = require_table(&app, &request, scope).await?;
    let age_ms = i64::try_from(query.age_ms).unwrap_or(i64::MAX);
    let past = app.schedule.past(&request, &warehouse, &identifier, age_ms, before).await?;
    let former = |(metadata_location, until_ms, superseded): (String, i64, Superseded)| FormerDocument {
        metadata_location,
        until_ms,
        snapshot_ids: superseded.snapshots,
        schema_ids: superseded.schemas,
    };
    Ok(Json(TableHistory {
        table_uuid: past.table_uuid,
        now_ms: past.now_ms,
        time_travel_ms: past.time_travel_ms,
        inherited_snapshot_ids: past.inherited,
        documents: past.documents.into_iter().map(former).collect(),
        others_ms: past.others_ms,
        next_page_token: past.next.map(|next| next.to_string()),
    }))
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
    let state = match query.state {
        Some(text) => {
            Some(JobState::try_from(text).map_err(|error| ApiError::bad_request(error.to_string()))?)
        }
        None => None,
    };
    let table = match (query.warehouse, query.namespace, query.table) {
        (None, None, None) => None,
        (Some(warehouse), Some(namespace), Some(table)) => {
            let scope = ScopeName { warehouse, namespace: Some(namespace), table: Some(table) };
            match target(&app, &request, scope).await? {
                MaintenanceScope::Table(warehouse, identifier) => Some((warehouse, identifier)),
                MaintenanceScope::Warehouse(_) | MaintenanceScope::Namespace(..) => None,
            }
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
    let mut rows = app.schedule.list_jobs(&request, table, state, before, limit + 1).await?;
    let has_more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next_page_token = rows.last().filter(|_| has_more).map(|row| row.job_id.to_string());
    Ok(Json(JobPage { jobs: rows.into_iter().map(job).collect(), next_page_token }))
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
                    "a job found {} pieces of work, at most {NEXT_MAX} are queued",
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

async fn target(app: &App, request: &Request, scope: ScopeName) -> Result<MaintenanceScope, ApiError> {
    let name = &scope.warehouse;
    let warehouse = app.catalog.warehouses.require(request, name, Action::UseWarehouse).await?;
    Ok(match (scope.namespace, scope.table) {
        (None, None) => MaintenanceScope::Warehouse(warehouse),
        (Some(namespace), None) => MaintenanceScope::Namespace(warehouse, Namespace::from_path(&namespace)?),
        (Some(namespace), Some(table)) => {
            MaintenanceScope::Table(warehouse, Identifier::new(Namespace::from_path(&namespace)?, table)?)
        }
        (None, Some(_)) => {
            return Err(ApiError::bad_request(
                "Invalid query: `table` needs `namespace`, its levels joined by %1F",
            ));
        }
    })
}

/// Returns the warehouse and the identifier of the table that a query names. Fails if the query names no
/// table.
pub(super) async fn require_table(
    app: &App,
    request: &Request,
    scope: ScopeName,
) -> Result<(Warehouse, Identifier), ApiError> {
    match target(app, request, scope).await? {
        MaintenanceScope::Table(warehouse, identifier) => Ok((warehouse, identifier)),
        MaintenanceScope::Warehouse(_) | MaintenanceScope::Namespace(..) => {
            Err(ApiError::bad_request("Invalid query: `namespace` and `table` are needed"))
        }
    }
}

async fn find_table(
    app: &App,
    request: &Request,
    name: TableName,
) -> Result<(Warehouse, Identifier), ApiError> {
    let warehouse = app.catalog.warehouses.require(request, &name.warehouse, Action::UseWarehouse).await?;
    Ok((warehouse, Identifier::new(Namespace::new(name.namespace)?, name.table)?))
}

pub(super) fn job_lease(job_id: Uuid, token: &LeaseToken) -> JobLease<'_> {
    JobLease { runner: Runner::Worker, job_id, worker: &token.worker, attempt: token.attempt }
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

fn paused(pause: PauseRow) -> Paused {
    Paused { reason: pause.reason, since_ms: pause.since_ms, paused_by: pause.paused_by }
}

fn policy_answer(row: PolicyRow) -> PolicyResponse {
    PolicyResponse {
        policy: parsed(&row.document),
        version: row.version,
        updated_ms: row.updated_ms,
        updated_by: row.updated_by,
    }
}

fn job(row: JobRow) -> Job {
    Job {
        job_id: row.job_id,
        table: row.table_name,
        action: row.action,
        state: row.state.as_str().to_owned(),
        policy: parsed(&row.options),
        reason: row.reason,
        requested_by: row.requested_by,
        attempt: row.attempt,
        worker: row.worker,
        cancel_requested: row.cancel_requested,
        progress: row.progress.as_deref().map(parsed),
        result: row.result.as_deref().map(parsed),
        error: row.error,
        created_ms: row.created_ms,
        due_ms: row.due_ms,
        started_ms: row.started_ms,
        finished_ms: row.finished_ms,
    }
}

/// Parses JSON that this server wrote.
fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}
