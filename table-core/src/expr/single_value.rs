//! JSON form of single values (specification, appendix D, "JSON single-value serialization";
//! `PrimitiveTypeValue` of the REST specification).

use std::fmt::Write;

use serde_json::{Number, Value as Json};
use uuid::Uuid;

use super::civil::{
    Precision, format_date, format_time, format_timestamp, parse_date, parse_time, parse_timestamp,
    parse_timestamptz,
};
use super::decimal::Decimal;
use super::error::ExpressionError;
use super::value::Value;
use crate::metadata::json::{decode, parse_number};
use crate::metadata::types::Primitive;

impl Value {
    /// Converts JSON to a value of a type.
    ///
    /// More fractional digits of a second than the type has are refused; any offset from UTC is accepted
    /// where one is required. Floats may also be `"NaN"`, `"Infinity"` and `"-Infinity"`, which JSON numbers
    /// cannot represent.
    ///
    /// # Errors
    ///
    /// Fails if the JSON is not a value of the type, or the type has no JSON form
    /// ([`ExpressionError::Malformed`]).
    pub fn from_json(json: &Json, value_type: &Primitive) -> Result<Value, ExpressionError> {
        read(json, value_type).ok_or_else(|| {
            ExpressionError::malformed(format!(
                "`{json}` is not a value of type `{value_type}`; write {}",
                example(value_type)
            ))
        })
    }

    /// Parses JSON text to a value of a type, as [`Value::from_json`] does. Numbers of a float type are
    /// parsed exactly, which `serde_json` does not do.
    ///
    /// # Errors
    ///
    /// Fails if the text is not JSON, is not a value of the type, or the type has no JSON form
    /// ([`ExpressionError::Malformed`]).
    pub fn from_json_text(text: &str, value_type: &Primitive) -> Result<Value, ExpressionError> {
        if matches!(value_type, Primitive::Float | Primitive::Double)
            && let Some(number) = parse_number(text).and_then(Number::from_f64)
        {
            return Value::from_json(&Json::Number(number), value_type);
        }
        Value::from_json(&decode(text, "value")?, value_type)
    }

    /// Returns the value as JSON, in the form of the REST specification: fractions of seconds in full,
    /// hexadecimal digits in upper case.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Boolean(value) => Json::Bool(*value),
            Value::Int(value) => Json::from(*value),
            Value::Long(value) => Json::from(*value),
            // Converted by way of its text, because the nearest double has more digits than the float.
            Value::Float(value) => number(digits(*value)),
            Value::Double(value) => number(*value),
            Value::Decimal(value) => Json::from(value.to_string()),
            Value::Date(days) => Json::from(format_date(i64::from(*days))),
            Value::Time(micros) => Json::from(format_time(micros.saturating_mul(1000), Precision::Micros)),
            Value::Timestamp(micros) => Json::from(micros_text(*micros)),
            Value::Timestamptz(micros) => Json::from(micros_text(*micros) + "+00:00"),
            Value::TimestampNs(nanos) => Json::from(nanos_text(*nanos)),
            Value::TimestamptzNs(nanos) => Json::from(nanos_text(*nanos) + "+00:00"),
            Value::String(text) | Value::Number(text) => Json::from(text.as_str()),
            Value::Uuid(value) => Json::from(value.to_string()),
            Value::Fixed(bytes) | Value::Binary(bytes) => Json::from(to_hex(bytes)),
        }
    }
}

fn read(json: &Json, value_type: &Primitive) -> Option<Value> {
    Some(match value_type {
        Primitive::Boolean => Value::Boolean(json.as_bool()?),
        Primitive::Int => Value::Int(i32::try_from(json.as_i64()?).ok()?),
        Primitive::Long => Value::Long(json.as_i64()?),
        Primitive::Float => Value::Float(narrow(read_float(json)?)?),
        Primitive::Double => Value::Double(read_float(json)?),
        Primitive::Decimal { scale, .. } => Value::Decimal(Decimal::parse(json.as_str()?, *scale)?),
        Primitive::Date => Value::Date(i32::try_from(parse_date(json.as_str()?)?).ok()?),
        Primitive::Time => Value::Time(i64::try_from(micros(i128::from(parse_time(json.as_str()?)?))?).ok()?),
        Primitive::Timestamp => {
            Value::Timestamp(i64::try_from(micros(parse_timestamp(json.as_str()?)?)?).ok()?)
        }
        Primitive::Timestamptz => {
            Value::Timestamptz(i64::try_from(micros(parse_timestamptz(json.as_str()?)?)?).ok()?)
        }
        Primitive::TimestampNs => Value::TimestampNs(i64::try_from(parse_timestamp(json.as_str()?)?).ok()?),
        Primitive::TimestamptzNs => {
            Value::TimestamptzNs(i64::try_from(parse_timestamptz(json.as_str()?)?).ok()?)
        }
        Primitive::String => Value::String(json.as_str()?.to_owned()),
        Primitive::Uuid => Value::Uuid(parse_uuid(json.as_str()?)?),
        Primitive::Fixed(length) => {
            let bytes = parse_hex(json.as_str()?)?;
            Value::Fixed((u64::try_from(bytes.len()) == Ok(*length)).then_some(bytes)?)
        }
        Primitive::Binary => Value::Binary(parse_hex(json.as_str()?)?),
        Primitive::Variant
        | Primitive::Unknown
        | Primitive::Geometry(_)
        | Primitive::Geography(_)
        | Primitive::Other(_) => return None,
    })
}

/// Returns an example of a value of the type, for messages.
pub(crate) fn example(value_type: &Primitive) -> &'static str {
    match value_type {
        Primitive::Boolean => "`true` or `false`",
        Primitive::Int => "a whole number of 32 bits such as `42`",
        Primitive::Long => "a whole number of 64 bits such as `42`",
        Primitive::Float | Primitive::Double => "a number such as `3.14`",
        Primitive::Decimal { .. } => {
            "a decimal in quotes such as `\"123.45\"`, with the digits of the type's scale"
        }
        Primitive::Date => "a date such as `\"2007-12-03\"`",
        Primitive::Time => "a time such as `\"22:31:08.123456\"`",
        Primitive::Timestamp => "a timestamp without a zone such as `\"2007-12-03T10:15:30.123456\"`",
        Primitive::Timestamptz => "a timestamp with an offset such as `\"2007-12-03T10:15:30.123456+00:00\"`",
        Primitive::TimestampNs => "a timestamp without a zone such as `\"2007-12-03T10:15:30.123456789\"`",
        Primitive::TimestamptzNs => {
            "a timestamp with an offset such as `\"2007-12-03T10:15:30.123456789+00:00\"`"
        }
        Primitive::String => "a string such as `\"hello\"`",
        Primitive::Uuid => "a UUID such as `\"eb26bdb1-a1d8-4aa6-990e-da940875492c\"`",
        Primitive::Fixed(_) => "two hexadecimal digits for each byte of the type's length",
        Primitive::Binary => "two hexadecimal digits for each byte, such as `\"78797A\"`",
        Primitive::Variant
        | Primitive::Unknown
        | Primitive::Geometry(_)
        | Primitive::Geography(_)
        | Primitive::Other(_) => "nothing: values of the type have no form in JSON",
    }
}

/// Parses a UUID in the form with dashes, in either case.
pub(crate) fn parse_uuid(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

/// Parses hexadecimal digits of either case.
pub(crate) fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    rest.is_empty().then(|| bytes.collect()).flatten()
}

fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a `String` cannot fail.
        let _written = write!(text, "{byte:02X}");
    }
    text
}

fn read_float(json: &Json) -> Option<f64> {
    match json {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// Returns the nearest float; `None` if that is infinite although the number is not.
#[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest float is what is wanted")]
pub(crate) fn narrow(value: f64) -> Option<f32> {
    let narrow = value as f32;
    (narrow.is_finite() || !value.is_finite()).then_some(narrow)
}

/// Returns the double with the fewest digits that converts to the float. For the greatest float, that double
/// is greater than the float, and Java's conversion fails; so it is returned exactly.
fn digits(value: f32) -> f64 {
    let exact = f64::from(value);
    value.to_string().parse().ok().filter(|_| value.abs() < f32::MAX).unwrap_or(exact)
}

fn number(value: f64) -> Json {
    match Number::from_f64(value) {
        Some(number) => Json::Number(number),
        None if value.is_nan() => Json::from("NaN"),
        None if value > 0.0 => Json::from("Infinity"),
        None => Json::from("-Infinity"),
    }
}

fn micros(nanos: i128) -> Option<i128> {
    (nanos % 1000 == 0).then_some(nanos / 1000)
}

fn micros_text(micros: i64) -> String {
    format_timestamp(i128::from(micros) * 1000, Precision::Micros)
}

fn nanos_text(nanos: i64) -> String {
    format_timestamp(i128::from(nanos), Precision::Nanos)
}
