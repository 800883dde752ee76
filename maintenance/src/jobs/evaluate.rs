//! Evaluation of a table: its health, and the actions that are worth their cost. The table is not changed.

use openapi::action::JobAction;
use openapi::maintenance::{Deduction, Evaluation};
use openapi::worker::{NextJob, UnreadableFile};
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::health::{TableFacts, TableHealth};
use table_core::rewrite::live::LiveFiles;
use table_core::rewrite::options::OptionsError;
use table_core::rewrite::plan::{CompactionPlan, SkipReason};
use table_core::rewrite::policy::MaintenancePolicy;
use table_core::rewrite::publish::Unpublished;
use table_core::text::count;

use super::decision::{DueDecision, decide_compaction, decide_expiry, decide_manifests};
use super::{compact, expire, manifests, unreadable};
use crate::catalog::Table;
use crate::context::JobContext;
use crate::control::Progress;
use crate::error::JobError;
use crate::table;

/// Reason for which a table without snapshots is not compacted.
pub(super) const NO_SNAPSHOT: &str = "the table has no snapshot";
const MINUTE_MS: u64 = 60_000;

/// Plan of a compaction, with the live files of the table.
type Planned = (CompactionPlan, LiveFiles);

/// Result of an evaluation.
pub struct EvaluationResult {
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
pub fn run(job: &JobContext<'_>) -> Result<EvaluationResult, JobError> {
    job.control.progress(Progress { activity: "reading manifests".to_owned(), ..Progress::default() });
    let Table { metadata, document_bytes, .. } = job.catalog.load()?;
    let now_ms = (job.environment.now_ms)();
    let mut unreadable = unreadable::unchanged(job)?;
    let (planned, contradiction) = plan(job, &metadata, &unreadable)?;
    if let Some((_, live)) = &planned {
        unreadable = unreadable::of_snapshot(unreadable, live);
    }
    let mut decisions = Vec::new();
    for action in JobAction::CHANGES {
        decisions.push(match action {
            // It changes no table.
            JobAction::Evaluate => continue,
            JobAction::ExpireSnapshots => match expire::planning::plan(job, &metadata) {
                Err(error @ JobError::Catalog(_)) => return Err(error),
                due => decide_expiry(&metadata, job.policy, due),
            },
            JobAction::Compact => match (&planned, &contradiction) {
                (_, Some(error)) => DueDecision::not_due(action, error.to_string()),
                (Some((plan, _)), None) => decide_compaction(plan, &unreadable),
                (None, None) => DueDecision::not_due(action, NO_SNAPSHOT.to_owned()),
            },
            JobAction::RewriteManifests => {
                decide_manifests(&manifests::plan(job.files, &metadata, job.policy)?)
            }
        });
    }
    let unpublished = job.unpublished(&metadata)?;
    if let Some(unpublished) = &unpublished {
        for decision in &mut decisions {
            decision.postpone(unpublished);
        }
    }
    let facts = facts(job, &metadata, document_bytes, planned.as_ref())?;
    let health = TableHealth::of(&facts);
    let deduction = |deduction: table_core::rewrite::health::HealthDeduction| Deduction {
        fault: name(&deduction.fault),
        points: deduction.points,
        reason: deduction.reason,
    };
    let mut next: Vec<NextJob> = decisions.iter().filter_map(DueDecision::job).collect();
    let settles = planned.as_ref().filter(|_| contradiction.is_none());
    // The earlier of both times is sufficient, because the next evaluation checks both.
    let again = settles.and_then(|(plan, _)| evaluate_when_settled(plan, job.policy));
    next.extend(
        again
            .into_iter()
            .chain(unpublished.map(|it| evaluate_when_published(&it, now_ms)))
            .min_by_key(|job| job.after_ms),
    );
    Ok(EvaluationResult {
        evaluation: Evaluation {
            snapshot_id: metadata.current_snapshot().map(table_core::metadata::snapshot::Snapshot::id),
            health: health.score,
            deductions: health.deductions.into_iter().map(deduction).collect(),
            facts: serde_json::to_value(facts).unwrap_or_default(),
            actions: decisions.into_iter().map(|decision| decision.decision).collect(),
        },
        next,
    })
}

/// Plans a compaction. Settings from several policies may contradict each other, which must not prevent the
/// evaluation of the table; then the default settings are used, if they are compatible with the table's
/// properties. Also returns the contradiction.
fn plan(
    job: &JobContext<'_>,
    metadata: &TableMetadata,
    unreadable: &[UnreadableFile],
) -> Result<(Option<Planned>, Option<OptionsError>), JobError> {
    let contradiction = match compact::planning::plan(job, metadata, job.policy, unreadable) {
        Err(JobError::Options(contradiction)) => contradiction,
        planned => return Ok((planned?, None)),
    };
    match compact::planning::plan(job, metadata, &MaintenancePolicy::defaults(), unreadable) {
        Err(JobError::Options(_)) => Ok((None, Some(contradiction))),
        planned => Ok((planned?, Some(contradiction))),
    }
}

/// Returns a job that evaluates the table again when recently written partitions have settled, even without
/// another commit.
fn evaluate_when_settled(plan: &CompactionPlan, policy: &MaintenancePolicy) -> Option<NextJob> {
    let active = plan.skipped.get(&SkipReason::ActivePartition)?;
    let minutes = u64::from(policy.compact.settle_minutes.unwrap_or(0));
    let files = count(active.files.unsigned_abs(), "file was", "files were");
    let reason = format!("{files} in partitions that were being written to");
    Some(NextJob { action: JobAction::Evaluate, reason, priority: 0, after_ms: minutes * MINUTE_MS })
}

/// Returns a job that evaluates the table again when unpublished commits do not have to be waited for any
/// more, even if they are never published.
fn evaluate_when_published(unpublished: &Unpublished, now_ms: i64) -> NextJob {
    let after_ms = unpublished.until_ms.saturating_sub(now_ms);
    let reason = format!("{} waited to be published", unpublished.description);
    let after_ms = u64::try_from(after_ms).unwrap_or(0);
    NextJob { action: JobAction::Evaluate, reason, priority: 0, after_ms }
}

fn facts(
    job: &JobContext<'_>,
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
        compact::planning::count_files(plan, live, &mut facts);
    }
    if let Some(snapshot) = metadata.current_snapshot() {
        let manifests = table::manifests_of(job.files, snapshot)?;
        facts.manifests = manifests.len() as u64;
        let bytes = manifests.iter().map(|manifest| u64::try_from(manifest.length_bytes).unwrap_or(0));
        facts.manifest_bytes = bytes.sum();
    }
    Ok(facts)
}

/// Returns the name of an enum variant in JSON.
fn name(thing: &impl serde::Serialize) -> String {
    let word = serde_json::to_value(thing).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}
