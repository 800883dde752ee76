//! Filters against the metrics of files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod expr_common;

use std::collections::BTreeMap;

use expr_common::{bound, bytes};
use serde_json::{Value as Json, json};
use table_core::expr::metrics::FileMetrics;
use table_core::expr::{inclusive_metrics, strict_metrics};

#[derive(Default, Clone)]
struct Metrics {
    record_count: i64,
    values: BTreeMap<i32, i64>,
    nulls: BTreeMap<i32, i64>,
    nans: BTreeMap<i32, i64>,
    lower: BTreeMap<i32, Vec<u8>>,
    upper: BTreeMap<i32, Vec<u8>>,
}

impl FileMetrics for Metrics {
    fn record_count(&self) -> i64 {
        self.record_count
    }
    fn value_count(&self, field_id: i32) -> Option<i64> {
        self.values.get(&field_id).copied()
    }
    fn null_count(&self, field_id: i32) -> Option<i64> {
        self.nulls.get(&field_id).copied()
    }
    fn nan_count(&self, field_id: i32) -> Option<i64> {
        self.nans.get(&field_id).copied()
    }
    fn lower(&self, field_id: i32) -> Option<&[u8]> {
        self.lower.get(&field_id).map(Vec::as_slice)
    }
    fn upper(&self, field_id: i32) -> Option<&[u8]> {
        self.upper.get(&field_id).map(Vec::as_slice)
    }
}

/// Ten rows. Counts are values, nulls and NaN, of which nobody knows the negative ones; bounds may be JSON null.
fn file(id: i32, type_name: &str, counts: [i64; 3], lower: Json, upper: Json) -> Metrics {
    let mut metrics = Metrics { record_count: 10, ..Metrics::default() };
    let [values, nulls, nans] = counts;
    for (map, count) in
        [(&mut metrics.values, values), (&mut metrics.nulls, nulls), (&mut metrics.nans, nans)]
    {
        if count >= 0 {
            map.insert(id, count);
        }
    }
    for (map, bound) in [(&mut metrics.lower, lower), (&mut metrics.upper, upper)] {
        if !bound.is_null() {
            map.insert(id, bytes(type_name, &bound));
        }
    }
    metrics
}

/// `no`, `some` or `all` rows match, as far as metrics tell.
#[track_caller]
fn check(metrics: &Metrics, text: &str, expected: &str) {
    let filter = bound(text).unwrap();
    let might = inclusive_metrics::might_match(&filter, metrics);
    let must = strict_metrics::must_match(&filter, metrics);
    let answer = match (might, must) {
        (false, false) => "no",
        (true, false) => "some",
        (true, true) => "all",
        (false, true) => "both",
    };
    assert_eq!(answer, expected, "{text}");
}

#[test]
fn bounds_decide_comparisons() {
    let metrics = file(2, "int", [10, 0, -1], json!(30), json!(79));
    for (text, expected) in [
        ("int lt 30", "no"),
        ("int lt 31", "some"),
        ("int lt 80", "all"),
        ("int lt-eq 29", "no"),
        ("int lt-eq 79", "all"),
        ("int gt 79", "no"),
        ("int gt 29", "all"),
        ("int gt-eq 80", "no"),
        ("int gt-eq 30", "all"),
        ("int eq 29", "no"),
        ("int eq 30", "some"),
        ("int eq 80", "no"),
        ("int not-eq 29", "all"),
        ("int not-eq 30", "some"),
        ("int in [1, 29, 80, 90]", "no"),
        ("int in [1, 29, 50, 90]", "some"),
        ("int not-in [1, 29, 80, 90]", "all"),
        ("int not-in [1, 30]", "some"),
        ("int is-null", "no"),
        ("int not-null", "all"),
        ("int lt 30 | int gt 79", "no"),
        ("int lt 30 | int gt 78", "some"),
        ("int gt 29 & int lt 80", "all"),
        ("not int lt 30", "all"),
    ] {
        check(&metrics, text, expected);
    }
}

#[test]
fn a_single_value_decides_equality() {
    let metrics = file(2, "int", [10, 0, -1], json!(5), json!(5));
    check(&metrics, "int eq 5", "all");
    check(&metrics, "int not-eq 5", "no");
    check(&metrics, "int in [4, 5]", "all");
    check(&metrics, "int not-in [4, 5]", "no");
    let with_nulls = file(2, "int", [10, 1, -1], json!(5), json!(5));
    check(&with_nulls, "int eq 5", "some");
    check(&with_nulls, "int not-eq 5", "some");
    check(&with_nulls, "int not-eq 6", "all");
    check(&with_nulls, "int not-in [4, 5]", "some");
}

#[test]
fn long_lists_are_searched_as_well() {
    let metrics = file(2, "int", [10, 0, -1], json!(1000), json!(1001));
    let list = |step: usize| format!("int in {:?}", (0..3000).step_by(step).collect::<Vec<i32>>());
    check(&metrics, &list(7), "some");
    check(&metrics, &list(9), "no");
}

#[test]
fn what_is_missing_says_nothing() {
    let nothing = Metrics { record_count: 10, ..Metrics::default() };
    for text in
        ["int lt 5", "int is-null", "int not-null", "double is-nan", "double not-nan", "int not-in [1, 2]"]
    {
        check(&nothing, text, "some");
    }
    check(&nothing, "req is-null", "no");
    // No null counts: nulls may be among the rows.
    let metrics = file(2, "int", [-1, -1, -1], json!(5), json!(5));
    check(&metrics, "int eq 5", "some");
    check(&metrics, "int not-eq 5", "some");
    check(&metrics, "int lt 5", "no");
    check(&metrics, "int not-eq 6", "all");
    // A required column has none.
    let metrics = file(20, "int", [-1, -1, -1], json!(5), json!(5));
    check(&metrics, "req eq 5", "all");
    check(&metrics, "req not-eq 5", "no");
    // One bound only.
    let metrics = file(2, "int", [10, 0, -1], json!(5), Json::Null);
    check(&metrics, "int lt 5", "no");
    check(&metrics, "int gt 4", "all");
    check(&metrics, "int gt 100", "some");
    check(&metrics, "int in [1, 2]", "no");
    check(&metrics, "int in [1, 200]", "some");
}

#[test]
fn bounds_that_cannot_be_decoded_say_nothing() {
    let mut metrics = file(2, "int", [10, 0, -1], json!(5), json!(6));
    metrics.lower.insert(2, vec![]);
    metrics.upper.insert(2, vec![1, 2, 3]);
    for text in ["int lt 5", "int gt 6", "int eq 100", "int in [100, 101]", "int not-eq 5"] {
        check(&metrics, text, "some");
    }
}

#[test]
fn all_null_columns_match_nothing_but_null() {
    let metrics = file(2, "int", [10, 10, -1], Json::Null, Json::Null);
    for (text, expected) in [
        ("int is-null", "all"),
        ("int not-null", "no"),
        ("int lt 5", "no"),
        ("int gt-eq 5", "no"),
        ("int eq 5", "no"),
        ("int in [5, 6]", "no"),
        ("int not-eq 5", "all"),
        ("int not-in [5, 6]", "all"),
    ] {
        check(&metrics, text, expected);
    }
    let text = file(13, "string", [10, 10, -1], Json::Null, Json::Null);
    check(&text, "str starts-with \"a\"", "no");
    check(&text, "str not-starts-with \"a\"", "all");
    check(&text, "truncate[2](str) eq \"a\"", "no");
    let floats = file(5, "double", [10, 10, -1], Json::Null, Json::Null);
    check(&floats, "double is-nan", "no");
    check(&floats, "double not-nan", "all");
    // Counts of zero are what a writer without metrics may have put.
    let zeros = file(2, "int", [0, 0, -1], Json::Null, Json::Null);
    check(&zeros, "int gt 5", "some");
}

#[test]
fn a_file_is_kept_for_every_way_to_round_a_literal_and_certain_for_none() {
    let only = |value: &str| file(6, "decimal(9, 2)", [10, 0, -1], json!(value), json!(value));
    let (below, above) = (only("1.00"), only("1.01"));
    for literal in ["1.004", "1.005", "1.006"] {
        check(&above, &format!("dec gt {literal}"), "some");
        check(&below, &format!("dec lt {literal}"), "some");
        check(&above, &format!("dec not-eq {literal}"), "some");
        check(&below, &format!("dec not-in [{literal}, 7]"), "some");
    }
    for test in ["eq 1.005", "lt-eq 1.005", "gt-eq 1.005", "in [1.005, 7]"] {
        check(&below, &format!("dec {test}"), "some");
        check(&above, &format!("dec {test}"), "some");
    }
    check(&below, "dec gt 1.005", "no");
    check(&above, "dec lt 1.005", "no");
    check(&above, "dec eq 1.004", "no");
}

#[test]
fn nan_is_no_number() {
    let all_nan = file(5, "double", [10, 0, 10], Json::Null, Json::Null);
    check(&all_nan, "double is-nan", "all");
    check(&all_nan, "double not-nan", "no");
    check(&all_nan, "double lt 5", "no");
    check(&all_nan, "double gt 5", "some");
    check(&all_nan, "not double gt 5", "some");
    check(&all_nan, "not not double lt 5", "no");
    check(&all_nan, "double not-eq 5", "all");
    check(&all_nan, "double in [1, 2]", "no");
    let nan_or_null = file(5, "double", [10, 4, 6], Json::Null, Json::Null);
    check(&nan_or_null, "double lt 5", "no");
    check(&nan_or_null, "double not-nan", "some");
    check(&nan_or_null, "double not-in [1, 2]", "all");
    let some_nan = file(5, "double", [10, 0, 3], json!(1), json!(2));
    check(&some_nan, "double lt 3", "some");
    check(&some_nan, "double lt 1", "no");
    check(&some_nan, "double eq 3", "no");
    check(&some_nan, "double gt 3", "some");
    check(&some_nan, "double gt-eq 3", "some");
    check(&some_nan, "not double lt 3", "some");
    check(&some_nan, "not double gt 0", "some");
    check(&some_nan, "double not-eq 3", "all");
    let none = file(5, "double", [10, 0, 0], json!(1), json!(2));
    check(&none, "double lt 3", "all");
    check(&none, "double is-nan", "no");
    check(&none, "double not-nan", "all");
    let unknown = file(5, "double", [10, 0, -1], json!(1), json!(1));
    check(&unknown, "double lt 3", "some");
    check(&unknown, "double is-nan", "some");
    check(&unknown, "double not-eq 1", "some");
    // What ORC writes if the first value is NaN.
    let orc = file(5, "double", [10, 0, 1], json!("NaN"), json!("NaN"));
    for text in ["double lt 3", "double gt 3", "double eq 3", "double in [1, 2]", "double not-eq 3"] {
        check(&orc, text, "some");
    }
}

#[test]
fn zeros_may_be_one_or_two() {
    let negative = file(5, "double", [10, 0, 0], json!(-0.0), json!(-0.0));
    let positive = file(5, "double", [10, 0, 0], json!(0.0), json!(0.0));
    for zero in [&negative, &positive] {
        for text in
            ["double eq 0.0", "double eq -0.0", "double not-eq 0.0", "double lt 0.0", "double gt -0.0"]
        {
            check(zero, text, "some");
        }
        check(zero, "double lt-eq 0.0", "all");
        check(zero, "double gt-eq -0.0", "all");
        check(zero, "double gt 0.0", "no");
        check(zero, "double lt -0.0", "no");
        check(zero, "double in [0.0, -0.0]", "all");
        check(zero, "double not-in [0.0, -0.0, 1.0]", "no");
        check(zero, "double not-in [0.0, 1.0]", "some");
    }
}

#[test]
fn prefixes_are_compared_with_cut_bounds() {
    let metrics = file(13, "string", [10, 0, -1], json!("abc"), json!("abd"));
    for (text, expected) in [
        ("str starts-with \"\"", "all"),
        ("str starts-with \"ab\"", "all"),
        ("str starts-with \"abc\"", "some"),
        ("str starts-with \"abcd\"", "some"),
        ("str starts-with \"abda\"", "no"),
        ("str starts-with \"abe\"", "no"),
        ("str starts-with \"aa\"", "no"),
        ("str starts-with \"b\"", "no"),
        ("str not-starts-with \"ab\"", "no"),
        ("str not-starts-with \"abc\"", "some"),
        ("str not-starts-with \"b\"", "all"),
        ("truncate[2](str) eq \"ab\"", "all"),
        ("truncate[2](str) gt \"ab\"", "no"),
        ("truncate[1](str) starts-with \"b\"", "no"),
    ] {
        check(&metrics, text, expected);
    }
    // A bound that was cut and raised in the middle of a character is no text, but still a bound.
    let mut cut = metrics.clone();
    cut.upper.insert(13, vec![b'a', 0xc4]);
    check(&cut, "str gt \"b\"", "no");
    check(&cut, "str starts-with \"aé\"", "some");
    check(&cut, "str starts-with \"b\"", "no");
    check(&cut, "truncate[1](str) gt \"b\"", "some");
    let with_nulls = file(13, "string", [10, 1, -1], json!("abc"), json!("abd"));
    check(&with_nulls, "str starts-with \"ab\"", "some");
    check(&with_nulls, "str not-starts-with \"ab\"", "some");
}

#[test]
fn characters_beyond_the_basic_plane_are_greater() {
    let metrics = file(13, "string", [10, 0, -1], json!("\u{fffd}"), json!("\u{1f600}"));
    check(&metrics, "str lt \"\u{10000}\"", "some");
    check(&metrics, "str gt \"\u{fffe}\"", "some");
    check(&metrics, "str lt \"\u{e000}\"", "no");
}

#[test]
fn promoted_columns_have_bounds_of_their_old_type() {
    let mut metrics = file(3, "int", [10, 0, -1], json!(-5), json!(5));
    check(&metrics, "long lt -5", "no");
    check(&metrics, "long lt 6", "all");
    metrics = file(5, "float", [10, 0, 0], json!(0.5), json!(1.5));
    check(&metrics, "double gt 1.5", "no");
    metrics = file(9, "date", [10, 0, -1], json!("2020-01-02"), json!("2020-01-03"));
    check(&metrics, "ts lt \"2020-01-02T00:00:00\"", "no");
    check(&metrics, "ts gt \"2020-01-01T00:00:00\"", "all");
}

#[test]
fn a_struct_that_may_be_null_hides_nulls() {
    // Ten rows of which six have the struct: not every writer counts the other four.
    let counted = file(22, "int", [10, 4, -1], json!(1), json!(1));
    let uncounted = file(22, "int", [6, 0, -1], json!(1), json!(1));
    for metrics in [&counted, &uncounted] {
        check(metrics, "opt.req is-null", "some");
        check(metrics, "opt.req eq 1", "some");
        check(metrics, "opt.req not-eq 1", "some");
        check(metrics, "opt.req eq 2", "no");
        check(metrics, "opt.req not-eq 2", "all");
    }
    let none = file(22, "int", [10, 0, -1], json!(1), json!(1));
    check(&none, "opt.req is-null", "no");
    check(&none, "opt.req eq 1", "all");
    check(&file(22, "int", [10, 10, -1], Json::Null, Json::Null), "opt.req is-null", "all");
    check(&file(26, "int", [-1, -1, -1], json!(1), json!(1)), "must.req eq 1", "all");
}

#[test]
fn transforms_that_keep_the_order_keep_the_bounds() {
    let metrics =
        file(9, "timestamp", [10, 0, -1], json!("2020-01-02T00:00:00"), json!("2020-01-03T23:59:59"));
    check(&metrics, "day(ts) lt \"2020-01-02\"", "no");
    check(&metrics, "day(ts) lt-eq \"2020-01-03\"", "all");
    check(&metrics, "month(ts) eq 600", "all");
    check(&metrics, "month(ts) not-eq 600", "no");
    let metrics = file(2, "int", [10, 0, -1], json!(11), json!(19));
    check(&metrics, "truncate[10](int) eq 10", "all");
    check(&metrics, "truncate[10](int) gt 10", "no");
    check(&metrics, "bucket[4](int) eq 1", "some");
    check(&metrics, "bucket[4](int) is-null", "no");
    // Truncating wraps around below the first multiple of the width.
    let metrics = file(2, "int", [10, 0, -1], json!(i32::MIN), json!(5));
    check(&metrics, "truncate[10](int) gt 100", "some");
    let metrics = file(2, "int", [10, 0, -1], Json::Null, json!(5));
    check(&metrics, "truncate[10](int) gt 100", "some");
    let metrics = file(2, "int", [10, 0, -1], json!(i32::MIN), json!(i32::MIN + 1));
    check(&metrics, "truncate[10](int) eq 2147483646", "all");
    check(&metrics, "truncate[10](int) eq 2147483640", "no");
    let metrics = file(2, "int", [10, 0, -1], json!(i32::MIN), Json::Null);
    check(&metrics, "truncate[10](int) lt 100", "some");
}

#[test]
fn uuids_may_have_been_ordered_as_signed_numbers() {
    let (low, high) = ("00000000-0000-0000-0000-000000000001", "80000000-0000-0000-0000-000000000001");
    // As Java was: the second is negative.
    let signed = file(14, "uuid", [10, 0, -1], json!(high), json!(low));
    check(&signed, "uuid eq \"ffffffff-0000-0000-0000-000000000000\"", "some");
    check(&signed, "uuid eq \"10000000-0000-0000-0000-000000000000\"", "no");
    check(&signed, &format!("uuid in [\"{low}\", \"{high}\"]"), "some");
    let unsigned = file(14, "uuid", [10, 0, -1], json!(low), json!(high));
    check(&unsigned, "uuid eq \"10000000-0000-0000-0000-000000000000\"", "some");
    check(&unsigned, "uuid gt \"f0000000-0000-0000-0000-000000000000\"", "some");
    check(&unsigned, "uuid not-eq \"f0000000-0000-0000-0000-000000000000\"", "all");
    // Greater than the first, and so in a file with signed bounds.
    check(&signed, "uuid gt \"10000000-0000-0000-0000-000000000000\"", "some");
    let small = file(14, "uuid", [10, 0, -1], json!(low), json!(low));
    check(&small, &format!("uuid eq \"{low}\""), "all");
    check(&small, "uuid gt \"00000000-0000-0001-0000-000000000000\"", "no");
    check(&small, "uuid lt \"00000000-0000-0001-0000-000000000000\"", "all");
    check(&small, "uuid gt \"00000000-0000-0000-0000-000000000001\"", "some");
    check(&small, &format!("uuid lt \"{high}\""), "all");
}

#[test]
fn files_without_rows_or_without_their_number_are_special() {
    let mut metrics = file(2, "int", [10, 0, -1], json!(5), json!(5));
    metrics.record_count = 0;
    check(&metrics, "int eq 5", "both");
    metrics.record_count = -1;
    check(&metrics, "int eq 6", "some");
    check(&metrics, "true", "all");
    check(&metrics, "false", "no");
}
