//! Snapshots and schemas that go out of use when table metadata is replaced: snapshots that stop being the
//! head of a branch or tag, and schemas that stop being the current one. A catalog records them with every
//! commit, so that it can later determine from when their age is measured ([`super::age`]) without reading
//! old metadata files.

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use crate::metadata::snapshot::Snapshot;
use crate::metadata::table::TableMetadata;

/// Age, in milliseconds, from which snapshots of a newly created table must have been made elsewhere, for
/// example by a tool that copies tables: one hour, which is longer than clocks differ and commits take.
const CREATION_MS: i64 = 60 * 60 * 1_000;

/// Snapshots and schemas that go out of use with a metadata file. Serialised as JSON, which is `{}` if there
/// are none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Superseded {
    /// Ids of snapshots that a branch or tag of the previous metadata pointed to and none points to now, and
    /// of those that were added without a reference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<i64>,
    /// Ids of the previous current schema, and of schemas that were added without becoming the current one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schemas: Vec<i32>,
    /// Ids of snapshots that were made elsewhere, for the first metadata file of a table.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inherited: Vec<i64>,
}

impl Superseded {
    /// Returns the snapshots and schemas that are in use in `before` or new in `after`, but not in use in
    /// `after`.
    pub fn between(before: &TableMetadata, after: &TableMetadata) -> Superseded {
        let current_heads = heads(after);
        let mut snapshots: BTreeSet<i64> = heads(before);
        snapshots.extend(added(before, after).map(Snapshot::id));
        snapshots.retain(|id| !current_heads.contains(id));
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

    /// Returns the inherited snapshots of a table that is registered, which are all of them.
    pub fn by_registration(metadata: &TableMetadata) -> Superseded {
        let inherited = metadata.snapshots().iter().map(Snapshot::id).collect();
        Superseded { inherited, ..Superseded::default() }
    }

    /// Returns the inherited snapshots of a table that is created at `now_ms` (milliseconds since 1970).
    pub fn by_creation(metadata: &TableMetadata, now_ms: i64) -> Superseded {
        let is_old = |snapshot: &&Snapshot| snapshot.timestamp_ms() < now_ms.saturating_sub(CREATION_MS);
        let inherited = metadata.snapshots().iter().filter(is_old).map(Snapshot::id).collect();
        Superseded { inherited, ..Superseded::default() }
    }

    /// Parses the result of [`Superseded::to_json`].
    ///
    /// # Errors
    ///
    /// Fails if the text is not JSON of this form.
    pub fn parse(json: &str) -> Result<Superseded, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// Serialises to JSON.
    pub fn to_json(&self) -> String {
        // Lists of numbers can always be serialised.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Returns the ids of the snapshots that branches and tags point to.
fn heads(metadata: &TableMetadata) -> BTreeSet<i64> {
    let named = metadata.refs().iter().map(|(_, reference)| reference.snapshot_id);
    named.chain(metadata.current_snapshot_id()).collect()
}

/// Returns the snapshots that `after` has and `before` does not. Commits append snapshots, so most of them do
/// not have to be compared.
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
