//! How maintenance jobs come about and are handed out.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Terms for workers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Maintenance {
    /// How long a job is a worker's without a sign of life, in milliseconds.
    pub lease_ms: u32,
    /// How many workers may die over a job before it is given up.
    pub attempts_max: u32,
    /// How long jobs that have ended are remembered, in days.
    pub history_days: u32,
    /// How long after a table was changed it is looked at, in milliseconds.
    pub debounce_ms: u32,
    /// How many jobs this server does at once; none if others do them, which `firn maintain` starts.
    pub workers: u32,
    /// Memory for rows that each of them may take, in bytes.
    pub memory_bytes: u64,
    /// Room on disk for rows that do not fit into that, in bytes.
    pub spill_bytes: u64,
    /// Where that is; the system's folder for temporary files if absent.
    pub spill_dir: Option<PathBuf>,
    /// At most so many files, or parts of files, are read and written in a second; as many as there are if 0.
    pub requests_per_second: u32,
    /// How much everything else comes first: 0 to 19.
    pub nice: u32,
    /// How long after a table was looked at it is looked at again even if nobody changes it, in minutes.
    pub sweep_minutes: u32,
}

/// Less than this is not enough for one batch of rows and its keys.
const MEMORY_BYTES_MIN: u64 = 16 << 20;
/// The system knows no more.
const NICE_MAX: u32 = 19;
/// Each is a thread.
const WORKERS_MAX: u32 = 1_000;

impl Default for Maintenance {
    fn default() -> Self {
        Self {
            lease_ms: 60_000,
            attempts_max: 5,
            history_days: 90,
            debounce_ms: 60_000,
            workers: 1,
            memory_bytes: 1 << 30,
            spill_bytes: 100 << 30,
            spill_dir: None,
            requests_per_second: 0,
            nice: 10,
            sweep_minutes: 1_440,
        }
    }
}

impl Maintenance {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let zeros = [
            ("maintenance.lease-ms", self.lease_ms == 0),
            ("maintenance.attempts-max", self.attempts_max == 0),
            // The last jobs of a table tell when it is due again.
            ("maintenance.history-days", self.history_days == 0),
            ("maintenance.sweep-minutes", self.sweep_minutes == 0),
        ];
        if let Some((name, _)) = zeros.iter().find(|(_, is_zero)| *is_zero) {
            return Err(ConfigError::Refused(format!("`{name}` must be at least 1")));
        }
        if self.memory_bytes < MEMORY_BYTES_MIN {
            let told = format!("`maintenance.memory-bytes` must be at least {MEMORY_BYTES_MIN}");
            return Err(ConfigError::Refused(told));
        }
        if self.nice > NICE_MAX {
            return Err(ConfigError::Refused(format!("`maintenance.nice` must be at most {NICE_MAX}")));
        }
        if self.workers > WORKERS_MAX {
            return Err(ConfigError::Refused(format!("`maintenance.workers` must be at most {WORKERS_MAX}")));
        }
        Ok(())
    }
}
