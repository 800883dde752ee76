//! Planning compaction: which data files are rewritten together, as Java's `BinPackRewriteFilePlanner` with what it lacks: a
//! plan that was carried out leaves nothing to plan.
//!
//! # Why it comes to an end
//!
//! Packing goes by what a file will come to ([`Planner::output_bytes`]), in bins one after the other. A bin is closed by a
//! file that does not fit, and no file that is packed takes more than half a bin, so a closed bin holds more than half of
//! one: enough for outputs of the right size ([`Sizes::parts`]), which are no candidates. Only the last bin of a partition
//! may be left, or come out as a single small file; and what it held is less than it takes to be worth a rewrite.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::candidate::{Candidate, Unit};
use super::convert;
use super::listings::{self, Listings};
use super::live::{Live, LiveDelete, LiveFile, partition_to_json};
use super::options::{CompactOptions, OptionsError};
use super::pack::pack;
use super::plan::{Conversion, Delete, Group, Left, Plan, Reason, Tally};
use super::sizes::Sizes;
use crate::manifest::entry::Content;
use crate::manifest::partition::PartitionTuple;

/// What opening a file costs a scan, in bytes it could have read instead: Iceberg's default of
/// `read.split.open-file-cost`.
pub(super) const OPEN_FILE_BYTES: i64 = 4 << 20;

/// Row groups below this are worth merging.
const ROW_GROUP_BYTES_MIN: i64 = 8 << 20;

/// What a plan has to know of the table beside its files.
#[derive(Debug, Clone)]
pub struct Table {
    /// The snapshot whose files these are.
    pub snapshot_id: i64,
    /// That snapshot's sequence number.
    pub sequence_number: i64,
    /// What all data files of the table take, those that are not looked at included.
    pub bytes: i64,
    /// The partition spec that files are rewritten to: the table's default one.
    pub output_spec_id: i32,
    /// Deletes up to this sequence number that are for nothing are worth a commit of their own, however few they are.
    pub settled_sequence_number: i64,
    /// The partitions, by spec, that were committed to so lately that they are left alone.
    pub hot: BTreeMap<i32, BTreeSet<PartitionTuple>>,
    /// Files, of data or of deletes, that could not be read before, and have not changed since.
    pub unreadable: BTreeSet<String>,
}

/// Judges and groups the files of one snapshot.
pub struct Planner<'a> {
    live: &'a Live,
    table: &'a Table,
    options: &'a CompactOptions,
    sizes: Sizes,
    listings: Listings<'a>,
}

impl<'a> Planner<'a> {
    /// Fails if the options cannot be followed.
    pub fn new(
        live: &'a Live,
        table: &'a Table,
        options: &'a CompactOptions,
    ) -> Result<Planner<'a>, OptionsError> {
        let sizes = options.sizes(table.bytes)?;
        Ok(Planner { live, table, options, sizes, listings: Listings::new(&live.files) })
    }

    /// Whether a file is worth rewriting, looked at alone.
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

    /// How many rows of a file are known to be deleted. As in Java, only deletes that are for this one file count: how many
    /// rows others take from it is not known before they are read.
    pub fn deleted_rows(&self, file: &LiveFile) -> i64 {
        let deletes = file.deletes.iter().filter_map(|number| self.live.deletes.get(*number));
        let of_it_alone = deletes.filter(|delete| delete.data_file.is_some());
        let rows = total(of_it_alone.map(|delete| delete.record_count));
        rows.min(file.record_count)
    }

    /// About how large a file would be without its deleted rows, as far as these are known.
    pub fn output_bytes(&self, file: &LiveFile) -> i64 {
        if file.record_count == 0 {
            return 0;
        }
        let live_rows = file.record_count - self.deleted_rows(file);
        let bytes = i128::from(file.size_bytes) * i128::from(live_rows) / i128::from(file.record_count);
        i64::try_from(bytes).unwrap_or(i64::MAX)
    }

    /// Which files are rewritten together.
    pub fn plan(&self) -> Plan {
        let mut left = BTreeMap::new();
        // Files of other specs are together, because their rows may go anywhere; as in Java.
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
        // Groups that are worth the same stay in the order of their partitions.
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

    /// Whether a delete that is for nothing is worth a commit of its own. Streams of upserts bring values that no file holds with
    /// every commit, which is why those wait for others; but not for ever.
    fn is_worth_removing(&self, delete: &LiveDelete) -> bool {
        delete.content == Content::PositionDeletes
            || delete.sequence_number <= self.table.settled_sequence_number
    }

    /// A file that is listed once, and the partition that its rows stay in, if they do.
    fn unit(&self, file: &'a LiveFile) -> Result<(Option<&'a PartitionTuple>, Unit<'a>), Left> {
        let first = Candidate { file, reason: self.judge(file)?, output_bytes: self.output_bytes(file) };
        let partition = Some(&file.partition).filter(|_| self.stays(file));
        Ok((partition, Unit { first, repetitions: Vec::new() }))
    }

    /// The same for all entries of a file. One that forbids a rewrite decides for all, then one that asks for it.
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

    /// Of which files that stay equality deletes are turned into positions.
    fn conversions(&self, groups: &[Group]) -> Vec<Conversion> {
        // Most tables have none, and then nothing has to be known of their files.
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

    /// Candidates in bins, neighbours together. What takes more than half a bin has one of its own.
    fn bins(&self, units: Vec<Unit<'a>>) -> Vec<Vec<Candidate<'a>>> {
        let limit = self.options.max_file_group_size_bytes;
        let (fitting, giants): (Vec<_>, Vec<_>) =
            units.into_iter().partition(|unit| unit.output_bytes() <= limit / 2);
        let mut bins = pack(fitting, limit, Unit::output_bytes);
        bins.extend(giants.into_iter().map(|giant| vec![giant]));
        bins.into_iter().map(|bin| bin.into_iter().flat_map(Unit::entries).collect()).collect()
    }

    /// Why a bin is not worth rewriting.
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

    /// The deletes of a bin, each once, and where among them a number has come to be.
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

/// What reading a delete takes: of a deletion vector, only its own part of the file.
fn delete_bytes(delete: &Delete) -> i64 {
    delete.content_size_bytes.unwrap_or(delete.size_bytes)
}

/// Sorts what is worth most for its cost first, by a ratio of whole numbers.
fn worth(benefit_bytes: i64, cost_bytes: i64) -> Reverse<i128> {
    Reverse(i128::from(benefit_bytes) * (1 << 40) / i128::from(cost_bytes.max(1)))
}

/// Even parts, rounded up.
fn split_bytes(bytes: i64, parts: i64) -> i64 {
    if parts == 0 { 0 } else { bytes / parts + i64::from(bytes % parts != 0) }
}

/// What a damaged manifest tells may be more than can be counted.
pub(super) fn total(numbers: impl Iterator<Item = i64>) -> i64 {
    numbers.fold(0, i64::saturating_add)
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
