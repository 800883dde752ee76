//! Parquet schema of the files that are written: the same as that of Java's `TypeToMessageType`, so that
//! every reader finds the layout it expects. The schema of files that are read may differ.

use std::fmt::Write;
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::errors::ParquetError;
use parquet::schema::types::{
    GroupTypeBuilder, PrimitiveTypeBuilder, SchemaDescriptor, Type as ParquetType, TypePtr,
};

use super::error::FileError;
use crate::metadata::schema::Field;
use crate::metadata::types::{ListType, MapType, Primitive, StructType, Type};

/// Returns the Parquet schema of the columns. Columns of type `unknown` are omitted, because they are never
/// written.
///
/// # Errors
///
/// Fails with [`FileError::Unsupported`] if a column has a type that cannot be written to Parquet, or if no
/// column, or no field of a struct, remains to be written.
pub fn to_parquet(columns: &StructType) -> Result<SchemaDescriptor, FileError> {
    let fields = fields_to_parquet(&columns.fields)?;
    if fields.is_empty() {
        return Err(FileError::unsupported("a file needs at least one column whose values are written"));
    }
    // Java uses the same name.
    let root =
        GroupTypeBuilder::new("table").with_fields(fields).build().map_err(|error| unbuildable(&error))?;
    Ok(SchemaDescriptor::new(Arc::new(root)))
}

/// Returns `true` if columns of this type are omitted from files.
pub(crate) fn is_unwritten(field_type: &Type) -> bool {
    *field_type == Type::Primitive(Primitive::Unknown)
}

fn fields_to_parquet(fields: &[Field]) -> Result<Vec<TypePtr>, FileError> {
    let mut built: Vec<TypePtr> = Vec::with_capacity(fields.len());
    let mut names = std::collections::HashSet::new();
    for field in fields.iter().filter(|field| !is_unwritten(&field.field_type)) {
        let mut name = compatible_name(&field.name);
        if !names.insert(name.clone()) {
            // Different names may be mapped to the same one. Readers match by id, so any unique name will do.
            name = format!("{name}_{}", field.id);
            names.insert(name.clone());
        }
        built.push(Arc::new(field_to_parquet(field, &name)?));
    }
    Ok(built)
}

fn field_to_parquet(field: &Field, name: &str) -> Result<ParquetType, FileError> {
    let repetition = if field.required { Repetition::REQUIRED } else { Repetition::OPTIONAL };
    let group = match &field.field_type {
        Type::Primitive(primitive) => {
            return primitive_to_parquet(primitive, name)?
                .with_repetition(repetition)
                .with_id(Some(field.id))
                .build()
                .map_err(|error| unbuildable(&error));
        }
        Type::Struct(parts) => {
            let fields = fields_to_parquet(&parts.fields)?;
            if fields.is_empty() {
                let message =
                    format!("the column `{}` is a struct without any part that is written", field.name);
                return Err(FileError::unsupported(message));
            }
            GroupTypeBuilder::new(name).with_fields(fields)
        }
        Type::List(list) => list_to_parquet(list, name)?,
        Type::Map(map) => map_to_parquet(map, name)?,
        Type::Other(_) => return Err(FileError::unsupported(format!("the type of `{name}` is unknown"))),
    };
    group.with_repetition(repetition).with_id(Some(field.id)).build().map_err(|error| unbuildable(&error))
}

fn list_to_parquet<'a>(list: &ListType, name: &'a str) -> Result<GroupTypeBuilder<'a>, FileError> {
    let element = part_to_parquet(&list.element, "element")?;
    let repeated = repeated("list", vec![element])?;
    Ok(GroupTypeBuilder::new(name).with_fields(vec![repeated]).with_logical_type(Some(LogicalType::List)))
}

fn map_to_parquet<'a>(map: &MapType, name: &'a str) -> Result<GroupTypeBuilder<'a>, FileError> {
    let parts = vec![part_to_parquet(&map.key, "key")?, part_to_parquet(&map.value, "value")?];
    let repeated = repeated("key_value", parts)?;
    Ok(GroupTypeBuilder::new(name).with_fields(vec![repeated]).with_logical_type(Some(LogicalType::Map)))
}

fn part_to_parquet(part: &Field, name: &str) -> Result<TypePtr, FileError> {
    if is_unwritten(&part.field_type) {
        return Err(FileError::unsupported("lists and maps of type `unknown` cannot be written to a file"));
    }
    field_to_parquet(part, name).map(Arc::new)
}

fn repeated(name: &str, fields: Vec<TypePtr>) -> Result<TypePtr, FileError> {
    let group = GroupTypeBuilder::new(name).with_repetition(Repetition::REPEATED).with_fields(fields);
    group.build().map(Arc::new).map_err(|error| unbuildable(&error))
}

fn primitive_to_parquet<'a>(
    primitive: &Primitive,
    name: &'a str,
) -> Result<PrimitiveTypeBuilder<'a>, FileError> {
    let plain = |physical| PrimitiveTypeBuilder::new(name, physical);
    let logical = |physical, logical| plain(physical).with_logical_type(Some(logical));
    Ok(match primitive {
        Primitive::Boolean => plain(Physical::BOOLEAN),
        Primitive::Int => plain(Physical::INT32),
        Primitive::Long => plain(Physical::INT64),
        Primitive::Float => plain(Physical::FLOAT),
        Primitive::Double => plain(Physical::DOUBLE),
        Primitive::Decimal { precision, scale } => decimal_to_parquet(*precision, *scale, name)?,
        Primitive::Date => logical(Physical::INT32, LogicalType::Date),
        Primitive::Time => {
            let time = LogicalType::Time { is_adjusted_to_u_t_c: false, unit: TimeUnit::MICROS };
            logical(Physical::INT64, time)
        }
        Primitive::Timestamp => logical(Physical::INT64, timestamp(false, TimeUnit::MICROS)),
        Primitive::Timestamptz => logical(Physical::INT64, timestamp(true, TimeUnit::MICROS)),
        Primitive::TimestampNs => logical(Physical::INT64, timestamp(false, TimeUnit::NANOS)),
        Primitive::TimestamptzNs => logical(Physical::INT64, timestamp(true, TimeUnit::NANOS)),
        Primitive::String => logical(Physical::BYTE_ARRAY, LogicalType::String),
        Primitive::Uuid => logical(Physical::FIXED_LEN_BYTE_ARRAY, LogicalType::Uuid).with_length(16),
        Primitive::Fixed(length) => {
            let length = i32::try_from(*length).map_err(|_| cannot_write(name, primitive))?;
            plain(Physical::FIXED_LEN_BYTE_ARRAY).with_length(length)
        }
        Primitive::Binary => plain(Physical::BYTE_ARRAY),
        Primitive::Variant
        | Primitive::Unknown
        | Primitive::Geometry(_)
        | Primitive::Geography(_)
        | Primitive::Other(_) => return Err(cannot_write(name, primitive)),
    })
}

fn timestamp(is_adjusted_to_u_t_c: bool, unit: TimeUnit) -> LogicalType {
    LogicalType::Timestamp { is_adjusted_to_u_t_c, unit }
}

fn decimal_to_parquet(precision: u32, scale: u32, name: &str) -> Result<PrimitiveTypeBuilder<'_>, FileError> {
    let wrong = || cannot_write(name, &Primitive::Decimal { precision, scale });
    let physical = match precision {
        0..=9 => Physical::INT32,
        10..=18 => Physical::INT64,
        _ => Physical::FIXED_LEN_BYTE_ARRAY,
    };
    let (digits, behind) = (i32::try_from(precision), i32::try_from(scale));
    let (precision, scale) = digits.ok().zip(behind.ok()).ok_or_else(wrong)?;
    let builder = PrimitiveTypeBuilder::new(name, physical)
        .with_logical_type(Some(LogicalType::Decimal { scale, precision }))
        .with_precision(precision)
        .with_scale(scale);
    if physical == Physical::FIXED_LEN_BYTE_ARRAY {
        let length = decimal_bytes(precision.unsigned_abs()).ok_or_else(wrong)?;
        return Ok(builder.with_length(length));
    }
    Ok(builder)
}

/// Returns the number of bytes into which every signed number of `precision` digits fits.
pub(crate) fn decimal_bytes(precision: u32) -> Option<i32> {
    let greatest = 10_i128.checked_pow(precision)? - 1;
    let bits = i128::BITS - greatest.leading_zeros() + 1;
    i32::try_from(bits.div_ceil(8)).ok()
}

/// Returns the name of a column in a file, as Java derives it: Avro's rules for names, with other characters
/// replaced by their code.
pub(crate) fn compatible_name(name: &str) -> String {
    let mut compatible = String::with_capacity(name.len());
    for (position, character) in name.chars().enumerate() {
        match character {
            '_' => compatible.push('_'),
            _ if character.is_alphabetic() => compatible.push(character),
            _ if character.is_numeric() && position > 0 => compatible.push(character),
            '0'..='9' => compatible.extend(['_', character]),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a `String` cannot fail.
                    let _written = write!(compatible, "_x{unit:X}");
                }
            }
        }
    }
    if compatible.is_empty() { "_".to_owned() } else { compatible }
}

fn cannot_write(name: &str, primitive: &Primitive) -> FileError {
    FileError::unsupported(format!("the column `{name}` is of type `{primitive}`, which cannot be written"))
}

fn unbuildable(error: &ParquetError) -> FileError {
    FileError::unsupported(format!("the schema cannot be written to a file: {error}"))
}
