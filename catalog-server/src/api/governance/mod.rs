//! Governance API: operations on tables beyond the Iceberg protocol, with one file for each group of
//! endpoints.

mod explain;
mod jobs;
mod ownership;
mod pauses;
mod policies;
mod scope;
mod warehouses;
mod workers;

use axum::middleware::from_fn;
use utoipa_axum::router::OpenApiRouter;

use super::App;
use super::extract::refuse_keys;

/// Returns the routes of the governance API.
pub fn routes() -> OpenApiRouter<App> {
    policies::routes()
        .merge(explain::routes())
        .merge(pauses::routes())
        .merge(jobs::routes())
        .merge(workers::routes())
        .merge(ownership::routes())
        .merge(warehouses::routes())
        .route_layer(from_fn(refuse_keys))
}
