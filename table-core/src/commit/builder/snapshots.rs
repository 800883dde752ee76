//! Updates of snapshots and of the refs (branches and tags) that point at them.

use std::collections::BTreeMap;

use crate::metadata::clock::{CLOCK_SKEW_MAX_MS, TIME_MIN_MS};
use crate::metadata::incoming;
use crate::metadata::snapshot::{MAIN_BRANCH, NO_SNAPSHOT, RefKind, Snapshot, SnapshotLogEntry, SnapshotRef};
use crate::metadata::statistics::StatisticsFile;

use super::super::error::CommitError;
use super::Builder;

impl Builder {
    pub(super) fn add_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), CommitError> {
        let (id, version) = (snapshot.id(), self.next.format_version);
        if self.next.schemas.is_empty() {
            return Err(CommitError::invalid("add a schema before a snapshot"));
        }
        if self.snapshot_ids.contains(&id) {
            return Err(CommitError::invalid(format!("Snapshot already exists for id: {id}")));
        }
        if self.removed_snapshots.contains(&id) {
            return Err(CommitError::invalid(format!(
                "the snapshot {id} cannot be removed and added in one commit"
            )));
        }
        if id == NO_SNAPSHOT {
            return Err(CommitError::invalid(format!(
                "the snapshot id {id} means that there is no snapshot"
            )));
        }
        self.check_clock(snapshot)?;
        if snapshot.parent_id() == Some(id) {
            return Err(CommitError::invalid(format!("the snapshot {id} is its own parent")));
        }
        let has_list = snapshot.manifest_list().map_err(|error| CommitError::malformed(&error))?.is_some();
        let has_manifests =
            version == 1 && snapshot.manifests().map_err(|error| CommitError::malformed(&error))?.is_some();
        if !has_list && !has_manifests {
            return Err(CommitError::invalid(format!("the snapshot {id} has no `manifest-list`")));
        }
        self.check_sequence_number(snapshot)?;
        if let Some(schema_id) = snapshot.schema_id() {
            self.check_not_cleaned_up("schema", schema_id)?;
        }
        if version >= 3 {
            self.next.next_row_id = self.next_row_id_after(snapshot)?;
        }
        incoming::check_snapshot(snapshot).map_err(|error| CommitError::invalid_part(&error))?;

        self.next.last_sequence_number = self.next.last_sequence_number.max(snapshot.sequence_number());
        self.next.snapshots.push(snapshot.clone());
        self.snapshot_ids.insert(id);
        self.added_snapshots.insert(id, snapshot.timestamp_ms());
        Ok(())
    }

    /// Refuses a snapshot with a timestamp in the future: time travel, retention and statistics of every
    /// client would be wrong until that time comes. A timestamp in the past is accepted, down to the earliest
    /// one that readers can compute with.
    fn check_clock(&self, snapshot: &Snapshot) -> Result<(), CommitError> {
        if snapshot.timestamp_ms() < TIME_MIN_MS {
            return Err(CommitError::invalid(format!(
                "the snapshot {} was made at {}, which is too long ago for readers; set the clock of the client and commit again",
                snapshot.id(),
                snapshot.timestamp_ms()
            )));
        }
        let ahead_ms = snapshot.timestamp_ms().saturating_sub(self.now_ms);
        if ahead_ms <= CLOCK_SKEW_MAX_MS {
            return Ok(());
        }
        Err(CommitError::invalid(format!(
            "the snapshot {} was made at {}, {} seconds after now by the clock of this server ({}); set the clock of the \
             client and commit again",
            snapshot.id(),
            snapshot.timestamp_ms(),
            ahead_ms / 1000,
            self.now_ms
        )))
    }

    fn check_sequence_number(&self, snapshot: &Snapshot) -> Result<(), CommitError> {
        let (number, last) = (snapshot.sequence_number(), self.next.last_sequence_number);
        if self.next.format_version == 1 {
            if number != 0 {
                return Err(CommitError::invalid(format!("Sequence number must be 0 in v1: {number}")));
            }
            return Ok(());
        }
        // A snapshot without a parent starts a history of its own and may have the last sequence number
        // again.
        let is_possible = number > last || (number == last && snapshot.parent_id().is_none());
        if is_possible {
            return Ok(());
        }
        Err(CommitError::Stale(format!(
            "Cannot add snapshot with sequence number {number} older than last sequence number {last}; refresh and \
             commit again"
        )))
    }

    /// Returns the `next-row-id` of the table after the rows of `snapshot` have been assigned their row ids.
    fn next_row_id_after(&self, snapshot: &Snapshot) -> Result<i64, CommitError> {
        let Some(first) = snapshot.first_row_id() else {
            return Err(CommitError::invalid("Cannot add a snapshot: first-row-id is null"));
        };
        let Some(added) = snapshot.added_rows() else {
            return Err(CommitError::invalid("Cannot add a snapshot: added-rows is null"));
        };
        let next = self.next.next_row_id;
        if first < next {
            return Err(CommitError::Stale(format!(
                "Cannot add a snapshot, first-row-id is behind table next-row-id: {first} < {next}"
            )));
        }
        if added < 0 {
            return Err(CommitError::invalid(format!(
                "Cannot add a snapshot: added-rows is negative: {added}"
            )));
        }
        // Counts from the snapshot's own `first-row-id`, not from the table's `next-row-id`, so that a gap
        // before it stays unused.
        first.checked_add(added).ok_or_else(|| CommitError::invalid("all row ids are used up"))
    }

    pub(super) fn set_ref(&mut self, name: &str, reference: &SnapshotRef) -> Result<(), CommitError> {
        check_ref(name, reference)?;
        let id = reference.snapshot_id;
        if !self.snapshot_ids.contains(&id) {
            return Err(CommitError::invalid(format!("Cannot set {name} to unknown snapshot: {id}")));
        }
        // A ref whose snapshot was removed earlier in this commit counts as removed, too.
        let existing =
            self.next.refs.get(name).filter(|existing| self.snapshot_ids.contains(&existing.snapshot_id));
        let reference = match existing.filter(|existing| existing.kind == reference.kind) {
            // Most writers move a branch without repeating its retention settings, and expect them to be
            // preserved. A client that means to reset them removes the ref first.
            Some(existing) => reference.over(existing)?,
            None => reference.clone(),
        };
        if existing.is_some_and(|existing| existing.is_same(&reference)) {
            return Ok(());
        }
        if name == MAIN_BRANCH {
            self.next.current_snapshot_id = Some(id);
            self.log_main(id);
        }
        self.next.refs.set(name, reference);
        Ok(())
    }

    fn log_main(&mut self, id: i64) {
        let made_ms = self.added_snapshots.get(&id).copied();
        // Readers require a sorted log that does not end after `last-updated-ms`, independent of the clocks
        // of clients. Within these bounds, a snapshot became current at its own timestamp, so that time
        // travel to that instant finds it.
        let previous_ms = self.next.snapshot_log.last().map_or(i64::MIN, |entry| entry.timestamp_ms);
        let since_ms = made_ms.unwrap_or(self.now_ms).min(self.now_ms).max(previous_ms);
        self.next.snapshot_log.push(SnapshotLogEntry::new(since_ms, id));
        self.next.last_updated_ms = self.next.last_updated_ms.max(since_ms);
        if made_ms.is_some() {
            self.was_main.push(id);
        }
    }

    pub(super) fn remove_ref(&mut self, name: &str) {
        if name == MAIN_BRANCH {
            self.next.current_snapshot_id = None;
        }
        self.next.refs.remove(name);
    }

    pub(super) fn remove_snapshots(&mut self, ids: &[i64]) {
        for id in ids {
            if self.snapshot_ids.remove(id) {
                self.removed_snapshots.insert(*id);
                self.statistics.insert(*id, None);
                self.partition_statistics.insert(*id, None);
            }
        }
    }

    /// Removes the snapshots that the updates removed, and the refs and statistics that belong to them.
    ///
    /// Runs once after all updates: old clients send one removal per snapshot, and each pass is linear in the
    /// number of snapshots of the table.
    pub(super) fn settle_snapshots(&mut self) {
        let (next, removed, ids) = (&mut self.next, &self.removed_snapshots, &self.snapshot_ids);
        if !removed.is_empty() {
            next.snapshots.retain(|snapshot| !removed.contains(&snapshot.id()));
            next.refs.retain(|reference| ids.contains(&reference.snapshot_id));
            next.current_snapshot_id = next.current_snapshot_id.filter(|id| ids.contains(id));
        }
        settle_files(&mut next.statistics, std::mem::take(&mut self.statistics));
        settle_files(&mut next.partition_statistics, std::mem::take(&mut self.partition_statistics));
    }
}

/// Applies `changes` to a list of statistics files: for each snapshot in it one file, in the place of the
/// first existing one, or none.
fn settle_files(files: &mut Vec<StatisticsFile>, mut changes: BTreeMap<i64, Option<StatisticsFile>>) {
    if changes.is_empty() {
        return;
    }
    let mut settled = Vec::with_capacity(files.len());
    for file in files.drain(..) {
        match changes.get_mut(&file.snapshot_id()) {
            None => settled.push(file),
            Some(change) => settled.extend(change.take()),
        }
    }
    settled.extend(changes.into_values().flatten());
    *files = settled;
}

pub(in crate::commit) fn check_ref(name: &str, reference: &SnapshotRef) -> Result<(), CommitError> {
    let refuse =
        |reason: &str| Err(CommitError::invalid(format!("the reference `{name}` is invalid: {reason}")));
    if name.is_empty() {
        return refuse("its name is empty");
    }
    let is_tag = reference.kind == RefKind::Tag;
    if is_tag && name == MAIN_BRANCH {
        return refuse("`main` is always a branch");
    }
    if is_tag && (reference.min_snapshots_to_keep.is_some() || reference.max_snapshot_age_ms.is_some()) {
        return refuse("tags do not support `min-snapshots-to-keep` and `max-snapshot-age-ms`");
    }
    let retention =
        [reference.min_snapshots_to_keep, reference.max_snapshot_age_ms, reference.max_ref_age_ms];
    if retention.into_iter().flatten().any(|value| value <= 0) {
        return refuse("its retention must be greater than 0");
    }
    Ok(())
}
