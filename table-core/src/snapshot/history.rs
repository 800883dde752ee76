//! Walking from a snapshot to its ancestors.

use std::collections::HashSet;

use super::error::{Conflict, SnapshotError};
use crate::metadata::error::MetadataError;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::table::TableMetadata;

/// A snapshot and its ancestors as far as they are known, newest first. A circle ends it.
pub(super) fn ancestors(metadata: &TableMetadata, id: i64) -> impl Iterator<Item = &Snapshot> {
    let mut seen = HashSet::new();
    let mut next = metadata.snapshot(id);
    std::iter::from_fn(move || {
        let snapshot = next.take().filter(|snapshot| seen.insert(snapshot.id()))?;
        next = snapshot.parent_id().and_then(|parent| metadata.snapshot(parent));
        Some(snapshot)
    })
}

/// The snapshots after `since` up to `head`, newest first.
///
/// Fails if `since` is not among the ancestors, or if there is no beginning where `since` is none.
pub(super) fn since(
    metadata: &TableMetadata,
    head: i64,
    since: Option<i64>,
) -> Result<Vec<&Snapshot>, SnapshotError> {
    let after: Vec<_> =
        ancestors(metadata, head).take_while(|snapshot| Some(snapshot.id()) != since).collect();
    let reached = after.last().map_or(Some(head), |oldest| oldest.parent_id());
    if reached == since {
        return Ok(after);
    }
    Err(match since {
        Some(since) => Conflict::HistoryGone { since }.into(),
        None => SnapshotError::Invalid(
            "the history of the branch has no beginning any more; say from which snapshot the change was computed"
                .to_owned(),
        ),
    })
}

/// A snapshot's operation; `None` if it does not say.
pub(super) fn operation(snapshot: &Snapshot) -> Result<Option<String>, MetadataError> {
    let entry = snapshot.summary()?.into_iter().find(|(key, _)| key == "operation");
    Ok(entry.map(|(_, value)| value))
}
