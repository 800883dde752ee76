//! History of a table as recorded by its catalog: the times at which snapshots and schemas went out of use,
//! and the period in which readers may request earlier versions. Only Firn records it; for other catalogs the
//! table's own metadata is the only source.

use std::collections::{HashMap, HashSet};

use openapi::maintenance::{FormerDocument, TableHistory};
use table_core::metadata::snapshot::Snapshot;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::age::LastUse;
use uuid::Uuid;

use crate::client::error::ClientError;
use crate::client::table_name::{TableName, encode};
use crate::client::{Client, decode};
use crate::error::JobError;
use crate::files::JobFiles;

/// History of a table, as recorded by its catalog.
#[derive(Debug, Clone)]
pub struct History {
    /// UUID of the table.
    pub table_uuid: Uuid,
    /// Current time of the catalog, in milliseconds since 1970.
    pub now_ms: i64,
    /// Period before now, in milliseconds, for which the catalog can be read as of a point in time.
    pub time_travel_ms: i64,
    /// Ids of the snapshots that the table already had when it was registered or created in this catalog.
    pub inherited: HashSet<i64>,
    /// Times at which snapshots and schemas went out of use.
    pub last_use: LastUse,
    /// Metadata files that contain snapshots which the table does not contain any more, by snapshot id.
    documents: HashMap<i64, String>,
}

impl History {
    /// Requests the history of the last `age_ms` milliseconds, or of the catalog's time-travel period if that
    /// is longer. `metadata` is the current metadata of the table.
    ///
    /// Fails with [`ClientError::Refused`] if the catalog records no history.
    pub(crate) async fn load(
        client: &Client,
        table: &TableName,
        metadata: &TableMetadata,
        age_ms: u64,
    ) -> Result<History, ClientError> {
        let known: HashSet<i64> = metadata.snapshots().iter().map(Snapshot::id).collect();
        let path = format!("governance/v1/maintenance/history?{}&age-ms={age_ms}", table.query());
        let load = async |path: &str| {
            let page = client.get(path).await?;
            decode::<TableHistory>(&page, "the response of the catalog is not the history of a table")
        };
        let mut page = load(&path).await?;
        let mut history = History {
            table_uuid: page.table_uuid,
            now_ms: page.now_ms,
            time_travel_ms: page.time_travel_ms,
            inherited: page.inherited_snapshot_ids.iter().copied().collect(),
            last_use: LastUse::default(),
            documents: HashMap::new(),
        };
        loop {
            history.last_use.others_ms = page.others_ms;
            for document in page.documents {
                history.add(document, &known);
            }
            let Some(token) = page.next_page_token else { return Ok(history) };
            page = load(&format!("{path}&page-token={}", encode(&token))).await?;
        }
    }

    /// Adds a document that is older than all documents added before.
    fn add(&mut self, document: FormerDocument, known: &HashSet<i64>) {
        for id in document.schema_ids {
            self.last_use.schemas.entry(id).or_insert(document.until_ms);
        }
        for id in document.snapshot_ids {
            self.last_use.snapshots.entry(id).or_insert(document.until_ms);
            if !known.contains(&id) {
                self.documents.entry(id).or_insert_with(|| document.metadata_location.clone());
            }
        }
    }

    /// Returns the snapshots to which readers of earlier versions may still be directed although `after` does
    /// not contain them. They are taken from `before`, the table's metadata before the change, or from former
    /// metadata files, one of which usually contains all of them. A snapshot whose metadata file was deleted
    /// is omitted.
    ///
    /// Fails if a former metadata file exists and cannot be read.
    pub(crate) fn served(
        &self,
        files: &JobFiles,
        before: &TableMetadata,
        after: &TableMetadata,
    ) -> Result<Vec<Snapshot>, JobError> {
        let promised_ms = self.now_ms.saturating_sub(self.time_travel_ms);
        let stays: HashSet<i64> = after.snapshots().iter().map(Snapshot::id).collect();
        let gone = self.last_use.snapshots.iter().filter(|(id, until_ms)| {
            self.time_travel_ms > 0 && **until_ms >= promised_ms && !stays.contains(*id)
        });
        let mut missing: HashMap<i64, i64> = gone.map(|(id, until_ms)| (*id, *until_ms)).collect();
        let mut served = Vec::new();
        take(&mut missing, before, &mut served);
        // A document also contains the snapshots of older documents, unless they had been removed.
        while let Some(newest) = missing.iter().max_by_key(|(_, until_ms)| **until_ms).map(|(id, _)| *id) {
            if let Some(location) = self.documents.get(&newest) {
                match files.read(location) {
                    Ok(document) => {
                        let document =
                            table_core::metadata::file_name::decode(location, &document, DOCUMENT_BYTES_MAX)?;
                        take(&mut missing, &TableMetadata::parse(&document)?, &mut served);
                    }
                    // Without the metadata file, no reader can be directed to the snapshot any more.
                    Err(error) if error.is_missing() => {}
                    Err(error) => return Err(error),
                }
            }
            missing.remove(&newest);
        }
        Ok(served)
    }
}

/// Maximum size of a metadata document, in bytes.
const DOCUMENT_BYTES_MAX: usize = 1 << 30;

/// Moves the snapshots of a document that are in `missing` to `served`.
fn take(missing: &mut HashMap<i64, i64>, document: &TableMetadata, served: &mut Vec<Snapshot>) {
    for snapshot in document.snapshots() {
        if missing.remove(&snapshot.id()).is_some() {
            served.push(snapshot.clone());
        }
    }
}
