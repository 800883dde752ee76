//! Conclusion of a change: audit entry, event and recorded response, all in the transaction of the change.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use table_core::metadata::table::TableMetadata;
use table_core::metadata::view::ViewMetadata;

use crate::authz::action::Action;
use crate::id;
use crate::request::Request;
use crate::storage::documents::{Document, DocumentError};
use crate::store::catalog::commits::{self, Commit, CommitOutcome};
use crate::store::catalog::tabular::{Pointer, Tabular};
use crate::store::engine::tx::Tx;
use crate::store::events::audit::{self, NewAuditEntry};
use crate::store::events::idempotency::{self, NewAnswer};

use crate::catalog::Catalog;
use crate::catalog::error::CatalogError;
use crate::catalog::names::Identifier;

/// Status under which a success is recorded. The kind of response follows from the other recorded columns.
const SUCCEEDED: u16 = 200;

/// Maximum size of the detail of an audit entry, in bytes of JSON. Audit entries are stored permanently.
const DETAIL_BYTES_MAX: usize = 16 << 10;

/// Response to a change.
#[derive(Clone)]
pub enum MutationResponse {
    /// Empty response.
    Nothing,
    /// Small JSON body.
    Body(Bytes),
    /// Metadata of a table, with all of its snapshots.
    Table(Arc<Document<TableMetadata>>),
    /// Metadata of a view.
    View(Arc<Document<ViewMetadata>>),
}

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
    /// Record of [`MutationResponse::Table`] or [`MutationResponse::View`]: the immutable location of the metadata
    /// document.
    Location(&'a str),
}

/// Description of a change for the audit trail and the events.
pub struct AuditRecord<'a> {
    /// Action that was performed.
    pub action: Action,
    /// Kind of the object: `namespace`, `table` or `view`.
    pub kind: &'static str,
    /// Human-readable name of the object, without the warehouse.
    pub name: String,
    /// Id of the object.
    pub id: uuid::Uuid,
    /// Name of the warehouse.
    pub warehouse: &'a str,
    /// Further details as a JSON object, such as the new metadata location.
    pub detail: Value,
}

/// Audit record in the form of an audit entry, with owned strings.
struct Described {
    audit_id: uuid::Uuid,
    request_id: String,
    caller: String,
    action: &'static str,
    object_kind: &'static str,
    object_name: String,
    object_id: uuid::Uuid,
    detail: String,
}

impl AuditRecord<'_> {
    fn described(&self, request: &Request) -> Described {
        Described {
            audit_id: id::ordered(),
            request_id: request.request_id.to_string(),
            caller: request.caller.id().to_owned(),
            action: self.action.as_str(),
            object_kind: self.kind,
            object_name: format!("{}/{}", self.warehouse, self.name),
            object_id: self.id,
            detail: bounded(self.detail.to_string()),
        }
    }
}

impl Described {
    fn entry(&self) -> NewAuditEntry<'_> {
        NewAuditEntry {
            audit_id: self.audit_id,
            request_id: &self.request_id,
            caller: &self.caller,
            action: self.action,
            object_kind: self.object_kind,
            object_name: &self.object_name,
            object_id: Some(self.object_id),
            outcome: "done",
            detail: &self.detail,
        }
    }
}

impl Catalog {
    /// Records a change in the audit trail. The database adds it to the outbox of events at the same time.
    ///
    /// # Errors
    ///
    /// Fails if the database fails ([`CatalogError::Store`]).
    pub async fn record(
        &self,
        tx: &mut Tx,
        request: &Request,
        change: AuditRecord<'_>,
    ) -> Result<(), CatalogError> {
        Ok(audit::record(tx, &change.described(request).entry()).await?)
    }

    /// Swaps the metadata pointer of a table and records the change, for commits that do nothing else.
    pub(in crate::catalog) async fn move_pointer(
        &self,
        request: &Request,
        identifier: &Identifier,
        found: &Tabular,
        next: Pointer<'_>,
        change: AuditRecord<'_>,
    ) -> Result<(), CatalogError> {
        let described = change.described(request);
        let key = request.idempotency.as_ref().map(|key| key.key.to_string());
        let answer = key.as_deref().zip(request.idempotency.as_ref()).map(|(key, sent)| NewAnswer {
            caller: request.caller.id(),
            key,
            fingerprint: &sent.fingerprint,
            status: SUCCEEDED,
            body: None,
            metadata_location: Some(next.metadata_location),
        });
        let commit = Commit {
            tabular_id: found.tabular_id,
            previous: &found.metadata_location,
            next,
            audit: described.entry(),
            answer,
        };
        match commits::commit(&self.db, self.clock.now_ms(), &commit).await? {
            CommitOutcome::PointerMove => Ok(()),
            CommitOutcome::Lost => Err(CatalogError::LostRace(identifier.clone())),
            CommitOutcome::Answered => Err(CatalogError::Replayed),
        }
    }

    /// Records the response under the idempotency key, if there is one, and commits the transaction.
    pub(in crate::catalog) async fn conclude(
        &self,
        mut tx: Tx,
        request: &Request,
        record: IdempotentResult<'_>,
    ) -> Result<(), CatalogError> {
        if request.idempotency.is_some() {
            let (body, metadata_location) = match record {
                IdempotentResult::Nothing => (None, None),
                IdempotentResult::Body(body) => (Some(String::from_utf8_lossy(body)), None),
                IdempotentResult::Location(location) => (None, Some(location)),
            };
            if !remember(&mut tx, request, SUCCEEDED, body.as_deref(), metadata_location).await? {
                // Dropping the transaction rolls the change back: a concurrent request with the same key made
                // it.
                return Err(CatalogError::Replayed);
            }
        }
        Ok(tx.commit().await?)
    }

    /// Returns the response that was recorded earlier under the idempotency key of `request`, if there is
    /// one.
    ///
    /// # Errors
    ///
    /// Fails if the key was used for a different request ([`CatalogError::Unprocessable`]), if the metadata
    /// file of the response was deleted since ([`CatalogError::AnswerGone`]) or cannot be read, or if the
    /// database fails.
    pub async fn recall(&self, request: &Request) -> Result<Option<Replay>, CatalogError> {
        let Some(key) = &request.idempotency else {
            return Ok(None);
        };
        let Some(found) = idempotency::find(&self.db, request.caller.id(), &key.key.to_string()).await?
        else {
            return Ok(None);
        };
        if found.fingerprint != key.fingerprint {
            return Err(CatalogError::Unprocessable(format!(
                "Idempotency-Key {} was used for another request; make a new key for every new operation",
                key.key
            )));
        }
        if found.status != i64::from(SUCCEEDED) {
            let status = u16::try_from(found.status).unwrap_or_default();
            return Ok(Some(Replay::Refusal { status, body: found.body.unwrap_or_default() }));
        }
        let answer = match (found.body, found.metadata_location) {
            (Some(body), _) => MutationResponse::Body(Bytes::from(body)),
            (None, Some(location)) => match self.document_at(&location).await.map_err(CatalogError::from) {
                Err(CatalogError::FileMissing(location)) => return Err(CatalogError::AnswerGone(location)),
                answer => answer?,
            },
            (None, None) => MutationResponse::Nothing,
        };
        Ok(Some(Replay::MutationResponse(answer)))
    }

    /// Binds the idempotency key of `request` to a request that changes nothing. The request may be repeated
    /// and is executed each time.
    ///
    /// # Errors
    ///
    /// Fails if the key was used for a different request ([`CatalogError::Unprocessable`]) or if the database
    /// fails.
    pub async fn claim_key(&self, request: &Request) -> Result<(), CatalogError> {
        loop {
            // A concurrent request with the same key may be first; it determines the request that the key is
            // bound to.
            if self.recall(request).await?.is_some() {
                return Ok(());
            }
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            if remember(&mut tx, request, SUCCEEDED, None, None).await? {
                return Ok(tx.commit().await?);
            }
        }
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

    /// Records an error response under the idempotency key, so that a repeated request receives the same one.
    /// Returns `false` without recording it if another response was recorded under the key meanwhile.
    ///
    /// # Errors
    ///
    /// Fails if the database fails ([`CatalogError::Store`], [`CatalogError::OutcomeUnknown`]).
    pub async fn remember_refusal(
        &self,
        request: &Request,
        status: u16,
        body: &str,
    ) -> Result<bool, CatalogError> {
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        let is_new = remember(&mut tx, request, status, Some(body), None).await?;
        tx.commit().await?;
        Ok(is_new)
    }
}

fn bounded(detail: String) -> String {
    if detail.len() <= DETAIL_BYTES_MAX {
        return detail;
    }
    json!({ "omitted": format!("{} bytes, at most {DETAIL_BYTES_MAX} are kept", detail.len()) }).to_string()
}

/// Records a response. Returns `true` if the key was new or the request has none.
async fn remember(
    tx: &mut Tx,
    request: &Request,
    status: u16,
    body: Option<&str>,
    metadata_location: Option<&str>,
) -> Result<bool, CatalogError> {
    let Some(key) = &request.idempotency else {
        return Ok(true);
    };
    let answer = NewAnswer {
        caller: request.caller.id(),
        key: &key.key.to_string(),
        fingerprint: &key.fingerprint,
        status,
        body,
        metadata_location,
    };
    Ok(idempotency::record(tx, &answer).await?)
}
