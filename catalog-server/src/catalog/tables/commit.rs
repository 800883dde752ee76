//! Creation of tables and commits to them, to one table or to several atomically.
//!
//! The steps are always the same: wait for the tables' queues in this process, compute the new metadata from
//! the updates ([`crate::catalog::tables::prepare`]), write the new metadata files, and swap the pointers in one short
//! transaction ([`crate::catalog::tables::write`]).

use std::sync::Arc;

use bytes::Bytes;
use table_core::commit::request::{TableCommit, TransactionCommit};
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::repeat;

use crate::authz::Resource;
use crate::authz::action::Action;
use crate::id;
use crate::request::Request;
use crate::storage::create_table_folders;
use crate::storage::documents::Document;
use crate::store::catalog::tabular::{Tabular, TabularKind};
use crate::store::catalog::tabulars;
use crate::store::ids::TabularId;

use crate::catalog::error::CatalogError;
use crate::catalog::mutation::{IdempotentResult, MutationResponse};
use crate::catalog::names::{Identifier, Namespace};
use crate::catalog::tables::prepared::{CommitSource, NewTable, PreparedCommit};
use crate::catalog::tabulars::locations::Folders;
use crate::catalog::tabulars::missing;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::catalog::{ATTEMPTS_MAX, Catalog};

/// Maximum number of tables in one transaction.
const TRANSACTION_TABLES_MAX: usize = 1_000;

impl Catalog {
    /// Creates a table.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not create tables
    /// ([`CatalogError::Forbidden`]), if the namespace does not exist, if the name is in use
    /// ([`CatalogError::NameTaken`]), if the definition is invalid or the location is outside of the
    /// warehouse or belongs to another table or view ([`CatalogError::Invalid`]), if a concurrent transaction
    /// was faster ([`CatalogError::CommitFailed`]), or if the file system or the database fails.
    pub async fn create_table(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        new: NewTable,
    ) -> Result<MutationResponse, CatalogError> {
        let size_bytes = new.size_bytes;
        let (namespace, metadata) =
            self.new_metadata(request, warehouse, identifier, new, Action::CreateTable).await?;
        let namespace_id = namespace.namespace_id;
        let next = match self.next(warehouse, identifier, metadata, size_bytes, None).await {
            Ok(next) => next,
            Err(error) => {
                return Err(self.unless_name_taken(warehouse, identifier, TabularKind::Table, error).await);
            }
        };
        create_table_folders(&self.own_files(&next.folders), next.metadata.location()).await?;
        let draft = PreparedCommit::Create { tabular_id: TabularId(id::ordered()), namespace_id, next };
        let mut documents =
            self.retrying_write(request, warehouse, vec![draft], CommitSource::Request).await?;
        Ok(documents.pop().map_or(MutationResponse::Nothing, MutationResponse::Table))
    }

    /// Stages a table: returns the metadata of a table that a later commit creates. Nothing is stored except
    /// the response, if the request has an idempotency key. `respond` serialises the response.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not stage tables
    /// ([`CatalogError::Forbidden`]), if the namespace does not exist, if the name is in use
    /// ([`CatalogError::NameTaken`]), if the definition is invalid or the location is outside of the
    /// warehouse or belongs to another table or view ([`CatalogError::Invalid`]), or if the file system or
    /// the database fails.
    pub async fn stage_table(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        new: NewTable,
        respond: fn(&TableMetadata) -> Bytes,
    ) -> Result<MutationResponse, CatalogError> {
        let size_bytes = new.size_bytes;
        let (_, metadata) =
            self.new_metadata(request, warehouse, identifier, new, Action::StageTable).await?;
        let folders = Folders::by_table(warehouse, &metadata)?;
        if let Err(error) = self.check_free(warehouse, None, &folders).await {
            return Err(self.unless_name_taken(warehouse, identifier, TabularKind::Table, error).await);
        }
        create_table_folders(&self.own_files(&folders), metadata.location()).await?;
        let body = self.turns.run(size_bytes, move || respond(&metadata)).await;
        if request.idempotency.is_some() {
            let tx = self.db.write(self.clock.now_ms()).await?;
            self.conclude(tx, request, IdempotentResult::Body(&body)).await?;
        }
        Ok(MutationResponse::Body(body))
    }

    /// Commits updates to one table, or creates it if the commit requires that it does not exist. `body` is
    /// the JSON of the request.
    ///
    /// # Errors
    ///
    /// Fails if the body is malformed ([`CatalogError::Malformed`]), names another table, or has invalid
    /// updates ([`CatalogError::Invalid`]); if the warehouse is a read-only view or the caller may not commit
    /// ([`CatalogError::Forbidden`]); if the table does not exist ([`CatalogError::NoSuchTable`]); if a
    /// requirement is not met or concurrent commits were faster too often
    /// ([`CatalogError::CommitFailed`]); if the lease of the maintenance job was lost
    /// ([`CatalogError::JobLost`]); or if the file system or the database fails. After
    /// [`CatalogError::OutcomeUnknown`] the commit may have been made.
    pub async fn commit_table(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        body: Bytes,
    ) -> Result<MutationResponse, CatalogError> {
        let commit = self.turns.run(body.len(), move || TableCommit::parse(&body)).await?;
        if let Some(named) = &commit.identifier
            && (named.namespace != identifier.namespace.levels() || named.name != identifier.name)
        {
            return Err(CatalogError::Invalid(format!(
                "the body names table `{}`, the path names `{identifier}`; send the commit to the table it is for",
                named.name
            )));
        }
        let mut documents = self
            .commit(request, warehouse, &[(identifier.clone(), Arc::new(commit))], CommitSource::Commit)
            .await?;
        Ok(documents.pop().map_or(MutationResponse::Nothing, MutationResponse::Table))
    }

    /// Commits updates to several tables atomically. `body` is the JSON of the request.
    ///
    /// # Errors
    ///
    /// Fails like [`Catalog::commit_table`]; and if the transaction has too many tables or names a table
    /// twice ([`CatalogError::Invalid`]).
    pub async fn commit_transaction(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        body: Bytes,
    ) -> Result<MutationResponse, CatalogError> {
        let transaction = self.turns.run(body.len(), move || TransactionCommit::parse(&body)).await?;
        if transaction.table_changes.len() > TRANSACTION_TABLES_MAX {
            return Err(CatalogError::Invalid(format!(
                "the transaction changes {} tables, at most {TRANSACTION_TABLES_MAX} are allowed",
                transaction.table_changes.len()
            )));
        }
        let mut commits: Vec<(Identifier, Arc<TableCommit>)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for (named, commit) in transaction.table_changes {
            let identifier = Identifier::new(Namespace::new(named.namespace)?, named.name)?;
            if !seen.insert(identifier.clone()) {
                return Err(CatalogError::Invalid(format!(
                    "table `{identifier}` appears twice in the transaction; put its updates into one change"
                )));
            }
            commits.push((identifier, Arc::new(commit)));
        }
        self.commit(request, warehouse, &commits, CommitSource::Transaction).await?;
        Ok(MutationResponse::Nothing)
    }

    async fn commit(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        commits: &[(Identifier, Arc<TableCommit>)],
        origin: CommitSource,
    ) -> Result<Vec<Arc<Document<TableMetadata>>>, CatalogError> {
        let result = self.commit_in_turn(request, warehouse, commits, origin).await;
        let outcome = if result.is_ok() { "done" } else { "failed" };
        metrics::counter!("firn_commits_total", "outcome" => outcome).increment(1);
        result
    }

    async fn commit_in_turn(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        commits: &[(Identifier, Arc<TableCommit>)],
        origin: CommitSource,
    ) -> Result<Vec<Arc<Document<TableMetadata>>>, CatalogError> {
        warehouse.require_writable()?;
        for attempt in 0..ATTEMPTS_MAX {
            let mut rows = self.find_all(request, warehouse, commits).await?;
            let ids = rows.iter().flatten().map(|row| row.tabular_id.0).collect();
            let turns = self.locks.take(ids).await;
            if turns.waited {
                rows = self.find_all(request, warehouse, commits).await?;
            }
            let drafts = match self.draft_all(request, warehouse, commits, rows).await {
                Err(error) if error.is_refusal() => {
                    self.made_before(request, warehouse, commits).await?.ok_or(error)?
                }
                drafted => drafted?,
            };
            match self.write(request, warehouse, drafts, origin).await {
                Err(error) if error.is_lost_race() => {
                    metrics::counter!("firn_commit_races_lost_total").increment(1);
                    tracing::debug!(
                        attempt,
                        tables = commits.len(),
                        "lost the race for a table; trying again"
                    );
                }
                result => return result,
            }
        }
        let names: Vec<_> = commits.iter().map(|(identifier, _)| identifier.to_string()).collect();
        Err(CatalogError::CommitFailed(format!(
            "Commit failed: others were faster {ATTEMPTS_MAX} times in a row on {}; try again",
            names.join(", ")
        )))
    }

    async fn draft_all(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        commits: &[(Identifier, Arc<TableCommit>)],
        rows: Vec<Option<Tabular>>,
    ) -> Result<Vec<PreparedCommit>, CatalogError> {
        let mut drafts = Vec::with_capacity(commits.len());
        for ((identifier, commit), row) in commits.iter().zip(rows) {
            drafts.push(self.draft(request, warehouse, identifier, commit, row).await?);
        }
        Ok(drafts)
    }

    /// Returns the tables as they are if the commits were already made and only the response was lost; see
    /// [`table_core::snapshot::repeat`]. The commits of a transaction are made atomically, so that one of
    /// them is evidence for all.
    async fn made_before(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        commits: &[(Identifier, Arc<TableCommit>)],
    ) -> Result<Option<Vec<PreparedCommit>>, CatalogError> {
        let rows = self.find_all(request, warehouse, commits).await?;
        let mut was_made = false;
        let mut drafts = Vec::with_capacity(commits.len());
        for ((_, commit), row) in commits.iter().zip(rows) {
            let Some(row) = row.filter(|row| row.kind == TabularKind::Table) else { continue };
            let document = self.documents.table(&row.metadata_location).await?;
            was_made = was_made || repeat::was_applied(document.parsed(), commit);
            drafts.push(PreparedCommit::Unchanged(document));
        }
        Ok(was_made.then_some(drafts))
    }

    /// Returns the tables of commits, on which the caller may commit; `None` for those that do not exist.
    async fn find_all(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        commits: &[(Identifier, Arc<TableCommit>)],
    ) -> Result<Vec<Option<Tabular>>, CatalogError> {
        let rows = self.find_rows(warehouse, commits).await?;
        for ((identifier, _), row) in commits.iter().zip(&rows) {
            let Some(row) = row else { continue };
            let missing = || missing(TabularKind::Table, identifier);
            self.authorize(request, Action::CommitTable, Resource::Tabular(row.tabular_id), missing)?;
        }
        Ok(rows)
    }

    async fn find_rows(
        &self,
        warehouse: &Warehouse,
        commits: &[(Identifier, Arc<TableCommit>)],
    ) -> Result<Vec<Option<Tabular>>, CatalogError> {
        if let [(identifier, _)] = commits {
            return Ok(vec![self.find_object(warehouse, identifier).await?]);
        }
        let wanted: Vec<_> = commits
            .iter()
            .map(|(identifier, _)| (identifier.namespace.path(), identifier.name.as_str()))
            .collect();
        Ok(tabulars::find_many(&self.db, warehouse.id, &wanted).await?)
    }

    async fn retrying_write(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        drafts: Vec<PreparedCommit>,
        origin: CommitSource,
    ) -> Result<Vec<Arc<Document<TableMetadata>>>, CatalogError> {
        // A creation has no base version that could be outdated: if it loses against another transaction, the
        // client receives the result of that one when it retries.
        match self.write(request, warehouse, drafts, origin).await {
            Err(error) if error.is_lost_race() => Err(CatalogError::CommitFailed(
                "Commit failed: another transaction was faster; try again".to_owned(),
            )),
            result => result,
        }
    }
}
