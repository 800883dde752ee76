//! Maintenance: policies, jobs, and what workers tell. Instants are milliseconds since 1970.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::text::{self, MESSAGE_BYTES_MAX, PROGRESS_BYTES_MAX, REASON_BYTES_MAX, WORKER_BYTES_MAX};

/// A table.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TableName {
    /// The warehouse.
    #[schema(example = "main")]
    pub warehouse: String,
    /// The levels of the namespace.
    pub namespace: Vec<String>,
    /// The name.
    #[schema(example = "flights")]
    pub table: String,
}

/// A warehouse, a namespace of it, or a table.
#[derive(Clone, Debug, Deserialize, IntoParams, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ScopeName {
    /// The warehouse.
    pub warehouse: String,
    /// The levels of the namespace, separated by the character 0x1F; the warehouse itself if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The table; the namespace itself if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
}

/// A table, and how far back its history is wanted.
#[derive(Clone, Debug, Deserialize, IntoParams, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// The warehouse.
    pub warehouse: String,
    /// The levels of the namespace, separated by the character 0x1F.
    pub namespace: String,
    /// The table.
    pub table: String,
    /// How far back, in milliseconds.
    pub age_ms: u64,
    /// Where the page before ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}

/// What went out of use in a table, newest first.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TableHistory {
    /// The table's UUID in its metadata: the name may be another table's by now.
    #[schema(value_type = String)]
    pub table_uuid: Uuid,
    /// The time in the catalog now.
    pub now_ms: i64,
    /// How far back the catalog can be read as it was, in milliseconds, whatever maintenance does.
    pub time_travel_ms: i64,
    /// The snapshots that the table came with when it was registered or created.
    pub inherited_snapshot_ids: Vec<i64>,
    /// What went out of use, document by document; those where nothing did are left out.
    pub documents: Vec<FormerDocument>,
    /// Whatever is not told of went out of use then, or before. Later pages may set it back.
    pub others_ms: i64,
    /// Where the next page starts; there is none if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// A former metadata document of a table.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct FormerDocument {
    /// Its file.
    pub metadata_location: String,
    /// Until when it was the table's.
    pub until_ms: i64,
    /// Snapshots that a branch or tag named in it and none in its successor, and those that the successor added without naming
    /// them.
    pub snapshot_ids: Vec<i64>,
    /// Schemas that stopped being the current one with it, or that its successor added without making them current.
    pub schema_ids: Vec<i32>,
}

/// The policy of a warehouse, namespace or table itself.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PolicyAnswer {
    /// Its settings.
    #[schema(value_type = Object)]
    pub policy: Value,
    /// Counts its changes.
    pub version: i64,
    /// When it was changed last.
    pub updated_ms: i64,
    /// By whom.
    pub updated_by: String,
}

/// What holds for a table, and why.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ApplicablePolicy {
    /// All settings that hold.
    #[schema(value_type = Object)]
    pub policy: Value,
    /// Each with the policy that makes it.
    pub settings: Vec<ApplicableSetting>,
    /// Set while the table is left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
}

/// A setting, and where it comes from.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ApplicableSetting {
    /// Such as `compact.target-bytes`.
    pub name: String,
    /// Its value.
    #[schema(value_type = Object)]
    pub value: Value,
    /// `table`, `namespace a.b`, `warehouse`, or `default`.
    pub source: String,
}

/// Why a table is left alone.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Paused {
    /// In somebody's words.
    pub reason: String,
    /// Since when.
    pub since_ms: i64,
    /// Who wanted it.
    pub paused_by: String,
}

/// A table that is to be left alone.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PauseRequest {
    /// The table.
    pub table: TableName,
    /// Why, for people: at most 1,000 bytes.
    #[serde(deserialize_with = "text::bounded::<_, REASON_BYTES_MAX>")]
    #[schema(max_length = 1000)]
    pub reason: String,
}

/// A table that is not to be left alone any more.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ResumeRequest {
    /// The table.
    pub table: TableName,
}

/// What a job does.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Looks at the table and finds out what else there is to do.
    Evaluate,
    /// Merges small files and applies deletes.
    Compact,
    /// Forgets old snapshots, and deletes files that only they needed.
    ExpireSnapshots,
    /// Merges small manifests.
    RewriteManifests,
}

impl Action {
    /// All of them.
    pub const ALL: [Action; 4] =
        [Self::Evaluate, Self::Compact, Self::ExpireSnapshots, Self::RewriteManifests];

    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Evaluate => "evaluate",
            Self::Compact => "compact",
            Self::ExpireSnapshots => "expire-snapshots",
            Self::RewriteManifests => "rewrite-manifests",
        }
    }
}

/// Work that somebody wants done now.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewJob {
    /// The table.
    pub table: TableName,
    /// What is to be done.
    pub action: Action,
    /// Settings for this once, over the policy's.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub policy: Option<Value>,
}

/// A job.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Job {
    /// Its id; later jobs have greater ones.
    #[schema(value_type = String, example = "01a1fcb7-95d6-756a-b092-5ff42fe10bb8")]
    pub job_id: Uuid,
    /// What the table was called when the job was made.
    #[schema(example = "main/nyc.flights")]
    pub table: String,
    /// What is to be done.
    pub action: String,
    /// `queued`, `running`, `succeeded`, `failed`, `cancelled`.
    pub state: String,
    /// The settings that held when the job was made.
    #[schema(value_type = Object)]
    pub policy: Value,
    /// Why it was made.
    pub reason: String,
    /// Who wanted it.
    pub requested_by: String,
    /// How many workers have had it.
    pub attempt: i64,
    /// The worker that has it, or had it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Whether somebody wants it to stop.
    pub cancel_wanted: bool,
    /// How far the worker is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub progress: Option<Value>,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub result: Option<Value>,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it was made.
    pub created_ms: i64,
    /// Not before then.
    pub due_ms: i64,
    /// When a worker began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<i64>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_ms: Option<i64>,
}

/// Jobs, newest first.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// To be sent as `page-token` for more; missing on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// Which jobs are wanted.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobQuery {
    /// Only those of a table; then `namespace` and `table` have to be there, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warehouse: Option<String>,
    /// The levels of the table's namespace, separated by the character 0x1F.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Only those in a state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Where the page before ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
    /// How many (100, at most 1,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
}

/// A worker that wants work.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LeaseRequest {
    /// The worker's name, for people; one that no other worker has. 1 to 200 bytes.
    #[serde(deserialize_with = "text::bounded::<_, WORKER_BYTES_MAX>")]
    #[schema(min_length = 1, max_length = 200)]
    pub worker: String,
}

/// Work for a worker, if there is any.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LeaseAnswer {
    /// The job; it is the worker's as long as it tells so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// What its table is called now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<TableName>,
    /// How long it is the worker's without a heartbeat.
    pub lease_ms: i64,
    /// Files that former attempts were about to write, to be deleted where they are no part of the table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<String>,
    /// Files of the table that its last compaction could not read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<UnreadableFile>,
    /// Which files the job may touch; with a job, always there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folders: Option<TableFolders>,
}

/// A file that could not be read. It is left alone until it changes.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct UnreadableFile {
    /// Where it is.
    pub path: String,
    /// What its storage goes by to tell it from a later file of that name; missing if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What is wrong with it.
    pub why: String,
    /// Since when that is known.
    pub since_ms: i64,
}

/// Where the files are that whoever maintains a table may touch.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TableFolders {
    /// The warehouse's folder. No link below it is to be followed.
    pub warehouse: String,
    /// The folders that are the table's own: nothing else may be written or deleted.
    pub own: Vec<String>,
}

/// A file that a worker wants to read although it is not in its table's own folders.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ReadableRequest {
    /// Who asks.
    pub held: Held,
    /// Where the file is.
    pub location: String,
}

/// A file that somebody wants to read who maintains a table, although it is not in the table's own folders.
#[derive(Clone, Debug, Deserialize, IntoParams, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReadableQuery {
    /// The warehouse.
    pub warehouse: String,
    /// The levels of the namespace, separated by the character 0x1F.
    pub namespace: String,
    /// The table.
    pub table: String,
    /// Where the file is.
    pub location: String,
}

/// Whether a file may be read.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ReadableAnswer {
    /// The folder around it of which everything may be read, or the file itself; missing if it may not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

/// What a worker has to show to say anything about a job.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Held {
    /// The worker's name.
    #[serde(deserialize_with = "text::bounded::<_, WORKER_BYTES_MAX>")]
    pub worker: String,
    /// The attempt that it was given.
    pub attempt: i64,
}

/// A sign of life.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Heartbeat {
    /// Who says so.
    pub held: Held,
    /// How far the job is: at most 16 KiB.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "text::json::<_, PROGRESS_BYTES_MAX>"
    )]
    #[schema(value_type = Object)]
    pub progress: Option<Value>,
}

/// What a worker is told in return.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct HeartbeatAnswer {
    /// Whether somebody wants the job to stop.
    pub cancel: bool,
}

/// Files that a worker is about to write, or has dealt with.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Outputs {
    /// Who says so.
    pub held: Held,
    /// About to be written: at most 10,000 at once.
    #[serde(default, deserialize_with = "text::paths")]
    pub add: Vec<String>,
    /// Part of the table by now, or deleted: at most 10,000 at once.
    #[serde(default, deserialize_with = "text::paths")]
    pub forget: Vec<String>,
}

/// The end of a job.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Finish {
    /// Who says so.
    pub held: Held,
    /// How it ended.
    pub outcome: FinishOutcome,
}

/// How a job ended.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FinishOutcome {
    /// It is done.
    Succeeded {
        /// What came of it: an [`Evaluation`] if that was the job, else numbers for people.
        #[schema(value_type = Object)]
        result: Value,
        /// What is to be done next, if the job was to find that out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        next: Vec<NextJob>,
    },
    /// It cannot be done.
    Failed {
        /// Why.
        #[serde(deserialize_with = "text::shortened::<_, MESSAGE_BYTES_MAX>")]
        error: String,
        /// What came of it before it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Object)]
        result: Option<Value>,
    },
    /// It may be done later.
    Retry {
        /// Why not now.
        #[serde(deserialize_with = "text::shortened::<_, MESSAGE_BYTES_MAX>")]
        error: String,
        /// In how many milliseconds.
        #[serde(rename = "after-ms")]
        after_ms: u64,
        /// What came of it so far. Whoever does it next goes on counting from there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Object)]
        result: Option<Value>,
    },
    /// It was to stop.
    Cancelled {
        /// What came of it before it stopped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Object)]
        result: Option<Value>,
    },
}

/// Work that an evaluation found. It is queued unless the same is queued or running already.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NextJob {
    /// What is to be done.
    pub action: Action,
    /// Why, for people.
    #[serde(deserialize_with = "text::shortened::<_, REASON_BYTES_MAX>")]
    pub reason: String,
    /// Jobs with a greater rank are done first: what is gained for what it costs.
    pub rank: i64,
    /// Not before so many milliseconds from now.
    #[serde(default)]
    pub after_ms: u64,
}

/// What was found out about a table.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evaluation {
    /// The snapshot that was looked at; none if the table has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<i64>,
    /// 0 to 100, best last.
    pub health: u32,
    /// What took points from it, most first.
    pub deductions: Vec<Deduction>,
    /// The numbers it was judged by: files, bytes, rows, manifests, snapshots.
    #[schema(value_type = Object)]
    pub facts: Value,
    /// What could be done, and whether it is worth it.
    pub actions: Vec<Judged>,
}

/// Points that a fault takes from a table's health.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Deduction {
    /// Such as `small-files`.
    pub fault: String,
    /// How many points.
    pub points: u32,
    /// The numbers, in a sentence.
    pub why: String,
}

/// Whether something is to be done to a table.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Judged {
    /// What could be done.
    pub action: Action,
    /// Whether it is to be done.
    pub due: bool,
    /// Why, or why not.
    pub why: String,
}

/// Why a table is maintained as it is.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// The table.
    pub table: TableName,
    /// Set while the table is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// When the table was looked at last; none if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluated_ms: Option<i64>,
    /// When the table was maintained last, if it was not looked at since; what was found before is not told then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintained_ms: Option<i64>,
    /// What was found then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
    /// Every action: where it stands, why, and when it was done last.
    pub actions: Vec<ExplainedAction>,
}

/// Where an action stands.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ExplainedAction {
    /// What could be done.
    pub action: Action,
    /// `queued`, `running`, `not-due`, `disabled` by policy, `paused`, or `unknown` before the table was looked at.
    pub state: String,
    /// Why, in a sentence.
    pub why: String,
    /// The job that is queued or running, else the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
}
