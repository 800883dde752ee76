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
pub fn was_made(metadata: &TableMetadata, commit: &TableCommit) -> bool {
    let added = |update: &TableUpdate| match update {
        TableUpdate::AddSnapshot { snapshot } => Some(is_there(metadata, snapshot)),
        _ => None,
    };
    let mut found = commit.updates.iter().filter_map(added).peekable();
    found.peek().is_some() && found.all(|is_there| is_there)
}

fn is_there(metadata: &TableMetadata, sent: &Snapshot) -> bool {
    let Some(there) = metadata.snapshot(sent.id()) else { return false };
    let has_its_list = match (there.manifest_list(), sent.manifest_list()) {
        (Ok(Some(there)), Ok(Some(list))) => there == list || rebase::is_list_of(&there, &list, sent.id()),
        _ => false,
    };
    has_its_list && summary(there).is_some_and(|there| Some(there) == summary(sent))
}

/// Returns the summary of a snapshot without its totals, which change if the snapshot is rebased onto others.
fn summary(snapshot: &Snapshot) -> Option<BTreeMap<String, String>> {
    let summary = snapshot.summary().ok()?;
    Some(summary.into_iter().filter(|(name, _)| !name.starts_with("total-")).collect())
}
