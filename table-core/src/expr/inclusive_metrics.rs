//! Whether a file may contain a row that matches: `false` only if none does. As Java's `InclusiveMetricsEvaluator`, but
//! for what [`super::metrics`] and `range.rs` say.

use super::bound::{Bound, BoundPredicate, Column, RowFilter};
use super::expression::Test;
use super::metrics::{Ends, Facts, FileMetrics, ask_range};
use super::range::UuidOrder;

/// Whether a file with these metrics may contain a row that matches the filter.
///
/// Costs a few look-ups for each predicate, and no allocation unless a term is a transform.
pub fn might_match<M: FileMetrics>(filter: &RowFilter, file: &M) -> bool {
    match file.record_count() {
        0 => return false,
        // Files that were imported without reading them: their metrics are as little known.
        ..0 => return *filter != Bound::False,
        _ => {}
    }
    let ask = |order| filter.evaluate(&mut |predicate| might_match_predicate(predicate, file, order));
    ask(UuidOrder::Unsigned) || (filter.compares_uuids() && ask(UuidOrder::Signed))
}

fn might_match_predicate<M: FileMetrics>(
    predicate: &BoundPredicate<Column>,
    file: &M,
    order: UuidOrder,
) -> bool {
    let (column, test) = (&predicate.term, &predicate.test);
    let facts = Facts::of(column, file);
    let in_range = || {
        let ends = Ends { lower: file.lower(column.id), upper: file.upper(column.id) };
        ask_range(&column.transform, &column.source, ends, order, |range| range.might_match(test))
    };
    match test {
        Test::IsNull => !facts.no_nulls,
        Test::NotNull => !facts.only_nulls,
        Test::IsNan => !facts.no_nans,
        Test::NotNan => !facts.only_nans,
        // True for null and NaN.
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
