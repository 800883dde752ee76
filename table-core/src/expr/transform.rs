//! Evaluation of transforms: result types and result values. Their names are in
//! [`crate::metadata::transform`].

use super::civil::{DAY_NANOS, civil_from_days};
use super::hash::murmur3;
use super::value::Value;
use crate::metadata::transform::Transform;
use crate::metadata::types::Primitive;

const HOUR_NANOS: i64 = DAY_NANOS / 24;

impl Transform {
    /// Returns the result type for a source of this type; `None` if the source type is not accepted, or if
    /// the transform or the type is unknown.
    ///
    /// The result of `day` is a `date`, as in Java and in the expressions specification, although it is
    /// stored as an `int`.
    pub fn result_type(&self, source: &Primitive) -> Option<Primitive> {
        if self.accepts(source) != Some(true) {
            return None;
        }
        match self {
            Transform::Identity | Transform::Truncate(_) | Transform::Void => Some(source.clone()),
            Transform::Bucket(_) | Transform::Year | Transform::Month | Transform::Hour => {
                Some(Primitive::Int)
            }
            Transform::Day => Some(Primitive::Date),
            Transform::Other(_) => None,
        }
    }

    /// Applies the transform to a value that is not null; the result for null is always null.
    ///
    /// `None` if the result is null (`void`), the transform is unknown, it does not accept the value, or an
    /// hour does not fit an `int`. Truncating an integer that is within a width of its type's minimum wraps
    /// around, as in Java.
    pub fn apply(&self, value: &Value) -> Option<Value> {
        match self {
            Transform::Identity => Some(value.clone()),
            Transform::Bucket(buckets) => bucket(value, *buckets),
            Transform::Truncate(width) => truncate(value, *width),
            Transform::Year => Some(Value::Int(year(value)?)),
            Transform::Month => Some(Value::Int(month(value)?)),
            Transform::Day => Some(Value::Date(day(value)?)),
            Transform::Hour => Some(Value::Int(hour(value)?)),
            Transform::Void | Transform::Other(_) => None,
        }
    }

    /// Returns `true` if greater values never have lesser results, disregarding the wrap-around of
    /// [`Transform::apply`].
    pub fn preserves_order(&self) -> bool {
        match self {
            Transform::Identity
            | Transform::Truncate(_)
            | Transform::Year
            | Transform::Month
            | Transform::Day
            | Transform::Hour => true,
            Transform::Bucket(_) | Transform::Void | Transform::Other(_) => false,
        }
    }
}

fn bucket(value: &Value, buckets: u32) -> Option<Value> {
    let hash = match value {
        Value::Int(value) | Value::Date(value) => hash_long(i64::from(*value)),
        Value::Long(value) | Value::Time(value) | Value::Timestamp(value) | Value::Timestamptz(value) => {
            hash_long(*value)
        }
        // Hashed as microseconds, so that the buckets of a column stay the same when its type is promoted.
        Value::TimestampNs(value) | Value::TimestamptzNs(value) => hash_long(value.div_euclid(1000)),
        Value::Decimal(value) => murmur3(&value.to_bytes()),
        Value::String(value) => murmur3(value.as_bytes()),
        Value::Uuid(value) => murmur3(value.as_bytes()),
        Value::Fixed(value) | Value::Binary(value) => murmur3(value),
        Value::Boolean(_) | Value::Float(_) | Value::Double(_) | Value::Number(_) => return None,
    };
    let positive = hash & 0x7fff_ffff;
    i32::try_from(positive.checked_rem(buckets)?).ok().map(Value::Int)
}

fn hash_long(value: i64) -> u32 {
    murmur3(&value.to_le_bytes())
}

fn truncate(value: &Value, width: u32) -> Option<Value> {
    match value {
        Value::Int(value) => {
            Some(Value::Int(value.wrapping_sub(value.checked_rem_euclid(i32::try_from(width).ok()?)?)))
        }
        Value::Long(value) => {
            Some(Value::Long(value.wrapping_sub(value.checked_rem_euclid(i64::from(width))?)))
        }
        Value::Decimal(value) => {
            let rest = value.unscaled.checked_rem_euclid(i128::from(width))?;
            let unscaled = value.unscaled.checked_sub(rest)?;
            Some(Value::Decimal(super::decimal::Decimal { unscaled, scale: value.scale }))
        }
        Value::String(value) => Some(Value::String(first_characters(value, width).to_owned())),
        Value::Binary(value) => {
            let length = usize::try_from(width).ok()?.min(value.len());
            Some(Value::Binary(value.get(..length)?.to_vec()))
        }
        _ => None,
    }
}

/// Returns the first `count` characters of a text; characters are code points, as in the specification.
pub(crate) fn first_characters(text: &str, count: u32) -> &str {
    let end = usize::try_from(count).ok().and_then(|count| text.char_indices().nth(count));
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// Returns the number of whole units since 1970, rounded down, for values that have a date.
fn units(value: &Value, unit_nanos: i64) -> Option<i64> {
    match value {
        Value::Date(days) => i64::from(*days).checked_mul(DAY_NANOS / unit_nanos),
        Value::Timestamp(micros) | Value::Timestamptz(micros) => Some(micros.div_euclid(unit_nanos / 1000)),
        Value::TimestampNs(nanos) | Value::TimestamptzNs(nanos) => Some(nanos.div_euclid(unit_nanos)),
        _ => None,
    }
}

fn year(value: &Value) -> Option<i32> {
    let (year, _, _) = civil_from_days(units(value, DAY_NANOS)?);
    i32::try_from(year - 1970).ok()
}

fn month(value: &Value) -> Option<i32> {
    let (year, month, _) = civil_from_days(units(value, DAY_NANOS)?);
    i32::try_from((year - 1970) * 12 + i64::from(month) - 1).ok()
}

fn day(value: &Value) -> Option<i32> {
    i32::try_from(units(value, DAY_NANOS)?).ok()
}

fn hour(value: &Value) -> Option<i32> {
    match value {
        Value::Date(_) => None,
        _ => i32::try_from(units(value, HOUR_NANOS)?).ok(),
    }
}
