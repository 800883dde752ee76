//! Evaluation of a table: its health, and the actions that are worth their cost. The table is not changed.

use openapi::maintenance::{Deduction, Evaluation, JobAction, Judged, NextJob, UnreadableFile};
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::health::{TableFacts, TableHealth};
use table_core::rewrite::live::LiveFiles;
use table_core::rewrite::manifests::ManifestGroup;
use table_core::rewrite::options::OptionsError;
use table_core::rewrite::plan::{CompactionPlan, SkipReason};
use table_core::rewrite::policy::MaintenancePolicy;
use table_core::rewrite::publish::Unpublished;
use table_core::text::{self, count};

use super::expire::Due;
use super::{compact, expire, manifests, unreadable};
use crate::catalog::Table;
use crate::context::Work;
use crate::error::JobError;
use crate::host::Progress;
use crate::table;

/// Cost of opening a file for a scan, as the number of bytes that could be read in the same time.
const OPEN_FILE_BYTES: i64 = 4 << 20;
/// Factor of ranks, which are thousandths of the benefit relative to the cost.
const PRIORITY_SCALE: i64 = 1_000;
/// Rank of expiry. It precedes all other actions, because files that are deleted need not be compacted.
const PRIORITY_EXPIRE: i64 = 1 << 40;
const MINUTE_MS: u64 = 60_000;

/// Plan of a compaction, with the live files of the table.
type Planned = (CompactionPlan, LiveFiles);

/// Result of an evaluation.
pub struct Found {
    /// Evaluation as it is returned to users.
    pub evaluation: Evaluation,
    /// Follow-up jobs.
    pub next: Vec<NextJob>,
}

/// Evaluates a table.
///
/// # Errors
///
/// Fails if the catalog does not answer, if a manifest cannot be read, if the metadata is malformed, or if
/// the job has to stop. Contradictory settings and an expiry that cannot be planned do not fail the
/// evaluation but are reported in it.
pub fn run(work: &Work<'_>) -> Result<Found, JobError> {
    work.host.progress(Progress { doing: "reading manifests".to_owned(), ..Progress::default() });
    let Table { metadata, document_bytes, .. } = work.catalog.load()?;
    let now_ms = (work.outside.now_ms)();
    let mut left = unreadable::unchanged(work)?;
    let (planned, contradiction) = plan(work, &metadata, &left)?;
    if let Some((_, live)) = &planned {
        left = unreadable::of_snapshot(left, live);
    }
    let mut found = Vec::new();
    found.push(match expire::plan(work, &metadata) {
        Err(error @ JobError::Catalog(_)) => return Err(error),
        due => judge_expiry(&metadata, work.policy, due),
    });
    found.push(match (&planned, &contradiction) {
        (_, Some(error)) => no_compaction(error.to_string()),
        (Some((plan, _)), None) => judge_compaction(plan, &left),
        (None, None) => no_compaction("the table has no snapshot".to_owned()),
    });
    let groups = manifests::plan(work.files, &metadata, work.policy)?;
    found.push(judge_manifests(&groups));
    let unpublished = work.unpublished(&metadata)?;
    if let Some(unpublished) = &unpublished {
        wait_for(unpublished, &mut found);
    }
    let facts = facts(work, &metadata, document_bytes, planned.as_ref())?;
    let health = TableHealth::of(&facts);
    let deduction = |deduction: table_core::rewrite::health::HealthDeduction| Deduction {
        fault: name(&deduction.fault),
        points: deduction.points,
        why: deduction.reason,
    };
    let mut next: Vec<NextJob> =
        found.iter().filter_map(|(judged, priority)| next(judged, *priority)).collect();
    let settles = planned.as_ref().filter(|_| contradiction.is_none());
    // The earlier of both times is sufficient, because the next evaluation checks both.
    let again = settles.and_then(|(plan, _)| look_again(plan, work.policy));
    next.extend(
        again
            .into_iter()
            .chain(unpublished.map(|it| look_again_after(&it, now_ms)))
            .min_by_key(|job| job.after_ms),
    );
    Ok(Found {
        evaluation: Evaluation {
            snapshot_id: metadata.current_snapshot().map(table_core::metadata::snapshot::Snapshot::id),
            health: health.score,
            deductions: health.deductions.into_iter().map(deduction).collect(),
            facts: serde_json::to_value(facts).unwrap_or_default(),
            actions: found.into_iter().map(|(judged, _)| judged).collect(),
        },
        next,
    })
}

/// Plans a compaction. Settings from several policies may contradict each other, which must not prevent the
/// evaluation of the table; then the default settings are used, if they are compatible with the table's
/// properties. Also returns the contradiction.
fn plan(
    work: &Work<'_>,
    metadata: &TableMetadata,
    unreadable: &[UnreadableFile],
) -> Result<(Option<Planned>, Option<OptionsError>), JobError> {
    let contradiction = match compact::plan(work, metadata, work.policy, unreadable) {
        Err(JobError::Options(contradiction)) => contradiction,
        planned => return Ok((planned?, None)),
    };
    match compact::plan(work, metadata, &MaintenancePolicy::defaults(), unreadable) {
        Err(JobError::Options(_)) => Ok((None, Some(contradiction))),
        planned => Ok((planned?, Some(contradiction))),
    }
}

/// Postpones the actions that move the head of `main`.
fn wait_for(unpublished: &Unpublished, found: &mut [(Judged, i64)]) {
    let moves_main =
        |judged: &Judged| matches!(judged.action, JobAction::Compact | JobAction::RewriteManifests);
    for (judged, _) in found.iter_mut().filter(|(judged, _)| judged.due && moves_main(judged)) {
        judged.due = false;
        judged.why = format!("{}; {}", unpublished.explain(), judged.why);
    }
}

fn next(judged: &Judged, priority: i64) -> Option<NextJob> {
    judged.due.then(|| NextJob { action: judged.action, reason: judged.why.clone(), priority, after_ms: 0 })
}

/// Returns a job that evaluates the table again when recently written partitions have settled, even without
/// another commit.
fn look_again(plan: &CompactionPlan, policy: &MaintenancePolicy) -> Option<NextJob> {
    let hot = plan.skipped.get(&SkipReason::ActivePartition)?;
    let minutes = u64::from(policy.compact.settle_minutes.unwrap_or(0));
    let files = count(hot.files.unsigned_abs(), "file was", "files were");
    let reason = format!("{files} in partitions that were being written to");
    Some(NextJob { action: JobAction::Evaluate, reason, priority: 0, after_ms: minutes * MINUTE_MS })
}

/// Returns a job that evaluates the table again when unpublished commits do not have to be waited for any
/// more, even if they are never published.
fn look_again_after(unpublished: &Unpublished, now_ms: i64) -> NextJob {
    let after_ms = unpublished.until_ms.saturating_sub(now_ms);
    let reason = format!("{} waited to be published", unpublished.description);
    let after_ms = u64::try_from(after_ms).unwrap_or(0);
    NextJob { action: JobAction::Evaluate, reason, priority: 0, after_ms }
}

/// Decides whether expiry is due, and returns its priority. A failure to determine that is reported as the
/// reason; it does not prevent decisions about other actions.
pub fn judge_expiry(
    metadata: &TableMetadata,
    policy: &MaintenancePolicy,
    found: Result<Due, JobError>,
) -> (Judged, i64) {
    let (due, why) = match found {
        Ok(Due { refusal: Some(refusal), .. }) => (false, refusal),
        Ok(found) => {
            let log = expire::log_limit(metadata, policy).map(|_| {
                let named = metadata.metadata_log().len() as u64;
                let files = text::count(named, "former metadata file", "former metadata files");
                format!("it names {files}, more than wanted")
            });
            let due = found.expiry.is_some() || log.is_some();
            (due, expire::why(metadata, &found, log))
        }
        Err(error) => (false, error.to_string()),
    };
    (Judged { action: JobAction::ExpireSnapshots, due, why }, PRIORITY_EXPIRE)
}

/// Returns the decision against a compaction, for the reason `why`.
pub fn no_compaction(why: String) -> (Judged, i64) {
    (Judged { action: JobAction::Compact, due: false, why }, 0)
}

/// Decides whether compaction is due according to its plan, and returns its priority. `left` are files that
/// could not be read.
pub fn judge_compaction(plan: &CompactionPlan, left: &[UnreadableFile]) -> (Judged, i64) {
    let files: usize = plan.groups.iter().map(|group| group.inputs.len()).sum();
    let groups = plan.groups.iter().map(|group| (group.benefit_bytes, group.cost_bytes));
    let conversions = plan.conversions.iter().map(|found| (found.benefit_bytes, found.cost_bytes));
    let (benefit, cost) =
        groups.chain(conversions).fold((0_i64, 0_i64), |(benefit, cost), (more, for_it)| {
            (benefit.saturating_add(more), cost.saturating_add(for_it))
        });
    let deletes: usize = plan.conversions.iter().map(|conversion| conversion.deletes.len()).sum();
    let mut due = Vec::new();
    if files > 0 {
        let outputs = plan.groups.iter().map(|group| group.outputs).fold(0, i64::saturating_add);
        let groups = match plan.groups.len() {
            1 => String::new(),
            groups => format!(" in {groups} groups"),
        };
        let files = count(files as u64, "file", "files");
        due.push(format!("{files}{groups} would become about {outputs}"));
    }
    if deletes > 0 {
        let deletes =
            count(deletes as u64, "file of equality deletes takes", "files of equality deletes take");
        due.push(format!("what {deletes} would be deleted by position"));
    }
    if plan.dangling > 0 {
        let deletes = count(plan.dangling as u64, "delete file that applies", "delete files that apply");
        due.push(format!("{deletes} to nothing would be removed"));
    }
    let why = if !due.is_empty() {
        due.join("; ")
    } else if plan.skipped.is_empty() {
        "the table has no data files".to_owned()
    } else {
        let told = plan.skipped.iter().map(|(why, tally)| left_alone(*why, tally.files.unsigned_abs()));
        format!("nothing is worth it: {}", told.collect::<Vec<_>>().join(", "))
    };
    let why = std::iter::once(why).chain(unreadable::told(left)).collect::<Vec<_>>().join("; ");
    let priority = benefit.saturating_mul(PRIORITY_SCALE) / cost.max(1);
    (Judged { action: JobAction::Compact, due: !due.is_empty(), why }, priority)
}

fn left_alone(why: SkipReason, files: u64) -> String {
    let (one, many) = match why {
        SkipReason::Good => ("file is of the right size", "files are of the right size"),
        SkipReason::ActivePartition => {
            ("file is in a partition that is being changed", "files are in partitions that are being changed")
        }
        SkipReason::Alone => (
            "file has nothing beside it to be merged with",
            "files have nothing beside them to be merged with",
        ),
        SkipReason::TooLittle => {
            ("file is too little to be worth it yet", "files are too few to be worth it yet")
        }
        SkipReason::Format => ("file is not Parquet", "files are not Parquet"),
        SkipReason::Encrypted => ("file is encrypted", "files are encrypted"),
        SkipReason::Unreadable => ("file cannot be read", "files cannot be read"),
        SkipReason::Contradictory => {
            ("file is listed in several partitions at once", "files are listed in several partitions at once")
        }
    };
    count(files, one, many)
}

/// Decides whether a rewrite of manifests is due according to its plan, and returns its priority.
pub fn judge_manifests(groups: &[ManifestGroup]) -> (Judged, i64) {
    let manifests: usize = groups.iter().map(|group| group.paths.len()).sum();
    let bytes = groups.iter().map(|group| group.input_bytes).fold(0, i64::saturating_add);
    let outputs: i64 = groups.iter().map(|group| group.outputs).sum();
    let why = match manifests {
        0 => "manifests are few, or of the right size".to_owned(),
        manifests => {
            let manifests = count(manifests as u64, "manifest", "manifests");
            format!("{manifests} would become about {outputs}")
        }
    };
    let saved = i64::try_from(manifests).unwrap_or(i64::MAX).saturating_sub(outputs).max(0);
    let priority =
        saved.saturating_mul(OPEN_FILE_BYTES).saturating_mul(PRIORITY_SCALE) / bytes.saturating_mul(2).max(1);
    (Judged { action: JobAction::RewriteManifests, due: manifests > 0, why }, priority)
}

fn facts(
    work: &Work<'_>,
    metadata: &TableMetadata,
    document_bytes: u64,
    planned: Option<&(CompactionPlan, LiveFiles)>,
) -> Result<TableFacts, JobError> {
    let mut facts = TableFacts {
        snapshots: metadata.snapshots().len() as u64,
        metadata_bytes: document_bytes,
        ..TableFacts::default()
    };
    if let Some((plan, live)) = planned {
        compact::count(plan, live, &mut facts);
    }
    if let Some(snapshot) = metadata.current_snapshot() {
        let lines = table::manifests_of(work.files, snapshot)?;
        facts.manifests = lines.len() as u64;
        let bytes = lines.iter().map(|line| u64::try_from(line.length_bytes).unwrap_or(0));
        facts.manifest_bytes = bytes.sum();
    }
    Ok(facts)
}

/// Returns the name of an enum variant in JSON.
fn name(thing: &impl serde::Serialize) -> String {
    let word = serde_json::to_value(thing).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}
