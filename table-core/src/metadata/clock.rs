//! Timestamps in metadata documents, and documents with timestamps in the future.
//!
//! Readers refuse a document whose logs are out of order or end after `last-updated-ms`, and Java's clients
//! compute every commit with their own clock first: if a document claims to have been changed tomorrow, none
//! of them can commit.

use super::snapshot::{MetadataLogEntry, SnapshotLogEntry};
use super::table::TableMetadata;

/// Maximum difference between two clocks, in milliseconds: the tolerance of Java's library between the
/// timestamps of a document.
pub const CLOCK_SKEW_MAX_MS: i64 = 60_000;

/// Earliest timestamp that readers can compute with, in milliseconds since 1970. Some readers compute in
/// microseconds, and Java's library represents the difference of two timestamps in 64 bits.
pub const TIME_MIN_MS: i64 = i64::MIN / 1000;

impl TableMetadata {
    /// Returns the latest timestamp of `last-updated-ms`, the snapshot log and the metadata log, in
    /// milliseconds since 1970.
    pub fn latest_ms(&self) -> i64 {
        let moved = self.snapshot_log.iter().map(|entry| entry.timestamp_ms);
        let written = self.metadata_log.iter().map(|entry| entry.timestamp_ms);
        moved.chain(written).fold(self.last_updated_ms, i64::max)
    }

    /// Returns `true` if the latest timestamp is later than `now_ms` by more than [`CLOCK_SKEW_MAX_MS`]: a
    /// writer's clock was ahead.
    pub fn is_ahead_of(&self, now_ms: i64) -> bool {
        self.latest_ms().saturating_sub(now_ms) > CLOCK_SKEW_MAX_MS
    }

    /// Returns the document with all future timestamps set to `now_ms`, or `None` if it [is not
    /// ahead](TableMetadata::is_ahead_of).
    pub(crate) fn brought_back_to(&self, now_ms: i64) -> Option<TableMetadata> {
        let mut brought_back = self.is_ahead_of(now_ms).then(|| self.clone())?;
        brought_back.bring_back_to(now_ms);
        Some(brought_back)
    }

    /// Sets all future timestamps to `now_ms`, which preserves their order. Does nothing if the document is
    /// not ahead.
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
