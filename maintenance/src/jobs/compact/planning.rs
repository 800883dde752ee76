//! Plan of a compaction: which files are rewritten together, and why others are not. Nothing is written.

use std::collections::{BTreeMap, BTreeSet};

use openapi::worker::UnreadableFile;
use serde_json::{Value as Json, json};
use table_core::manifest::entry::FileContent;
use table_core::metadata::properties;
use table_core::metadata::snapshot::Snapshot;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::active_partitions;
use table_core::rewrite::compact::{PlannedTable, Planner};
use table_core::rewrite::health::TableFacts;
use table_core::rewrite::live::LiveFiles;
use table_core::rewrite::plan::{CompactionPlan, Reason, SkipReason};
use table_core::rewrite::policy::MaintenancePolicy;

use crate::context::JobContext;
use crate::error::JobError;
use crate::table;

/// Table property with the target size of data files, in bytes.
const TARGET_BYTES: &str = "write.target-file-size-bytes";
const MINUTE_MS: i64 = 60_000;
/// Minimum age of dangling deletes, in milliseconds, for a commit that only removes them. Before, they wait
/// for another commit that removes them along with its other changes.
const SETTLED_MS: i64 = 24 * 60 * MINUTE_MS;

/// Plans a compaction that skips the files `unreadable`. Returns the plan and the live files of the current
/// snapshot; `None` if the table has no snapshot.
///
/// # Errors
///
/// Fails with [`JobError::Options`] if the settings of the policies contradict each other, and for the
/// reasons of [`table::live_files`], for example if a manifest cannot be read.
pub fn plan(
    job: &JobContext<'_>,
    metadata: &TableMetadata,
    policy: &MaintenancePolicy,
    unreadable: &[UnreadableFile],
) -> Result<Option<(CompactionPlan, LiveFiles)>, JobError> {
    let now_ms = (job.environment.now_ms)();
    let Some(snapshot) = metadata.current_snapshot() else { return Ok(None) };
    let live = table::live_files(job.files, metadata, snapshot, || job.control.check())?;
    let target_bytes = u64::try_from(properties::number(metadata.properties(), TARGET_BYTES, 0)).ok();
    let options = policy.compact_options(target_bytes.filter(|bytes| *bytes > 0))?;
    let settle_ms = i64::from(policy.compact.settle_minutes.unwrap_or(0)) * MINUTE_MS;
    let lately_ms = now_ms.saturating_sub(settle_ms).saturating_add(1)..=now_ms.saturating_add(settle_ms);
    let facts = PlannedTable {
        snapshot_id: snapshot.id(),
        sequence_number: snapshot.sequence_number(),
        bytes: live.files.iter().map(|file| file.size_bytes).fold(0, i64::saturating_add),
        output_spec_id: metadata.default_spec_id(),
        settled_sequence_number: sequence_number_at(metadata, now_ms.saturating_sub(SETTLED_MS)),
        active_partitions: active_partitions::partitions(metadata, &live, lately_ms)?,
        unreadable: unreadable.iter().map(|file| file.path.clone()).collect(),
    };
    let plan = Planner::new(&live, &facts, &options)?.plan();
    Ok(Some((plan, live)))
}

/// Adds the counts of a table's files and deletes to `facts`.
pub fn count_files(plan: &CompactionPlan, live: &LiveFiles, facts: &mut TableFacts) {
    let number = |number: i64| u64::try_from(number).unwrap_or(0);
    let mut partitions = BTreeSet::new();
    for file in &live.files {
        facts.files += 1;
        facts.bytes += number(file.size_bytes);
        facts.rows += number(file.record_count);
        if plan.size_classes.is_small(file.size_bytes) {
            facts.small_files += 1;
            partitions.insert((file.spec_id, &file.partition));
        }
    }
    facts.small_files_merged = partitions.len() as u64;
    for delete in &live.deletes {
        if delete.content == FileContent::EqualityDeletes {
            facts.equality_delete_files += 1;
        } else {
            facts.deleted_rows += number(delete.record_count);
        }
    }
}

/// Returns a summary of a plan, for users and programs.
pub fn summary(plan: &CompactionPlan) -> Json {
    let groups = plan.groups.iter().map(|group| {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for input in &group.inputs {
            let reason = match input.reason {
                Reason::Deletes { .. } => "deletes",
                Reason::Small { .. } => "small",
                Reason::Large { .. } => "large",
                Reason::EqualityDeletes { .. } => "equality-deletes",
            };
            *reasons.entry(reason).or_default() += 1;
        }
        json!({
            "partition": group.partition, "files": group.inputs.len(), "deletes": group.deletes.len(),
            "input-bytes": group.input_bytes, "outputs": group.outputs, "reasons": reasons,
        })
    });
    let conversions = plan.conversions.iter().map(|conversion| {
        json!({
            "files": conversion.inputs.len(), "equality-deletes": conversion.deletes.len(),
            "input-bytes": conversion.input_bytes,
        })
    });
    let skipped: BTreeMap<&SkipReason, _> = plan.skipped.iter().collect();
    json!({
        "snapshot-id": plan.snapshot_id, "groups": groups.collect::<Vec<_>>(),
        "conversions": conversions.collect::<Vec<_>>(), "dangling-deletes": plan.dangling, "skipped": skipped,
    })
}

/// Returns the greatest sequence number that the table had at a time, according to its snapshots.
fn sequence_number_at(metadata: &TableMetadata, at_ms: i64) -> i64 {
    let before = metadata.snapshots().iter().filter(|snapshot| snapshot.timestamp_ms() <= at_ms);
    before.map(Snapshot::sequence_number).max().unwrap_or(0)
}
