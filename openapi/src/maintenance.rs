//! Types of the maintenance API: policies, jobs and explanations; not the protocol of workers. Points in time
//! are in milliseconds since 1970-01-01 UTC.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::action::JobAction;
use crate::text::{self, REASON_BYTES_MAX};

/// Name of a table.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TableName {
    /// Name of the warehouse.
    #[schema(example = "main")]
    pub warehouse: String,
    /// Levels of the namespace, outermost first.
    pub namespace: Vec<String>,
    /// Name of the table in its namespace.
    #[schema(example = "flights")]
    pub table: String,
}

/// Name of a warehouse, of a namespace in it, or of a table.
#[derive(Clone, Debug, Deserialize, IntoParams, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ScopeName {
    /// Name of the warehouse.
    pub warehouse: String,
    /// Levels of the namespace, separated by the character 0x1F. If missing, the scope is the warehouse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the table. If missing, the scope is the namespace. Requires `namespace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
}

/// Table, and length of the history to return.
#[derive(Clone, Debug, Deserialize, IntoParams, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// Name of the warehouse.
    pub warehouse: String,
    /// Levels of the namespace, separated by the character 0x1F.
    pub namespace: String,
    /// Name of the table.
    pub table: String,
    /// Length of the history to return, in milliseconds before now. A value less than `time-travel-ms` of the
    /// response is increased to it.
    pub age_ms: u64,
    /// Value of `next-page-token` of the previous page; missing for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}

/// Snapshots and schemas of a table that went out of use, by the metadata document with which they did,
/// newest first.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TableHistory {
    /// UUID in the metadata of the table. It differs from an earlier one if the name belongs to another table
    /// now.
    #[schema(value_type = String)]
    pub table_uuid: Uuid,
    /// Current time of the catalog, in milliseconds since 1970.
    pub now_ms: i64,
    /// Period before now, in milliseconds, for which the catalog can be read as of a point in time.
    /// Maintenance does not shorten it.
    pub time_travel_ms: i64,
    /// Ids of the snapshots that the table already had when it was registered or created in this catalog.
    pub inherited_snapshot_ids: Vec<i64>,
    /// Former metadata documents with which a snapshot or schema went out of use, newest first. Other
    /// documents are omitted.
    pub documents: Vec<FormerDocument>,
    /// Latest time, in milliseconds since 1970, at which any snapshot or schema went out of use that is not
    /// listed on this page or on one before it. It may be earlier on later pages.
    pub others_ms: i64,
    /// Token for the next page, to be sent as `page-token`; missing on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// Former metadata document of a table, with the snapshots and schemas that went out of use with it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct FormerDocument {
    /// Location of the metadata file.
    pub metadata_location: String,
    /// Time at which the document was replaced by its successor, in milliseconds since 1970.
    pub until_ms: i64,
    /// Ids of the snapshots that were the head of a branch or tag in this document, but of none in its
    /// successor, and of those that the successor added without a branch or tag.
    pub snapshot_ids: Vec<i64>,
    /// Ids of the schemas that were current in this document, but not in its successor, and of those that the
    /// successor added without making them current.
    pub schema_ids: Vec<i32>,
}

/// Maintenance policy that is set on a warehouse, namespace or table, without inherited settings.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PolicyResponse {
    /// Settings of the policy, in groups such as `compact`. Omitted settings are inherited.
    #[schema(value_type = Object)]
    pub policy: Value,
    /// Version of the policy: 1 when it is created, incremented with each change.
    pub version: i64,
    /// Time of the last change, in milliseconds since 1970.
    pub updated_ms: i64,
    /// Caller that made the last change, as in the audit trail.
    pub updated_by: String,
}

/// Effective maintenance policy of a table, with the origin of each setting.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ApplicablePolicy {
    /// All effective settings, in groups such as `compact`.
    #[schema(value_type = Object)]
    pub policy: Value,
    /// List of the same settings, each with the policy that it comes from.
    pub settings: Vec<ApplicableSetting>,
    /// Pause of the maintenance of the table; missing if it is not paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
}

/// Effective setting and its origin.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ApplicableSetting {
    /// Name of the setting, with its group, such as `compact.target-bytes`.
    pub name: String,
    /// Effective value of the setting.
    #[schema(value_type = Object)]
    pub value: Value,
    /// Origin of the value: `table`, `namespace a.b` with the levels of the namespace, `warehouse`, or
    /// `default`.
    pub source: String,
}

/// Pause of the maintenance of a table.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Paused {
    /// Reason stated by the caller that paused it.
    pub reason: String,
    /// Time from which the table is paused, in milliseconds since 1970.
    pub since_ms: i64,
    /// Caller that paused it, as in the audit trail.
    pub paused_by: String,
}

/// Request to pause the maintenance of a table.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PauseRequest {
    /// Table to pause.
    pub table: TableName,
    /// Reason for the pause, shown to users: at most 1,000 bytes.
    #[serde(deserialize_with = "text::bounded::<_, REASON_BYTES_MAX>")]
    #[schema(max_length = 1000)]
    pub reason: String,
}

/// Request to resume the maintenance of a table.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ResumeRequest {
    /// Table to resume.
    pub table: TableName,
}

/// Request to queue a job now.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewJob {
    /// Table to maintain.
    pub table: TableName,
    /// Action to carry out.
    pub action: JobAction,
    /// Settings for this job alone, which take precedence over the policies of the table.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub policy: Option<Value>,
}

/// Maintenance job of a table.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Job {
    /// Id of the job, a UUID. Later jobs have greater ids.
    #[schema(value_type = String, example = "01a1fcb7-95d6-756a-b092-5ff42fe10bb8")]
    pub job_id: Uuid,
    /// Name of the table when the job was created.
    #[schema(example = "main/nyc.flights")]
    pub table: String,
    /// Action of the job: `evaluate`, `compact`, `expire-snapshots`, `rewrite-manifests`, or `purge`, which
    /// the server itself runs after a table was dropped with its files.
    pub action: String,
    /// State of the job: `queued`, `running`, `succeeded`, `failed` or `cancelled`.
    pub state: String,
    /// Settings of the job: the effective maintenance policy of the table when the job was queued, overridden
    /// by the settings of the request. For a purge, the folders that are emptied.
    #[schema(value_type = Object)]
    pub policy: Value,
    /// Reason for the job, for users.
    pub reason: String,
    /// Caller that requested the job, as in the audit trail; `maintenance` if the catalog itself queued it.
    pub requested_by: String,
    /// Number of times that the job was leased by a worker.
    pub attempt: i64,
    /// Name of the worker that has leased the job, or that last did; missing if none has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// `true` if cancellation of the job was requested. The worker learns this from the response to its next
    /// heartbeat.
    pub cancel_requested: bool,
    /// Progress as last reported by the worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub progress: Option<Value>,
    /// Result of the job: an `Evaluation` for `evaluate`, otherwise a report with counts and with the files
    /// and groups that were skipped. A job that is running, or that ended otherwise than successfully, has the
    /// report of what it has committed, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub result: Option<Value>,
    /// Error of the last attempt that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Time at which the job was created, in milliseconds since 1970.
    pub created_ms: i64,
    /// Earliest time at which a worker may lease the job, in milliseconds since 1970.
    pub due_ms: i64,
    /// Time at which a worker leased the job for the first time, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<i64>,
    /// Time at which the job ended, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_ms: Option<i64>,
}

/// Page of a list of jobs, newest first.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct JobPage {
    /// Jobs of the page.
    pub jobs: Vec<Job>,
    /// Token for the next page, to be sent as `page-token`; missing on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// Filter for a list of jobs.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobQuery {
    /// Name of the warehouse of a table, to list only the jobs of that table. Requires `namespace` and
    /// `table`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warehouse: Option<String>,
    /// Levels of the table's namespace, separated by the character 0x1F. Requires `warehouse` and `table`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the table. Requires `warehouse` and `namespace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// State of the jobs to list: `queued`, `running`, `succeeded`, `failed` or `cancelled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Value of `next-page-token` of the previous page; missing for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
    /// Maximum number of jobs on the page, from 1 to 1,000; 100 if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
}

/// Result of an evaluation of a table.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evaluation {
    /// Id of the evaluated snapshot; missing if the table has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<i64>,
    /// Health of the table, from 0 (worst) to 100 (best).
    pub health: u32,
    /// Faults that reduced the health, in descending order of points.
    pub deductions: Vec<Deduction>,
    /// Measurements that the health is computed from: numbers of files, bytes, rows, manifests and snapshots.
    #[schema(value_type = Object)]
    pub facts: Value,
    /// Possible actions, each with the decision whether it is due.
    pub actions: Vec<ActionDecision>,
}

/// Points deducted from the health of a table for a fault.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Deduction {
    /// Name of the fault, such as `small-files`.
    pub fault: String,
    /// Number of points deducted.
    pub points: u32,
    /// Explanation for users, with the measurements.
    #[serde(alias = "why")]
    pub reason: String,
}

/// Decision whether an action is due for a table.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ActionDecision {
    /// Possible action.
    pub action: JobAction,
    /// `true` if the action is due.
    pub due: bool,
    /// Reason for which the action is due or not, for users.
    #[serde(alias = "why")]
    pub reason: String,
}

/// Explanation of the state of a table's maintenance.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// Name of the table.
    pub table: TableName,
    /// Pause of the maintenance of the table; missing if it is not paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// Time of the last successful evaluation, in milliseconds since 1970; missing if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluated_ms: Option<i64>,
    /// Time of the last maintenance that changed the table, in milliseconds since 1970; missing if the table
    /// was evaluated since. If present, `evaluation` is missing, because it is out of date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintained_ms: Option<i64>,
    /// Result of the last evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
    /// State of each action, with the reason and the last job.
    pub actions: Vec<ExplainedAction>,
}

/// State of an action for a table.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ExplainedAction {
    /// Action that the state is about.
    pub action: JobAction,
    /// State of the action: `queued`, `running`, `not-due`, `disabled` (by a policy), `paused`, or `unknown`
    /// (the table was not evaluated yet, or not since its last maintenance).
    pub state: String,
    /// Reason for the state, for users, in one sentence.
    #[serde(alias = "why")]
    pub reason: String,
    /// Queued or running job of the action, otherwise the last one; missing if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
}
