//! One table, now, for scripts: what is due is done in the right order, and then told.

use serde_json::{Value as Json, json};
use table_core::rewrite::policy::Policy;

use crate::client::{Client, TableName};
use crate::error::JobError;
use crate::jobs::{Outside, Report, compact, expire};
use crate::table;

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Old snapshots are forgotten.
    ExpireSnapshots,
    /// Small files are merged, deletes applied.
    Compact,
}

impl Action {
    /// All of them, in the order in which they are done: what is forgotten need not be compacted.
    pub const ALL: [Action; 2] = [Action::ExpireSnapshots, Action::Compact];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::ExpireSnapshots => "expire-snapshots",
            Action::Compact => "compact",
        }
    }
}

/// What would be done, without doing it.
pub async fn dry_run(
    client: &Client,
    name: &TableName,
    policy: &Policy,
    actions: &[Action],
    outside: Outside,
) -> Result<Json, JobError> {
    let metadata = table::load(client, name).await?;
    let mut plans = serde_json::Map::new();
    for action in actions {
        let plan = match action {
            Action::ExpireSnapshots => match expire::plan(&metadata, policy, (outside.now_ms)())? {
                Some(due) => json!({ "snapshot-ids": due.snapshot_ids, "references": due.references }),
                None => Json::Null,
            },
            Action::Compact => {
                compact::plan(&metadata, policy)?.map_or(Json::Null, |plan| compact::summary(&plan))
            }
        };
        plans.insert(action.as_str().to_owned(), plan);
    }
    Ok(Json::Object(plans))
}

/// Does what is due. `tell` hears how far it is.
pub async fn run(
    client: &Client,
    name: &TableName,
    policy: &Policy,
    actions: &[Action],
    outside: Outside,
    mut tell: impl FnMut(&str),
) -> Result<Vec<(Action, Report)>, JobError> {
    let mut reports = Vec::new();
    for action in actions {
        let tell = |text: &str| tell(&format!("{}: {text}", action.as_str()));
        let report = match action {
            Action::ExpireSnapshots => expire::run(client, name, policy, outside, tell).await?,
            Action::Compact => compact::run(client, name, policy, outside, tell).await?,
        };
        reports.push((*action, report));
    }
    Ok(reports)
}
