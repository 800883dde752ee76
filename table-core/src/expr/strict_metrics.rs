//! Strict evaluation of a row filter on the metrics of a file: `true` only if every row certainly matches. As
//! Java's `StrictMetricsEvaluator`, except for the differences described in [`super::metrics`] and
//! `range.rs`, and that missing counts are never taken for zero.

use super::bound::{Bound, BoundColumn, BoundFilter, BoundPredicate};
use super::expression::Test;
use super::metrics::{CountFacts, EncodedBounds, FileMetrics, test_range};
use super::range::UuidOrder;

/// Returns `true` if every row of a file with these metrics matches the filter; also for a file without rows.
pub fn must_match<M: FileMetrics>(filter: &BoundFilter, file: &M) -> bool {
    match file.record_count() {
        0 => return true,
        // The number of rows is unknown, and so are the other metrics.
        ..0 => return *filter == Bound::True,
        _ => {}
    }
    let test = |order| filter.evaluate(&mut |predicate| must_match_predicate(predicate, file, order));
    test(UuidOrder::Unsigned) && (!filter.compares_uuids() || test(UuidOrder::Signed))
}

fn must_match_predicate<M: FileMetrics>(
    predicate: &BoundPredicate<BoundColumn>,
    file: &M,
    order: UuidOrder,
) -> bool {
    let (column, test) = (&predicate.term, &predicate.test);
    if column.written.is_some() {
        return false;
    }
    let facts = CountFacts::of(column, file);
    let in_range = || {
        let ends = EncodedBounds { lower: file.lower(column.id), upper: file.upper(column.id) };
        test_range(&column.transform, &column.source, ends, order, |range| range.must_match(test))
    };
    match test {
        Test::IsNull => facts.only_nulls,
        Test::NotNull => facts.no_nulls,
        Test::IsNan => facts.only_nans,
        Test::NotNan => facts.no_nans,
        // These tests are true for null and NaN.
        Test::NotEq(_) | Test::NotIn(_) | Test::NotStartsWith(_) => facts.nothing_else || in_range(),
        Test::Lt(_)
        | Test::LtEq(_)
        | Test::Gt(_)
        | Test::GtEq(_)
        | Test::Eq(_)
        | Test::In(_)
        | Test::StartsWith(_) => facts.no_nulls && facts.no_nans && in_range(),
    }
}
