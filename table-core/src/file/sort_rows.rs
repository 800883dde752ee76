//! Sort keys of rows for a table's sort order (specification, "Sorting"): byte strings that compare as the
//! rows do. The sorting itself is up to the caller.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{
    ArrayRef, BinaryArray, Date32Array, Decimal128Array, Int32Array, Int64Array, NullArray, RecordBatch,
    StringArray, UInt32Array,
};
use arrow_row::{RowConverter, Rows, SortField as RowField};
use arrow_schema::{ArrowError, DataType, SortOptions};
use arrow_select::take::take;

use super::arrow_schema::primitive_to_arrow;
use super::error::FileError;
use super::transformed::TransformedColumn;
use crate::expr::value::Value;
use crate::metadata::sort::{SortField, SortOrder};
use crate::metadata::transform::Transform;
use crate::metadata::types::StructType;

/// Order of rows by a sort order of a table.
///
/// Floating-point numbers are ordered as in the specification: `-NaN`, `-Infinity`, numbers with `-0.0`
/// before `0.0`, `Infinity`, `NaN`. Strings are ordered by Unicode code points, which is the order of their
/// bytes in UTF-8.
#[derive(Debug)]
pub struct RowOrder {
    columns: Vec<TransformedColumn>,
    converter: RowConverter,
}

impl RowOrder {
    /// Creates the order of rows with these columns. If the sort order is unsorted, all rows are equal.
    ///
    /// # Errors
    ///
    /// Fails with [`FileError::Unsupported`] if a sort field has an unknown direction or null order, an
    /// unknown transform or one with several source columns, or if its source column does not exist or does
    /// not have a type that the transform accepts.
    pub fn new(columns: &StructType, order: &SortOrder) -> Result<RowOrder, FileError> {
        let (mut sorted, mut fields) = (Vec::new(), Vec::new());
        for field in order.fields() {
            let options = options(field)?;
            // A transform whose result is always null makes no difference.
            let Some(column) = TransformedColumn::new(columns, &field.source_ids, &field.transform)? else {
                continue;
            };
            let data_type = primitive_to_arrow(column.result_type()).unwrap_or(DataType::Null);
            fields.push(RowField::new_with_options(data_type, options));
            sorted.push(column);
        }
        if fields.is_empty() {
            // A null column, so that there are as many keys as rows.
            fields.push(RowField::new(DataType::Null));
        }
        let converter = RowConverter::new(fields).map_err(|error| FileError::shaping(&error))?;
        Ok(RowOrder { columns: sorted, converter })
    }

    /// Returns the sort keys of the rows of a batch, in the order of the batch. A row sorts before another
    /// one, of this batch or any other batch passed to the same `RowOrder`, if its key is less, compared as
    /// `Row` or as the bytes of `Row::data`.
    ///
    /// The columns of the batch are found by field id and have the types of [`super::arrow_schema`];
    /// additional columns are ignored.
    ///
    /// # Errors
    ///
    /// Fails with [`FileError::Unfit`] if the batch lacks a source column or has it in another type, or if a
    /// value is out of the range of its transform.
    pub fn keys(&self, batch: &RecordBatch) -> Result<Rows, FileError> {
        let mut arrays =
            self.columns.iter().map(|column| key(column, batch)).collect::<Result<Vec<_>, _>>()?;
        if arrays.is_empty() {
            arrays.push(Arc::new(NullArray::new(batch.num_rows())));
        }
        self.converter.convert_columns(&arrays).map_err(|error| FileError::shaping(&error))
    }
}

fn options(field: &SortField) -> Result<SortOptions, FileError> {
    let unknown = |text: &str| FileError::unsupported(format!("the sort field `{text}` is unknown"));
    let descending = match field.direction.as_str() {
        "asc" => false,
        "desc" => true,
        other => return Err(unknown(other)),
    };
    let nulls_first = match field.null_order.as_str() {
        "nulls-first" => true,
        "nulls-last" => false,
        other => return Err(unknown(other)),
    };
    Ok(SortOptions { descending, nulls_first })
}

/// Returns the array that a sort field compares.
fn key(column: &TransformedColumn, batch: &RecordBatch) -> Result<ArrayRef, FileError> {
    if *column.transform() == Transform::Identity {
        return Ok(with_one_nan(column.source(batch)?));
    }
    let results = column.results(batch)?;
    let places = UInt32Array::from(results.places);
    let data_type = primitive_to_arrow(column.result_type()).unwrap_or(DataType::Null);
    to_array(&results.values, &data_type)
        .and_then(|values| take(&values, &places, None))
        .map_err(|error| FileError::shaping(&error))
}

/// Replaces every NaN by the same NaN of its sign: the order does not distinguish others, but their bits
/// differ and would be compared.
fn with_one_nan(array: ArrayRef) -> ArrayRef {
    if let Some(floats) = array.as_primitive_opt::<Float32Type>() {
        let one = |value: f32| if value.is_nan() { f32::NAN.copysign(value) } else { value };
        return Arc::new(floats.unary::<_, Float32Type>(one));
    }
    if let Some(doubles) = array.as_primitive_opt::<Float64Type>() {
        let one = |value: f64| if value.is_nan() { f64::NAN.copysign(value) } else { value };
        return Arc::new(doubles.unary::<_, Float64Type>(one));
    }
    array
}

/// Converts the results of a transform to an array; transforms other than identity have only a few result
/// types.
fn to_array(values: &[Option<Value>], data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    macro_rules! collect {
        ($array:ty, $variant:pat => $value:expr) => {
            <$array>::from_iter(values.iter().map(|value| match value {
                Some($variant) => Some($value),
                _ => None,
            }))
        };
    }
    Ok(match data_type {
        DataType::Int32 => Arc::new(collect!(Int32Array, Value::Int(value) => *value)),
        DataType::Int64 => Arc::new(collect!(Int64Array, Value::Long(value) => *value)),
        DataType::Date32 => Arc::new(collect!(Date32Array, Value::Date(value) => *value)),
        DataType::Utf8 => Arc::new(collect!(StringArray, Value::String(value) => value.as_str())),
        DataType::Binary => Arc::new(collect!(BinaryArray, Value::Binary(value) => value.as_slice())),
        DataType::Decimal128(precision, scale) => Arc::new(
            collect!(Decimal128Array, Value::Decimal(value) => value.unscaled)
                .with_precision_and_scale(*precision, *scale)?,
        ),
        other => {
            return Err(ArrowError::NotYetImplemented(format!("no transform results in {other}")));
        }
    })
}
