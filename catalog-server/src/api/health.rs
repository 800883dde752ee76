//! Whether the server lives, whether it can serve, and what it measures.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;

/// How the server is.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// `ok`, or what is wrong.
    status: String,
}

/// The operator's endpoints.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready)).routes(routes!(metrics))
}

/// Answers as long as the process runs.
#[utoipa::path(get, path = "/health/live", tag = "Operations", responses((status = 200, body = Health)))]
async fn live() -> Response {
    axum::Json(Health { status: "ok".to_owned() }).into_response()
}

/// Answers 200 when the database can be reached, 503 when it cannot or the server is shutting down.
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

/// Measurements in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "Operations",
    responses((status = 200, body = String, content_type = "text/plain; version=0.0.4")))]
async fn metrics(State(app): State<App>) -> Response {
    app.catalog.record_gauges();
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (headers, app.prometheus.render()).into_response()
}
