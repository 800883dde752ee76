//! One table, now, for scripts: what is due is done in the right order, and then told.

use openapi::maintenance::Judged;
use serde_json::Value as Json;

use crate::error::JobError;
use crate::jobs::{Report, Work, compact, evaluate, expire, manifests};

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Old snapshots are forgotten.
    ExpireSnapshots,
    /// Small files are merged, deletes applied.
    Compact,
    /// Small manifests are merged.
    RewriteManifests,
}

impl Action {
    /// All of them, in the order in which they are done: what is forgotten need not be compacted.
    pub const ALL: [Action; 3] = [Action::ExpireSnapshots, Action::Compact, Action::RewriteManifests];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::ExpireSnapshots => "expire-snapshots",
            Action::Compact => "compact",
            Action::RewriteManifests => "rewrite-manifests",
        }
    }

    /// Does it. What was done is in the report also if it fails.
    pub fn run(self, work: &Work<'_>, report: &mut Report) -> Result<(), JobError> {
        match self {
            Action::ExpireSnapshots => expire::run(work, report),
            Action::Compact => compact::run(work, report),
            Action::RewriteManifests => manifests::run(work, report),
        }
    }

    /// What would be done, without doing it: in a sentence for people, and for programs.
    ///
    /// Fails as doing it would while it is planned.
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
