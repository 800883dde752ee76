//! Reads a Parquet file of a table as rows of a schema of the table, whatever the file's own schema was: by field id, with
//! added columns filled in, dropped ones left out, and promoted ones converted.
//!
//! Nothing is fetched here. A caller that reads from far away asks which bytes a row group needs, fetches them in its own
//! way, and hands them over; what takes memory is one row group's wanted columns, compressed, and one batch.

mod absent;
mod adapt;
pub mod batches;
mod constant;
mod convert;
mod delta;
mod file_columns;
pub mod name_mapping;
mod plan;
pub(crate) mod row_group;
mod value_sizes;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::ChunkReader;
use roaring::RoaringTreemap;

use self::batches::Batches;
use self::name_mapping::NameMapping;
use self::plan::Plan;
use self::row_group::{Chunk, RowGroup, rows_of, wide_range_of};
use super::error::{FileError, guarded};
use super::footer;
use crate::expr::value::Value;
use crate::metadata::types::StructType;

/// How many rows a batch has unless another number is asked for: enough to make the work on columns worth it, few enough
/// to keep long strings in memory.
pub const BATCH_ROWS: usize = 8192;

/// What is known of a file from elsewhere.
#[derive(Debug, Clone)]
pub struct FileContext {
    /// Its path, for `_file`.
    pub path: String,
    /// The columns that names stand for, if the file has no field ids.
    pub name_mapping: Option<NameMapping>,
    /// The values of identity partition fields by the id of their column, for columns that the file does not have.
    pub constants: BTreeMap<i32, Option<Value>>,
    /// The row id of its first row, for `_row_id`.
    pub first_row_id: Option<i64>,
    /// The sequence number of the commit that added its rows, for `_last_updated_sequence_number`.
    pub sequence_number: Option<i64>,
    /// The positions of rows that are left out.
    pub deleted: RoaringTreemap,
    /// How many rows a batch has at most.
    pub batch_rows: usize,
}

/// One Parquet file and how it is read.
#[derive(Debug, Clone)]
pub struct FileReader {
    metadata: Arc<ParquetMetaData>,
    plan: Arc<Plan>,
    context: Arc<FileContext>,
    /// The position of the first row of each row group, and of the end.
    starts: Vec<u64>,
}

impl FileContext {
    /// Nothing but the path.
    pub fn new(path: impl Into<String>) -> FileContext {
        FileContext {
            path: path.into(),
            name_mapping: None,
            constants: BTreeMap::new(),
            first_row_id: None,
            sequence_number: None,
            deleted: RoaringTreemap::new(),
            batch_rows: BATCH_ROWS,
        }
    }
}

impl FileReader {
    /// Plans to read `wanted` from a file with this metadata, as [`super::footer`] gives it. The columns of [`super::reserved`] may be among the wanted
    /// ones.
    ///
    /// Fails if the file holds in a column what cannot be read as its type, and if it lacks a required one.
    pub fn new(
        metadata: Arc<ParquetMetaData>,
        wanted: &StructType,
        context: FileContext,
    ) -> Result<FileReader, FileError> {
        let plan = guarded(|| Plan::new(metadata.file_metadata().schema_descr(), wanted, &context))?;
        let mut starts = vec![0_u64];
        for group in metadata.row_groups() {
            let start = starts.last().copied().unwrap_or(0);
            let too_many = || FileError::malformed("the file tells of more rows than there can be");
            starts.push(start.checked_add(rows_of(group)?).ok_or_else(too_many)?);
            for leaf in &plan.leaves {
                let column = group.columns().get(*leaf);
                let column = column.ok_or_else(|| FileError::malformed("a row group lacks a column"))?;
                wide_range_of(&metadata, column)?;
            }
        }
        Ok(FileReader { metadata, plan: Arc::new(plan), context: Arc::new(context), starts })
    }

    /// Reads the metadata of a file, then as [`FileReader::new`].
    pub fn open<R: ChunkReader>(
        source: &R,
        wanted: &StructType,
        context: FileContext,
    ) -> Result<FileReader, FileError> {
        FileReader::new(Arc::new(footer::read(source)?), wanted, context)
    }

    /// What the rows look like.
    pub fn schema(&self) -> &SchemaRef {
        &self.plan.schema
    }

    /// The metadata of the file.
    pub fn metadata(&self) -> &Arc<ParquetMetaData> {
        &self.metadata
    }

    /// The row groups that have rows which are not deleted, in order.
    pub fn row_groups(&self) -> impl Iterator<Item = usize> {
        (0..self.metadata.num_row_groups()).filter(|group| {
            let rows = self.rows_of(*group);
            self.context.deleted.range_cardinality(rows.clone()) < rows.end - rows.start
        })
    }

    /// The bytes of the file that are needed to read a row group: one range a column, in the order of columns.
    pub fn ranges(&self, row_group: usize) -> Result<Vec<Range<u64>>, FileError> {
        let group = self.metadata.row_groups().get(row_group).ok_or_else(|| no_such(row_group))?;
        let columns = self.plan.leaves.iter().filter_map(|leaf| group.columns().get(*leaf));
        columns.map(|column| wide_range_of(&self.metadata, column)).collect()
    }

    /// The rows of a row group; `chunks` are the bytes of its [`FileReader::ranges`].
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

    /// All rows, from a source that is at hand.
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

    /// The positions of a row group's rows.
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
