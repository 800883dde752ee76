//! Endpoints for operators: liveness, readiness and metrics.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;

/// Health of the server.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// `ok`, or a description of the problem.
    status: String,
}

/// Returns the routes of the endpoints for operators.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready)).routes(routes!(metrics))
}

/// Checks that the process is running.
///
/// Always returns 200.
#[utoipa::path(get, path = "/health/live", tag = "Operations", responses((status = 200, body = Health)))]
async fn live() -> Response {
    axum::Json(Health { status: "ok".to_owned() }).into_response()
}

/// Checks that the server can serve requests.
///
/// Returns 200 if the database can be reached, and 503 if it cannot be reached or the server is shutting
/// down.
#[utoipa::path(get, path = "/health/ready", tag = "Operations",
    responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn ready(State(app): State<App>) -> Response {
    let problem = if app.draining.is_cancelled() {
        Some("the server is shutting down".to_owned())
    } else {
        app.catalog.ping().await.err().map(|error| error.to_string())
    };
    match problem {
        None => axum::Json(Health { status: "ok".to_owned() }).into_response(),
        Some(status) => (StatusCode::SERVICE_UNAVAILABLE, axum::Json(Health { status })).into_response(),
    }
}

/// Returns the metrics of the server in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "Operations",
    responses((status = 200, body = String, content_type = "text/plain; version=0.0.4")))]
async fn metrics(State(app): State<App>) -> Response {
    app.catalog.record_gauges();
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (headers, app.prometheus.render()).into_response()
}
