//! From when a snapshot's age counts: since it was made, as in Java, or since it stopped being the head of a branch or tag.
//! How long it may stay is decided by [`super::expire`].

use std::collections::HashMap;

use crate::metadata::schema::Schema;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::table::TableMetadata;

/// Where the age of snapshots and schemas is taken from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AgeSource {
    /// The timestamp that the writer gave a snapshot, as in Java's `RemoveSnapshots`. A schema has no age.
    #[default]
    Creation,
    /// What the document tells: a snapshot counts from when its youngest child was made, or from when the snapshot log says that
    /// `main` moved away from it. Of a schema it tells nothing, so that none is old.
    Document,
    /// What the catalog has recorded of the table's documents.
    Catalog(LastUse),
}

/// When snapshots and schemas went out of use, as the catalog saw it; in milliseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastUse {
    /// When each snapshot last stopped being the head of a branch or tag, or was added without being one.
    pub snapshots: HashMap<i64, i64>,
    /// When each schema last stopped being the current one, or was added without being it.
    pub schemas: HashMap<i32, i64>,
    /// Snapshots and schemas that are not named here went out of use at this time or before.
    pub others_ms: i64,
}

/// When the snapshots and schemas of a document went out of use.
pub(super) struct Ages<'a> {
    source: &'a AgeSource,
    /// For [`AgeSource::Document`].
    left_ms: HashMap<i64, i64>,
}

impl<'a> Ages<'a> {
    pub(super) fn new(metadata: &TableMetadata, source: &'a AgeSource) -> Ages<'a> {
        let left_ms = match source {
            AgeSource::Document => left_by_document(metadata),
            AgeSource::Creation | AgeSource::Catalog(_) => HashMap::new(),
        };
        Ages { source, left_ms }
    }

    pub(super) fn source(&self) -> &AgeSource {
        self.source
    }

    /// The time from which a snapshot's age counts.
    pub(super) fn of_snapshot(&self, snapshot: &Snapshot) -> i64 {
        let made_ms = snapshot.timestamp_ms();
        match self.source {
            AgeSource::Creation => made_ms,
            AgeSource::Document => {
                self.left_ms.get(&snapshot.id()).map_or(made_ms, |left| made_ms.max(*left))
            }
            AgeSource::Catalog(last_use) => {
                last_use.snapshots.get(&snapshot.id()).copied().unwrap_or(last_use.others_ms)
            }
        }
    }

    /// The time from which a schema's age counts.
    pub(super) fn of_schema(&self, schema: &Schema) -> i64 {
        match self.source {
            AgeSource::Creation => i64::MIN,
            AgeSource::Document => i64::MAX,
            AgeSource::Catalog(last_use) => {
                last_use.schemas.get(&schema.id()).copied().unwrap_or(last_use.others_ms)
            }
        }
    }
}

fn left_by_document(metadata: &TableMetadata) -> HashMap<i64, i64> {
    let mut left_ms: HashMap<i64, i64> = HashMap::new();
    let mut leave = |id: i64, at_ms: i64| {
        let last_ms = left_ms.entry(id).or_insert(at_ms);
        *last_ms = at_ms.max(*last_ms);
    };
    for snapshot in metadata.snapshots() {
        if let Some(parent) = snapshot.parent_id() {
            leave(parent, snapshot.timestamp_ms());
        }
    }
    for pair in metadata.snapshot_log().windows(2) {
        if pair[0].snapshot_id != pair[1].snapshot_id {
            leave(pair[0].snapshot_id, pair[1].timestamp_ms);
        }
    }
    left_ms
}
