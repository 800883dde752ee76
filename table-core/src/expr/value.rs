//! Typed single values, owned and borrowed, and their order. Their binary form is in [`super::binary`], their
//! JSON form in [`super::single_value`].

use std::cmp::Ordering;

use uuid::Uuid;

use super::decimal::Decimal;
use crate::metadata::types::Primitive;

/// Value of a primitive type.
///
/// Values of one type are ordered as in the specification and in Java; see [`ValueRef`]. Values of different
/// types are ordered by type, which has no meaning but makes the order total.
#[derive(Debug, Clone)]
pub enum Value {
    /// `boolean`; `false` is less than `true`.
    Boolean(bool),
    /// `int`.
    Int(i32),
    /// `long`.
    Long(i64),
    /// `float`.
    Float(f32),
    /// `double`.
    Double(f64),
    /// `decimal(P, S)`.
    Decimal(Decimal),
    /// `date`: days since 1970-01-01.
    Date(i32),
    /// `time`: microseconds since midnight.
    Time(i64),
    /// `timestamp`: microseconds since 1970-01-01 00:00, without a time zone.
    Timestamp(i64),
    /// `timestamptz`: microseconds since 1970-01-01 00:00 UTC.
    Timestamptz(i64),
    /// `timestamp_ns`: nanoseconds since 1970-01-01 00:00, without a time zone.
    TimestampNs(i64),
    /// `timestamptz_ns`: nanoseconds since 1970-01-01 00:00 UTC.
    TimestamptzNs(i64),
    /// `string`.
    String(String),
    /// `uuid`.
    Uuid(Uuid),
    /// `fixed[L]`.
    Fixed(Vec<u8>),
    /// `binary`.
    Binary(Vec<u8>),
    /// Number with more digits than a value of any type has, as JSON text. It occurs only as a literal that
    /// is not yet bound to a column.
    Number(String),
}

/// [`Value`] that borrows its bytes.
///
/// The order within a type is that of Java: floats as in `Double.compare` (`-0.0` before `0.0`, NaN last and
/// equal to itself), decimals as numbers of any scale, UUIDs and bytes as unsigned, and strings by their
/// UTF-8 bytes. The last is the order of code points, which Java's `Comparators.charSequences` implements
/// with its rule for surrogates and which Parquet's statistics use; so one order serves every writer.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "as in `Value`")]
pub enum ValueRef<'a> {
    Boolean(bool),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    Decimal(Decimal),
    Date(i32),
    Time(i64),
    Timestamp(i64),
    Timestamptz(i64),
    TimestampNs(i64),
    TimestamptzNs(i64),
    /// `string`, not necessarily valid UTF-8: some writers truncate bounds in the middle of a character.
    String(&'a [u8]),
    Uuid(Uuid),
    Fixed(&'a [u8]),
    Binary(&'a [u8]),
    Number(&'a str),
}

impl Value {
    /// Borrows the value.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::Boolean(value) => ValueRef::Boolean(*value),
            Value::Int(value) => ValueRef::Int(*value),
            Value::Long(value) => ValueRef::Long(*value),
            Value::Float(value) => ValueRef::Float(*value),
            Value::Double(value) => ValueRef::Double(*value),
            Value::Decimal(value) => ValueRef::Decimal(*value),
            Value::Date(value) => ValueRef::Date(*value),
            Value::Time(value) => ValueRef::Time(*value),
            Value::Timestamp(value) => ValueRef::Timestamp(*value),
            Value::Timestamptz(value) => ValueRef::Timestamptz(*value),
            Value::TimestampNs(value) => ValueRef::TimestampNs(*value),
            Value::TimestamptzNs(value) => ValueRef::TimestamptzNs(*value),
            Value::String(value) => ValueRef::String(value.as_bytes()),
            Value::Uuid(value) => ValueRef::Uuid(*value),
            Value::Fixed(value) => ValueRef::Fixed(value),
            Value::Binary(value) => ValueRef::Binary(value),
            Value::Number(text) => ValueRef::Number(text),
        }
    }

    /// Returns `true` if the value is NaN.
    pub fn is_nan(&self) -> bool {
        self.as_ref().is_nan()
    }

    /// Returns `true` if a column of this type can contain the value. The precision of a decimal is not
    /// checked.
    pub fn is_of(&self, value_type: &Primitive) -> bool {
        match (self, value_type) {
            (Value::Boolean(_), Primitive::Boolean)
            | (Value::Int(_), Primitive::Int)
            | (Value::Long(_), Primitive::Long)
            | (Value::Float(_), Primitive::Float)
            | (Value::Double(_), Primitive::Double)
            | (Value::Date(_), Primitive::Date)
            | (Value::Time(_), Primitive::Time)
            | (Value::Timestamp(_), Primitive::Timestamp)
            | (Value::Timestamptz(_), Primitive::Timestamptz)
            | (Value::TimestampNs(_), Primitive::TimestampNs)
            | (Value::TimestamptzNs(_), Primitive::TimestamptzNs)
            | (Value::String(_), Primitive::String)
            | (Value::Uuid(_), Primitive::Uuid)
            | (Value::Binary(_), Primitive::Binary) => true,
            (Value::Decimal(value), Primitive::Decimal { scale, .. }) => value.scale == *scale,
            (Value::Fixed(value), Primitive::Fixed(length)) => u64::try_from(value.len()) == Ok(*length),
            _ => false,
        }
    }
}

impl ValueRef<'_> {
    /// Copies the value; `None` if it is a string that is not UTF-8.
    pub fn to_value(self) -> Option<Value> {
        Some(match self {
            ValueRef::Boolean(value) => Value::Boolean(value),
            ValueRef::Int(value) => Value::Int(value),
            ValueRef::Long(value) => Value::Long(value),
            ValueRef::Float(value) => Value::Float(value),
            ValueRef::Double(value) => Value::Double(value),
            ValueRef::Decimal(value) => Value::Decimal(value),
            ValueRef::Date(value) => Value::Date(value),
            ValueRef::Time(value) => Value::Time(value),
            ValueRef::Timestamp(value) => Value::Timestamp(value),
            ValueRef::Timestamptz(value) => Value::Timestamptz(value),
            ValueRef::TimestampNs(value) => Value::TimestampNs(value),
            ValueRef::TimestamptzNs(value) => Value::TimestamptzNs(value),
            ValueRef::String(bytes) => Value::String(str::from_utf8(bytes).ok()?.to_owned()),
            ValueRef::Uuid(value) => Value::Uuid(value),
            ValueRef::Fixed(bytes) => Value::Fixed(bytes.to_vec()),
            ValueRef::Binary(bytes) => Value::Binary(bytes.to_vec()),
            ValueRef::Number(text) => Value::Number(text.to_owned()),
        })
    }

    /// Returns `true` if the value is NaN.
    pub fn is_nan(self) -> bool {
        match self {
            ValueRef::Float(value) => value.is_nan(),
            ValueRef::Double(value) => value.is_nan(),
            _ => false,
        }
    }

    /// Returns `-0.0` if the value is one of the two zeros, so that a lower bound includes both; else the
    /// value itself.
    pub(crate) fn with_lesser_zero(self) -> Self {
        match self {
            ValueRef::Float(0.0) => ValueRef::Float(-0.0),
            ValueRef::Double(0.0) => ValueRef::Double(-0.0),
            other => other,
        }
    }

    /// Returns `0.0` if the value is one of the two zeros, so that an upper bound includes both; else the
    /// value itself.
    pub(crate) fn with_greater_zero(self) -> Self {
        match self {
            ValueRef::Float(0.0) => ValueRef::Float(0.0),
            ValueRef::Double(0.0) => ValueRef::Double(0.0),
            other => other,
        }
    }

    /// Returns `true` if both values are of one type, so that their order is meaningful.
    pub fn is_comparable(self, other: ValueRef<'_>) -> bool {
        self.rank() == other.rank()
    }

    fn rank(self) -> u8 {
        match self {
            ValueRef::Boolean(_) => 0,
            ValueRef::Int(_) => 1,
            ValueRef::Long(_) => 2,
            ValueRef::Float(_) => 3,
            ValueRef::Double(_) => 4,
            ValueRef::Decimal(_) => 5,
            ValueRef::Date(_) => 6,
            ValueRef::Time(_) => 7,
            ValueRef::Timestamp(_) => 8,
            ValueRef::Timestamptz(_) => 9,
            ValueRef::TimestampNs(_) => 10,
            ValueRef::TimestamptzNs(_) => 11,
            ValueRef::String(_) => 12,
            ValueRef::Uuid(_) => 13,
            ValueRef::Fixed(_) => 14,
            ValueRef::Binary(_) => 15,
            ValueRef::Number(_) => 16,
        }
    }
}

impl Ord for ValueRef<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (ValueRef::Boolean(left), ValueRef::Boolean(right)) => left.cmp(right),
            (ValueRef::Int(left), ValueRef::Int(right)) | (ValueRef::Date(left), ValueRef::Date(right)) => {
                left.cmp(right)
            }
            (ValueRef::Long(left), ValueRef::Long(right))
            | (ValueRef::Time(left), ValueRef::Time(right))
            | (ValueRef::Timestamp(left), ValueRef::Timestamp(right))
            | (ValueRef::Timestamptz(left), ValueRef::Timestamptz(right))
            | (ValueRef::TimestampNs(left), ValueRef::TimestampNs(right))
            | (ValueRef::TimestamptzNs(left), ValueRef::TimestamptzNs(right)) => left.cmp(right),
            (ValueRef::Float(left), ValueRef::Float(right)) => {
                compare_floats(f64::from(*left), f64::from(*right))
            }
            (ValueRef::Double(left), ValueRef::Double(right)) => compare_floats(*left, *right),
            (ValueRef::Decimal(left), ValueRef::Decimal(right)) => left.cmp(right),
            (ValueRef::String(left), ValueRef::String(right))
            | (ValueRef::Fixed(left), ValueRef::Fixed(right))
            | (ValueRef::Binary(left), ValueRef::Binary(right)) => left.cmp(right),
            (ValueRef::Uuid(left), ValueRef::Uuid(right)) => left.cmp(right),
            (ValueRef::Number(left), ValueRef::Number(right)) => left.cmp(right),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// Compares floats. NaN has many representations, some of which `total_cmp` orders first.
fn compare_floats(left: f64, right: f64) -> Ordering {
    match (left.is_nan(), right.is_nan()) {
        (false, false) => left.total_cmp(&right),
        (left, right) => left.cmp(&right),
    }
}

impl PartialOrd for ValueRef<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ValueRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ValueRef<'_> {}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_ref().cmp(&other.as_ref())
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}
