//! Conversion of a literal to the type of a column, as Java's `Literal.to(Type)`. The effect on a comparison
//! is in [`super::bind`].
//!
//! Java rounds down a literal that is not a value of the type; here it is [`Fit::Above`] the value below it,
//! so that no comparison changes its result. Doubles for `float` columns are rounded to the nearest value, as
//! in Java, because JSON has no other form of `0.1`. Doubles for decimal columns are [`Fit::Between`] their
//! neighbours: Java rounds `1.005` up, `PyIceberg` down, and others do not round.

use super::civil::{DAY_NANOS, parse_date, parse_time, parse_timestamp, parse_timestamptz};
use super::decimal::{Decimal, Fit, Number};
use super::single_value::{parse_hex, parse_uuid};
use super::value::Value;
use crate::metadata::types::Primitive;

const DAY_MICROS: i64 = DAY_NANOS / 1000;

/// Converts a literal; `None` if that is not possible.
pub(crate) fn convert(literal: &Value, target: &Primitive) -> Option<Fit<Value>> {
    if literal.is_of(target) {
        return Some(Fit::Exact(literal.clone()));
    }
    match literal {
        Value::Int(value) => from_int(i64::from(*value), target),
        Value::Long(value) => from_long(*value, target),
        Value::Float(value) => from_double(f64::from(*value), target),
        Value::Double(value) => from_double(*value, target),
        Value::Decimal(value) => from_decimal(*value, target),
        Value::Number(text) => from_number(text, target),
        Value::Timestamp(micros) | Value::Timestamptz(micros) => {
            from_nanos(i128::from(*micros) * 1000, target)
        }
        Value::TimestampNs(nanos) | Value::TimestamptzNs(nanos) => from_nanos(i128::from(*nanos), target),
        Value::String(text) => from_text(text, target),
        Value::Fixed(bytes) | Value::Binary(bytes) => from_bytes(bytes.clone(), target),
        Value::Boolean(_) | Value::Date(_) | Value::Time(_) | Value::Uuid(_) => None,
    }
}

/// Converts a number that does not represent microseconds.
#[expect(clippy::cast_precision_loss, reason = "rounding to the nearest is what Java does")]
fn from_int(value: i64, target: &Primitive) -> Option<Fit<Value>> {
    Some(match target {
        Primitive::Int => ranged(i128::from(value), Value::Int),
        Primitive::Long => Fit::Exact(Value::Long(value)),
        Primitive::Float => Fit::Exact(Value::Float(value as f32)),
        Primitive::Double => Fit::Exact(Value::Double(value as f64)),
        Primitive::Date => ranged(i128::from(value), Value::Date),
        Primitive::Decimal { scale, .. } => {
            decimal(Decimal { unscaled: i128::from(value), scale: 0 }.fit(*scale), *scale)
        }
        _ => return None,
    })
}

fn from_long(value: i64, target: &Primitive) -> Option<Fit<Value>> {
    match target {
        // Java accepts values that are no time of day, and cannot parse their text form.
        Primitive::Time => Some(match value {
            ..0 => Fit::BelowMin,
            DAY_MICROS.. => Fit::Above(Value::Time(DAY_MICROS - 1)),
            _ => Fit::Exact(Value::Time(value)),
        }),
        Primitive::Timestamp | Primitive::Timestamptz | Primitive::TimestampNs | Primitive::TimestamptzNs => {
            from_nanos(i128::from(value) * 1000, target)
        }
        _ => from_int(value, target),
    }
}

/// Converts a number with more digits than a double, or a decimal of another scale.
fn from_decimal(value: Decimal, target: &Primitive) -> Option<Fit<Value>> {
    match target {
        Primitive::Decimal { scale, .. } => Some(decimal(value.fit(*scale), *scale)),
        Primitive::Float | Primitive::Double => from_double(value.to_string().parse().ok()?, target),
        // Only numbers beyond the range of integers: like a double, a fraction is not a literal of these
        // types.
        Primitive::Int | Primitive::Long if value.scale == 0 => match i64::try_from(value.unscaled) {
            Ok(value) => from_int(value, target),
            Err(_) if value.unscaled > 0 => Some(Fit::AboveMax),
            Err(_) => Some(Fit::BelowMin),
        },
        _ => None,
    }
}

/// Converts a number with more digits than any decimal.
fn from_number(text: &str, target: &Primitive) -> Option<Fit<Value>> {
    match target {
        Primitive::Decimal { scale, .. } => Some(decimal(Number::parse(text)?.fit(*scale), *scale)),
        Primitive::Float | Primitive::Double => from_double(text.parse().ok()?, target),
        Primitive::Int | Primitive::Long => match Number::parse(text)?.fit(0) {
            Fit::AboveMax => Some(Fit::AboveMax),
            Fit::BelowMin => Some(Fit::BelowMin),
            _ => None,
        },
        _ => None,
    }
}

fn from_double(value: f64, target: &Primitive) -> Option<Fit<Value>> {
    match target {
        Primitive::Float => Some(float(value)),
        Primitive::Double => Some(Fit::Exact(Value::Double(value))),
        Primitive::Decimal { scale, .. } if value.is_finite() => {
            // The shortest text that represents this double, which is the one that Java rounds as well.
            Some(decimal(Number::parse(&format!("{value:e}"))?.fit_rounded(*scale), *scale))
        }
        _ => None,
    }
}

/// Converts a double to a float. Beyond the range of finite values there are still the infinite ones.
fn float(value: f64) -> Fit<Value> {
    let most = f64::from(f32::MAX);
    match super::single_value::narrow(value) {
        Some(narrow) if !value.is_finite() || value.abs() <= most => Fit::Exact(Value::Float(narrow)),
        _ if value > 0.0 => Fit::Above(Value::Float(f32::MAX)),
        _ => Fit::Above(Value::Float(f32::NEG_INFINITY)),
    }
}

fn from_nanos(nanos: i128, target: &Primitive) -> Option<Fit<Value>> {
    Some(match target {
        Primitive::Timestamp => divided(nanos, 1000, Value::Timestamp),
        Primitive::Timestamptz => divided(nanos, 1000, Value::Timestamptz),
        Primitive::TimestampNs => divided(nanos, 1, Value::TimestampNs),
        Primitive::TimestamptzNs => divided(nanos, 1, Value::TimestamptzNs),
        Primitive::Date => divided(nanos, DAY_MICROS * 1000, Value::Date),
        _ => return None,
    })
}

fn from_text(text: &str, target: &Primitive) -> Option<Fit<Value>> {
    Some(match target {
        Primitive::Date => ranged(i128::from(parse_date(text)?), Value::Date),
        Primitive::Time => divided(i128::from(parse_time(text)?), 1000, Value::Time),
        Primitive::Timestamp | Primitive::TimestampNs => from_nanos(parse_timestamp(text)?, target)?,
        // PyIceberg omits the offset, and means UTC.
        Primitive::Timestamptz | Primitive::TimestamptzNs => {
            from_nanos(parse_timestamptz(text).or_else(|| parse_timestamp(text))?, target)?
        }
        Primitive::Uuid => Fit::Exact(Value::Uuid(parse_uuid(text)?)),
        Primitive::Decimal { scale, .. } => decimal(Number::parse(text)?.fit(*scale), *scale),
        // Java does this only if a schema is available when it parses the JSON.
        Primitive::Fixed(_) | Primitive::Binary => from_bytes(parse_hex(text)?, target)?,
        _ => return None,
    })
}

fn from_bytes(bytes: Vec<u8>, target: &Primitive) -> Option<Fit<Value>> {
    match target {
        Primitive::Binary => Some(Fit::Exact(Value::Binary(bytes))),
        Primitive::Fixed(length) if u64::try_from(bytes.len()) == Ok(*length) => {
            Some(Fit::Exact(Value::Fixed(bytes)))
        }
        _ => None,
    }
}

fn decimal(fit: Fit<i128>, scale: u32) -> Fit<Value> {
    fit.map(|unscaled| Value::Decimal(Decimal { unscaled, scale }))
}

/// Converts a number to a type with a limited range.
fn ranged<N: TryFrom<i128>>(value: i128, make: fn(N) -> Value) -> Fit<Value> {
    match N::try_from(value) {
        Ok(value) => Fit::Exact(make(value)),
        Err(_) if value > 0 => Fit::AboveMax,
        Err(_) => Fit::BelowMin,
    }
}

/// Converts a number to the unit and range of a type.
fn divided<N: TryFrom<i128>>(value: i128, unit: i64, make: fn(N) -> Value) -> Fit<Value> {
    let unit = i128::from(unit);
    match ranged(value.div_euclid(unit), make) {
        Fit::Exact(value_below) if value.rem_euclid(unit) != 0 => Fit::Above(value_below),
        fit => fit,
    }
}
