//! Inclusive evaluation of a row filter on the metrics of a file: `false` only if no row matches. As Java's
//! `InclusiveMetricsEvaluator`, except for the differences described in [`super::metrics`] and `range.rs`.

use super::bound::{Bound, BoundColumn, BoundFilter, BoundPredicate};
use super::expression::Test;
use super::metrics::{CountFacts, EncodedBounds, FileMetrics, test_range};
use super::range::UuidOrder;

/// Returns `true` if a file with these metrics may contain a row that matches the filter.
///
/// Costs a few look-ups for each predicate, and allocates only for terms with a transform.
pub fn might_match<M: FileMetrics>(filter: &BoundFilter, file: &M) -> bool {
    match file.record_count() {
        0 => return false,
        // The file was imported without being read, so its other metrics are unknown as well.
        ..0 => return *filter != Bound::False,
        _ => {}
    }
    let test = |order| filter.evaluate(&mut |predicate| might_match_predicate(predicate, file, order));
    test(UuidOrder::Unsigned) || (filter.compares_uuids() && test(UuidOrder::Signed))
}

fn might_match_predicate<M: FileMetrics>(
    predicate: &BoundPredicate<BoundColumn>,
    file: &M,
    order: UuidOrder,
) -> bool {
    let (column, test) = (&predicate.term, &predicate.test);
    let facts = CountFacts::of(column, file);
    let in_range = || {
        let ends = EncodedBounds { lower: file.lower(column.id), upper: file.upper(column.id) };
        test_range(&column.transform, &column.source, ends, order, |range| range.might_match(test))
    };
    match test {
        Test::IsNull => !facts.no_nulls,
        Test::NotNull => !facts.only_nulls,
        Test::IsNan => !facts.no_nans,
        Test::NotNan => !facts.only_nans,
        // These tests are true for null and NaN.
        Test::NotEq(_) | Test::NotIn(_) => !facts.no_nulls || !facts.no_nans || in_range(),
        Test::NotStartsWith(_) => !facts.no_nulls || in_range(),
        Test::Lt(_)
        | Test::LtEq(_)
        | Test::Gt(_)
        | Test::GtEq(_)
        | Test::Eq(_)
        | Test::In(_)
        | Test::StartsWith(_) => {
            let may_find_nan = !facts.no_nans && test.may_find_nan(column.is_negated);
            may_find_nan || (!facts.nothing_else && in_range())
        }
    }
}
