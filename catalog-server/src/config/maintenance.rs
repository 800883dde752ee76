//! Settings of maintenance: scheduling of jobs, leases, and the workers embedded in this server.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::ConfigError;

/// Terms of job leases, and resources of the embedded workers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Maintenance {
    /// Duration of a job lease without a heartbeat, in milliseconds.
    pub lease_ms: u32,
    /// Number of attempts that may end with the death of the worker before the job is marked as failed.
    pub attempts_max: u32,
    /// Retention of jobs that have ended, in days.
    pub history_days: u32,
    /// Delay between a change of a table and its evaluation, in milliseconds. Further changes within the
    /// delay cause no further evaluation.
    pub debounce_ms: u32,
    /// Number of jobs that this server runs at the same time; 0 if all jobs are left to `firn maintain`
    /// processes.
    pub workers: u32,
    /// Memory for the rows of each of these jobs, in bytes.
    pub memory_bytes: u64,
    /// Disk space for rows of such a job that do not fit into memory, in bytes.
    pub spill_bytes: u64,
    /// Folder for these rows; the system's folder for temporary files if absent.
    pub spill_dir: Option<PathBuf>,
    /// Maximum number of files, or parts of files, that the workers read and write per second; 0 for no
    /// limit.
    pub requests_per_second: u32,
    /// Niceness of the threads that run jobs, 0 to 19: higher yields more to other work.
    pub nice: u32,
    /// Time after an evaluation of a table until it is evaluated again even without a change, in minutes.
    pub sweep_minutes: u32,
}

/// Minimum of `memory-bytes`: less does not suffice for one batch of rows and its keys.
const MEMORY_BYTES_MIN: u64 = 16 << 20;
/// Maximum niceness of the operating system.
const NICE_MAX: u32 = 19;
/// Maximum of `workers`: each of them is a thread.
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
            // The last jobs of a table determine when it is due again, so they must be retained.
            ("maintenance.history-days", self.history_days == 0),
            ("maintenance.sweep-minutes", self.sweep_minutes == 0),
        ];
        if let Some((name, _)) = zeros.iter().find(|(_, is_zero)| *is_zero) {
            return Err(ConfigError::Refused(format!("`{name}` must be at least 1")));
        }
        if self.memory_bytes < MEMORY_BYTES_MIN {
            let message = format!("`maintenance.memory-bytes` must be at least {MEMORY_BYTES_MIN}");
            return Err(ConfigError::Refused(message));
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
