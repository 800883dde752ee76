//! Model of the expected content of tables, derived only from what writers committed, never from what the
//! product returns.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value as Json, json};

use super::writer::Pending;

/// Versions of rows, by id.
pub(super) type Rows = BTreeMap<i64, i64>;

/// Properties of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) format_version: i64,
    pub(super) is_partitioned: bool,
    pub(super) is_sorted: bool,
    /// `true` if previous metadata files are deleted after commits
    /// (`write.metadata.delete-after-commit.enabled`).
    pub(super) deletes_metadata: bool,
}

/// All kinds of tables that are simulated.
pub(super) const KINDS: [Kind; 5] = [
    Kind {
        name: "plain_v2",
        format_version: 2,
        is_partitioned: false,
        is_sorted: false,
        deletes_metadata: false,
    },
    Kind {
        name: "plain_v3",
        format_version: 3,
        is_partitioned: false,
        is_sorted: false,
        deletes_metadata: false,
    },
    Kind {
        name: "parted_v2",
        format_version: 2,
        is_partitioned: true,
        is_sorted: false,
        deletes_metadata: true,
    },
    Kind {
        name: "parted_v3",
        format_version: 3,
        is_partitioned: true,
        is_sorted: false,
        deletes_metadata: false,
    },
    Kind {
        name: "sorted_v3",
        format_version: 3,
        is_partitioned: true,
        is_sorted: true,
        deletes_metadata: false,
    },
];

/// Expected state of a table.
pub(super) struct Table {
    pub(super) kind: Kind,
    /// Rows of the current snapshot.
    pub(super) rows: Rows,
    /// Rows of each snapshot, by snapshot id, as far as known.
    pub(super) expected: HashMap<i64, Rows>,
    /// Row id and last updated sequence number of rows, by id and version. They must not change unless a
    /// writer changes the row.
    pub(super) lineage: HashMap<(i64, i64), (i64, i64)>,
    pub(super) next_id: i64,
    /// Change that was computed but not committed yet.
    pub(super) pending: Option<Pending>,
    /// Names of the tags that protect snapshots from expiry.
    pub(super) tags: BTreeSet<String>,
}

/// Effect of a commit on the rows of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Effect {
    /// Ids of rows that are deleted, in any version (equality deletes).
    pub(super) keys: Vec<i64>,
    /// Ids and versions of rows that are deleted; rows with other versions are not affected (position
    /// deletes).
    pub(super) rows: Vec<(i64, i64)>,
    /// Ids and versions of added rows.
    pub(super) added: Vec<(i64, i64)>,
}

impl Table {
    pub(super) fn new(kind: Kind) -> Table {
        Table {
            kind,
            rows: Rows::new(),
            expected: HashMap::new(),
            lineage: HashMap::new(),
            next_id: 0,
            pending: None,
            tags: BTreeSet::new(),
        }
    }

    /// Applies the effect of a commit that created this snapshot.
    pub(super) fn committed(&mut self, snapshot_id: i64, effect: &Effect) {
        for id in &effect.keys {
            self.rows.remove(id);
        }
        for (id, version) in &effect.rows {
            if self.rows.get(id) == Some(version) {
                self.rows.remove(id);
            }
            self.lineage.remove(&(*id, *version));
        }
        self.rows.extend(effect.added.iter().copied());
        self.expected.insert(snapshot_id, self.rows.clone());
    }
}

impl Kind {
    /// Returns the partition value of the row with this id; `None` in unpartitioned tables.
    pub(super) fn partition(&self, id: i64) -> Option<String> {
        self.is_partitioned.then(|| ["a", "b", "c"][usize::try_from(id % 3).unwrap_or(0)].to_owned())
    }

    /// Returns the body of a request that creates such a table.
    pub(super) fn request(&self, target_bytes: Option<u32>) -> Json {
        let by_p = json!([{ "source-id": 3, "field-id": 1000, "name": "p", "transform": "identity" }]);
        let by_version = json!([{
            "source-id": 2, "transform": "identity", "direction": "desc", "null-order": "nulls-last",
        }]);
        let mut properties = json!({ "format-version": self.format_version.to_string() });
        if let Some(bytes) = target_bytes {
            properties["write.target-file-size-bytes"] = json!(bytes.to_string());
        }
        if self.deletes_metadata {
            properties["write.metadata.delete-after-commit.enabled"] = json!("true");
            properties["write.metadata.previous-versions-max"] = json!("4");
        } else {
            // A limit, because each step would take longer than the previous one otherwise.
            properties["write.metadata.previous-versions-max"] = json!("20");
        }
        let mut request = json!({
            "name": self.name, "properties": properties,
            "schema": { "type": "struct", "schema-id": 0, "fields": [
                { "id": 1, "name": "id", "required": true, "type": "long" },
                { "id": 2, "name": "version", "required": true, "type": "long" },
                { "id": 3, "name": "p", "required": false, "type": "string" },
            ] },
        });
        if self.is_partitioned {
            request["partition-spec"] = json!({ "spec-id": 0, "fields": by_p });
        }
        if self.is_sorted {
            request["write-order"] = json!({ "order-id": 1, "fields": by_version });
        }
        request
    }
}
