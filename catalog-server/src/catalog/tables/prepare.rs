//! Drafts of changes: the new metadata of a table, computed from a request and the current version but not
//! yet written.

use std::sync::Arc;

use bytes::Bytes;
use table_core::commit;
use table_core::commit::create::{CreateTable, create};
use table_core::commit::request::TableCommit;
use table_core::commit::requirement::check_requirements;
use table_core::commit::update::TableUpdate;
use table_core::metadata::file_name;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::superseded::Superseded;

use crate::authz::action::Action;
use crate::config::ScanPlanningMode;
use crate::id;
use crate::request::Request;
use crate::storage::documents::Document;
use crate::store::catalog::namespaces::NamespaceRow;
use crate::store::catalog::tabular::{Tabular, TabularKind};
use crate::store::ids::TabularId;

use crate::catalog::error::CatalogError;
use crate::catalog::names::Identifier;
use crate::catalog::tables::former;
use crate::catalog::tables::prepared::{CommitSource, NewMetadata, NewTable, PreparedCommit, creates};
use crate::catalog::tabulars::locations::{self, Folders};
use crate::catalog::tabulars::name_taken;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::catalog::{Catalog, namespaces};

/// Table property that selects scan planning by the client or by the server.
const MODE: &str = ScanPlanningMode::TABLE_PROPERTY;

impl Catalog {
    /// Computes the new metadata of a table from a commit and the current version `row`. `None` means that
    /// the table does not exist.
    pub(in crate::catalog) async fn draft(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        commit: &Arc<TableCommit>,
        row: Option<Tabular>,
    ) -> Result<PreparedCommit, CatalogError> {
        let Some(found) = row else {
            return self.draft_create(request, warehouse, identifier, commit).await;
        };
        if found.kind == TabularKind::View {
            return Err(if creates(commit) {
                name_taken(TabularKind::Table, TabularKind::View, identifier)
            } else {
                CatalogError::NoSuchTable(identifier.clone())
            });
        }
        let document = self.documents.table(&found.metadata_location).await?;
        let base = document.parsed().clone();
        let mut commit = commit.clone();
        let mut list = None;
        if let Err(refusal) = check_requirements(Some(&base), &commit.requirements) {
            let Some(rebased) = self.rebase(warehouse, found.tabular_id, &base, &commit).await else {
                return Err(refusal.into());
            };
            commit = Arc::new(rebased.commit);
            list = Some(Box::new((rebased.list.0, Bytes::from(rebased.list.1))));
        }
        let now_ms = self.clock.now_ms();
        let base_location = found.metadata_location.clone();
        let (worked_on, updates) = (base.clone(), commit.clone());
        let applied = self.turns.run(document.json().len() + commit.size_bytes, move || {
            let applied = commit::apply(&worked_on, &base_location, &updates.updates, now_ms)?;
            let json = if applied.changed { applied.metadata.to_bytes() } else { Vec::new() };
            let superseded = former::kept(&Superseded::between(&worked_on, &applied.metadata));
            Ok::<_, CatalogError>((applied, json, superseded))
        });
        let (applied, json, superseded) = applied.await?;
        let (metadata, expired) = (Arc::new(applied.metadata), applied.expired_metadata_files);
        if !applied.changed {
            return Ok(PreparedCommit::Unchanged(document));
        }
        if metadata.property(MODE) != base.property(MODE) {
            check_planning_mode(&metadata)?;
        }
        let (folders, claims) = folders_after(warehouse, &base, &metadata)?;
        if claims {
            self.check_free(warehouse, Some(found.tabular_id), &folders).await?;
        }
        self.check_new_snapshots(warehouse, Some(found.tabular_id), &folders, &commit.updates).await?;
        let location = file_name::next_location(
            &found.metadata_location,
            metadata.location(),
            metadata.properties(),
            id::random(),
        );
        let (made, bytes) = (metadata.clone(), json.len());
        let document = self.turns.run(bytes, move || Document::new_unwritten(&location, &json, made)).await;
        let next =
            NewMetadata { identifier: identifier.clone(), document, metadata, superseded, folders, claims };
        Ok(PreparedCommit::Update { found, next, expired, list })
    }

    async fn draft_create(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        commit: &Arc<TableCommit>,
    ) -> Result<PreparedCommit, CatalogError> {
        if !creates(commit) {
            return Err(CatalogError::NoSuchTable(identifier.clone()));
        }
        check_requirements(None, &commit.requirements)?;
        let namespace = &identifier.namespace;
        let namespace = self.require_namespace(request, warehouse, namespace, Action::CreateTable).await?;
        let is_placed = commit.updates.iter().any(|update| matches!(update, TableUpdate::SetLocation { .. }));
        let location = if is_placed { None } else { Some(base_location(warehouse, &namespace, identifier)?) };
        let (updates, uuid, now_ms) = (commit.clone(), id::random(), self.clock.now_ms());
        let metadata = self.turns.run(commit.size_bytes, move || {
            let mut updates = updates.updates.clone();
            updates.extend(location.map(|location| TableUpdate::SetLocation { location }));
            commit::build(&updates, uuid, now_ms)
        });
        let metadata = metadata.await?;
        let next = self.next(warehouse, identifier, metadata, commit.size_bytes, Some(&commit.updates)).await;
        let next = match next {
            Ok(next) => next,
            Err(error) => {
                let error = self.unless_name_taken(warehouse, identifier, TabularKind::Table, error).await;
                return Err(CommitSource::Commit.explain(error));
            }
        };
        let namespace_id = namespace.namespace_id;
        Ok(PreparedCommit::Create { tabular_id: TabularId(id::ordered()), namespace_id, next })
    }

    /// Validates a request to create a table and computes its metadata.
    pub(in crate::catalog) async fn new_metadata(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        new: NewTable,
        action: Action,
    ) -> Result<(NamespaceRow, TableMetadata), CatalogError> {
        warehouse.require_writable()?;
        let namespace = self.require_namespace(request, warehouse, &identifier.namespace, action).await?;
        if let Some(found) = self.find_object(warehouse, identifier).await? {
            return Err(name_taken(TabularKind::Table, found.kind, identifier));
        }
        let location = match new.location {
            Some(location) => location,
            None => base_location(warehouse, &namespace, identifier)?,
        };
        let (uuid, now_ms) = (id::random(), self.clock.now_ms());
        let metadata = self.turns.run(new.size_bytes, move || {
            let request = CreateTable {
                schema: &new.schema,
                partition_spec: new.partition_spec.as_deref(),
                write_order: new.write_order.as_deref(),
                location,
                properties: new.properties,
            };
            create(&request, uuid, now_ms)
        });
        Ok((namespace, metadata.await?))
    }

    /// Prepares the first metadata file of a new table.
    pub(in crate::catalog) async fn next(
        &self,
        warehouse: &Warehouse,
        identifier: &Identifier,
        metadata: TableMetadata,
        size_bytes: usize,
        updates: Option<&[TableUpdate]>,
    ) -> Result<NewMetadata, CatalogError> {
        check_planning_mode(&metadata)?;
        let folders = Folders::by_table(warehouse, &metadata)?;
        self.check_free(warehouse, None, &folders).await?;
        if let Some(updates) = updates {
            self.check_new_snapshots(warehouse, None, &folders, updates).await?;
        }
        let location = file_name::first_location(metadata.location(), metadata.properties(), id::random());
        let metadata = Arc::new(metadata);
        let made = metadata.clone();
        let document = self
            .turns
            .run(size_bytes, move || Document::new_unwritten(&location, &made.to_bytes(), made.clone()))
            .await;
        // Not limited in size, unlike in `former::kept`, because it is recorded once per table.
        let superseded = Some(Superseded::by_creation(&metadata, self.clock.now_ms()).to_json());
        Ok(NewMetadata {
            identifier: identifier.clone(),
            document,
            metadata,
            superseded,
            folders,
            claims: true,
        })
    }

    /// Checks that no manifest list of a new snapshot is in a folder of another table: purging that table
    /// would break this one.
    async fn check_new_snapshots(
        &self,
        warehouse: &Warehouse,
        owner: Option<TabularId>,
        folders: &Folders,
        updates: &[TableUpdate],
    ) -> Result<(), CatalogError> {
        for update in updates {
            if let TableUpdate::AddSnapshot { snapshot } = update {
                let location =
                    snapshot.manifest_list().map_err(|error| CatalogError::Invalid(error.to_string()))?;
                if let Some(location) = location {
                    self.check_file(warehouse, owner, folders, "manifest list", &location).await?;
                }
            }
        }
        Ok(())
    }
}

/// Checks the scan planning mode, because an invalid value would have no effect without an error.
fn check_planning_mode(metadata: &TableMetadata) -> Result<(), CatalogError> {
    match metadata.property(MODE) {
        Some(word) if ScanPlanningMode::parse(word).is_none() => Err(CatalogError::Invalid(format!(
            "table property `{MODE}` is `{word}`; set it to `client` or `server`, or remove it"
        ))),
        _ => Ok(()),
    }
}

/// Returns the folders that a table owns after a change, and `true` if they include more than before.
fn folders_after(
    warehouse: &Warehouse,
    base: &TableMetadata,
    next: &TableMetadata,
) -> Result<(Folders, bool), CatalogError> {
    let is_same = base.location() == next.location() && base.path_properties().eq(next.path_properties());
    let folders = Folders::by_table(warehouse, next)?;
    // Folders that the table owned before were claimed then and remain claimed.
    let claims = !is_same && !Folders::by_table(warehouse, base).is_ok_and(|before| before.covers(&folders));
    Ok((folders, claims))
}

/// Returns the default base location of a new table or view: below the `location` of the namespace or, if it
/// has none, below that of the warehouse.
pub(in crate::catalog) fn base_location(
    warehouse: &Warehouse,
    namespace: &NamespaceRow,
    identifier: &Identifier,
) -> Result<String, CatalogError> {
    let properties = namespaces::decode(&identifier.namespace, &namespace.properties)?;
    match properties.get("location") {
        Some(base) => {
            locations::inside(warehouse, "namespace property `location`", base)?;
            Ok(locations::own_folder(base, &identifier.name, id::random()))
        }
        None => Ok(locations::default_location(&warehouse.location.to_string(), identifier, id::random())),
    }
}
