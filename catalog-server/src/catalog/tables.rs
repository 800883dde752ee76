//! Tables: load, drop, purge, register, unregister. Creating and committing are in [`super::commit`].

use serde_json::json;
use table_core::commit::foreign;
use table_core::metadata::properties;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::superseded::Superseded;

use crate::id;
use crate::storage::documents::{self, Served};
use crate::store::ids::TabularId;
use crate::store::locations as store_locations;
use crate::store::tabulars::{self, NewTabular, Place, TabularKind};

use super::conclude::{Answer, Record};
use super::context::Context;
use super::error::CatalogError;
use super::locations::Folders;
use super::names::Identifier;
use super::objects::{change, missing, name_taken};
use super::warehouses::Warehouse;
use super::{Catalog, former, write};

/// What loading a table gives.
#[derive(Clone, Debug)]
pub enum Loaded {
    /// The table's metadata.
    Document(Served),
    /// The client has it already; its entity tag.
    Unchanged(String),
}

/// Which snapshots a client wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snapshots {
    /// All of them.
    All,
    /// Those that branches and tags point to.
    Refs,
}

impl Catalog {
    /// Loads a table, unless the client's entity tag `known` is still right.
    ///
    /// Fails if there is no such table, or its metadata file cannot be read.
    pub async fn load_table(
        &self,
        warehouse: &Warehouse,
        identifier: &Identifier,
        snapshots: Snapshots,
        known: Option<&str>,
    ) -> Result<Loaded, CatalogError> {
        let found = self.require_object(warehouse, identifier, TabularKind::Table).await?;
        if let Some(known) = known {
            let form = match snapshots {
                Snapshots::All => "all",
                Snapshots::Refs => "refs",
            };
            let etag = documents::etag(&found.metadata_location, form);
            if is_known(known, &etag) {
                return Ok(Loaded::Unchanged(etag));
            }
        }
        let document = self.documents.table(&found.metadata_location).await?;
        Ok(Loaded::Document(match snapshots {
            Snapshots::All => document.served().clone(),
            Snapshots::Refs => {
                self.turns.run(document.json().len(), move || document.served_refs_only()).await
            }
        }))
    }

    /// Drops a table and leaves its files.
    pub async fn drop_table(
        &self,
        context: &Context,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<Answer, CatalogError> {
        self.take_out(context, warehouse, identifier, TabularKind::Table, "drop-table").await?;
        Ok(Answer::Nothing)
    }

    /// Drops a table or view, and gives up what it owned.
    pub(super) async fn take_out(
        &self,
        context: &Context,
        warehouse: &Warehouse,
        identifier: &Identifier,
        kind: TabularKind,
        action: &'static str,
    ) -> Result<(), CatalogError> {
        warehouse.require_writable()?;
        retrying!(async {
            let found = self.require_object(warehouse, identifier, kind).await?;
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            self.remove(&mut tx, context, warehouse, identifier, &found, action).await?;
            store_locations::release(&mut tx, found.tabular_id.0).await?;
            self.conclude(tx, context, Record::Nothing).await
        })
    }

    /// Takes a table out of the catalog and answers its last metadata; all files stay.
    pub async fn unregister_table(
        &self,
        context: &Context,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<Answer, CatalogError> {
        warehouse.require_writable()?;
        retrying!(async {
            let found = self.require_object(warehouse, identifier, TabularKind::Table).await?;
            let document = self.documents.table(&found.metadata_location).await?;
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            // Only if it is still the version that is answered: a commit after it would be lost.
            if !tabulars::drop(&mut tx, found.tabular_id, Some(&found.metadata_location)).await? {
                return Err(CatalogError::LostRace(identifier.clone()));
            }
            let detail = json!({ "metadata-location": found.metadata_location });
            let change = change("unregister-table", warehouse, identifier, &found, detail);
            self.record(&mut tx, context, change).await?;
            store_locations::release(&mut tx, found.tabular_id.0).await?;
            self.conclude(tx, context, Record::Location(&found.metadata_location)).await?;
            Ok(Answer::Document(document.served().clone()))
        })
    }

    /// Takes an existing metadata file into the catalog as a new table.
    pub async fn register_table(
        &self,
        context: &Context,
        warehouse: &Warehouse,
        identifier: &Identifier,
        metadata_location: &str,
    ) -> Result<Answer, CatalogError> {
        warehouse.require_writable()?;
        let namespace = self.require_namespace(warehouse, &identifier.namespace).await?;
        if let Some(found) = self.find_object(warehouse, identifier).await? {
            return Err(name_taken(TabularKind::Table, found.kind, identifier));
        }
        let foreign = self.read_foreign(warehouse, None, metadata_location).await;
        let (metadata, served) = match foreign {
            Err(error @ CatalogError::Invalid(_)) => {
                return Err(self.unless_name_taken(warehouse, identifier, TabularKind::Table, error).await);
            }
            foreign => foreign?,
        };
        let folders = Folders::by_table(warehouse, &metadata)?;
        if let Err(error) = self.check_files(warehouse, None, &folders, metadata_location, &metadata).await {
            return Err(self.unless_name_taken(warehouse, identifier, TabularKind::Table, error).await);
        }
        let superseded = Superseded::by_registration(&metadata).to_json();
        retrying!(async {
            let place = Place { namespace_id: namespace.namespace_id, name: &identifier.name };
            let pointer = write::pointer(metadata_location, &metadata, Some(&superseded))?;
            let tabular_id = TabularId(id::ordered());
            let new = NewTabular { tabular_id, kind: TabularKind::Table, place, pointer };
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            self.insert(&mut tx, context, warehouse, identifier, &new, &folders, "register-table").await?;
            self.conclude(tx, context, Record::Location(metadata_location)).await
        })?;
        Ok(Answer::Document(served))
    }

    /// Points a table at another metadata file; creates it if it is not there.
    pub async fn overwrite_table(
        &self,
        context: &Context,
        warehouse: &Warehouse,
        identifier: &Identifier,
        metadata_location: &str,
    ) -> Result<Answer, CatalogError> {
        warehouse.require_writable()?;
        let found = match self.find_object(warehouse, identifier).await? {
            Some(found) if found.kind == TabularKind::Table => found,
            Some(found) => return Err(name_taken(TabularKind::Table, found.kind, identifier)),
            None => return self.register_table(context, warehouse, identifier, metadata_location).await,
        };
        let (metadata, served) =
            self.read_foreign(warehouse, Some(found.tabular_id), metadata_location).await?;
        let folders = Folders::by_table(warehouse, &metadata)?;
        self.check_files(warehouse, Some(found.tabular_id), &folders, metadata_location, &metadata).await?;
        let _turns = self.locks.take(vec![found.tabular_id.0]).await;
        retrying!(async {
            let Some(current) = self.find_object(warehouse, identifier).await? else {
                return Err(missing(TabularKind::Table, identifier));
            };
            let superseded = self.superseded_by(&current.metadata_location, &metadata).await;
            let pointer = write::pointer(metadata_location, &metadata, superseded.as_deref())?;
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            if !tabulars::swap_pointer(&mut tx, found.tabular_id, &current.metadata_location, &pointer)
                .await?
            {
                return Err(CatalogError::LostRace(identifier.clone()));
            }
            self.claim(&mut tx, warehouse, found.tabular_id, &folders).await?;
            let detail =
                json!({ "metadata-location": metadata_location, "previous": current.metadata_location });
            let change = change("register-table", warehouse, identifier, &found, detail);
            self.record(&mut tx, context, change).await?;
            self.conclude(tx, context, Record::Location(metadata_location)).await
        })?;
        Ok(Answer::Document(served))
    }

    /// What goes out of use when a table is pointed at other metadata; `None` if the former file cannot be read, which may be
    /// why.
    async fn superseded_by(&self, former: &str, metadata: &TableMetadata) -> Option<String> {
        let former = self.documents.table(former).await.ok()?;
        former::kept(&Superseded::between(former.parsed(), metadata))
    }

    /// Reads a metadata file that somebody else wrote.
    async fn read_foreign(
        &self,
        warehouse: &Warehouse,
        owner: Option<TabularId>,
        metadata_location: &str,
    ) -> Result<(std::sync::Arc<TableMetadata>, Served), CatalogError> {
        // Before it is read: what is wrong with another table's document is nobody's business.
        self.check_file(warehouse, owner, &Folders::default(), "metadata location", metadata_location)
            .await?;
        let document = self.documents.table(metadata_location).await.map_err(CatalogError::foreign)?;
        let metadata = document.parsed().clone();
        let (checked, json) = (metadata.clone(), document.json());
        let check = move || foreign::check_table(&checked, &json);
        self.turns.run(document.json().len(), check).await.map_err(|error| {
            CatalogError::Invalid(format!("the metadata file `{metadata_location}` cannot be used: {error}"))
        })?;
        if metadata.uuid().is_none() {
            return Err(CatalogError::Invalid(format!(
                "the metadata file `{metadata_location}` has no `table-uuid`; rewrite it with a current engine first"
            )));
        }
        Ok((metadata, document.served().clone()))
    }

    /// Checks that the metadata file and every manifest list lie where the table may have files.
    async fn check_files(
        &self,
        warehouse: &Warehouse,
        owner: Option<TabularId>,
        folders: &Folders,
        metadata_location: &str,
        metadata: &TableMetadata,
    ) -> Result<(), CatalogError> {
        self.check_file(warehouse, owner, folders, "metadata location", metadata_location).await?;
        for manifest_list in metadata.manifest_lists() {
            let manifest_list = manifest_list.map_err(|error| CatalogError::Invalid(error.to_string()))?;
            self.check_file(warehouse, owner, folders, "manifest list", &manifest_list).await?;
        }
        Ok(())
    }

    /// Drops a table and queues its files for deletion.
    pub async fn purge_table(
        &self,
        context: &Context,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<Answer, CatalogError> {
        warehouse.require_writable()?;
        let found = self.require_object(warehouse, identifier, TabularKind::Table).await?;
        if !self.may_delete_files(&found.metadata_location).await? {
            return self.drop_table(context, warehouse, identifier).await;
        }
        let prefixes = store_locations::list(&self.db, found.tabular_id.0).await?;
        retrying!(async {
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            self.remove(&mut tx, context, warehouse, identifier, &found, "purge-table").await?;
            self.enqueue_purge(&mut tx, warehouse, identifier, found.tabular_id, prefixes.clone()).await?;
            self.conclude(tx, context, Record::Nothing).await
        })?;
        self.purge_wanted.notify_one();
        Ok(Answer::Nothing)
    }

    /// Whether a table's files are its own alone: `gc.enabled=false` says that they may belong to others.
    async fn may_delete_files(&self, metadata_location: &str) -> Result<bool, CatalogError> {
        let document = match self.documents.table(metadata_location).await.map_err(CatalogError::from) {
            // Somebody has begun to delete the table by hand; its folders are its own all the same.
            Err(CatalogError::FileMissing(_)) => return Ok(true),
            document => document?,
        };
        Ok(properties::allows_deletion(document.parsed().properties()))
    }
}

/// Whether `If-None-Match` names `etag`: a list of tags, weak ones included, or `*`.
fn is_known(header: &str, etag: &str) -> bool {
    header.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_none_match_knows_lists_and_weak_tags() {
        for header in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(is_known(header, "\"a\""), "{header}");
        }
        for header in ["", "a", "\"b\"", "\"aa\""] {
            assert!(!is_known(header, "\"a\""), "{header}");
        }
    }
}
