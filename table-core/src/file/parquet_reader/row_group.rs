//! One row group in memory: the bytes of the columns that are read, as the decoder wants to be given them.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use parquet::arrow::arrow_reader::RowGroups;
use parquet::column::page::{PageIterator, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

use crate::file::error::FileError;

/// The bytes of one row group.
pub(super) struct RowGroup {
    pub(super) metadata: Arc<ParquetMetaData>,
    pub(super) index: usize,
    /// The bytes of each column; `None` for those that are not read.
    pub(super) chunks: Vec<Option<Arc<Chunk>>>,
}

/// The bytes of a column, and where in the file they begin.
pub(crate) struct Chunk {
    pub(crate) start: u64,
    pub(crate) bytes: Bytes,
}

/// Where a column of a row group is, checked: the metadata comes from the file, and may say anything.
pub(crate) fn range_of(column: &ColumnChunkMetaData) -> Result<std::ops::Range<u64>, FileError> {
    let wrong = || FileError::malformed("the metadata of the file names impossible positions");
    let start = dictionary_of(column).unwrap_or_else(|| column.data_page_offset());
    let start = u64::try_from(start).map_err(|_| wrong())?;
    let length = u64::try_from(column.compressed_size()).map_err(|_| wrong())?;
    Ok(start..start.checked_add(length).ok_or_else(wrong)?)
}

/// Where the dictionary of a column is. Some writers say 0 where there is none.
pub(crate) fn dictionary_of(column: &ColumnChunkMetaData) -> Option<i64> {
    let before_data = |offset: &i64| *offset > 0 && *offset < column.data_page_offset();
    column.dictionary_page_offset().filter(before_data)
}

/// How many rows a row group has.
pub(crate) fn rows_of(group: &RowGroupMetaData) -> Result<u64, FileError> {
    let rows = u64::try_from(group.num_rows());
    rows.map_err(|_| FileError::malformed("the metadata of the file has a negative number of rows"))
}

impl RowGroup {
    fn group(&self) -> &RowGroupMetaData {
        self.metadata.row_group(self.index)
    }
}

impl RowGroups for RowGroup {
    fn num_rows(&self) -> usize {
        usize::try_from(self.group().num_rows()).unwrap_or(0)
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>, ParquetError> {
        let chunk = self.chunks.get(column).and_then(Clone::clone);
        let chunk = chunk.ok_or_else(|| ParquetError::General(format!("column {column} is not read")))?;
        let metadata = self.group().column(column).clone().into_builder();
        let dictionary = dictionary_of(self.group().column(column));
        let metadata = metadata.set_dictionary_page_offset(dictionary).build()?;
        let reader = SerializedPageReader::new(chunk, &metadata, self.num_rows(), None)?;
        Ok(Box::new(Pages(Some(Box::new(reader)))))
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

/// The pages of one column of one row group.
struct Pages(Option<Box<dyn PageReader>>);

impl Iterator for Pages {
    type Item = Result<Box<dyn PageReader>, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for Pages {}
