//! Limits on the cost of requests, the memory of caches and the retention of records.

use serde::{Deserialize, Serialize};

use super::error::ConfigError;

/// Limits on the cost of a single request or connection, and of all together.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Limits {
    /// Maximum size of a request body, in bytes.
    pub body_bytes: usize,
    /// Memory for request bodies above 64 KiB that are being read or processed, of all requests together, in
    /// bytes. When it is exhausted, further such requests are refused with a request to retry.
    pub bodies_bytes: usize,
    /// Maximum duration of a request, in milliseconds.
    pub request_ms: u64,
    /// Maximum time until a connection has sent the headers of its request, in milliseconds.
    pub header_ms: u64,
    /// Maximum time that a connection may be idle between two requests, in milliseconds.
    pub idle_ms: u64,
    /// Maximum time that a client may read nothing of its response, in milliseconds.
    pub stall_ms: u64,
    /// Maximum number of open connections. The actual limit is lower if the process may not open as many file
    /// descriptors.
    pub connections: u32,
    /// Maximum time that a shutdown waits for requests in flight, in milliseconds.
    pub drain_ms: u64,
    /// Maximum size of a page that a client may request, in entries.
    pub page_entries: u32,
    /// Maximum size of a metadata file that is read, in bytes, after decompression.
    pub metadata_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A commit with 10,000 columns is about 1 MB; a larger body is most likely an error of the
            // client.
            body_bytes: 32 << 20,
            // Eight bodies of the largest size at the same time. Parsed, they take several times as much.
            bodies_bytes: 256 << 20,
            request_ms: 60_000,
            header_ms: 10_000,
            // Longer than HTTP clients usually pool idle connections, because the client should be the side
            // that closes.
            idle_ms: 120_000,
            stall_ms: 30_000,
            // An idle connection takes about 30 KB and one file descriptor.
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

/// Memory limits of the caches.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Cache {
    /// Memory for cached metadata documents, in bytes.
    pub metadata_bytes: u64,
    /// Memory for cached decoded manifests, in bytes.
    pub manifest_bytes: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Self { metadata_bytes: 256 << 20, manifest_bytes: 128 << 20 }
    }
}

/// Retention of records in the database.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Retention {
    /// Retention of idempotency keys (`Idempotency-Key`), in minutes.
    pub idempotency_minutes: u32,
    /// Retention of events in the outbox, in days.
    pub outbox_days: u32,
    /// Maximum number of metrics reports retained per table.
    pub reports_per_table: u32,
    /// Horizon of as-of reads of the catalog, in minutes: maintenance deletes nothing that the catalog of
    /// this time refers to.
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
