//! The fast path of compaction: the row groups of several files in one, copied as they are. Nothing is decoded, so nothing can
//! be changed: files with deletes, of different schemas or in another order are rewritten with a reader and a writer. Pages are
//! compared with their checksums, where their writer gave them any.
//!
//! As in [`super::parquet_reader`], nothing is fetched: the caller hands over the bytes of a row group.

mod lineage;
pub mod metrics;

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::ColumnOrder;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue, ParquetMetaData, RowGroupMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::ChunkReader;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{GroupTypeBuilder, TypePtr};

use super::error::{FileError, guarded};
use super::pages;
use super::parquet_reader::FileContext;
use super::parquet_reader::row_group::{Chunk, dictionary_of, has_uncounted_bytes, range_of, rows_of};
use super::parquet_writer::options::WriterOptions;
use super::parquet_writer::{Output, split_offsets};
use super::reserved;

/// A file that is put together from row groups of others.
pub struct Splice<W: Write + Send> {
    writer: SerializedFileWriter<Output<W>>,
    /// What all files have in common: their columns but for those of lineage.
    columns: Vec<TypePtr>,
    lineage: Lineage,
    is_indexed: bool,
    record_count: i64,
}

/// What becomes of `_row_id` and `_last_updated_sequence_number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lineage {
    /// Rows have none: tables before version 3. Files that have the columns are refused.
    None,
    /// Rows keep theirs, which are written to the new file.
    Kept,
}

/// What a finished file is. Its metrics are those of its parts, [`metrics::merge`]d.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplicedFile {
    /// How many rows it holds.
    pub record_count: i64,
    /// Its size.
    pub size_bytes: i64,
    /// Where its row groups begin.
    pub split_offsets: Vec<i64>,
}

/// Whether two files can be in one: their columns have the same names, types, ids and order, and both or neither have an
/// index of their pages, which is known if the metadata was read with it.
pub fn is_alike(left: &ParquetMetaData, right: &ParquetMetaData) -> bool {
    data_columns(left) == data_columns(right) && is_indexed(left) == is_indexed(right)
}

/// Fails with the reason if row groups of a file cannot be copied without losing something.
pub fn check(metadata: &ParquetMetaData) -> Result<(), FileError> {
    if has_uncounted_bytes(metadata) {
        return Err(FileError::unsupported("the file does not tell where its columns end"));
    }
    let columns = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    for column in columns {
        if column.bloom_filter_offset().is_some() {
            return Err(FileError::unsupported("the bloom filters of the file would be lost"));
        }
        if column.file_path().is_some() {
            return Err(FileError::unsupported("the columns of the file are in other files"));
        }
        if column.dictionary_page_offset() != dictionary_of(column) {
            return Err(FileError::unsupported("the file does not tell where its dictionaries are"));
        }
    }
    Ok(())
}

/// Where in its file a row group is, from its first column to its last.
pub fn range(metadata: &ParquetMetaData, row_group: usize) -> Result<Range<u64>, FileError> {
    let group = metadata.row_groups().get(row_group);
    let columns = group.ok_or_else(|| FileError::malformed("there is no such row group"))?.columns();
    let ranges = columns.iter().map(range_of).collect::<Result<Vec<_>, _>>()?;
    let start = ranges.iter().map(|range| range.start).min().unwrap_or(0);
    Ok(start..ranges.iter().map(|range| range.end).max().unwrap_or(0))
}

/// Where in its file the columns of a row group are that are copied, in their order.
pub fn columns(metadata: &ParquetMetaData, row_group: usize) -> Result<Vec<Range<u64>>, FileError> {
    let group = metadata.row_groups().get(row_group);
    let group = group.ok_or_else(|| FileError::malformed("there is no such row group"))?;
    leaves(metadata).filter_map(|leaf| group.columns().get(leaf)).map(range_of).collect()
}

impl<W: Write + Send> Splice<W> {
    /// Begins a file with the columns of a first one.
    pub fn new(
        output: W,
        first: &ParquetMetaData,
        options: &WriterOptions,
        lineage: Lineage,
    ) -> Result<Splice<W>, FileError> {
        let columns = data_columns(first);
        let mut all = columns.clone();
        if lineage == Lineage::Kept {
            all.extend(lineage::columns().map_err(FileError::writing)?);
        }
        let root = GroupTypeBuilder::new(first.file_metadata().schema().name()).with_fields(all);
        let root = Arc::new(root.build().map_err(FileError::writing)?);
        let is_indexed = is_indexed(first);
        let properties = properties(options, is_indexed);
        let mut writer =
            SerializedFileWriter::new(Output::new(output), root, properties).map_err(FileError::writing)?;
        let entries = first.file_metadata().key_value_metadata().into_iter().flatten();
        for entry in entries.filter(|entry| entry.key == super::parquet_writer::SCHEMA_KEY) {
            writer.append_key_value_metadata(KeyValue::clone(entry));
        }
        Ok(Splice { writer, columns, lineage, is_indexed, record_count: 0 })
    }

    /// Appends a row group; `bytes` are those of its [`range`], and `context` tells of its file. After an error the file is
    /// lost.
    pub fn append(
        &mut self,
        metadata: &Arc<ParquetMetaData>,
        row_group: usize,
        bytes: Bytes,
        context: &FileContext,
    ) -> Result<(), FileError> {
        guarded(|| self.append_checked(metadata, row_group, bytes, context))
    }

    fn append_checked(
        &mut self,
        metadata: &Arc<ParquetMetaData>,
        row_group: usize,
        bytes: Bytes,
        context: &FileContext,
    ) -> Result<(), FileError> {
        check(metadata)?;
        let range = range(metadata, row_group)?;
        if bytes.len() as u64 != range.end - range.start {
            return Err(FileError::malformed("the bytes are not those of the row group"));
        }
        if data_columns(metadata) != self.columns || !context.deleted.is_empty() {
            return Err(FileError::unsupported("only whole files with the same columns are put together"));
        }
        if self.is_indexed && !is_indexed(metadata) {
            return Err(FileError::unsupported("the file has no index of its pages, unlike the first one"));
        }
        let group = metadata.row_group(row_group);
        let has_lineage = group.num_columns() > leaves(metadata).count();
        if has_lineage && self.lineage == Lineage::None {
            return Err(FileError::unsupported("the row ids of the file would be lost"));
        }
        let lineage = match self.lineage {
            Lineage::None => None,
            Lineage::Kept => Some(lineage::read(metadata, row_group, &bytes, range.start, context)?),
        };
        let chunk = Chunk { start: range.start, bytes };
        let (schema, properties) = (self.writer.schema_descr().clone(), self.writer.properties().clone());
        let mut output = self.writer.next_row_group().map_err(FileError::writing)?;
        for leaf in leaves(metadata) {
            verify(&chunk, group.column(leaf))?;
            let close = close(metadata, row_group, leaf, self.is_indexed)?;
            output.append_column(&chunk, close).map_err(FileError::writing)?;
        }
        if let Some(lineage) = lineage {
            lineage.write(&mut output, &schema, &properties)?;
        }
        output.close().map_err(FileError::writing)?;
        self.record_count += group.num_rows();
        Ok(())
    }

    /// How large the file is by now.
    pub fn size_bytes(&self) -> usize {
        self.writer.bytes_written()
    }

    /// Ends the file, and gives back its output.
    pub fn finish(mut self) -> Result<(W, SplicedFile), FileError> {
        let metadata = self.writer.finish().map_err(FileError::writing)?;
        let file = SplicedFile {
            record_count: self.record_count,
            size_bytes: i64::try_from(self.writer.bytes_written()).unwrap_or(i64::MAX),
            split_offsets: split_offsets(&metadata),
        };
        Ok((self.writer.inner_mut().take()?, file))
    }
}

/// The columns of a file without those of lineage.
fn data_columns(metadata: &ParquetMetaData) -> Vec<TypePtr> {
    let columns = metadata.file_metadata().schema().get_fields().iter();
    columns.filter(|column| !is_lineage(column)).cloned().collect()
}

fn is_lineage(column: &TypePtr) -> bool {
    let info = column.get_basic_info();
    let reserved = [reserved::ROW_ID, reserved::LAST_UPDATED_SEQUENCE_NUMBER];
    info.has_id() && reserved.contains(&info.id())
}

/// The columns without parts that are copied, as Parquet numbers them.
fn leaves(metadata: &ParquetMetaData) -> impl Iterator<Item = usize> {
    let schema = metadata.file_metadata().schema_descr_ptr();
    (0..schema.num_columns()).filter(move |leaf| {
        let root = schema.root_schema().get_fields().get(schema.get_column_root_idx(*leaf));
        !root.is_some_and(is_lineage)
    })
}

/// Whether a file tells where each page of each column is.
fn is_indexed(metadata: &ParquetMetaData) -> bool {
    let Some(index) = metadata.offset_index() else { return false };
    index.len() == metadata.num_row_groups()
        && metadata.row_groups().iter().zip(index).all(|(group, pages)| {
            pages.len() == group.num_columns()
                && group.columns().iter().zip(pages).all(|(column, pages)| {
                    let Ok(range) = range_of(column) else { return false };
                    let is_inside =
                        |start: i64| u64::try_from(start).is_ok_and(|start| range.contains(&start));
                    let pages = pages.page_locations();
                    !pages.is_empty() && pages.iter().all(|page| is_inside(page.offset))
                })
        })
}

/// The encoder's settings. It wants the pages of all columns of a file to be known, or of none.
fn properties(options: &WriterOptions, is_indexed: bool) -> Arc<WriterProperties> {
    let properties = options.properties(&BTreeMap::new());
    if is_indexed {
        return Arc::new(properties);
    }
    let builder = properties.into_builder().set_statistics_enabled(EnabledStatistics::Chunk);
    Arc::new(builder.set_offset_index_disabled(true).build())
}

/// Fails if the pages of a column are not those of their checksums, where they have any. Pages without stay without: a checksum
/// would say of bytes that nobody has looked at that they are right.
fn verify(row_group: &Chunk, column: &ColumnChunkMetaData) -> Result<(), FileError> {
    let range = range_of(column)?;
    let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let bytes = row_group.get_bytes(range.start, length).map_err(FileError::reading)?;
    pages::verify(&bytes, column)
}

/// What the writer of a column would have told of it.
fn close(
    metadata: &ParquetMetaData,
    row_group: usize,
    leaf: usize,
    is_indexed: bool,
) -> Result<ColumnCloseResult, FileError> {
    let group = metadata.row_group(row_group);
    let column = group.columns().get(leaf);
    let column = column.ok_or_else(|| FileError::malformed("a row group lacks a column"))?;
    let is_trusted = is_ordered(metadata, leaf);
    let range = range_of(column)?;
    let pages = metadata.offset_index().and_then(|index| index.get(row_group)?.get(leaf));
    let values = metadata.column_index().and_then(|index| index.get(row_group)?.get(leaf));
    Ok(ColumnCloseResult {
        bytes_written: range.end - range.start,
        rows_written: rows_of(group)?,
        metadata: trusted(column, is_trusted).map_err(FileError::reading)?,
        bloom_filter: None,
        column_index: values.filter(|_| is_trusted && is_indexed).cloned(),
        offset_index: pages.filter(|_| is_indexed).cloned(),
    })
}

/// Old writers compared bytes as if they had signs. Readers know them by the name of the writer, which the new file does not
/// have any more; so statistics are only kept if their file says in which order they are.
fn is_ordered(metadata: &ParquetMetaData, leaf: usize) -> bool {
    let orders = metadata.file_metadata().column_orders();
    matches!(orders.and_then(|orders| orders.get(leaf)), Some(ColumnOrder::TYPE_DEFINED_ORDER(_)))
}

fn trusted(column: &ColumnChunkMetaData, is_trusted: bool) -> Result<ColumnChunkMetaData, ParquetError> {
    let is_usual = column.statistics().is_none_or(|statistics| !statistics.is_min_max_deprecated());
    if is_trusted && is_usual {
        return Ok(column.clone());
    }
    column.clone().into_builder().clear_statistics().build()
}
