//! Record batches of one row group, without deleted rows.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_select::filter::filter_record_batch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::adapt::{ColumnSource, misfit};
use super::context::FileContext;
use super::plan::{ColumnOrigin, ReadPlan};
use super::row_group::RowGroup;
use crate::file::error::{FileError, guarded};

/// Factor by which the number of rows is reduced if a batch cannot be decoded, down to one row: an Arrow
/// string array is limited to 2 GiB.
const SHRINK: usize = 8;

/// Iterator over the record batches of one row group, none of them empty. It ends after the first error.
pub struct Batches {
    pub(super) plan: Arc<ReadPlan>,
    pub(super) context: Arc<FileContext>,
    /// `None` after the last row, and after an error.
    pub(super) decoder: Option<ParquetRecordBatchReader>,
    pub(super) group: RowGroup,
    /// Number of rows that the decoder returns at a time.
    pub(super) batch_rows: usize,
    /// Position in the file of the first row of the row group.
    pub(super) start: u64,
    /// Position in the file of the next row.
    pub(super) position: u64,
    /// Position after the last row of the row group.
    pub(super) end: u64,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_batch();
        if next.is_err() {
            self.decoder = None;
        }
        next.transpose()
    }
}

impl Batches {
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, FileError> {
        while let Some((batch, start)) = self.decode()? {
            if let Some(batch) = self.batch(&batch, start)? {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// Returns the next rows as they are in the file, with the position of the first one.
    fn decode(&mut self) -> Result<Option<(RecordBatch, u64)>, FileError> {
        let batch = loop {
            let Some(decoder) = &mut self.decoder else { return Ok(None) };
            let undecodable = |error| FileError::malformed(format!("the file cannot be decoded: {error}"));
            match guarded(|| decoder.next().transpose().map_err(undecodable)) {
                Err(_) if self.batch_rows > 1 && self.group.is_estimate() => self.shrink()?,
                next => break next?,
            }
        };
        let Some(batch) = batch else {
            self.decoder = None;
            return match self.end - self.position {
                0 => Ok(None),
                lacking => Err(FileError::malformed(format!(
                    "the file has {lacking} rows less than its metadata says"
                ))),
            };
        };
        let start = self.position;
        self.position += batch.num_rows() as u64;
        if self.position > self.end {
            return Err(FileError::malformed("the file has more rows than its metadata says"));
        }
        Ok(Some((batch, start)))
    }

    /// Continues with fewer rows at a time.
    fn shrink(&mut self) -> Result<(), FileError> {
        self.batch_rows = (self.batch_rows / SHRINK).max(1);
        let start = usize::try_from(self.position - self.start).unwrap_or(usize::MAX);
        self.decoder = Some(self.group.decoder(&self.plan.levels, start, self.batch_rows)?);
        Ok(())
    }

    /// Removes the deleted rows from a batch that begins at position `start`; `None` if no row remains.
    fn batch(&self, batch: &RecordBatch, start: u64) -> Result<Option<RecordBatch>, FileError> {
        let end = start + batch.num_rows() as u64;
        let deleted = self.context.deleted.range_cardinality(start..end);
        if deleted == 0 {
            return self.shape(batch, (start..end).collect()).map(Some);
        }
        let positions: Vec<u64> =
            (start..end).filter(|position| !self.context.deleted.contains(*position)).collect();
        if positions.is_empty() {
            return Ok(None);
        }
        let is_kept = (start..end).map(|position| Some(!self.context.deleted.contains(position)));
        let kept = filter_record_batch(batch, &is_kept.collect::<BooleanArray>());
        let kept = kept.map_err(|error| misfit(&error))?;
        self.shape(&kept, positions).map(Some)
    }

    /// Converts rows at the given positions to the requested columns.
    fn shape(&self, batch: &RecordBatch, positions: Vec<u64>) -> Result<RecordBatch, FileError> {
        let rows = positions.len();
        let positions: Int64Array =
            positions.into_iter().map(|position| i64::try_from(position).unwrap_or(i64::MAX)).collect();
        let mut columns = Vec::with_capacity(self.plan.columns.len());
        for origin in &self.plan.columns {
            columns.push(self.column(origin, batch.columns(), &positions)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.plan.schema.clone(), columns, &options)
            .map_err(|error| misfit(&error))
    }

    fn column(
        &self,
        origin: &ColumnOrigin,
        siblings: &[ArrayRef],
        positions: &Int64Array,
    ) -> Result<ArrayRef, FileError> {
        let rows = positions.len();
        let own = |source: &Option<ColumnSource>| {
            source.as_ref().map(|source| source.take(siblings, rows)).transpose()
        };
        Ok(match origin {
            ColumnOrigin::Column(source) => source.take(siblings, rows)?,
            ColumnOrigin::Path => {
                Arc::new(StringArray::from_iter_values(std::iter::repeat_n(&self.context.path, rows)))
            }
            ColumnOrigin::Position => Arc::new(positions.clone()),
            ColumnOrigin::RowId(source) => {
                let first = self.context.first_row_id;
                fill(own(source)?.as_ref(), rows, |row| first?.checked_add(positions.value(row)))
            }
            ColumnOrigin::LastUpdated(source) => {
                fill(own(source)?.as_ref(), rows, |_| self.context.sequence_number)
            }
        })
    }
}

/// Returns the numbers of a column, filled in with `other` where it is absent or null.
fn fill(own: Option<&ArrayRef>, rows: usize, other: impl Fn(usize) -> Option<i64>) -> ArrayRef {
    let own = own.and_then(|own| own.as_primitive_opt::<Int64Type>());
    let value = |row: usize| match own {
        Some(own) if own.is_valid(row) => Some(own.value(row)),
        _ => other(row),
    };
    Arc::new((0..rows).map(value).collect::<Int64Array>())
}
