//! Source columns of partition and sort fields: found in a batch by field id and transformed, with each
//! distinct result computed once. The results are used in [`super::partition_rows`] and [`super::sort_rows`].

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_row::{Row, RowConverter, SortField};
use arrow_schema::{ArrowError, DataType, Fields};
use arrow_select::nullif::nullif;
use uuid::Uuid;

use super::arrow_schema::{field_id, primitive_to_arrow};
use super::error::FileError;
use crate::expr::decimal::Decimal;
use crate::expr::value::Value;
use crate::metadata::schema::Field;
use crate::metadata::transform::Transform;
use crate::metadata::types::{Primitive, StructType, Type};

/// Primitive column with the transform applied to its values.
#[derive(Debug, Clone)]
pub(super) struct TransformedColumn {
    source_id: i32,
    name: String,
    source: Primitive,
    data_type: DataType,
    transform: Transform,
    result: Primitive,
}

/// Results of a transform for the rows of a batch.
pub(super) struct Results {
    /// Distinct results, in the order of the first rows that have them; `None` is null.
    pub(super) values: Vec<Option<Value>>,
    /// Index into `values` of the result of each row.
    pub(super) places: Vec<u32>,
}

impl TransformedColumn {
    /// Creates the transform of a column; `None` if its result is always null.
    ///
    /// Fails for transforms that are unknown or have several source columns, if there is no such column
    /// outside of lists and maps, and if the transform does not accept the column's type.
    pub(super) fn new(
        columns: &StructType,
        source_ids: &[i32],
        transform: &Transform,
    ) -> Result<Option<TransformedColumn>, FileError> {
        if *transform == Transform::Void {
            return Ok(None);
        }
        if let Transform::Other(name) = transform {
            return Err(FileError::unsupported(format!("the transform `{name}` is unknown")));
        }
        let [source_id] = *source_ids else {
            let count = source_ids.len();
            return Err(FileError::unsupported(format!("`{transform}` of {count} columns is not supported")));
        };
        let field = find_field(&columns.fields, source_id).ok_or_else(|| {
            FileError::unsupported(format!("the schema has no column {source_id} outside of lists and maps"))
        })?;
        let wrong = || {
            let (name, field_type) = (&field.name, &field.field_type);
            FileError::unsupported(format!(
                "`{transform}` of `{name}`, which is of type `{field_type}`, is not supported"
            ))
        };
        let Type::Primitive(source) = &field.field_type else { return Err(wrong()) };
        let result = transform.result_type(source).ok_or_else(wrong)?;
        Ok(Some(TransformedColumn {
            source_id,
            name: field.name.clone(),
            source: source.clone(),
            data_type: primitive_to_arrow(source).ok_or_else(wrong)?,
            transform: transform.clone(),
            result,
        }))
    }

    /// Returns the transform.
    pub(super) fn transform(&self) -> &Transform {
        &self.transform
    }

    /// Returns the type of the results.
    pub(super) fn result_type(&self) -> &Primitive {
        &self.result
    }

    /// Returns the source column, which is null where an enclosing struct is.
    pub(super) fn source(&self, batch: &RecordBatch) -> Result<ArrayRef, FileError> {
        let found = find_array(batch.schema_ref().fields(), batch.columns(), self.source_id);
        let (id, name) = (self.source_id, &self.name);
        let array = found
            .ok_or_else(|| {
                FileError::unfit(format!("the rows have no column with the id {id} for `{name}`"))
            })?
            .map_err(|error| FileError::shaping(&error))?;
        if *array.data_type() != self.data_type {
            let (found, expected) = (array.data_type(), &self.data_type);
            let message = format!("the rows have {found} in `{name}`, where the schema has {expected}");
            return Err(FileError::unfit(message));
        }
        Ok(array)
    }

    /// Returns the result of each row.
    ///
    /// Fails if a value that is not null has no result, because its row would be treated as one with a null.
    pub(super) fn results(&self, batch: &RecordBatch) -> Result<Results, FileError> {
        let array = self.source(batch)?;
        let keys = RowConverter::new(vec![SortField::new(self.data_type.clone())])
            .and_then(|converter| converter.convert_columns(std::slice::from_ref(&array)))
            .map_err(|error| FileError::shaping(&error))?;
        let mut results = Results { values: Vec::new(), places: Vec::with_capacity(array.len()) };
        let mut by_result: BTreeMap<Option<Value>, u32> = BTreeMap::new();
        let mut by_source: HashMap<Row<'_>, u32> = HashMap::new();
        let mut last: Option<(Row<'_>, u32)> = None;
        for (row, key) in keys.iter().enumerate() {
            let place = match last {
                Some((last, place)) if last == key => place,
                _ => match by_source.entry(key) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(new) => {
                        let result = self.result(&array, row)?;
                        let next = u32::try_from(results.values.len()).map_err(|_| too_long())?;
                        let place = *by_result.entry(result.clone()).or_insert(next);
                        if place == next {
                            results.values.push(result);
                        }
                        *new.insert(place)
                    }
                },
            };
            last = Some((key, place));
            results.places.push(place);
        }
        Ok(results)
    }

    fn result(&self, array: &ArrayRef, row: usize) -> Result<Option<Value>, FileError> {
        let Some(value) = value_at(array, row, &self.source) else { return Ok(None) };
        let result = self.transform.apply(&value);
        if result.is_none() {
            let (transform, name) = (&self.transform, &self.name);
            return Err(FileError::unfit(format!(
                "a value of `{name}` is out of the range of `{transform}`: {}",
                value.to_json()
            )));
        }
        Ok(result)
    }
}

/// Returns the error for a batch with more rows than can be counted in 32 bits.
pub(super) fn too_long() -> FileError {
    FileError::unsupported("a batch has more rows than can be counted in 32 bits")
}

/// Returns the field with an id, also inside structs.
fn find_field(fields: &[Field], id: i32) -> Option<&Field> {
    fields.iter().find_map(|field| match &field.field_type {
        _ if field.id == id => Some(field),
        Type::Struct(parts) => find_field(&parts.fields, id),
        _ => None,
    })
}

/// Returns the array with a field id, also inside structs, where it is null if the struct is.
fn find_array(fields: &Fields, arrays: &[ArrayRef], id: i32) -> Option<Result<ArrayRef, ArrowError>> {
    fields.iter().zip(arrays).find_map(|(field, array)| {
        if field_id(field) == Some(id) {
            return Some(Ok(array.clone()));
        }
        let DataType::Struct(parts) = field.data_type() else { return None };
        let array = array.as_struct_opt()?;
        let found = find_array(parts, array.columns(), id)?;
        Some(match array.nulls() {
            Some(nulls) => found.and_then(|found| nullif(&found, &BooleanArray::new(!nulls.inner(), None))),
            None => found,
        })
    })
}

/// Returns the value of a row; `None` if it is null. The array must have the Arrow type of `value_type`.
fn value_at(array: &ArrayRef, row: usize, value_type: &Primitive) -> Option<Value> {
    if array.is_null(row) {
        return None;
    }
    let micros = || array.as_primitive::<TimestampMicrosecondType>().value(row);
    let nanos = || array.as_primitive::<TimestampNanosecondType>().value(row);
    Some(match value_type {
        Primitive::Boolean => Value::Boolean(array.as_boolean().value(row)),
        Primitive::Int => Value::Int(array.as_primitive::<Int32Type>().value(row)),
        Primitive::Long => Value::Long(array.as_primitive::<Int64Type>().value(row)),
        Primitive::Float => Value::Float(array.as_primitive::<Float32Type>().value(row)),
        Primitive::Double => Value::Double(array.as_primitive::<Float64Type>().value(row)),
        Primitive::Decimal { scale, .. } => {
            let unscaled = array.as_primitive::<Decimal128Type>().value(row);
            Value::Decimal(Decimal { unscaled, scale: *scale })
        }
        Primitive::Date => Value::Date(array.as_primitive::<Date32Type>().value(row)),
        Primitive::Time => Value::Time(array.as_primitive::<Time64MicrosecondType>().value(row)),
        Primitive::Timestamp => Value::Timestamp(micros()),
        Primitive::Timestamptz => Value::Timestamptz(micros()),
        Primitive::TimestampNs => Value::TimestampNs(nanos()),
        Primitive::TimestamptzNs => Value::TimestamptzNs(nanos()),
        Primitive::String => Value::String(array.as_string::<i32>().value(row).to_owned()),
        Primitive::Uuid => Value::Uuid(Uuid::from_slice(array.as_fixed_size_binary().value(row)).ok()?),
        Primitive::Fixed(_) => Value::Fixed(array.as_fixed_size_binary().value(row).to_vec()),
        Primitive::Binary => Value::Binary(array.as_binary::<i32>().value(row).to_vec()),
        // Always null, or without an Arrow type, which was refused before.
        Primitive::Unknown
        | Primitive::Variant
        | Primitive::Geometry(_)
        | Primitive::Geography(_)
        | Primitive::Other(_) => return None,
    })
}
