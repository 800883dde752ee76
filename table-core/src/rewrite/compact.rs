//! Planning of compaction, the rewriting of data files, as in Java's `BinPackRewriteFilePlanner`, but such
//! that planning converges: after a plan was carried out, there is nothing left to plan.
//!
//! # Convergence
//!
//! Files are packed into bins by their estimated size after the rewrite ([`Planner::output_bytes`]), one bin
//! after the other. A bin is closed by the first file that does not fit, and every packed file takes at most
//! half a bin, so a closed bin is more than half full. That is enough for outputs of the right size
//! ([`SizeClasses::parts`]), which are not candidates any more. Only the last bin of a partition may be left
//! over, or result in a single small file; and its contents were too little to be worth a rewrite.
//!
//! ```text
//! let planner = Planner::new(&live, &table, &options)?;
//! let plan = planner.plan();
//! ```

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::bin_pack::bin_pack;
use super::candidate::{RewriteCandidate, RewriteUnit};
use super::convert;
use super::cost::{OPEN_FILE_BYTES, total};
use super::listings::{self, Listings};
use super::live::{LiveDelete, LiveFile, LiveFiles, partition_to_json};
use super::options::{CompactOptions, OptionsError};
use super::plan::{CompactionPlan, Conversion, Delete, FileCount, Group, Reason, SkipReason};
use super::size_classes::SizeClasses;
use crate::manifest::entry::FileContent;
use crate::manifest::partition::PartitionTuple;

/// Average size, in bytes, below which row groups are worth merging.
const ROW_GROUP_BYTES_MIN: i64 = 8 << 20;

/// Properties of the table that a plan depends on in addition to its live files.
#[derive(Debug, Clone)]
pub struct PlannedTable {
    /// Id of the snapshot that the live files belong to.
    pub snapshot_id: i64,
    /// Sequence number of that snapshot.
    pub sequence_number: i64,
    /// Size of all data files of the table, in bytes, including files outside of the scan's filter.
    pub bytes: i64,
    /// Id of the partition spec that files are rewritten to: the table's default spec.
    pub output_spec_id: i32,
    /// Sequence number up to which dangling deletes are worth a commit of their own, even if there are only a
    /// few.
    pub settled_sequence_number: i64,
    /// Recently written partitions, by partition spec id, which are not rewritten.
    pub active_partitions: BTreeMap<i32, BTreeSet<PartitionTuple>>,
    /// Paths of data files and delete files that could not be read before and have not changed since.
    pub unreadable: BTreeSet<String>,
}

/// Planner that selects and groups the data files of one snapshot for rewriting.
pub struct Planner<'a> {
    live: &'a LiveFiles,
    table: &'a PlannedTable,
    options: &'a CompactOptions,
    size_classes: SizeClasses,
    listings: Listings<'a>,
}

impl<'a> Planner<'a> {
    /// Creates a planner.
    ///
    /// # Errors
    ///
    /// Fails with [`OptionsError`] if the options contradict each other.
    pub fn new(
        live: &'a LiveFiles,
        table: &'a PlannedTable,
        options: &'a CompactOptions,
    ) -> Result<Planner<'a>, OptionsError> {
        let size_classes = options.size_classes(table.bytes)?;
        Ok(Planner { live, table, options, size_classes, listings: Listings::new(&live.files) })
    }

    /// Returns the reason to rewrite a file, looking at the file alone.
    ///
    /// # Errors
    ///
    /// Fails with the reason for leaving the file as it is: [`SkipReason::Format`],
    /// [`SkipReason::Encrypted`], [`SkipReason::Unreadable`], [`SkipReason::ActivePartition`] or
    /// [`SkipReason::WellSized`].
    pub fn assess(&self, file: &LiveFile) -> Result<Reason, SkipReason> {
        if file.format != "PARQUET" {
            return Err(SkipReason::Format);
        }
        if file.is_encrypted {
            return Err(SkipReason::Encrypted);
        }
        if self.is_unreadable(file) {
            return Err(SkipReason::Unreadable);
        }
        if self
            .table
            .active_partitions
            .get(&file.spec_id)
            .is_some_and(|active_partitions| active_partitions.contains(&file.partition))
        {
            return Err(SkipReason::ActivePartition);
        }
        let deleted_rows = self.deleted_rows(file);
        let limit_ratio = self.options.delete_ratio;
        if deleted_rows > 0 && ratio(deleted_rows, file.record_count) >= limit_ratio {
            return Ok(Reason::Deletes { deleted_rows, limit_ratio });
        }
        if self.size_classes.is_small(file.size_bytes) {
            return Ok(Reason::Small { limit_bytes: self.size_classes.small_bytes() });
        }
        if self.size_classes.is_large(file.size_bytes) {
            return Ok(Reason::Large { limit_bytes: self.size_classes.large_bytes() });
        }
        Err(SkipReason::WellSized)
    }

    fn is_unreadable(&self, file: &LiveFile) -> bool {
        let unreadable = &self.table.unreadable;
        let mut deletes = file.deletes.iter().filter_map(|number| self.live.deletes.get(*number));
        !unreadable.is_empty()
            && (unreadable.contains(&file.path) || deletes.any(|delete| unreadable.contains(&delete.path)))
    }

    /// Returns the number of rows of a file that are known to be deleted. As in Java, only deletes that apply
    /// to a single data file count: how many rows of the file other deletes match is unknown until they are
    /// read.
    pub fn deleted_rows(&self, file: &LiveFile) -> i64 {
        let deletes = file.deletes.iter().filter_map(|number| self.live.deletes.get(*number));
        let of_it_alone = deletes.filter(|delete| delete.data_file.is_some());
        let rows = total(of_it_alone.map(|delete| delete.record_count));
        rows.min(file.record_count)
    }

    /// Returns the estimated size of a file, in bytes, without the rows that are known to be deleted.
    pub fn output_bytes(&self, file: &LiveFile) -> i64 {
        if file.record_count == 0 {
            return 0;
        }
        let live_rows = file.record_count - self.deleted_rows(file);
        let bytes = i128::from(file.size_bytes) * i128::from(live_rows) / i128::from(file.record_count);
        i64::try_from(bytes).unwrap_or(i64::MAX)
    }

    /// Plans which files are rewritten together.
    pub fn plan(&self) -> CompactionPlan {
        let mut skipped = BTreeMap::new();
        // Files of other partition specs are grouped together, as in Java, because their rows may belong to
        // any partition.
        let mut partitions: BTreeMap<Option<&PartitionTuple>, Vec<RewriteUnit<'a>>> = BTreeMap::new();
        for (place, file) in self.live.files.iter().enumerate() {
            if self.listings.is_repetition(place) {
                continue;
            }
            let entries = self.listings.entries(&file.path).unwrap_or_default();
            let assessed = if entries.is_empty() { self.unit(file) } else { self.unit_of(&entries) };
            match assessed {
                Ok((partition, unit)) => partitions.entry(partition).or_default().push(unit),
                Err(reason) if entries.is_empty() => count_skipped(&mut skipped, reason, file),
                Err(reason) => entries.iter().for_each(|entry| count_skipped(&mut skipped, reason, entry)),
            }
        }
        let mut groups = Vec::new();
        for (partition, units) in partitions {
            for bin in self.bins(units) {
                match self.skip_reason(&bin) {
                    Some(reason) => {
                        for candidate in &bin {
                            count_skipped(&mut skipped, reason, candidate.file);
                        }
                    }
                    None => groups.push(self.group(partition, &bin)),
                }
            }
        }
        // The sort is stable: groups of equal worth remain in the order of their partitions.
        groups.sort_by_key(|group| priority_key(group.benefit_bytes, group.cost_bytes));
        let conversions = self.conversions(&groups);
        let dangling = convert::dangling(self.live);
        let is_due = dangling.len() >= self.options.min_equality_deletes
            || dangling.iter().any(|delete| self.is_worth_removing(delete));
        CompactionPlan {
            snapshot_id: self.table.snapshot_id,
            sequence_number: self.table.sequence_number,
            output_spec_id: self.table.output_spec_id,
            size_classes: self.size_classes,
            groups,
            conversions,
            dangling: if is_due { dangling.len() } else { 0 },
            skipped,
        }
    }

    /// Returns `true` if a dangling delete is worth a commit of its own. Streaming upserts add equality
    /// deletes that match no rows with every commit; these wait until there are enough of them, but not
    /// indefinitely.
    fn is_worth_removing(&self, delete: &LiveDelete) -> bool {
        delete.content == FileContent::PositionDeletes
            || delete.sequence_number <= self.table.settled_sequence_number
    }

    /// Returns a file with a single manifest entry, with its partition if its rows stay in it.
    fn unit(&self, file: &'a LiveFile) -> Result<(Option<&'a PartitionTuple>, RewriteUnit<'a>), SkipReason> {
        let first =
            RewriteCandidate { file, reason: self.assess(file)?, output_bytes: self.output_bytes(file) };
        let partition = Some(&file.partition).filter(|_| self.is_in_output_spec(file));
        Ok((partition, RewriteUnit { first, repetitions: Vec::new() }))
    }

    /// Returns a file with several manifest entries. An entry that must not be rewritten decides for all of
    /// them, then an entry that is worth rewriting.
    fn unit_of(
        &self,
        entries: &[&'a LiveFile],
    ) -> Result<(Option<&'a PartitionTuple>, RewriteUnit<'a>), SkipReason> {
        if listings::contradict_each_other(entries) {
            return Err(SkipReason::Contradictory);
        }
        let assessed: Vec<_> = entries.iter().map(|entry| self.assess(entry)).collect();
        let forbids = |assessed: &&Result<Reason, SkipReason>| matches!(assessed, Err(reason) if *reason != SkipReason::WellSized);
        if let Some(Err(reason)) = assessed.iter().find(forbids) {
            return Err(*reason);
        }
        let is_for_deletes = |reason: &&Reason| matches!(reason, Reason::Deletes { .. });
        let mut reasons = assessed.iter().flatten();
        let reason =
            reasons.clone().find(is_for_deletes).or_else(|| reasons.next()).ok_or(SkipReason::WellSized)?;
        let mut candidates = entries.iter().zip(&assessed).map(|(file, assessed)| RewriteCandidate {
            file,
            reason: assessed.unwrap_or(*reason),
            output_bytes: self.output_bytes(file),
        });
        let first = candidates.next().ok_or(SkipReason::WellSized)?;
        let partition =
            entries.iter().all(|entry| self.is_in_output_spec(entry)).then_some(&first.file.partition);
        Ok((partition, RewriteUnit { repetitions: candidates.collect(), first }))
    }

    /// Plans for which of the files that are not rewritten equality deletes are converted to position
    /// deletes.
    fn conversions(&self, groups: &[Group]) -> Vec<Conversion> {
        // Most tables have no equality deletes, and then no file has to be examined.
        if self.live.deletes.iter().all(|delete| delete.content != FileContent::EqualityDeletes) {
            return Vec::new();
        }
        let rewritten = groups.iter().flat_map(|group| &group.inputs).map(|input| input.path.as_str());
        let rewritten: HashSet<&str> = rewritten.collect();
        let of_file = |file: &LiveFile| {
            if rewritten.contains(file.path.as_str()) {
                convert::Treatment::Rewritten
            } else if matches!(
                self.assess(file),
                Err(SkipReason::ActivePartition
                    | SkipReason::Format
                    | SkipReason::Encrypted
                    | SkipReason::Unreadable)
            ) || self
                .listings
                .entries(&file.path)
                .is_some_and(|entries| !listings::are_alike(&entries))
            {
                convert::Treatment::Untouched
            } else {
                convert::Treatment::Convertible
            }
        };
        let mut conversions = convert::plan(self.live, of_file, self.options.min_equality_deletes);
        conversions.sort_by_key(|found| priority_key(found.benefit_bytes, found.cost_bytes));
        conversions
    }

    fn is_in_output_spec(&self, file: &LiveFile) -> bool {
        file.spec_id == self.table.output_spec_id
    }

    /// Packs candidates into bins, neighbours together. A unit larger than half a bin gets a bin of its own.
    fn bins(&self, units: Vec<RewriteUnit<'a>>) -> Vec<Vec<RewriteCandidate<'a>>> {
        let limit = self.options.max_file_group_size_bytes;
        let (fitting, giants): (Vec<_>, Vec<_>) =
            units.into_iter().partition(|unit| unit.output_bytes() <= limit / 2);
        let mut bins = bin_pack(fitting, limit, RewriteUnit::output_bytes);
        bins.extend(giants.into_iter().map(|giant| vec![giant]));
        bins.into_iter().map(|bin| bin.into_iter().flat_map(RewriteUnit::entries).collect()).collect()
    }

    /// Returns the reason why a bin is not worth rewriting; `None` if it is.
    fn skip_reason(&self, bin: &[RewriteCandidate<'_>]) -> Option<SkipReason> {
        if bin.iter().any(|candidate| matches!(candidate.reason, Reason::Deletes { .. })) {
            return None;
        }
        if bin.len() < 2 {
            return Some(SkipReason::Single);
        }
        let output_bytes = total(bin.iter().map(|candidate| candidate.output_bytes));
        let is_enough =
            bin.len() >= self.options.min_input_files || output_bytes > self.size_classes.target_bytes();
        (!is_enough).then_some(SkipReason::BelowMinimum)
    }

    fn group(&self, partition: Option<&PartitionTuple>, bin: &[RewriteCandidate<'_>]) -> Group {
        let (deletes, numbers) = self.deletes_of(bin);
        let inputs: Vec<_> = bin.iter().map(|candidate| candidate.input(&numbers)).collect();
        let input_bytes = total(bin.iter().map(|candidate| candidate.file.size_bytes));
        let output_bytes = total(bin.iter().map(|candidate| candidate.output_bytes));
        let has_rows =
            bin.iter().any(|candidate| candidate.file.record_count > self.deleted_rows(candidate.file));
        let outputs = if has_rows { self.size_classes.parts(output_bytes).max(1) } else { 0 };
        let row_groups: usize = bin.iter().map(|candidate| candidate.file.row_groups).sum();
        let has_row_groups = bin.iter().all(|candidate| candidate.file.row_groups > 0);
        let row_group_bytes = input_bytes / i64::try_from(row_groups.max(1)).unwrap_or(i64::MAX);
        let opened: usize = bin.iter().map(|candidate| 1 + candidate.file.deletes.len()).sum();
        let saved = i64::try_from(opened).unwrap_or(i64::MAX).saturating_sub(outputs).max(0);
        let delete_bytes = total(deletes.iter().map(delete_bytes));
        Group {
            partition: partition.map(partition_to_json),
            may_splice: deletes.is_empty()
                && partition.is_some()
                && has_row_groups
                && row_group_bytes >= ROW_GROUP_BYTES_MIN,
            inputs,
            deletes,
            input_bytes,
            output_bytes,
            outputs,
            split_bytes: split_bytes(output_bytes, outputs),
            keeps_order: partition.is_some(),
            benefit_bytes: saved.saturating_mul(OPEN_FILE_BYTES).saturating_add(input_bytes - output_bytes),
            cost_bytes: input_bytes.saturating_add(output_bytes).saturating_add(delete_bytes),
        }
    }

    /// Returns the deletes of a bin without duplicates, and a map from their indexes in `LiveFiles` to those
    /// in the bin.
    fn deletes_of(&self, bin: &[RewriteCandidate<'_>]) -> (Vec<Delete>, HashMap<usize, usize>) {
        let mut numbers = HashMap::new();
        let mut deletes = Vec::new();
        for number in bin.iter().flat_map(|candidate| &candidate.file.deletes) {
            if let Some(delete) = self.live.deletes.get(*number)
                && !numbers.contains_key(number)
            {
                numbers.insert(*number, deletes.len());
                deletes.push(Delete::of(delete));
            }
        }
        (deletes, numbers)
    }
}

/// Returns the bytes read for a delete: of a deletion vector only its blob, not the whole file.
fn delete_bytes(delete: &Delete) -> i64 {
    delete.content_size_bytes.unwrap_or(delete.size_bytes)
}

/// Returns the sort key that puts the greatest benefit for the cost first, as a ratio of integers.
fn priority_key(benefit_bytes: i64, cost_bytes: i64) -> Reverse<i128> {
    Reverse(i128::from(benefit_bytes) * (1 << 40) / i128::from(cost_bytes.max(1)))
}

/// Returns the size of even parts, rounded up.
fn split_bytes(bytes: i64, parts: i64) -> i64 {
    if parts == 0 { 0 } else { bytes / parts + i64::from(bytes % parts != 0) }
}

fn count_skipped(skipped: &mut BTreeMap<SkipReason, FileCount>, reason: SkipReason, file: &LiveFile) {
    let count_skipped = skipped.entry(reason).or_default();
    count_skipped.files += 1;
    count_skipped.bytes = count_skipped.bytes.saturating_add(file.size_bytes);
}

#[expect(clippy::cast_precision_loss, reason = "thresholds are not exact")]
fn ratio(part: i64, whole: i64) -> f64 {
    part as f64 / whole as f64
}
