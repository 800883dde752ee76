//! Splicing, the fast path of compaction: the row groups of several files are copied into one file without
//! decoding them. Since nothing is decoded, nothing can be changed: files with deletes, with different
//! schemas or in another order have to be rewritten with a reader and a writer. Pages are verified against
//! their checksums, where they have any.
//!
//! As in [`super::parquet_reader`], nothing is fetched: the caller passes in the bytes of each row group.
//!
//! ```text
//! let mut splice = Splice::new(output, &first, &options, Lineage::None)?;
//! for (metadata, group) in row_groups {
//!     let bytes = fetch(range(&metadata, group)?);
//!     splice.append(&metadata, group, bytes, &context)?;
//! }
//! let (output, file) = splice.finish()?;
//! ```

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
use super::parquet_reader::context::FileContext;
use super::parquet_reader::row_group::{Chunk, dictionary_of, has_uncounted_bytes, range_of, rows_of};
use super::parquet_writer::options::WriterOptions;
use super::parquet_writer::output::OutputBuffer;
use super::parquet_writer::split_offsets;
use crate::metadata::reserved;

/// Writer of a file that is assembled from row groups of other files.
pub struct Splice<W: Write + Send> {
    writer: SerializedFileWriter<OutputBuffer<W>>,
    /// Columns that all files have in common, which are all but the row lineage columns.
    columns: Vec<TypePtr>,
    lineage: Lineage,
    is_indexed: bool,
    record_count: i64,
}

/// Treatment of the row lineage columns `_row_id` and `_last_updated_sequence_number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lineage {
    /// No row lineage: tables before format version 3. Files with these columns are refused.
    None,
    /// Rows retain their row lineage, which is written to the new file.
    Retained,
}

/// Description of a finished file. Its column metrics are those of its parts, combined with
/// [`metrics::merge`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplicedFile {
    /// Number of rows.
    pub record_count: i64,
    /// Size of the file in bytes.
    pub size_bytes: i64,
    /// Offsets of the row groups in bytes, ascending (`split_offsets` of the manifest entry).
    pub split_offsets: Vec<i64>,
}

/// Returns `true` if the row groups of two files can be put into one file: their columns have the same names,
/// types, field ids and order, and either both or neither have an offset index. The page indexes must have
/// been read with the metadata.
pub fn is_alike(left: &ParquetMetaData, right: &ParquetMetaData) -> bool {
    data_columns(left) == data_columns(right) && is_indexed(left) == is_indexed(right)
}

/// Checks that the row groups of a file can be copied without losing information.
///
/// # Errors
///
/// Fails with [`FileError::Unsupported`] if the positions of column chunks or dictionaries are not known
/// exactly, if the file has bloom filters, or if its columns are in other files.
pub fn check(metadata: &ParquetMetaData) -> Result<(), FileError> {
    if has_uncounted_bytes(metadata) {
        return Err(FileError::unsupported("the metadata of the file has no sizes of column chunks"));
    }
    let columns = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    for column in columns {
        if column.bloom_filter_offset().is_some() {
            return Err(FileError::unsupported("the bloom filters of the file would be lost"));
        }
        if column.file_path().is_some() {
            return Err(FileError::unsupported("columns in other files are not supported"));
        }
        if column.dictionary_page_offset() != dictionary_of(column) {
            return Err(FileError::unsupported(
                "the metadata of the file has no offsets of dictionary pages",
            ));
        }
    }
    Ok(())
}

/// Returns the byte range of a row group in its file, from its first column chunk to its last.
///
/// # Errors
///
/// Fails with [`FileError::Malformed`] if there is no such row group, or if its metadata has impossible
/// positions.
pub fn range(metadata: &ParquetMetaData, row_group: usize) -> Result<Range<u64>, FileError> {
    let group = metadata.row_groups().get(row_group);
    let columns = group.ok_or_else(|| FileError::malformed("the row group does not exist"))?.columns();
    let ranges = columns.iter().map(range_of).collect::<Result<Vec<_>, _>>()?;
    let start = ranges.iter().map(|range| range.start).min().unwrap_or(0);
    Ok(start..ranges.iter().map(|range| range.end).max().unwrap_or(0))
}

/// Returns the byte ranges of the column chunks of a row group that are copied, in their order. The row
/// lineage columns are not among them.
///
/// # Errors
///
/// Fails with [`FileError::Malformed`] if there is no such row group, or if its metadata has impossible
/// positions.
pub fn columns(metadata: &ParquetMetaData, row_group: usize) -> Result<Vec<Range<u64>>, FileError> {
    let group = metadata.row_groups().get(row_group);
    let group = group.ok_or_else(|| FileError::malformed("the row group does not exist"))?;
    leaves(metadata).filter_map(|leaf| group.columns().get(leaf)).map(range_of).collect()
}

impl<W: Write + Send> Splice<W> {
    /// Begins a file with the columns of `first`, the metadata of the first file.
    ///
    /// # Errors
    ///
    /// Fails with [`FileError::Io`] if the output cannot be written.
    pub fn new(
        output: W,
        first: &ParquetMetaData,
        options: &WriterOptions,
        lineage: Lineage,
    ) -> Result<Splice<W>, FileError> {
        let columns = data_columns(first);
        let mut all = columns.clone();
        if lineage == Lineage::Retained {
            all.extend(lineage::columns().map_err(FileError::writing)?);
        }
        let root = GroupTypeBuilder::new(first.file_metadata().schema().name()).with_fields(all);
        let root = Arc::new(root.build().map_err(FileError::writing)?);
        let is_indexed = is_indexed(first);
        let properties = properties(options, is_indexed);
        let mut writer = SerializedFileWriter::new(OutputBuffer::new(output), root, properties)
            .map_err(FileError::writing)?;
        let entries = first.file_metadata().key_value_metadata().into_iter().flatten();
        for entry in entries.filter(|entry| entry.key == super::parquet_writer::SCHEMA_KEY) {
            writer.append_key_value_metadata(KeyValue::clone(entry));
        }
        Ok(Splice { writer, columns, lineage, is_indexed, record_count: 0 })
    }

    /// Appends a row group. `bytes` are the bytes of its [`range`], and `context` describes its file. After
    /// an error the file is unusable.
    ///
    /// # Errors
    ///
    /// Fails with [`FileError::Unsupported`] if [`check`] does, if the columns differ from those of the first
    /// file, if the file has deletes, if it lacks the offset index that the first file has, or if its row
    /// lineage would be lost. Fails with [`FileError::Malformed`] if `bytes` is not the row group or is
    /// damaged, and with [`FileError::Io`] if the output cannot be written.
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
            return Err(FileError::unsupported("only whole files with the same columns can be combined"));
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
            Lineage::Retained => Some(lineage::read(metadata, row_group, &bytes, range.start, context)?),
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

    /// Returns the size of the file so far, in bytes.
    pub fn size_bytes(&self) -> usize {
        self.writer.bytes_written()
    }

    /// Finishes the file and returns the output with the description of the file.
    ///
    /// # Errors
    ///
    /// Fails with [`FileError::Io`] if the output cannot be written.
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

/// Returns the columns of a file without the row lineage columns.
fn data_columns(metadata: &ParquetMetaData) -> Vec<TypePtr> {
    let columns = metadata.file_metadata().schema().get_fields().iter();
    columns.filter(|column| !is_lineage(column)).cloned().collect()
}

fn is_lineage(column: &TypePtr) -> bool {
    let info = column.get_basic_info();
    let reserved = [reserved::ROW_ID, reserved::LAST_UPDATED_SEQUENCE_NUMBER];
    info.has_id() && reserved.contains(&info.id())
}

/// Returns the indexes of the leaf columns that are copied, as Parquet numbers them.
fn leaves(metadata: &ParquetMetaData) -> impl Iterator<Item = usize> {
    let schema = metadata.file_metadata().schema_descr_ptr();
    (0..schema.num_columns()).filter(move |leaf| {
        let root = schema.root_schema().get_fields().get(schema.get_column_root_idx(*leaf));
        !root.is_some_and(is_lineage)
    })
}

/// Returns `true` if a file has a complete offset index.
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

/// Returns the settings of the encoder. It requires an offset index either for all columns of a file or for
/// none.
fn properties(options: &WriterOptions, is_indexed: bool) -> Arc<WriterProperties> {
    let properties = options.properties(&BTreeMap::new());
    if is_indexed {
        return Arc::new(properties);
    }
    let builder = properties.into_builder().set_statistics_enabled(EnabledStatistics::Chunk);
    Arc::new(builder.set_offset_index_disabled(true).build())
}

/// Fails if the pages of a column do not match their checksums. No checksums are added to pages without one:
/// they would vouch for bytes that were never verified.
fn verify(row_group: &Chunk, column: &ColumnChunkMetaData) -> Result<(), FileError> {
    let range = range_of(column)?;
    let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let bytes = row_group.get_bytes(range.start, length).map_err(FileError::reading)?;
    pages::verify(&bytes, column)
}

/// Returns the description of a column chunk that its writer would have returned.
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

/// Returns `true` if the statistics of a column have a defined order. Old writers compared bytes as signed
/// numbers. Readers recognise them by the name of the writer, which is lost in the new file; therefore
/// statistics are copied only if the file states their order.
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
