//! Metrics of a file, as input of the inclusive and the strict evaluator. The direction in which an uncertain
//! answer may err is decided there.

use super::bound::BoundColumn;
use super::range::{Range, UuidOrder};
use super::value::{Value, ValueRef};
use crate::metadata::transform::Transform;
use crate::metadata::types::Primitive;

/// Metrics of a file's columns, from its manifest entry.
///
/// Implemented by the types that represent manifest entries. The evaluators are generic over it, and call it
/// a few times for every predicate and file.
pub trait FileMetrics {
    /// Returns the number of rows; negative if unknown, as for some imported files.
    fn record_count(&self) -> i64;
    /// Returns the number of values of a column, nulls and NaNs included.
    fn value_count(&self, field_id: i32) -> Option<i64>;
    /// Returns the number of nulls in a column.
    fn null_count(&self, field_id: i32) -> Option<i64>;
    /// Returns the number of NaNs in a column.
    fn nan_count(&self, field_id: i32) -> Option<i64>;
    /// Returns the lower bound of a column, in binary single-value serialization. It need not be a value of
    /// the column.
    fn lower(&self, field_id: i32) -> Option<&[u8]>;
    /// Returns the upper bound of a column, in binary single-value serialization. It need not be a value of
    /// the column.
    fn upper(&self, field_id: i32) -> Option<&[u8]>;
}

/// Facts that certainly follow from the counts of a column. `false` means that a fact is not proven.
#[expect(clippy::struct_excessive_bools, reason = "four independent facts")]
pub(crate) struct CountFacts {
    /// No row is null.
    pub(crate) no_nulls: bool,
    /// Every row is null.
    pub(crate) only_nulls: bool,
    /// No row is NaN.
    pub(crate) no_nans: bool,
    /// Every row is NaN.
    pub(crate) only_nans: bool,
    /// Every row is null or NaN.
    pub(crate) nothing_else: bool,
}

impl CountFacts {
    pub(crate) fn of(column: &BoundColumn, file: &impl FileMetrics) -> CountFacts {
        let known = |count: Option<i64>| count.filter(|count| *count >= 0);
        let values = known(file.value_count(column.id));
        let nulls = known(file.null_count(column.id));
        // Some writers do not count the rows whose enclosing struct is null, in which the column is null as
        // well.
        let covers_all_rows =
            !column.inside_optional || values.is_some_and(|values| values >= file.record_count());
        // A required column may have been optional before, if an incompatible schema change was forced.
        let no_nulls = match nulls {
            Some(0) => !column.nullable || covers_all_rows,
            Some(_) => false,
            None => !column.nullable,
        };
        // Counts of zero prove nothing, because a writer without metrics may write zeros.
        let is_all = |count: Option<i64>| count.is_some_and(|count| count > 0) && count == values;
        let only_nulls = is_all(nulls);
        if !matches!(column.source, Primitive::Float | Primitive::Double) {
            return CountFacts {
                no_nulls,
                only_nulls,
                no_nans: true,
                only_nans: false,
                nothing_else: only_nulls,
            };
        }
        let nans = known(file.nan_count(column.id));
        let both = nulls.zip(nans).and_then(|(nulls, nans)| nulls.checked_add(nans));
        CountFacts {
            no_nulls,
            only_nulls,
            no_nans: nans == Some(0) || only_nulls,
            only_nans: is_all(nans) && covers_all_rows,
            nothing_else: only_nulls || is_all(nans) || is_all(both),
        }
    }
}

/// Bounds of a range in binary single-value serialization, as far as they are known.
#[derive(Clone, Copy)]
pub(crate) struct EncodedBounds<'a> {
    pub(crate) lower: Option<&'a [u8]>,
    pub(crate) upper: Option<&'a [u8]>,
}

/// Answers a question about the range of a transform's results, given the bounds of the values of a type.
pub(crate) fn test_range(
    transform: &Transform,
    source: &Primitive,
    ends: EncodedBounds<'_>,
    order: UuidOrder,
    test: impl FnOnce(&Range<'_>) -> bool,
) -> bool {
    let lower = ends.lower.and_then(|bytes| ValueRef::decode(bytes, source));
    let upper = ends.upper.and_then(|bytes| ValueRef::decode(bytes, source));
    if *transform == Transform::Identity {
        return test(&Range::new(lower, upper, order));
    }
    if !transform.preserves_order() {
        return test(&Range::new(None, None, order));
    }
    let transformed = |bound: Option<ValueRef<'_>>| transform.apply(&bound?.to_value()?);
    let (from, to) = (transformed(lower), transformed(upper));
    let (from, to) = (from.as_ref().map(Value::as_ref), to.as_ref().map(Value::as_ref));
    // Truncation wraps around below the first multiple of the width, so that small values have one great
    // result. The bounds have to show that there are no such values, or no others.
    if matches!(source, Primitive::Int | Primitive::Long) && (from.is_none() || (from > lower && to <= upper))
    {
        return test(&Range::new(None, None, order));
    }
    test(&Range::new(from, to, order))
}
