//! Responses recorded under the idempotency keys of clients. A success is recorded in the transaction of its
//! change; a refusal in one of its own, because a refused request changed nothing.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::catalog::backend::BackendError;
use crate::clock::Clock;
use crate::request::{IdempotencyKey, Request};
use crate::storage::documents::{DocumentError, Documents};
use crate::store::engine::db::Db;
use crate::store::engine::tx::Tx;
use crate::store::events::idempotency::{self, NewAnswer};

use super::MutationResponse;
use super::error::MutationError;

/// Status under which a success is recorded. The kind of response follows from the other recorded columns.
const SUCCEEDED: u16 = 200;

/// Recorded response to an earlier request with the same idempotency key.
pub enum Replay {
    /// Response of a successful request.
    MutationResponse(MutationResponse),
    /// Error response of a rejected request.
    Refusal {
        /// HTTP status.
        status: u16,
        /// Body of the error response, as JSON.
        body: String,
    },
}

/// Part of a response that is recorded under the idempotency key, so that the response can be repeated.
#[derive(Clone, Copy)]
pub(in crate::catalog) enum IdempotentResult<'a> {
    /// Record of [`MutationResponse::Nothing`].
    Nothing,
    /// Record of [`MutationResponse::Body`]: the body.
    Body(&'a Bytes),
    /// Record of [`MutationResponse::Table`] or [`MutationResponse::View`]: the immutable location of the
    /// metadata document.
    Location(&'a str),
}

/// Response to a request with an idempotency key, as it is stored.
pub(in crate::catalog) struct RecordedResponse<'a> {
    caller: &'a str,
    key: String,
    fingerprint: &'a str,
    status: u16,
    body: Option<Cow<'a, str>>,
    metadata_location: Option<&'a str>,
}

impl<'a> RecordedResponse<'a> {
    /// Returns the response in the form in which it is stored; `None` if `request` has no idempotency key.
    pub(in crate::catalog) fn of(request: &'a Request, result: IdempotentResult<'a>) -> Option<Self> {
        let (body, metadata_location) = match result {
            IdempotentResult::Nothing => (None, None),
            IdempotentResult::Body(body) => (Some(String::from_utf8_lossy(body)), None),
            IdempotentResult::Location(location) => (None, Some(location)),
        };
        let key = request.idempotency.as_ref()?;
        Some(Self { metadata_location, ..Self::new(request, key, SUCCEEDED, body) })
    }

    fn new(request: &'a Request, key: &'a IdempotencyKey, status: u16, body: Option<Cow<'a, str>>) -> Self {
        Self {
            caller: request.caller.id(),
            key: key.key.to_string(),
            fingerprint: &key.fingerprint,
            status,
            body,
            metadata_location: None,
        }
    }

    /// Returns the row to be stored.
    pub(in crate::catalog) fn row(&self) -> NewAnswer<'_> {
        NewAnswer {
            caller: self.caller,
            key: &self.key,
            fingerprint: self.fingerprint,
            status: self.status,
            body: self.body.as_deref(),
            metadata_location: self.metadata_location,
        }
    }
}

/// Records the response under the idempotency key, if there is one, and commits the transaction.
///
/// # Errors
///
/// Fails if a response was recorded under the key meanwhile ([`MutationError::Replayed`]), or if the database
/// fails ([`MutationError::Backend`]).
pub(in crate::catalog) async fn conclude(
    mut tx: Tx,
    request: &Request,
    result: IdempotentResult<'_>,
) -> Result<(), MutationError> {
    if let Some(response) = RecordedResponse::of(request, result)
        && !idempotency::record(&mut tx, &response.row()).await?
    {
        // Dropping the transaction rolls the change back: a concurrent request with the same key made it.
        return Err(MutationError::Replayed);
    }
    Ok(tx.commit().await?)
}

/// Recorded responses of all mutations.
pub struct RecordedResponses {
    pub(in crate::catalog) db: Db,
    pub(in crate::catalog) clock: Clock,
    pub(in crate::catalog) documents: Arc<Documents>,
}

impl RecordedResponses {
    /// Returns the response that was recorded earlier under the idempotency key of `request`, if there is
    /// one.
    ///
    /// # Errors
    ///
    /// Fails if the key was used for a different request ([`MutationError::KeyReused`]), if the metadata file
    /// of the response was deleted since ([`MutationError::ResponseGone`]), or if it cannot be read or the
    /// database fails ([`MutationError::Backend`]).
    pub async fn find(&self, request: &Request) -> Result<Option<Replay>, MutationError> {
        let Some(key) = &request.idempotency else {
            return Ok(None);
        };
        let Some(found) = idempotency::find(&self.db, request.caller.id(), &key.key.to_string()).await?
        else {
            return Ok(None);
        };
        if found.fingerprint != key.fingerprint {
            return Err(MutationError::KeyReused(format!(
                "Idempotency-Key {} was used for another request; use a new key for every new operation",
                key.key
            )));
        }
        if found.status != i64::from(SUCCEEDED) {
            let status = u16::try_from(found.status).unwrap_or_default();
            return Ok(Some(Replay::Refusal { status, body: found.body.unwrap_or_default() }));
        }
        let response = match (found.body, found.metadata_location) {
            (Some(body), _) => MutationResponse::Body(Bytes::from(body)),
            (None, Some(location)) => match self.document_at(&location).await.map_err(BackendError::from) {
                Err(BackendError::FileMissing(location)) => {
                    return Err(MutationError::ResponseGone(location));
                }
                response => response?,
            },
            (None, None) => MutationResponse::Nothing,
        };
        Ok(Some(Replay::MutationResponse(response)))
    }

    /// Binds the idempotency key of `request` to a request that changes nothing. The request may be repeated
    /// and is executed each time.
    ///
    /// # Errors
    ///
    /// Fails if the key was used for a different request ([`MutationError::KeyReused`]), if the metadata file
    /// of the response recorded under it was deleted since ([`MutationError::ResponseGone`]), or if that file
    /// cannot be read or the database fails ([`MutationError::Backend`]).
    pub async fn bind_key(&self, request: &Request) -> Result<(), MutationError> {
        loop {
            // A concurrent request with the same key may be first; it determines the request that the key is
            // bound to.
            if self.find(request).await?.is_some() {
                return Ok(());
            }
            let tx = self.db.write(self.clock.now_ms()).await?;
            match conclude(tx, request, IdempotentResult::Nothing).await {
                Err(MutationError::Replayed) => {}
                concluded => return concluded,
            }
        }
    }

    /// Records an error response under the idempotency key, so that a repeated request receives the same one.
    /// Returns `false` without recording it if another response was recorded under the key meanwhile.
    ///
    /// # Errors
    ///
    /// Fails if the database fails ([`MutationError::Backend`]).
    pub async fn record_refusal(
        &self,
        request: &Request,
        status: u16,
        body: &str,
    ) -> Result<bool, MutationError> {
        let Some(key) = &request.idempotency else { return Ok(true) };
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        let response = RecordedResponse::new(request, key, status, Some(Cow::Borrowed(body)));
        let is_new = idempotency::record(&mut tx, &response.row()).await?;
        tx.commit().await?;
        Ok(is_new)
    }

    /// Returns the document of a table or view at a location. The record does not contain its kind.
    async fn document_at(&self, location: &str) -> Result<MutationResponse, DocumentError> {
        match self.documents.table(location).await {
            Ok(document) => Ok(MutationResponse::Table(document)),
            Err(of_table @ DocumentError::Malformed { .. }) => match self.documents.view(location).await {
                Ok(document) => Ok(MutationResponse::View(document)),
                Err(_) => Err(of_table),
            },
            Err(error) => Err(error),
        }
    }
}
