//! Binary form of single values, used for column bounds and partition summaries (specification, appendix D,
//! "Binary single-value serialization").

use uuid::Uuid;

use super::civil::DAY_NANOS;
use super::decimal::Decimal;
use super::value::{Value, ValueRef};
use crate::metadata::types::Primitive;

impl<'a> ValueRef<'a> {
    /// Decodes a bound of a column whose current type is `value_type`, without copying.
    ///
    /// Bounds that were written before the type of the column was promoted are accepted: `int` as `long`,
    /// `float` as `double`, a decimal of lower precision, `date` as `timestamp` and `timestamp_ns`. `None`
    /// for anything else that is not of the type: a wrong length, or a type without a known binary form.
    pub fn decode(bytes: &'a [u8], value_type: &Primitive) -> Option<ValueRef<'a>> {
        Some(match value_type {
            Primitive::Boolean => match bytes {
                [byte] => ValueRef::Boolean(*byte != 0),
                _ => return None,
            },
            Primitive::Int => ValueRef::Int(int(bytes)?),
            Primitive::Long => ValueRef::Long(int(bytes).map(i64::from).or_else(|| long(bytes))?),
            Primitive::Float => ValueRef::Float(float(bytes)?),
            Primitive::Double => {
                ValueRef::Double(float(bytes).map(f64::from).or_else(|| long(bytes).map(double))?)
            }
            Primitive::Decimal { scale, .. } => ValueRef::Decimal(Decimal::from_bytes(bytes, *scale)?),
            Primitive::Date => ValueRef::Date(int(bytes)?),
            Primitive::Time => ValueRef::Time(long(bytes)?),
            Primitive::Timestamp => {
                ValueRef::Timestamp(long(bytes).or_else(|| from_date(bytes, DAY_NANOS / 1000))?)
            }
            Primitive::Timestamptz => ValueRef::Timestamptz(long(bytes)?),
            Primitive::TimestampNs => {
                ValueRef::TimestampNs(long(bytes).or_else(|| from_date(bytes, DAY_NANOS))?)
            }
            Primitive::TimestamptzNs => ValueRef::TimestamptzNs(long(bytes)?),
            Primitive::String => ValueRef::String(bytes),
            Primitive::Uuid => ValueRef::Uuid(Uuid::from_slice(bytes).ok()?),
            // A bound may be shorter than the values, because some writers truncate it as they do with
            // strings.
            Primitive::Fixed(_) => ValueRef::Fixed(bytes),
            Primitive::Binary => ValueRef::Binary(bytes),
            Primitive::Variant
            | Primitive::Unknown
            | Primitive::Geometry(_)
            | Primitive::Geography(_)
            | Primitive::Other(_) => return None,
        })
    }

    /// Returns the binary form.
    pub fn encode(self) -> Vec<u8> {
        match self {
            ValueRef::Boolean(value) => vec![u8::from(value)],
            ValueRef::Int(value) | ValueRef::Date(value) => value.to_le_bytes().to_vec(),
            ValueRef::Long(value)
            | ValueRef::Time(value)
            | ValueRef::Timestamp(value)
            | ValueRef::Timestamptz(value)
            | ValueRef::TimestampNs(value)
            | ValueRef::TimestamptzNs(value) => value.to_le_bytes().to_vec(),
            ValueRef::Float(value) => value.to_le_bytes().to_vec(),
            ValueRef::Double(value) => value.to_le_bytes().to_vec(),
            ValueRef::Decimal(value) => value.to_bytes(),
            ValueRef::Uuid(value) => value.as_bytes().to_vec(),
            ValueRef::String(bytes) | ValueRef::Fixed(bytes) | ValueRef::Binary(bytes) => bytes.to_vec(),
            ValueRef::Number(text) => text.as_bytes().to_vec(),
        }
    }
}

impl Value {
    /// Decodes a value as [`ValueRef::decode`] does, and copies it; a string has to be UTF-8, and a `fixed`
    /// of its length.
    pub fn decode(bytes: &[u8], value_type: &Primitive) -> Option<Value> {
        ValueRef::decode(bytes, value_type)?.to_value().filter(|value| value.is_of(value_type))
    }

    /// Returns the binary form.
    pub fn encode(&self) -> Vec<u8> {
        self.as_ref().encode()
    }
}

fn int(bytes: &[u8]) -> Option<i32> {
    bytes.try_into().ok().map(i32::from_le_bytes)
}

fn long(bytes: &[u8]) -> Option<i64> {
    bytes.try_into().ok().map(i64::from_le_bytes)
}

fn float(bytes: &[u8]) -> Option<f32> {
    bytes.try_into().ok().map(f32::from_le_bytes)
}

fn double(bits: i64) -> f64 {
    f64::from_bits(bits.cast_unsigned())
}

fn from_date(bytes: &[u8], units_per_day: i64) -> Option<i64> {
    int(bytes).and_then(|days| i64::from(days).checked_mul(units_per_day))
}
