//! Deletion of the former metadata files of tables with `write.metadata.delete-after-commit.enabled`. A file
//! is deleted once it is neither in the metadata log of the table nor needed for time travel.

use std::collections::{HashMap, HashSet};

use table_core::location::file_key;
use table_core::metadata::file_name::is_metadata_file;
use table_core::metadata::properties;
use table_core::snapshot::superseded::Superseded;

use crate::store::catalog::history;
use crate::store::catalog::tabular::Tabular;
use crate::store::engine::error::StoreError;

use crate::catalog::locations::ownership::Folders;

use super::Tables;
use super::prepared::NewMetadata;

/// Maximum number of files deleted with one commit because they became too old since the previous commit. For
/// a table with frequent commits, it is one file per commit.
const OUTDATED_MAX: u32 = 1_000;

/// Maximum size of the superseded snapshots and schemas stored with one document, in bytes of JSON. It
/// suffices for the branches and tags of three thousand snapshots that are removed by one commit. The texts
/// are read by the page and are stored permanently.
const SUPERSEDED_BYTES_MAX: usize = 64 << 10;

/// Serialises the snapshots and schemas that go out of use with a document for the history. Returns `None` if
/// the text is too long: the time at which the document was replaced then counts for everything that went out
/// of use until then.
pub(super) fn kept(superseded: &Superseded) -> Option<String> {
    Some(superseded.to_json()).filter(|text| text.len() <= SUPERSEDED_BYTES_MAX)
}

impl Tables {
    /// Deletes the metadata files of a table that are no longer needed after a commit: files that were
    /// removed from the metadata log (`unlogged`) and are too old for time travel, and files that had been
    /// removed from the log before and became too old since the previous commit. Files for which this cannot
    /// be determined are retained.
    pub(super) async fn delete_former(&self, found: &Tabular, next: &NewMetadata, unlogged: Vec<String>) {
        if !properties::switch(next.metadata.properties(), properties::DELETE_AFTER_COMMIT) {
            return;
        }
        let deletable = match self.list_deletable(found, next, unlogged).await {
            Ok(deletable) => deletable,
            Err(error) => {
                tracing::warn!(%error, table.id = %found.tabular_id, "cannot delete old metadata files");
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
        next: &NewMetadata,
        unlogged: Vec<String>,
    ) -> Result<Vec<String>, StoreError> {
        // A registered table has a metadata log from an unknown source, with any spelling of locations.
        let logged = next.metadata.metadata_log().iter().map(|entry| file_key(&entry.metadata_file));
        let logged: HashSet<String> = logged.chain([file_key(next.document.location())]).collect();
        let is_left = |location: &String| is_metadata_file(location) && !logged.contains(&file_key(location));
        let unlogged: Vec<String> = unlogged.into_iter().filter(is_left).collect();
        let horizon_ms = self.time_travel_ms;
        if horizon_ms == 0 {
            return Ok(unlogged);
        }
        let promised_ms = self.db.now_ms(self.clock.now_ms()).await? - horizon_ms;
        let mut deletable = Vec::new();
        if !unlogged.is_empty() {
            // Files removed from the log are among the newest pointers: at most as many as the log had
            // entries.
            let newest = u32::try_from(logged.len() + unlogged.len()).unwrap_or(u32::MAX).saturating_add(1);
            let former = history::list_pointers(&self.db, found.tabular_id, None, newest).await?;
            let until_ms: HashMap<_, _> = former
                .iter()
                .rev()
                .map(|former| (file_key(&former.metadata_location), former.valid_to_ms))
                .collect();
            // A file without an entry was replaced before the table was registered here, possibly as a table
            // of this catalog that was dropped later.
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

    /// Deletes a former metadata file if it is in the table's own folders: clients write the metadata log, so
    /// it may name any file.
    async fn delete_former_file(&self, folders: &Folders, location: &str) {
        if let Err(error) = self.files.own(folders).delete(location).await {
            tracing::warn!(location, %error, "cannot delete an old metadata file");
        }
    }
}
