//! Normalisation of documents for current readers: old documents get the newer fields, and timestamps in the
//! future are set to now.
//!
//! Writers of 2019 stored one bare schema and one bare partition spec. Java's library writes the newer fields
//! beside them, even in format version 1, and other readers know only the newer ones.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};
use uuid::Uuid;

use super::partition::PartitionSpec;
use super::table::TableMetadata;

/// Fields that Java's library writes in format version 1 beside those of old writers, each with the fields
/// that have to be written with it.
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

/// Fields for which Java's parser refuses `null`, although it means the same as absent.
const NEVER_NULL: [&str; 5] = ["properties", "refs", "statistics", "partition-statistics", "encryption-keys"];

impl TableMetadata {
    /// Returns the document in the form in which it is served and changed, or `None` if it has that form
    /// already.
    ///
    /// The content is the same, except that timestamps later than `now_ms` become `now_ms` if the document
    /// [is ahead](TableMetadata::is_ahead_of) by more than the allowed clock skew.
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

/// Returns the UUID of a table that was never assigned one; it depends only on the location.
fn uuid_of(location: &str) -> Uuid {
    let mut hasher = SipHasher13::new();
    hasher.write(location.as_bytes());
    uuid::Builder::from_custom_bytes(hasher.finish128().as_bytes()).into_uuid()
}
