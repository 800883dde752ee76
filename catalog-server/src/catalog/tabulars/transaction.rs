//! Transaction that moves or creates the metadata pointers of tables and views, with everything that is
//! recorded of it. The store executes it; files are written before.

use serde_json::Value;

use crate::authz::action::Action;
use crate::catalog::backend::BackendError;
use crate::catalog::locations::error::overlap;
use crate::catalog::locations::ownership::Folders;
use crate::catalog::mutations::audit::{AuditEntryText, AuditRecord};
use crate::catalog::mutations::error::MutationError;
use crate::catalog::mutations::idempotency::{IdempotentResult, RecordedResponse};
use crate::catalog::names::Identifier;
use crate::catalog::namespaces::error::NamespaceError;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::request::{JobAttempt, Request};
use crate::store::catalog::names::NameInNamespace;
use crate::store::catalog::tabular::{NewTabular, Pointer, Tabular, TabularKind};
use crate::store::commits::{Commit, CommitOutcome, PointerChange, TabularChange};
use crate::store::ids::{NamespaceId, TabularId, WarehouseId};

use super::error::{TabularError, name_taken};

/// New metadata pointer of a table or view.
pub(in crate::catalog) struct NewPointer<'a> {
    /// Name of the table or view.
    pub(in crate::catalog) identifier: &'a Identifier,
    /// Table or view whose pointer changes.
    pub(in crate::catalog) target: PointerTarget<'a>,
    /// Pointer after the change.
    pub(in crate::catalog) pointer: Pointer<'a>,
    /// Folders to be claimed, if it owns others than before.
    pub(in crate::catalog) claims: Option<&'a Folders>,
    /// Action for the audit trail.
    pub(in crate::catalog) action: Action,
    /// Detail for the audit trail.
    pub(in crate::catalog) detail: Value,
}

/// Table or view whose metadata pointer changes.
pub(in crate::catalog) enum PointerTarget<'a> {
    /// Existing table or view, as it was read.
    Existing(&'a Tabular),
    /// New table or view.
    New {
        /// Its id.
        tabular_id: TabularId,
        /// Table or view.
        kind: TabularKind,
        /// Namespace in which it is created.
        namespace_id: NamespaceId,
    },
}

/// Transaction over tables and views, ready to be executed by the store.
pub(in crate::catalog) struct Transaction<'a> {
    warehouse_id: WarehouseId,
    job: Option<JobAttempt>,
    changes: Vec<RecordedChange<'a>>,
    response: Option<RecordedResponse<'a>>,
}

struct RecordedChange<'a> {
    new: NewPointer<'a>,
    audit: AuditEntryText<'a>,
    prefixes: Vec<String>,
}

impl RecordedChange<'_> {
    fn row(&self) -> TabularChange<'_> {
        let (new, pointer) = (&self.new, self.new.pointer);
        let pointer = match &new.target {
            PointerTarget::Existing(found) => PointerChange::Move {
                tabular_id: found.tabular_id,
                previous: &found.metadata_location,
                next: pointer,
            },
            PointerTarget::New { tabular_id, kind, namespace_id } => PointerChange::Create(NewTabular {
                tabular_id: *tabular_id,
                kind: *kind,
                place: NameInNamespace { namespace_id: *namespace_id, name: &new.identifier.name },
                pointer,
            }),
        };
        let claims = self.prefixes.iter().map(String::as_str).collect();
        TabularChange { pointer, claims, audit: self.audit.row() }
    }
}

impl PointerTarget<'_> {
    fn id(&self) -> TabularId {
        match self {
            Self::Existing(found) => found.tabular_id,
            Self::New { tabular_id, .. } => *tabular_id,
        }
    }

    fn kind(&self) -> TabularKind {
        match self {
            Self::Existing(found) => found.kind,
            Self::New { kind, .. } => *kind,
        }
    }
}

impl<'a> Transaction<'a> {
    /// Creates the transaction of `request`, whose response is recorded as `result`.
    pub(in crate::catalog) fn new(
        request: &'a Request,
        warehouse: &Warehouse,
        pointers: Vec<NewPointer<'a>>,
        result: IdempotentResult<'a>,
    ) -> Self {
        let change = |mut new: NewPointer<'a>| {
            let record = AuditRecord {
                action: new.action,
                kind: new.target.kind().as_str(),
                name: new.identifier.to_string(),
                id: new.target.id().0,
                warehouse: &warehouse.name,
                detail: std::mem::take(&mut new.detail),
            };
            let prefixes = new.claims.map(Folders::prefixes).unwrap_or_default();
            RecordedChange { audit: record.of(request), prefixes, new }
        };
        Self {
            warehouse_id: warehouse.id,
            job: request.job,
            changes: pointers.into_iter().map(change).collect(),
            response: RecordedResponse::of(request, result),
        }
    }

    /// Returns the transaction in the form in which the store executes it.
    pub(in crate::catalog) fn rows(&self) -> Commit<'_> {
        Commit {
            warehouse_id: self.warehouse_id,
            job: self.job,
            changes: self.changes.iter().map(RecordedChange::row).collect(),
            answer: self.response.as_ref().map(RecordedResponse::row),
        }
    }

    /// Returns the error of an outcome, if the transaction was not committed.
    pub(in crate::catalog) fn check(&self, outcome: CommitOutcome) -> Result<(), TabularError> {
        let at = |index: usize| self.changes.get(index).map(|change| (change, change.new.identifier));
        let error = match outcome {
            CommitOutcome::Done => return Ok(()),
            CommitOutcome::Lost { index } => at(index).map(|(_, name)| TabularError::LostRace(name.clone())),
            CommitOutcome::NameTaken { index, holder } => {
                at(index).map(|(change, name)| name_taken(change.new.target.kind(), holder, name))
            }
            CommitOutcome::NamespaceMissing { index } => {
                at(index).map(|(_, name)| NamespaceError::NoSuchNamespace(name.namespace.clone()).into())
            }
            CommitOutcome::Overlaps { index } => {
                at(index).map(|(change, _)| overlap(&change.prefixes.join("`, `")).into())
            }
            CommitOutcome::Answered => Some(MutationError::Replayed.into()),
            CommitOutcome::JobLost => {
                self.job.map(|JobAttempt { job_id, attempt }| TabularError::JobLost { job_id, attempt })
            }
        };
        Err(error.unwrap_or_else(|| {
            let text = "the store refused a change that the transaction does not have".to_owned();
            BackendError::Internal(text).into()
        }))
    }
}
