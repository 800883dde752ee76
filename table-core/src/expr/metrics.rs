//! The metrics of a file as the evaluators see them. Which way an answer may err is theirs to decide.

use super::bound::Column;
use super::range::{Range, UuidOrder};
use super::value::{Value, ValueRef};
use crate::metadata::transform::Transform;
use crate::metadata::types::Primitive;

/// What a manifest says about a file's columns. Implemented by whoever holds manifest entries; the evaluators are generic
/// over it, and call it a few times for every predicate and file.
pub trait FileMetrics {
    /// How many rows there are; negative if unknown, as for some imported files.
    fn record_count(&self) -> i64;
    /// How many values a column has, null and NaN included.
    fn value_count(&self, field_id: i32) -> Option<i64>;
    /// How many of them are null.
    fn null_count(&self, field_id: i32) -> Option<i64>;
    /// How many of them are NaN.
    fn nan_count(&self, field_id: i32) -> Option<i64>;
    /// The binary form of a value that no other is less than; not necessarily one of them.
    fn lower(&self, field_id: i32) -> Option<&[u8]>;
    /// The binary form of a value that no other is greater than; not necessarily one of them.
    fn upper(&self, field_id: i32) -> Option<&[u8]>;
}

/// What the counts of a column say for certain.
#[expect(clippy::struct_excessive_bools, reason = "four independent facts")]
pub(crate) struct Facts {
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

impl Facts {
    pub(crate) fn of(column: &Column, file: &impl FileMetrics) -> Facts {
        let known = |count: Option<i64>| count.filter(|count| *count >= 0);
        let values = known(file.value_count(column.id));
        let nulls = known(file.null_count(column.id));
        // Some writers do not count the rows whose parent is null, which are null as well.
        let covers_all_rows =
            !column.inside_optional || values.is_some_and(|values| values >= file.record_count());
        // A required column may have been optional, if somebody insisted.
        let no_nulls = match nulls {
            Some(0) => !column.nullable || covers_all_rows,
            Some(_) => false,
            None => !column.nullable,
        };
        // All of nothing says nothing: a writer without metrics may put zeros.
        let is_all = |count: Option<i64>| count.is_some_and(|count| count > 0) && count == values;
        let only_nulls = is_all(nulls);
        if !matches!(column.source, Primitive::Float | Primitive::Double) {
            return Facts { no_nulls, only_nulls, no_nans: true, only_nans: false, nothing_else: only_nulls };
        }
        let nans = known(file.nan_count(column.id));
        let both = nulls.zip(nans).and_then(|(nulls, nans)| nulls.checked_add(nans));
        Facts {
            no_nulls,
            only_nulls,
            no_nans: nans == Some(0) || only_nulls,
            only_nans: is_all(nans) && covers_all_rows,
            nothing_else: only_nulls || is_all(nans) || is_all(both),
        }
    }
}

/// The binary forms of the ends of a range, as far as they are known.
#[derive(Clone, Copy)]
pub(crate) struct Ends<'a> {
    pub(crate) lower: Option<&'a [u8]>,
    pub(crate) upper: Option<&'a [u8]>,
}

/// Answers a question about the range of a transform's results, given the range of values of a type.
pub(crate) fn ask_range(
    transform: &Transform,
    source: &Primitive,
    ends: Ends<'_>,
    order: UuidOrder,
    ask: impl FnOnce(&Range<'_>) -> bool,
) -> bool {
    let lower = ends.lower.and_then(|bytes| ValueRef::decode(bytes, source));
    let upper = ends.upper.and_then(|bytes| ValueRef::decode(bytes, source));
    if *transform == Transform::Identity {
        return ask(&Range::new(lower, upper, order));
    }
    if !transform.preserves_order() {
        return ask(&Range::new(None, None, order));
    }
    let transformed = |bound: Option<ValueRef<'_>>| transform.apply(&bound?.to_value()?);
    let (from, to) = (transformed(lower), transformed(upper));
    let (from, to) = (from.as_ref().map(Value::as_ref), to.as_ref().map(Value::as_ref));
    // Truncating wraps around below the first multiple of the width, where small values have one great result; so the bounds
    // have to show that there are none, or nothing else.
    if matches!(source, Primitive::Int | Primitive::Long) && (from.is_none() || (from > lower && to <= upper))
    {
        return ask(&Range::new(None, None, order));
    }
    ask(&Range::new(from, to, order))
}
