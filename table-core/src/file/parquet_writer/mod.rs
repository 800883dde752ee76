//! Writer of Parquet files in the form that Java writes, which collects the metrics for the manifest entry.
//! The location of a file, and the decision when to begin the next one, are up to the caller.
//!
//! ```text
//! let mut writer = FileWriter::new(output, schema, &WriterOptions::of_data(properties, columns, order))?;
//! writer.write(&batch)?;
//! let (output, file) = writer.finish()?;
//! ```

mod align;
mod bound;
mod extremes;
pub mod modes;
mod nan;
pub mod options;
pub(crate) mod output;
pub(crate) mod row_groups;
mod statistics;

use std::collections::BTreeMap;
use std::io::Write;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::file::metadata::{KeyValue, ParquetMetaData, RowGroupMetaData};
use parquet::schema::types::ColumnPath;

use self::options::WriterOptions;
use self::row_groups::RowGroups;
use self::statistics::Statistics;
use super::arrow_schema::to_arrow;
use super::error::FileError;
use super::parquet_reader::row_group::dictionary_of;
use super::parquet_schema::to_parquet;
use crate::manifest::data_file::ColumnMetrics;
use crate::metadata::schema::{Columns, Field, Schema};
use crate::metadata::schema_index::SchemaIndex;

/// Key of the entry in a file's key-value metadata that contains the Iceberg schema it was written with.
pub(crate) const SCHEMA_KEY: &str = "iceberg.schema";

/// Writer of one Parquet file.
pub struct FileWriter<W: Write + Send> {
    row_groups: RowGroups<W>,
    fields: Vec<Field>,
    table_schema: SchemaRef,
    file_schema: SchemaRef,
    statistics: Statistics,
    record_count: i64,
}

/// Description of a finished file, without its location and partition.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenFile {
    /// Number of rows.
    pub record_count: i64,
    /// Size of the file in bytes.
    pub size_bytes: i64,
    /// Offsets of the row groups in bytes, ascending (`split_offsets` of the manifest entry).
    pub split_offsets: Vec<i64>,
    /// Column metrics for the manifest entry.
    pub metrics: ColumnMetrics,
}

impl<W: Write + Send> FileWriter<W> {
    /// Begins a file with the columns of `schema`.
    ///
    /// # Errors
    ///
    /// Fails with [`FileError::Unsupported`] if the schema is invalid or has a column whose type cannot be
    /// written, and with [`FileError::Io`] if the output cannot be written.
    pub fn new(output: W, schema: &Schema, options: &WriterOptions) -> Result<FileWriter<W>, FileError> {
        let columns = schema.columns().map_err(|error| FileError::unsupported(error.to_string()))?;
        let fields = columns.root.fields.clone();
        let parquet_schema = to_parquet(&columns.root)?;
        let file_schema = align::file_schema(&fields)?;
        let paths = column_paths(columns, parquet_schema.columns().iter().map(|column| column.path()));
        let (properties, row_group_bytes) = (options.properties(&paths), options.row_group_bytes);
        let row_groups =
            RowGroups::new(output, &parquet_schema, file_schema.clone(), properties, row_group_bytes)
                .map_err(FileError::writing)?;
        let mut writer = FileWriter {
            row_groups,
            statistics: Statistics::new(&fields, &options.metrics),
            fields,
            table_schema: to_arrow(&columns.root)?,
            file_schema,
            record_count: 0,
        };
        writer.set_metadata(SCHEMA_KEY, schema.raw().as_str());
        Ok(writer)
    }

    /// Returns the Arrow schema that batches must have. Only types and their order are compared, not names
    /// and field ids.
    pub fn schema(&self) -> &SchemaRef {
        &self.table_schema
    }

    /// Adds an entry to the key-value metadata of the file.
    pub fn set_metadata(&mut self, key: &str, value: &str) {
        self.row_groups.set_metadata(KeyValue::new(key.to_owned(), value.to_owned()));
    }

    /// Writes rows. After an error the file is unusable.
    ///
    /// # Errors
    ///
    /// Fails with [`FileError::Unfit`] if the batch has other columns than [`FileWriter::schema`], a null in
    /// a required column or a decimal with too many digits, and with [`FileError::Io`] if the rows cannot be
    /// encoded or the output cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), FileError> {
        let batch = align::align(batch, &self.fields, &self.file_schema)?;
        self.statistics.add(&batch);
        self.record_count += i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        self.row_groups.write(&batch)
    }

    /// Returns the size of the file so far, in bytes: what has been written, plus an estimate of what is
    /// buffered.
    pub fn size_bytes(&self) -> usize {
        self.row_groups.size_bytes()
    }

    /// Returns the memory, in bytes, that the row group being written takes.
    pub fn memory_bytes(&self) -> usize {
        self.row_groups.memory_bytes()
    }

    /// Finishes the file and returns the output with the description of the file.
    ///
    /// # Errors
    ///
    /// Fails with [`FileError::Io`] if the last row group cannot be encoded or the output cannot be written.
    pub fn finish(self) -> Result<(W, WrittenFile), FileError> {
        let (output, size_bytes, metadata) = self.row_groups.finish()?;
        let file = WrittenFile {
            record_count: self.record_count,
            size_bytes: i64::try_from(size_bytes).unwrap_or(i64::MAX),
            split_offsets: split_offsets(&metadata),
            metrics: self.statistics.finish(metadata.row_groups()),
        };
        Ok((output, file))
    }
}

/// Returns the offsets of the row groups of a file, ascending.
pub(crate) fn split_offsets(metadata: &ParquetMetaData) -> Vec<i64> {
    let mut offsets: Vec<i64> = metadata.row_groups().iter().filter_map(start_of).collect();
    offsets.sort_unstable();
    offsets
}

fn start_of(group: &RowGroupMetaData) -> Option<i64> {
    let first = group.columns().first()?;
    Some(dictionary_of(first).unwrap_or_else(|| first.data_page_offset()))
}

/// Returns the Parquet columns of a file by their full names in the table. Both are in the same order.
fn column_paths<'a>(
    columns: &Columns,
    paths: impl Iterator<Item = &'a ColumnPath>,
) -> BTreeMap<String, ColumnPath> {
    let Ok(index) = SchemaIndex::new(columns) else { return BTreeMap::new() };
    let leaves = index.iter().filter(|field| {
        field.primitive().is_some() && !super::parquet_schema::is_unwritten(&field.field.field_type)
    });
    leaves.map(|field| field.full_name.clone()).zip(paths.cloned()).collect()
}
