//! Settings of scan planning on the server.

use serde::{Deserialize, Serialize};

use super::error::ConfigError;

/// Limits of scan plans.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Planning {
    /// Maximum number of files of a plan that is returned inline, in one response. Larger plans are split
    /// into plan tasks.
    pub inline_files: u64,
    /// Number of files of a plan task.
    pub task_files: u64,
    /// Time that a request waits for its plan before the client is asked to poll, in milliseconds.
    pub submit_after_ms: u64,
    /// Time that plans and plan tasks can be fetched, in seconds.
    pub expiry_seconds: u32,
    /// Memory for filters above 16 KiB that are being processed, in bytes. When it is exhausted, further
    /// requests with such filters wait; a filter larger than the whole budget is processed alone.
    pub memory_bytes: usize,
    /// Maximum number of manifests that are read concurrently for one request.
    pub parallel_manifests: usize,
}

impl Default for Planning {
    fn default() -> Self {
        Self {
            inline_files: 2_000,
            // About 2 MB of response.
            task_files: 5_000,
            submit_after_ms: 10_000,
            expiry_seconds: 3_600,
            // Four filters with a million numbers each.
            memory_bytes: 256 << 20,
            parallel_manifests: 4,
        }
    }
}

impl Planning {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let zeros = [
            ("planning.task-files", self.task_files == 0),
            ("planning.expiry-seconds", self.expiry_seconds == 0),
            ("planning.memory-bytes", self.memory_bytes == 0),
            ("planning.parallel-manifests", self.parallel_manifests == 0),
        ];
        match zeros.iter().find(|(_, is_zero)| *is_zero) {
            Some((name, _)) => Err(ConfigError::Refused(format!("`{name}` must be at least 1"))),
            None => Ok(()),
        }
    }
}
