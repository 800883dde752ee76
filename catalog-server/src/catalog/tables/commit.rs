//! Commits to tables, to one or to several atomically, from the request to the new metadata pointer.
//!
//! Commits to the same table queue within this process; between processes, the compare-and-swap of the
//! pointer decides. A commit that lost is computed again from its first read. The new metadata is computed in
//! [`super::prepare`], which is pure.

use std::sync::Arc;

use futures::future::try_join_all;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::repeat;

use crate::authz::action::Action;
use crate::catalog::locks::QueueHeads;
use crate::catalog::mutations::MutationResponse;
use crate::catalog::tabulars::ATTEMPTS_MAX;
use crate::catalog::tabulars::error::{TabularError, missing};
use crate::catalog::tabulars::transaction::Transaction;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::request::Request;
use crate::storage::documents::Document;
use crate::store::catalog::tabular::{Tabular, TabularKind};
use crate::store::catalog::tabulars;
use crate::store::commits;

use super::Tables;
use super::change::TableChange;
use super::prepared::{CommitSource, PreparedCommit, explain};

impl Tables {
    /// Commits updates to tables, all or none. A table is created if its commit requires that it does not
    /// exist.
    ///
    /// # Errors
    ///
    /// Fails if the updates are invalid ([`TabularError::Commit`], [`TabularError::Invalid`]) or name
    /// locations outside of the warehouse or of another table or view ([`TabularError::Ownership`]); if the
    /// warehouse is a read-only view or the caller may not commit ([`TabularError::Forbidden`]), or may not
    /// create a table that does not exist ([`TabularError::Namespace`]); if a table does not exist
    /// ([`TabularError::NoSuchTable`]), or is to be created and the name is in use by a view
    /// ([`TabularError::NameTaken`]); if a requirement is not met ([`TabularError::Commit`]); if a snapshot
    /// is outdated, a table to be created was created meanwhile, or concurrent commits were faster too often
    /// ([`TabularError::CommitFailed`]); if the lease of the maintenance job was lost
    /// ([`TabularError::JobLost`]); if a response was recorded under its idempotency key meanwhile
    /// ([`TabularError::Mutation`]); or if the file system or the database fails ([`TabularError::Backend`]).
    /// After [`BackendError::OutcomeUnknown`](crate::catalog::backend::BackendError::OutcomeUnknown) the
    /// commit may have been made.
    pub async fn commit(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        changes: &[TableChange],
        source: CommitSource,
    ) -> Result<MutationResponse, TabularError> {
        let result = retrying!(TabularError, ATTEMPTS_MAX, async {
            warehouse.require_writable()?;
            let (rows, _turn) = self.find_in_turn(request, warehouse, changes).await?;
            let prepared = match self.prepare_all(request, warehouse, changes, rows).await {
                Err(error) if error.is_refusal() => {
                    self.made_before(request, warehouse, changes).await?.ok_or(error)?
                }
                prepared => prepared?,
            };
            let committed = match self.write_files(&prepared).await {
                Ok(()) => {
                    let pointers = prepared.iter().filter_map(PreparedCommit::pointer).collect();
                    let transaction =
                        Transaction::new(request, warehouse, pointers, source.result(&prepared));
                    let outcome = commits::commit(&self.db, self.clock.now_ms(), &transaction.rows()).await;
                    outcome.map_err(TabularError::from).and_then(|outcome| transaction.check(outcome))
                }
                Err(error) => Err(error),
            };
            self.finish(prepared, committed.map_err(explain)).await.inspect_err(count_lost_race)
        });
        let outcome = if result.is_ok() { "done" } else { "failed" };
        metrics::counter!("firn_commits_total", "outcome" => outcome).increment(1);
        match (result, source) {
            (Ok(mut documents), CommitSource::Table) => {
                Ok(documents.pop().map_or(MutationResponse::Nothing, MutationResponse::Table))
            }
            (Ok(_), CommitSource::Transaction) => Ok(MutationResponse::Nothing),
            (Err(error), _) if error.is_lost_race() => Err(lost_too_often(changes)),
            (Err(error), _) => Err(error),
        }
    }

    /// Waits for the turn of a commit in the queues of its tables. Returns the tables, on which the caller may
    /// commit, as they are then; `None` for those that do not exist.
    async fn find_in_turn(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        changes: &[TableChange],
    ) -> Result<(Vec<Option<Tabular>>, QueueHeads), TabularError> {
        let rows = self.find_all(request, warehouse, changes).await?;
        let ids = rows.iter().flatten().map(|row| row.tabular_id.0).collect();
        let turn = self.locks.take(ids).await;
        // The rows that were read before waiting may be outdated.
        let rows = if turn.waited { self.find_all(request, warehouse, changes).await? } else { rows };
        Ok((rows, turn))
    }

    async fn find_all(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        changes: &[TableChange],
    ) -> Result<Vec<Option<Tabular>>, TabularError> {
        let rows = if let [change] = changes {
            vec![self.tabulars.find_unauthorized(warehouse, &change.identifier).await?]
        } else {
            let names = changes.iter().map(|change| &change.identifier);
            let names: Vec<_> = names.map(|name| (name.namespace.path(), name.name.as_str())).collect();
            tabulars::find_many(&self.db, warehouse.id, &names).await?
        };
        for (change, row) in changes.iter().zip(&rows) {
            let Some(row) = row else { continue };
            let missing = || missing(TabularKind::Table, &change.identifier);
            self.tabulars.authorize(request, row, Action::CommitTable, missing)?;
        }
        Ok(rows)
    }

    async fn prepare_all(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        changes: &[TableChange],
        rows: Vec<Option<Tabular>>,
    ) -> Result<Vec<PreparedCommit>, TabularError> {
        let mut prepared = Vec::with_capacity(changes.len());
        for (change, row) in changes.iter().zip(rows) {
            prepared.push(match row {
                Some(found) => self.prepare_update(warehouse, change, found).await?,
                None => self.prepare_create(request, warehouse, change).await?,
            });
        }
        Ok(prepared)
    }

    /// Returns the tables as they are if the commits were already made and only the response was lost; see
    /// [`table_core::snapshot::repeat`]. The commits of a transaction are made atomically, so that one of
    /// them is evidence for all.
    async fn made_before(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        changes: &[TableChange],
    ) -> Result<Option<Vec<PreparedCommit>>, TabularError> {
        let rows = self.find_all(request, warehouse, changes).await?;
        let mut was_made = false;
        let mut prepared = Vec::with_capacity(changes.len());
        for (change, row) in changes.iter().zip(rows) {
            let Some(row) = row.filter(|row| row.kind == TabularKind::Table) else { continue };
            let document = self.documents.table(&row.metadata_location).await?;
            was_made = was_made || repeat::was_applied(document.parsed(), &change.commit);
            prepared.push(PreparedCommit::Unchanged(document));
        }
        Ok(was_made.then_some(prepared))
    }

    /// Writes the metadata files and manifest lists of prepared commits.
    pub(super) async fn write_files(&self, prepared: &[PreparedCommit]) -> Result<(), TabularError> {
        let written = try_join_all(prepared.iter().filter_map(|prepared| {
            let next = prepared.next()?;
            Some(self.files.write_with_folders(&next.document, &next.folders, prepared.new_folders()))
        }))
        .await;
        let lists = prepared.iter().filter_map(|prepared| prepared.next().zip(prepared.list()));
        let listed = try_join_all(lists.map(async |(next, (path, content))| {
            self.files.own(&next.folders).write_new(path, content.clone()).await
        }))
        .await;
        written?;
        listed?;
        Ok(())
    }

    /// Ends a commit: caches its documents and deletes metadata files that are no longer needed; or deletes
    /// what was written, if the commit certainly failed.
    pub(super) async fn finish(
        &self,
        prepared: Vec<PreparedCommit>,
        committed: Result<(), TabularError>,
    ) -> Result<Vec<Arc<Document<TableMetadata>>>, TabularError> {
        if let Err(error) = committed {
            for prepared in &prepared {
                let Some(next) = prepared.next() else { continue };
                self.files.discard(next.document.location(), &next.folders, &error).await;
                if let Some((path, _)) = prepared.list() {
                    self.files.discard(path, &next.folders, &error).await;
                }
            }
            return Err(error);
        }
        self.restore(&prepared).await?;
        let mut documents = Vec::with_capacity(prepared.len());
        for prepared in prepared {
            let document = prepared.document().clone();
            match prepared {
                PreparedCommit::Unchanged(_) => {}
                PreparedCommit::Update { next, expired, found, .. } => {
                    self.delete_former(&found, &next, expired).await;
                    self.documents.insert_table(document.clone()).await;
                }
                PreparedCommit::Create { .. } => self.documents.insert_table(document.clone()).await,
            }
            documents.push(document);
        }
        Ok(documents)
    }

    /// Writes the file of a new table again if a purge by the former owner of the folder deleted it between
    /// the check of the folder and the claim. After the claim, no other owner deletes files there.
    async fn restore(&self, prepared: &[PreparedCommit]) -> Result<(), TabularError> {
        for prepared in prepared {
            if let PreparedCommit::Create { next, .. } = prepared
                && self.files.files.is_gone(next.document.location()).await
            {
                self.files.write(&next.document, &next.folders).await?;
            }
        }
        Ok(())
    }
}

fn count_lost_race(error: &TabularError) {
    if error.is_lost_race() {
        metrics::counter!("firn_commit_races_lost_total").increment(1);
        tracing::debug!(%error, "a concurrent commit was faster; trying again");
    }
}

fn lost_too_often(changes: &[TableChange]) -> TabularError {
    let names: Vec<_> = changes.iter().map(|change| change.identifier.to_string()).collect();
    TabularError::CommitFailed(format!(
        "Commit failed: {ATTEMPTS_MAX} times in a row, a concurrent commit to {} was faster; try again",
        names.join(", ")
    ))
}
