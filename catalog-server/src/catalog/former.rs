//! Former metadata files of tables that want to be rid of them (`write.metadata.delete-after-commit.enabled`): deleted once nothing
//! leads to them any more, neither the table's metadata log nor the promise that the catalog of the last days can be read.

use std::collections::{HashMap, HashSet};

use table_core::location::file_key;
use table_core::metadata::file_name::is_metadata_file;
use table_core::metadata::properties;
use table_core::snapshot::superseded::Superseded;

use crate::store::error::StoreError;
use crate::store::history;
use crate::store::tabulars::Tabular;

use super::Catalog;
use super::draft::Next;
use super::locations::Folders;

const MINUTE_MS: i64 = 60_000;
/// Files that grew too old between two commits and are deleted with the later one; of a table that is committed to again and again
/// it is one each time.
const OUTDATED_MAX: u32 = 1_000;

/// Longest text that the history keeps with one document, in bytes: branches and tags of three thousand snapshots that go with one
/// commit. As many of these texts as a page has documents are read at a time, and all of them are kept for ever.
const SUPERSEDED_BYTES_MAX: usize = 64 << 10;

/// What the history keeps of what goes out of use with a document. If that is very much, nothing: it counts as having gone out of
/// use at that time, together with all that went before.
pub(super) fn kept(superseded: &Superseded) -> Option<String> {
    Some(superseded.to_json()).filter(|text| text.len() <= SUPERSEDED_BYTES_MAX)
}

impl Catalog {
    /// How far back the catalog can be read as it was, in milliseconds.
    pub fn time_travel_ms(&self) -> i64 {
        MINUTE_MS * i64::from(self.retention.time_travel_minutes)
    }

    /// Deletes the metadata files that a table is rid of with its next document: those that left the log and are too old for a reader
    /// of the past, and those that became too old since the last commit and had left the log before. What cannot be found out stays.
    pub(super) async fn delete_former(&self, found: &Tabular, next: &Next, unlogged: Vec<String>) {
        if !properties::switch(next.metadata.properties(), properties::DELETE_AFTER_COMMIT) {
            return;
        }
        let deletable = match self.list_deletable(found, next, unlogged).await {
            Ok(deletable) => deletable,
            Err(error) => {
                tracing::warn!(%error, table.id = %found.tabular_id, "old metadata files stay behind");
                return;
            }
        };
        for location in deletable {
            self.delete_former_file(&next.folders, &location).await;
        }
    }

    async fn list_deletable(
        &self,
        found: &Tabular,
        next: &Next,
        unlogged: Vec<String>,
    ) -> Result<Vec<String>, StoreError> {
        // A table that was registered here brings a log that anybody may have written, in any spelling.
        let logged = next.metadata.metadata_log().iter().map(|entry| file_key(&entry.metadata_file));
        let logged: HashSet<String> = logged.chain([file_key(next.document.location())]).collect();
        let is_left = |location: &String| is_metadata_file(location) && !logged.contains(&file_key(location));
        let unlogged: Vec<String> = unlogged.into_iter().filter(is_left).collect();
        let horizon_ms = self.time_travel_ms();
        if horizon_ms == 0 {
            return Ok(unlogged);
        }
        let promised_ms = self.db.now_ms(self.clock.now_ms()).await? - horizon_ms;
        let mut deletable = Vec::new();
        if !unlogged.is_empty() {
            // What left the log is no older than the log is long.
            let newest = u32::try_from(logged.len() + unlogged.len()).unwrap_or(u32::MAX).saturating_add(1);
            let former = history::list_pointers(&self.db, found.tabular_id, None, newest).await?;
            let until_ms: HashMap<_, _> = former
                .iter()
                .rev()
                .map(|former| (file_key(&former.metadata_location), former.valid_to_ms))
                .collect();
            // What is not found was replaced before the table came here, perhaps by a table of this catalog that was dropped.
            let until = |location: &String| until_ms.get(&file_key(location)).unwrap_or(&found.created_ms);
            deletable = unlogged;
            deletable.retain(|location| *until(location) < promised_ms);
        }
        let outdated = (found.updated_ms - horizon_ms)..promised_ms;
        if !outdated.is_empty() {
            let outdated = history::list_replaced(&self.db, found.tabular_id, outdated, OUTDATED_MAX).await?;
            deletable.extend(outdated.into_iter().filter(is_left));
        }
        Ok(deletable)
    }

    /// A metadata log is written by clients; only what lies in the table's own folders is deleted.
    async fn delete_former_file(&self, folders: &Folders, location: &str) {
        if let Err(error) = self.own_files(folders).delete(location).await {
            tracing::warn!(location, %error, "an old metadata file stays behind");
        }
    }
}
