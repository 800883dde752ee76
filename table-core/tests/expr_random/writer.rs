//! Truthful metrics, summaries and partitions of rows, as different writers make them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Json, json};
use table_core::expr::metrics::FileMetrics;
use table_core::expr::value::Value;
use table_core::metadata::json::Raw;
use table_core::metadata::partition::PartitionSpec;
use table_core::metadata::transform::Transform;

use crate::rows::{NESTED, Row, Zeros, any_position, columns, compare, transforms};

/// How a writer makes metrics; all of it occurs.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four independent habits")]
pub(crate) struct Writer {
    pub(crate) signed_uuids: bool,
    pub(crate) nan_bounds: bool,
    pub(crate) counts_parents: bool,
    pub(crate) old_types: bool,
    pub(crate) cut: usize,
    pub(crate) dropped: Vec<bool>,
}

pub(crate) fn any_writer() -> impl Strategy<Value = Writer> {
    let dropped = vec(prop::bool::weighted(0.1), 13 * 5);
    (any::<[bool; 4]>(), select(vec![1_usize, 2, 99]), dropped).prop_map(|(flags, cut, dropped)| {
        let [signed_uuids, nan_bounds, counts_parents, old_types] = flags;
        Writer { signed_uuids, nan_bounds, counts_parents, old_types, cut, dropped }
    })
}

#[derive(Default, Debug)]
pub(crate) struct Metrics {
    record_count: i64,
    counts: BTreeMap<(u8, i32), i64>,
    bounds: BTreeMap<(u8, i32), Vec<u8>>,
}

impl FileMetrics for Metrics {
    fn record_count(&self) -> i64 {
        self.record_count
    }
    fn value_count(&self, field_id: i32) -> Option<i64> {
        self.counts.get(&(0, field_id)).copied()
    }
    fn null_count(&self, field_id: i32) -> Option<i64> {
        self.counts.get(&(1, field_id)).copied()
    }
    fn nan_count(&self, field_id: i32) -> Option<i64> {
        self.counts.get(&(2, field_id)).copied()
    }
    fn lower(&self, field_id: i32) -> Option<&[u8]> {
        self.bounds.get(&(3, field_id)).map(Vec::as_slice)
    }
    fn upper(&self, field_id: i32) -> Option<&[u8]> {
        self.bounds.get(&(4, field_id)).map(Vec::as_slice)
    }
}

pub(crate) fn writer_order(left: &Value, right: &Value, signed_uuids: bool) -> Ordering {
    match (left, right) {
        (Value::Uuid(left), Value::Uuid(right)) if signed_uuids => {
            let halves = |uuid: &uuid::Uuid| {
                let (high, low) = uuid.as_u64_pair();
                (high.cast_signed(), low.cast_signed())
            };
            halves(left).cmp(&halves(right))
        }
        // Of two zeros the first that comes.
        _ => compare(left, right, Zeros::One).unwrap(),
    }
}

/// The least and the greatest value that are not NaN.
pub(crate) fn ends(values: &[&Value], signed_uuids: bool) -> Option<(Value, Value)> {
    let numbers = || values.iter().filter(|value| !value.is_nan());
    let order = |left: &&&Value, right: &&&Value| writer_order(left, right, signed_uuids);
    Some(((**numbers().min_by(order)?).clone(), (**numbers().max_by(order)?).clone()))
}

pub(crate) fn measure(rows: &[Row], writer: &Writer) -> Metrics {
    let mut metrics = Metrics { record_count: i64::try_from(rows.len()).unwrap(), ..Metrics::default() };
    for (position, id) in (0..columns().len()).zip(1..) {
        let values: Vec<&Value> = rows.iter().filter_map(|row| row[position].as_ref()).collect();
        let nulls = rows.len() - values.len();
        let hides_nulls = position == NESTED && !writer.counts_parents;
        let is_kept = |part: u8| !writer.dropped[position * 5 + usize::from(part)];
        let mut count = |part: u8, count: usize| {
            if is_kept(part) {
                metrics.counts.insert((part, id), i64::try_from(count).unwrap());
            }
        };
        count(0, if hides_nulls { values.len() } else { rows.len() });
        count(1, if hides_nulls { 0 } else { nulls });
        if matches!(columns()[position].1, "float" | "double") {
            count(2, values.iter().filter(|value| value.is_nan()).count());
        }
        let (mut lower, mut upper) = match ends(&values, writer.signed_uuids) {
            Some((lower, upper)) => (lower.encode(), upper.encode()),
            None => continue,
        };
        if let (Some(Value::Double(first)), true) = (values.first(), writer.nan_bounds)
            && first.is_nan()
        {
            (lower, upper) = (f64::NAN.to_le_bytes().to_vec(), f64::NAN.to_le_bytes().to_vec());
        }
        match columns()[position].1 {
            "string" | "binary" => {
                lower.truncate(writer.cut);
                if upper.len() > writer.cut {
                    upper.truncate(writer.cut);
                    // The next greater bytes, whether they are text or not.
                    while upper.last() == Some(&255) {
                        upper.pop();
                    }
                    match upper.last_mut() {
                        Some(last) => *last += 1,
                        None => continue,
                    }
                }
            }
            "long" if writer.old_types => {
                for bound in [&mut lower, &mut upper] {
                    let value = i64::from_le_bytes(bound.as_slice().try_into().unwrap());
                    if let Ok(value) = i32::try_from(value) {
                        *bound = value.to_le_bytes().to_vec();
                    }
                }
            }
            _ => {}
        }
        for (part, bound) in [(3, lower), (4, upper)] {
            if is_kept(part) {
                metrics.bounds.insert((part, id), bound);
            }
        }
    }
    metrics
}

/// How a writer rounds times before 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rounding {
    Down,
    /// Iceberg until 0.10: towards 1970.
    TowardsZero,
    /// `DateTimeUtil` in Java: from a sum of which the carry is lost.
    LostCarry,
}

pub(crate) fn partition_value(transform: &Transform, value: &Value, rounding: Rounding) -> Option<Value> {
    let result = transform.apply(value);
    let is_time = matches!(transform, Transform::Year | Transform::Month | Transform::Day | Transform::Hour);
    if !is_time || (matches!(value, Value::Date(_)) && *transform == Transform::Day) {
        return result;
    }
    let shift = |result: Value, by: i32| match result {
        Value::Int(value) => Value::Int(value + by),
        Value::Date(value) => Value::Date(value + by),
        other => other,
    };
    let before = |value: &Value| match value {
        Value::Date(days) => Value::Date(days - 1),
        Value::Timestamp(micros) => Value::Timestamp(micros - 1),
        Value::TimestamptzNs(nanos) => Value::TimestamptzNs(nanos - 1),
        other => other.clone(),
    };
    // Rounded towards zero: a time is on a boundary if the one before it is in another unit.
    let towards_zero = |value: &Value| {
        let down = transform.apply(value).unwrap();
        let is_negative = down < transform.apply(&Value::Timestamp(0)).unwrap();
        let is_boundary = transform.apply(&before(value)).unwrap() != down;
        if is_negative && !is_boundary { shift(down, 1) } else { down }
    };
    let lost = |value: i64, second: i64| value.div_euclid(second) * second + (value + 1).rem_euclid(second);
    match (rounding, value) {
        (Rounding::TowardsZero, _) => Some(towards_zero(value)),
        (Rounding::LostCarry, Value::Timestamp(micros @ ..0)) => {
            Some(shift(towards_zero(&Value::Timestamp(lost(*micros, 1_000_000))), -1))
        }
        (Rounding::LostCarry, Value::TimestamptzNs(nanos @ ..0)) => {
            Some(shift(towards_zero(&Value::TimestamptzNs(lost(*nanos, 1_000_000_000))), -1))
        }
        (Rounding::Down | Rounding::LostCarry, _) => result,
    }
}

/// A partition field: its source and transform.
pub(crate) fn field_on(position: usize) -> impl Strategy<Value = (usize, Transform)> {
    let mut all = transforms(columns()[position].1);
    all.push(Transform::Void);
    (Just(position), select(all))
}

pub(crate) fn any_field() -> impl Strategy<Value = (usize, Transform)> {
    any_position().prop_flat_map(field_on)
}

pub(crate) fn spec(fields: &[(usize, Transform)]) -> PartitionSpec {
    let fields: Vec<Json> = fields
        .iter()
        .enumerate()
        .map(|(place, (position, transform))| {
            json!({"source-id": position + 1, "field-id": 1000 + place, "name": format!("p{place}"),
                "transform": transform.to_string()})
        })
        .collect();
    PartitionSpec::parse(Raw::parse(&json!({"spec-id": 0, "fields": fields}).to_string()).unwrap()).unwrap()
}

pub(crate) fn tuple(fields: &[(usize, Transform)], row: &Row, rounding: Rounding) -> Vec<Option<Value>> {
    let value = |position: usize, transform: &Transform| {
        partition_value(transform, row[position].as_ref()?, rounding)
    };
    fields.iter().map(|(position, transform)| value(*position, transform)).collect()
}

pub(crate) fn any_rounding() -> impl Strategy<Value = Rounding> {
    select(vec![Rounding::Down, Rounding::TowardsZero, Rounding::LostCarry])
}
