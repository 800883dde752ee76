//! Endpoint for transactions over several tables.

use axum::extract::State;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::error::{ApiError, CommonErrors, MutationErrors};
use crate::api::extract::{InWarehouse, Mutation};
use crate::api::{App, idempotent};

use crate::catalog::tables::change::TableChange;
use crate::catalog::tables::prepared::CommitSource;

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
    let (turns, body) = (app.turns.clone(), mutation.body.clone());
    idempotent::run(&app, &mutation, async move |request| {
        let changes = turns.run(body.len(), move || TableChange::of_transaction(&body)).await?;
        catalog.tables.commit(&request, &warehouse, &changes, CommitSource::Transaction).await
    })
    .await
}
