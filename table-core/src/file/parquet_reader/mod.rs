//! Reader of Parquet data files and delete files, which returns rows in a schema of the table, independent of
//! the schema that the file was written with: columns are matched by field id, added ones are filled in,
//! dropped ones omitted, and promoted ones converted.
//!
//! Nothing is fetched here. The caller asks for the byte ranges that a row group needs
//! ([`FileReader::ranges`]), fetches them, and passes them to [`FileReader::batches`]. The memory needed is
//! that of the requested columns of one row group, compressed, plus one batch.
//!
//! ```text
//! let reader = FileReader::new(metadata, &columns, FileContext::new(path))?;
//! for group in reader.row_groups() {
//!     let chunks = fetch(reader.ranges(group)?);
//!     for batch in reader.batches(group, chunks)? { … }
//! }
//! ```

mod absent;
mod adapt;
pub mod batches;
mod constant;
pub mod context;
mod convert;
mod delta;
mod file_columns;
pub mod name_mapping;
mod plan;
pub(crate) mod row_group;
mod value_sizes;

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::ChunkReader;

use self::batches::Batches;
use self::context::FileContext;
use self::plan::ReadPlan;
use self::row_group::{Chunk, RowGroup, rows_of, wide_range_of};
use super::error::{FileError, guarded};
use super::footer;
use crate::metadata::types::StructType;

/// Plan for reading one Parquet file: its metadata, the requested columns and its [`FileContext`].
#[derive(Debug, Clone)]
pub struct FileReader {
    metadata: Arc<ParquetMetaData>,
    plan: Arc<ReadPlan>,
    context: Arc<FileContext>,
    /// Position of the first row of each row group, followed by the number of rows of the file.
    starts: Vec<u64>,
}

impl FileReader {
    /// Plans reading the columns `requested` from a file with this metadata, as returned by
    /// [`super::footer`]. The columns of [`crate::metadata::reserved`] may be among them.
    ///
    /// # Errors
    ///
    /// Fails with [`FileError::Unsupported`] if the values that the file stores in a column cannot be read as
    /// the column's type, with [`FileError::Unfit`] if the file lacks a required column that has no initial
    /// default, and with [`FileError::Malformed`] if the metadata is damaged.
    pub fn new(
        metadata: Arc<ParquetMetaData>,
        requested: &StructType,
        context: FileContext,
    ) -> Result<FileReader, FileError> {
        let plan = guarded(|| ReadPlan::new(metadata.file_metadata().schema_descr(), requested, &context))?;
        let mut starts = vec![0_u64];
        for group in metadata.row_groups() {
            let start = starts.last().copied().unwrap_or(0);
            let too_many =
                || FileError::malformed("the metadata of the file has an impossible number of rows");
            starts.push(start.checked_add(rows_of(group)?).ok_or_else(too_many)?);
            for leaf in &plan.leaves {
                let column = group.columns().get(*leaf);
                let column = column.ok_or_else(|| FileError::malformed("a row group lacks a column"))?;
                wide_range_of(&metadata, column)?;
            }
        }
        Ok(FileReader { metadata, plan: Arc::new(plan), context: Arc::new(context), starts })
    }

    /// Reads the metadata of a file and then plans as [`FileReader::new`] does.
    ///
    /// # Errors
    ///
    /// Fails as [`footer::read`] and [`FileReader::new`] do.
    pub fn open<R: ChunkReader>(
        source: &R,
        requested: &StructType,
        context: FileContext,
    ) -> Result<FileReader, FileError> {
        FileReader::new(Arc::new(footer::read(source)?), requested, context)
    }

    /// Returns the Arrow schema of the rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.plan.schema
    }

    /// Returns the metadata of the file.
    pub fn metadata(&self) -> &Arc<ParquetMetaData> {
        &self.metadata
    }

    /// Returns the indexes of the row groups that have rows which are not deleted, in order.
    pub fn row_groups(&self) -> impl Iterator<Item = usize> {
        (0..self.metadata.num_row_groups()).filter(|group| {
            let rows = self.rows_of(*group);
            self.context.deleted.range_cardinality(rows.clone()) < rows.end - rows.start
        })
    }

    /// Returns the byte ranges of the file that are needed to read a row group: one range per leaf column, in
    /// the order of the columns.
    ///
    /// # Errors
    ///
    /// Fails with [`FileError::Malformed`] if the file has no such row group, or if its metadata has
    /// impossible positions.
    pub fn ranges(&self, row_group: usize) -> Result<Vec<Range<u64>>, FileError> {
        let group = self.metadata.row_groups().get(row_group).ok_or_else(|| no_such(row_group))?;
        let columns = self.plan.leaves.iter().filter_map(|leaf| group.columns().get(*leaf));
        columns.map(|column| wide_range_of(&self.metadata, column)).collect()
    }

    /// Returns the rows of a row group; `chunks` are the bytes of its [`FileReader::ranges`].
    ///
    /// # Errors
    ///
    /// Fails with [`FileError::Malformed`] if the chunks are not those of the row group, or if a page is
    /// damaged or does not match its checksum, and with [`FileError::Unsupported`] if a page is larger than
    /// this module decompresses.
    pub fn batches(&self, row_group: usize, chunks: Vec<Bytes>) -> Result<Batches, FileError> {
        let ranges = self.ranges(row_group)?;
        if chunks.len() != ranges.len() {
            return Err(FileError::malformed("the bytes are not those of the row group"));
        }
        let placed = self.plan.leaves.iter().zip(ranges).zip(chunks);
        let placed = placed.map(|((leaf, range), bytes)| (*leaf, Chunk { start: range.start, bytes }));
        let group = RowGroup::new(self.metadata.clone(), row_group, placed)?;
        let batch_rows = group.batch_rows(self.context.batch_rows);
        let rows = self.rows_of(row_group);
        Ok(Batches {
            plan: self.plan.clone(),
            context: self.context.clone(),
            decoder: Some(group.decoder(&self.plan.levels, 0, batch_rows)?),
            group,
            batch_rows,
            start: rows.start,
            position: rows.start,
            end: rows.end,
        })
    }

    /// Returns all rows of a file that is available as a [`ChunkReader`].
    pub fn read<R: ChunkReader>(&self, source: &R) -> impl Iterator<Item = Result<RecordBatch, FileError>> {
        let groups: Vec<usize> = self.row_groups().collect();
        groups.into_iter().flat_map(move |group| {
            let batches = self.fetch(group, source).and_then(|chunks| self.batches(group, chunks));
            let (batches, error) = match batches {
                Ok(batches) => (Some(batches), None),
                Err(error) => (None, Some(Err(error))),
            };
            error.into_iter().chain(batches.into_iter().flatten())
        })
    }

    fn fetch<R: ChunkReader>(&self, group: usize, source: &R) -> Result<Vec<Bytes>, FileError> {
        let fetch = |range: Range<u64>| {
            if range.end > source.len() {
                return Err(FileError::malformed("a column is beyond the end of the file"));
            }
            let length = usize::try_from(range.end - range.start);
            let length = length.map_err(|_| FileError::malformed("a column is too long for the memory"))?;
            source.get_bytes(range.start, length).map_err(FileError::reading)
        };
        self.ranges(group)?.into_iter().map(fetch).collect()
    }

    /// Returns the positions of the rows of a row group.
    fn rows_of(&self, row_group: usize) -> Range<u64> {
        match self.starts.get(row_group..row_group + 2) {
            Some([start, end]) => *start..*end,
            _ => 0..0,
        }
    }
}

fn no_such(row_group: usize) -> FileError {
    FileError::malformed(format!("the file has no row group {row_group}"))
}
