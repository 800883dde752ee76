//! Values of a column in files that do not contain it: the value of an identity partition field, its initial
//! default, or null (specification, "Column Projection" and "Default values").

use std::collections::BTreeMap;

use arrow_schema::{DataType, FieldRef};
use serde_json::Value as Json;

use super::constant::Constant;
use crate::expr::civil::DAY_NANOS;
use crate::expr::decimal::Decimal;
use crate::expr::value::Value;
use crate::file::error::FileError;
use crate::metadata::schema::Field;
use crate::metadata::types::{Primitive, Type};

/// Returns the value that a column has in all rows of a file that does not contain it. `constants` are values
/// that are already known, by field id.
pub(super) fn absent(
    field: &Field,
    target: &FieldRef,
    constants: &BTreeMap<i32, Option<Value>>,
) -> Result<Constant, FileError> {
    let null = || Constant::Null(target.data_type().clone());
    match (constants.get(&field.id), &field.field_type) {
        (Some(None), _) => return Ok(null()),
        (Some(Some(value)), Type::Primitive(primitive)) => {
            let value = promote(value, primitive).ok_or_else(|| {
                let message =
                    format!("the partition's value of `{}` is not of type `{primitive}`", field.name);
                FileError::unfit(message)
            })?;
            return Ok(Constant::Value(value, target.data_type().clone()));
        }
        _ => {}
    }
    match &field.initial_default {
        Some(default) if !default.is_null() => of_default(field, default, target, constants),
        _ if field.required && *target.data_type() != DataType::Null => {
            let message = format!("the file does not have the required column `{}`", field.name);
            Err(FileError::unfit(message))
        }
        _ => Ok(null()),
    }
}

fn of_default(
    field: &Field,
    default: &Json,
    target: &FieldRef,
    constants: &BTreeMap<i32, Option<Value>>,
) -> Result<Constant, FileError> {
    match (&field.field_type, target.data_type()) {
        (Type::Primitive(primitive), data_type) => {
            // The default may be in the form of the type that the column had before it was promoted.
            let value = Value::from_json(default, primitive).or_else(|error| {
                let date = Value::from_json(default, &Primitive::Date).ok();
                date.and_then(|date| promote(&date, primitive)).ok_or(error)
            });
            let value = value
                .map_err(|error| FileError::unfit(format!("the default of `{}`: {error}", field.name)))?;
            Ok(Constant::Value(value, data_type.clone()))
        }
        // The only default of a struct is the empty object, with which every part has its own default.
        (Type::Struct(parts), DataType::Struct(targets))
            if default.as_object().is_some_and(serde_json::Map::is_empty) =>
        {
            let parts = parts.fields.iter().zip(targets);
            let parts = parts.map(|(part, target)| absent(part, target, constants));
            Ok(Constant::Struct(targets.clone(), parts.collect::<Result<_, _>>()?))
        }
        _ => {
            let message = format!("the default of `{}` is not a valid value of its type", field.name);
            Err(FileError::unsupported(message))
        }
    }
}

/// Promotes a value to the current type of a column; `None` if that is not possible.
fn promote(value: &Value, requested: &Primitive) -> Option<Value> {
    let promoted = match (value, requested) {
        (Value::Int(value), Primitive::Long) => Value::Long(i64::from(*value)),
        (Value::Float(value), Primitive::Double) => Value::Double(f64::from(*value)),
        (Value::Date(days), Primitive::Timestamp) => {
            Value::Timestamp(i64::from(*days).checked_mul(DAY_NANOS / 1000)?)
        }
        (Value::Date(days), Primitive::TimestampNs) => {
            Value::TimestampNs(i64::from(*days).checked_mul(DAY_NANOS)?)
        }
        (Value::Decimal(Decimal { scale, .. }), Primitive::Decimal { scale: requested, .. }) => {
            (scale == requested).then(|| value.clone())?
        }
        _ => value.clone(),
    };
    promoted.is_of(requested).then_some(promoted)
}
