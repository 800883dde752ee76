//! Whether a manifest may list a file of a matching partition: `false` only if it does not. As Java's
//! `ManifestEvaluator`, but for what `range.rs` says.

use super::bound::{BoundPredicate, PartitionColumn, PartitionFilter};
use super::expression::Test;
use super::metrics::{Ends, ask_range};
use super::range::UuidOrder;
use crate::metadata::types::Primitive;

/// What a manifest list says about one field of a manifest's partitions (specification, `field_summary`).
#[derive(Debug, Clone, Copy)]
pub struct FieldSummary<'a> {
    /// Whether some partition is null in this field.
    pub contains_null: bool,
    /// Whether some partition is NaN in this field, if known.
    pub contains_nan: Option<bool>,
    /// The binary form of the least value; absent if all are null or NaN.
    pub lower: Option<&'a [u8]>,
    /// The binary form of the greatest value; absent if all are null or NaN.
    pub upper: Option<&'a [u8]>,
}

/// Whether a manifest with these summaries, one for each field of its partition spec, may list a file whose partition
/// matches. The filter is the inclusive projection onto that spec; without summaries every answer is `true`, unless the
/// filter is [`PartitionFilter::False`].
pub fn might_match(filter: &PartitionFilter, summaries: &[FieldSummary<'_>]) -> bool {
    let ask = |order| filter.evaluate(&mut |predicate| might_match_predicate(predicate, summaries, order));
    ask(UuidOrder::Unsigned) || (filter.compares_uuids() && ask(UuidOrder::Signed))
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
    // Without nulls and NaN, missing bounds are missing, and do not say that there are no values.
    let nothing_else = has_no_bounds && (has_nulls || has_nans);
    let in_range = || {
        let ends = Ends { lower: summary.lower, upper: summary.upper };
        ask_range(&column.transform, &column.source, ends, order, |range| range.might_match(test))
    };
    match test {
        Test::IsNull => has_nulls,
        Test::NotNull => !nothing_else || may_have_nans,
        Test::IsNan => may_have_nans,
        Test::NotNan => !nothing_else || has_nulls || !has_nans,
        // True for null and NaN.
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
