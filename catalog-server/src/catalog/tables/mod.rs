//! Use cases on tables: lookup and loading. Changes are in a file each.

pub mod change;
mod commit;
pub mod create;
mod drop;
mod former;
mod prepare;
pub mod prepared;
mod rebase;
mod register;
mod unregister;
mod unused;
mod update;

use std::sync::Arc;

use bytes::Bytes;
use table_core::metadata::table::TableMetadata;
use uuid::Uuid;

use crate::authz::action::Action;
use crate::clock::Clock;
use crate::request::Request;
use crate::storage::documents::{Document, Documents};
use crate::store::catalog::tabular::TabularKind;
use crate::store::engine::db::Db;
use crate::store::ids::TabularId;
use crate::work::CpuSlots;

use super::locations::LocationClaims;
use super::locks::Locks;
use super::manifests::TableManifests;
use super::mutations::MutationResponse;
use super::names::{Identifier, Namespace};
use super::namespaces::Namespaces;
use super::purge::Purges;
use super::tabulars::Tabulars;
use super::tabulars::error::TabularError;
use super::tabulars::files::MetadataFiles;
use super::tabulars::pages::{ListedNames, NamePage};
use super::warehouses::warehouse::Warehouse;

/// Tables of all warehouses.
pub struct Tables {
    pub(super) db: Db,
    pub(super) clock: Clock,
    pub(super) namespaces: Arc<Namespaces>,
    pub(super) tabulars: Arc<Tabulars>,
    pub(super) locations: Arc<LocationClaims>,
    pub(super) purges: Arc<Purges>,
    pub(super) locks: Arc<Locks>,
    pub(super) documents: Arc<Documents>,
    pub(super) manifests: Arc<TableManifests>,
    pub(super) files: MetadataFiles,
    pub(super) turns: CpuSlots,
    /// Time for which the catalog can be read as of an instant, in milliseconds.
    pub(super) time_travel_ms: i64,
}

/// Table at its current version, on which access was checked.
#[derive(Clone, Debug)]
pub struct TableVersion {
    /// Id of the table in the catalog.
    pub tabular_id: TabularId,
    /// UUID in its metadata (`table-uuid`).
    pub table_uuid: Uuid,
    /// Location of its metadata file.
    pub metadata_location: String,
}

/// Loaded table.
pub struct LoadedTable {
    /// Metadata of the table.
    pub document: Arc<Document<TableMetadata>>,
    /// Snapshots included in `json`.
    pub snapshots: Snapshots,
    /// Table metadata as JSON, with these snapshots.
    pub json: Bytes,
}

/// Selection of the snapshots that a client receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snapshots {
    /// All snapshots.
    All,
    /// Snapshots referenced by branches and tags.
    Refs,
}

impl LoadedTable {
    /// Creates a loaded table with all of its snapshots.
    pub fn whole(document: Arc<Document<TableMetadata>>) -> Self {
        let json = document.json();
        Self { document, snapshots: Snapshots::All, json }
    }
}

impl Tables {
    /// Returns the current version of a table on which the caller may do `action`.
    ///
    /// # Errors
    ///
    /// Fails if the table does not exist or the caller may not know of it ([`TabularError::NoSuchTable`]), or
    /// may not do `action` on it ([`TabularError::Forbidden`]), or if the database fails
    /// ([`TabularError::Backend`]).
    pub async fn require(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        action: Action,
    ) -> Result<TableVersion, TabularError> {
        let kind = TabularKind::Table;
        let found = self.tabulars.require(request, warehouse, identifier, kind, action).await?;
        Ok(TableVersion {
            tabular_id: found.tabular_id,
            table_uuid: found.table_uuid,
            metadata_location: found.metadata_location,
        })
    }

    /// Loads a version of a table.
    ///
    /// # Errors
    ///
    /// Fails if the metadata file cannot be read or decoded ([`TabularError::Backend`]).
    pub async fn load(
        &self,
        version: &TableVersion,
        snapshots: Snapshots,
    ) -> Result<LoadedTable, TabularError> {
        let document = self.documents.table(&version.metadata_location).await?;
        let json = match snapshots {
            Snapshots::All => document.json(),
            Snapshots::Refs => {
                let of = document.clone();
                self.turns.run(document.json().len(), move || of.json_refs_only()).await
            }
        };
        Ok(LoadedTable { document, snapshots, json })
    }

    /// Returns the names of up to `limit` tables of a namespace, in order, starting after the name `after`.
    ///
    /// # Errors
    ///
    /// Fails if the namespace does not exist, if the caller may not list its contents, or if the database
    /// fails while it is looked up ([`TabularError::Namespace`]); or if the database fails
    /// ([`TabularError::Backend`]).
    pub async fn list(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        namespace: &Namespace,
        page: NamePage<'_>,
    ) -> Result<Arc<ListedNames>, TabularError> {
        self.tabulars.list(request, warehouse, namespace, TabularKind::Table, page).await
    }

    /// Renames a table, within its namespace or to another namespace. A rename to the same name has no
    /// effect.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not rename the table
    /// ([`TabularError::Forbidden`]); if the table does not exist ([`TabularError::NoSuchTable`]); if the
    /// target namespace does not exist or the caller may not create a table in it
    /// ([`TabularError::Namespace`]); if the new name is in use ([`TabularError::NameTaken`]); if a response
    /// was recorded under its idempotency key meanwhile ([`TabularError::Mutation`]); or if the database
    /// fails ([`TabularError::Backend`]).
    pub async fn rename(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        source: &Identifier,
        destination: &Identifier,
    ) -> Result<MutationResponse, TabularError> {
        self.tabulars.rename(request, warehouse, TabularKind::Table, source, destination).await
    }
}
