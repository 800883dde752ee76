//! Compaction: merges small data files and applies deletes. It plans, rewrites group by group, and commits
//! several groups at a time. At the end, equality deletes of files that are not rewritten are converted to
//! position deletes ([`convert`]).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use openapi::maintenance::UnreadableFile;
use serde_json::{Value as Json, json};
use table_core::manifest::data_file::DataFile;
use table_core::manifest::list::{ManifestContent, ManifestFile};
use table_core::metadata::properties;
use table_core::metadata::snapshot::Snapshot;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::active_partitions;
use table_core::rewrite::compact::{PlannedTable, Planner};
use table_core::rewrite::dangling::{DataFileKey, Finder};
use table_core::rewrite::health::TableFacts;
use table_core::rewrite::live::{LiveFiles, partition_from_json, partition_to_json};
use table_core::rewrite::plan::{CompactionPlan, Group, Reason, SkipReason};
use table_core::rewrite::policy::MaintenancePolicy;
use table_core::snapshot::change::{ChangeKind, DeleteKey, FileChange};
use table_core::snapshot::commit::NewSnapshot;
use table_core::snapshot::error::{Conflict, NewDelete, SnapshotError};
use table_core::text;

use super::{ATTEMPTS_MAX, Attempt, Report, convert, remap, unreadable};
use crate::context::Work;
use crate::error::JobError;
use crate::execute::deletes::Targets;
use crate::execute::input::{removed, types_of};
use crate::execute::rewrite::{Rewriter, Rewritten};
use crate::host::{Outputs, Progress, Unit};
use crate::table;

/// Table property with the target size of data files, in bytes.
const TARGET_BYTES: &str = "write.target-file-size-bytes";
const MINUTE_MS: i64 = 60_000;
/// Minimum age of dangling deletes, in milliseconds, for a commit that only removes them. Before, they wait
/// for another commit that removes them along with its other changes.
const SETTLED_MS: i64 = 24 * 60 * MINUTE_MS;
/// Size of the inputs of one commit, in bytes: large enough that a table with many partitions does not get a
/// snapshot for each of them, and small enough that a conflict does not waste hours of work.
const BATCH_BYTES: i64 = 16 << 30;
const BATCH_GROUPS: usize = 500;
/// Maximum number of times that a commit is planned on the same table metadata because of deletes that were
/// added concurrently.
const REMAPS_MAX: usize = 3;

/// Maximum number of passes, each planned without the files that could not be read before. The first pass
/// finds all unreadable files of its groups; later ones find only files that change meanwhile.
const PASSES_MAX: usize = 3;

/// Plans a compaction that skips the files `unreadable`. Returns the plan and the live files of the current
/// snapshot; `None` if the table has no snapshot.
///
/// # Errors
///
/// Fails with [`JobError::Options`] if the settings of the policies contradict each other, and for the
/// reasons of [`table::live_files`], for example if a manifest cannot be read.
pub fn plan(
    work: &Work<'_>,
    metadata: &TableMetadata,
    policy: &MaintenancePolicy,
    unreadable: &[UnreadableFile],
) -> Result<Option<(CompactionPlan, LiveFiles)>, JobError> {
    let now_ms = (work.outside.now_ms)();
    let Some(snapshot) = metadata.current_snapshot() else { return Ok(None) };
    let live = table::live_files(work.files, metadata, snapshot, || work.host.check())?;
    let target_bytes = u64::try_from(properties::number(metadata.properties(), TARGET_BYTES, 0)).ok();
    let options = policy.compact_options(target_bytes.filter(|bytes| *bytes > 0))?;
    let settle_ms = i64::from(policy.compact.settle_minutes.unwrap_or(0)) * MINUTE_MS;
    let lately_ms = now_ms.saturating_sub(settle_ms).saturating_add(1)..=now_ms.saturating_add(settle_ms);
    let facts = PlannedTable {
        snapshot_id: snapshot.id(),
        sequence_number: snapshot.sequence_number(),
        bytes: live.files.iter().map(|file| file.size_bytes).fold(0, i64::saturating_add),
        output_spec_id: metadata.default_spec_id(),
        settled_sequence_number: sequence_number_at(metadata, now_ms.saturating_sub(SETTLED_MS)),
        active_partitions: active_partitions::partitions(metadata, &live, lately_ms)?,
        unreadable: unreadable.iter().map(|file| file.path.clone()).collect(),
    };
    let plan = Planner::new(&live, &facts, &options)?.plan();
    Ok(Some((plan, live)))
}

/// Returns the greatest sequence number that the table had at a time, according to its snapshots.
fn sequence_number_at(metadata: &TableMetadata, at_ms: i64) -> i64 {
    let before = metadata.snapshots().iter().filter(|snapshot| snapshot.timestamp_ms() <= at_ms);
    before.map(Snapshot::sequence_number).max().unwrap_or(0)
}

/// Adds the counts of a table's files and deletes to `facts`.
pub fn count(plan: &CompactionPlan, live: &LiveFiles, facts: &mut TableFacts) {
    let number = |number: i64| u64::try_from(number).unwrap_or(0);
    let mut partitions = BTreeSet::new();
    for file in &live.files {
        facts.files += 1;
        facts.bytes += number(file.size_bytes);
        facts.rows += number(file.record_count);
        if plan.size_classes.is_small(file.size_bytes) {
            facts.small_files += 1;
            partitions.insert((file.spec_id, &file.partition));
        }
    }
    facts.small_files_merged = partitions.len() as u64;
    for delete in &live.deletes {
        if delete.content == table_core::manifest::entry::FileContent::EqualityDeletes {
            facts.equality_delete_files += 1;
        } else {
            facts.deleted_rows += number(delete.record_count);
        }
    }
}

/// Compacts a table. `report` also contains what was done before a failure.
///
/// Files that cannot be read are skipped, and the compaction is planned again without them.
///
/// # Errors
///
/// Fails if the table cannot be loaded or planned (see [`plan`]), if the job has to stop, if a file cannot be
/// written or a commit is refused, if concurrent commits prevent every attempt ([`JobError::LostRaces`]), if
/// the outcome of a commit is unknown ([`JobError::OutcomeUnknown`]), and if more than
/// [`unreadable::UNREADABLE_MAX`] files cannot be read ([`JobError::Verification`]). Groups that were
/// rewritten before are still committed, unless the lease is lost or a commit itself has failed.
pub fn run(work: &Work<'_>, report: &mut Report) -> Result<(), JobError> {
    let outputs = Outputs::new(work.host, work.files);
    let mut left = unreadable::unchanged(work)?;
    let done = (|| {
        for _ in 0..PASSES_MAX {
            work.host.progress(Progress { doing: "planning".to_owned(), ..Progress::default() });
            let metadata = work.catalog.load()?.metadata;
            if let Some(unpublished) = work.unpublished(&metadata)? {
                report.leave(unpublished.explain());
                return Ok(());
            }
            let Some((plan, live)) = plan(work, &metadata, work.policy, &left)? else { return Ok(()) };
            left = unreadable::of_snapshot(std::mem::take(&mut left), &live);
            let mut compaction = Compaction {
                work,
                plan: &plan,
                live: &live,
                outputs: &outputs,
                report: &mut *report,
                schema_id: metadata.current_schema_id(),
                found: Vec::new(),
                broken: None,
            };
            let mut done = compaction.run(&metadata);
            let mut found = compaction.found;
            if done.is_ok() {
                done = convert::run(work, &metadata, &plan, &outputs, report, &mut found);
            }
            outputs.discard_all();
            let is_whole = found.is_empty();
            unreadable::add(&mut left, found);
            done?;
            if is_whole {
                return Ok(());
            }
            if left.len() > unreadable::UNREADABLE_MAX {
                let told = unreadable::told(&left).unwrap_or_default();
                return Err(JobError::Verification(told));
            }
        }
        Ok(())
    })();
    // Files that were written and not committed.
    outputs.discard_all();
    report.tell_unreadable(left);
    done
}

/// Compaction in progress.
struct Compaction<'a> {
    work: &'a Work<'a>,
    plan: &'a CompactionPlan,
    live: &'a LiveFiles,
    outputs: &'a Outputs<'a>,
    report: &'a mut Report,
    /// Id of the schema that new files are written with.
    schema_id: i32,
    /// Files that could not be read.
    found: Vec<UnreadableFile>,
    /// First error of a group that was not caused by an unreadable file.
    broken: Option<JobError>,
}

/// Group whose files are written but not committed.
struct Done<'a> {
    number: usize,
    group: &'a Group,
    rewritten: Rewritten,
}

impl<'a> Compaction<'a> {
    fn run(&mut self, metadata: &TableMetadata) -> Result<(), JobError> {
        let sorted = self.work.policy.compact.sort != Some(false);
        let rewriter = Rewriter::new(self.work, metadata, self.plan.output_spec_id, sorted)?;
        let mut batch = Vec::new();
        let mut batch_bytes = 0_i64;
        let count = self.plan.groups.len();
        // Files that move to another partition spec come last, because they are committed separately.
        let mut groups: Vec<&Group> = self.plan.groups.iter().collect();
        groups.sort_by_key(|group| group.partition.is_none());
        for (number, group) in groups.into_iter().enumerate() {
            self.work.host.progress(Progress {
                doing: format!(
                    "group {} of {count}: {}",
                    number + 1,
                    text::count(group.inputs.len() as u64, "file", "files")
                ),
                done: number as u64,
                total: count as u64,
                unit: Unit("group", "groups"),
            });
            let moves = batch.first().is_some_and(|done: &Done<'_>| done.group.partition.is_none());
            if moves != group.partition.is_none() {
                self.commit(std::mem::take(&mut batch))?;
                batch_bytes = 0;
            }
            match rewriter.rewrite(group, self.outputs) {
                Ok(rewritten) => batch.push(Done { number, group, rewritten }),
                Err(error) => match self.leave_out(metadata, (number, group), error) {
                    Ok(()) => {}
                    // Without the lease, another worker deletes the output files.
                    Err(error @ JobError::LeaseLost(_)) => return Err(error),
                    // Groups that are written are committed even if the job has to end.
                    Err(error) => {
                        self.commit(batch)?;
                        return Err(error);
                    }
                },
            }
            batch_bytes = batch_bytes.saturating_add(group.input_bytes);
            if batch_bytes >= BATCH_BYTES || batch.len() >= BATCH_GROUPS {
                self.commit(std::mem::take(&mut batch))?;
                batch_bytes = 0;
            }
        }
        self.commit(batch)?;
        self.broken.take().map_or(Ok(()), Err)
    }

    /// Skips a group that could not be rewritten, or finds the unreadable files because of which it could
    /// not.
    ///
    /// Returns the error if it also prevents the other groups from being rewritten.
    fn leave_out(
        &mut self,
        metadata: &TableMetadata,
        (number, group): (usize, &Group),
        error: JobError,
    ) -> Result<(), JobError> {
        let error = if error.is_of_files() {
            let targets = Targets { inputs: &group.inputs, deletes: &group.deletes };
            match unreadable::find(self.work, metadata, targets, error) {
                Ok(found) => {
                    self.found.extend(found);
                    return Ok(());
                }
                Err(error) => error,
            }
        } else {
            error
        };
        if !error.is_of_files() && !matches!(error, JobError::Budget { .. }) {
            return Err(error);
        }
        self.report.leave(format!("group {}: {error}", number + 1));
        self.broken.get_or_insert(error);
        Ok(())
    }

    /// Commits groups on the current state of the table. Groups that conflict with concurrent commits are
    /// left for the next compaction.
    fn commit(&mut self, mut batch: Vec<Done<'a>>) -> Result<(), JobError> {
        let commit_uuid = (self.work.outside.uuid)();
        for attempt in 1..=ATTEMPTS_MAX {
            if batch.is_empty() {
                return Ok(());
            }
            let metadata = self.work.catalog.load()?.metadata;
            if let Some(unpublished) = self.work.unpublished(&metadata)? {
                let all = batch.iter().flat_map(|done| &done.group.inputs).map(|input| input.path.clone());
                let all = all.collect();
                self.drop_groups(&mut batch, &all, &unpublished.explain());
                return Ok(());
            }
            let Some(new) = self.new_snapshot(&metadata, &mut batch, commit_uuid, attempt)? else { continue };
            let written: Vec<String> = paths(&batch).cloned().collect();
            let attempt = self.work.commit(self.outputs, &new.snapshot).inspect_err(|error| {
                if matches!(error, JobError::OutcomeUnknown(_)) {
                    self.outputs.leave(&written);
                    self.outputs.leave(&new.deletes);
                }
            })?;
            match attempt {
                Attempt::Done => {
                    self.outputs.settle(written.iter().chain(&new.deletes));
                    self.count(&batch, new.snapshot.snapshot.id());
                    return Ok(());
                }
                Attempt::Lost => self.outputs.discard(&new.deletes),
            }
        }
        Err(JobError::LostRaces(ATTEMPTS_MAX))
    }

    /// Plans a commit on the current state of the table; `None` if there is a conflict, which then was
    /// resolved by removing groups from the batch.
    fn new_snapshot(
        &mut self,
        metadata: &TableMetadata,
        batch: &mut Vec<Done<'a>>,
        commit_uuid: uuid::Uuid,
        attempt: u32,
    ) -> Result<Option<New>, JobError> {
        if metadata.current_schema_id() != self.schema_id {
            batch
                .iter_mut()
                .flat_map(|done| &mut done.rewritten.files)
                .try_for_each(|file| fit(metadata, file))?;
        }
        let mut moved = remap::Moved::default();
        let mut live = self.live_at(metadata, attempt)?;
        if let Some(Cow::Owned(live)) = &live {
            let changed = changed_entries(live, batch);
            self.drop_groups(batch, &changed, "files were replaced, removed or added again meanwhile");
            if batch.is_empty() {
                return Ok(None);
            }
        }
        for _ in 0..REMAPS_MAX {
            let change = self.change(metadata, batch, live.as_deref(), &moved)?;
            let planned = self.work.plan(metadata, &change, self.work.context(commit_uuid, attempt));
            let conflict = match planned {
                Ok(snapshot) => return Ok(Some(New { snapshot, deletes: moved.written.locations })),
                Err(JobError::Snapshot(SnapshotError::Conflict(conflict))) => conflict,
                Err(error) => return Err(error),
            };
            self.outputs.discard(&moved.written.locations);
            // The translated deletes are for this plan only, because the next plan may contain fewer groups.
            let before = std::mem::take(&mut moved).found;
            match conflict {
                Conflict::NewDeletes(found) => {
                    let found = before.into_iter().chain(found).collect();
                    match self.translate_deletes(metadata, batch, found)? {
                        Some(all) => moved = all,
                        None => return Ok(None),
                    }
                }
                Conflict::FilesGone(gone) | Conflict::EntriesChanged(gone) => {
                    let gone: HashSet<String> = gone.into_iter().collect();
                    let before = batch.len();
                    self.drop_groups(batch, &gone, "files were replaced, removed or added again meanwhile");
                    if batch.len() == before {
                        live = None;
                    }
                    if batch.is_empty() {
                        return Ok(None);
                    }
                }
                other => {
                    self.drop_groups(batch, &inputs_of(batch), &other.to_string());
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }

    /// Translates concurrent position deletes to the new files of a batch. Returns `None` if that is not
    /// possible, which then was resolved by removing groups from the batch.
    fn translate_deletes(
        &mut self,
        metadata: &TableMetadata,
        batch: &mut Vec<Done<'a>>,
        found: Vec<NewDelete>,
    ) -> Result<Option<remap::Moved>, JobError> {
        let rewritten: Vec<&Rewritten> = batch.iter().map(|done| &done.rewritten).collect();
        match remap::translate(self.work, metadata, &rewritten, found, self.outputs) {
            Ok(remap::Outcome::Moved(all)) => return Ok(Some(all)),
            Ok(remap::Outcome::Impossible(files)) => {
                let why = "rows were deleted meanwhile, and their order was not kept";
                self.drop_groups(batch, &files, why);
            }
            // A concurrent delete file cannot be read. The next plan does not contain the groups that it
            // applies to.
            Err(error) if error.is_of_files() => {
                self.drop_groups(batch, &inputs_of(batch), &error.to_string());
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// Removes the groups with any of some files from a batch, and leaves them for the next compaction.
    fn drop_groups(&mut self, batch: &mut Vec<Done<'a>>, files: &HashSet<String>, why: &str) {
        let (dropped, kept): (Vec<_>, Vec<_>) = std::mem::take(batch)
            .into_iter()
            .partition(|done| done.group.inputs.iter().any(|input| files.contains(&input.path)));
        *batch = kept;
        for done in &dropped {
            self.report.leave(format!("group {}: {why}", done.number + 1));
        }
        self.outputs.discard(paths(&dropped));
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
        batch: &[Done<'_>],
        live: Option<&LiveFiles>,
        moved: &remap::Moved,
    ) -> Result<FileChange, JobError> {
        let mut change = FileChange::new(ChangeKind::Replace);
        let files = batch.iter().flat_map(|done| &done.rewritten.files);
        change.added_data = files.cloned().collect();
        let is_moving = batch.iter().any(|done| done.group.partition.is_none());
        change.data_sequence_number = (!is_moving).then_some(self.plan.sequence_number);
        let inputs = batch.iter().flat_map(|done| &done.group.inputs);
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
    ) -> Result<Option<Cow<'a, LiveFiles>>, JobError> {
        let Some(head) = metadata.current_snapshot() else { return Ok(None) };
        if head.id() == self.plan.snapshot_id {
            return Ok(Some(Cow::Borrowed(self.live)));
        }
        let has_deletes =
            |line: &ManifestFile| line.content == ManifestContent::Deletes && line.may_have_live_files();
        if attempt > ATTEMPTS_MAX / 2 || !table::manifests_of(self.work.files, head)?.iter().any(has_deletes)
        {
            return Ok(None);
        }
        // Finished groups are committed even if the job has to stop.
        Ok(Some(Cow::Owned(table::live_files(self.work.files, metadata, head, || Ok(()))?)))
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

    fn count(&mut self, batch: &[Done<'_>], snapshot_id: i64) {
        let report = &mut *self.report;
        report.committed = true;
        report.snapshot_ids.push(snapshot_id);
        for Done { group, rewritten, .. } in batch {
            report.add("files-rewritten", group.inputs.len());
            report.add("files-written", rewritten.files.len());
            report.add("bytes-before", group.input_bytes);
            report.add("bytes-after", rewritten.files.iter().map(|file| file.size_bytes).sum::<i64>());
            report.add("rows-written", rewritten.rows_written);
            report.add("deleted-rows-removed", rewritten.rows_deleted);
            report.add("groups-copied-undecoded", i64::from(rewritten.is_spliced));
        }
    }
}

/// Returns the paths of all files that a batch rewrites.
fn inputs_of(batch: &[Done<'_>]) -> HashSet<String> {
    batch.iter().flat_map(|done| &done.group.inputs).map(|input| input.path.clone()).collect()
}

/// Returns the inputs of a batch whose number of manifest entries has changed since they were read.
fn changed_entries(live: &LiveFiles, batch: &[Done<'_>]) -> HashSet<String> {
    let mut counts: HashMap<&str, i64> = HashMap::new();
    for input in batch.iter().flat_map(|done| &done.group.inputs) {
        *counts.entry(&input.path).or_default() += 1;
    }
    for file in &live.files {
        counts.entry(&file.path).and_modify(|count| *count -= 1);
    }
    let changed = counts.into_iter().filter(|(_, count)| *count != 0);
    changed.map(|(path, _)| path.to_owned()).collect()
}

/// Converts the partition of a file to the current types of its partition fields, because a column may have
/// been promoted while the file was written.
fn fit(metadata: &TableMetadata, file: &mut DataFile) -> Result<(), JobError> {
    let types = types_of(metadata, file.spec_id)?;
    if let Some(partition) = partition_from_json(&partition_to_json(&file.partition), &types) {
        file.partition = partition;
    }
    Ok(())
}

/// Snapshot to be committed, with the locations of the delete files written for it.
struct New {
    snapshot: NewSnapshot,
    deletes: Vec<String>,
}

fn paths<'d>(batch: &'d [Done<'_>]) -> impl Iterator<Item = &'d String> {
    batch.iter().flat_map(|done| &done.rewritten.files).map(|file| &file.path)
}

/// Returns a summary of a plan, for users and programs.
pub fn summary(plan: &CompactionPlan) -> Json {
    let groups = plan.groups.iter().map(|group| {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for input in &group.inputs {
            let reason = match input.reason {
                Reason::Deletes { .. } => "deletes",
                Reason::Small { .. } => "small",
                Reason::Large { .. } => "large",
                Reason::EqualityDeletes { .. } => "equality-deletes",
            };
            *reasons.entry(reason).or_default() += 1;
        }
        json!({
            "partition": group.partition, "files": group.inputs.len(), "deletes": group.deletes.len(),
            "input-bytes": group.input_bytes, "outputs": group.outputs, "reasons": reasons,
        })
    });
    let conversions = plan.conversions.iter().map(|conversion| {
        json!({
            "files": conversion.inputs.len(), "equality-deletes": conversion.deletes.len(),
            "input-bytes": conversion.input_bytes,
        })
    });
    let skipped: BTreeMap<&SkipReason, _> = plan.skipped.iter().collect();
    json!({
        "snapshot-id": plan.snapshot_id, "groups": groups.collect::<Vec<_>>(),
        "conversions": conversions.collect::<Vec<_>>(), "dangling-deletes": plan.dangling, "left": skipped,
    })
}
