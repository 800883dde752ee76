//! Creating tables and committing to them, one or several at once.
//!
//! The order is always the same: take turns in process, work out what the updates mean ([`super::draft`]), write the
//! new metadata files and swap the pointers in one short transaction ([`super::write`]).

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;
use table_core::commit::request::{TableCommit, TransactionCommit};
use table_core::commit::requirement::TableRequirement;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::repeat;

use crate::authz::Resource;
use crate::authz::action::Action;
use crate::id;
use crate::request::Request;
use crate::storage::documents::Document;
use crate::store::ids::TabularId;
use crate::store::tabulars::{self, Tabular, TabularKind};

use super::conclude::{Answer, Record};
use super::draft::Draft;
use super::error::CatalogError;
use super::locations::Folders;
use super::names::{Identifier, Namespace};
use super::objects::missing;
use super::warehouses::Warehouse;
use super::{ATTEMPTS_MAX, Catalog};

/// Most tables that one transaction may change.
const TRANSACTION_TABLES_MAX: usize = 1_000;

/// What a client says of a new table.
pub struct NewTable {
    /// Where its files go; chosen by the server if `None`.
    pub location: Option<String>,
    /// The schema as JSON.
    pub schema: Box<RawValue>,
    /// The partition spec as JSON.
    pub partition_spec: Option<Box<RawValue>>,
    /// The sort order as JSON.
    pub write_order: Option<Box<RawValue>>,
    /// Table properties, in order.
    pub properties: Vec<(String, String)>,
    /// How long the request is that says so.
    pub size_bytes: usize,
}

/// How a table that is there already is reported to whoever wants to create it.
#[derive(Clone, Copy)]
pub(super) enum Origin {
    /// `POST …/tables`.
    Request,
    /// A commit that requires that there is no table.
    Commit,
    /// The same as a part of a transaction, which answers nothing.
    Transaction,
}

impl Catalog {
    /// Creates a table.
    pub async fn create_table(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        new: NewTable,
    ) -> Result<Answer, CatalogError> {
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
        self.own_files(&next.folders).create_table_folders(next.metadata.location()).await?;
        let draft = Draft::Create { tabular_id: TabularId(id::ordered()), namespace_id, next };
        let mut documents = self.retrying_write(request, warehouse, vec![draft], Origin::Request).await?;
        Ok(documents.pop().map_or(Answer::Nothing, Answer::Table))
    }

    /// Makes the metadata of a table that a later commit creates; nothing is stored but the response, if the request has an
    /// idempotency key. `respond` writes the response.
    pub async fn stage_table(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        new: NewTable,
        respond: fn(&TableMetadata) -> Bytes,
    ) -> Result<Answer, CatalogError> {
        let size_bytes = new.size_bytes;
        let (_, metadata) =
            self.new_metadata(request, warehouse, identifier, new, Action::StageTable).await?;
        let folders = Folders::by_table(warehouse, &metadata)?;
        if let Err(error) = self.check_free(warehouse, None, &folders).await {
            return Err(self.unless_name_taken(warehouse, identifier, TabularKind::Table, error).await);
        }
        self.own_files(&folders).create_table_folders(metadata.location()).await?;
        let body = self.turns.run(size_bytes, move || respond(&metadata)).await;
        if request.idempotency.is_some() {
            let tx = self.db.write(self.clock.now_ms()).await?;
            self.conclude(tx, request, Record::Body(&body)).await?;
        }
        Ok(Answer::Body(body))
    }

    /// Commits to one table.
    pub async fn commit_table(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        body: Bytes,
    ) -> Result<Answer, CatalogError> {
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
            .commit(request, warehouse, &[(identifier.clone(), Arc::new(commit))], Origin::Commit)
            .await?;
        Ok(documents.pop().map_or(Answer::Nothing, Answer::Table))
    }

    /// Commits to several tables, all or none.
    pub async fn commit_transaction(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        body: Bytes,
    ) -> Result<Answer, CatalogError> {
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
        self.commit(request, warehouse, &commits, Origin::Transaction).await?;
        Ok(Answer::Nothing)
    }

    async fn commit(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        commits: &[(Identifier, Arc<TableCommit>)],
        origin: Origin,
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
        origin: Origin,
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
    ) -> Result<Vec<Draft>, CatalogError> {
        let mut drafts = Vec::with_capacity(commits.len());
        for ((identifier, commit), row) in commits.iter().zip(rows) {
            drafts.push(self.draft(request, warehouse, identifier, commit, row).await?);
        }
        Ok(drafts)
    }

    /// The tables as they are, if the commits were made before and their client has not heard of it; see
    /// [`table_core::snapshot::repeat`]. Several are made together, so that one tells of all.
    async fn made_before(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        commits: &[(Identifier, Arc<TableCommit>)],
    ) -> Result<Option<Vec<Draft>>, CatalogError> {
        let rows = self.find_all(request, warehouse, commits).await?;
        let mut was_made = false;
        let mut drafts = Vec::with_capacity(commits.len());
        for ((_, commit), row) in commits.iter().zip(rows) {
            let Some(row) = row.filter(|row| row.kind == TabularKind::Table) else { continue };
            let document = self.documents.table(&row.metadata_location).await?;
            was_made = was_made || repeat::was_made(document.parsed(), commit);
            drafts.push(Draft::Unchanged(document));
        }
        Ok(was_made.then_some(drafts))
    }

    /// Returns the tables that commits are for, on which the caller may commit; `None` for those that do not exist.
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
        drafts: Vec<Draft>,
        origin: Origin,
    ) -> Result<Vec<Arc<Document<TableMetadata>>>, CatalogError> {
        // A creation has no base that could be old: if it gives way to another transaction, the client is told
        // what that one did when it asks again.
        match self.write(request, warehouse, drafts, origin).await {
            Err(error) if error.is_lost_race() => Err(CatalogError::CommitFailed(
                "Commit failed: another transaction was faster; try again".to_owned(),
            )),
            result => result,
        }
    }
}

/// Whether a commit is meant for a table that is not there yet.
pub(super) fn creates(commit: &TableCommit) -> bool {
    commit.requirements.iter().any(|requirement| matches!(requirement, TableRequirement::AssertCreate))
}
