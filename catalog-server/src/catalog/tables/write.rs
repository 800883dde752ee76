//! Execution of drafts: the files are written first, then the pointers are swapped in one short transaction.
//!
//! A written file is only deleted again if it is certain that no pointer refers to it. It is not certain
//! after a COMMIT whose outcome is unknown.

use std::sync::Arc;

use futures::future::try_join_all;
use serde_json::json;
use storage::error::StorageError;
use storage::files::Files;
use table_core::metadata::table::TableMetadata;

use crate::authz::action::Action;
use crate::request::{JobAttempt, Request};
use crate::storage::documents::{Content, Document};
use crate::store::catalog::names::NameInNamespace;
use crate::store::catalog::tabular::{CreateTabular, NewTabular, Pointer, Tabular, TabularKind};
use crate::store::catalog::tabulars;
use crate::store::engine::tx::Tx;
use crate::store::maintenance::jobs;

use crate::catalog::Catalog;
use crate::catalog::error::CatalogError;
use crate::catalog::mutation::{AuditRecord, IdempotentResult};
use crate::catalog::names::Identifier;
use crate::catalog::tables::prepared::{CommitSource, NewMetadata, PreparedCommit};
use crate::catalog::tabulars::locations::Folders;
use crate::catalog::tabulars::{change, name_taken};
use crate::catalog::warehouses::warehouse::Warehouse;

impl Catalog {
    /// Writes the files of drafts, swaps the pointers, and caches the new documents.
    pub(in crate::catalog) async fn write(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        drafts: Vec<PreparedCommit>,
        origin: CommitSource,
    ) -> Result<Vec<Arc<Document<TableMetadata>>>, CatalogError> {
        let written = try_join_all(
            drafts
                .iter()
                .filter_map(PreparedCommit::next)
                .map(|next| self.write_file(&next.document, &next.folders)),
        )
        .await;
        let lists = drafts.iter().filter_map(|draft| draft.next().zip(draft.list()));
        let listed = try_join_all(lists.map(async |(next, (path, content))| {
            self.own_files(&next.folders).write_new(path, content.clone()).await
        }))
        .await;
        let swapped = match written.and(listed.map_err(CatalogError::from)) {
            Ok(_) => self.swap(request, warehouse, &drafts, origin).await,
            Err(error) => Err(error),
        };
        match swapped {
            Ok(()) => {
                self.restore(&drafts).await?;
                Ok(self.keep(drafts).await)
            }
            Err(error) => {
                for draft in &drafts {
                    let Some(next) = draft.next() else { continue };
                    self.discard_file(next.document.location(), &next.folders, &error).await;
                    if let Some((path, _)) = draft.list() {
                        self.discard_file(path, &next.folders, &error).await;
                    }
                }
                Err(error)
            }
        }
    }

    /// Writes the file of a new table again if a purge by the former owner of the folder deleted it between
    /// the check of the folder and the claim. After the claim, no other owner deletes files there.
    async fn restore(&self, drafts: &[PreparedCommit]) -> Result<(), CatalogError> {
        for draft in drafts {
            if let PreparedCommit::Create { next, .. } = draft
                && self.files.is_gone(next.document.location()).await
            {
                self.write_file(&next.document, &next.folders).await?;
            }
        }
        Ok(())
    }

    /// Writes the file of a document.
    pub(in crate::catalog) async fn write_file<T: Content>(
        &self,
        document: &Document<T>,
        folders: &Folders,
    ) -> Result<(), CatalogError> {
        Ok(self.own_files(folders).write_new(document.location(), document.file_content()?).await?)
    }

    /// Deletes a written file after its change failed, unless the outcome is unknown.
    pub(in crate::catalog) async fn discard_file(
        &self,
        location: &str,
        folders: &Folders,
        because: &CatalogError,
    ) {
        // If the file system does not respond, another operation would only wait, too; a later snapshot
        // expiry finds the file.
        if matches!(because, CatalogError::OutcomeUnknown(_)) || because.is_file_system_silent() {
            return;
        }
        // The file existed before and belongs to another writer.
        if matches!(because, CatalogError::File(StorageError::AlreadyExists(_))) {
            return;
        }
        if let Err(error) = self.own_files(folders).delete(location).await {
            tracing::warn!(location, %error, "an unused metadata file stays behind");
        }
    }

    async fn swap(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        drafts: &[PreparedCommit],
        origin: CommitSource,
    ) -> Result<(), CatalogError> {
        let is_noop = drafts.iter().all(|draft| matches!(draft, PreparedCommit::Unchanged(_)));
        if is_noop && request.idempotency.is_none() {
            return Ok(());
        }
        if let ([PreparedCommit::Update { found, next, .. }], CommitSource::Commit) = (drafts, origin)
            && !next.claims
            && request.job.is_none()
        {
            let pointer = next.pointer()?;
            let change = commit_change(warehouse, found, next);
            return self.move_pointer(request, &next.identifier, found, pointer, change).await;
        }
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        if let Some(JobAttempt { job_id, attempt }) = request.job
            && !jobs::lease::fence_attempt(&mut tx, job_id, attempt).await?
        {
            return Err(CatalogError::JobLost { job_id, attempt });
        }
        let ids: Vec<_> = drafts.iter().filter_map(PreparedCommit::updated_id).collect();
        if drafts.len() > 1 {
            tabulars::lock(&mut tx, &ids).await?;
        }
        for draft in drafts {
            match draft {
                PreparedCommit::Unchanged(_) => {}
                PreparedCommit::Update { found, next, .. } => {
                    self.swap_one(&mut tx, request, warehouse, found, next).await?;
                }
                PreparedCommit::Create { tabular_id, namespace_id, next } => {
                    let place = NameInNamespace { namespace_id: *namespace_id, name: &next.identifier.name };
                    let pointer = next.pointer()?;
                    let new =
                        NewTabular { tabular_id: *tabular_id, kind: TabularKind::Table, place, pointer };
                    let inserted = self.insert(
                        &mut tx,
                        request,
                        warehouse,
                        &next.identifier,
                        &new,
                        &next.folders,
                        Action::CreateTable,
                    );
                    inserted.await.map_err(|error| origin.explain(error))?;
                }
            }
        }
        let location = match drafts {
            [PreparedCommit::Unchanged(document)] => document.location(),
            [PreparedCommit::Update { next, .. } | PreparedCommit::Create { next, .. }] => {
                next.document.location()
            }
            _ => "",
        };
        let record = match origin {
            CommitSource::Request | CommitSource::Commit => IdempotentResult::Location(location),
            CommitSource::Transaction => IdempotentResult::Nothing,
        };
        self.conclude(tx, request, record).await
    }

    async fn swap_one(
        &self,
        tx: &mut Tx,
        request: &Request,
        warehouse: &Warehouse,
        found: &Tabular,
        next: &NewMetadata,
    ) -> Result<(), CatalogError> {
        let pointer = next.pointer()?;
        if !tabulars::swap_pointer(tx, found.tabular_id, &found.metadata_location, &pointer).await? {
            return Err(CatalogError::LostRace(next.identifier.clone()));
        }
        if next.claims {
            self.claim(tx, warehouse, found.tabular_id, &next.folders).await?;
        }
        self.record(tx, request, commit_change(warehouse, found, next)).await
    }

    /// Inserts a new table or view into the catalog within `tx`, claims its folders and records the change.
    #[expect(clippy::too_many_arguments, reason = "one insertion, told everything it records")]
    pub(in crate::catalog) async fn insert(
        &self,
        tx: &mut Tx,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        new: &NewTabular<'_>,
        folders: &Folders,
        action: Action,
    ) -> Result<(), CatalogError> {
        match tabulars::create(tx, new).await? {
            CreateTabular::Created => {}
            CreateTabular::NameTaken(holder) => return Err(name_taken(new.kind, holder, identifier)),
            CreateTabular::NamespaceMissing => {
                return Err(CatalogError::NoSuchNamespace(identifier.namespace.clone()));
            }
        }
        self.claim(tx, warehouse, new.tabular_id, folders).await?;
        let change = AuditRecord {
            action,
            kind: new.kind.as_str(),
            name: identifier.to_string(),
            id: new.tabular_id.0,
            warehouse: &warehouse.name,
            detail: json!({ "metadata-location": new.pointer.metadata_location }),
        };
        self.record(tx, request, change).await
    }

    /// Caches the committed documents and deletes former metadata files that the tables no longer need.
    async fn keep(&self, drafts: Vec<PreparedCommit>) -> Vec<Arc<Document<TableMetadata>>> {
        let mut documents = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let next = match draft {
                PreparedCommit::Unchanged(document) => {
                    documents.push(document);
                    continue;
                }
                PreparedCommit::Update { next, expired, found, .. } => {
                    self.delete_former(&found, &next, expired).await;
                    next
                }
                PreparedCommit::Create { next, .. } => next,
            };
            documents.push(next.document.clone());
            self.documents.insert_table(next.document).await;
        }
        documents
    }

    /// Returns access to the files in the folders of a table or view.
    pub(in crate::catalog) fn own_files(&self, folders: &Folders) -> Files {
        self.files.own(folders.as_slice())
    }
}

fn commit_change<'a>(warehouse: &'a Warehouse, found: &Tabular, next: &NewMetadata) -> AuditRecord<'a> {
    let detail = json!({
        "metadata-location": next.document.location(), "previous": found.metadata_location,
        "snapshot-id": next.metadata.current_snapshot_id(),
    });
    change(Action::CommitTable, warehouse, &next.identifier, found, detail)
}

impl NewMetadata {
    fn pointer(&self) -> Result<Pointer<'_>, CatalogError> {
        pointer(self.document.location(), &self.metadata, self.superseded.as_deref())
    }
}

/// Creates the pointer of a table, with the snapshots and schemas that go out of use with it. Fails if the
/// metadata has no `table-uuid`.
pub(in crate::catalog) fn pointer<'a>(
    metadata_location: &'a str,
    metadata: &'a TableMetadata,
    superseded: Option<&'a str>,
) -> Result<Pointer<'a>, CatalogError> {
    let Some(table_uuid) = metadata.uuid() else {
        return Err(CatalogError::Invalid(format!(
            "the metadata `{metadata_location}` has no `table-uuid`; rewrite it with a current engine first"
        )));
    };
    Ok(Pointer { metadata_location, table_uuid, location: metadata.location(), superseded })
}
