//! History of a branch: its head, the ancestors, and the manifests of snapshots without a manifest list.

use std::collections::{HashMap, HashSet};

use super::context::Context;
use super::error::{Conflict, SnapshotError};
use crate::manifest::list::ManifestFile;
use crate::metadata::error::MetadataError;
use crate::metadata::snapshot::{MAIN_BRANCH, RefKind, Snapshot};
use crate::metadata::table::TableMetadata;

/// Snapshots of a table by id.
pub(super) struct SnapshotHistory<'a> {
    snapshots: HashMap<i64, &'a Snapshot>,
}

impl<'a> SnapshotHistory<'a> {
    pub(super) fn new(metadata: &'a TableMetadata) -> SnapshotHistory<'a> {
        let snapshots = metadata.snapshots().iter();
        SnapshotHistory { snapshots: snapshots.map(|snapshot| (snapshot.id(), snapshot)).collect() }
    }

    pub(super) fn get(&self, id: i64) -> Option<&'a Snapshot> {
        self.snapshots.get(&id).copied()
    }

    /// Returns a snapshot and its known ancestors, newest first. A cycle ends the iteration.
    pub(super) fn ancestors(&self, id: i64) -> impl Iterator<Item = &'a Snapshot> {
        let mut visited = HashSet::new();
        let mut next = self.get(id);
        std::iter::from_fn(move || {
            let snapshot = next.take().filter(|snapshot| visited.insert(snapshot.id()))?;
            next = snapshot.parent_id().and_then(|parent| self.get(parent));
            Some(snapshot)
        })
    }

    /// Returns the snapshots after `since` up to `head`, newest first.
    ///
    /// Fails if `since` is not among the ancestors of `head`; or, if `since` is `None`, if the beginning of
    /// the history has expired.
    pub(super) fn since(&self, head: i64, since: Option<i64>) -> Result<Vec<&'a Snapshot>, SnapshotError> {
        let after: Vec<_> =
            self.ancestors(head).take_while(|snapshot| Some(snapshot.id()) != since).collect();
        let reached = after.last().map_or(Some(head), |oldest| oldest.parent_id());
        if reached == since {
            return Ok(after);
        }
        Err(match since {
            Some(since) => Conflict::HistoryGone { since }.into(),
            None => SnapshotError::invalid(
                "the history of the branch is incomplete; name the snapshot that the change was computed from",
            ),
        })
    }
}

/// Returns the operation of a snapshot; `None` if its summary has none.
pub(super) fn operation(snapshot: &Snapshot) -> Result<Option<String>, MetadataError> {
    let entry = snapshot.summary()?.into_iter().find(|(key, _)| key == "operation");
    Ok(entry.map(|(_, value)| value))
}

/// Returns the parent of a new snapshot on a branch.
pub(super) fn parent<'a>(
    metadata: &'a TableMetadata,
    context: &Context,
) -> Result<Option<&'a Snapshot>, SnapshotError> {
    if metadata.snapshot(context.snapshot_id).is_some() || context.snapshot_id <= 0 {
        let id = context.snapshot_id;
        return Err(SnapshotError::Invalid(format!(
            "the snapshot id {id} already exists, or is not positive"
        )));
    }
    match metadata.refs().get(&context.branch) {
        Some(reference) if reference.kind == RefKind::Tag => {
            Err(SnapshotError::Invalid(format!("`{}` is a tag, which cannot be moved", context.branch)))
        }
        Some(reference) => match metadata.snapshot(reference.snapshot_id) {
            Some(head) => Ok(Some(head)),
            None => Err(Conflict::HistoryGone { since: reference.snapshot_id }.into()),
        },
        // A new branch begins at the head of `main`.
        None if context.branch == MAIN_BRANCH => Ok(None),
        None => Ok(metadata.current_snapshot()),
    }
}

/// Returns the manifests of a snapshot that lists them directly, as in the oldest tables (version 1).
pub(super) fn embedded(snapshot: &Snapshot) -> Result<Vec<ManifestFile>, SnapshotError> {
    let paths = snapshot.manifests()?.unwrap_or_default();
    Ok(paths.into_iter().map(|path| ManifestFile::embedded(path, 0, snapshot.id())).collect())
}
