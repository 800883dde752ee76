//! Bounds on what a request may cost, what caches may hold and how long records stay.

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// What a single request may cost.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Limits {
    /// Largest request body, in bytes.
    pub body_bytes: usize,
    /// Memory for request bodies above 64 KiB that are being read or worked on, in bytes. Where there is none left, such
    /// requests are told to try again.
    pub bodies_bytes: usize,
    /// Longest time a request may take, in milliseconds.
    pub request_ms: u64,
    /// Longest time until a connection has sent its request's headers, in milliseconds.
    pub header_ms: u64,
    /// Longest time that a connection is kept open without a request, in milliseconds.
    pub idle_ms: u64,
    /// Longest time that a client may take nothing of its answer, in milliseconds.
    pub stall_ms: u64,
    /// Connections that may be open; fewer if the process may not open as many files.
    pub connections: u32,
    /// Longest time that requests in flight are waited for on shutdown, in milliseconds.
    pub drain_ms: u64,
    /// Largest page that a client may ask for, in entries.
    pub page_entries: u32,
    /// Largest metadata file that is read, in bytes, after decompression.
    pub metadata_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A commit of 10,000 columns is about 1 MB; clients that send more than this are in error.
            body_bytes: 32 << 20,
            // Eight of the largest at once; what they become in memory is several times as much.
            bodies_bytes: 256 << 20,
            request_ms: 60_000,
            header_ms: 10_000,
            // Longer than clients keep connections for later: whoever closes one first should be the client.
            idle_ms: 120_000,
            stall_ms: 30_000,
            // Each takes about 30 KB while it is idle, and a descriptor.
            connections: 4_096,
            drain_ms: 30_000,
            page_entries: 10_000,
            // 100,000 snapshots are about 75 MB.
            metadata_bytes: 256 << 20,
        }
    }
}

impl Limits {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let zeros = [
            ("limits.body-bytes", self.body_bytes == 0),
            ("limits.bodies-bytes", self.bodies_bytes == 0),
            ("limits.request-ms", self.request_ms == 0),
            ("limits.header-ms", self.header_ms == 0),
            ("limits.idle-ms", self.idle_ms == 0),
            ("limits.stall-ms", self.stall_ms == 0),
            ("limits.connections", self.connections == 0),
            ("limits.page-entries", self.page_entries == 0),
            ("limits.metadata-bytes", self.metadata_bytes == 0),
        ];
        match zeros.iter().find(|(_, is_zero)| *is_zero) {
            Some((name, _)) => Err(ConfigError::Refused(format!("`{name}` must be at least 1"))),
            None => Ok(()),
        }
    }
}

/// How much memory caches may take.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Cache {
    /// Memory for metadata documents, in bytes.
    pub metadata_bytes: u64,
    /// Memory for decoded manifests, in bytes.
    pub manifest_bytes: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Self { metadata_bytes: 256 << 20, manifest_bytes: 128 << 20 }
    }
}

/// How long records are kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Retention {
    /// How long an `Idempotency-Key` is remembered, in minutes.
    pub idempotency_minutes: u32,
    /// How long published events stay in the outbox, in days.
    pub outbox_days: u32,
    /// Metrics reports kept for each table.
    pub reports_per_table: u32,
    /// How far back the catalog can be read as it was, whatever maintenance does, in minutes.
    pub time_travel_minutes: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            idempotency_minutes: 24 * 60,
            outbox_days: 7,
            reports_per_table: 100,
            time_travel_minutes: 5 * 24 * 60,
        }
    }
}
