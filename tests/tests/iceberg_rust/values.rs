//! Types and values on which `table-core` and the crate `iceberg` are compared, and the list of what they
//! disagree about.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use iceberg::spec::{Datum, PrimitiveType};
use rand::RngExt as _;
use rand::rngs::StdRng;
use table_core::expr::decimal::Decimal;
use table_core::expr::value::Value;
use table_core::metadata::types::Primitive;
use uuid::Uuid;

/// Types of which both sides have values.
pub const TYPES: [&str; 18] = [
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "decimal(9, 2)",
    "decimal(18, 0)",
    "decimal(38, 10)",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "timestamp_ns",
    "timestamptz_ns",
    "string",
    "uuid",
    "fixed[5]",
    "binary",
];

/// Number of random values of each type, in addition to the extreme ones.
const RANDOM: usize = 200;

/// Type of both sides.
pub struct BothTypes {
    /// Type of `table-core`.
    pub ours: Primitive,
    /// Type of the crate.
    pub theirs: PrimitiveType,
}

/// Disagreements by their description, each with an example.
#[derive(Default)]
pub struct Disagreements(BTreeMap<String, String>);

/// What a side makes of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Value in its binary form.
    Value(Vec<u8>),
    /// Null.
    Null,
    /// Error.
    Refused,
    /// Panic.
    Panic,
}

/// Returns the types.
pub fn types() -> impl Iterator<Item = BothTypes> {
    TYPES.into_iter().map(|name| {
        let theirs = serde_json::from_value(name.into()).unwrap();
        BothTypes { ours: Primitive::parse(name), theirs }
    })
}

/// Returns extreme and random values of a type.
pub fn values(value_type: &Primitive, random: &mut StdRng) -> Vec<Value> {
    let extremes = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX].into_iter().chain(instants());
    let mut numbers: Vec<i128> = extremes.map(i128::from).collect();
    numbers.extend([i128::from(i32::MIN), i128::from(i32::MAX), 10_i128.pow(38) - 1, 1 - 10_i128.pow(38)]);
    for _ in 0..RANDOM {
        // Numbers of all magnitudes.
        numbers.push(random.random::<i128>() >> random.random_range(0..127));
    }
    numbers.into_iter().filter_map(|number| value_of_number(value_type, number, random)).collect()
}

/// Instants in microseconds or nanoseconds around which divisions go wrong: before 1970, within a second.
fn instants() -> impl Iterator<Item = i64> {
    let day = 86_400_000_000;
    let around = [-2 * day, -day, 0, day, 951_782_400_000_000, -62_135_596_800_000_000];
    let near = |at: i64| [at - 500_000, at - 1, at, at + 1, at + 500_000];
    let micros = around.into_iter().flat_map(near);
    micros.flat_map(|micros| [Some(micros), micros.checked_mul(1000)]).flatten()
}

fn value_of_number(value_type: &Primitive, number: i128, random: &mut StdRng) -> Option<Value> {
    let bytes = number.to_be_bytes();
    let int = || i32::try_from(number).ok();
    let long = || i64::try_from(number).ok();
    Some(match value_type {
        Primitive::Boolean => Value::Boolean(number % 2 != 0),
        Primitive::Int => Value::Int(int()?),
        Primitive::Long => Value::Long(long()?),
        Primitive::Float => Value::Float(f32::from_be_bytes(*bytes.last_chunk()?)),
        Primitive::Double => Value::Double(f64::from_be_bytes(*bytes.last_chunk()?)),
        Primitive::Decimal { precision, scale } => {
            let fits = number.unsigned_abs() < 10_u128.pow(*precision);
            Value::Decimal(fits.then_some(Decimal { unscaled: number, scale: *scale })?)
        }
        Primitive::Date => Value::Date(int()?),
        Primitive::Time => Value::Time(long().filter(|time| (0..86_400_000_000).contains(time))?),
        Primitive::Timestamp => Value::Timestamp(long()?),
        Primitive::Timestamptz => Value::Timestamptz(long()?),
        Primitive::TimestampNs => Value::TimestampNs(long()?),
        Primitive::TimestamptzNs => Value::TimestamptzNs(long()?),
        Primitive::String => {
            let alphabet: Vec<char> = "aZ0 é한😀e\u{301}\u{10ffff}\0".chars().collect();
            let letters = (0..random.random_range(0..12)).map(|_| random.random_range(0..alphabet.len()));
            Value::String(letters.map(|letter| alphabet[letter]).collect())
        }
        Primitive::Uuid => Value::Uuid(Uuid::from_bytes(bytes)),
        Primitive::Fixed(length) => Value::Fixed(bytes[..usize::try_from(*length).ok()?].to_vec()),
        Primitive::Binary => Value::Binary(bytes[..random.random_range(0..16)].to_vec()),
        _ => return None,
    })
}

/// Converts a value for the crate.
pub fn datum(value: &Value, value_type: &BothTypes) -> Datum {
    Datum::try_from_bytes(&value.encode(), value_type.theirs.clone()).unwrap()
}

/// Returns the type's name without its parameters, for descriptions.
pub fn kind(value_type: &Primitive) -> String {
    value_type.to_string().chars().take_while(|letter| !matches!(letter, '(' | '[')).collect()
}

/// Runs code of the crate, which may panic.
pub fn catch_panic(theirs: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(theirs)).unwrap_or(Outcome::Panic)
}

impl Outcome {
    fn description(&self) -> &'static str {
        match self {
            Outcome::Value(_) => "a value",
            Outcome::Null => "null",
            Outcome::Refused => "an error",
            Outcome::Panic => "a panic",
        }
    }
}

impl Disagreements {
    /// Compares the outcomes of both sides for an input.
    pub fn compare(&mut self, what: &str, input: &dyn std::fmt::Debug, ours: &Outcome, theirs: &Outcome) {
        if ours == theirs {
            return;
        }
        let (our, their) = (ours.description(), theirs.description());
        let kinds =
            if our == their { "other values".to_owned() } else { format!("ours {our}, theirs {their}") };
        let example = || format!("{input:?}: ours {ours:?}, theirs {theirs:?}");
        self.0.entry(format!("{what}: {kinds}")).or_insert_with(example);
    }

    /// Fails unless the disagreements are exactly those that are known. A known one that is gone has to be
    /// removed from its list and from `docs/compatibility.md`.
    pub fn check(&self, known: &[&str]) {
        let unknown = self.0.iter().filter(|(what, _)| !known.contains(&what.as_str()));
        let unknown: Vec<_> = unknown.map(|(what, example)| format!("{what}: {example}")).collect();
        let resolved: Vec<_> = known.iter().filter(|what| !self.0.contains_key(**what)).collect();
        assert!(
            unknown.is_empty() && resolved.is_empty(),
            "new disagreements:\n{}\n\ngone: {resolved:#?}",
            unknown.join("\n")
        );
    }
}
