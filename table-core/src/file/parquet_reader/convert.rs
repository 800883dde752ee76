//! Conversion of values as stored in a file to values of a column's type: the type promotions of the
//! specification, and the various encodings that writers use for the same type. Conversions that may not
//! preserve the meaning are refused.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, new_null_array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, TimeUnit};

use super::file_columns::Leaf;
use crate::file::arrow_schema::primitive_to_arrow;
use crate::file::error::FileError;
use crate::metadata::types::Primitive;

const DAY_MICROS: i64 = 86_400_000_000;
const DAY_NANOS: i64 = DAY_MICROS * 1000;

/// Conversion of the values of a column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ValueConversion {
    /// No conversion; the types are equal.
    None,
    /// Cast, which fails for values that are out of range of the target type.
    Cast(DataType),
    /// Fixed-length bytes are cast to variable-length bytes before the cast to the target type.
    Bytes(DataType),
    /// Times in a coarser unit are multiplied.
    Multiply(i64, DataType),
    /// Times in a finer unit are divided, rounding down.
    Divide(i64, DataType),
    /// The column of the file or of the table is always null.
    Null(DataType),
}

impl ValueConversion {
    /// Returns the conversion of values of a file to values of type `requested`; `None` if there is none.
    pub(super) fn find(leaf: &Leaf, requested: &Primitive) -> Option<ValueConversion> {
        let target = primitive_to_arrow(requested)?;
        let stored = leaf.data_type.clone();
        if *requested == Primitive::Unknown || stored == DataType::Null {
            return Some(ValueConversion::Null(target));
        }
        if stored == target {
            return Some(ValueConversion::None);
        }
        match requested {
            Primitive::Int | Primitive::Long => {
                is_whole(&stored, requested).then_some(ValueConversion::Cast(target))
            }
            Primitive::Float => (stored == DataType::Float16).then_some(ValueConversion::Cast(target)),
            Primitive::Double => matches!(stored, DataType::Float16 | DataType::Float32)
                .then_some(ValueConversion::Cast(target)),
            Primitive::Decimal { scale, .. } => {
                let is_scaled = |found: i8| i64::from(found) == i64::from(*scale);
                match stored {
                    DataType::Decimal128(_, found) | DataType::Decimal256(_, found) if is_scaled(found) => {
                        Some(ValueConversion::Cast(target))
                    }
                    _ => None,
                }
            }
            Primitive::Date => (stored == DataType::Int32).then_some(ValueConversion::Cast(target)),
            // The decoder silently overflows for INT96 in nanoseconds after the year 2262.
            Primitive::TimestampNs | Primitive::TimestamptzNs if leaf.is_int96 => None,
            Primitive::Time
            | Primitive::Timestamp
            | Primitive::Timestamptz
            | Primitive::TimestampNs
            | Primitive::TimestamptzNs => time(&stored, requested, target),
            Primitive::String | Primitive::Fixed(_) | Primitive::Uuid | Primitive::Binary => {
                bytes(&stored, target)
            }
            _ => None,
        }
    }

    /// Converts an array.
    pub(super) fn apply(&self, array: ArrayRef) -> Result<ArrayRef, FileError> {
        let converted = match self {
            ValueConversion::None => return Ok(array),
            ValueConversion::Cast(target) => cast(&array, target),
            ValueConversion::Bytes(target) => {
                cast(&array, &DataType::Binary).and_then(|bytes| cast(&bytes, target))
            }
            ValueConversion::Multiply(factor, target) => {
                scale(&array, target, |value| value.checked_mul(*factor))
            }
            ValueConversion::Divide(divisor, target) => {
                scale(&array, target, |value| value.checked_div_euclid(*divisor))
            }
            ValueConversion::Null(target) => Ok(new_null_array(target, array.len())),
        };
        converted.map_err(|error| FileError::malformed(format!("a value cannot be converted: {error}")))
    }
}

/// Returns `true` if integers of this kind can be read as `int` or `long`. Unsigned values that are out of
/// range fail in the cast.
fn is_whole(stored: &DataType, requested: &Primitive) -> bool {
    match stored {
        DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => true,
        DataType::Int32 | DataType::UInt64 => *requested == Primitive::Long,
        _ => false,
    }
}

fn time(stored: &DataType, requested: &Primitive, target: DataType) -> Option<ValueConversion> {
    let is_nanos = matches!(requested, Primitive::TimestampNs | Primitive::TimestamptzNs);
    let is_zoned = matches!(requested, Primitive::Timestamptz | Primitive::TimestamptzNs);
    let per_second = match stored {
        DataType::Int64 => return Some(ValueConversion::Multiply(1, target)),
        DataType::Date32 if *requested != Primitive::Time && !is_zoned => {
            let units = if is_nanos { DAY_NANOS } else { DAY_MICROS };
            return Some(ValueConversion::Multiply(units, target));
        }
        DataType::Time32(unit) | DataType::Time64(unit) if *requested == Primitive::Time => units(*unit),
        DataType::Timestamp(unit, _) if *requested != Primitive::Time => units(*unit),
        _ => return None,
    };
    let requested = if is_nanos { 1_000_000_000 } else { 1_000_000 };
    Some(if per_second > requested {
        ValueConversion::Divide(per_second / requested, target)
    } else {
        ValueConversion::Multiply(requested / per_second, target)
    })
}

fn units(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

fn bytes(stored: &DataType, target: DataType) -> Option<ValueConversion> {
    match stored {
        DataType::FixedSizeBinary(_) => Some(match target {
            DataType::FixedSizeBinary(_) => return None,
            DataType::Binary => ValueConversion::Cast(target),
            _ => ValueConversion::Bytes(target),
        }),
        DataType::Binary => Some(ValueConversion::Cast(target)),
        DataType::Utf8 if target == DataType::Binary => Some(ValueConversion::Cast(target)),
        _ => None,
    }
}

fn cast(array: &ArrayRef, target: &DataType) -> Result<ArrayRef, ArrowError> {
    cast_with_options(array, target, &CastOptions { safe: false, ..CastOptions::default() })
}

/// Converts times by way of integers, and reports those that are out of range.
fn scale(
    array: &ArrayRef,
    target: &DataType,
    convert: impl Fn(i64) -> Option<i64>,
) -> Result<ArrayRef, ArrowError> {
    // 32-bit types are cast to `Int32` first, because Arrow has no direct cast to `Int64`.
    let numbers = match array.data_type() {
        DataType::Date32 | DataType::Time32(_) => cast(&cast(array, &DataType::Int32)?, &DataType::Int64)?,
        _ => cast(array, &DataType::Int64)?,
    };
    let numbers: &Int64Array = numbers
        .as_primitive_opt::<Int64Type>()
        .ok_or_else(|| ArrowError::CastError(format!("{} is no time", array.data_type())))?;
    let beyond = |value| ArrowError::ComputeError(format!("the time {value} is out of range for {target}"));
    let scaled: Int64Array = numbers.try_unary(|value| convert(value).ok_or_else(|| beyond(value)))?;
    cast(&(Arc::new(scaled) as ArrayRef), target)
}
