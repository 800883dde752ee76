//! HTTP interface of the server: routes, extractors and responses. No other module knows HTTP.
//!
//! It makes no decisions about tables: it passes each request to a use case and converts the result to a
//! response.

pub mod error;
mod extract;
mod governance;
mod health;
mod iceberg;
mod idempotent;
mod layers;
mod load_result;
mod measure;
mod page;
pub mod refusal;
mod token;
mod unprefixed;

use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::http::{Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::authn::Authenticator;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::{Limits, Retention};
use crate::schedule::Schedule;
use crate::work::{Allowance, CpuSlots};

use error::ApiError;

/// HTTP service that answers every request.
#[derive(Clone)]
pub struct Api {
    router: Router,
    default_warehouse: Arc<str>,
}

/// State shared by all handlers.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// Contents of an [`App`].
pub struct Parts {
    /// Authenticator of callers.
    pub authenticator: Authenticator,
    /// Clock of the server.
    pub clock: Clock,
    /// Use cases on the catalog.
    pub catalog: Arc<Catalog>,
    /// Use cases on maintenance: policies and jobs.
    pub schedule: Arc<Schedule>,
    /// Limits of size and time for requests.
    pub limits: Limits,
    /// Retention times, including the lifetime of idempotency keys.
    pub retention: Retention,
    /// Renderer of the metrics.
    pub prometheus: PrometheusHandle,
    /// Token that is cancelled when the server starts to shut down.
    pub draining: CancellationToken,
    /// Tasks of changes, which run to completion even if their client disconnects. A shutdown waits for them.
    pub changes: TaskTracker,
    /// Slots for work on large requests.
    pub turns: CpuSlots,
    /// Memory for the bodies of large requests.
    pub bodies: Allowance,
    /// Name of the warehouse that is used for requests without a prefix.
    pub default_warehouse: Arc<str>,
    /// Number of requests in progress.
    pub in_flight: metrics::Gauge,
    /// Endpoints that `/v1/config` advertises, for example `GET /v1/{prefix}/namespaces`.
    pub endpoints: Vec<String>,
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Firn",
        description = "An Apache Iceberg REST catalog.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(error::IcebergErrorResponse, error::ErrorModel))
)]
struct Document;

/// Builds the service. The endpoints in `/v1/config` and the document at `/openapi.json` are derived from its
/// routes, so that they always match.
pub fn service(parts: Parts) -> Api {
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi())
        .merge(iceberg::routes())
        .merge(governance::routes())
        .merge(health::routes())
        .split_for_parts();
    let endpoints = endpoints(&document);
    // Serialisation cannot fail; an empty document would fail the test that reads it.
    let document = Bytes::from(document.to_json().unwrap_or_default());
    let app = App(Arc::new(Parts { endpoints, ..parts }));
    let default_warehouse = app.default_warehouse.clone();
    let router = router
        .route("/openapi.json", get(move || async move { json(document) }))
        .route(token::PATH, post(token::unsupported))
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(axum::middleware::from_fn_with_state(app.clone(), layers::observe))
        .with_state(app);
    Api { router, default_warehouse }
}

impl Api {
    /// Converts the service to a router, for servers that accept no other service.
    pub fn into_router(self) -> Router {
        Router::new().fallback_service(self)
    }
}

impl<B> Service<Request<B>> for Api
where
    Router: Service<Request<B>>,
{
    type Response = <Router as Service<Request<B>>>::Response;
    type Error = <Router as Service<Request<B>>>::Error;
    type Future = <Router as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<Request<B>>::poll_ready(&mut self.router, context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The prefix is added before routing, because the routes contain it.
        self.router.call(unprefixed::with_prefix(request, &self.default_warehouse))
    }
}

/// Returns the endpoints of the Iceberg protocol in the form of `/v1/config`.
fn endpoints(document: &utoipa::openapi::OpenApi) -> Vec<String> {
    let mut endpoints = Vec::new();
    for (path, item) in document.paths.paths.iter().filter(|(path, _)| path.starts_with("/v1/{prefix}/")) {
        let methods =
            [("GET", &item.get), ("HEAD", &item.head), ("POST", &item.post), ("DELETE", &item.delete)];
        for (method, _) in methods.iter().filter(|(_, operation)| operation.is_some()) {
            endpoints.push(format!("{method} {path}"));
        }
    }
    endpoints
}

/// Creates a JSON response from a serialised body.
fn json(body: impl Into<Bytes>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

async fn unknown_route(uri: axum::http::Uri) -> ApiError {
    let hint = if uri.path().starts_with("/v1/") || uri.path() == "/v1" {
        "ask `GET /v1/config` for the prefix and the endpoints"
    } else {
        "Iceberg REST is served below `/v1/`; `/openapi.json` lists all endpoints"
    };
    ApiError::new(
        StatusCode::NOT_FOUND,
        "NotFoundException",
        format!("no such route: {}; {hint}", uri.path()),
    )
}

async fn unknown_method(method: Method, uri: axum::http::Uri) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "UnsupportedOperationException",
        format!("{method} is not supported on {}; `/openapi.json` lists the supported methods", uri.path()),
    )
}
