//! Functions that carry out and plan the actions of maintenance. Their names are in [`openapi::action`].

use openapi::action::JobAction;
use openapi::maintenance::ActionDecision;
use serde_json::{Value as Json, json};

use super::decision::{DueDecision, decide_compaction, decide_expiry, decide_manifests};
use super::evaluate::{self, EvaluationResult, NO_SNAPSHOT};
use super::{compact, expire, manifests};
use crate::context::JobContext;
use crate::error::JobError;
use crate::report::JobReport;

/// Carries out an action. `report` also contains what was done before a failure. Returns the result of an
/// evaluation; `None` for other actions.
///
/// # Errors
///
/// Fails for the reasons of the action: [`evaluate::run`], [`expire::run`], [`compact::run`] or
/// [`manifests::run`].
pub fn run(
    action: JobAction,
    job: &JobContext<'_>,
    report: &mut JobReport,
) -> Result<Option<EvaluationResult>, JobError> {
    match action {
        JobAction::Evaluate => return evaluate::run(job).map(Some),
        JobAction::ExpireSnapshots => expire::run(job, report)?,
        JobAction::Compact => compact::run(job, report)?,
        JobAction::RewriteManifests => manifests::run(job, report)?,
    }
    Ok(None)
}

/// Plans an action without carrying it out. Returns a decision with a sentence for users, and a summary of the
/// plan for programs.
///
/// # Errors
///
/// Fails if the table cannot be loaded, or for the reasons of [`evaluate::run`], [`expire::planning::plan`],
/// [`compact::planning::plan`] or [`manifests::plan`].
pub fn plan(action: JobAction, job: &JobContext<'_>) -> Result<(ActionDecision, Json), JobError> {
    let metadata = job.catalog.load()?.metadata;
    if action.adds_snapshots()
        && let Some(unpublished) = job.unpublished(&metadata)?
    {
        let reason = unpublished.explain();
        let json = json!({ "skipped": [&reason] });
        return Ok((DueDecision::not_due(action, reason).decision, json));
    }
    let (decision, json) = match action {
        JobAction::Evaluate => {
            // An evaluation changes nothing, so that its result is its plan.
            let json = json!(evaluate::run(job)?.evaluation);
            let reason = "an evaluation is due whenever it is requested".to_owned();
            return Ok((ActionDecision { action, due: true, reason }, json));
        }
        JobAction::ExpireSnapshots => {
            let due = expire::planning::plan(job, &metadata)?;
            let json = expire::planning::summary(&due);
            (decide_expiry(&metadata, job.policy, Ok(due)), json)
        }
        JobAction::Compact => match compact::planning::plan(job, &metadata, job.policy, &[])? {
            Some((plan, _)) => (decide_compaction(&plan, &[]), compact::planning::summary(&plan)),
            None => (DueDecision::not_due(action, NO_SNAPSHOT.to_owned()), Json::Null),
        },
        JobAction::RewriteManifests => {
            let groups = manifests::plan(job.files, &metadata, job.policy)?;
            (decide_manifests(&groups), manifests::summary(&groups))
        }
    };
    Ok((decision.decision, json))
}

#[cfg(test)]
mod tests {
    use table_core::rewrite::policy::MaintenancePolicy;

    use super::*;

    #[test]
    fn policies_have_a_section_for_each_action_that_changes_tables() {
        for action in JobAction::CHANGES {
            assert_eq!(MaintenancePolicy::defaults().is_enabled(action.as_str()), Some(true), "{action}");
        }
    }
}
