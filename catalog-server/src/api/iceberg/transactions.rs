//! Endpoint for transactions over several tables.

use axum::extract::State;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::error::{ApiError, CommonErrors, MutationErrors};
use crate::api::extract::{InWarehouse, Mutation};
use crate::api::{App, idempotent};

use super::wire::CommitTransactionRequest;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(commit_transaction))
}

/// Commits updates to several tables atomically.
#[utoipa::path(post, path = "/v1/{prefix}/transactions/commit", tag = "Transactions",
    operation_id = "commitTransaction",
    params(("prefix" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = CommitTransactionRequest,
    responses((status = 204), CommonErrors, MutationErrors))]
async fn commit_transaction(
    State(app): State<App>,
    InWarehouse { warehouse, .. }: InWarehouse,
    mutation: Mutation,
) -> Result<Response, ApiError> {
    let catalog = app.catalog.clone();
    let body = mutation.body.clone();
    idempotent::run(&app, &mutation, async move |request| {
        catalog.commit_transaction(&request, &warehouse, body).await
    })
    .await
}
