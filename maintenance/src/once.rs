//! One table, now, for scripts: what is due is done in the right order, and then told.

use serde_json::Value as Json;

use crate::error::JobError;
use crate::jobs::{Report, Work, compact, expire, manifests};

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

    /// What would be done, without doing it.
    pub fn plan(self, work: &Work<'_>) -> Result<Json, JobError> {
        let metadata = work.catalog.load()?.metadata;
        let now_ms = (work.outside.now_ms)();
        if self != Action::ExpireSnapshots
            && let Some(unpublished) = work.policy.unpublished(&metadata, now_ms)?
        {
            return Ok(serde_json::json!({ "left": [unpublished.explain()] }));
        }
        Ok(match self {
            Action::ExpireSnapshots => {
                expire::summary(expire::plan(&metadata, work.policy, now_ms)?.as_ref())
            }
            Action::Compact => compact::plan(work, &metadata, work.policy, &[])?
                .map_or(Json::Null, |(plan, _)| compact::summary(&plan)),
            Action::RewriteManifests => {
                manifests::summary(&manifests::plan(work.files, &metadata, work.policy)?)
            }
        })
    }
}
