//! Merging small files and applying deletes: plan, rewrite group by group, commit some groups at a time; at last equality deletes
//! of files that stay as they are ([`convert`]).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use openapi::maintenance::UnreadableFile;
use serde_json::{Value as Json, json};
use table_core::manifest::data_file::DataFile;
use table_core::manifest::list::{ManifestContent, ManifestFile};
use table_core::metadata::properties;
use table_core::metadata::snapshot::Snapshot;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::compact::{Planner, Table};
use table_core::rewrite::dangling::{DataFileKey, Finder};
use table_core::rewrite::health::Facts;
use table_core::rewrite::hot;
use table_core::rewrite::live::{Live, partition_from_json, partition_to_json};
use table_core::rewrite::plan::{Group, Left, Plan, Reason};
use table_core::rewrite::policy::Policy;
use table_core::snapshot::change::{Change, DeleteKey, Kind};
use table_core::snapshot::commit::NewSnapshot;
use table_core::snapshot::error::{Conflict, SnapshotError};
use table_core::text;

use super::{ATTEMPTS_MAX, Attempt, Report, Work, convert, remap, unreadable};
use crate::error::JobError;
use crate::execute::deletes::Targets;
use crate::execute::input::{removed, types_of};
use crate::execute::rewrite::{Rewriter, Rewritten};
use crate::host::{Outputs, Progress, Unit};
use crate::table;

/// The property by which a table says how large its files should be.
const TARGET_BYTES: &str = "write.target-file-size-bytes";
const MINUTE_MS: i64 = 60_000;
/// Deletes that are for nothing wait so long for a commit that they can go with.
const SETTLED_MS: i64 = 24 * 60 * MINUTE_MS;
/// So much is committed at a time: enough that a table with many partitions does not get a snapshot for each, and not so much
/// that a conflict costs hours.
const BATCH_BYTES: i64 = 16 << 30;
const BATCH_GROUPS: usize = 500;
/// How often a commit is planned anew on the same table because of deletes that came meanwhile.
const REMAPS_MAX: usize = 3;

/// How often the table is planned anew without files that could not be read. The first time finds all of a group; after that there
/// are only those that change meanwhile.
const PASSES_MAX: usize = 3;

/// What would be done without files that cannot be read, and the files of the snapshot; `None` if the table has no snapshot.
pub fn plan(
    work: &Work<'_>,
    metadata: &TableMetadata,
    policy: &Policy,
    unreadable: &[UnreadableFile],
) -> Result<Option<(Plan, Live)>, JobError> {
    let now_ms = (work.outside.now_ms)();
    let Some(snapshot) = metadata.current_snapshot() else { return Ok(None) };
    let live = table::live(work.files, metadata, snapshot, || work.host.check())?;
    let target_bytes = u64::try_from(properties::number(metadata.properties(), TARGET_BYTES, 0)).ok();
    let options = policy.compact_options(target_bytes.filter(|bytes| *bytes > 0))?;
    let settle_ms = i64::from(policy.compact.settle_minutes.unwrap_or(0)) * MINUTE_MS;
    let lately_ms = now_ms.saturating_sub(settle_ms).saturating_add(1)..=now_ms.saturating_add(settle_ms);
    let facts = Table {
        snapshot_id: snapshot.id(),
        sequence_number: snapshot.sequence_number(),
        bytes: live.files.iter().map(|file| file.size_bytes).fold(0, i64::saturating_add),
        output_spec_id: metadata.default_spec_id(),
        settled_sequence_number: sequence_number_at(metadata, now_ms.saturating_sub(SETTLED_MS)),
        hot: hot::partitions(metadata, &live, lately_ms)?,
        unreadable: unreadable.iter().map(|file| file.path.clone()).collect(),
    };
    let plan = Planner::new(&live, &facts, &options)?.plan();
    Ok(Some((plan, live)))
}

/// The greatest sequence number that the table had at an instant, as far as its snapshots say.
fn sequence_number_at(metadata: &TableMetadata, at_ms: i64) -> i64 {
    let before = metadata.snapshots().iter().filter(|snapshot| snapshot.timestamp_ms() <= at_ms);
    before.map(Snapshot::sequence_number).max().unwrap_or(0)
}

/// Counts what a table consists of.
pub fn count(plan: &Plan, live: &Live, facts: &mut Facts) {
    let number = |number: i64| u64::try_from(number).unwrap_or(0);
    let mut partitions = BTreeSet::new();
    for file in &live.files {
        facts.files += 1;
        facts.bytes += number(file.size_bytes);
        facts.rows += number(file.record_count);
        if plan.sizes.is_small(file.size_bytes) {
            facts.small_files += 1;
            partitions.insert((file.spec_id, &file.partition));
        }
    }
    facts.small_files_merged = partitions.len() as u64;
    for delete in &live.deletes {
        if delete.content == table_core::manifest::entry::Content::EqualityDeletes {
            facts.equality_delete_files += 1;
        } else {
            facts.deleted_rows += number(delete.record_count);
        }
    }
}

/// Compacts a table. What was done is in the report also if it fails.
///
/// Files that cannot be read are left out, and the table is planned anew without them.
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
    // Whatever was written and not committed.
    outputs.discard_all();
    report.tell_unreadable(left);
    done
}

/// A compaction that is going on.
struct Compaction<'a> {
    work: &'a Work<'a>,
    plan: &'a Plan,
    live: &'a Live,
    outputs: &'a Outputs<'a>,
    report: &'a mut Report,
    /// The schema that files are written with.
    schema_id: i32,
    /// Files that could not be read.
    found: Vec<UnreadableFile>,
    /// What was in the way of a group, if not such a file; the first of its kind.
    broken: Option<JobError>,
}

/// A group whose files are written.
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
        // What moves to another partition spec comes last, because it is committed apart.
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
                    // What a job has done for nothing is another worker's to clean up.
                    Err(error @ JobError::LeaseLost(_)) => return Err(error),
                    // Whatever stops the rest, what is done is done.
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

    /// Leaves out a group that could not be rewritten, or finds the files because of which it could not.
    ///
    /// Gives the error back if it keeps the others from being rewritten, too.
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

    /// Commits groups to the table as it is by then. Those that others were in the way of are left for the next time.
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

    /// Plans the commit on the table as it is; `None` if there is a conflict, which then is dealt with in the batch.
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
            // What was moved is for this plan alone: the next one may be without some of its groups.
            let before = std::mem::take(&mut moved).found;
            match conflict {
                Conflict::NewDeletes(found) => {
                    let found = before.into_iter().chain(found).collect();
                    let rewritten: Vec<&Rewritten> = batch.iter().map(|done| &done.rewritten).collect();
                    let why = "rows were deleted meanwhile, and their order was not kept";
                    match remap::translate(self.work, metadata, &rewritten, found, self.outputs) {
                        // A delete of somebody else: the next plan is without what it applies to.
                        Err(error) if error.is_of_files() => {
                            let all = batch.iter().flat_map(|done| &done.group.inputs);
                            let all: HashSet<String> = all.map(|input| input.path.clone()).collect();
                            self.drop_groups(batch, &all, &error.to_string());
                            return Ok(None);
                        }
                        Err(error) => return Err(error),
                        Ok(remap::Outcome::Moved(all)) => moved = all,
                        Ok(remap::Outcome::Impossible(files)) => {
                            self.drop_groups(batch, &files, why);
                            return Ok(None);
                        }
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
                    let all: HashSet<String> = batch
                        .iter()
                        .flat_map(|done| &done.group.inputs)
                        .map(|input| input.path.clone())
                        .collect();
                    self.drop_groups(batch, &all, &other.to_string());
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }

    /// Leaves groups with some files for the next time.
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

    /// The same rows in other files. New files take the age of the snapshot that was read, so that deletes which came since
    /// still apply; deletes that are for nothing any more go in the same commit.
    ///
    /// Rows that move to another partition spec are as old as the commit: deletes by value which came since are for the spec that
    /// they come from or for the one that they go to, and would apply to too few of them or to too many. All groups move, or
    /// none does.
    fn change(
        &self,
        metadata: &TableMetadata,
        batch: &[Done<'_>],
        live: Option<&Live>,
        moved: &remap::Moved,
    ) -> Result<Change, JobError> {
        let mut change = Change::new(Kind::Replace);
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

    /// The live files of the table as it is, to find out what is for nothing any more. `None` if it has no deletes, or if others
    /// committed so often meanwhile that it is more important to be fast.
    fn live_at(&self, metadata: &TableMetadata, attempt: u32) -> Result<Option<Cow<'a, Live>>, JobError> {
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
        // What is done is committed even if the job is to stop.
        Ok(Some(Cow::Owned(table::live(self.work.files, metadata, head, || Ok(()))?)))
    }

    /// Deletes that are for no file any more once the change is made.
    fn dangling(&self, live: &Live, change: &Change) -> Vec<DeleteKey> {
        let removed: HashSet<&str> = change.removed_data.iter().map(|file| file.path.as_str()).collect();
        let mut finder = Finder::new(&live.deletes);
        let kept = live.files.iter().filter(|file| !removed.contains(file.path.as_str()));
        for file in kept {
            finder.see(DataFileKey {
                path: &file.path,
                spec_id: file.spec_id,
                partition: &file.partition,
                sequence_number: file.sequence_number,
            });
        }
        for file in &change.added_data {
            finder.see(DataFileKey {
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

/// The files of a batch that the table lists more or less often than when they were read.
fn changed_entries(live: &Live, batch: &[Done<'_>]) -> HashSet<String> {
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

/// Gives a file's partition the types that it has by now: a column may have been promoted while the file was written.
fn fit(metadata: &TableMetadata, file: &mut DataFile) -> Result<(), JobError> {
    let types = types_of(metadata, file.spec_id)?;
    if let Some(partition) = partition_from_json(&partition_to_json(&file.partition), &types) {
        file.partition = partition;
    }
    Ok(())
}

/// A snapshot to be committed, and the delete files that it needs beside.
struct New {
    snapshot: NewSnapshot,
    deletes: Vec<String>,
}

fn paths<'d>(batch: &'d [Done<'_>]) -> impl Iterator<Item = &'d String> {
    batch.iter().flat_map(|done| &done.rewritten.files).map(|file| &file.path)
}

/// A plan in short, for people.
pub fn summary(plan: &Plan) -> Json {
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
    let left: BTreeMap<&Left, _> = plan.left.iter().collect();
    json!({
        "snapshot-id": plan.snapshot_id, "groups": groups.collect::<Vec<_>>(),
        "conversions": conversions.collect::<Vec<_>>(), "dangling-deletes": plan.dangling, "left": left,
    })
}
