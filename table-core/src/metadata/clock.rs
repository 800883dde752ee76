//! The times that a document logs, and documents whose times are still to come.
//!
//! Readers refuse a document whose logs are out of order or end after `last-updated-ms`, and Java's clients work out
//! every commit by their own clock first: where a document says that it was changed tomorrow, none of them can commit.

use super::snapshot::{MetadataLogEntry, SnapshotLogEntry};
use super::table::TableMetadata;

/// How far two clocks may differ: what Java's library allows between the times of a document.
pub const CLOCK_SKEW_MAX_MS: i64 = 60_000;

/// The earliest time that readers can count with: some of them count in microseconds, and Java's library takes the difference of
/// two times for one of 64 bits.
pub const TIME_MIN_MS: i64 = i64::MIN / 1000;

impl TableMetadata {
    /// The latest time at which the document says that something happened to the table.
    pub fn latest_ms(&self) -> i64 {
        let moved = self.snapshot_log.iter().map(|entry| entry.timestamp_ms);
        let written = self.metadata_log.iter().map(|entry| entry.timestamp_ms);
        moved.chain(written).fold(self.last_updated_ms, i64::max)
    }

    /// Whether the document is from the future: whoever made it had a clock that was ahead.
    pub fn is_ahead_of(&self, now_ms: i64) -> bool {
        self.latest_ms().saturating_sub(now_ms) > CLOCK_SKEW_MAX_MS
    }

    /// The document with every time that is still to come set to now, if it is from the future.
    pub(crate) fn brought_back_to(&self, now_ms: i64) -> Option<TableMetadata> {
        let mut brought_back = self.is_ahead_of(now_ms).then(|| self.clone())?;
        brought_back.bring_back_to(now_ms);
        Some(brought_back)
    }

    /// Sets every time that is still to come to now. What happened stays in order.
    pub(super) fn bring_back_to(&mut self, now_ms: i64) {
        if !self.is_ahead_of(now_ms) {
            return;
        }
        if self.last_updated_ms > now_ms {
            self.last_updated_ms = now_ms;
            self.layout.renew("last-updated-ms");
        }
        if self.snapshot_log.iter().any(|entry| entry.timestamp_ms > now_ms) {
            for entry in self.snapshot_log.iter_mut().filter(|entry| entry.timestamp_ms > now_ms) {
                *entry = SnapshotLogEntry::new(now_ms, entry.snapshot_id);
            }
            self.layout.renew("snapshot-log");
        }
        if self.metadata_log.iter().any(|entry| entry.timestamp_ms > now_ms) {
            for entry in self.metadata_log.iter_mut().filter(|entry| entry.timestamp_ms > now_ms) {
                *entry = MetadataLogEntry::new(now_ms, &entry.metadata_file);
            }
            self.layout.renew("metadata-log");
        }
    }
}
