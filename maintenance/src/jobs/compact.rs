//! Merging small files and applying deletes: plan, rewrite group by group, commit each group by itself.

use serde_json::{Value as Json, json};
use table_core::metadata::properties;
use table_core::metadata::snapshot::MAIN_BRANCH;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::compact::{Planner, Table};
use table_core::rewrite::plan::{Group, Plan};
use table_core::rewrite::policy::Policy;
use table_core::snapshot::change::{Change, DeleteKey, Kind};
use table_core::snapshot::commit::Context;
use table_core::snapshot::error::SnapshotError;
use table_core::snapshot::plan::Plan as SnapshotPlan;

use super::{ATTEMPTS_MAX, Attempt, Outside, Report, commit, delete_all, snapshot_id};
use crate::client::{Client, TableName};
use crate::error::JobError;
use crate::execute::rewrite::{Rewritten, rewrite};
use crate::table::{self, Shown, show};

/// Properties by which a table says how large its files should be, and where they go.
const TARGET_BYTES: &str = "write.target-file-size-bytes";
const DATA_PATH: &str = "write.data.path";

/// What would be done; `None` if the table has no snapshot.
pub fn plan(metadata: &TableMetadata, policy: &Policy) -> Result<Option<Plan>, JobError> {
    let Some(snapshot) = metadata.current_snapshot() else { return Ok(None) };
    let live = table::live(metadata, snapshot)?;
    let target_bytes = u64::try_from(properties::number(metadata.properties(), TARGET_BYTES, 0)).ok();
    let options = policy.compact_options(target_bytes.filter(|bytes| *bytes > 0))?;
    let facts = Table {
        snapshot_id: snapshot.id(),
        sequence_number: snapshot.sequence_number(),
        bytes: live.files.iter().map(|file| file.size_bytes).sum(),
        output_spec_id: metadata.default_spec_id(),
        hot: std::collections::BTreeMap::new(),
    };
    Ok(Some(Planner::new(&live, &facts, &options)?.plan()))
}

/// Compacts a table. `tell` hears how far it is.
pub async fn run(
    client: &Client,
    name: &TableName,
    policy: &Policy,
    outside: Outside,
    mut tell: impl FnMut(&str),
) -> Result<Report, JobError> {
    let mut report = Report::default();
    let metadata = table::load(client, name).await?;
    let Some(plan) = plan(&metadata, policy)? else { return Ok(report) };
    let (groups, others): (Vec<_>, Vec<_>) = plan.groups.iter().partition(|group| group.partition.is_some());
    if !others.is_empty() {
        let files: usize = others.iter().map(|group| group.inputs.len()).sum();
        report.left.push(format!(
            "{files} files of other partition specs: their rows would have to be sorted into partitions"
        ));
    }
    let mut totals = Totals::default();
    for (number, group) in groups.iter().enumerate() {
        tell(&format!(
            "group {} of {}: {} files, {} bytes",
            number + 1,
            groups.len(),
            group.inputs.len(),
            group.input_bytes
        ));
        let rewritten = rewrite_group(&metadata, &plan, group, outside)?;
        match commit_group(client, name, &plan, group, &rewritten, outside).await {
            Ok(snapshot_id) => {
                totals.add(group, &rewritten);
                report.committed = true;
                report.snapshot_ids.push(snapshot_id);
            }
            Err(error) => {
                if !matches!(error, JobError::OutcomeUnknown(_)) {
                    delete_all(rewritten.files.iter().map(|file| file.path.as_str()));
                }
                // Another writer was at these files; the next run plans anew.
                if let JobError::Snapshot(SnapshotError::Conflict(conflict)) = &error {
                    report.left.push(format!("group {}: {conflict}", number + 1));
                    continue;
                }
                return Err(error);
            }
        }
    }
    report.numbers = totals.numbers();
    Ok(report)
}

/// Rewrites a group. What is left of a failure is deleted: nobody has heard of it.
fn rewrite_group(
    metadata: &TableMetadata,
    plan: &Plan,
    group: &Group,
    outside: Outside,
) -> Result<Rewritten, JobError> {
    let folder = match metadata.property(DATA_PATH) {
        Some(path) => path.trim_end_matches('/').to_owned(),
        None => format!("{}/data", metadata.location().trim_end_matches('/')),
    };
    let mut written = Vec::new();
    let mut count = 0;
    let job = (outside.uuid)();
    let mut next = || {
        count += 1;
        format!("{folder}/{count:05}-{job}.parquet")
    };
    let mut announce = |location: &str| {
        written.push(location.to_owned());
        Ok(())
    };
    let rewritten = rewrite(metadata, group, plan.output_spec_id, &mut next, &mut announce);
    if rewritten.is_err() {
        delete_all(written.iter().map(String::as_str));
    }
    rewritten
}

/// Commits a group to the table as it is by then; gives the snapshot.
async fn commit_group(
    client: &Client,
    name: &TableName,
    plan: &Plan,
    group: &Group,
    rewritten: &Rewritten,
    outside: Outside,
) -> Result<i64, JobError> {
    let change = change(plan, group, rewritten);
    let commit_uuid = (outside.uuid)();
    for attempt in 1..=ATTEMPTS_MAX {
        let metadata = table::load(client, name).await?;
        let context = Context {
            branch: MAIN_BRANCH.to_owned(),
            snapshot_id: snapshot_id((outside.uuid)()),
            commit_uuid,
            attempt,
            now_ms: (outside.now_ms)(),
        };
        let mut snapshot = SnapshotPlan::new(&metadata, &change, context)?;
        show(&mut snapshot, SnapshotPlan::wanted, |snapshot, shown| {
            match shown {
                Shown::List(path, lines) => snapshot.give_list(path, lines?)?,
                Shown::Manifest(path, manifest) => snapshot.give_manifest(path, &manifest?)?,
            }
            Ok(())
        })?;
        let new = snapshot.finish()?;
        if let Attempt::Done = commit(client, name, &new).await? {
            return Ok(new.snapshot.id());
        }
    }
    Err(JobError::LostRaces(ATTEMPTS_MAX))
}

/// The same rows in other files. New files take the age of the snapshot that was read, so that deletes which came since still
/// apply; deletes of single files go with them.
fn change(plan: &Plan, group: &Group, rewritten: &Rewritten) -> Change {
    let mut change = Change::new(Kind::Replace);
    change.added_data.clone_from(&rewritten.files);
    change.data_sequence_number = Some(plan.sequence_number);
    change.removed_paths = group.inputs.iter().map(|input| input.path.clone()).collect();
    let removed = |path: &String| change.removed_paths.contains(path);
    change.removed_deletes = group
        .deletes
        .iter()
        .filter(|delete| delete.data_file.as_ref().is_some_and(removed))
        .map(|delete| DeleteKey { path: delete.path.clone(), content_offset: delete.content_offset })
        .collect();
    change.checks.since = Some(plan.snapshot_id);
    change
}

/// The numbers of a run.
#[derive(Default)]
struct Totals {
    files_read: i64,
    files_written: i64,
    bytes_read: i64,
    bytes_written: i64,
    rows_written: i64,
    rows_deleted: i64,
}

impl Totals {
    fn add(&mut self, group: &Group, rewritten: &Rewritten) {
        self.files_read += i64::try_from(group.inputs.len()).unwrap_or(i64::MAX);
        self.files_written += i64::try_from(rewritten.files.len()).unwrap_or(i64::MAX);
        self.bytes_read += group.input_bytes;
        self.bytes_written += rewritten.files.iter().map(|file| file.size_bytes).sum::<i64>();
        self.rows_written += rewritten.rows_written;
        self.rows_deleted += rewritten.rows_deleted;
    }

    fn numbers(&self) -> Vec<(&'static str, i64)> {
        vec![
            ("files-rewritten", self.files_read),
            ("files-written", self.files_written),
            ("bytes-read", self.bytes_read),
            ("bytes-written", self.bytes_written),
            ("rows-written", self.rows_written),
            ("deleted-rows-removed", self.rows_deleted),
        ]
    }
}

/// A plan in short, for people.
pub fn summary(plan: &Plan) -> Json {
    let groups = plan.groups.iter().map(|group| {
        json!({
            "partition": group.partition, "files": group.inputs.len(), "deletes": group.deletes.len(),
            "input-bytes": group.input_bytes, "outputs": group.outputs,
        })
    });
    json!({ "snapshot-id": plan.snapshot_id, "groups": groups.collect::<Vec<_>>(), "left": plan.left })
}
