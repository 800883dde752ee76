//! Writes a table's rows to one Parquet file, in the form that Java writes, and measures what the manifest will say of it.
//! Not where the file goes or when the next one begins: that is the caller's.

mod align;
mod bound;
mod extremes;
pub mod modes;
pub mod options;
pub(crate) mod row_groups;
mod statistics;

use std::collections::BTreeMap;
use std::io::{self, Write};

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

/// The key under which a file holds the schema it was written with.
pub(crate) const SCHEMA_KEY: &str = "iceberg.schema";

/// A Parquet file that is being written.
pub struct FileWriter<W: Write + Send> {
    row_groups: RowGroups<W>,
    fields: Vec<Field>,
    table_schema: SchemaRef,
    file_schema: SchemaRef,
    statistics: Statistics,
    record_count: i64,
}

/// What a finished file is, apart from its place and partition.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenFile {
    /// How many rows it holds.
    pub record_count: i64,
    /// Its size.
    pub size_bytes: i64,
    /// Where its row groups begin.
    pub split_offsets: Vec<i64>,
    /// What is known of its columns.
    pub metrics: ColumnMetrics,
}

impl<W: Write + Send> FileWriter<W> {
    /// Begins a file with the columns of `schema`. Fails for columns whose type cannot be written.
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

    /// What batches have to look like. Names and ids are not compared, only the types in their order.
    pub fn schema(&self) -> &SchemaRef {
        &self.table_schema
    }

    /// Adds an entry to the key-value metadata of the file.
    pub fn set_metadata(&mut self, key: &str, value: &str) {
        self.row_groups.set_metadata(KeyValue::new(key.to_owned(), value.to_owned()));
    }

    /// Adds rows. After an error the file is lost.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), FileError> {
        let batch = align::align(batch, &self.fields, &self.file_schema)?;
        self.statistics.add(&batch);
        self.record_count += i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        self.row_groups.write(&batch)
    }

    /// How large the file is by now: what is written, and an estimate of what is not yet.
    pub fn size_bytes(&self) -> usize {
        self.row_groups.size_bytes()
    }

    /// How much memory the row group takes that is being written.
    pub fn memory_bytes(&self) -> usize {
        self.row_groups.memory_bytes()
    }

    /// Ends the file, and gives back its output.
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

/// The output, until the file is finished: the encoder does not give it back.
pub(crate) struct Output<W>(Option<W>);

impl<W> Output<W> {
    pub(crate) fn new(output: W) -> Output<W> {
        Output(Some(output))
    }

    pub(crate) fn take(&mut self) -> Result<W, FileError> {
        self.0.take().ok_or_else(|| FileError::Io("the file has no output".to_owned()))
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.as_mut().map_or(Ok(0), |output| output.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// Where the row groups of a file begin, in order.
pub(crate) fn split_offsets(metadata: &ParquetMetaData) -> Vec<i64> {
    let mut offsets: Vec<i64> = metadata.row_groups().iter().filter_map(start_of).collect();
    offsets.sort_unstable();
    offsets
}

fn start_of(group: &RowGroupMetaData) -> Option<i64> {
    let first = group.columns().first()?;
    Some(dictionary_of(first).unwrap_or_else(|| first.data_page_offset()))
}

/// The columns of a file by their full names in the table. Both are in the same order.
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
