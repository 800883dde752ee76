//! Evaluation of a projected filter on a partition tuple. Null and NaN are treated as described in [`super`],
//! not as in Java's `Evaluator`, where null is less than everything.

use super::bound::{BoundPredicate, PartitionColumn, PartitionFilter};
use super::expression::Test;
use super::value::{Value, ValueRef};
use crate::metadata::transform::Transform;

/// Partition values of a file, by their position in the partition spec. Each value is of the result type that
/// its field has for the current type of the source column.
pub trait PartitionValues {
    /// Returns the value at a position; `None` if it is null.
    fn value(&self, position: usize) -> Option<ValueRef<'_>>;
}

impl PartitionValues for [Option<Value>] {
    fn value(&self, position: usize) -> Option<ValueRef<'_>> {
        self.get(position)?.as_ref().map(Value::as_ref)
    }
}

/// Returns `true` if the partition may match, under the semantics of NaN of at least one engine. The answer
/// for a value that is not of the field's type is `true`.
pub fn might_match<P: PartitionValues + ?Sized>(filter: &PartitionFilter, tuple: &P) -> bool {
    filter.evaluate(&mut |predicate| {
        answer(predicate, tuple).unwrap_or(true) || {
            let PartitionColumn { position, is_negated, .. } = predicate.term;
            tuple.value(position).is_some_and(ValueRef::is_nan) && predicate.test.may_find_nan(is_negated)
        }
    })
}

/// Returns `true` if the partition certainly matches. The answer for a value that is not of the field's type
/// is `false`.
pub fn must_match<P: PartitionValues + ?Sized>(filter: &PartitionFilter, tuple: &P) -> bool {
    filter.evaluate(&mut |predicate| answer(predicate, tuple).unwrap_or(false))
}

fn answer<P: PartitionValues + ?Sized>(
    predicate: &BoundPredicate<PartitionColumn>,
    tuple: &P,
) -> Option<bool> {
    let value = tuple.value(predicate.term.position);
    match (&predicate.term.transform, value) {
        (Transform::Identity, _) | (_, None) => predicate.test.matches(value),
        (transform, Some(value)) => {
            let result = transform.apply(&value.to_value()?)?;
            predicate.test.matches(Some(result.as_ref()))
        }
    }
}

impl Test {
    /// Returns `true` if a value passes the test; `None` if it is not of the type of the literals. Zeros are
    /// distinct: `-0.0` is less than `0.0`.
    pub fn matches(&self, value: Option<ValueRef<'_>>) -> Option<bool> {
        let Some(value) = value else {
            return Some(matches!(
                self,
                Test::IsNull | Test::NotNan | Test::NotEq(_) | Test::NotIn(_) | Test::NotStartsWith(_)
            ));
        };
        let is_comparable = self.literals().iter().all(|literal| literal.as_ref().is_comparable(value));
        if !is_comparable {
            return None;
        }
        let is_nan = value.is_nan();
        Some(match self {
            Test::IsNull => false,
            Test::NotNull => true,
            Test::IsNan => is_nan,
            Test::NotNan => !is_nan,
            Test::Lt(literal) => !is_nan && value < literal.as_ref(),
            Test::LtEq(literal) => !is_nan && value <= literal.as_ref(),
            Test::Gt(literal) => !is_nan && value > literal.as_ref(),
            Test::GtEq(literal) => !is_nan && value >= literal.as_ref(),
            Test::Eq(literal) => value == literal.as_ref(),
            Test::NotEq(literal) => value != literal.as_ref(),
            Test::In(literals) => is_among(value, literals),
            Test::NotIn(literals) => !is_among(value, literals),
            Test::StartsWith(prefix) => begins(value, prefix)?,
            Test::NotStartsWith(prefix) => !begins(value, prefix)?,
        })
    }
}

fn is_among(value: ValueRef<'_>, sorted: &[Value]) -> bool {
    sorted.binary_search_by(|literal| literal.as_ref().cmp(&value)).is_ok()
}

fn begins(value: ValueRef<'_>, prefix: &Value) -> Option<bool> {
    match (value, prefix) {
        (ValueRef::String(bytes), Value::String(prefix)) => Some(bytes.starts_with(prefix.as_bytes())),
        _ => None,
    }
}
