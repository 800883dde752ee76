//! What a catalog recorded of a table's past: when its snapshots and schemas went out of use, and what readers of the past are
//! promised. Only Firn does; of other catalogs the table's own document has to tell.

use std::collections::{HashMap, HashSet};

use openapi::maintenance::{FormerDocument, TableHistory};
use table_core::metadata::snapshot::Snapshot;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::age::LastUse;
use uuid::Uuid;

use crate::client::{Client, ClientError, TableName, decode, encode};
use crate::error::JobError;
use crate::files::Files;

/// See the module.
#[derive(Debug, Clone)]
pub struct History {
    /// The table's UUID.
    pub table_uuid: Uuid,
    /// The time in the catalog.
    pub now_ms: i64,
    /// How far back the catalog can be read as it was, in milliseconds.
    pub time_travel_ms: i64,
    /// The snapshots that the table came with when it was registered or created.
    pub inherited: HashSet<i64>,
    /// When what went out of use.
    pub last_use: LastUse,
    /// For snapshots that the table does not have any more, a metadata file that has them.
    documents: HashMap<i64, String>,
}

impl History {
    /// Asks for the last `age_ms`, or for as much as readers of the past are promised. `metadata` is the table as it is.
    ///
    /// Fails with [`ClientError::Refused`] where the catalog keeps no such record.
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
            decode::<TableHistory>(&page, "the catalog's answer is not a table's history")
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

    /// Adds a document that is older than those before.
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

    /// The snapshots that readers of the past may be led to and that the table is without, as far as anybody still has them. They
    /// are in `before`, the table as it was, or in former metadata files, of which one commonly has them all.
    ///
    /// Fails if a former metadata file is there and cannot be read.
    pub(crate) fn served(
        &self,
        files: &Files,
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
        // A document has the snapshots of older ones, as far as they had not been removed.
        while let Some(newest) = missing.iter().max_by_key(|(_, until_ms)| **until_ms).map(|(id, _)| *id) {
            if let Some(location) = self.documents.get(&newest) {
                match files.read(location) {
                    Ok(document) => {
                        let document =
                            table_core::metadata::file_name::decode(location, &document, DOCUMENT_BYTES_MAX)?;
                        take(&mut missing, &TableMetadata::parse(&document)?, &mut served);
                    }
                    // Nobody can be led there any more.
                    Err(error) if error.is_missing() => {}
                    Err(error) => return Err(error),
                }
            }
            missing.remove(&newest);
        }
        Ok(served)
    }
}

/// How large a metadata document may be.
const DOCUMENT_BYTES_MAX: usize = 1 << 30;

/// Takes the snapshots that are missing and in a document.
fn take(missing: &mut HashMap<i64, i64>, document: &TableMetadata, served: &mut Vec<Snapshot>) {
    for snapshot in document.snapshots() {
        if missing.remove(&snapshot.id()).is_some() {
            served.push(snapshot.clone());
        }
    }
}
