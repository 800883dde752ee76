//! Types of the protocol of workers, which carry out the jobs of maintenance. Points in time are in milliseconds
//! since 1970-01-01 UTC. Jobs and policies are in `maintenance`.
//!
//! A worker leases a job, sends heartbeats while it works, and reports the outcome:
//!
//! ```text
//! POST /governance/v1/maintenance/jobs/lease               LeaseRequest  ->  LeaseResponse
//! POST /governance/v1/maintenance/jobs/{job-id}/outputs    Outputs
//! POST /governance/v1/maintenance/jobs/{job-id}/heartbeat  Heartbeat     ->  HeartbeatResponse
//! POST /governance/v1/maintenance/jobs/{job-id}/finish     Finish
//! ```

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::action::JobAction;
use crate::maintenance::{Job, TableName};
use crate::text::{self, MESSAGE_BYTES_MAX, PROGRESS_BYTES_MAX, REASON_BYTES_MAX, WORKER_BYTES_MAX};

/// Request of a worker to lease the next job.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LeaseRequest {
    /// Name of the worker, shown to users and unique among all workers: 1 to 200 bytes.
    #[serde(deserialize_with = "text::bounded::<_, WORKER_BYTES_MAX>")]
    #[schema(min_length = 1, max_length = 200)]
    pub worker: String,
}

/// Leased job, with everything that the worker needs to carry it out; without a job if none is due.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LeaseResponse {
    /// Job that is leased to the worker. The lease lasts as long as the worker sends heartbeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// Current name of the table. Present if there is a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<TableName>,
    /// Time after the last heartbeat, in milliseconds, at which the lease expires and another worker may
    /// lease the job.
    pub lease_ms: i64,
    /// Paths of output files that earlier attempts announced and did not settle. The worker deletes those
    /// that are not part of the table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<String>,
    /// Files of the table that its last compaction could not read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<UnreadableFile>,
    /// Folders that the job may access. Present if there is a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folders: Option<TableFolders>,
}

/// File of a table that could not be read. Compaction skips the file until it changes, but tries it again
/// after a day.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct UnreadableFile {
    /// Path of the file, as in the table's manifests.
    pub path: String,
    /// Version of the file in its storage, such as its size and modification time, which differs if the file
    /// was replaced; missing if there is no file or its version cannot be determined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Error of reading the file.
    #[serde(alias = "why")]
    pub reason: String,
    /// Time at which the file could not be read, in milliseconds since 1970.
    pub since_ms: i64,
}

/// Folders of a table, which limit the files that maintenance may access.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TableFolders {
    /// Location of the warehouse. Symbolic links below it must not be followed.
    pub warehouse: String,
    /// Locations of the folders that belong to the table. Files must not be written or deleted elsewhere.
    pub own: Vec<String>,
}

/// Request of a worker to read a file outside of the folders of the job's table.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ReadableRequest {
    /// Lease of the job.
    pub lease: LeaseToken,
    /// Location of the file.
    pub location: String,
}

/// Table to be maintained, and a file outside of its folders to be read.
#[derive(Clone, Debug, Deserialize, IntoParams, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReadableQuery {
    /// Name of the warehouse.
    pub warehouse: String,
    /// Levels of the namespace, separated by the character 0x1F.
    pub namespace: String,
    /// Name of the table.
    pub table: String,
    /// Location of the file.
    pub location: String,
}

/// Permission to read a file outside of the folders of a table.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ReadableResponse {
    /// Location of a folder that contains the file and may be read as a whole, or location of the file
    /// itself; missing if the file must not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

/// Lease of a job, which a worker must present in every request about the job. The request is refused if the
/// job has ended or was leased again since.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LeaseToken {
    /// Name of the worker, as in its request for the lease.
    #[serde(deserialize_with = "text::bounded::<_, WORKER_BYTES_MAX>")]
    pub worker: String,
    /// Number of the attempt, from `attempt` of the leased job.
    pub attempt: i64,
}

/// Heartbeat of a worker, which extends its lease and reports progress.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Heartbeat {
    /// Lease of the job.
    pub lease: LeaseToken,
    /// Progress of the job, at most 16 KiB of JSON. If missing, the progress reported before is retained.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "text::json::<_, PROGRESS_BYTES_MAX>"
    )]
    #[schema(value_type = Object)]
    pub progress: Option<Value>,
    /// Report of what the job has done so far, as in the result of the job; a commit whose outcome is not known
    /// yet is its member `pending`. If missing, the result stored before is retained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub result: Option<Value>,
}

/// Response to a heartbeat.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct HeartbeatResponse {
    /// `true` if cancellation of the job was requested; the worker should stop.
    pub cancel: bool,
}

/// Output files of a job: paths that the worker is about to write, and paths that are settled. Files that are
/// announced and not settled are passed to the next attempt, to be deleted.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Outputs {
    /// Lease of the job.
    pub lease: LeaseToken,
    /// Paths of files that are about to be written: at most 10,000 per request.
    #[serde(default, deserialize_with = "text::paths")]
    pub register: Vec<String>,
    /// Paths of files that are settled, because they are part of the table or were deleted: at most 10,000
    /// per request.
    #[serde(default, deserialize_with = "text::paths")]
    pub release: Vec<String>,
}

/// End of a job.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Finish {
    /// Lease of the job.
    pub lease: LeaseToken,
    /// Outcome of the job.
    pub outcome: FinishOutcome,
}

/// Outcome of a job.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FinishOutcome {
    /// The job was carried out.
    Succeeded {
        /// Result of the job: an `Evaluation` for `evaluate`, otherwise a report with counts. A result of
        /// more than 256 KiB of JSON is not stored.
        #[schema(value_type = Object)]
        result: Value,
        /// Follow-up jobs determined by an evaluation, at most 100.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        next: Vec<NextJob>,
    },
    /// The job failed and is not retried.
    Failed {
        /// Error message. It is truncated to 4,096 bytes.
        #[serde(deserialize_with = "text::shortened::<_, MESSAGE_BYTES_MAX>")]
        error: String,
        /// Report of what was done before the failure.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Object)]
        result: Option<Value>,
    },
    /// The job could not be carried out now and is queued again.
    Retry {
        /// Reason for the retry. It is truncated to 4,096 bytes.
        #[serde(deserialize_with = "text::shortened::<_, MESSAGE_BYTES_MAX>")]
        error: String,
        /// Delay before the next attempt, in milliseconds.
        #[serde(rename = "after-ms")]
        after_ms: u64,
        /// Report of what was done so far. The next attempt adds to its counts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Object)]
        result: Option<Value>,
    },
    /// The job was stopped because its cancellation was requested.
    Cancelled {
        /// Report of what was done before the job stopped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Object)]
        result: Option<Value>,
    },
}

/// Follow-up job determined by an evaluation. It is not queued if a job with the same action is queued or
/// running already.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NextJob {
    /// Action to carry out.
    pub action: JobAction,
    /// Reason for the job, for users. It is truncated to 1,000 bytes.
    #[serde(deserialize_with = "text::shortened::<_, REASON_BYTES_MAX>")]
    pub reason: String,
    /// Priority, computed from the benefit of the job relative to its cost. Jobs with a greater priority are
    /// leased first.
    pub priority: i64,
    /// Minimum delay before the job is leased, in milliseconds from now.
    #[serde(default)]
    pub after_ms: u64,
}
