//! Filters against the summaries of manifests and partition tuples.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod expr_common;

use expr_common::{bound, bytes, show, spec};
use serde_json::{Value as Json, json};
use table_core::expr::bound::{Bound, PartitionFilter};
use table_core::expr::manifest_evaluator::{self, FieldSummary};
use table_core::expr::partition;
use table_core::expr::project::inclusive;
use table_core::expr::residual::Residuals;
use table_core::expr::value::Value;

/// Whether a manifest may match, from one summary: nulls, NaN, bounds.
#[track_caller]
fn check_manifest(
    field: &str,
    type_name: &str,
    summary: (bool, Option<bool>, Json, Json),
    texts: &[(&str, bool)],
) {
    let (contains_null, contains_nan, lower, upper) = summary;
    let encode = |bound: Json| (!bound.is_null()).then(|| bytes(type_name, &bound));
    let (lower, upper) = (encode(lower), encode(upper));
    let summary =
        FieldSummary { contains_null, contains_nan, lower: lower.as_deref(), upper: upper.as_deref() };
    for (text, expected) in texts {
        let filter = inclusive(&bound(text).unwrap(), &spec(field));
        assert_eq!(manifest_evaluator::might_match(&filter, &[summary]), *expected, "{text}");
        assert_eq!(manifest_evaluator::might_match(&filter, &[]), filter != Bound::False, "{text}");
    }
}

#[test]
fn manifests_are_judged_by_their_summaries() {
    let none = || Json::Null;
    check_manifest(
        "identity(2)",
        "int",
        (true, None, json!(30), json!(79)),
        &[
            ("int lt 30", false),
            ("int gt 79", false),
            ("int eq 30", true),
            ("int eq 80", false),
            ("int in [1, 2, 80]", false),
            ("int in [1, 2, 79]", true),
            ("int is-null", true),
            ("int not-null", true),
            ("int not-eq 5", true),
        ],
    );
    check_manifest(
        "identity(2)",
        "int",
        (false, None, json!(5), json!(5)),
        &[
            ("int not-eq 5", false),
            ("int not-in [4, 5]", false),
            ("int not-eq 6", true),
            ("int is-null", false),
        ],
    );
    check_manifest(
        "identity(2)",
        "int",
        (true, None, none(), none()),
        &[
            ("int is-null", true),
            ("int not-null", false),
            ("int lt 5", false),
            ("int in [4, 5]", false),
            ("int not-eq 5", true),
        ],
    );
    // Neither nulls nor bounds: the bounds are missing.
    check_manifest(
        "identity(2)",
        "int",
        (false, None, none(), none()),
        &[("int not-null", true), ("int lt 5", true), ("int not-in [4, 5]", true)],
    );
}

#[test]
fn summaries_of_floats_may_hide_nan() {
    let none = || Json::Null;
    check_manifest(
        "identity(5)",
        "double",
        (false, Some(true), none(), none()),
        &[
            ("double is-nan", true),
            ("double not-nan", false),
            ("double not-null", true),
            ("double lt 5", false),
            ("double gt 5", true),
            ("not double gt 5", true),
            ("double not-eq 5", true),
        ],
    );
    check_manifest(
        "identity(5)",
        "double",
        (true, None, none(), none()),
        &[
            ("double is-nan", true),
            ("double not-null", true),
            ("double not-nan", true),
            ("double lt 5", false),
            ("double gt 5", true),
        ],
    );
    check_manifest(
        "identity(5)",
        "double",
        (true, Some(false), none(), none()),
        &[("double is-nan", false), ("double not-null", false), ("double gt 5", false)],
    );
    check_manifest(
        "identity(5)",
        "double",
        (false, None, json!(1), json!(1)),
        &[("double not-eq 1", true), ("double gt 1", true), ("double lt 1", false)],
    );
}

#[test]
fn summaries_of_other_types_are_understood() {
    check_manifest(
        "truncate[3](13)",
        "string",
        (false, None, json!("abc"), json!("abd")),
        &[
            ("str starts-with \"ab\"", true),
            ("str starts-with \"abe\"", false),
            ("str starts-with \"b\"", false),
            ("str not-starts-with \"ab\"", false),
            ("str not-starts-with \"abc\"", true),
            ("str eq \"abcdef\"", true),
            ("str eq \"aba\"", false),
        ],
    );
    check_manifest(
        "bucket[16](3)",
        "int",
        (false, None, json!(4), json!(9)),
        &[("long eq 34", false), ("long in [34, 35]", true)],
    );
    check_manifest(
        "identity(14)",
        "uuid",
        (
            false,
            None,
            json!("80000000-0000-0000-0000-000000000001"),
            json!("00000000-0000-0000-0000-000000000001"),
        ),
        &[
            ("uuid eq \"ffffffff-0000-0000-0000-000000000000\"", true),
            ("uuid eq \"10000000-0000-0000-0000-000000000000\"", false),
        ],
    );
    check_manifest(
        "identity(9)",
        "timestamp",
        (false, None, json!("2020-01-01T01:00:00"), json!("2020-01-02T01:00:00")),
        &[
            ("day(ts) eq \"2020-01-02\"", true),
            ("day(ts) eq \"2020-01-03\"", false),
            ("year(ts) lt 50", false),
            ("year(ts) is-null", false),
        ],
    );
    check_manifest(
        "identity(2)",
        "int",
        (true, None, json!(5), json!(7)),
        &[("bucket[4](int) eq 1", true), ("truncate[5](int) eq 5", true), ("truncate[5](int) eq 10", false)],
    );
    // An `int` partition of a column that is a `long` now.
    check_manifest(
        "identity(3)",
        "int",
        (false, None, json!(1), json!(2)),
        &[("long eq 3", false), ("long eq 2", true)],
    );
}

#[test]
fn partitions_are_judged_without_nulls_being_small() {
    fn check(text: &str, value: Option<Value>, expected: bool) {
        let filter = inclusive(&bound(text).unwrap(), &spec("identity(5)"));
        assert_eq!(partition::might_match(&filter, [value].as_slice()), expected, "{text}");
    }
    check("double lt 5", Some(Value::Double(4.0)), true);
    check("double lt 5", None, false);
    check("double lt 5", Some(Value::Double(f64::NAN)), false);
    check("double gt 5", Some(Value::Double(f64::NAN)), true);
    check("double gt-eq 5", Some(Value::Double(f64::NAN)), true);
    check("not double gt 5", Some(Value::Double(f64::NAN)), true);
    check("double eq 5", Some(Value::Double(f64::NAN)), false);
    check("double not-eq 5", None, true);
    check("double not-eq 5", Some(Value::Double(f64::NAN)), true);
    check("double is-null", None, true);
    check("double not-nan", None, true);
    check("double eq 0.0", Some(Value::Double(-0.0)), true);
    // Not of the type of the field.
    check("double lt 5", Some(Value::Int(9)), true);
    let filter: PartitionFilter = inclusive(&bound("double lt 5").unwrap(), &spec("identity(5)"));
    assert!(!partition::must_match(&filter, [Some(Value::Int(1))].as_slice()));
}

#[test]
fn residuals_keep_what_the_partition_does_not_decide() {
    fn check(fields: &str, text: &str, tuple: &[Option<Value>], expected: &str) {
        let residual = Residuals::new(&bound(text).unwrap(), &spec(fields)).of(tuple);
        assert_eq!(show(&residual), expected, "{text} {tuple:?}");
    }
    let day = |days| [Some(Value::Date(days))];
    let range = "ts gt-eq \"1970-01-11T12:00:00\" & ts lt \"1970-01-13T12:00:00\"";
    check("day(9)", range, &day(9), "false");
    check("day(9)", range, &day(10), "ts gt-eq \"1970-01-11T12:00:00.000000\"");
    check("day(9)", range, &day(11), "true");
    check("day(9)", range, &day(12), "ts lt \"1970-01-13T12:00:00.000000\"");
    check("day(9)", range, &day(13), "false");
    check("day(9)", range, &[None], "false");
    check("day(9)", "int eq 5 & ts not-null", &day(9), "int eq 5");
    check("day(9)", "day(ts) eq \"1970-01-11\"", &day(10), "true");
    check("identity(2)", "int in [1, 2] | long eq 5", &[Some(Value::Int(1))], "true");
    check("identity(2)", "int in [1, 2] | long eq 5", &[Some(Value::Int(3))], "long eq 5");
    check("identity(2)", "int lt 5", &[None], "false");
    check("identity(2)", "int not-eq 5", &[None], "true");
    check("bucket[16](3)", "long eq 34", &[Some(Value::Int(3))], "long eq 34");
    check("bucket[16](3)", "long eq 34", &[Some(Value::Int(4))], "false");
    check("bucket[16](3)", "long not-eq 34", &[Some(Value::Int(4))], "true");
    check("void(2)", "int eq 34", &[None], "int eq 34");
    check("", "int eq 34", &[], "int eq 34");
    check("truncate[2](13)", "str starts-with \"ab\"", &[Some(Value::String("ab".into()))], "true");
    // 34 is in bucket 3 of 16.
    let bucket = "bucket[16](long) eq 3 & int eq 1";
    check("identity(3)", bucket, &[Some(Value::Long(34))], "int eq 1");
    check("identity(3)", bucket, &[Some(Value::Long(35))], "false");
    check("identity(3)", bucket, &[None], "false");
    check("identity(3)", "bucket[16](long) not-eq 3", &[None], "true");
    check("identity(9)", "day(ts) lt-eq \"1969-12-31\"", &[Some(Value::Timestamp(-1))], "true");
    check("identity(9)", "day(ts) lt-eq \"1969-12-31\"", &[Some(Value::Timestamp(0))], "false");
}
