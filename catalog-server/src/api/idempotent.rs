//! Execution of changes: to completion even if the client disconnects, and at most once per
//! `Idempotency-Key`.
//!
//! The use case records its success in the transaction of the change. This module records a rejection in a
//! transaction of its own, because a rejected request changed nothing.

use std::future::Future;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::catalog::mutations::MutationResponse;
use crate::catalog::mutations::idempotency::Replay;
use crate::catalog::tables::LoadedTable;
use crate::request::{IdempotencyKey, Request};

use super::error::ApiError;
use super::extract::Mutation;
use super::{App, json, load_result};

/// Runs `work` for a change and returns its response. The response is recorded under the idempotency key, if
/// there is one; if the request was executed before, the recorded response is returned.
///
/// # Errors
///
/// Fails if the idempotency key was used for a different request (422), if `work` fails, or if the database
/// fails.
pub async fn run<W, F, E>(app: &App, mutation: &Mutation, work: W) -> Result<Response, ApiError>
where
    W: FnOnce(Request) -> F + Send + 'static,
    F: Future<Output = Result<MutationResponse, E>> + Send + 'static,
    E: Into<ApiError> + Send + 'static,
{
    let mut request = mutation.request.clone();
    if let Some(key) = mutation.idempotency_key {
        request.idempotency = Some(IdempotencyKey { key, fingerprint: fingerprint(mutation).await });
        if let Some(response) = recall(app, &request).await? {
            return Ok(response);
        }
    }
    let error = match app.changes.spawn(work(request.clone())).await {
        Ok(Ok(response)) => return Ok(answer(&response)),
        Ok(Err(error)) => error.into(),
        Err(error) => ApiError::internal(format!("the server failed unexpectedly: {error}")),
    };
    if error.is_replayed() {
        let response = recall(app, &request).await?;
        return response.ok_or_else(|| ApiError::internal("a recorded answer is gone"));
    }
    if request.idempotency.is_none() || !error.is_final() {
        return Err(error);
    }
    if app.catalog.responses.record_refusal(&request, error.status().as_u16(), &error.body()).await? {
        return Err(error);
    }
    // An identical request was executed concurrently, and this one was rejected because of it.
    Ok(recall(app, &request).await?.unwrap_or_else(|| error.into_response()))
}

/// Checks the idempotency key of a request that changes nothing. The same request may be repeated with the
/// key, because its execution is not recorded, but the key cannot be used for a different request.
///
/// # Errors
///
/// Fails if the key was used for a different request (422) or if the database fails.
pub async fn check(app: &App, mutation: &Mutation) -> Result<(), ApiError> {
    let Some(key) = mutation.idempotency_key else { return Ok(()) };
    let idempotency = Some(IdempotencyKey { key, fingerprint: fingerprint(mutation).await });
    Ok(app.catalog.responses.bind_key(&Request { idempotency, ..mutation.request.clone() }).await?)
}

async fn recall(app: &App, request: &Request) -> Result<Option<Response>, ApiError> {
    match app.catalog.responses.find(request).await? {
        None => Ok(None),
        Some(Replay::MutationResponse(done)) => Ok(Some(answer(&done))),
        Some(Replay::Refusal { status, body }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Ok(Some((status, json(body)).into_response()))
        }
    }
}

fn answer(answer: &MutationResponse) -> Response {
    match answer {
        MutationResponse::Nothing => StatusCode::NO_CONTENT.into_response(),
        MutationResponse::Body(body) => json(body.clone()),
        MutationResponse::Table(document) => load_result::table(&LoadedTable::whole(document.clone())),
        MutationResponse::View(document) => load_result::view(document),
    }
}

async fn fingerprint(mutation: &Mutation) -> String {
    let (method, resource) = (mutation.method.clone(), mutation.resource.clone());
    let hash = mutation.read(move |body| {
        let mut hash = Sha256::new();
        for part in [method.as_bytes(), resource.as_bytes(), body] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize()
    });
    format!("{:x}", hash.await)
}
