//! Context of a job: its table, and what it may use.

use std::fmt;
use std::sync::Arc;

use openapi::maintenance::UnreadableFile;
use serde_json::Value as Json;
use table_core::rewrite::policy::MaintenancePolicy;
use uuid::Uuid;

use crate::budget::Budget;
use crate::catalog::Catalog;
use crate::files::Files;
use crate::host::Host;

/// Sources of time and identifiers.
#[derive(Clone)]
pub struct Outside {
    /// Function that returns the current time in milliseconds since 1970.
    pub now_ms: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Function that returns a new random UUID.
    pub uuid: Arc<dyn Fn() -> Uuid + Send + Sync>,
}

/// Input of a job.
pub struct Work<'a> {
    /// Table to maintain.
    pub catalog: &'a Catalog,
    /// Effective maintenance policy of the table.
    pub policy: &'a MaintenancePolicy,
    /// Access to the files of the table.
    pub files: &'a Files,
    /// Limits on the resources of the job.
    pub budget: &'a Budget,
    /// Sources of time and identifiers.
    pub outside: &'a Outside,
    /// Requester of the job.
    pub host: &'a dyn Host,
    /// Note that an earlier attempt, or an unfinished earlier job of the same action, has stored.
    pub note: Option<Json>,
    /// Files of the table that could not be read before.
    pub unreadable: Vec<UnreadableFile>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Outside").finish_non_exhaustive()
    }
}
