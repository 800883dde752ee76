//! Age of snapshots and schemas: measured from their creation, as in Java, or from the time at which a
//! snapshot stopped being the head of a branch or tag. The permitted age is decided by [`super::expire`].

use std::collections::HashMap;

use crate::metadata::schema::Schema;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::table::TableMetadata;

/// Source of the age of snapshots and schemas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AgeSource {
    /// Timestamp of the snapshot, as in Java's `RemoveSnapshots`. Schemas are always old enough.
    #[default]
    Creation,
    /// Table metadata: the age of a snapshot is measured from the creation of its youngest child, or from the
    /// time at which `main` moved away from it according to the snapshot log. Table metadata contains no age
    /// of schemas, so that none is old enough.
    Document,
    /// Times recorded by the catalog when it replaced the table's metadata.
    Catalog(LastUse),
}

/// Times at which snapshots and schemas went out of use, as recorded by the catalog, in milliseconds since
/// 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastUse {
    /// Time at which each snapshot last stopped being the head of a branch or tag, or was added without
    /// becoming one.
    pub snapshots: HashMap<i64, i64>,
    /// Time at which each schema last stopped being the current one, or was added without becoming current.
    pub schemas: HashMap<i32, i64>,
    /// Latest time at which all other snapshots and schemas went out of use.
    pub others_ms: i64,
}

/// Times at which the snapshots and schemas of table metadata went out of use.
pub(super) struct Ages<'a> {
    source: &'a AgeSource,
    /// Times by snapshot id, for [`AgeSource::Document`].
    unused_since_ms: HashMap<i64, i64>,
}

impl<'a> Ages<'a> {
    pub(super) fn new(metadata: &TableMetadata, source: &'a AgeSource) -> Ages<'a> {
        let unused_since_ms = match source {
            AgeSource::Document => unused_since_by_document(metadata),
            AgeSource::Creation | AgeSource::Catalog(_) => HashMap::new(),
        };
        Ages { source, unused_since_ms }
    }

    pub(super) fn source(&self) -> &AgeSource {
        self.source
    }

    /// Returns the time from which a snapshot's age is measured.
    pub(super) fn of_snapshot(&self, snapshot: &Snapshot) -> i64 {
        let created_ms = snapshot.timestamp_ms();
        match self.source {
            AgeSource::Creation => created_ms,
            AgeSource::Document => self
                .unused_since_ms
                .get(&snapshot.id())
                .map_or(created_ms, |unused_since| created_ms.max(*unused_since)),
            AgeSource::Catalog(last_use) => {
                last_use.snapshots.get(&snapshot.id()).copied().unwrap_or(last_use.others_ms)
            }
        }
    }

    /// Returns the time from which a schema's age is measured.
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

fn unused_since_by_document(metadata: &TableMetadata) -> HashMap<i64, i64> {
    let mut unused_since_ms: HashMap<i64, i64> = HashMap::new();
    let mut set_unused = |id: i64, at_ms: i64| {
        let last_ms = unused_since_ms.entry(id).or_insert(at_ms);
        *last_ms = at_ms.max(*last_ms);
    };
    for snapshot in metadata.snapshots() {
        if let Some(parent) = snapshot.parent_id() {
            set_unused(parent, snapshot.timestamp_ms());
        }
    }
    for pair in metadata.snapshot_log().windows(2) {
        if pair[0].snapshot_id != pair[1].snapshot_id {
            set_unused(pair[0].snapshot_id, pair[1].timestamp_ms);
        }
    }
    unused_since_ms
}
