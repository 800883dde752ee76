//! Changes: run to their end even if the client goes away, and at most once for an `Idempotency-Key`.
//!
//! A success is recorded by the use case, in the transaction that makes the change; a refusal is recorded here,
//! since it changed nothing.

use std::future::Future;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::catalog::conclude::{Answer, Recalled};
use crate::catalog::error::CatalogError;
use crate::catalog::tables::LoadedTable;
use crate::request::{IdempotencyKey, Request};

use super::error::ApiError;
use super::extract::Change;
use super::{App, json, load_result};

/// Runs `work` for `change` and writes down what it answered.
pub async fn run<W, F>(app: &App, change: &Change, work: W) -> Result<Response, ApiError>
where
    W: FnOnce(Request) -> F + Send + 'static,
    F: Future<Output = Result<Answer, CatalogError>> + Send + 'static,
{
    let mut request = change.request.clone();
    let Some(key) = change.idempotency_key else {
        return Ok(answer(&detached(app, request, work).await?));
    };
    request.idempotency = Some(IdempotencyKey { key, fingerprint: fingerprint(change).await });
    if let Some(response) = recall(app, &request).await? {
        return Ok(response);
    }
    match detached(app, request.clone(), work).await {
        Ok(done) => Ok(answer(&done)),
        Err(CatalogError::Replayed) => {
            let response = recall(app, &request).await?;
            response.ok_or_else(|| CatalogError::Internal("a recorded answer is gone".to_owned()).into())
        }
        Err(error) => {
            let error = ApiError::from(error);
            if !error.is_final() {
                return Err(error);
            }
            let (status, body) = (error.status().as_u16(), error.body());
            if app.catalog.remember_refusal(&request, status, &body).await? {
                return Err(error);
            }
            // The same request was done meanwhile, and this one was refused because of it.
            Ok(recall(app, &request).await?.unwrap_or_else(|| error.into_response()))
        }
    }
}

/// Checks the key of a request that changes nothing: it is carried out again for the same key, but the key is not good
/// for another request.
///
/// Fails if it was used for one.
pub async fn check(app: &App, change: &Change) -> Result<(), ApiError> {
    let Some(key) = change.idempotency_key else { return Ok(()) };
    let idempotency = Some(IdempotencyKey { key, fingerprint: fingerprint(change).await });
    Ok(app.catalog.claim_key(&Request { idempotency, ..change.request.clone() }).await?)
}

async fn detached<W, F>(app: &App, request: Request, work: W) -> Result<Answer, CatalogError>
where
    W: FnOnce(Request) -> F + Send + 'static,
    F: Future<Output = Result<Answer, CatalogError>> + Send + 'static,
{
    match app.changes.spawn(work(request)).await {
        Ok(result) => result,
        Err(error) => Err(CatalogError::Internal(format!("the server failed in an unexpected way: {error}"))),
    }
}

async fn recall(app: &App, request: &Request) -> Result<Option<Response>, ApiError> {
    match app.catalog.recall(request).await? {
        None => Ok(None),
        Some(Recalled::Answer(done)) => Ok(Some(answer(&done))),
        Some(Recalled::Refusal { status, body }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Ok(Some((status, json(body)).into_response()))
        }
    }
}

fn answer(answer: &Answer) -> Response {
    match answer {
        Answer::Nothing => StatusCode::NO_CONTENT.into_response(),
        Answer::Body(body) => json(body.clone()),
        Answer::Table(document) => load_result::table(&LoadedTable::whole(document.clone())),
        Answer::View(document) => load_result::view(document),
    }
}

async fn fingerprint(change: &Change) -> String {
    let (method, resource) = (change.method.clone(), change.resource.clone());
    let hash = change.read(move |body| {
        let mut hash = Sha256::new();
        for part in [method.as_bytes(), resource.as_bytes(), body] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize()
    });
    format!("{:x}", hash.await)
}
