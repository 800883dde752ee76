//! Whatever the rows, metrics, partitions and filters: nothing that matches is dropped, and nothing is promised that does
//! not hold. The rows are judged here by a few lines of their own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cmp::Ordering;
use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use serde_json::{Value as Json, json};
use table_core::expr::bind::{NameMatching, bind};
use table_core::expr::bound::{BoundPredicate, Column, RowFilter};
use table_core::expr::decimal::Decimal;
use table_core::expr::expression::{Expression, Predicate, Reference, Term, Test};
use table_core::expr::manifest_evaluator::{self, FieldSummary};
use table_core::expr::metrics::FileMetrics;
use table_core::expr::project::{inclusive, strict};
use table_core::expr::residual::Residuals;
use table_core::expr::value::Value;
use table_core::expr::{inclusive_metrics, partition, strict_metrics};
use table_core::metadata::json::Raw;
use table_core::metadata::partition::PartitionSpec;
use table_core::metadata::schema::Schema;
use table_core::metadata::transform::Transform;
use table_core::metadata::types::Primitive;

/// Name, type, and a few values of which files and literals are made.
fn columns() -> Vec<(&'static str, &'static str, Vec<Value>)> {
    let micros = [
        0,
        1,
        -1,
        999_999,
        -3_600_000_000,
        -3_600_000_001,
        -3_599_000_001,
        -86_399_000_001,
        -86_400_000_000,
        86_400_000_000,
        -31_535_999_000_001,
        -31_536_000_000_000,
        1_510_871_468_123_456,
    ];
    let texts = ["", "a", "ab", "abc", "abd", "b", "é", "éa", "\u{ffff}", "\u{10000}", "\u{10000}a"];
    let uuids = [0, 1, 1 << 63, 1 << 64, (1 << 127) - 1, 1 << 127, (1 << 127) + (1 << 63), u128::MAX];
    let doubles = [0.0, -0.0, 1.0, -1.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::NAN];
    let text = |text: &&str| Value::String((*text).to_owned());
    vec![
        ("a", "int", [0, 1, -1, 9, 10, 11, i32::MIN, i32::MIN + 3, i32::MAX].map(Value::Int).to_vec()),
        ("d", "double", doubles.map(Value::Double).to_vec()),
        ("f", "float", [0.0, -0.0, 0.1, -1.5, f32::NAN, f32::MAX].map(Value::Float).to_vec()),
        ("s", "string", texts.iter().map(text).collect()),
        ("t", "timestamp", micros.map(Value::Timestamp).to_vec()),
        ("tn", "timestamptz_ns", micros.map(|micros| Value::TimestamptzNs(micros * 1000 + 999)).to_vec()),
        ("l", "long", [0, 5, -5, 15, i64::MIN, i64::MIN + 1, i64::MAX].map(Value::Long).to_vec()),
        (
            "n",
            "decimal(9, 2)",
            [0, 1, -1, 99, 100, -100, 12_345]
                .map(|unscaled| Value::Decimal(Decimal { unscaled, scale: 2 }))
                .to_vec(),
        ),
        ("y", "date", [0, -1, 1, -365, -366, 17_000, -31].map(Value::Date).to_vec()),
        ("u", "uuid", uuids.map(|bits| Value::Uuid(uuid::Uuid::from_u128(bits))).to_vec()),
        (
            "b",
            "binary",
            [vec![], vec![0], vec![1, 2, 3], vec![0x80], vec![255, 255]].map(Value::Binary).to_vec(),
        ),
        ("q", "int", [7, 8, 9].map(Value::Int).to_vec()),
        ("o.r", "int", [1, 2, 3].map(Value::Int).to_vec()),
    ]
}

/// Never null, unlike the others.
const REQUIRED: usize = 11;
/// Required in an optional struct, so null where the struct is.
const NESTED: usize = 12;

/// The columns of the table; ids are the places in [`columns`] plus one.
fn schema() -> Schema {
    let mut fields: Vec<Json> = Vec::new();
    for (position, (name, type_name, _)) in columns().iter().enumerate() {
        fields.push(match position {
            NESTED => json!({"id": 50, "name": "o", "required": false, "type": {"type": "struct", "fields": [
                {"id": position + 1, "name": "r", "required": true, "type": type_name}]}}),
            _ => {
                json!({"id": position + 1, "name": name, "required": position == REQUIRED, "type": type_name})
            }
        });
    }
    Schema::parse(Raw::parse(&json!({"type": "struct", "fields": fields}).to_string()).unwrap()).unwrap()
}

type Row = Vec<Option<Value>>;

fn any_row() -> impl Strategy<Value = Row> {
    let row: Vec<BoxedStrategy<Option<Value>>> = columns()
        .into_iter()
        .enumerate()
        .map(|(position, (_, _, pool))| match position {
            REQUIRED => select(pool).prop_map(Some).boxed(),
            _ => prop::option::weighted(0.8, select(pool)).boxed(),
        })
        .collect();
    row
}

/// Rows that have a little in common, as in files.
fn any_rows() -> impl Strategy<Value = Vec<Row>> {
    (vec(any_row(), 1..4), vec((any::<prop::sample::Index>(), vec(any::<bool>(), 13)), 0..3)).prop_map(
        |(mut rows, copies)| {
            for (from, mask) in copies {
                let (first, other) = (rows[0].clone(), rows[from.index(rows.len())].clone());
                let mixed = first.into_iter().zip(other).zip(mask);
                rows.push(mixed.map(|((first, other), take)| if take { first } else { other }).collect());
            }
            rows
        },
    )
}

fn transforms(type_name: &str) -> Vec<Transform> {
    let all =
        ["identity", "identity", "bucket[3]", "truncate[10]", "truncate[1]", "year", "month", "day", "hour"];
    let source = Primitive::parse(type_name);
    all.map(Transform::parse).into_iter().filter(|each| each.accepts(&source) == Some(true)).collect()
}

fn any_predicate() -> impl Strategy<Value = Expression> {
    (0..columns().len()).prop_flat_map(|position| {
        let (name, type_name, pool) = columns().swap_remove(position);
        (select(transforms(type_name)), vec(select(pool), 1..5), 0..15_u8).prop_map(
            move |(transform, values, kind)| {
                let values: Vec<Value> = values
                    .iter()
                    .filter(|value| !value.is_nan())
                    .filter_map(|value| transform.apply(value))
                    .collect();
                let term = Term { reference: Reference::Name(name.to_owned()), transform };
                Expression::Predicate(Predicate { term, test: make_test(kind, values) })
            },
        )
    })
}

fn make_test(kind: u8, values: Vec<Value>) -> Test {
    let Some(value) = values.first().cloned() else { return Test::NotNull };
    let is_text = matches!(value, Value::String(_));
    let is_float = matches!(value, Value::Double(_) | Value::Float(_));
    match kind {
        0 => Test::IsNull,
        1 => Test::NotNull,
        2 if is_float => Test::IsNan,
        3 if is_float => Test::NotNan,
        2 | 4 if is_text => Test::StartsWith(value),
        3 | 5 if is_text => Test::NotStartsWith(value),
        4 | 6 => Test::Lt(value),
        5 | 7 => Test::LtEq(value),
        2 | 8 => Test::Gt(value),
        3 | 9 => Test::GtEq(value),
        10 => Test::Eq(value),
        11 => Test::NotEq(value),
        12 | 13 => Test::In(values),
        _ => Test::NotIn(values),
    }
}

fn any_filter() -> impl Strategy<Value = RowFilter> {
    let expression = any_predicate().prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(Expression::And),
            vec(inner.clone(), 2..4).prop_map(Expression::Or),
            inner.prop_map(|child| Expression::Not(Box::new(child))),
        ]
    });
    expression.prop_map(|expression| {
        bind(&expression, &schema().columns().unwrap().root, NameMatching::CaseSensitive).unwrap()
    })
}

/// What engines disagree on.
#[derive(Clone, Copy, Debug)]
enum Zeros {
    One,
    Two,
}

/// Whether a row matches, judged without the code under test.
fn matches(filter: &RowFilter, row: &Row, zeros: Zeros) -> bool {
    filter.evaluate(&mut |predicate| row_passes(predicate, row, zeros))
}

fn row_passes(predicate: &BoundPredicate<Column>, row: &Row, zeros: Zeros) -> bool {
    let position = usize::try_from(predicate.term.id - 1).unwrap();
    let value = row[position].as_ref().map(|value| predicate.term.transform.apply(value).unwrap());
    let order = |literal: &Value| value.as_ref().and_then(|value| compare(value, literal, zeros));
    let begins = |prefix: &Value| match (&value, prefix) {
        (Some(Value::String(value)), Value::String(prefix)) => value.starts_with(prefix.as_str()),
        _ => false,
    };
    match &predicate.test {
        Test::IsNull => value.is_none(),
        Test::NotNull => value.is_some(),
        Test::IsNan => value.is_some_and(|value| value.is_nan()),
        Test::NotNan => !value.is_some_and(|value| value.is_nan()),
        Test::Lt(literal) => order(literal) == Some(Ordering::Less),
        Test::LtEq(literal) => matches!(order(literal), Some(Ordering::Less | Ordering::Equal)),
        Test::Gt(literal) => order(literal) == Some(Ordering::Greater),
        Test::GtEq(literal) => matches!(order(literal), Some(Ordering::Greater | Ordering::Equal)),
        Test::Eq(literal) => order(literal) == Some(Ordering::Equal),
        Test::NotEq(literal) => order(literal) != Some(Ordering::Equal),
        Test::In(literals) => literals.iter().any(|literal| order(literal) == Some(Ordering::Equal)),
        Test::NotIn(literals) => literals.iter().all(|literal| order(literal) != Some(Ordering::Equal)),
        Test::StartsWith(prefix) => begins(prefix),
        Test::NotStartsWith(prefix) => !begins(prefix),
    }
}

/// The order of values that are not NaN.
fn compare(left: &Value, right: &Value, zeros: Zeros) -> Option<Ordering> {
    let floats = |left: f64, right: f64| match zeros {
        Zeros::One => left.partial_cmp(&right),
        Zeros::Two => left.partial_cmp(&right).map(|_| left.total_cmp(&right)),
    };
    match (left, right) {
        (Value::Double(left), Value::Double(right)) => floats(*left, *right),
        (Value::Float(left), Value::Float(right)) => floats(f64::from(*left), f64::from(*right)),
        (Value::String(left), Value::String(right)) => Some(left.chars().cmp(right.chars())),
        _ => Some(left.cmp(right)),
    }
}

/// How a writer makes metrics; all of it occurs.
#[derive(Clone, Debug)]
struct Writer {
    signed_uuids: bool,
    nan_bounds: bool,
    counts_parents: bool,
    old_types: bool,
    cut: usize,
    dropped: Vec<bool>,
}

fn any_writer() -> impl Strategy<Value = Writer> {
    let dropped = vec(prop::bool::weighted(0.1), 13 * 5);
    (any::<[bool; 4]>(), select(vec![1_usize, 2, 99]), dropped).prop_map(|(flags, cut, dropped)| {
        let [signed_uuids, nan_bounds, counts_parents, old_types] = flags;
        Writer { signed_uuids, nan_bounds, counts_parents, old_types, cut, dropped }
    })
}

#[derive(Default, Debug)]
struct Metrics {
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

fn writer_order(left: &Value, right: &Value, signed_uuids: bool) -> Ordering {
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
fn ends(values: &[&Value], signed_uuids: bool) -> Option<(Value, Value)> {
    let numbers = || values.iter().filter(|value| !value.is_nan());
    let order = |left: &&&Value, right: &&&Value| writer_order(left, right, signed_uuids);
    Some(((**numbers().min_by(order)?).clone(), (**numbers().max_by(order)?).clone()))
}

fn measure(rows: &[Row], writer: &Writer) -> Metrics {
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
enum Rounding {
    Down,
    /// Iceberg until 0.10: towards 1970.
    TowardsZero,
    /// `DateTimeUtil` in Java: from a sum of which the carry is lost.
    LostCarry,
}

fn partition_value(transform: &Transform, value: &Value, rounding: Rounding) -> Option<Value> {
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
        (Rounding::Down, _) => result,
        (Rounding::TowardsZero, _) => Some(towards_zero(value)),
        (Rounding::LostCarry, Value::Timestamp(micros @ ..0)) => {
            Some(shift(towards_zero(&Value::Timestamp(lost(*micros, 1_000_000))), -1))
        }
        (Rounding::LostCarry, Value::TimestamptzNs(nanos @ ..0)) => {
            Some(shift(towards_zero(&Value::TimestamptzNs(lost(*nanos, 1_000_000_000))), -1))
        }
        (Rounding::LostCarry, _) => result,
    }
}

/// Up to three fields: source and transform.
fn any_spec() -> impl Strategy<Value = Vec<(usize, Transform)>> {
    let field = (0..columns().len()).prop_flat_map(|position| {
        let mut all = transforms(columns()[position].1);
        all.push(Transform::Void);
        (Just(position), select(all))
    });
    vec(field, 1..4)
}

fn spec(fields: &[(usize, Transform)]) -> PartitionSpec {
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

fn tuple(fields: &[(usize, Transform)], row: &Row, rounding: Rounding) -> Vec<Option<Value>> {
    let value = |position: usize, transform: &Transform| {
        partition_value(transform, row[position].as_ref()?, rounding)
    };
    fields.iter().map(|(position, transform)| value(*position, transform)).collect()
}

fn any_rounding() -> impl Strategy<Value = Rounding> {
    select(vec![Rounding::Down, Rounding::TowardsZero, Rounding::LostCarry])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn metrics_drop_no_row_and_promise_none(rows in any_rows(), filter in any_filter(), writer in any_writer()) {
        let metrics = measure(&rows, &writer);
        let might = inclusive_metrics::might_match(&filter, &metrics);
        let must = strict_metrics::must_match(&filter, &metrics);
        for row in &rows {
            for zeros in [Zeros::One, Zeros::Two] {
                let is_match = matches(&filter, row, zeros);
                prop_assert!(might || !is_match, "dropped {:?} by {:?}", row, metrics);
                prop_assert!(!must || is_match, "promised {:?} by {:?}", row, metrics);
            }
        }
    }

    #[test]
    fn projections_lose_no_row_and_gain_none(
        row in any_row(), filter in any_filter(), fields in any_spec(), rounding in any_rounding(),
    ) {
        let (spec, tuple) = (spec(&fields), tuple(&fields, &row, rounding));
        let (inclusive, strict) = (inclusive(&filter, &spec), strict(&filter, &spec));
        for zeros in [Zeros::One, Zeros::Two] {
            let is_match = matches(&filter, &row, zeros);
            prop_assert!(!is_match || partition::might_match(&inclusive, tuple.as_slice()), "{:?} {:?}", tuple, inclusive);
            prop_assert!(is_match || !partition::must_match(&strict, tuple.as_slice()), "{:?} {:?}", tuple, strict);
        }
    }

    #[test]
    fn residuals_have_the_answer_of_the_filter(
        row in any_row(), filter in any_filter(), fields in any_spec(), rounding in any_rounding(),
    ) {
        let tuple = tuple(&fields, &row, rounding);
        let residual = Residuals::new(&filter, &spec(&fields)).of(tuple.as_slice());
        for zeros in [Zeros::One, Zeros::Two] {
            prop_assert_eq!(matches(&residual, &row, zeros), matches(&filter, &row, zeros), "{:?} {:?}", tuple, residual);
        }
    }

    #[test]
    fn manifests_drop_no_row(
        rows in any_rows(), filter in any_filter(), fields in any_spec(), rounding in any_rounding(), writer in any_writer(),
    ) {
        let tuples: Vec<_> = rows.iter().map(|row| tuple(&fields, row, rounding)).collect();
        let mut bounds = Vec::new();
        for place in 0..fields.len() {
            let values: Vec<&Value> = tuples.iter().filter_map(|tuple| tuple[place].as_ref()).collect();
            let contains_nan = (!writer.dropped[place]).then(|| values.iter().any(|value| value.is_nan()));
            let ends = ends(&values, writer.signed_uuids).map(|(lower, upper)| (lower.encode(), upper.encode()));
            bounds.push((values.len() < tuples.len(), contains_nan, ends));
        }
        let summaries: Vec<FieldSummary<'_>> = bounds
            .iter()
            .map(|(contains_null, contains_nan, ends)| FieldSummary {
                contains_null: *contains_null,
                contains_nan: *contains_nan,
                lower: ends.as_ref().map(|(lower, _)| lower.as_slice()),
                upper: ends.as_ref().map(|(_, upper)| upper.as_slice()),
            })
            .collect();
        let projected = inclusive(&filter, &spec(&fields));
        if !manifest_evaluator::might_match(&projected, &summaries) {
            for row in &rows {
                prop_assert!(!matches(&filter, row, Zeros::One), "{:?} {:?}", tuples, projected);
                prop_assert!(!matches(&filter, row, Zeros::Two), "{:?} {:?}", tuples, projected);
            }
        }
    }
}

/// The properties above would hold if everything was always kept, so count what is not.
#[test]
fn random_filters_are_decided_often_enough() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut no, mut all) = (0, 0);
    let cases = (any_rows(), any_predicate(), any_writer());
    for _ in 0..2000 {
        let (rows, expression, writer) = cases.new_tree(&mut runner).unwrap().current();
        let filter =
            bind(&expression, &schema().columns().unwrap().root, NameMatching::CaseSensitive).unwrap();
        let metrics = measure(&rows, &writer);
        no += i32::from(!inclusive_metrics::might_match(&filter, &metrics));
        all += i32::from(strict_metrics::must_match(&filter, &metrics));
    }
    assert!(no > 400 && all > 300, "no: {no}, all: {all}");
}
