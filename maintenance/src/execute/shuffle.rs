//! Distribution of rows to partitions, sorting, or both. Rows that do not fit into memory are written to disk
//! in runs, which are sorted if there is a sort order, and merged at the end.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use arrow_array::{RecordBatch, UInt32Array};
use arrow_row::{OwnedRow, Rows};
use arrow_schema::ArrowError;
use arrow_select::concat::concat_batches;
use arrow_select::interleave::interleave_record_batch;
use arrow_select::take::take_record_batch;
use table_core::file::batch_bytes::{bytes_of, pieces};
use table_core::file::error::FileError;
use table_core::file::partition_rows::Partitioner;
use table_core::file::sort_rows::RowOrder;
use table_core::manifest::partition::PartitionTuple;
use table_core::metadata::partition::PartitionSpec;
use table_core::metadata::types::StructType;

use super::spill::{Run, Spill};
use crate::context::JobContext;
use crate::error::JobError;

/// Maximum number of rows of a batch that is passed on, and of bytes.
const BATCH_ROWS: usize = 8192;
const BATCH_BYTES: u64 = 32 << 20;
/// Size of the batches in a run on disk, in bytes. While runs are merged, one batch of each is in memory.
const SPILLED_BYTES: u64 = 1 << 20;
/// Maximum size of the rows that are sorted at a time, in bytes. Each column becomes a single array, and a
/// text array is limited to 2 GiB.
const HELD_BYTES_MAX: u64 = 1 << 30;
/// Factor of memory during sorting: the rows, their sort keys, and the sorted rows.
const COPIES: u64 = 4;

/// Rows that are distributed or sorted.
pub(super) struct Shuffle<'a> {
    partitioner: Option<Partitioner>,
    order: Option<&'a RowOrder>,
    spill: Spill<'a>,
    buckets: BTreeMap<PartitionTuple, Bucket>,
    held_bytes: u64,
    held_bytes_max: u64,
}

/// Rows of a partition.
#[derive(Default)]
struct Bucket {
    batches: Vec<RecordBatch>,
    bytes: u64,
    runs: Vec<Run>,
}

impl<'a> Shuffle<'a> {
    /// Creates a shuffle for rows with these columns: into the partitions of `spec` if there is one, and
    /// sorted by `order` if there is one.
    pub(super) fn new(
        job: &JobContext<'a>,
        columns: &StructType,
        spec: Option<&PartitionSpec>,
        order: Option<&'a RowOrder>,
    ) -> Result<Shuffle<'a>, JobError> {
        let partitioner =
            spec.map(|spec| Partitioner::new(columns, spec)).transpose().map_err(|error| internal(&error))?;
        Ok(Shuffle {
            partitioner,
            order,
            spill: Spill::new(job.budget),
            buckets: BTreeMap::new(),
            held_bytes: 0,
            held_bytes_max: (job.budget.memory_bytes / COPIES).min(HELD_BYTES_MAX),
        })
    }

    /// Adds rows: of the partition `to`, or, if it is `None`, of the partitions that their values determine.
    pub(super) fn add(&mut self, to: Option<&PartitionTuple>, batch: &RecordBatch) -> Result<(), JobError> {
        match (to, &self.partitioner) {
            (None, Some(partitioner)) => {
                for (partition, rows) in partitioner.split(batch).map_err(|error| internal(&error))? {
                    let rows =
                        take_record_batch(batch, &UInt32Array::from(rows)).map_err(|error| arrow(&error))?;
                    self.hold(partition, rows);
                }
            }
            (to, _) => self.hold(to.cloned().unwrap_or_default(), batch.clone()),
        }
        while self.held_bytes > self.held_bytes_max {
            self.spill_largest()?;
        }
        Ok(())
    }

    /// Passes all rows to `take`, partition by partition.
    pub(super) fn finish(
        mut self,
        mut take: impl FnMut(&PartitionTuple, RecordBatch) -> Result<(), JobError>,
    ) -> Result<(), JobError> {
        while let Some((partition, bucket)) = self.buckets.pop_first() {
            let mut take = |batch| take(&partition, batch);
            let Bucket { batches, runs, .. } = bucket;
            let rest = self.sorted(&batches)?;
            drop(batches);
            let mut sources: Vec<Source> = Vec::with_capacity(runs.len() + 1);
            for run in runs {
                sources.push(Box::new(run.rows()?));
            }
            sources.push(Box::new(rest.into_iter().map(Ok)));
            match self.order {
                Some(order) if sources.len() > 1 => Merge::new(order, sources)?.run(&mut take)?,
                _ => sources.into_iter().flatten().try_for_each(|batch| take(batch?))?,
            }
        }
        Ok(())
    }

    fn hold(&mut self, partition: PartitionTuple, batch: RecordBatch) {
        let bytes = bytes_of(&batch);
        let bucket = self.buckets.entry(partition).or_default();
        bucket.batches.push(batch);
        bucket.bytes += bytes;
        self.held_bytes += bytes;
    }

    fn spill_largest(&mut self) -> Result<(), JobError> {
        let largest = self.buckets.iter().max_by_key(|(_, bucket)| bucket.bytes);
        let Some(partition) = largest.map(|(partition, _)| partition.clone()) else { return Ok(()) };
        let Some(bucket) = self.buckets.get_mut(&partition) else { return Ok(()) };
        let batches = std::mem::take(&mut bucket.batches);
        self.held_bytes -= std::mem::take(&mut bucket.bytes);
        let sorted = self.sorted(&batches)?;
        drop(batches);
        let run = self.spill.write(sorted.iter().flat_map(|batch| pieces(batch, SPILLED_BYTES)))?;
        if let Some(bucket) = self.buckets.get_mut(&partition) {
            bucket.runs.push(run);
        }
        Ok(())
    }

    /// Returns the rows of some batches in sort order, in batches of limited size.
    fn sorted(&self, batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, JobError> {
        let (Some(order), Some(first)) = (self.order, batches.first()) else { return Ok(batches.to_vec()) };
        let all = concat_batches(&first.schema(), batches).map_err(|error| arrow(&error))?;
        let keys = order.keys(&all).map_err(|error| internal(&error))?;
        let count = u32::try_from(all.num_rows())
            .map_err(|_| JobError::Internal("too many rows to sort at once".to_owned()))?;
        let mut rows: Vec<u32> = (0..count).collect();
        rows.sort_by(|one, other| keys.row(*one as usize).cmp(&keys.row(*other as usize)));
        let chunks = rows.chunks(BATCH_ROWS).map(|chunk| {
            take_record_batch(&all, &UInt32Array::from(chunk.to_vec())).map_err(|error| arrow(&error))
        });
        let mut sorted = Vec::new();
        for chunk in chunks {
            sorted.extend(pieces(&chunk?, BATCH_BYTES));
        }
        Ok(sorted)
    }
}

type Source = Box<dyn Iterator<Item = Result<RecordBatch, JobError>>>;

/// Merge of sorted sources. Equal rows are returned in the order of their sources.
struct Merge<'a> {
    order: &'a RowOrder,
    sources: Vec<Source>,
    /// Current batch of each source; `None` at its end.
    heads: Vec<Option<Head>>,
    next: BinaryHeap<Reverse<(OwnedRow, usize)>>,
}

/// Batch whose rows are being merged.
struct Head {
    batch: RecordBatch,
    keys: Rows,
    next: usize,
    /// Average size of a row in bytes.
    row_bytes: u64,
}

impl<'a> Merge<'a> {
    fn new(order: &'a RowOrder, sources: Vec<Source>) -> Result<Merge<'a>, JobError> {
        let heads = sources.iter().map(|_| None).collect();
        let mut merge = Merge { order, sources, heads, next: BinaryHeap::new() };
        for source in 0..merge.sources.len() {
            merge.fill(source)?;
        }
        Ok(merge)
    }

    fn run(mut self, take: &mut impl FnMut(RecordBatch) -> Result<(), JobError>) -> Result<(), JobError> {
        let mut chosen: Vec<(usize, usize)> = Vec::with_capacity(BATCH_ROWS);
        let mut chosen_bytes = 0;
        while let Some(Reverse((_, source))) = self.next.pop() {
            let Some(Some(head)) = self.heads.get_mut(source) else { continue };
            chosen.push((source, head.next));
            chosen_bytes += head.row_bytes;
            head.next += 1;
            let is_last = head.next == head.batch.num_rows();
            if !is_last {
                self.next.push(Reverse((head.keys.row(head.next).owned(), source)));
            }
            // The next batch of a source replaces the current one only after the chosen rows were copied from
            // it.
            if is_last || chosen.len() == BATCH_ROWS || chosen_bytes >= BATCH_BYTES {
                take(self.gather(&chosen)?)?;
                chosen.clear();
                chosen_bytes = 0;
            }
            if is_last {
                self.fill(source)?;
            }
        }
        if chosen.is_empty() { Ok(()) } else { take(self.gather(&chosen)?) }
    }

    /// Loads the next batch of a source, if there is one.
    fn fill(&mut self, source: usize) -> Result<(), JobError> {
        let next = loop {
            match self.sources.get_mut(source).and_then(Iterator::next).transpose()? {
                Some(batch) if batch.num_rows() == 0 => {}
                next => break next,
            }
        };
        let head = match next {
            None => None,
            Some(batch) => {
                let keys = self.order.keys(&batch).map_err(|error| internal(&error))?;
                self.next.push(Reverse((keys.row(0).owned(), source)));
                let row_bytes = bytes_of(&batch) / batch.num_rows() as u64;
                Some(Head { batch, keys, next: 0, row_bytes })
            }
        };
        if let Some(place) = self.heads.get_mut(source) {
            *place = head;
        }
        Ok(())
    }

    fn gather(&self, chosen: &[(usize, usize)]) -> Result<RecordBatch, JobError> {
        // No rows are chosen from sources that are at their end.
        let mut places = vec![0; self.heads.len()];
        let mut batches = Vec::with_capacity(self.heads.len());
        for (place, head) in places.iter_mut().zip(&self.heads) {
            if let Some(head) = head {
                *place = batches.len();
                batches.push(&head.batch);
            }
        }
        let rows: Vec<_> =
            chosen.iter().map(|(source, row)| (places.get(*source).copied().unwrap_or(0), *row)).collect();
        interleave_record_batch(&batches, &rows).map_err(|error| arrow(&error))
    }
}

fn internal(error: &FileError) -> JobError {
    JobError::Internal(error.to_string())
}

fn arrow(error: &ArrowError) -> JobError {
    JobError::Internal(error.to_string())
}
