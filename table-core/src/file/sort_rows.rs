//! The order of rows under a sort order of a table (specification, "Sorting"), as bytes that compare as the rows do. Not the
//! sorting itself.

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

/// Puts rows in the order that a table asks for.
///
/// Floats are in the order of the specification: `-NaN`, `-Infinity`, numbers with `-0.0` before `0.0`, `Infinity`, `NaN`.
/// Text is in the order of its characters' code points, which is that of its bytes.
#[derive(Debug)]
pub struct RowOrder {
    columns: Vec<TransformedColumn>,
    converter: RowConverter,
}

impl RowOrder {
    /// The order of rows of these columns. Where nothing is sorted, all rows are equal.
    ///
    /// Fails if what the sort order asks for is not known here: a transform of several columns, or one without a meaning,
    /// or a direction; and if a column that it needs is gone.
    pub fn new(columns: &StructType, order: &SortOrder) -> Result<RowOrder, FileError> {
        let (mut sorted, mut fields) = (Vec::new(), Vec::new());
        for field in order.fields() {
            let options = options(field)?;
            // What is always null is equal everywhere.
            let Some(column) = TransformedColumn::new(columns, &field.source_ids, &field.transform)? else {
                continue;
            };
            let held_as = primitive_to_arrow(column.result_type()).unwrap_or(DataType::Null);
            fields.push(RowField::new_with_options(held_as, options));
            sorted.push(column);
        }
        if fields.is_empty() {
            // So that there are as many keys as rows.
            fields.push(RowField::new(DataType::Null));
        }
        let converter = RowConverter::new(fields).map_err(|error| FileError::shaping(&error))?;
        Ok(RowOrder { columns: sorted, converter })
    }

    /// The keys of a batch's rows, in its order: a row comes before another, of this batch or any other that this order
    /// was asked for, if its key is less, as a `Row` or as the bytes of `Row::data`.
    ///
    /// The batch has its columns by field id and in the types of [`super::arrow_schema`]; it may have others, too. Fails
    /// if a value is out of the range of its transform.
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
    let unknown =
        |text: &str| FileError::unsupported(format!("a sort field is `{text}`, which is not known"));
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

/// What a batch's rows are sorted by in one field.
fn key(column: &TransformedColumn, batch: &RecordBatch) -> Result<ArrayRef, FileError> {
    if *column.transform() == Transform::Identity {
        return Ok(with_one_nan(column.source(batch)?));
    }
    let results = column.results(batch)?;
    let places = UInt32Array::from(results.places);
    let held_as = primitive_to_arrow(column.result_type()).unwrap_or(DataType::Null);
    to_array(&results.values, &held_as)
        .and_then(|values| take(&values, &places, None))
        .map_err(|error| FileError::shaping(&error))
}

/// The array with one NaN of each sign: the order knows no more, but there are many in bits, and they would be sorted.
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

/// The results of a transform as an array; those that are no identity have few types.
fn to_array(values: &[Option<Value>], held_as: &DataType) -> Result<ArrayRef, ArrowError> {
    macro_rules! collect {
        ($array:ty, $variant:pat => $value:expr) => {
            <$array>::from_iter(values.iter().map(|value| match value {
                Some($variant) => Some($value),
                _ => None,
            }))
        };
    }
    Ok(match held_as {
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
            return Err(ArrowError::NotYetImplemented(format!("no transform gives {other}")));
        }
    })
}
