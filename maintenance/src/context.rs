//! Context of a job: its table, its limits, and its sources of time and identifiers. It carries nothing out.

use std::fmt;
use std::sync::Arc;

use openapi::worker::UnreadableFile;
use serde_json::Value as Json;
use table_core::rewrite::policy::MaintenancePolicy;
use uuid::Uuid;

use crate::budget::Budget;
use crate::catalog::Catalog;
use crate::control::JobControl;
use crate::files::JobFiles;

/// Sources of time and identifiers.
#[derive(Clone)]
pub struct Environment {
    /// Function that returns the current time in milliseconds since 1970.
    pub now_ms: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Function that returns a new random UUID.
    pub uuid: Arc<dyn Fn() -> Uuid + Send + Sync>,
}

/// Input of a job.
pub struct JobContext<'a> {
    /// Table to maintain.
    pub catalog: &'a Catalog,
    /// Effective maintenance policy of the table.
    pub policy: &'a MaintenancePolicy,
    /// Access to the files of the table.
    pub files: &'a JobFiles,
    /// Limits on the resources of the job.
    pub budget: &'a Budget,
    /// Sources of time and identifiers.
    pub environment: &'a Environment,
    /// Control of the job by its requester.
    pub control: &'a dyn JobControl,
    /// Checkpoint of an earlier attempt, or of an unfinished earlier job of the same action.
    pub checkpoint: Option<Json>,
    /// Files of the table that could not be read before.
    pub unreadable: Vec<UnreadableFile>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Environment").finish_non_exhaustive()
    }
}
