//! Whatever the rows, metrics, partitions and filters: nothing that matches is dropped, and nothing is promised that does
//! not hold.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod readings;
mod rows;
mod writer;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use readings::{Nan, finds};
use rows::{
    Zeros, any_filter, any_filter_and_spec, any_float_expression, any_predicate, any_row, any_rows, bound,
    matches,
};
use table_core::expr::bound::Bound;
use table_core::expr::manifest_evaluator::{self, FieldSummary};
use table_core::expr::project::{inclusive, strict};
use table_core::expr::residual::Residuals;
use table_core::expr::value::Value;
use table_core::expr::{inclusive_metrics, partition, strict_metrics};
use table_core::metadata::transform::Transform;
use writer::{any_rounding, any_writer, ends, measure, spec, tuple};

proptest! {
    #![proptest_config(ProptestConfig { cases: 8000, failure_persistence: None, ..ProptestConfig::default() })]

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
    fn no_engine_misses_a_row(
        rows in any_rows(), expression in any_float_expression(), writer in any_writer(), rounding in any_rounding(),
    ) {
        let filter = bound(&expression);
        let metrics = measure(&rows, &writer);
        let (might, must) =
            (inclusive_metrics::might_match(&filter, &metrics), strict_metrics::must_match(&filter, &metrics));
        let fields = [(1, Transform::Identity), (2, Transform::Identity)];
        let residuals = Residuals::new(&filter, &spec(&fields));
        for (row, nan) in rows.iter().flat_map(|row| [(row, Nan::Greatest), (row, Nan::Unordered)]) {
            let tuple = tuple(&fields, row, rounding);
            let residual = residuals.of(tuple.as_slice());
            for zeros in [Zeros::One, Zeros::Two] {
                let is_found = finds(&expression, row, nan, zeros);
                prop_assert!(might || !is_found, "{nan:?} finds {row:?}, and it was dropped by {metrics:?}");
                prop_assert!(residual != Bound::False || !is_found, "{nan:?} finds {row:?} in its partition");
                // Where null is unknown, rows are not found that Iceberg finds; otherwise a promise holds for all.
                let is_known = row.iter().all(Option::is_some);
                prop_assert!(!must || is_found || !is_known, "{row:?} was promised by {metrics:?}");
                prop_assert!(residual != Bound::True || is_found || !is_known, "{row:?} was promised to {nan:?}");
            }
        }
    }

    #[test]
    fn projections_lose_no_row_and_gain_none(
        row in any_row(), (filter, fields) in any_filter_and_spec(), rounding in any_rounding(),
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
        row in any_row(), (filter, fields) in any_filter_and_spec(), rounding in any_rounding(),
    ) {
        let tuple = tuple(&fields, &row, rounding);
        let residual = Residuals::new(&filter, &spec(&fields)).of(tuple.as_slice());
        for zeros in [Zeros::One, Zeros::Two] {
            prop_assert_eq!(matches(&residual, &row, zeros), matches(&filter, &row, zeros), "{:?} {:?}", tuple, residual);
        }
    }

    #[test]
    fn manifests_drop_no_row(
        rows in any_rows(), (filter, fields) in any_filter_and_spec(), rounding in any_rounding(), writer in any_writer(),
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
        let filter = bound(&expression);
        let metrics = measure(&rows, &writer);
        no += i32::from(!inclusive_metrics::might_match(&filter, &metrics));
        all += i32::from(strict_metrics::must_match(&filter, &metrics));
    }
    assert!(no > 400 && all > 300, "no: {no}, all: {all}");
}
