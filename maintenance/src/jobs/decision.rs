//! Decisions whether actions are due for a table, from their plans. Nothing is read or planned here.

use openapi::action::JobAction;
use openapi::maintenance::ActionDecision;
use openapi::worker::{NextJob, UnreadableFile};
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::manifests::ManifestGroup;
use table_core::rewrite::plan::{CompactionPlan, SkipReason};
use table_core::rewrite::policy::MaintenancePolicy;
use table_core::rewrite::publish::Unpublished;
use table_core::text::count;

use super::expire::planning::{self, Due};
use crate::error::JobError;
use crate::report::describe_unreadable;

/// Cost of opening a file for a scan, as the number of bytes that could be read in the same time.
const OPEN_FILE_BYTES: i64 = 4 << 20;
/// Factor of priorities, which are thousandths of the benefit relative to the cost.
const PRIORITY_SCALE: i64 = 1_000;
/// Priority of expiry. It precedes all other actions, because files that are deleted need not be compacted.
const PRIORITY_EXPIRE: i64 = 1 << 40;

/// Decision whether an action is due, and the priority of a job of it.
pub struct DueDecision {
    /// Decision, with a reason for users.
    pub decision: ActionDecision,
    /// Priority of a job: its benefit relative to its cost.
    pub priority: i64,
}

impl DueDecision {
    fn new(action: JobAction, due: bool, reason: String, priority: i64) -> DueDecision {
        DueDecision { decision: ActionDecision { action, due, reason }, priority }
    }

    /// Returns the decision against an action, for the reason `why`.
    pub fn not_due(action: JobAction, reason: String) -> DueDecision {
        DueDecision::new(action, false, reason, 0)
    }

    /// Postpones an action that adds snapshots to `main`, because of commits that wait to be published.
    pub fn postpone(&mut self, unpublished: &Unpublished) {
        if self.decision.due && self.decision.action.adds_snapshots() {
            self.decision.due = false;
            self.decision.reason = format!("{}; {}", unpublished.explain(), self.decision.reason);
        }
    }

    /// Returns the job that carries out the action; `None` if the action is not due.
    pub fn job(&self) -> Option<NextJob> {
        let ActionDecision { action, due, reason } = &self.decision;
        due.then(|| NextJob { action: *action, reason: reason.clone(), priority: self.priority, after_ms: 0 })
    }
}

/// Decides whether expiry is due, and returns its priority. A failure to determine that is reported as the
/// reason; it does not prevent decisions about other actions.
pub fn decide_expiry(
    metadata: &TableMetadata,
    policy: &MaintenancePolicy,
    found: Result<Due, JobError>,
) -> DueDecision {
    let (due, reason) = match found {
        Ok(Due { refusal: Some(refusal), .. }) => (false, refusal),
        Ok(found) => {
            let log = planning::log_limit(metadata, policy).map(|_| {
                let named = metadata.metadata_log().len() as u64;
                let files = count(named, "former metadata file", "former metadata files");
                format!("the metadata log has {files}, more than its limit")
            });
            let due = found.expiry.is_some() || log.is_some();
            (due, planning::explain(metadata, &found, log))
        }
        Err(error) => (false, error.to_string()),
    };
    DueDecision::new(JobAction::ExpireSnapshots, due, reason, PRIORITY_EXPIRE)
}

/// Decides whether compaction is due according to its plan, and returns its priority. `unreadable` are files that could
/// not be read.
pub fn decide_compaction(plan: &CompactionPlan, unreadable: &[UnreadableFile]) -> DueDecision {
    let files: usize = plan.groups.iter().map(|group| group.inputs.len()).sum();
    let groups = plan.groups.iter().map(|group| (group.benefit_bytes, group.cost_bytes));
    let conversions = plan.conversions.iter().map(|found| (found.benefit_bytes, found.cost_bytes));
    let (benefit, cost) =
        groups.chain(conversions).fold((0_i64, 0_i64), |(benefit, cost), (saved, spent)| {
            (benefit.saturating_add(saved), cost.saturating_add(spent))
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
        let deletes = count(deletes as u64, "equality delete file", "equality delete files");
        due.push(format!("{deletes} would be converted to position deletes"));
    }
    if plan.dangling > 0 {
        let deletes = count(plan.dangling as u64, "delete file that applies", "delete files that apply");
        due.push(format!("{deletes} to nothing would be removed"));
    }
    let reason = if !due.is_empty() {
        due.join("; ")
    } else if plan.skipped.is_empty() {
        "the table has no data files".to_owned()
    } else {
        let skipped =
            plan.skipped.iter().map(|(reason, tally)| describe_skipped(*reason, tally.files.unsigned_abs()));
        format!("no rewrite is worth its cost: {}", skipped.collect::<Vec<_>>().join(", "))
    };
    let reason =
        std::iter::once(reason).chain(describe_unreadable(unreadable)).collect::<Vec<_>>().join("; ");
    let priority = benefit.saturating_mul(PRIORITY_SCALE) / cost.max(1);
    DueDecision::new(JobAction::Compact, !due.is_empty(), reason, priority)
}

fn describe_skipped(reason: SkipReason, files: u64) -> String {
    let (one, many) = match reason {
        SkipReason::WellSized => ("file is of the right size", "files are of the right size"),
        SkipReason::ActivePartition => {
            ("file is in a partition that is being changed", "files are in partitions that are being changed")
        }
        SkipReason::Single => (
            "file has no other file in its partition to be merged with",
            "files have no other file in their partition to be merged with",
        ),
        SkipReason::BelowMinimum => {
            ("file is not enough for a rewrite yet", "files are not enough for a rewrite yet")
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
pub fn decide_manifests(groups: &[ManifestGroup]) -> DueDecision {
    let manifests: usize = groups.iter().map(|group| group.paths.len()).sum();
    let bytes = groups.iter().map(|group| group.input_bytes).fold(0, i64::saturating_add);
    let outputs: i64 = groups.iter().map(|group| group.outputs).sum();
    let reason = match manifests {
        0 => "the manifests are few, or of the right size".to_owned(),
        manifests => {
            let manifests = count(manifests as u64, "manifest", "manifests");
            format!("{manifests} would become about {outputs}")
        }
    };
    let saved = i64::try_from(manifests).unwrap_or(i64::MAX).saturating_sub(outputs).max(0);
    let priority =
        saved.saturating_mul(OPEN_FILE_BYTES).saturating_mul(PRIORITY_SCALE) / bytes.saturating_mul(2).max(1);
    DueDecision::new(JobAction::RewriteManifests, manifests > 0, reason, priority)
}
