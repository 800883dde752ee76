//! What a document had in use and its successor has not: snapshots that stop being the head of a branch or tag, and schemas that
//! stop being the current one. A catalog records it with every commit, and so knows later from when their age counts
//! ([`super::age`]) without reading the documents again.

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use crate::metadata::snapshot::Snapshot;
use crate::metadata::table::TableMetadata;

/// Snapshots older than this when their table is created were made elsewhere, as by a tool that copies tables: an hour, which is
/// longer than clocks differ and commits take.
const CREATION_MS: i64 = 60 * 60 * 1_000;

/// What goes out of use with a document. Its text is JSON, `{}` where nothing does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Superseded {
    /// Snapshots that a branch or tag of the former document named and none names now, and those that were added without being
    /// named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<i64>,
    /// The former current schema, and schemas that were added without becoming the current one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schemas: Vec<i32>,
    /// For the first document of a table: snapshots that it came with, made elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inherited: Vec<i64>,
}

impl Superseded {
    /// What goes out of use when `after` follows on `before`.
    pub fn between(before: &TableMetadata, after: &TableMetadata) -> Superseded {
        let staying = heads(after);
        let mut snapshots: BTreeSet<i64> = heads(before);
        snapshots.extend(added(before, after).map(Snapshot::id));
        snapshots.retain(|id| !staying.contains(id));
        let current = after.current_schema_id();
        let known = |id: i32| before.schemas().iter().any(|schema| schema.id() == id);
        let new = after.schemas().iter().map(crate::metadata::schema::Schema::id).filter(|id| !known(*id));
        let mut schemas: BTreeSet<i32> = new.collect();
        schemas.insert(before.current_schema_id());
        schemas.remove(&current);
        Superseded {
            snapshots: snapshots.into_iter().collect(),
            schemas: schemas.into_iter().collect(),
            inherited: Vec::new(),
        }
    }

    /// What a table comes with that is registered.
    pub fn by_registration(metadata: &TableMetadata) -> Superseded {
        let inherited = metadata.snapshots().iter().map(Snapshot::id).collect();
        Superseded { inherited, ..Superseded::default() }
    }

    /// What a table comes with that is created at a time, in milliseconds since 1970.
    pub fn by_creation(metadata: &TableMetadata, now_ms: i64) -> Superseded {
        let is_old = |snapshot: &&Snapshot| snapshot.timestamp_ms() < now_ms.saturating_sub(CREATION_MS);
        let inherited = metadata.snapshots().iter().filter(is_old).map(Snapshot::id).collect();
        Superseded { inherited, ..Superseded::default() }
    }

    /// Reads what [`Superseded::to_json`] wrote.
    ///
    /// Fails if the text is something else.
    pub fn parse(json: &str) -> Result<Superseded, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        // Lists of numbers always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The snapshots that branches and tags name.
fn heads(metadata: &TableMetadata) -> BTreeSet<i64> {
    let named = metadata.refs().iter().map(|(_, reference)| reference.snapshot_id);
    named.chain(metadata.current_snapshot_id()).collect()
}

/// The snapshots of `after` that `before` has not. Commits add them at the end, so that most need not be looked at.
fn added<'a>(before: &TableMetadata, after: &'a TableMetadata) -> impl Iterator<Item = &'a Snapshot> {
    let all = after.snapshots();
    let last = before.snapshots().last().map(Snapshot::id);
    let from =
        last.and_then(|last| all.iter().rposition(|snapshot| snapshot.id() == last)).map_or(0, |at| at + 1);
    let known: HashSet<i64> = match from {
        0 => before.snapshots().iter().map(Snapshot::id).collect(),
        _ => HashSet::new(),
    };
    all[from..].iter().filter(move |snapshot| !known.contains(&snapshot.id()))
}
