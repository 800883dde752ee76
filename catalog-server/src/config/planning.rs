//! How scans are planned on the server.

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Where clients are told to plan their scans.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum ScanPlanningMode {
    /// Each client does as it was set up to.
    #[default]
    Unset,
    /// On the client.
    Client,
    /// On the server.
    Server,
}

impl ScanPlanningMode {
    /// The table property that sets it for one table.
    pub const TABLE_PROPERTY: &'static str = "firn.scan-planning-mode";

    /// The word of the protocol; `None` for [`ScanPlanningMode::Unset`].
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Unset => None,
            Self::Client => Some("client"),
            Self::Server => Some("server"),
        }
    }

    /// What a word means; `None` for any other one.
    pub fn parse(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "client" => Some(Self::Client),
            "server" => Some(Self::Server),
            _ => None,
        }
    }
}

/// Bounds on plans.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Planning {
    /// Up to so many files are planned at once; more are handed out as plan tasks.
    pub inline_files: u64,
    /// How many files a plan task covers.
    pub task_files: u64,
    /// How long a request waits for its plan before it is told to ask again, in milliseconds.
    pub submit_after_ms: u64,
    /// How long plans and plan tasks may be fetched, in seconds.
    pub expiry_seconds: u32,
    /// Memory for filters above 16 KiB that are being worked on, in bytes. Further ones wait; one that needs more is worked
    /// on alone.
    pub memory_bytes: usize,
    /// How many manifests are read at once for one request.
    pub parallel_manifests: usize,
}

impl Default for Planning {
    fn default() -> Self {
        Self {
            inline_files: 2_000,
            // About 2 MB of answer.
            task_files: 5_000,
            submit_after_ms: 10_000,
            expiry_seconds: 3_600,
            // Four filters of a million numbers.
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
