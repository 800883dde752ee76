//! Columns that a file does not contain: a single value for all of its rows. The value is chosen in
//! [`super::plan`].

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    Float32Array, Float64Array, Int32Array, Int64Array, StringArray, StructArray, new_null_array,
};
use arrow_schema::{ArrowError, DataType, Fields};

use crate::expr::value::Value;
use crate::file::error::FileError;

/// Value of a column that is the same in all rows.
#[derive(Debug, Clone)]
pub(super) enum Constant {
    Null(DataType),
    Value(Value, DataType),
    Struct(Fields, Vec<Constant>),
}

impl Constant {
    /// Returns an array that repeats the value `rows` times.
    pub(super) fn to_array(&self, rows: usize) -> Result<ArrayRef, FileError> {
        match self {
            Constant::Null(data_type) => Ok(new_null_array(data_type, rows)),
            Constant::Value(value, data_type) => {
                repeat(value, data_type, rows).map_err(|error| FileError::shaping(&error))
            }
            Constant::Struct(fields, parts) => {
                let arrays = parts.iter().map(|part| part.to_array(rows)).collect::<Result<Vec<_>, _>>()?;
                StructArray::try_new_with_length(fields.clone(), arrays, None, rows)
                    .map(|array| Arc::new(array) as ArrayRef)
                    .map_err(|error| FileError::shaping(&error))
            }
        }
    }
}

fn repeat(value: &Value, data_type: &DataType, rows: usize) -> Result<ArrayRef, ArrowError> {
    let longs = |value: i64| Int64Array::from_value(value, rows);
    let array: ArrayRef = match value {
        Value::Boolean(value) => Arc::new(BooleanArray::from(vec![*value; rows])),
        Value::Int(value) => Arc::new(Int32Array::from_value(*value, rows)),
        Value::Date(value) => Arc::new(Date32Array::from_value(*value, rows)),
        Value::Long(value) => Arc::new(longs(*value)),
        Value::Float(value) => Arc::new(Float32Array::from_value(*value, rows)),
        Value::Double(value) => Arc::new(Float64Array::from_value(*value, rows)),
        Value::Decimal(value) => {
            let DataType::Decimal128(precision, scale) = data_type else { return Err(mismatch(data_type)) };
            let array = Decimal128Array::from_value(value.unscaled, rows);
            Arc::new(array.with_precision_and_scale(*precision, *scale)?)
        }
        Value::Time(value)
        | Value::Timestamp(value)
        | Value::Timestamptz(value)
        | Value::TimestampNs(value)
        | Value::TimestamptzNs(value) => arrow_cast::cast(&longs(*value), data_type)?,
        Value::String(value) => Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, rows))),
        Value::Binary(value) => Arc::new(BinaryArray::from_iter_values(std::iter::repeat_n(value, rows))),
        Value::Uuid(value) => fixed(value.as_bytes(), rows)?,
        Value::Fixed(value) => fixed(value, rows)?,
        Value::Number(_) => return Err(mismatch(data_type)),
    };
    if array.data_type() == data_type { Ok(array) } else { Err(mismatch(data_type)) }
}

fn fixed(value: &[u8], rows: usize) -> Result<ArrayRef, ArrowError> {
    let length = i32::try_from(value.len()).map_err(|_| mismatch(&DataType::Binary))?;
    FixedSizeBinaryArray::try_new(length, value.repeat(rows).into(), None)
        .map(|array| Arc::new(array) as ArrayRef)
}

fn mismatch(data_type: &DataType) -> ArrowError {
    ArrowError::InvalidArgumentError(format!("a constant is not of type {data_type}"))
}
