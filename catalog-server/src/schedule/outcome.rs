//! Outcome of a job, as its worker reports it.

use openapi::action::JobAction;

/// Error of a job whose table was dropped.
pub(super) const TABLE_DROPPED: &str = "its table was dropped";

/// Outcome of a job, as reported by its worker.
#[derive(Clone, Debug)]
pub enum Finished {
    /// The job is complete.
    Succeeded {
        /// Result, as JSON.
        result: String,
        /// Actions that are due next.
        next: Vec<Next>,
    },
    /// The job failed: the error, and the result up to then, as JSON.
    Failed(String, Option<String>),
    /// The job may be retried: the error, the delay in milliseconds, and the result up to now, as JSON.
    Retry(String, i64, Option<String>),
    /// The job was cancelled on request: the result up to then, as JSON.
    Cancelled(Option<String>),
}

/// Report of a worker about a job that is running.
#[derive(Clone, Debug, Default)]
pub struct Reported {
    /// Progress, as JSON; `None` if it did not change.
    pub progress: Option<String>,
    /// Result up to now, as JSON; `None` if it did not change.
    pub result: Option<String>,
}

/// Action that an evaluation found to be due.
#[derive(Clone, Debug)]
pub struct Next {
    /// Action that is due.
    pub action: JobAction,
    /// Reason, for people.
    pub reason: String,
    /// Priority: the expected benefit. Jobs with greater values are leased first.
    pub priority: i64,
    /// Minimum delay from now, in milliseconds.
    pub after_ms: i64,
}
