//! Commit of a batch of rewritten groups, planned on the current state of the table. Groups that conflict with
//! concurrent commits are left for the next compaction.

use std::borrow::Cow;
use std::collections::HashSet;

use table_core::manifest::list::{ManifestContent, ManifestFile};
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::dangling::{DataFileKey, Finder};
use table_core::rewrite::live::LiveFiles;
use table_core::rewrite::plan::CompactionPlan;
use table_core::snapshot::change::{ChangeKind, DeleteKey, FileChange};
use table_core::snapshot::commit::NewSnapshot;
use table_core::snapshot::error::{Conflict, NewDelete, SnapshotError};
use uuid::Uuid;

use super::batch::Batch;
use super::remap::{self, Moved};
use crate::commit::{ATTEMPTS_MAX, Attempt, SnapshotCommit, commit_until_settled};
use crate::context::JobContext;
use crate::error::JobError;
use crate::execute::input::removed;
use crate::execute::rewrite::Rewritten;
use crate::output_ledger::OutputLedger;
use crate::report::JobReport;
use crate::table;

/// Maximum number of times that a commit is planned on the same table metadata because of deletes that were
/// added concurrently.
const REMAPS_MAX: usize = 3;
/// Reason for which a group is dropped if its inputs were changed.
const CHANGED: &str = "files were replaced, removed or added again meanwhile";

/// Commit of a batch.
pub(super) struct BatchCommit<'a> {
    pub(super) job: &'a JobContext<'a>,
    pub(super) plan: &'a CompactionPlan,
    /// Live files of the planned snapshot.
    pub(super) live: &'a LiveFiles,
    pub(super) outputs: &'a OutputLedger<'a>,
    /// Id of the schema that the new files were written with.
    pub(super) schema_id: i32,
    pub(super) commit_uuid: Uuid,
}

/// Outcome of planning a commit on one state of the table.
enum PlannedBatch {
    /// Snapshot to be committed, with the locations of the delete files written for it.
    Planned(Box<NewSnapshot>, Vec<String>),
    /// Groups were removed from the batch because of conflicts; the others have to be planned again.
    Dropped,
    /// Deletes were added faster than they could be translated.
    Retry,
}

impl BatchCommit<'_> {
    /// Commits a batch, or what is left of it after conflicts.
    pub(super) fn commit(&self, mut batch: Batch<'_>, report: &mut JobReport) -> Result<(), JobError> {
        if batch.is_empty() {
            return Ok(());
        }
        let committed = commit_until_settled(self.job, |table, attempt| {
            if let Some(unpublished) = self.job.unpublished(&table.metadata)? {
                batch.drop_all(&unpublished.explain(), report);
                return Ok(Attempt::Nothing);
            }
            match self.plan(&table.metadata, &mut batch, attempt, report)? {
                PlannedBatch::Planned(snapshot, deletes) => {
                    let commit = SnapshotCommit {
                        snapshot: &snapshot,
                        attempt_files: deletes,
                        result_files: batch.files().map(|file| file.path.clone()).collect(),
                        counts: batch.counts(),
                    };
                    self.job.commit_snapshot(self.outputs, report, commit)
                }
                PlannedBatch::Dropped if batch.is_empty() => Ok(Attempt::Nothing),
                PlannedBatch::Dropped => Ok(Attempt::Reduced),
                PlannedBatch::Retry => Ok(Attempt::Lost),
            }
        });
        committed.map(drop)
    }

    fn plan(
        &self,
        metadata: &TableMetadata,
        batch: &mut Batch<'_>,
        attempt: u32,
        report: &mut JobReport,
    ) -> Result<PlannedBatch, JobError> {
        if metadata.current_schema_id() != self.schema_id {
            batch.convert_partitions(metadata)?;
        }
        let count = batch.groups.len();
        let mut live = self.live_at(metadata, attempt)?;
        if let Some(Cow::Owned(live)) = &live {
            batch.drop_groups(&batch.changed_entries(live), CHANGED, report);
        }
        let mut moved = Moved::default();
        for _ in 0..REMAPS_MAX {
            if batch.is_empty() {
                break;
            }
            let change = self.change(metadata, batch, live.as_deref(), &moved)?;
            let context = self.job.snapshot_context(self.commit_uuid, attempt);
            let conflict = match self.job.plan_snapshot(metadata, &change, context) {
                Ok(new) => return Ok(PlannedBatch::Planned(Box::new(new), moved.written.locations)),
                Err(JobError::Snapshot(SnapshotError::Conflict(conflict))) => conflict,
                Err(error) => return Err(error),
            };
            self.outputs.delete(&moved.written.locations);
            // The translated deletes are for this plan only, because the next plan may contain fewer groups.
            let before = std::mem::take(&mut moved).found;
            match conflict {
                Conflict::NewDeletes(found) => {
                    let found = before.into_iter().chain(found).collect();
                    match self.translate_deletes(metadata, batch, found, report)? {
                        Some(all) => moved = all,
                        None => break,
                    }
                }
                Conflict::FilesGone(gone) | Conflict::EntriesChanged(gone) => {
                    if !batch.drop_groups(&gone.into_iter().collect(), CHANGED, report) {
                        live = None;
                    }
                }
                other => {
                    batch.drop_all(&other.to_string(), report);
                }
            }
        }
        self.outputs.delete(&moved.written.locations);
        Ok(if batch.groups.len() < count { PlannedBatch::Dropped } else { PlannedBatch::Retry })
    }

    /// Translates concurrent position deletes to the new files of a batch. Returns `None` if that is not
    /// possible; then groups were removed from the batch.
    fn translate_deletes(
        &self,
        metadata: &TableMetadata,
        batch: &mut Batch<'_>,
        found: Vec<NewDelete>,
        report: &mut JobReport,
    ) -> Result<Option<Moved>, JobError> {
        let rewritten: Vec<&Rewritten> = batch.groups.iter().map(|done| &done.rewritten).collect();
        match remap::translate(self.job, metadata, &rewritten, found, self.outputs) {
            Ok(remap::Outcome::Moved(all)) => return Ok(Some(all)),
            Ok(remap::Outcome::Impossible(files)) => {
                let reason = "rows were deleted meanwhile, and their order was not kept";
                batch.drop_groups(&files, reason, report);
            }
            // A concurrent delete file cannot be read. The next plan does not contain the groups that it
            // applies to.
            Err(error) if error.is_of_files() => {
                batch.drop_all(&error.to_string(), report);
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// Returns the change that replaces the inputs of a batch by its outputs. New files take the data
    /// sequence number of the planned snapshot, so that deletes committed since still apply to them. Deletes
    /// that become dangling are removed in the same commit.
    ///
    /// Rows that move to another partition spec take the sequence number of the commit instead. Equality
    /// deletes committed since are scoped to the old or to the new spec, and would apply to too few or too
    /// many of the rows. Either all groups of a batch move, or none does.
    fn change(
        &self,
        metadata: &TableMetadata,
        batch: &Batch<'_>,
        live: Option<&LiveFiles>,
        moved: &remap::Moved,
    ) -> Result<FileChange, JobError> {
        let mut change = FileChange::new(ChangeKind::Replace);
        change.added_data = batch.files().cloned().collect();
        change.data_sequence_number = (!batch.is_moving()).then_some(self.plan.sequence_number);
        let inputs = batch.groups.iter().flat_map(|done| &done.group.inputs);
        change.removed_data = inputs.map(|input| removed(metadata, input)).collect::<Result<_, _>>()?;
        if let Some(live) = live {
            change.removed_deletes = self.dangling(live, &change);
        }
        change.added_deletes.clone_from(&moved.written.deletes);
        change.checks.translated = moved.found.iter().map(|found| DeleteKey::of(&found.delete)).collect();
        change.checks.since = Some(self.plan.snapshot_id);
        Ok(change)
    }

    /// Returns the live files of the current state of the table, to find dangling deletes. `None` if the
    /// table has no deletes, or after so many lost races that a fast commit is more important.
    fn live_at(
        &self,
        metadata: &TableMetadata,
        attempt: u32,
    ) -> Result<Option<Cow<'_, LiveFiles>>, JobError> {
        let Some(head) = metadata.current_snapshot() else { return Ok(None) };
        if head.id() == self.plan.snapshot_id {
            return Ok(Some(Cow::Borrowed(self.live)));
        }
        let has_deletes =
            |line: &ManifestFile| line.content == ManifestContent::Deletes && line.may_have_live_files();
        if attempt > ATTEMPTS_MAX / 2 || !table::manifests_of(self.job.files, head)?.iter().any(has_deletes) {
            return Ok(None);
        }
        // Finished groups are committed even if the job has to stop.
        Ok(Some(Cow::Owned(table::live_files(self.job.files, metadata, head, || Ok(()))?)))
    }

    /// Returns the deletes that apply to no file any more after the change.
    fn dangling(&self, live: &LiveFiles, change: &FileChange) -> Vec<DeleteKey> {
        let removed: HashSet<&str> = change.removed_data.iter().map(|file| file.path.as_str()).collect();
        let mut finder = Finder::new(&live.deletes);
        let kept = live.files.iter().filter(|file| !removed.contains(file.path.as_str()));
        for file in kept {
            finder.add(DataFileKey {
                path: &file.path,
                spec_id: file.spec_id,
                partition: &file.partition,
                sequence_number: file.sequence_number,
            });
        }
        for file in &change.added_data {
            finder.add(DataFileKey {
                path: &file.path,
                spec_id: file.spec_id,
                partition: &file.partition,
                sequence_number: self.plan.sequence_number,
            });
        }
        let dangling = finder.finish().into_iter();
        dangling.map(|found| DeleteKey { path: found.path, content_offset: found.content_offset }).collect()
    }
}
