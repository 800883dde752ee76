//! Maintenance of one table on demand, for scripts: carries out the actions that are due, in the right order,
//! and reports them.

use openapi::maintenance::Judged;
use serde_json::Value as Json;

use crate::context::Work;
use crate::error::JobError;
use crate::jobs::{Report, compact, evaluate, expire, manifests};

/// Action of maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Expires old snapshots.
    ExpireSnapshots,
    /// Merges small data files, and applies deletes.
    Compact,
    /// Merges small manifests.
    RewriteManifests,
}

impl Action {
    /// All actions, in the order in which they are carried out. Expiry is first, because files that only
    /// expired snapshots refer to need not be compacted.
    pub const ALL: [Action; 3] = [Action::ExpireSnapshots, Action::Compact, Action::RewriteManifests];

    /// Returns the name of the action on the command line and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::ExpireSnapshots => "expire-snapshots",
            Action::Compact => "compact",
            Action::RewriteManifests => "rewrite-manifests",
        }
    }

    /// Carries out the action. `report` also contains what was done before a failure.
    ///
    /// # Errors
    ///
    /// Fails for the reasons of [`expire::run`], [`compact::run`] or [`manifests::run`].
    pub fn run(self, work: &Work<'_>, report: &mut Report) -> Result<(), JobError> {
        match self {
            Action::ExpireSnapshots => expire::run(work, report),
            Action::Compact => compact::run(work, report),
            Action::RewriteManifests => manifests::run(work, report),
        }
    }

    /// Plans the action without carrying it out. Returns a decision with a sentence for users, and a summary
    /// of the plan for programs.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be loaded, or for the reasons of [`expire::plan`], [`compact::plan`] or
    /// [`manifests::plan`].
    pub fn plan(self, work: &Work<'_>) -> Result<(Judged, Json), JobError> {
        let metadata = work.catalog.load()?.metadata;
        let now_ms = (work.outside.now_ms)();
        if self != Action::ExpireSnapshots
            && let Some(unpublished) = work.policy.unpublished(&metadata, now_ms)?
        {
            let why = unpublished.explain();
            let json = serde_json::json!({ "left": [&why] });
            return Ok((evaluate::no_compaction(why).0, json));
        }
        Ok(match self {
            Action::ExpireSnapshots => {
                let due = expire::plan(work, &metadata)?;
                let json = expire::summary(&due);
                (evaluate::judge_expiry(&metadata, work.policy, Ok(due)).0, json)
            }
            Action::Compact => match compact::plan(work, &metadata, work.policy, &[])? {
                Some((plan, _)) => (evaluate::judge_compaction(&plan, &[]).0, compact::summary(&plan)),
                None => (evaluate::no_compaction("the table has no snapshot".to_owned()).0, Json::Null),
            },
            Action::RewriteManifests => {
                let groups = manifests::plan(work.files, &metadata, work.policy)?;
                (evaluate::judge_manifests(&groups).0, manifests::summary(&groups))
            }
        })
    }
}
