//! Projections onto partition specs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod expr_common;

use expr_common::{bound, show_partition, spec};
use table_core::expr::project::{inclusive, strict};

/// The inclusive and the strict projection. Columns: `int` is 2, `long` 3, `double` 5, `dec` 6, `date` 7, `ts` 9,
/// `tzn` 12, `str` 13, `bin` 16.
fn check(fields: &str, text: &str, expected_inclusive: &str, expected_strict: &str) {
    let (filter, spec) = (bound(text).unwrap(), spec(fields));
    assert_eq!(
        show_partition(&inclusive(&filter, &spec)),
        expected_inclusive,
        "inclusive: {text} on {fields}"
    );
    assert_eq!(show_partition(&strict(&filter, &spec)), expected_strict, "strict: {text} on {fields}");
}

#[test]
fn identity_keeps_the_test() {
    for test in ["is-null", "not-null", "lt 5", "gt-eq 5", "eq 5", "not-eq 5", "in [1,2]", "not-in [1,2]"] {
        check("identity(2)", &format!("int {test}"), &format!("p0 {test}"), &format!("p0 {test}"));
    }
    check("identity(13)", "str starts-with \"a\"", "p0 starts-with \"a\"", "p0 starts-with \"a\"");
    check("identity(5)", "double is-nan", "p0 is-nan", "p0 is-nan");
}

#[test]
fn identity_decides_transforms_of_its_value() {
    check("identity(3)", "bucket[8](long) eq 4", "bucket[8](p0) eq 4", "bucket[8](p0) eq 4");
    check(
        "identity(3)",
        "bucket[8](long) not-in [4,5]",
        "bucket[8](p0) not-in [4,5]",
        "bucket[8](p0) not-in [4,5]",
    );
    check(
        "identity(9)",
        "day(ts) lt \"1969-12-31\"",
        "day(p0) lt \"1969-12-31\"",
        "day(p0) lt \"1969-12-31\"",
    );
    check("identity(13)", "truncate[2](str) is-null", "truncate[2](p0) is-null", "truncate[2](p0) is-null");
    check("day(9)", "month(ts) eq 1", "true", "false");
}

#[test]
fn what_clients_round_differently_is_certain_for_no_partition() {
    check("identity(6)", "dec gt 1.005", "p0 gt \"1.00\"", "false");
    check("identity(6)", "dec eq 1.005", "p0 in [\"1.00\",\"1.01\"]", "false");
    check("identity(6)", "dec not-eq 1.005", "p0 not-in []", "false");
    check("truncate[100](6)", "dec lt 1.005", "p0 lt-eq \"1.00\"", "false");
    check("truncate[100](6)", "dec not-eq 1.005", "true", "false");
    check("bucket[4](6)", "dec not-in [1.005, 2]", "true", "false");
}

#[test]
fn zeros_of_floats_are_taken_for_one_and_for_two() {
    check("identity(5)", "double eq 0.0", "p0 in [-0.0,0.0]", "p0 eq 0.0");
    check("identity(5)", "double lt 0.0", "p0 lt 0.0", "p0 lt -0.0");
    check("identity(5)", "double lt-eq -0.0", "p0 lt-eq 0.0", "p0 lt-eq -0.0");
    check("identity(5)", "double gt -0.0", "p0 gt -0.0", "p0 gt 0.0");
    check("identity(5)", "double gt-eq 0.0", "p0 gt-eq -0.0", "p0 gt-eq 0.0");
    check("identity(5)", "double not-eq 0.0", "p0 not-eq 0.0", "p0 not-in [-0.0,0.0]");
    check("identity(5)", "double in [0.0, 1.0]", "p0 in [-0.0,0.0,1.0]", "p0 in [0.0,1.0]");
    check("identity(5)", "double not-in [0.0, 1.0]", "p0 not-in [0.0,1.0]", "p0 not-in [-0.0,0.0,1.0]");
}

#[test]
fn buckets_know_equality_only() {
    check("bucket[16](3)", "long eq 34", "p0 eq 3", "false");
    check("bucket[16](3)", "long not-eq 34", "true", "p0 not-eq 3");
    check("bucket[16](3)", "long in [34, 35, 36]", "p0 in [3,5,14]", "false");
    check("bucket[16](3)", "long not-in [34, 35]", "true", "p0 not-in [3,5]");
    check("bucket[16](3)", "long lt 34", "true", "false");
    check("bucket[16](3)", "long is-null", "p0 is-null", "p0 is-null");
    check("bucket[16](3)", "bucket[16](long) lt 4", "p0 lt 4", "p0 lt 4");
    check("bucket[16](3)", "bucket[8](long) eq 4", "true", "false");
}

#[test]
fn truncated_integers_round_outwards_or_inwards() {
    // Integers within a width of the minimum wrap around to the last partition.
    check("truncate[10](2)", "int lt 20", "p0 lt-eq 10 | p0 eq 2147483646", "p0 lt 20");
    check("truncate[10](2)", "int lt 21", "p0 lt-eq 20 | p0 eq 2147483646", "p0 lt 20");
    check("truncate[10](2)", "int lt-eq 19", "p0 lt-eq 10 | p0 eq 2147483646", "p0 lt 20");
    check("truncate[10](2)", "int gt 19", "p0 gt-eq 20", "p0 gt 10 & p0 not-eq 2147483646");
    check("truncate[10](2)", "int gt-eq 20", "p0 gt-eq 20", "p0 gt 10 & p0 not-eq 2147483646");
    check("truncate[10](2)", "int eq -1", "p0 eq -10", "false");
    check("truncate[10](2)", "int not-eq -1", "true", "p0 not-eq -10");
    check("truncate[10](2)", "int in [1, 2, 11]", "p0 in [0,10]", "false");
    check("truncate[10](2)", "int in [1, 2]", "p0 eq 0", "false");
    check("truncate[10](2)", "int not-in [1, 2, 11]", "true", "p0 not-in [0,10]");
    check("truncate[8](2)", "int lt 20", "p0 lt-eq 16", "p0 lt 16");
    check("truncate[8](3)", "long gt 20", "p0 gt-eq 16", "p0 gt 16");
}

#[test]
fn the_ends_of_a_type_are_constant_or_wrap() {
    check("truncate[8](2)", "int lt -2147483648", "false", "p0 lt -2147483648");
    check("truncate[8](2)", "int gt 2147483647", "false", "p0 gt 2147483640");
    check("truncate[8](2)", "int lt-eq 2147483647", "p0 lt-eq 2147483640", "p0 not-null");
    check("truncate[8](2)", "int gt-eq -2147483648", "p0 gt-eq -2147483648", "p0 not-null");
    check("truncate[10](2)", "int lt-eq -2147483648", "p0 eq 2147483646", "false");
    check("truncate[10](2)", "int gt -2147483648", "p0 not-null", "false");
    check("truncate[10](2)", "int lt -2147483647", "p0 eq 2147483646", "false");
}

#[test]
fn truncated_decimals_count_in_their_last_digit() {
    check("truncate[100](6)", "dec lt \"5.00\"", "p0 lt-eq \"4.00\"", "p0 lt \"5.00\"");
    check("truncate[100](6)", "dec gt \"4.99\"", "p0 gt-eq \"5.00\"", "p0 gt \"4.00\"");
    check("truncate[100](6)", "dec eq 5", "p0 eq \"5.00\"", "false");
}

#[test]
fn truncated_strings_are_prefixes() {
    check("truncate[2](13)", "str lt \"abc\"", "p0 lt-eq \"ab\"", "p0 lt \"ab\"");
    check("truncate[2](13)", "str gt \"abc\"", "p0 gt-eq \"ab\"", "p0 gt \"ab\"");
    check("truncate[2](13)", "str eq \"abc\"", "p0 eq \"ab\"", "false");
    check("truncate[2](13)", "str starts-with \"a\"", "p0 starts-with \"a\"", "p0 starts-with \"a\"");
    check("truncate[2](13)", "str starts-with \"ab\"", "p0 eq \"ab\"", "p0 eq \"ab\"");
    check("truncate[2](13)", "str starts-with \"abc\"", "p0 eq \"ab\"", "false");
    check(
        "truncate[2](13)",
        "str not-starts-with \"a\"",
        "p0 not-starts-with \"a\"",
        "p0 not-starts-with \"a\"",
    );
    check("truncate[2](13)", "str not-starts-with \"ab\"", "p0 not-eq \"ab\"", "p0 not-eq \"ab\"");
    check("truncate[2](13)", "str not-starts-with \"abc\"", "true", "p0 not-eq \"ab\"");
    check("truncate[2](13)", "str starts-with \"éé\"", "p0 eq \"éé\"", "p0 eq \"éé\"");
    check("truncate[1](16)", "bin gt \"0A0B\"", "p0 gt-eq \"0A\"", "p0 gt \"0A\"");
    check("bucket[4](13)", "str starts-with \"a\"", "true", "false");
}

#[test]
fn times_after_1970_are_exact() {
    let (day, next) = ("2020-01-02", "2020-01-03");
    check(
        "day(9)",
        "ts lt \"2020-01-03T00:00:00\"",
        &format!("p0 lt-eq \"{day}\""),
        &format!("p0 lt \"{next}\""),
    );
    check(
        "day(9)",
        "ts lt-eq \"2020-01-02T23:59:59.999999\"",
        &format!("p0 lt-eq \"{day}\""),
        &format!("p0 lt \"{next}\""),
    );
    check(
        "day(9)",
        "ts gt \"2020-01-02T23:59:59.999999\"",
        &format!("p0 gt-eq \"{next}\""),
        &format!("p0 gt \"{day}\""),
    );
    check(
        "day(9)",
        "ts gt-eq \"2020-01-03T00:00:00\"",
        &format!("p0 gt-eq \"{next}\""),
        &format!("p0 gt \"{day}\""),
    );
    check("day(9)", "ts eq \"2020-01-02T10:00:00\"", &format!("p0 eq \"{day}\""), "false");
    check("day(9)", "ts not-eq \"2020-01-02T10:00:00\"", "true", &format!("p0 not-eq \"{day}\""));
    check("day(9)", "day(ts) eq \"2020-01-02\"", &format!("p0 eq \"{day}\""), &format!("p0 eq \"{day}\""));
    check("year(9)", "ts lt \"2020-01-01T00:00:00\"", "p0 lt-eq 49", "p0 lt 50");
    check("month(7)", "date gt-eq \"2020-02-01\"", "p0 gt-eq 601", "p0 gt 600");
    check("day(7)", "date lt \"2020-01-03\"", &format!("p0 lt-eq \"{day}\""), &format!("p0 lt \"{next}\""));
    check("hour(12)", "tzn lt \"1970-01-01T10:00:00Z\"", "p0 lt-eq 9", "p0 lt 10");
}

#[test]
fn times_before_1970_may_be_off_by_one() {
    check("year(7)", "date lt \"1969-01-01\"", "p0 lt-eq -1", "p0 lt -1");
    check("year(7)", "date gt \"1968-12-31\"", "p0 gt-eq -1", "p0 gt -1");
    check("year(7)", "date eq \"1968-12-31\"", "p0 in [-2,-1]", "false");
    check("year(7)", "date not-eq \"1968-12-31\"", "true", "p0 not-in [-2,-1]");
    check("year(7)", "date in [\"1968-12-31\", \"1975-01-01\"]", "p0 in [-2,-1,5]", "false");
    check("hour(9)", "ts lt \"1969-12-31T22:00:00\"", "p0 lt-eq -2", "p0 lt -3");
    check("hour(9)", "ts gt-eq \"1969-12-31T22:00:00\"", "p0 gt-eq -3", "p0 gt -2");
    check("hour(9)", "ts eq \"1969-12-31T22:00:00\"", "p0 in [-3,-2,-1]", "false");
    check("hour(9)", "hour(ts) eq -2", "p0 in [-3,-2,-1]", "false");
    check("hour(9)", "hour(ts) gt 0", "p0 gt-eq 1", "p0 gt 0");
    // Days of dates are not computed, so they are right.
    check("day(7)", "date eq \"1968-12-31\"", "p0 eq \"1968-12-31\"", "false");
}

#[test]
fn what_says_nothing_is_left_out() {
    check("void(2)", "int eq 1", "true", "false");
    check("zorder(2)", "int eq 1", "true", "false");
    check("identity(2,3)", "int eq 1", "true", "false");
    check("identity(99)", "int eq 1", "true", "false");
    check("identity(3)", "int eq 1", "true", "false");
    check("", "int eq 1", "true", "false");
    check("hour(9)", "ts eq \"9999-01-01T00:00:00\"", "p0 eq 70380768", "false");
    check("hour(9)", "ts lt 9223372036854775807", "true", "false");
}

#[test]
fn every_field_of_a_column_counts() {
    check("bucket[4](3) bucket[8](3)", "long eq 34", "p0 eq 3 & p1 eq 3", "false");
    check("day(9) identity(2)", "ts is-null & int eq 5", "p0 is-null & p1 eq 5", "p0 is-null & p1 eq 5");
    check("identity(3) bucket[8](3)", "long not-eq 34", "p0 not-eq 34", "p0 not-eq 34 | p1 not-eq 3");
    check("identity(2)", "int eq 1 & long eq 2", "p0 eq 1", "false");
    check("identity(2)", "int eq 1 | long eq 2", "true", "p0 eq 1");
}
