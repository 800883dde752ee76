//! Metadata files that nobody points to: a server that dies between writing one and moving the table's pointer leaves it behind.

use std::collections::HashSet;

use table_core::location::file_key;
use table_core::metadata::file_name;
use uuid::Uuid;

use crate::store::tabulars::TabularKind;
use crate::store::{audit, history};

use super::Catalog;
use super::error::CatalogError;
use super::names::Identifier;
use super::warehouses::Warehouse;

/// A younger file may belong to a commit that is still going on, on whichever machine.
const AGE_MIN_MS: i64 = 24 * 60 * 60 * 1_000;
/// Files of a folder that are looked at.
const LISTED_MAX: usize = 20_000;
/// Files that are deleted at a time; the next expiry goes on.
const DELETED_MAX: usize = 1_000;

impl Catalog {
    /// Deletes metadata files in a table's own folder that this catalog wrote and nothing names: neither the table, nor its
    /// metadata log, nor the catalog's history. Returns how many.
    ///
    /// Only of tables that were created here: what lies beside the metadata of others may be another catalog's.
    pub async fn remove_unused_metadata(
        &self,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<usize, CatalogError> {
        let found = self.require_object(warehouse, identifier, TabularKind::Table).await?;
        if audit::find_first_action(&self.db, found.tabular_id.0).await?.as_deref() != Some("create-table") {
            return Ok(0);
        }
        // No commit of this process is half-way.
        let _turns = self.locks.take(vec![found.tabular_id.0]).await;
        let found = self.require_object(warehouse, identifier, TabularKind::Table).await?;
        let metadata = self.documents.table(&found.metadata_location).await?.parsed().clone();
        if metadata.property("gc.enabled") == Some("false") {
            return Ok(0);
        }
        let mut named: HashSet<String> =
            metadata.metadata_log().iter().map(|entry| file_key(&entry.metadata_file)).collect();
        named.insert(file_key(&found.metadata_location));
        let folder = file_name::folder(metadata.location(), metadata.properties());
        let files = self.own_files(&self.claimed_folders(found.tabular_id.0).await?);
        let oldest_ms = self.clock.now_ms() - AGE_MIN_MS;
        let mut deleted = 0;
        for listed in files.list(&folder, LISTED_MAX).await? {
            let location = format!("{folder}/{}", listed.name);
            if deleted == DELETED_MAX
                || listed.modified_ms > oldest_ms
                || !is_written_here(&listed.name)
                || named.contains(&file_key(&location))
                || history::was_pointer(&self.db, found.tabular_id, &location).await?
            {
                continue;
            }
            files.delete(&location).await?;
            tracing::info!(location, "deleted a metadata file that nothing names");
            deleted += 1;
        }
        Ok(deleted)
    }
}

/// Whether a name is one that this catalog gives: `00012-<uuid>.metadata.json`, or `….gz.metadata.json`.
fn is_written_here(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".metadata.json") else { return false };
    let stem = stem.strip_suffix(".gz").unwrap_or(stem);
    stem.split_once('-').is_some_and(|(version, id)| {
        version.len() >= 5 && version.bytes().all(|byte| byte.is_ascii_digit()) && Uuid::try_parse(id).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_this_catalog_gives_are_its_files() {
        let id = Uuid::from_u128(7);
        for name in [format!("00000-{id}.metadata.json"), format!("123456-{id}.gz.metadata.json")] {
            assert!(is_written_here(&name), "{name}");
        }
        for name in [
            "v1.metadata.json",
            "00001-x.metadata.json",
            "snap-1.avro",
            "expiring-00000.json",
            ".metadata.json",
        ] {
            assert!(!is_written_here(name), "{name}");
        }
        assert!(!is_written_here(&format!("{id}.metadata.json")));
    }
}
