//! Row group in memory: the bytes of the columns that are read, in the form that the decoder requires.
//!
//! Before they are decoded, the pages are inspected: their checksums are verified, the end of the last page
//! is determined, and the number of rows of a batch of suitable size is estimated.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use parquet::arrow::FieldLevels;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowGroups, RowSelection, RowSelector};
use parquet::basic::Type as Physical;
use parquet::column::page::{PageIterator, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

use super::value_sizes::ValueSizes;
use crate::file::error::{FileError, guarded};
use crate::file::pages::Pages;

/// Approximate size of a batch in bytes; long rows reduce the number of rows per batch.
const BATCH_BYTES: u64 = 64 << 20;

/// Maximum size, in bytes, of a page that is decompressed, because a few bytes may decompress to any size.
/// Writers end a page after some megabytes, so that only a single large value can exceed it.
const PAGE_BYTES_MAX: u64 = 512 << 20;

/// Upper bound of the length, in bytes, of the header of a dictionary page.
const DICTIONARY_HEADER_BYTES: u64 = 40;

/// Bytes of one row group.
pub(super) struct RowGroup {
    metadata: Arc<ParquetMetaData>,
    index: usize,
    /// Columns of the file; `None` for those that are not read.
    columns: Vec<Option<Column>>,
    /// Approximate size of a row in bytes, at the place where rows are longest.
    row_bytes: u64,
    /// `true` if a batch may be larger than `row_bytes` suggests.
    is_estimate: bool,
}

/// Column that is read.
struct Column {
    chunk: Arc<Chunk>,
    /// Metadata of the file, with known errors of writers corrected.
    metadata: ColumnChunkMetaData,
}

/// Bytes of a column chunk, with their offset in the file.
pub(crate) struct Chunk {
    pub(crate) start: u64,
    pub(crate) bytes: Bytes,
}

/// Returns the byte range of a column chunk in its file. It is validated, because the metadata may contain
/// any value.
pub(crate) fn range_of(column: &ColumnChunkMetaData) -> Result<std::ops::Range<u64>, FileError> {
    let wrong = || FileError::malformed("the metadata of the file has impossible offsets");
    let start = dictionary_of(column).unwrap_or_else(|| column.data_page_offset());
    let start = u64::try_from(start).map_err(|_| wrong())?;
    let length = u64::try_from(column.compressed_size()).map_err(|_| wrong())?;
    Ok(start..start.checked_add(length).ok_or_else(wrong)?)
}

/// Returns the byte range of a column chunk that has to be read: [`range_of`], extended by bytes that the
/// writer may not have counted.
pub(crate) fn wide_range_of(
    file: &ParquetMetaData,
    column: &ColumnChunkMetaData,
) -> Result<std::ops::Range<u64>, FileError> {
    let range = range_of(column)?;
    let end = if has_uncounted_bytes(file) { DICTIONARY_HEADER_BYTES } else { 0 };
    Ok(range.start..range.end.saturating_add(end))
}

/// Returns `true` if the sizes of column chunks may exclude the header of the dictionary page, as with Java's
/// writer before 1.2.9 (PARQUET-816). Every column chunk, including the last, is followed by more bytes than
/// such a header has.
pub(crate) fn has_uncounted_bytes(file: &ParquetMetaData) -> bool {
    let writer = file.file_metadata().created_by().unwrap_or_default();
    let Some(rest) = writer.strip_prefix("parquet-mr") else { return false };
    // A writer without a version is older than those that state it.
    let version = rest.strip_prefix(" version ").unwrap_or_default();
    let version = version.split([' ', '-']).next().unwrap_or_default();
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0_u32));
    let version = [(); 3].map(|()| numbers.next().unwrap_or(0));
    version < [1, 2, 9]
}

/// Returns the offset of the dictionary page of a column. Some writers store 0 where there is none.
pub(crate) fn dictionary_of(column: &ColumnChunkMetaData) -> Option<i64> {
    let before_data = |offset: &i64| *offset > 0 && *offset < column.data_page_offset();
    column.dictionary_page_offset().filter(before_data)
}

/// Returns the number of rows of a row group.
pub(crate) fn rows_of(group: &RowGroupMetaData) -> Result<u64, FileError> {
    let rows = u64::try_from(group.num_rows());
    rows.map_err(|_| FileError::malformed("the metadata of the file has a negative number of rows"))
}

impl RowGroup {
    /// Takes the bytes of the columns that are read, by their index. Fails if they are damaged, as far as
    /// this can be detected without decoding them.
    pub(super) fn new(
        metadata: Arc<ParquetMetaData>,
        index: usize,
        chunks: impl Iterator<Item = (usize, Chunk)>,
    ) -> Result<RowGroup, FileError> {
        let group = metadata.row_group(index);
        let mut columns: Vec<Option<Column>> = group.columns().iter().map(|_| None).collect();
        let rows = rows_of(group)?.max(1);
        let (mut row_bytes, mut is_estimate) = (0_u64, false);
        for (leaf, chunk) in chunks {
            let Some(column_metadata) = group.columns().get(leaf) else { continue };
            let column = Column::new(column_metadata, chunk)?;
            let sizes = column.value_sizes()?;
            let per_row = u64::try_from(column_metadata.num_values()).unwrap_or(0).div_ceil(rows);
            row_bytes = row_bytes.saturating_add(sizes.value_bytes.saturating_mul(per_row));
            // Some rows may have more values than others.
            is_estimate |= sizes.is_estimate || column_metadata.column_descr().max_rep_level() > 0;
            if let Some(place) = columns.get_mut(leaf) {
                *place = Some(column);
            }
        }
        Ok(RowGroup { metadata, index, columns, row_bytes, is_estimate })
    }

    /// Returns the number of rows of a batch, at most `rows_max`.
    pub(super) fn batch_rows(&self, rows_max: usize) -> usize {
        let fitting = BATCH_BYTES / self.row_bytes.max(1);
        usize::try_from(fitting).unwrap_or(usize::MAX).min(rows_max).max(1)
    }

    /// Returns `true` if batches may turn out larger than estimated.
    pub(super) fn is_estimate(&self) -> bool {
        self.is_estimate
    }

    /// Creates a decoder that starts at row `start` of the row group and returns `batch_rows` rows at a time.
    pub(super) fn decoder(
        &self,
        levels: &FieldLevels,
        start: usize,
        batch_rows: usize,
    ) -> Result<ParquetRecordBatchReader, FileError> {
        let rest = self.num_rows().saturating_sub(start);
        let selection = (start > 0)
            .then(|| RowSelection::from(vec![RowSelector::skip(start), RowSelector::select(rest)]));
        guarded(|| {
            ParquetRecordBatchReader::try_new_with_row_groups(levels, self, batch_rows, selection)
                .map_err(FileError::reading)
        })
    }

    fn group(&self) -> &RowGroupMetaData {
        self.metadata.row_group(self.index)
    }
}

impl Column {
    /// Inspects the pages of a column and corrects its metadata. Fails if a page is damaged, or larger than
    /// [`PAGE_BYTES_MAX`].
    fn new(column_metadata: &ColumnChunkMetaData, chunk: Chunk) -> Result<Column, FileError> {
        let mut length = 0;
        for page in Pages::new(&chunk.bytes, column_metadata) {
            let page = page?;
            if page.uncompressed_bytes > PAGE_BYTES_MAX {
                let limit = PAGE_BYTES_MAX >> 20;
                return Err(FileError::unsupported(format!("a page of the file is larger than {limit} MiB")));
            }
            page.verify()?;
            length = page.end();
        }
        let metadata = column_metadata
            .clone()
            .into_builder()
            .set_dictionary_page_offset(dictionary_of(column_metadata))
            .set_total_compressed_size(i64::try_from(length).unwrap_or(i64::MAX))
            .build()
            .map_err(FileError::reading)?;
        Ok(Column { chunk: Arc::new(chunk), metadata })
    }

    /// Returns the size of the values of the column.
    fn value_sizes(&self) -> Result<ValueSizes, FileError> {
        if self.metadata.column_type() != Physical::BYTE_ARRAY {
            return Ok(ValueSizes::of_fixed(&self.metadata));
        }
        guarded(|| {
            let pages = Pages::new(&self.chunk.bytes, &self.metadata);
            ValueSizes::of_bytes(pages, self.metadata.column_descr(), || self.pages())
        })
    }

    fn pages(&self) -> Result<SerializedPageReader<Chunk>, ParquetError> {
        let values = usize::try_from(self.metadata.num_values()).unwrap_or(0);
        SerializedPageReader::new(self.chunk.clone(), &self.metadata, values, None)
    }
}

impl RowGroups for RowGroup {
    fn num_rows(&self) -> usize {
        usize::try_from(self.group().num_rows()).unwrap_or(0)
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>, ParquetError> {
        let found = self.columns.get(column).and_then(Option::as_ref);
        let found = found.ok_or_else(|| ParquetError::General(format!("column {column} is not read")))?;
        let reader = SerializedPageReader::new(found.chunk.clone(), &found.metadata, self.num_rows(), None)?;
        Ok(Box::new(OnePageReader(Some(Box::new(reader)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.group()))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

impl Length for Chunk {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Chunk {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let rest = self.from(start)?;
        if length > rest.len() {
            return Err(ParquetError::EOF("a page ends beyond its column".to_owned()));
        }
        Ok(rest.slice(..length))
    }
}

impl Chunk {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let outside = || ParquetError::EOF("a page begins outside its column".to_owned());
        let skipped = start.checked_sub(self.start).and_then(|skipped| usize::try_from(skipped).ok());
        let skipped = skipped.filter(|skipped| *skipped <= self.bytes.len()).ok_or_else(outside)?;
        Ok(self.bytes.slice(skipped..))
    }
}

/// Iterator over the page reader of the only row group.
struct OnePageReader(Option<Box<dyn PageReader>>);

impl Iterator for OnePageReader {
    type Item = Result<Box<dyn PageReader>, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for OnePageReader {}
