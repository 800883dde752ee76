//! Random rows and filters, and which rows a filter matches: judged by a few lines of their own.

use std::cmp::Ordering;
use std::sync::{Arc, LazyLock};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Json, json};
use table_core::expr::bind::{NameMatching, bind};
use table_core::expr::bound::{BoundColumn, BoundFilter, BoundPredicate};
use table_core::expr::decimal::Decimal;
use table_core::expr::expression::{Expression, Predicate, Reference, Term, Test};
use table_core::expr::value::Value;
use table_core::metadata::json::Raw;
use table_core::metadata::schema::Schema;
use table_core::metadata::transform::Transform;
use table_core::metadata::types::Primitive;

use crate::writer::{any_field, field_on};

/// Name, type, and a few values of which files and literals are made.
pub(crate) fn columns() -> &'static [(&'static str, &'static str, Vec<Value>)] {
    static COLUMNS: LazyLock<Vec<(&'static str, &'static str, Vec<Value>)>> = LazyLock::new(make_columns);
    &COLUMNS
}

pub(crate) fn make_columns() -> Vec<(&'static str, &'static str, Vec<Value>)> {
    let micros = [
        0,
        -1,
        -3_600_000_000,
        -3_599_000_001,
        -86_399_000_001,
        -86_400_000_000,
        -31_535_999_000_001,
        1_510_871_468_123_456,
    ];
    let texts = ["", "a", "ab", "abc", "abd", "b", "é", "éa", "\u{ffff}", "\u{10000}", "\u{10000}a"];
    let uuids = [1, 1 << 63, 1 << 64, (1 << 127) - 1, 1 << 127, (1 << 127) + (1 << 63), u128::MAX];
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
pub(crate) const REQUIRED: usize = 11;
/// Required in an optional struct, so null where the struct is.
pub(crate) const NESTED: usize = 12;

/// The columns of the table; ids are the places in [`columns`] plus one.
pub(crate) fn schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(make_schema);
    &SCHEMA
}

pub(crate) fn make_schema() -> Schema {
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

pub(crate) type Row = Vec<Option<Value>>;

pub(crate) fn any_row() -> impl Strategy<Value = Row> {
    let row: Vec<BoxedStrategy<Option<Value>>> = columns()
        .iter()
        .cloned()
        .enumerate()
        .map(|(position, (_, _, pool))| match position {
            REQUIRED => select(pool).prop_map(Some).boxed(),
            _ => prop::option::weighted(0.8, select(pool)).boxed(),
        })
        .collect();
    row
}

/// Rows that have a little in common, as in files.
pub(crate) fn any_rows() -> impl Strategy<Value = Vec<Row>> {
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

pub(crate) fn transforms(type_name: &str) -> Vec<Transform> {
    let all =
        ["identity", "identity", "bucket[3]", "truncate[10]", "truncate[1]", "year", "month", "day", "hour"];
    let source = Primitive::parse(type_name);
    all.map(Transform::parse).into_iter().filter(|each| each.accepts(&source) == Some(true)).collect()
}

/// The place of a column. Times, floats and UUIDs come more often, because they have more ways to go wrong.
pub(crate) fn any_position() -> impl Strategy<Value = usize> {
    let often = [1, 1, 2, 4, 4, 4, 4, 5, 5, 8, 9, 9];
    select((0..columns().len()).chain(often).collect::<Vec<_>>())
}

pub(crate) fn predicate_on(position: usize) -> impl Strategy<Value = Expression> {
    let (name, type_name, pool) = columns()[position].clone();
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
}

pub(crate) fn any_predicate() -> impl Strategy<Value = Expression> {
    any_position().prop_flat_map(predicate_on)
}

pub(crate) fn make_test(kind: u8, values: Vec<Value>) -> Test {
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
        12 | 13 => Test::In(Arc::new(values)),
        _ => Test::NotIn(Arc::new(values)),
    }
}

pub(crate) fn bound(expression: &Expression) -> BoundFilter {
    bind(expression, &schema().columns().unwrap().root, NameMatching::CaseSensitive).unwrap()
}

/// Mostly predicates on one column, because most of what can go wrong concerns only one.
pub(crate) fn expression_on(position: usize) -> impl Strategy<Value = Expression> {
    let leaf = prop_oneof![9 => predicate_on(position).boxed(), 1 => any_predicate().boxed()];
    let nested = leaf.prop_recursive(2, 5, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(Expression::And),
            vec(inner.clone(), 2..4).prop_map(Expression::Or),
            inner.prop_map(|child| Expression::Not(Box::new(child))),
        ]
    });
    prop_oneof![predicate_on(position).boxed(), nested.boxed()]
}

pub(crate) fn filter_on(position: usize) -> impl Strategy<Value = BoundFilter> {
    expression_on(position).prop_map(|expression| bound(&expression))
}

/// An expression on floats, mostly.
pub(crate) fn any_float_expression() -> impl Strategy<Value = Expression> {
    select(vec![1_usize, 2]).prop_flat_map(expression_on)
}

pub(crate) fn any_filter() -> impl Strategy<Value = BoundFilter> {
    any_position().prop_flat_map(filter_on)
}

/// A filter, and a spec that most likely has something to do with it.
pub(crate) fn any_filter_and_spec() -> impl Strategy<Value = (BoundFilter, Vec<(usize, Transform)>)> {
    any_position().prop_flat_map(|position| {
        let field = prop_oneof![3 => field_on(position).boxed(), 1 => any_field().boxed()];
        (filter_on(position), vec(field, 1..3))
    })
}

/// What engines disagree on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Zeros {
    One,
    Two,
}

/// Whether a row matches, judged without the code under test.
pub(crate) fn matches(filter: &BoundFilter, row: &Row, zeros: Zeros) -> bool {
    filter.evaluate(&mut |predicate| row_passes(predicate, row, zeros))
}

pub(crate) fn row_passes(predicate: &BoundPredicate<BoundColumn>, row: &Row, zeros: Zeros) -> bool {
    let position = usize::try_from(predicate.term.id - 1).unwrap();
    let value = row[position].as_ref().map(|value| predicate.term.transform.apply(value).unwrap());
    let order = |literal: &Value| value.as_ref().and_then(|value| compare(value, literal, zeros));
    passes(&predicate.test, value.as_ref(), order)
}

/// Whether a value passes a test, given how it compares with literals: `None` if neither is greater and they
/// are not equal.
pub(crate) fn passes(test: &Test, value: Option<&Value>, order: impl Fn(&Value) -> Option<Ordering>) -> bool {
    let begins = |prefix: &Value| match (value, prefix) {
        (Some(Value::String(value)), Value::String(prefix)) => value.starts_with(prefix.as_str()),
        _ => false,
    };
    match test {
        Test::IsNull => value.is_none(),
        Test::NotNull => value.is_some(),
        Test::IsNan => value.is_some_and(Value::is_nan),
        Test::NotNan => !value.is_some_and(Value::is_nan),
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
pub(crate) fn compare(left: &Value, right: &Value, zeros: Zeros) -> Option<Ordering> {
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
