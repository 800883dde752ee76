//! Documents as today's readers expect them: old ones completed, ones from the future brought back to now.
//!
//! Writers of 2019 wrote one bare schema and one bare partition spec. Java's library writes the newer fields beside
//! them, even in version 1, and other readers know nothing else.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};
use uuid::Uuid;

use super::partition::PartitionSpec;
use super::table::TableMetadata;

/// What Java's library writes in version 1 beside the fields that old writers wrote, with what belongs to it.
const NEWER_FIELDS: [(&str, &[&str]); 13] = [
    ("current-schema-id", &["schemas", "schema"]),
    ("schemas", &["current-schema-id", "schema"]),
    ("default-spec-id", &["partition-specs", "partition-spec"]),
    ("partition-specs", &["default-spec-id", "partition-spec"]),
    ("last-partition-id", &[]),
    ("default-sort-order-id", &["sort-orders"]),
    ("sort-orders", &["default-sort-order-id"]),
    ("properties", &[]),
    ("current-snapshot-id", &["refs"]),
    ("refs", &["current-snapshot-id"]),
    ("snapshots", &[]),
    ("snapshot-log", &[]),
    ("metadata-log", &[]),
];

/// The fields that Java's parser refuses to find `null`, which means the same as absent.
const NEVER_NULL: [&str; 5] = ["properties", "refs", "statistics", "partition-statistics", "encryption-keys"];

impl TableMetadata {
    /// The document as it is to be served and built on, or `None` if it is that already.
    ///
    /// Nothing that it says about the table is another, but for times that are still to come by more than clocks may
    /// differ, which become `now_ms`.
    pub fn completed(&self, now_ms: i64) -> Option<TableMetadata> {
        let is_old = self.format_version == 1 && self.lacks_newer_fields();
        let has_nulls = NEVER_NULL.iter().any(|name| self.layout.is_null(name));
        if !is_old && !has_nulls && !self.is_ahead_of(now_ms) {
            return None;
        }
        let mut completed = self.clone();
        for name in NEVER_NULL.iter().filter(|name| self.layout.is_null(name)) {
            completed.layout.remove(name);
        }
        if is_old {
            completed.add_newer_fields();
        }
        completed.bring_back_to(now_ms);
        Some(completed)
    }

    fn lacks_newer_fields(&self) -> bool {
        self.uuid.is_none()
            || NEWER_FIELDS.iter().any(|(name, _)| self.layout.lacks(name))
            || self.partition_specs.iter().any(|spec| !spec.is_numbered())
    }

    fn add_newer_fields(&mut self) {
        if self.uuid.is_none() {
            self.uuid = Some(uuid_of(self.location()));
            self.layout.renew("table-uuid");
        }
        for (name, others) in NEWER_FIELDS {
            if self.layout.lacks(name) {
                self.layout.renew(name);
                for other in others {
                    self.layout.renew(other);
                }
            }
        }
        if self.partition_specs.iter().any(|spec| !spec.is_numbered()) {
            // A spec that cannot be numbered stays as it was read.
            let numbered = |spec: &PartitionSpec| spec.numbered().unwrap_or_else(|_| spec.clone());
            self.partition_specs = self.partition_specs.iter().map(numbered).collect();
            for name in ["partition-specs", "default-spec-id", "partition-spec"] {
                self.layout.renew(name);
            }
        }
    }
}

/// The identity of a table that was never given one: always the same for the same location.
fn uuid_of(location: &str) -> Uuid {
    let mut hasher = SipHasher13::new();
    hasher.write(location.as_bytes());
    uuid::Builder::from_custom_bytes(hasher.finish128().as_bytes()).into_uuid()
}
