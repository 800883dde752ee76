//! Endpoint for metrics reports, which engines send after scans and commits.

use axum::extract::State;
use axum::http::StatusCode;
use serde_json::value::RawValue;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::App;
use crate::api::error::{ApiError, CommonErrors};
use crate::api::extract::{AtObject, Mutation};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(report_metrics))
}

/// Stores a scan or commit report.
///
/// Only the most recent reports of each table are retained.
#[utoipa::path(post, path = "/v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics", tag = "Tables",
    operation_id = "reportMetrics",
    params(("prefix" = String, Path), ("namespace" = String, Path), ("table" = String, Path)),
    request_body = Object,
    responses((status = 204), CommonErrors))]
async fn report_metrics(
    State(app): State<App>,
    AtObject { request, warehouse, identifier }: AtObject,
    mutation: Mutation,
) -> Result<StatusCode, ApiError> {
    mutation.refuse_key()?;
    let report: Box<RawValue> = mutation.json().await?;
    app.catalog.reports.store(&request, &warehouse, &identifier, &report).await?;
    Ok(StatusCode::NO_CONTENT)
}
