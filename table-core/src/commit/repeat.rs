//! Commits that are sent again because their client has not heard that they were made: the answer was lost with the connection,
//! or the server with the answer.
//!
//! To refuse them is not safe. Clients that are told of a conflict delete the files of their commit, which the table names by
//! then (`DuckDB` sends a request again by itself, and does so).

use std::collections::BTreeMap;

use super::request::TableCommit;
use super::update::TableUpdate;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::table::TableMetadata;
use crate::snapshot::rebase;

/// Whether a table has the snapshots that a commit adds, each with its own manifest list and summary: nobody else makes the same,
/// so the commit was made. It was made as a whole, whatever else it holds and whatever came after it.
///
/// A commit without snapshots cannot be told apart from another one.
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

/// What a snapshot did. Totals are others once it was put on top of others.
fn summary(snapshot: &Snapshot) -> Option<BTreeMap<String, String>> {
    let summary = snapshot.summary().ok()?;
    Some(summary.into_iter().filter(|(name, _)| !name.starts_with("total-")).collect())
}
