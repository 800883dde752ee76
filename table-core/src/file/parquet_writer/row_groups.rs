//! Row groups of a file that is written. The encoder produces pages without checksums, so each encoded column
//! is intercepted, its pages get checksums, and then it is written. Columns that contain NaN get no statistics.

use std::io::Write;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::{GroupTypeBuilder, SchemaDescPtr, SchemaDescriptor, TypePtr};

use super::nan;
use super::output::OutputBuffer;
use crate::file::batch_bytes::pieces;
use crate::file::error::FileError;
use crate::file::pages::with_checksums;
use crate::file::parquet_reader::row_group::Chunk;

/// Maximum size, in bytes, of a piece passed to the encoder, which checks the sizes of pages and row groups
/// only between pieces.
const PIECE_BYTES: u64 = 4 << 20;

/// Writer of the row groups of a file.
pub(super) struct RowGroups<W: Write + Send> {
    writer: SerializedFileWriter<OutputBuffer<W>>,
    encoders: ArrowRowGroupWriterFactory,
    arrow_schema: SchemaRef,
    /// For each leaf column, a schema with only that column.
    alone: Vec<SchemaDescPtr>,
    row_group_bytes: usize,
    open: Option<Open>,
}

/// Row group that rows are currently added to.
struct Open {
    columns: Vec<ArrowColumnWriter>,
    /// For each column, whether it contains NaN.
    has_nan: Vec<bool>,
    rows: usize,
}

impl<W: Write + Send> RowGroups<W> {
    pub(super) fn new(
        output: W,
        schema: &SchemaDescriptor,
        arrow_schema: SchemaRef,
        properties: WriterProperties,
        row_group_bytes: usize,
    ) -> Result<RowGroups<W>, ParquetError> {
        let root = schema.root_schema_ptr();
        let alone = schema.columns().iter().map(|column| alone(&root, column.path().parts()));
        let alone = alone.collect::<Result<_, _>>()?;
        let writer = SerializedFileWriter::new(OutputBuffer::new(output), root, Arc::new(properties))?;
        let encoders = ArrowRowGroupWriterFactory::new(&writer, arrow_schema.clone());
        Ok(RowGroups { writer, encoders, arrow_schema, alone, row_group_bytes, open: None })
    }

    /// Adds an entry to the key-value metadata of the file.
    pub(super) fn set_metadata(&mut self, entry: KeyValue) {
        self.writer.append_key_value_metadata(entry);
    }

    /// Writes rows, and ends row groups that are large enough.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), FileError> {
        for piece in pieces(batch, PIECE_BYTES) {
            let mut start = 0;
            while start < piece.num_rows() {
                let rows = self.fitting(piece.num_rows() - start);
                self.encode(&piece.slice(start, rows)).map_err(FileError::writing)?;
                start += rows;
                if self.open.as_ref().is_some_and(|open| open.size_bytes() >= self.row_group_bytes) {
                    self.end_row_group()?;
                }
            }
        }
        Ok(())
    }

    /// Returns the number of bytes written, plus an estimate of those still buffered.
    pub(super) fn size_bytes(&self) -> usize {
        self.writer.bytes_written() + self.open.as_ref().map_or(0, Open::size_bytes)
    }

    /// Returns the memory, in bytes, that the current row group takes.
    pub(super) fn memory_bytes(&self) -> usize {
        let columns = self.open.iter().flat_map(|open| &open.columns);
        columns.map(ArrowColumnWriter::memory_size).sum()
    }

    /// Finishes the file and returns its output, size in bytes and metadata.
    pub(super) fn finish(mut self) -> Result<(W, usize, ParquetMetaData), FileError> {
        self.end_row_group()?;
        let metadata = self.writer.finish().map_err(FileError::writing)?;
        let size_bytes = self.writer.bytes_written();
        Ok((self.writer.inner_mut().take()?, size_bytes, metadata))
    }

    /// Returns the number of rows, at least one, that fit into the current row group if they are as long as
    /// those in it.
    fn fitting(&self, rows: usize) -> usize {
        let Some(open) = &self.open else { return rows };
        let bytes = open.size_bytes();
        let row_bytes = bytes / open.rows.max(1);
        match self.row_group_bytes.saturating_sub(bytes).checked_div(row_bytes) {
            Some(fitting) => rows.min(fitting.max(1)),
            None => rows,
        }
    }

    fn encode(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let number = self.writer.flushed_row_groups().len();
                let columns = self.encoders.create_column_writers(number)?;
                let has_nan = vec![false; columns.len()];
                none.insert(Open { columns, has_nan, rows: 0 })
            }
        };
        let mut columns = open.columns.iter_mut();
        for (field, array) in self.arrow_schema.fields().iter().zip(batch.columns()) {
            for leaf in compute_leaves(field, array)? {
                let missing = || ParquetError::General("a column has no encoder".to_owned());
                columns.next().ok_or_else(missing)?.write(&leaf)?;
            }
        }
        let mut has_nan = open.has_nan.iter_mut();
        batch.columns().iter().for_each(|array| nan::find(array, &mut has_nan));
        open.rows += batch.num_rows();
        Ok(())
    }

    fn end_row_group(&mut self) -> Result<(), FileError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let properties = self.writer.properties().clone();
        let mut output = self.writer.next_row_group().map_err(FileError::writing)?;
        for ((column, has_nan), alone) in open.columns.into_iter().zip(open.has_nan).zip(&self.alone) {
            let chunk = column.close().map_err(FileError::writing)?;
            let (bytes, mut close) = taken(chunk, alone, &properties).map_err(FileError::writing)?;
            if has_nan {
                nan::remove_statistics(&mut close);
            }
            append(&mut output, &bytes, close)?;
        }
        output.close().map_err(FileError::writing)?;
        Ok(())
    }
}

impl Open {
    fn size_bytes(&self) -> usize {
        self.columns.iter().map(ArrowColumnWriter::get_estimated_total_bytes).sum()
    }
}

/// Appends an encoded column to a row group and adds checksums; `bytes` are its pages.
pub(crate) fn append<W: Write + Send>(
    output: &mut SerializedRowGroupWriter<'_, W>,
    bytes: &[u8],
    close: ColumnCloseResult,
) -> Result<(), FileError> {
    let checked = with_checksums(bytes, close)?;
    let chunk = Chunk { start: 0, bytes: checked.bytes };
    output.append_column(&chunk, checked.close).map_err(FileError::writing)
}

/// Extracts the bytes of an encoded column from its chunk, which exposes them only to a row group that it is
/// appended to.
fn taken(
    mut chunk: ArrowColumnChunk,
    alone: &SchemaDescPtr,
    properties: &Arc<WriterProperties>,
) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
    let bloom_filter = chunk.close_mut().bloom_filter.take();
    let mut close = chunk.close().clone();
    close.bloom_filter = bloom_filter;
    let length = usize::try_from(close.bytes_written).unwrap_or(0);
    let mut output = TrackedWrite::new(Vec::with_capacity(length));
    let mut row_group =
        SerializedRowGroupWriter::new(alone.clone(), properties.clone(), &mut output, 0, None);
    chunk.append_to_row_group(&mut row_group)?;
    drop(row_group);
    Ok((output.into_inner()?.into(), close))
}

/// Returns a schema with a single leaf column of another schema.
fn alone(root: &TypePtr, path: &[String]) -> Result<SchemaDescPtr, ParquetError> {
    Ok(Arc::new(SchemaDescriptor::new(only(root, path)?)))
}

fn only(group: &TypePtr, path: &[String]) -> Result<TypePtr, ParquetError> {
    let Some((name, rest)) = path.split_first() else { return Ok(group.clone()) };
    let missing = || ParquetError::General(format!("the column `{name}` is missing"));
    let part = group.get_fields().iter().find(|part| part.name() == name).ok_or_else(missing)?;
    let info = group.get_basic_info();
    let mut builder = GroupTypeBuilder::new(group.name())
        .with_converted_type(info.converted_type())
        .with_logical_type(info.logical_type_ref().cloned())
        .with_fields(vec![only(part, rest)?])
        .with_id(info.has_id().then(|| info.id()));
    if info.has_repetition() {
        builder = builder.with_repetition(info.repetition());
    }
    builder.build().map(Arc::new)
}
