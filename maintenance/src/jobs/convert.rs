//! Conversion of equality deletes to position deletes without rewriting data files, so that scans do not have
//! to compare values any more; and removal of dangling deletes.
//!
//! The rows of a data file that an equality delete deletes never change, because neither of the files does.
//! They are determined once, by reading only the compared columns, independent of concurrent commits.
//! Everything derived from them, namely which deletes can be removed and which deletion vectors the positions
//! are merged with, is computed from the state of the table at the time of the commit. Concurrent commits
//! therefore do not have to be searched for conflicts.

use std::collections::{HashMap, HashSet};

use openapi::worker::UnreadableFile;
use roaring::RoaringTreemap;
use table_core::file::deletion_vector::{DeletionVector, VectorOf};
use table_core::manifest::data_file::DataFile;
use table_core::manifest::entry::FileContent;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::listings::are_alike;
use table_core::rewrite::live::{LiveDelete, LiveFile, LiveFiles};
use table_core::rewrite::plan::{CompactionPlan, Conversion, Delete, Input};
use table_core::snapshot::change::{ChangeKind, DeleteKey, FileChange};
use table_core::text::count;

use super::unreadable;
use crate::commit::{Attempt, SnapshotCommit, commit_until_settled};
use crate::context::JobContext;
use crate::control::{Progress, Unit};
use crate::error::JobError;
use crate::execute::deletes::{Targets, deleted_positions};
use crate::execute::input::removed;
use crate::execute::new_deletes::{self, NewDeletes};
use crate::output_ledger::OutputLedger;
use crate::report::JobReport;
use crate::table;

/// Number of data files after which the results are committed.
const BATCH_FILES: usize = 10_000;

/// Carries out the conversions of a plan, and removes dangling deletes.
pub(super) fn run(
    job: &JobContext<'_>,
    metadata: &TableMetadata,
    plan: &CompactionPlan,
    outputs: &OutputLedger<'_>,
    report: &mut JobReport,
    broken_files: &mut Vec<UnreadableFile>,
) -> Result<(), JobError> {
    if plan.conversions.is_empty() && plan.dangling == 0 {
        return Ok(());
    }
    let mut converter = Converter { job, outputs, report };
    let mut found = Vec::new();
    let mut broken = None;
    for (number, conversion) in plan.conversions.iter().enumerate() {
        job.control.progress(Progress {
            activity: format!(
                "looking up what {}",
                count(conversion.deletes.len() as u64, "equality delete takes", "equality deletes take")
            ),
            done: number as u64,
            total: plan.conversions.len() as u64,
            unit: Unit("conversion", "conversions"),
        });
        let targets = Targets { inputs: &conversion.inputs, deletes: &conversion.deletes };
        match deleted_positions(job, metadata, targets) {
            Ok(positions) => found.extend(Found::all(conversion, positions)),
            // Other conversions may be possible.
            Err(error) if error.is_of_files() => match unreadable::find(job, metadata, targets, error) {
                Ok(more) => broken_files.extend(more),
                Err(error) if error.is_of_files() => {
                    converter.report.skip(format!("equality deletes: {error}"));
                    broken.get_or_insert(error);
                }
                Err(error) => return Err(error),
            },
            Err(error @ JobError::Budget { .. }) => {
                converter.report.skip(format!("equality deletes: {error}"));
                broken.get_or_insert(error);
            }
            // An interrupted conversion is not committed but repeated later, because it has only read files.
            Err(error) => return Err(error),
        }
        if found.len() >= BATCH_FILES {
            converter.commit(&std::mem::take(&mut found))?;
        }
    }
    converter.commit(&found)?;
    broken.map_or(Ok(()), Err)
}

/// Rows of a data file that are deleted by equality deletes, independent of the state of the table.
struct Found<'a> {
    /// Data file; the first manifest entry of it, if there are several.
    input: &'a Input,
    /// Equality deletes.
    deletes: Vec<DeleteKey>,
    /// Positions of the rows that they delete.
    positions: RoaringTreemap,
}

impl<'a> Found<'a> {
    fn all(conversion: &'a Conversion, positions: Vec<RoaringTreemap>) -> impl Iterator<Item = Found<'a>> {
        let mut seen = HashSet::new();
        // All manifest entries of a file have the same deletes, and therefore the same positions.
        let inputs =
            conversion.inputs.iter().zip(positions).filter(move |(input, _)| seen.insert(&input.path));
        inputs.map(|(input, positions)| {
            let deletes = input.deletes.iter().filter_map(|number| conversion.deletes.get(*number));
            Found { input, deletes: deletes.map(key_of_file).collect(), positions }
        })
    }
}

struct Converter<'a> {
    job: &'a JobContext<'a>,
    outputs: &'a OutputLedger<'a>,
    report: &'a mut JobReport,
}

/// Conversion on the current state of the table.
struct Conversions {
    change: FileChange,
    written: NewDeletes,
    /// Number of equality deletes that are replaced by position deletes, and of the rows deleted by them.
    converted: usize,
    rows: u64,
    /// Number of dangling deletes that are removed.
    dangling: usize,
}

impl Converter<'_> {
    /// Commits the results that still apply to the current state of the table.
    fn commit(&mut self, found: &[Found<'_>]) -> Result<(), JobError> {
        let commit_uuid = (self.job.environment.uuid)();
        let committed = commit_until_settled(self.job, |table, attempt| {
            let metadata = table.metadata;
            if let Some(unpublished) = self.job.unpublished(&metadata)? {
                self.report.skip(format!("equality deletes: {}", unpublished.explain()));
                return Ok(Attempt::Nothing);
            }
            let Some(new) = self.change(&metadata, found)? else {
                if !found.is_empty() {
                    self.report.skip("equality deletes: their files were changed meanwhile");
                }
                return Ok(Attempt::Nothing);
            };
            let context = self.job.snapshot_context(commit_uuid, attempt);
            let snapshot = self.job.plan_snapshot(&metadata, &new.change, context)?;
            let counts = new.counts();
            let commit = SnapshotCommit {
                snapshot: &snapshot,
                attempt_files: new.written.locations,
                result_files: Vec::new(),
                counts,
            };
            self.job.commit_snapshot(self.outputs, self.report, commit)
        });
        committed.map(drop)
    }

    /// Returns the change that replaces equality deletes by position deletes in the current state of the
    /// table, and the delete files written for it; `None` if no delete can be removed.
    fn change(&self, metadata: &TableMetadata, found: &[Found<'_>]) -> Result<Option<Conversions>, JobError> {
        let Some(head) = metadata.current_snapshot() else { return Ok(None) };
        let live = table::live_files(self.job.files, metadata, head, || self.job.control.check())?;
        let mut files: HashMap<&str, Vec<&LiveFile>> =
            found.iter().map(|found| (found.input.path.as_str(), Vec::new())).collect();
        for file in &live.files {
            files.entry(&file.path).and_modify(|entries| entries.push(file));
        }
        let mut still = Vec::new();
        for found in found {
            let entries = files.get(found.input.path.as_str()).map(Vec::as_slice).unwrap_or_default();
            if let Some(first) = entries.first()
                && are_alike(entries)
                && entries.iter().all(|file| found.still_holds(&live, file))
            {
                still.push((found, *first));
            }
        }
        let removable = removable(&live, &still);
        if removable.is_empty() {
            return Ok(None);
        }
        still.retain(|(found, _)| found.deletes.iter().any(|delete| removable.contains(delete)));
        let known: HashSet<&DeleteKey> = still.iter().flat_map(|(found, _)| &found.deletes).collect();
        let converted = removable.iter().filter(|delete| known.contains(delete)).count();
        let dangling = removable.len() - converted;
        let mut change = FileChange::new(ChangeKind::Replace);
        change.removed_deletes = removable.into_iter().collect();
        change.removed_deletes.sort_unstable();
        change.checks.since = Some(head.id());
        let mut rows = 0;
        let mut new = Vec::new();
        for ((found, file), known) in still.iter().zip(self.by_position(metadata, &live, &still)?) {
            let more = &found.positions - &known;
            if more.is_empty() {
                continue;
            }
            rows += more.len();
            let positions = if new_deletes::are_vectors(metadata) {
                // A data file has at most one deletion vector, and position delete files are ignored beside
                // it.
                change.removed_deletes.extend(of_it_alone(&live, file).map(key));
                more | known
            } else {
                more
            };
            let broken = |reason| JobError::Vector { location: file.path.clone(), reason };
            let vector = DeletionVector::from_sorted(positions.iter()).map_err(broken)?;
            let DataFile { path, spec_id, partition, .. } = removed(metadata, found.input)?;
            new.push(VectorOf { data_file: path, spec_id, partition, vector });
        }
        let written = new_deletes::write(self.job, metadata, self.outputs, new)?;
        change.added_deletes.clone_from(&written.deletes);
        Ok(Some(Conversions { change, written, converted, rows, dangling }))
    }

    /// Returns the rows of data files that are deleted by position deletes already.
    fn by_position(
        &self,
        metadata: &TableMetadata,
        live: &LiveFiles,
        still: &[(&Found<'_>, &LiveFile)],
    ) -> Result<Vec<RoaringTreemap>, JobError> {
        let mut numbers: Vec<usize> =
            still.iter().flat_map(|(_, file)| file.deletes.iter().copied()).collect();
        numbers.retain(|number| {
            live.deletes.get(*number).is_some_and(|delete| delete.content == FileContent::PositionDeletes)
        });
        numbers.sort_unstable();
        numbers.dedup();
        let deletes: Vec<Delete> =
            numbers.iter().filter_map(|number| live.deletes.get(*number)).map(Delete::of).collect();
        let inputs = still.iter().map(|(found, file)| {
            let deletes = file.deletes.iter().filter_map(|number| numbers.binary_search(number).ok());
            Input { deletes: deletes.collect(), ..found.input.clone() }
        });
        let inputs: Vec<Input> = inputs.collect();
        deleted_positions(self.job, metadata, Targets { inputs: &inputs, deletes: &deletes })
    }
}

impl Conversions {
    fn counts(&self) -> Vec<(&'static str, i64)> {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        vec![
            ("equality-deletes-converted", number(self.converted)),
            ("rows-deleted-by-position", i64::try_from(self.rows).unwrap_or(i64::MAX)),
            ("dangling-deletes-removed", number(self.dangling)),
        ]
    }
}

impl Found<'_> {
    /// Returns `true` if the equality deletes still apply to a manifest entry of the file. They do not if the
    /// table was rolled back, if they were converted concurrently, or if the file was added again. If they
    /// apply, they delete the same rows.
    fn still_holds(&self, live: &LiveFiles, file: &LiveFile) -> bool {
        let applied: HashSet<DeleteKey> =
            file.deletes.iter().filter_map(|number| live.deletes.get(*number)).map(key).collect();
        self.deletes.iter().all(|delete| applied.contains(delete))
    }
}

/// Returns the deletes that are not needed any more once the positions are known that they delete in the
/// files `still`. A delete file with several manifest entries is among them only if none of its entries is
/// needed, because a commit removes all of them.
fn removable(live: &LiveFiles, still: &[(&Found<'_>, &LiveFile)]) -> HashSet<DeleteKey> {
    let known: HashMap<&str, HashSet<&DeleteKey>> =
        still.iter().map(|(found, file)| (file.path.as_str(), found.deletes.iter().collect())).collect();
    let keys: Vec<DeleteKey> = live.deletes.iter().map(key).collect();
    let mut unneeded: HashSet<&DeleteKey> = keys.iter().collect();
    for file in &live.files {
        let known = known.get(file.path.as_str());
        for delete in file.deletes.iter().filter_map(|number| keys.get(*number)) {
            if known.is_none_or(|known| !known.contains(delete)) {
                unneeded.remove(delete);
            }
        }
    }
    unneeded.into_iter().cloned().collect()
}

/// Returns the position deletes that apply to this file and to no other.
fn of_it_alone<'l>(live: &'l LiveFiles, file: &'l LiveFile) -> impl Iterator<Item = &'l LiveDelete> {
    let deletes = file.deletes.iter().filter_map(|number| live.deletes.get(*number));
    deletes.filter(|delete| delete.data_file.as_deref() == Some(&file.path))
}

fn key(delete: &LiveDelete) -> DeleteKey {
    DeleteKey { path: delete.path.clone(), content_offset: delete.content_offset }
}

fn key_of_file(delete: &Delete) -> DeleteKey {
    DeleteKey { path: delete.path.clone(), content_offset: delete.content_offset }
}
