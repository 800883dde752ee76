//! How maintenance jobs come about and are handed out.

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
    /// How long after a table was looked at it is looked at again even if nobody changes it, in minutes.
    pub sweep_minutes: u32,
}

impl Default for Maintenance {
    fn default() -> Self {
        Self {
            lease_ms: 60_000,
            attempts_max: 5,
            history_days: 90,
            debounce_ms: 60_000,
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
        match zeros.iter().find(|(_, is_zero)| *is_zero) {
            Some((name, _)) => Err(ConfigError::Refused(format!("`{name}` must be at least 1"))),
            None => Ok(()),
        }
    }
}
