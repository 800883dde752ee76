//! Iceberg REST catalog protocol, with one file for each group of endpoints.

mod config;
mod namespaces;
mod reports;
mod scans;
mod tables;
mod tabulars;
mod transactions;
mod views;
mod wire;

use utoipa_axum::router::OpenApiRouter;

use super::App;

/// Returns the routes of the protocol that are supported.
pub fn routes() -> OpenApiRouter<App> {
    config::routes()
        .merge(namespaces::routes())
        .merge(tables::routes())
        .merge(transactions::routes())
        .merge(views::routes())
        .merge(reports::routes())
        .merge(scans::routes())
}
