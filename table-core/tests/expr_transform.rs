//! Transforms of values, with the vectors of the specification.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use table_core::expr::value::Value;
use table_core::metadata::transform::Transform;
use table_core::metadata::types::Primitive;

fn value(type_name: &str, json: &Json) -> Value {
    Value::from_json(json, &Primitive::parse(type_name)).unwrap()
}

/// The result of a transform as JSON; null if there is none.
fn check(transform: &str, type_name: &str, source: &Json, expected: &Json) {
    let result = Transform::parse(transform).apply(&value(type_name, source));
    let shown = result.as_ref().map_or(Json::Null, Value::to_json);
    assert_eq!(shown, *expected, "{transform} of {type_name} {source}");
    if let Some(result) = result {
        let result_type = Transform::parse(transform).result_type(&Primitive::parse(type_name)).unwrap();
        assert!(result.is_of(&result_type), "{transform} of {type_name}: {result:?}");
    }
}

/// The hash shows through the most buckets that there can be.
fn check_hash(type_name: &str, source: &Json, hash: i32) {
    check("bucket[2147483647]", type_name, source, &json!((hash & i32::MAX) % i32::MAX));
}

#[test]
fn hashes_are_those_of_appendix_b() {
    check_hash("int", &json!(34), 2_017_239_379);
    check_hash("long", &json!(34), 2_017_239_379);
    check_hash("decimal(9, 2)", &json!("14.20"), -500_754_589);
    check_hash("date", &json!("2017-11-16"), -653_330_422);
    check_hash("time", &json!("22:31:08"), -662_762_989);
    check_hash("timestamp", &json!("2017-11-16T22:31:08"), -2_047_944_441);
    check_hash("timestamp", &json!("2017-11-16T22:31:08.000001"), -1_207_196_810);
    check_hash("timestamptz", &json!("2017-11-16T14:31:08-08:00"), -2_047_944_441);
    check_hash("timestamptz", &json!("2017-11-16T14:31:08.000001-08:00"), -1_207_196_810);
    check_hash("timestamp_ns", &json!("2017-11-16T22:31:08"), -2_047_944_441);
    check_hash("timestamp_ns", &json!("2017-11-16T22:31:08.000001001"), -1_207_196_810);
    check_hash("timestamptz_ns", &json!("2017-11-16T14:31:08-08:00"), -2_047_944_441);
    check_hash("timestamptz_ns", &json!("2017-11-16T14:31:08.000001001-08:00"), -1_207_196_810);
    check_hash("string", &json!("iceberg"), 1_210_000_089);
    check_hash("uuid", &json!("f79c3e09-677c-4bbd-a479-3f349cb785e7"), 1_488_055_340);
    check_hash("fixed[4]", &json!("00010203"), -188_683_207);
    check_hash("binary", &json!("00010203"), -188_683_207);
}

#[test]
fn nanoseconds_before_1970_hash_as_the_microsecond_below() {
    let bucket = Transform::parse("bucket[1000]");
    assert_eq!(bucket.apply(&Value::TimestampNs(-1)), bucket.apply(&Value::Timestamp(-1)));
    assert_eq!(bucket.apply(&Value::TimestampNs(-1000)), bucket.apply(&Value::Timestamp(-1)));
}

#[test]
fn truncation_rounds_down() {
    check("truncate[10]", "int", &json!(1), &json!(0));
    check("truncate[10]", "int", &json!(-1), &json!(-10));
    check("truncate[10]", "long", &json!(-10), &json!(-10));
    check("truncate[50]", "decimal(9, 2)", &json!("10.65"), &json!("10.50"));
    check("truncate[10]", "decimal(9, 2)", &json!("-0.05"), &json!("-0.10"));
    check("truncate[3]", "string", &json!("iceberg"), &json!("ice"));
    check("truncate[2]", "string", &json!("日本語"), &json!("日本"));
    check("truncate[2]", "string", &json!("😀é!"), &json!("😀é"));
    check("truncate[5]", "string", &json!("abc"), &json!("abc"));
    check("truncate[2]", "binary", &json!("01020304"), &json!("0102"));
    check("truncate[10]", "int", &json!(i32::MIN), &json!(2_147_483_646));
    check("truncate[2147483647]", "int", &json!(-1), &json!(-2_147_483_647));
    check("truncate[2147483647]", "int", &json!(i32::MIN), &json!(2));
    check("truncate[10]", "long", &json!(i64::MIN), &json!(i64::MAX - 1));
    check("truncate[3]", "fixed[4]", &json!("01020304"), &Json::Null);
}

#[test]
fn times_count_from_1970_both_ways() {
    check("year", "date", &json!("2017-11-16"), &json!(47));
    check("year", "date", &json!("1969-12-31"), &json!(-1));
    check("year", "date", &json!("1969-01-01"), &json!(-1));
    check("year", "date", &json!("1968-12-31"), &json!(-2));
    check("month", "date", &json!("1969-12-01"), &json!(-1));
    check("month", "date", &json!("1969-11-30"), &json!(-2));
    check("month", "timestamp", &json!("2017-12-01T10:30:42.123"), &json!(575));
    check("day", "date", &json!("2017-12-01"), &json!("2017-12-01"));
    check("day", "timestamp", &json!("1969-12-31T23:59:59.999999"), &json!("1969-12-31"));
    check("day", "timestamp", &json!("1969-12-31T00:00:00.999999"), &json!("1969-12-31"));
    check("day", "timestamptz_ns", &json!("1970-01-01T00:00:00Z"), &json!("1970-01-01"));
    check("hour", "timestamp_ns", &json!("1969-12-31T23:00:00"), &json!(-1));
    check("hour", "timestamp_ns", &json!("1969-12-31T22:59:59.999999999"), &json!(-2));
    check("hour", "timestamptz", &json!("2017-12-01T10:30:42Z"), &json!(420_034));
    check("hour", "timestamptz", &json!("2017-12-01T10:30:42+02:00"), &json!(420_032));
    check("hour", "date", &json!("2017-12-01"), &Json::Null);
    check("day", "time", &json!("10:00"), &Json::Null);
}

#[test]
fn what_has_no_result_has_none() {
    check("identity", "double", &json!(0.5), &json!(0.5));
    check("void", "int", &json!(1), &Json::Null);
    check("zorder", "int", &json!(1), &Json::Null);
    check("bucket[4]", "double", &json!(0.5), &Json::Null);
    check("bucket[4]", "boolean", &json!(true), &Json::Null);
    assert_eq!(Transform::Hour.apply(&Value::Timestamp(i64::MAX)), None);
}

proptest! {
    #[test]
    fn results_are_ordered_as_their_sources(
        left in any::<i64>(), right in any::<i64>(), width in 1_u32..2000,
        name in prop::sample::select(vec!["year", "month", "day", "hour", "truncate"]),
    ) {
        let transform = if name == "truncate" { Transform::Truncate(width) } else { Transform::parse(name) };
        // Not within a width of the minimum, where truncating wraps around.
        let make = |value: i64| match name {
            "truncate" => Value::Long(value.saturating_add(2000)),
            _ => Value::TimestamptzNs(value),
        };
        let (left, right) = (make(left.min(right)), make(left.max(right)));
        prop_assert!(transform.preserves_order());
        prop_assert!(transform.apply(&left).unwrap() <= transform.apply(&right).unwrap());
    }
}
