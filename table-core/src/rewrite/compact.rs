//! Planning of compaction, the rewriting of data files, as in Java's `BinPackRewriteFilePlanner`, but such
//! that planning converges: after a plan was carried out, there is nothing left to plan.
//!
//! # Convergence
//!
//! Files are packed into bins by their estimated size after the rewrite ([`Planner::output_bytes`]), one bin
//! after the other. A bin is closed by the first file that does not fit, and every packed file takes at most
//! half a bin, so a closed bin is more than half full. That is enough for outputs of the right size
//! ([`Sizes::parts`]), which are not candidates any more. Only the last bin of a partition may be left over,
//! or result in a single small file; and its contents were too little to be worth a rewrite.
//!
//! ```text
//! let planner = Planner::new(&live, &table, &options)?;
//! let plan = planner.plan();
//! ```

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::candidate::{Candidate, Unit};
use super::convert;
use super::cost::{OPEN_FILE_BYTES, total};
use super::listings::{self, Listings};
use super::live::{Live, LiveDelete, LiveFile, partition_to_json};
use super::options::{CompactOptions, OptionsError};
use super::pack::pack;
use super::plan::{Conversion, Delete, Group, Left, Plan, Reason, Tally};
use super::sizes::Sizes;
use crate::manifest::entry::Content;
use crate::manifest::partition::PartitionTuple;

/// Average size, in bytes, below which row groups are worth merging.
const ROW_GROUP_BYTES_MIN: i64 = 8 << 20;

/// Properties of the table that a plan depends on in addition to its live files.
#[derive(Debug, Clone)]
pub struct Table {
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
    pub hot: BTreeMap<i32, BTreeSet<PartitionTuple>>,
    /// Paths of data files and delete files that could not be read before and have not changed since.
    pub unreadable: BTreeSet<String>,
}

/// Planner that selects and groups the data files of one snapshot for rewriting.
pub struct Planner<'a> {
    live: &'a Live,
    table: &'a Table,
    options: &'a CompactOptions,
    sizes: Sizes,
    listings: Listings<'a>,
}

impl<'a> Planner<'a> {
    /// Creates a planner.
    ///
    /// # Errors
    ///
    /// Fails with [`OptionsError`] if the options contradict each other.
    pub fn new(
        live: &'a Live,
        table: &'a Table,
        options: &'a CompactOptions,
    ) -> Result<Planner<'a>, OptionsError> {
        let sizes = options.sizes(table.bytes)?;
        Ok(Planner { live, table, options, sizes, listings: Listings::new(&live.files) })
    }

    /// Returns the reason to rewrite a file, looking at the file alone.
    ///
    /// # Errors
    ///
    /// Fails with the reason for leaving the file as it is: [`Left::Format`], [`Left::Encrypted`],
    /// [`Left::Unreadable`], [`Left::Hot`] or [`Left::Good`].
    pub fn judge(&self, file: &LiveFile) -> Result<Reason, Left> {
        if file.format != "PARQUET" {
            return Err(Left::Format);
        }
        if file.is_encrypted {
            return Err(Left::Encrypted);
        }
        if self.is_unreadable(file) {
            return Err(Left::Unreadable);
        }
        if self.table.hot.get(&file.spec_id).is_some_and(|hot| hot.contains(&file.partition)) {
            return Err(Left::Hot);
        }
        let deleted_rows = self.deleted_rows(file);
        let limit_ratio = self.options.delete_ratio;
        if deleted_rows > 0 && ratio(deleted_rows, file.record_count) >= limit_ratio {
            return Ok(Reason::Deletes { deleted_rows, limit_ratio });
        }
        if self.sizes.is_small(file.size_bytes) {
            return Ok(Reason::Small { limit_bytes: self.sizes.small_bytes() });
        }
        if self.sizes.is_large(file.size_bytes) {
            return Ok(Reason::Large { limit_bytes: self.sizes.large_bytes() });
        }
        Err(Left::Good)
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
    pub fn plan(&self) -> Plan {
        let mut left = BTreeMap::new();
        // Files of other partition specs are grouped together, as in Java, because their rows may belong to
        // any partition.
        let mut partitions: BTreeMap<Option<&PartitionTuple>, Vec<Unit<'a>>> = BTreeMap::new();
        for (place, file) in self.live.files.iter().enumerate() {
            if self.listings.is_repetition(place) {
                continue;
            }
            let entries = self.listings.entries(&file.path).unwrap_or_default();
            let judged = if entries.is_empty() { self.unit(file) } else { self.unit_of(&entries) };
            match judged {
                Ok((partition, unit)) => partitions.entry(partition).or_default().push(unit),
                Err(why) if entries.is_empty() => tally(&mut left, why, file),
                Err(why) => entries.iter().for_each(|entry| tally(&mut left, why, entry)),
            }
        }
        let mut groups = Vec::new();
        for (partition, units) in partitions {
            for bin in self.bins(units) {
                match self.why_not(&bin) {
                    Some(why) => bin.iter().for_each(|candidate| tally(&mut left, why, candidate.file)),
                    None => groups.push(self.group(partition, &bin)),
                }
            }
        }
        // The sort is stable: groups of equal worth remain in the order of their partitions.
        groups.sort_by_key(|group| worth(group.benefit_bytes, group.cost_bytes));
        let conversions = self.conversions(&groups);
        let dangling = convert::dangling(self.live);
        let is_due = dangling.len() >= self.options.min_equality_deletes
            || dangling.iter().any(|delete| self.is_worth_removing(delete));
        Plan {
            snapshot_id: self.table.snapshot_id,
            sequence_number: self.table.sequence_number,
            output_spec_id: self.table.output_spec_id,
            sizes: self.sizes,
            groups,
            conversions,
            dangling: if is_due { dangling.len() } else { 0 },
            left,
        }
    }

    /// Returns `true` if a dangling delete is worth a commit of its own. Streaming upserts add equality
    /// deletes that match no rows with every commit; these wait until there are enough of them, but not
    /// indefinitely.
    fn is_worth_removing(&self, delete: &LiveDelete) -> bool {
        delete.content == Content::PositionDeletes
            || delete.sequence_number <= self.table.settled_sequence_number
    }

    /// Returns a file with a single manifest entry, with its partition if its rows stay in it.
    fn unit(&self, file: &'a LiveFile) -> Result<(Option<&'a PartitionTuple>, Unit<'a>), Left> {
        let first = Candidate { file, reason: self.judge(file)?, output_bytes: self.output_bytes(file) };
        let partition = Some(&file.partition).filter(|_| self.stays(file));
        Ok((partition, Unit { first, repetitions: Vec::new() }))
    }

    /// Returns a file with several manifest entries. An entry that must not be rewritten decides for all of
    /// them, then an entry that is worth rewriting.
    fn unit_of(&self, entries: &[&'a LiveFile]) -> Result<(Option<&'a PartitionTuple>, Unit<'a>), Left> {
        if listings::contradict_each_other(entries) {
            return Err(Left::Contradictory);
        }
        let judged: Vec<_> = entries.iter().map(|entry| self.judge(entry)).collect();
        let forbids = |judged: &&Result<Reason, Left>| matches!(judged, Err(why) if *why != Left::Good);
        if let Some(Err(why)) = judged.iter().find(forbids) {
            return Err(*why);
        }
        let is_for_deletes = |reason: &&Reason| matches!(reason, Reason::Deletes { .. });
        let mut reasons = judged.iter().flatten();
        let reason = reasons.clone().find(is_for_deletes).or_else(|| reasons.next()).ok_or(Left::Good)?;
        let mut candidates = entries.iter().zip(&judged).map(|(file, judged)| Candidate {
            file,
            reason: judged.unwrap_or(*reason),
            output_bytes: self.output_bytes(file),
        });
        let first = candidates.next().ok_or(Left::Good)?;
        let partition = entries.iter().all(|entry| self.stays(entry)).then_some(&first.file.partition);
        Ok((partition, Unit { repetitions: candidates.collect(), first }))
    }

    /// Plans for which of the files that are not rewritten equality deletes are converted to position
    /// deletes.
    fn conversions(&self, groups: &[Group]) -> Vec<Conversion> {
        // Most tables have no equality deletes, and then no file has to be examined.
        if self.live.deletes.iter().all(|delete| delete.content != Content::EqualityDeletes) {
            return Vec::new();
        }
        let rewritten = groups.iter().flat_map(|group| &group.inputs).map(|input| input.path.as_str());
        let rewritten: HashSet<&str> = rewritten.collect();
        let of_file = |file: &LiveFile| {
            if rewritten.contains(file.path.as_str()) {
                convert::Becomes::Rewritten
            } else if matches!(
                self.judge(file),
                Err(Left::Hot | Left::Format | Left::Encrypted | Left::Unreadable)
            ) || self
                .listings
                .entries(&file.path)
                .is_some_and(|entries| !listings::are_alike(&entries))
            {
                convert::Becomes::Untouched
            } else {
                convert::Becomes::Convertible
            }
        };
        let mut conversions = convert::plan(self.live, of_file, self.options.min_equality_deletes);
        conversions.sort_by_key(|found| worth(found.benefit_bytes, found.cost_bytes));
        conversions
    }

    fn stays(&self, file: &LiveFile) -> bool {
        file.spec_id == self.table.output_spec_id
    }

    /// Packs candidates into bins, neighbours together. A unit larger than half a bin gets a bin of its own.
    fn bins(&self, units: Vec<Unit<'a>>) -> Vec<Vec<Candidate<'a>>> {
        let limit = self.options.max_file_group_size_bytes;
        let (fitting, giants): (Vec<_>, Vec<_>) =
            units.into_iter().partition(|unit| unit.output_bytes() <= limit / 2);
        let mut bins = pack(fitting, limit, Unit::output_bytes);
        bins.extend(giants.into_iter().map(|giant| vec![giant]));
        bins.into_iter().map(|bin| bin.into_iter().flat_map(Unit::entries).collect()).collect()
    }

    /// Returns the reason why a bin is not worth rewriting; `None` if it is.
    fn why_not(&self, bin: &[Candidate<'_>]) -> Option<Left> {
        if bin.iter().any(|candidate| matches!(candidate.reason, Reason::Deletes { .. })) {
            return None;
        }
        if bin.len() < 2 {
            return Some(Left::Alone);
        }
        let output_bytes = total(bin.iter().map(|candidate| candidate.output_bytes));
        let is_enough = bin.len() >= self.options.min_input_files || output_bytes > self.sizes.target_bytes();
        (!is_enough).then_some(Left::TooLittle)
    }

    fn group(&self, partition: Option<&PartitionTuple>, bin: &[Candidate<'_>]) -> Group {
        let (deletes, numbers) = self.deletes_of(bin);
        let inputs: Vec<_> = bin.iter().map(|candidate| candidate.input(&numbers)).collect();
        let input_bytes = total(bin.iter().map(|candidate| candidate.file.size_bytes));
        let output_bytes = total(bin.iter().map(|candidate| candidate.output_bytes));
        let has_rows =
            bin.iter().any(|candidate| candidate.file.record_count > self.deleted_rows(candidate.file));
        let outputs = if has_rows { self.sizes.parts(output_bytes).max(1) } else { 0 };
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

    /// Returns the deletes of a bin without duplicates, and a map from their indexes in `Live` to those in
    /// the bin.
    fn deletes_of(&self, bin: &[Candidate<'_>]) -> (Vec<Delete>, HashMap<usize, usize>) {
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
fn worth(benefit_bytes: i64, cost_bytes: i64) -> Reverse<i128> {
    Reverse(i128::from(benefit_bytes) * (1 << 40) / i128::from(cost_bytes.max(1)))
}

/// Returns the size of even parts, rounded up.
fn split_bytes(bytes: i64, parts: i64) -> i64 {
    if parts == 0 { 0 } else { bytes / parts + i64::from(bytes % parts != 0) }
}

fn tally(left: &mut BTreeMap<Left, Tally>, why: Left, file: &LiveFile) {
    let tally = left.entry(why).or_default();
    tally.files += 1;
    tally.bytes = tally.bytes.saturating_add(file.size_bytes);
}

#[expect(clippy::cast_precision_loss, reason = "thresholds are not exact")]
fn ratio(part: i64, whole: i64) -> f64 {
    part as f64 / whole as f64
}
