//! Row lineage columns of a row group that is copied: the only columns that are encoded anew, because the
//! rows have other positions in the new file, from which their row ids would be derived (specification, "Row
//! Lineage").

use std::io::Write;
use std::sync::Arc;

use arrow_array::Int64Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use bytes::Bytes;
use parquet::basic::{Repetition, Type as Physical};
use parquet::column::writer::{ColumnCloseResult, ColumnWriterImpl};
use parquet::data_type::Int64Type as ParquetLong;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::{ColumnDescPtr, PrimitiveTypeBuilder, SchemaDescriptor, TypePtr};

use crate::file::error::FileError;
use crate::file::parquet_reader::FileReader;
use crate::file::parquet_reader::context::FileContext;
use crate::file::parquet_writer::row_groups::append;
use crate::metadata::reserved;
use crate::metadata::schema::Field;
use crate::metadata::types::StructType;

/// Values of `_row_id` and `_last_updated_sequence_number` of the rows of a row group.
#[derive(Default)]
pub(super) struct RowLineage {
    columns: [Vec<Option<i64>>; 2],
}

fn fields() -> [Field; 2] {
    [reserved::row_id(), reserved::last_updated_sequence_number()]
}

/// Returns the Parquet columns of the row lineage.
pub(super) fn columns() -> Result<Vec<TypePtr>, ParquetError> {
    let column = |field: Field| {
        let column = PrimitiveTypeBuilder::new(&field.name, Physical::INT64)
            .with_repetition(Repetition::OPTIONAL)
            .with_id(Some(field.id));
        column.build().map(Arc::new)
    };
    fields().into_iter().map(column).collect()
}

/// Reads the row lineage of a row group; `start` is the position of `bytes` in the file.
pub(super) fn read(
    metadata: &Arc<ParquetMetaData>,
    row_group: usize,
    bytes: &Bytes,
    start: u64,
    context: &FileContext,
) -> Result<RowLineage, FileError> {
    let requested = StructType { fields: fields().to_vec(), other: Vec::new() };
    let reader = FileReader::new(metadata.clone(), &requested, context.clone())?;
    let outside = || FileError::malformed("a column is outside its row group");
    let slice = |range: std::ops::Range<u64>| {
        let place = |position: u64| position.checked_sub(start).and_then(|place| usize::try_from(place).ok());
        let (start, end) = place(range.start).zip(place(range.end)).ok_or_else(outside)?;
        if end > bytes.len() || start > end { Err(outside()) } else { Ok(bytes.slice(start..end)) }
    };
    let chunks = reader.ranges(row_group)?.into_iter().map(slice).collect::<Result<Vec<_>, _>>()?;
    let mut lineage = RowLineage::default();
    for batch in reader.batches(row_group, chunks)? {
        let batch = batch?;
        for (values, array) in lineage.columns.iter_mut().zip(batch.columns()) {
            values.extend(array.as_primitive_opt::<Int64Type>().into_iter().flat_map(Int64Array::iter));
        }
    }
    Ok(lineage)
}

impl RowLineage {
    /// Writes the row lineage as the last columns of a row group.
    pub(super) fn write<W: Write + Send>(
        &self,
        output: &mut SerializedRowGroupWriter<'_, W>,
        schema: &SchemaDescriptor,
        properties: &Arc<WriterProperties>,
    ) -> Result<(), FileError> {
        let first = schema.num_columns().saturating_sub(self.columns.len());
        for (column, place) in self.columns.iter().zip(first..) {
            let descriptor = schema.column(place);
            let (bytes, close) = encode(column, descriptor, properties).map_err(FileError::writing)?;
            append(output, &bytes, close)?;
        }
        Ok(())
    }
}

fn encode(
    column: &[Option<i64>],
    descriptor: ColumnDescPtr,
    properties: &Arc<WriterProperties>,
) -> Result<(Vec<u8>, ColumnCloseResult), ParquetError> {
    let values: Vec<i64> = column.iter().flatten().copied().collect();
    let levels: Vec<i16> = column.iter().map(|value| i16::from(value.is_some())).collect();
    let mut output = TrackedWrite::new(Vec::new());
    let pages = Box::new(SerializedPageWriter::new(&mut output));
    let mut writer = ColumnWriterImpl::<ParquetLong>::new(descriptor, properties.clone(), pages);
    writer.write_batch(&values, Some(&levels), None)?;
    let close = writer.close()?;
    Ok((output.into_inner()?, close))
}
