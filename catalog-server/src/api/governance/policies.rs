//! Endpoints for the policies of maintenance.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use openapi::maintenance::{ApplicablePolicy, ApplicableSetting, PolicyResponse, ScopeName};
use table_core::rewrite::policy::{MaintenancePolicy, Setting};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::App;
use crate::api::error::{ApiError, CommonErrors, MutationErrors};
use crate::api::extract::{Mutation, Params};
use crate::request::Request;
use crate::schedule::error::ScheduleError;
use crate::schedule::policies::OwnPolicy;

use super::jobs::parsed;
use super::pauses::paused;
use super::scope::{require_table, target};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_policy, put_policy, delete_policy))
        .routes(routes!(applicable_policy))
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
    let setting = |setting: Setting<String>| ApplicableSetting {
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

fn policy_answer(own: OwnPolicy) -> PolicyResponse {
    PolicyResponse {
        policy: parsed(&own.document),
        version: own.version,
        updated_ms: own.updated_ms,
        updated_by: own.updated_by,
    }
}
