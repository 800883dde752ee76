//! The governance API: what the catalog does with its tables beyond the Iceberg protocol, one file for each group of endpoints.

mod maintenance;

use utoipa_axum::router::OpenApiRouter;

use super::App;

/// Every endpoint of the governance API.
pub fn routes() -> OpenApiRouter<App> {
    maintenance::routes()
}
