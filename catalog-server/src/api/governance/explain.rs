//! Endpoints that explain the maintenance of a table: why actions are due, and since when snapshots are out of use.

use axum::Json;
use axum::extract::State;
use openapi::maintenance::{
    ExplainedAction, Explanation, FormerDocument, HistoryQuery, ScopeName, TableHistory, TableName,
};
use table_core::snapshot::superseded::Superseded;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::App;
use crate::api::error::{ApiError, CommonErrors};
use crate::api::extract::Params;
use crate::request::Request;

use super::jobs::job;
use super::pauses::paused;
use super::scope::require_table;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(explain)).routes(routes!(history))
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
        reason: explained.reason,
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
    let before = before.map_err(|_| {
        ApiError::bad_request("Invalid `page-token`: send the `next-page-token` of an earlier page unchanged")
    })?;
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
