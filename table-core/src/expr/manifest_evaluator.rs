//! Inclusive evaluation of a partition filter on the partition summaries of a manifest: `false` only if no
//! partition of its files matches. As Java's `ManifestEvaluator`, except for the differences described in
//! `range.rs`.

use super::bound::{BoundPredicate, PartitionColumn, PartitionFilter};
use super::expression::Test;
use super::metrics::{EncodedBounds, test_range};
use super::range::UuidOrder;
use crate::metadata::types::Primitive;

/// Summary of a partition field in a manifest list (specification, `field_summary`).
#[derive(Debug, Clone, Copy)]
pub struct FieldSummary<'a> {
    /// `true` if at least one partition has null in this field.
    pub contains_null: bool,
    /// `true` if at least one partition has NaN in this field; `None` if unknown.
    pub contains_nan: Option<bool>,
    /// Lower bound, in binary single-value serialization; absent if all values are null or NaN.
    pub lower: Option<&'a [u8]>,
    /// Upper bound, in binary single-value serialization; absent if all values are null or NaN.
    pub upper: Option<&'a [u8]>,
}

/// Returns `true` if a manifest with these summaries, one for each field of its partition spec, may list a
/// file whose partition matches.
///
/// The filter is the inclusive projection onto that spec. Without summaries every answer is `true`, unless
/// the filter is [`PartitionFilter::False`].
pub fn might_match(filter: &PartitionFilter, summaries: &[FieldSummary<'_>]) -> bool {
    let test = |order| filter.evaluate(&mut |predicate| might_match_predicate(predicate, summaries, order));
    test(UuidOrder::Unsigned) || (filter.compares_uuids() && test(UuidOrder::Signed))
}

fn might_match_predicate(
    predicate: &BoundPredicate<PartitionColumn>,
    summaries: &[FieldSummary<'_>],
    order: UuidOrder,
) -> bool {
    let (column, test) = (&predicate.term, &predicate.test);
    let Some(summary) = summaries.get(column.position) else { return true };
    let has_nulls = summary.contains_null;
    let may_have_nans =
        matches!(column.source, Primitive::Float | Primitive::Double) && summary.contains_nan != Some(false);
    let has_nans = may_have_nans && summary.contains_nan == Some(true);
    let has_no_bounds = summary.lower.is_none() && summary.upper.is_none();
    // Without nulls and NaNs, absent bounds are unknown bounds, and do not imply that there are no values.
    let nothing_else = has_no_bounds && (has_nulls || has_nans);
    let in_range = || {
        let ends = EncodedBounds { lower: summary.lower, upper: summary.upper };
        test_range(&column.transform, &column.source, ends, order, |range| range.might_match(test))
    };
    match test {
        Test::IsNull => has_nulls,
        Test::NotNull => !nothing_else || may_have_nans,
        Test::IsNan => may_have_nans,
        Test::NotNan => !nothing_else || has_nulls || !has_nans,
        // These tests are true for null and NaN.
        Test::NotEq(_) | Test::NotIn(_) | Test::NotStartsWith(_) => has_nulls || may_have_nans || in_range(),
        Test::Lt(_)
        | Test::LtEq(_)
        | Test::Gt(_)
        | Test::GtEq(_)
        | Test::Eq(_)
        | Test::In(_)
        | Test::StartsWith(_) => {
            let may_find_nan = may_have_nans && test.may_find_nan(column.is_negated);
            may_find_nan || (!nothing_else && in_range())
        }
    }
}
