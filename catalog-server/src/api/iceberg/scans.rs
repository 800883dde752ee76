//! Endpoints for server-side scan planning: plan, fetch the result, cancel, fetch scan tasks.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::error::{ApiError, CommonErrors, MutationErrors};
use crate::api::extract::{AtObject, AtPlan, Mutation};
use crate::api::{App, idempotent, json};
use crate::catalog::scans::plan::{Patience, Planned};

use super::wire::{FetchScanTasksResult, PlanTableScanRequest, PlanningResult};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(plan_table_scan))
        .routes(routes!(fetch_planning_result, cancel_planning))
        .routes(routes!(fetch_scan_tasks))
}

/// Plans a scan.
///
/// Returns the data files to read and the delete files that apply to them, or the id of a plan that is still
/// in progress.
#[utoipa::path(post, path = "/v1/{prefix}/namespaces/{namespace}/tables/{table}/plan", tag = "Scans",
    operation_id = "planTableScan",
    params(("prefix" = String, Path), ("namespace" = String, Path), ("table" = String, Path),
        ("Prefer" = Option<String>, Header, description = "`respond-async` to get the id of the plan immediately"),
        ("Idempotency-Key" = Option<String>, Header)),
    request_body = PlanTableScanRequest,
    responses((status = 200, body = PlanningResult), CommonErrors, MutationErrors))]
async fn plan_table_scan(
    State(app): State<App>,
    AtObject { request, warehouse, identifier }: AtObject,
    headers: HeaderMap,
    mutation: Mutation,
) -> Result<Response, ApiError> {
    idempotent::check(&app, &mutation).await?;
    let patience = if prefers_async(&headers) { Patience::None } else { Patience::Configured };
    let planned = app.catalog.scans.plan(&request, &warehouse, &identifier, mutation.body, patience).await?;
    answer(planned)
}

/// Returns a plan that was not completed when it was submitted.
#[utoipa::path(get, path = "/v1/{prefix}/namespaces/{namespace}/tables/{table}/plan/{plan-id}", tag = "Scans",
    operation_id = "fetchPlanningResult",
    params(("prefix" = String, Path), ("namespace" = String, Path), ("table" = String, Path),
        ("plan-id" = String, Path)),
    responses((status = 200, body = PlanningResult), CommonErrors))]
async fn fetch_planning_result(
    State(app): State<App>,
    AtPlan { request, warehouse, identifier, plan_id }: AtPlan,
) -> Result<Response, ApiError> {
    answer(app.catalog.scans.find(&request, &warehouse, &identifier, &plan_id).await?)
}

/// Cancels a plan.
#[utoipa::path(delete, path = "/v1/{prefix}/namespaces/{namespace}/tables/{table}/plan/{plan-id}", tag = "Scans",
    operation_id = "cancelPlanning",
    params(("prefix" = String, Path), ("namespace" = String, Path), ("table" = String, Path),
        ("plan-id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 204), CommonErrors, MutationErrors))]
async fn cancel_planning(
    State(app): State<App>,
    AtPlan { request, warehouse, identifier, plan_id }: AtPlan,
    mutation: Mutation,
) -> Result<StatusCode, ApiError> {
    idempotent::check(&app, &mutation).await?;
    app.catalog.scans.cancel(&request, &warehouse, &identifier, &plan_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Request for the file scan tasks of a plan task.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct FetchScanTasksRequest {
    /// Plan task, as returned in `plan-tasks`.
    pub plan_task: String,
}

/// Returns the file scan tasks of a plan task.
#[utoipa::path(post, path = "/v1/{prefix}/namespaces/{namespace}/tables/{table}/tasks", tag = "Scans",
    operation_id = "fetchScanTasks",
    params(("prefix" = String, Path), ("namespace" = String, Path), ("table" = String, Path),
        ("Idempotency-Key" = Option<String>, Header)),
    request_body = FetchScanTasksRequest,
    responses((status = 200, body = FetchScanTasksResult), CommonErrors, MutationErrors))]
async fn fetch_scan_tasks(
    State(app): State<App>,
    AtObject { request, warehouse, identifier }: AtObject,
    mutation: Mutation,
) -> Result<Response, ApiError> {
    idempotent::check(&app, &mutation).await?;
    let body: FetchScanTasksRequest = mutation.json().await?;
    let tasks = app.catalog.scans.fetch_tasks(&request, &warehouse, &identifier, body.plan_task).await?;
    Ok(json(tasks))
}

/// Returns `true` if the client prefers an asynchronous response (RFC 7240, section 4.1).
fn prefers_async(headers: &HeaderMap) -> bool {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    preferences.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case("respond-async"))
}

/// Returns a response body, which is a JSON object, with the plan id added.
fn with_plan_id(mut answer: Vec<u8>, plan_id: Uuid) -> Vec<u8> {
    answer.truncate(answer.trim_ascii_end().len() - 1);
    answer.extend_from_slice(format!(",\"plan-id\":\"{plan_id}\"}}").as_bytes());
    answer
}

fn answer(planned: Planned) -> Result<Response, ApiError> {
    match planned {
        Planned::Completed { answer, plan_id } => Ok(json(with_plan_id(answer, plan_id))),
        Planned::Submitted(plan_id) => {
            Ok(json(format!("{{\"status\":\"submitted\",\"plan-id\":\"{plan_id}\"}}")))
        }
        Planned::Cancelled => Ok(json("{\"status\":\"cancelled\"}")),
        Planned::Failed(error) => {
            let error = ApiError::from(error);
            // A retry may succeed if the database or a file system is temporarily unavailable.
            if !error.is_final() {
                return Err(error);
            }
            let body = error.body();
            let inner = body.strip_prefix('{').unwrap_or_default();
            Ok(json(format!("{{\"status\":\"failed\",{inner}")))
        }
    }
}
