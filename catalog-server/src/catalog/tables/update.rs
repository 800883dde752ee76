//! Preparation of a commit to an existing table: its new metadata, checked against everything that it may
//! collide with, but not yet written.

use std::sync::Arc;

use bytes::Bytes;
use table_core::commit::requirement::check_requirements;
use table_core::commit::update::TableUpdate;
use table_core::metadata::file_name;

use crate::catalog::locations::ownership::Folders;
use crate::catalog::tabulars::error::{TabularError, name_taken};
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::id;
use crate::storage::documents::Document;
use crate::store::catalog::tabular::{Tabular, TabularKind};
use crate::store::ids::TabularId;

use super::change::TableChange;
use super::prepared::{NewMetadata, PreparedCommit, require_uuid};
use super::{Tables, prepare};

impl Tables {
    /// Computes the new metadata of a table from a commit and the current version `found`.
    pub(super) async fn prepare_update(
        &self,
        warehouse: &Warehouse,
        change: &TableChange,
        found: Tabular,
    ) -> Result<PreparedCommit, TabularError> {
        let identifier = &change.identifier;
        if found.kind == TabularKind::View {
            return Err(if change.creates() {
                name_taken(TabularKind::Table, TabularKind::View, identifier)
            } else {
                TabularError::NoSuchTable(identifier.clone())
            });
        }
        let document = self.documents.table(&found.metadata_location).await?;
        let base = document.parsed().clone();
        let mut commit = change.commit.clone();
        let mut list = None;
        if let Err(refusal) = check_requirements(Some(&base), &commit.requirements) {
            let Some(rebased) = self.rebase(warehouse, found.tabular_id, &base, &commit).await else {
                return Err(refusal.into());
            };
            commit = Arc::new(rebased.commit);
            list = Some(Box::new((rebased.list.0, Bytes::from(rebased.list.1))));
        }
        let (base_location, now_ms) = (found.metadata_location.clone(), self.clock.now_ms());
        let (from, applied) = (base.clone(), commit.clone());
        let updated = self.turns.run(document.json().len() + commit.size_bytes, move || {
            prepare::update(&from, &base_location, &applied, now_ms)
        });
        let updated = updated.await?;
        if !updated.changed {
            return Ok(PreparedCommit::Unchanged(document));
        }
        let metadata = Arc::new(updated.metadata);
        prepare::check_planning_mode(Some(&base), &metadata)?;
        let (folders, claims) = prepare::folders_after(warehouse, &base, &metadata)?;
        let owner = Some(found.tabular_id);
        if claims {
            self.locations.check_free(warehouse, owner, &folders).await?;
        }
        self.check_new_snapshots(warehouse, owner, &folders, &commit.updates).await?;
        let location = file_name::next_location(
            &found.metadata_location,
            metadata.location(),
            metadata.properties(),
            id::random(),
        );
        let table_uuid = require_uuid(&location, &metadata)?;
        let (parsed, json) = (metadata.clone(), updated.json);
        let size_bytes = json.len();
        let create = move || Document::new_unwritten(&location, &json, parsed);
        let next = NewMetadata {
            identifier: identifier.clone(),
            document: self.turns.run(size_bytes, create).await,
            metadata,
            table_uuid,
            superseded: updated.superseded,
            folders,
            claims,
        };
        Ok(PreparedCommit::Update { found, next, expired: updated.expired, list })
    }

    /// Checks that no manifest list of a new snapshot is in a folder of another table: purging that table
    /// would break this one.
    pub(super) async fn check_new_snapshots(
        &self,
        warehouse: &Warehouse,
        owner: Option<TabularId>,
        folders: &Folders,
        updates: &[TableUpdate],
    ) -> Result<(), TabularError> {
        for update in updates {
            if let TableUpdate::AddSnapshot { snapshot } = update {
                let location =
                    snapshot.manifest_list().map_err(|error| TabularError::Invalid(error.to_string()))?;
                if let Some(location) = location {
                    self.locations.check_file(warehouse, owner, folders, "manifest list", &location).await?;
                }
            }
        }
        Ok(())
    }
}
