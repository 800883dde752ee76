//! Conversion of batches in a table's schema to batches in the schema of its files: columns of type `unknown`
//! are removed, and the rest is validated, so that a file's schema is always true of its rows.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, RecordBatch, RecordBatchOptions, StructArray};
use arrow_schema::{DataType, Field as ArrowField, FieldRef, Fields, Schema as ArrowSchema, SchemaRef};

use crate::file::arrow_schema::field_to_arrow;
use crate::file::error::FileError;
use crate::file::parquet_schema::is_unwritten;
use crate::metadata::schema::Field;
use crate::metadata::types::Type;

/// Returns the Arrow schema of a file with these columns.
pub(super) fn file_schema(fields: &[Field]) -> Result<SchemaRef, FileError> {
    let table: Result<Vec<FieldRef>, FileError> = fields.iter().map(field_to_arrow).collect();
    Ok(Arc::new(ArrowSchema::new(written_fields(&table?))))
}

/// Returns the fields without those that are never written.
fn written_fields(fields: &[FieldRef]) -> Fields {
    let written = fields.iter().filter(|field| *field.data_type() != DataType::Null);
    written.map(written_field).collect()
}

fn written_field(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(parts) => DataType::Struct(written_fields(parts)),
        DataType::List(element) => DataType::List(written_field(element)),
        DataType::Map(entries, sorted) => DataType::Map(written_field(entries), *sorted),
        other => other.clone(),
    };
    Arc::new(ArrowField::clone(field).with_data_type(data_type))
}

/// Converts a batch to the schema of a file, which must be the [`file_schema`] of `fields`.
pub(super) fn align(
    batch: &RecordBatch,
    fields: &[Field],
    schema: &SchemaRef,
) -> Result<RecordBatch, FileError> {
    let arrays = align_fields(batch.columns(), fields, schema.fields())?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), arrays, &options)
        .map_err(|error| FileError::shaping(&error))
}

fn align_fields(arrays: &[ArrayRef], fields: &[Field], targets: &Fields) -> Result<Vec<ArrayRef>, FileError> {
    if arrays.len() != fields.len() {
        let (found, expected) = (arrays.len(), fields.len());
        return Err(FileError::unfit(format!(
            "the rows have {found} columns where the schema has {expected}"
        )));
    }
    let written = arrays.iter().zip(fields).filter(|(_, field)| !is_unwritten(&field.field_type));
    written.zip(targets).map(|((array, field), target)| align_array(array, field, target)).collect()
}

fn align_array(array: &ArrayRef, field: &Field, target: &FieldRef) -> Result<ArrayRef, FileError> {
    let wrong = || {
        let (name, found, expected) = (&field.name, array.data_type(), target.data_type());
        FileError::unfit(format!("the rows have {found} in `{name}`, where the schema has {expected}"))
    };
    match (&field.field_type, target.data_type()) {
        (Type::Struct(parts), DataType::Struct(targets)) => {
            let array = array.as_struct_opt().ok_or_else(wrong)?;
            let children = align_fields(array.columns(), &parts.fields, targets)?;
            let aligned = StructArray::try_new(targets.clone(), children, array.nulls().cloned());
            aligned.map(into_ref).map_err(|error| unfit(field, &error))
        }
        (Type::List(list), DataType::List(target)) => {
            let array = array.as_list_opt::<i32>().ok_or_else(wrong)?;
            let element = align_array(array.values(), &list.element, target)?;
            let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
            let aligned = ListArray::try_new(target.clone(), offsets, element, nulls);
            aligned.map(into_ref).map_err(|error| unfit(field, &error))
        }
        (Type::Map(map), DataType::Map(entries, sorted)) => {
            let array = array.as_map_opt().ok_or_else(wrong)?;
            let parts = [map.key.clone(), map.value.clone()];
            let DataType::Struct(targets) = entries.data_type() else { return Err(wrong()) };
            let children = align_fields(array.entries().columns(), &parts, targets)?;
            let aligned = StructArray::try_new(targets.clone(), children, array.entries().nulls().cloned());
            let aligned = aligned.map_err(|error| unfit(field, &error))?;
            let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
            let aligned = MapArray::try_new(entries.clone(), offsets, aligned, nulls, *sorted);
            aligned.map(into_ref).map_err(|error| unfit(field, &error))
        }
        (_, expected) if expected == array.data_type() => {
            check_digits(array, field)?;
            Ok(array.clone())
        }
        _ => Err(wrong()),
    }
}

/// Checks the number of digits of decimals: the encoder would truncate a number that is too large for the
/// type.
fn check_digits(array: &ArrayRef, field: &Field) -> Result<(), FileError> {
    let DataType::Decimal128(precision, _) = array.data_type() else { return Ok(()) };
    let Some(array) = array.as_primitive_opt::<Decimal128Type>() else { return Ok(()) };
    array.validate_decimal_precision(*precision).map_err(|error| unfit(field, &error))
}

fn into_ref(array: impl Array + 'static) -> ArrayRef {
    Arc::new(array)
}

fn unfit(field: &Field, error: &arrow_schema::ArrowError) -> FileError {
    FileError::unfit(format!("the rows of `{}` do not fit the schema: {error}", field.name))
}
