//! The end of every change: audit, event and the client's idempotency key, in the change's own transaction.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use table_core::metadata::table::TableMetadata;
use table_core::metadata::view::ViewMetadata;

use crate::authz::action::Action;
use crate::id;
use crate::request::Request;
use crate::storage::documents::{Document, DocumentError};
use crate::store::audit::{self, NewAuditEntry};
use crate::store::commits::{self, Commit, Committed};
use crate::store::idempotency::{self, NewAnswer};
use crate::store::tabulars::{Pointer, Tabular};
use crate::store::tx::Tx;

use super::Catalog;
use super::error::CatalogError;
use super::names::Identifier;

/// The status under which a success is recorded; what it was is told by what is recorded with it.
const SUCCEEDED: u16 = 200;

/// Longest detail of a line of the audit trail, in bytes of JSON. These lines are kept for ever.
const DETAIL_BYTES_MAX: usize = 16 << 10;

/// What a change answers.
#[derive(Clone)]
pub enum Answer {
    /// Nothing but that it is done.
    Nothing,
    /// A small JSON body.
    Body(Bytes),
    /// Metadata of a table, with all of its snapshots.
    Table(Arc<Document<TableMetadata>>),
    /// Metadata of a view.
    View(Arc<Document<ViewMetadata>>),
}

/// What was answered to an earlier request with the same key.
pub enum Recalled {
    /// It succeeded.
    Answer(Answer),
    /// It was refused, with this status and body.
    Refusal {
        /// The status as the API numbers it.
        status: u16,
        /// The error's body.
        body: String,
    },
}

/// What is kept of an answer, to be given again.
#[derive(Clone, Copy)]
pub(super) enum Record<'a> {
    /// [`Answer::Nothing`].
    Nothing,
    /// [`Answer::Body`].
    Body(&'a Bytes),
    /// [`Answer::Table`] or [`Answer::View`], by the immutable location of the document.
    Location(&'a str),
}

/// What was changed, for the audit trail and for whoever listens.
pub struct Change<'a> {
    /// Action that was done.
    pub action: Action,
    /// What it was done to: `namespace`, `table`, `view`.
    pub kind: &'static str,
    /// The object's name, for people.
    pub name: String,
    /// The object's id.
    pub id: uuid::Uuid,
    /// The warehouse's name.
    pub warehouse: &'a str,
    /// What else there is to say, such as the new metadata location.
    pub detail: Value,
}

/// A change in the audit trail's words.
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

impl Change<'_> {
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
    /// Records one change in the audit trail; the database puts it into the outbox with that.
    pub async fn record(
        &self,
        tx: &mut Tx,
        request: &Request,
        change: Change<'_>,
    ) -> Result<(), CatalogError> {
        Ok(audit::record(tx, &change.described(request).entry()).await?)
    }

    /// Moves a pointer and records it, when that is all there is to do.
    pub(super) async fn move_pointer(
        &self,
        request: &Request,
        identifier: &Identifier,
        found: &Tabular,
        next: Pointer<'_>,
        change: Change<'_>,
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
            Committed::Moved => Ok(()),
            Committed::Lost => Err(CatalogError::LostRace(identifier.clone())),
            Committed::Answered => Err(CatalogError::Replayed),
        }
    }

    /// Records the answer under the client's key, if there is one, and commits.
    pub(super) async fn conclude(
        &self,
        mut tx: Tx,
        request: &Request,
        record: Record<'_>,
    ) -> Result<(), CatalogError> {
        if request.idempotency.is_some() {
            let (body, metadata_location) = match record {
                Record::Nothing => (None, None),
                Record::Body(body) => (Some(String::from_utf8_lossy(body)), None),
                Record::Location(location) => (None, Some(location)),
            };
            if !remember(&mut tx, request, SUCCEEDED, body.as_deref(), metadata_location).await? {
                // Dropping the transaction takes the change back: another request has made it.
                return Err(CatalogError::Replayed);
            }
        }
        Ok(tx.commit().await?)
    }

    /// What was answered before under the key of `context`.
    pub async fn recall(&self, request: &Request) -> Result<Option<Recalled>, CatalogError> {
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
            return Ok(Some(Recalled::Refusal { status, body: found.body.unwrap_or_default() }));
        }
        let answer = match (found.body, found.metadata_location) {
            (Some(body), _) => Answer::Body(Bytes::from(body)),
            (None, Some(location)) => match self.document_at(&location).await.map_err(CatalogError::from) {
                Err(CatalogError::FileMissing(location)) => return Err(CatalogError::AnswerGone(location)),
                answer => answer?,
            },
            (None, None) => Answer::Nothing,
        };
        Ok(Some(Recalled::Answer(answer)))
    }

    /// Ties the key of `context` to a request that changes nothing, and may be carried out again as often as it is sent.
    ///
    /// Fails if the key was used for another request.
    pub async fn claim_key(&self, request: &Request) -> Result<(), CatalogError> {
        loop {
            // Another request of the same key may come in between; it decides what the key is for.
            if self.recall(request).await?.is_some() {
                return Ok(());
            }
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            if remember(&mut tx, request, SUCCEEDED, None, None).await? {
                return Ok(tx.commit().await?);
            }
        }
    }

    /// The document at a location, of a table or of a view: what was recorded does not say which.
    async fn document_at(&self, location: &str) -> Result<Answer, DocumentError> {
        match self.documents.table(location).await {
            Ok(document) => Ok(Answer::Table(document)),
            Err(of_table @ DocumentError::Malformed { .. }) => match self.documents.view(location).await {
                Ok(document) => Ok(Answer::View(document)),
                Err(_) => Err(of_table),
            },
            Err(error) => Err(error),
        }
    }

    /// Keeps a refusal, so that the same key gets it again. Returns `false`, keeping nothing, if another answer
    /// was recorded under the key meanwhile.
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

/// Returns whether the key was new.
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
