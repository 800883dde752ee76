//! Rewriting of a group: determines the deleted rows, chooses the cheapest correct method, and verifies the
//! result.

use arrow_array::RecordBatch;
use roaring::RoaringTreemap;
use table_core::file::checksum::{Order, RowChecksum};
use table_core::file::deletion_vector::DeletionVector;
use table_core::file::error::FileError;
use table_core::file::parquet_writer::options::WriterOptions;
use table_core::file::sort_rows::RowOrder;
use table_core::manifest::data_file::DataFile;
use table_core::manifest::partition::PartitionTuple;
use table_core::metadata::schema::Schema;
use table_core::metadata::table::TableMetadata;
use table_core::metadata::types::StructType;
use table_core::rewrite::live::partition_from_json;
use table_core::rewrite::plan::{Group, Input};
use table_core::rewrite::remap::{InputRows, OutputRows, RemapError, RowMap};
use table_core::text::count;

use super::deletes::{Targets, deleted_positions};
use super::input::{OpenFile, open_data, types_of};
use super::output::{Form, Locations, Writer};
use super::shuffle::Shuffle;
use super::{columns, splice, verify};
use crate::context::JobContext;
use crate::control::{Progress, Unit};
use crate::error::JobError;
use crate::output_ledger::OutputLedger;

/// Result of rewriting a group.
#[derive(Debug, Default)]
pub struct Rewritten {
    /// Manifest data of the new files.
    pub files: Vec<DataFile>,
    /// Number of rows of the inputs, including deleted rows.
    pub rows_read: i64,
    /// Number of rows that were deleted.
    pub rows_deleted: i64,
    /// Number of rows of the new files.
    pub rows_written: i64,
    /// `true` if row groups were copied without decoding them.
    pub is_spliced: bool,
    /// Inputs in order, if rows were written in the order in which they were read.
    inputs: Option<Vec<InputRows>>,
}

/// Rewriter with the properties that all groups of a job have in common.
pub struct Rewriter<'a> {
    job: &'a JobContext<'a>,
    metadata: &'a TableMetadata,
    spec_id: i32,
    schema: Schema,
    columns: StructType,
    options: WriterOptions,
    /// Sort order of the output and its id; `None` if rows are not sorted.
    order: Option<(RowOrder, i32)>,
}

/// Group that is being rewritten.
pub(super) struct Rewriting<'a> {
    pub(super) job: &'a JobContext<'a>,
    metadata: &'a TableMetadata,
    group: &'a Group,
    columns: &'a StructType,
}

impl Rewritten {
    /// Returns the map from positions in the inputs to positions in the outputs; `None` if the order of rows
    /// has changed.
    ///
    /// # Errors
    ///
    /// Fails for the reasons of [`RowMap::new`].
    pub fn row_map(&self) -> Option<Result<RowMap, RemapError>> {
        let outputs = self.files.iter().map(|file| OutputRows {
            path: file.path.clone(),
            rows: u64::try_from(file.record_count).unwrap_or(0),
        });
        Some(RowMap::new(self.inputs.clone()?, outputs.collect()))
    }
}

impl<'a> Rewriter<'a> {
    /// Creates a rewriter for groups of a plan whose output has the partition spec `spec_id`. `sorted`
    /// specifies that rows are sorted by the table's sort order.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::Metadata`] if the table has no valid current schema.
    pub fn new(
        job: &'a JobContext<'a>,
        metadata: &'a TableMetadata,
        spec_id: i32,
        sorted: bool,
    ) -> Result<Rewriter<'a>, JobError> {
        let schema = columns::rewritten(metadata)?;
        let table_columns = metadata.current_schema()?.columns()?;
        let declared = metadata.default_sort_order();
        let columns = schema.columns()?.root.clone();
        let order = declared.filter(|order| sorted && !order.fields().is_empty());
        let order = order.and_then(|order| match RowOrder::new(&columns, order) {
            Ok(rows) => Some((rows, order.id())),
            // A rewrite without sorting is better than none.
            Err(error) => {
                tracing::warn!(%error, "rows cannot be sorted by the table's sort order; their order is kept");
                None
            }
        });
        Ok(Rewriter {
            job,
            metadata,
            spec_id,
            columns,
            schema,
            options: WriterOptions::of_data(metadata.properties(), table_columns, declared),
            order,
        })
    }

    /// Rewrites one group, and verifies the new files by reading them again.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::Verification`] if the number of rows or their checksum differs between inputs
    /// and outputs, with [`JobError::Budget`] if sorting requires too much disk space, if an input or delete
    /// cannot be read, if an output cannot be announced or written, or if the job has to stop.
    pub fn rewrite(&self, group: &Group, outputs: &OutputLedger<'_>) -> Result<Rewritten, JobError> {
        let rewrite_id = (self.job.environment.uuid)();
        let mut locations = Locations::new(self.metadata, self.spec_id, outputs, rewrite_id, group.outputs)?;
        if self.order.is_none()
            && let Some(splicing) = splice::find(self.job, self.metadata, group)?
        {
            let partition = self.partition(group)?;
            let files = splicing.run(self.spec_id, &partition, &self.options, &mut locations)?;
            let deleted = vec![RoaringTreemap::new(); group.inputs.len()];
            return Ok(Rewritten { is_spliced: true, ..finish(group, &deleted, files, true)? });
        }
        let targets = Targets { inputs: &group.inputs, deletes: &group.deletes };
        let deleted = deleted_positions(self.job, self.metadata, targets)?;
        let keeps_order = self.order.is_none() && group.keeps_order;
        let order = if keeps_order { Order::Retained } else { Order::Any };
        let mut seen = RowChecksum::new(order);
        let mut writer = Writer::new(self.form(group), locations);
        let rewriting = Rewriting { job: self.job, metadata: self.metadata, group, columns: &self.columns };
        if keeps_order {
            let partition = self.partition(group)?;
            rewriting.each_batch(&deleted, |batch| {
                seen.add(&batch).map_err(|error| JobError::Internal(error.to_string()))?;
                writer.write(&partition, &batch)
            })?;
        } else {
            let spec = self.metadata.partition_specs().iter().find(|spec| spec.id() == self.spec_id);
            let to = group.partition.is_some().then(|| self.partition(group)).transpose()?;
            let order_of_rows = self.order.as_ref().map(|(order, _)| order);
            let mut shuffle =
                Shuffle::new(self.job, &self.columns, spec.filter(|_| to.is_none()), order_of_rows)?;
            rewriting.each_batch(&deleted, |batch| {
                seen.add(&batch).map_err(|error| JobError::Internal(error.to_string()))?;
                shuffle.add(to.as_ref(), &batch)
            })?;
            shuffle.finish(|partition, batch| writer.write(partition, &batch))?;
        }
        let files = writer.finish()?;
        let done = finish(group, &deleted, files, keeps_order)?;
        verify::check(self.job, &done.files, &self.columns, &seen, RowChecksum::new(order))?;
        Ok(done)
    }

    fn form(&self, group: &Group) -> Form<'_> {
        Form {
            files: self.job.files,
            schema: &self.schema,
            options: &self.options,
            spec_id: self.spec_id,
            sort_order_id: self.order.as_ref().map(|(_, id)| *id),
            rows_max: file_rows(group),
        }
    }

    /// Returns the partition of a group that is not moved to another partition.
    fn partition(&self, group: &Group) -> Result<PartitionTuple, JobError> {
        let values = group.partition.as_deref().unwrap_or_default();
        partition_from_json(values, &types_of(self.metadata, self.spec_id)?).ok_or_else(|| {
            JobError::Internal(format!("the partition {values:?} does not fit spec {}", self.spec_id))
        })
    }
}

impl Rewriting<'_> {
    /// Passes the remaining rows of all inputs to `take`, one input after the other.
    pub(super) fn each_batch(
        &self,
        deleted: &[RoaringTreemap],
        mut take: impl FnMut(RecordBatch) -> Result<(), JobError>,
    ) -> Result<(), JobError> {
        let mut bytes_done = 0_u64;
        let inputs = &self.group.inputs;
        let sources = self.job.files.open_all(inputs.iter().map(|input| (&*input.path, input.size_bytes)));
        for ((input, deleted), source) in inputs.iter().zip(deleted).zip(sources) {
            let file = open_data(source?, self.metadata, input, self.columns, deleted.clone())?;
            let left = self.each_batch_of(&file, &mut take)?;
            let expected = input.record_count - rows_of(deleted);
            if left != expected {
                let expected =
                    count(expected.unsigned_abs(), "row that is not deleted", "rows that are not deleted");
                let message = format!("{expected} were expected, but {left} were read");
                return Err(JobError::file(&input.path)(FileError::Malformed(message)));
            }
            bytes_done += u64::try_from(input.size_bytes).unwrap_or(0);
            self.job.control.progress(Progress {
                activity: "rewriting".to_owned(),
                done: bytes_done,
                total: u64::try_from(self.group.input_bytes).unwrap_or(0),
                unit: Unit("byte", "bytes"),
            });
        }
        Ok(())
    }

    fn each_batch_of(
        &self,
        file: &OpenFile,
        take: &mut impl FnMut(RecordBatch) -> Result<(), JobError>,
    ) -> Result<i64, JobError> {
        let mut left = 0_i64;
        for batch in file.rows() {
            self.job.control.check()?;
            let batch = batch?;
            left += i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
            take(batch)?;
        }
        Ok(left)
    }
}

/// Computes the result, and verifies that the numbers of rows match.
fn finish(
    group: &Group,
    deleted: &[RoaringTreemap],
    files: Vec<DataFile>,
    keeps_order: bool,
) -> Result<Rewritten, JobError> {
    let mut done = Rewritten { files, ..Rewritten::default() };
    done.rows_read = group.inputs.iter().map(|input| input.record_count).sum();
    done.rows_deleted = deleted.iter().map(rows_of).sum();
    done.rows_written = done.files.iter().map(|file| file.record_count).sum();
    if done.rows_read - done.rows_deleted != done.rows_written {
        return Err(JobError::Verification(format!(
            "{} rows were read, of which {} are deleted, but {} were written",
            done.rows_read, done.rows_deleted, done.rows_written
        )));
    }
    if keeps_order {
        let rows = |(input, deleted): (&Input, &RoaringTreemap)| {
            let vector = DeletionVector::from_sorted(deleted.iter());
            let deleted =
                vector.map_err(|reason| JobError::Vector { location: input.path.clone(), reason })?;
            let rows = u64::try_from(input.record_count).unwrap_or(0);
            Ok(InputRows { path: input.path.clone(), rows, deleted })
        };
        done.inputs = Some(group.inputs.iter().zip(deleted).map(rows).collect::<Result<_, JobError>>()?);
    }
    Ok(done)
}

fn rows_of(positions: &RoaringTreemap) -> i64 {
    i64::try_from(positions.len()).unwrap_or(i64::MAX)
}

/// Returns the number of rows after which a new file is begun: an equal share of the rows that are expected
/// to remain.
fn file_rows(group: &Group) -> usize {
    let rows: i128 = group.inputs.iter().map(|input| i128::from(input.record_count)).sum();
    let left = rows * i128::from(group.output_bytes) / i128::from(group.input_bytes.max(1));
    let outputs = i128::from(group.outputs.max(1));
    let each = if outputs == 1 { rows } else { (left + outputs - 1) / outputs };
    usize::try_from(each).unwrap_or(usize::MAX).max(1)
}
