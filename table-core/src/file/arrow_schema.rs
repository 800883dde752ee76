//! Arrow schema of a table's columns, as used by the record batches that are read and written. The schema of
//! an individual file may be older; see [`super::parquet_reader`].

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{
    DataType, Field as ArrowField, FieldRef, Fields, Schema as ArrowSchema, SchemaRef, TimeUnit,
};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use super::error::FileError;
use crate::metadata::schema::Field;
use crate::metadata::types::{ListType, MapType, Primitive, StructType, Type};

/// Time zone of Arrow timestamps with a zone, spelled as Parquet readers spell it.
pub const UTC: &str = "UTC";

/// Returns the Arrow schema of the columns. Each Arrow field has its field id in its metadata, under
/// `PARQUET:field_id`.
///
/// # Errors
///
/// Fails with [`FileError::Unsupported`] if a column has a type whose values cannot be copied from file to
/// file: `variant`, `geometry`, `geography`, an unknown type, or a decimal or fixed type whose size Arrow
/// cannot represent.
pub fn to_arrow(columns: &StructType) -> Result<SchemaRef, FileError> {
    Ok(Arc::new(ArrowSchema::new(fields_to_arrow(&columns.fields)?)))
}

/// Returns the field id of an Arrow field from a schema of [`to_arrow`] or of a Parquet file.
pub fn field_id(field: &ArrowField) -> Option<i32> {
    field.metadata().get(PARQUET_FIELD_ID_META_KEY)?.parse().ok()
}

pub(crate) fn fields_to_arrow(fields: &[Field]) -> Result<Fields, FileError> {
    fields.iter().map(field_to_arrow).collect()
}

pub(crate) fn field_to_arrow(field: &Field) -> Result<FieldRef, FileError> {
    let data_type = match &field.field_type {
        Type::Primitive(primitive) => {
            primitive_to_arrow(primitive).ok_or_else(|| cannot_rewrite(&field.name, primitive))?
        }
        Type::Struct(parts) => DataType::Struct(fields_to_arrow(&parts.fields)?),
        Type::List(list) => list_to_arrow(list)?,
        Type::Map(map) => map_to_arrow(map)?,
        Type::Other(_) => return Err(cannot_rewrite(&field.name, &field.field_type)),
    };
    // A column that is always null cannot be required.
    let is_nullable = !field.required || data_type == DataType::Null;
    let metadata = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), field.id.to_string())]);
    Ok(Arc::new(ArrowField::new(&field.name, data_type, is_nullable).with_metadata(metadata)))
}

fn list_to_arrow(list: &ListType) -> Result<DataType, FileError> {
    Ok(DataType::List(field_to_arrow(&list.element)?))
}

fn map_to_arrow(map: &MapType) -> Result<DataType, FileError> {
    let parts = Fields::from_iter([field_to_arrow(&map.key)?, field_to_arrow(&map.value)?]);
    let entries = ArrowField::new("key_value", DataType::Struct(parts), false);
    Ok(DataType::Map(Arc::new(entries), false))
}

/// Returns the Arrow type of a primitive type; `None` if there is none.
pub(crate) fn primitive_to_arrow(primitive: &Primitive) -> Option<DataType> {
    let timestamp = |unit, zone: Option<&str>| DataType::Timestamp(unit, zone.map(Into::into));
    Some(match primitive {
        Primitive::Boolean => DataType::Boolean,
        Primitive::Int => DataType::Int32,
        Primitive::Long => DataType::Int64,
        Primitive::Float => DataType::Float32,
        Primitive::Double => DataType::Float64,
        Primitive::Decimal { precision, scale } => {
            let (precision, scale) = (u8::try_from(*precision).ok()?, i8::try_from(*scale).ok()?);
            (u8::try_from(scale).ok()? <= precision).then_some(DataType::Decimal128(precision, scale))?
        }
        Primitive::Date => DataType::Date32,
        Primitive::Time => DataType::Time64(TimeUnit::Microsecond),
        Primitive::Timestamp => timestamp(TimeUnit::Microsecond, None),
        Primitive::Timestamptz => timestamp(TimeUnit::Microsecond, Some(UTC)),
        Primitive::TimestampNs => timestamp(TimeUnit::Nanosecond, None),
        Primitive::TimestamptzNs => timestamp(TimeUnit::Nanosecond, Some(UTC)),
        Primitive::String => DataType::Utf8,
        Primitive::Uuid => DataType::FixedSizeBinary(16),
        Primitive::Fixed(length) => DataType::FixedSizeBinary(i32::try_from(*length).ok()?),
        Primitive::Binary => DataType::Binary,
        Primitive::Unknown => DataType::Null,
        Primitive::Variant | Primitive::Geometry(_) | Primitive::Geography(_) | Primitive::Other(_) => {
            return None;
        }
    })
}

fn cannot_rewrite(name: &str, column_type: &impl std::fmt::Display) -> FileError {
    FileError::unsupported(format!(
        "the column `{name}` is of type `{column_type}`, which cannot be rewritten"
    ))
}
