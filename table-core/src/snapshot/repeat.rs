//! Detection of commits that are sent again because the client never received the answer to the first
//! attempt: the connection broke, or the server stopped before it answered.
//!
//! Refusing such a commit is not safe. A client that gets a conflict deletes the files of its commit, which
//! the table refers to by then (`DuckDB` repeats a request by itself, and does so).

use std::collections::BTreeMap;

use super::rebase;
use crate::commit::request::TableCommit;
use crate::commit::update::TableUpdate;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::table::TableMetadata;

/// Returns `true` if the table has all snapshots that a commit adds, each with its own manifest list and
/// summary.
///
/// No other writer produces the same ones, so the commit was applied, and as a whole, independent of its
/// other updates and of later commits. A commit that adds no snapshot cannot be distinguished from another
/// one; the result is `false` then.
pub fn was_applied(metadata: &TableMetadata, commit: &TableCommit) -> bool {
    let added = |update: &TableUpdate| match update {
        TableUpdate::AddSnapshot { snapshot } => Some(has_snapshot(metadata, snapshot)),
        _ => None,
    };
    let mut found = commit.updates.iter().filter_map(added).peekable();
    found.peek().is_some() && found.all(|has_snapshot| has_snapshot)
}

fn has_snapshot(metadata: &TableMetadata, sent: &Snapshot) -> bool {
    let Some(existing) = metadata.snapshot(sent.id()) else { return false };
    let has_its_list = match (existing.manifest_list(), sent.manifest_list()) {
        (Ok(Some(existing)), Ok(Some(list))) => {
            existing == list || rebase::is_list_of(&existing, &list, sent.id())
        }
        _ => false,
    };
    has_its_list && summary(existing).is_some_and(|existing| Some(existing) == summary(sent))
}

/// Returns the summary of a snapshot without its totals, which change if the snapshot is rebased onto others.
fn summary(snapshot: &Snapshot) -> Option<BTreeMap<String, String>> {
    let summary = snapshot.summary().ok()?;
    Some(summary.into_iter().filter(|(name, _)| !name.starts_with("total-")).collect())
}
