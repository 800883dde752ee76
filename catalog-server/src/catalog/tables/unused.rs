//! Deletion of unreferenced metadata files, which remain when a server crashes between writing a file and
//! moving the table's pointer.

use std::collections::{HashMap, HashSet};

use table_core::location::file_key;
use table_core::metadata::{file_name, properties};
use uuid::Uuid;

use crate::authz::action::Action;
use crate::store::catalog::history;
use crate::store::catalog::tabular::TabularKind;
use crate::store::events::audit;
use crate::store::ids::TabularId;

use crate::catalog::names::Identifier;
use crate::catalog::tabulars::error::TabularError;
use crate::catalog::warehouses::warehouse::Warehouse;

use super::Tables;

/// Minimum age of the files. A younger file may belong to a commit in progress on any machine.
const AGE_MIN_MS: i64 = 24 * 60 * 60 * 1_000;
/// Maximum number of files of a folder that are examined.
const LISTED_MAX: usize = 20_000;
/// Maximum number of files deleted in one run. The next snapshot expiry continues.
const DELETED_MAX: usize = 1_000;
/// Number of former metadata files that are read from the history at a time.
const PAGE_FILES: u32 = 5_000;

/// Files that may be unreferenced, by their [`file_key`].
type Candidates = HashMap<String, Candidate>;

struct Candidate {
    location: String,
    modified_ms: i64,
}

impl Tables {
    /// Deletes unreferenced metadata files in a table's own folder that this catalog wrote. A file is
    /// unreferenced if it is neither current, nor in the metadata log, nor in the catalog's history. If the
    /// table has `write.metadata.delete-after-commit.enabled`, files in the history are deleted, too, once
    /// they are too old for time travel. Returns the number of deleted files.
    ///
    /// A file without an entry in the history is retained if the table was not created in this catalog,
    /// because it may belong to another catalog; and if it is older than the table, because it may belong to
    /// a former table at that location, which time travel may still need.
    ///
    /// # Errors
    ///
    /// Fails if the metadata file cannot be read, or if the file system or the database fails
    /// ([`TabularError::Backend`], [`TabularError::Ownership`]).
    pub async fn remove_unused_metadata(
        &self,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<usize, TabularError> {
        let found = self.tabulars.find_unauthorized(warehouse, identifier).await?;
        let Some(found) = found.filter(|found| found.kind == TabularKind::Table) else { return Ok(0) };
        let metadata = self.documents.table(&found.metadata_location).await?.parsed().clone();
        if !properties::allows_deletion(metadata.properties()) {
            return Ok(0);
        }
        let folder = file_name::folder(metadata.location(), metadata.properties());
        let files = self.files.own(&self.locations.claimed_folders(found.tabular_id.0).await?);
        let oldest_ms = self.clock.now_ms() - AGE_MIN_MS;
        let listed = files.list(&folder, LISTED_MAX).await?.into_iter();
        let old = listed.filter(|file| file.modified_ms <= oldest_ms && is_written_here(&file.name));
        let old = old.map(|file| {
            let location = format!("{folder}/{}", file.name);
            (file_key(&location), Candidate { location, modified_ms: file.modified_ms })
        });
        let old: Candidates = old.collect();
        if old.is_empty() {
            return Ok(0);
        }
        // While the queue is locked, no commit of this process is in progress and no registration points the
        // table to a former file.
        let _turns = self.locks.take(vec![found.tabular_id.0]).await;
        let unused = self.unused_of(warehouse, identifier, found.tabular_id, old).await?;
        let mut deleted = 0;
        for Candidate { location, .. } in unused.values().take(DELETED_MAX) {
            files.delete(location).await?;
            tracing::info!(location, "deleted an unreferenced metadata file");
            deleted += 1;
        }
        Ok(deleted)
    }

    /// Returns those of some old files of a table that may be deleted.
    async fn unused_of(
        &self,
        warehouse: &Warehouse,
        identifier: &Identifier,
        table: TabularId,
        mut candidates: Candidates,
    ) -> Result<Candidates, TabularError> {
        let found = self.tabulars.find_unauthorized(warehouse, identifier).await?;
        let Some(found) = found.filter(|found| found.tabular_id == table) else {
            return Ok(Candidates::new());
        };
        let metadata = self.documents.table(&found.metadata_location).await?.parsed().clone();
        candidates.remove(&file_key(&found.metadata_location));
        for entry in metadata.metadata_log() {
            candidates.remove(&file_key(&entry.metadata_file));
        }
        let promised_ms = self.db.now_ms(self.clock.now_ms()).await? - self.time_travel_ms;
        let is_outdated = |until_ms| {
            until_ms < promised_ms
                && properties::switch(metadata.properties(), properties::DELETE_AFTER_COMMIT)
        };
        let outdated = self.sort_by_history(table, &mut candidates, is_outdated).await?;
        let first_action = audit::find_first_action(&self.db, table.0).await?;
        let (is_ours, created_ms) = (
            first_action.as_deref() == Some(Action::CreateTable.as_str()),
            self.db.clock_ms(found.created_ms),
        );
        candidates.retain(|key, file| outdated.contains(key) || (is_ours && file.modified_ms >= created_ms));
        Ok(candidates)
    }

    /// Removes those files from `candidates` that time travel still needs. Returns those that the history
    /// contains, but only until an instant that `is_outdated`.
    async fn sort_by_history(
        &self,
        table: TabularId,
        candidates: &mut Candidates,
        is_outdated: impl Fn(i64) -> bool,
    ) -> Result<HashSet<String>, TabularError> {
        let (mut outdated, mut before) = (HashSet::new(), i64::MAX);
        loop {
            let page = history::list_files(&self.db, table, before, PAGE_FILES).await?;
            let Some((last, ..)) = page.last() else { return Ok(outdated) };
            before = *last;
            // In descending order of time: the last time at which a file was current decides.
            for (_, location, until_ms) in page {
                let file = file_key(&location);
                if !candidates.contains_key(&file) {
                    continue;
                }
                if is_outdated(until_ms) {
                    outdated.insert(file);
                } else {
                    candidates.remove(&file);
                }
            }
        }
    }
}

/// Returns `true` if a file name has the form that this catalog uses: `00012-<uuid>.metadata.json` or
/// `….gz.metadata.json`.
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
