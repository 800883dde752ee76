//! Commits to views. The result of a concurrent commit is replaced, unless it violates a requirement.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use table_core::commit::request::ViewCommit;
use table_core::commit::requirement::check_view_requirements;
use table_core::commit::view::apply_view;
use table_core::metadata::file_name;

use crate::authz::action::Action;
use crate::catalog::locations::ownership::Folders;
use crate::catalog::mutations::MutationResponse;
use crate::catalog::mutations::idempotency::{IdempotentResult, conclude};
use crate::catalog::names::Identifier;
use crate::catalog::tabulars::ATTEMPTS_MAX;
use crate::catalog::tabulars::error::TabularError;
use crate::catalog::tabulars::transaction::{NewPointer, PointerTarget};
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::id;
use crate::request::Request;
use crate::store::catalog::tabular::{Tabular, TabularKind};

use super::{Views, pointer};

impl Views {
    /// Commits updates to a view. `body` is the JSON of the request. The result of a concurrent commit is
    /// replaced, unless it violates a requirement of this commit.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not commit to the view
    /// ([`TabularError::Forbidden`]); if the view does not exist ([`TabularError::NoSuchView`]); if the body
    /// is malformed, has invalid updates, or a requirement that is not met ([`TabularError::Commit`]); if the
    /// view would have a location outside of the warehouse or of another table or view
    /// ([`TabularError::Ownership`]); if concurrent commits were faster too often
    /// ([`TabularError::LostRace`]); if the lease of the maintenance job was lost
    /// ([`TabularError::JobLost`]); if a response was recorded under its idempotency key meanwhile
    /// ([`TabularError::Mutation`]); or if the file system or the database fails ([`TabularError::Backend`]).
    pub async fn commit(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        body: Bytes,
    ) -> Result<MutationResponse, TabularError> {
        warehouse.require_writable()?;
        let size_bytes = body.len();
        let commit = Arc::new(self.turns.run(size_bytes, move || ViewCommit::parse(&body)).await?);
        let commit = (commit, size_bytes);
        retrying!(TabularError, ATTEMPTS_MAX, async {
            let found = self
                .tabulars
                .require(request, warehouse, identifier, TabularKind::View, Action::CommitView)
                .await?;
            let turns = self.locks.take(vec![found.tabular_id.0]).await;
            if turns.waited {
                // The row that was read before waiting may be outdated.
                let found = self
                    .tabulars
                    .require(request, warehouse, identifier, TabularKind::View, Action::CommitView)
                    .await?;
                return self.try_commit(request, warehouse, identifier, &commit, found).await;
            }
            self.try_commit(request, warehouse, identifier, &commit, found).await
        })
    }

    async fn try_commit(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        (commit, size_bytes): &(Arc<ViewCommit>, usize),
        found: Tabular,
    ) -> Result<MutationResponse, TabularError> {
        let document = self.documents.view(&found.metadata_location).await?;
        let base = document.parsed().clone();
        check_view_requirements(&base, &commit.requirements)?;
        let former = Folders::by_view(warehouse, &base).ok();
        let size_bytes = size_bytes + document.json().len();
        let (commit, now_ms) = (commit.clone(), self.clock.now_ms());
        let applied = self.turns.run(size_bytes, move || apply_view(&base, &commit.updates, now_ms)).await?;
        if !applied.changed {
            let tx = self.db.write(self.clock.now_ms()).await?;
            conclude(tx, request, IdempotentResult::Location(&found.metadata_location)).await?;
            return Ok(MutationResponse::View(document));
        }
        let metadata = applied.metadata;
        let folders = Folders::by_view(warehouse, &metadata)?;
        if former.is_none_or(|former| !former.covers(&folders)) {
            self.locations.check_free(warehouse, Some(found.tabular_id), &folders).await?;
        }
        let location = file_name::next_location(
            &found.metadata_location,
            metadata.location(),
            metadata.properties(),
            id::random(),
        );
        let metadata = Arc::new(metadata);
        let document = self.new_document(size_bytes, &location, &metadata).await;
        self.files.write(&document, &folders).await?;
        let new = NewPointer {
            identifier,
            target: PointerTarget::Existing(&found),
            pointer: pointer(&location, &metadata),
            claims: Some(&folders),
            action: Action::CommitView,
            detail: json!({ "metadata-location": location, "previous": found.metadata_location }),
        };
        let result = IdempotentResult::Location(&location);
        let committed = self.tabulars.commit(request, warehouse, vec![new], result).await;
        self.finish(document, &folders, committed).await
    }
}
