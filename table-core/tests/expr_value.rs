//! Single values: their order, bytes and JSON.

use std::cmp::Ordering;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use table_core::expr::civil::{civil_from_days, days_from_civil, parse_date, parse_timestamptz};
use table_core::expr::decimal::Decimal;
use table_core::expr::value::{Value, ValueRef};
use table_core::metadata::types::Primitive;

fn decimal(unscaled: i128, scale: u32) -> Value {
    Value::Decimal(Decimal { unscaled, scale })
}

fn from_json(type_name: &str, json: &Json) -> Option<Value> {
    Value::from_json(json, &Primitive::parse(type_name)).ok()
}

#[test]
fn values_are_ordered_as_java_orders_them() {
    fn check(smaller: &Value, greater: &Value) {
        assert_eq!(smaller.cmp(greater), Ordering::Less, "{smaller:?} {greater:?}");
        assert_eq!(greater.cmp(smaller), Ordering::Greater, "{smaller:?} {greater:?}");
    }
    let text = |text: &str| Value::String(text.to_owned());
    check(&Value::Boolean(false), &Value::Boolean(true));
    check(&Value::Int(-1), &Value::Int(0));
    check(&Value::Float(-0.0), &Value::Float(0.0));
    check(&Value::Double(f64::INFINITY), &Value::Double(f64::NAN));
    check(&Value::Double(f64::NEG_INFINITY), &Value::Double(-f64::NAN));
    check(&decimal(-1, 0), &decimal(-5, 1));
    check(&decimal(i128::MIN, 0), &decimal(i128::MAX, 38));
    check(&decimal(1, 38), &decimal(i128::MAX, 0));
    check(&Value::Uuid(uuid::Uuid::from_u128(1)), &Value::Uuid(uuid::Uuid::from_u128(1 << 127)));
    check(&Value::Binary(vec![0x7f]), &Value::Binary(vec![0x80]));
    check(&Value::Binary(vec![1]), &Value::Binary(vec![1, 0]));
    // As UTF-16 units, which start a code point over U+FFFF at U+D800, it would be the other way round.
    check(&text("\u{ffff}"), &text("\u{10000}"));
    check(&text("a"), &text("aa"));
    assert_eq!(decimal(10, 1), decimal(100, 2));
    assert_eq!(Value::Double(f64::NAN), Value::Double(-f64::NAN));
}

#[test]
fn binary_values_are_those_of_the_specification() {
    fn check(type_name: &str, bytes: &[u8], expected: &Value) {
        let value_type = Primitive::parse(type_name);
        assert_eq!(Value::decode(bytes, &value_type).as_ref(), Some(expected), "{type_name}");
        assert_eq!(expected.encode(), bytes, "{type_name}");
    }
    check("boolean", &[1], &Value::Boolean(true));
    check("int", &[34, 0, 0, 0], &Value::Int(34));
    check("long", &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], &Value::Long(-2));
    check("float", &[0, 0, 0x80, 0x3f], &Value::Float(1.0));
    check("double", &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f], &Value::Double(1.0));
    check("decimal(9, 2)", &[0x05, 0x8c], &decimal(1420, 2));
    check("decimal(9, 2)", &[0x00, 0x80], &decimal(128, 2));
    check("decimal(9, 2)", &[0x80], &decimal(-128, 2));
    check("decimal(9, 2)", &[0xff, 0x7f], &decimal(-129, 2));
    check("decimal(9, 2)", &[0], &decimal(0, 2));
    check("decimal(9, 2)", &[0xff], &decimal(-1, 2));
    check("date", &[0xff, 0xff, 0xff, 0xff], &Value::Date(-1));
    check("timestamptz_ns", &[1, 0, 0, 0, 0, 0, 0, 0], &Value::TimestamptzNs(1));
    check("string", "né".as_bytes(), &Value::String("né".to_owned()));
    check("fixed[2]", &[1, 2], &Value::Fixed(vec![1, 2]));
    check("binary", &[], &Value::Binary(vec![]));
    let bytes: Vec<u8> = (0..16).collect();
    check("uuid", &bytes, &Value::Uuid(uuid::Uuid::from_slice(&bytes).unwrap()));
}

#[test]
fn bounds_from_before_a_promotion_are_understood() {
    fn check(type_name: &str, bytes: &[u8], expected: &Value) {
        assert_eq!(Value::decode(bytes, &Primitive::parse(type_name)).as_ref(), Some(expected));
    }
    check("long", &(-5_i32).to_le_bytes(), &Value::Long(-5));
    check("double", &1.5_f32.to_le_bytes(), &Value::Double(1.5));
    check("decimal(38, 2)", &[0xff, 0xff, 0x80], &decimal(-128, 2));
    check("decimal(38, 2)", &[0; 20], &decimal(0, 2));
    check("timestamp", &(-1_i32).to_le_bytes(), &Value::Timestamp(-86_400_000_000));
    check("timestamp_ns", &1_i32.to_le_bytes(), &Value::TimestampNs(86_400_000_000_000));
}

#[test]
fn bytes_that_are_not_of_the_type_are_nothing() {
    fn check(type_name: &str, bytes: &[u8]) {
        assert_eq!(Value::decode(bytes, &Primitive::parse(type_name)), None, "{type_name} {bytes:?}");
    }
    for type_name in [
        "boolean",
        "int",
        "long",
        "float",
        "double",
        "decimal(9,2)",
        "date",
        "time",
        "timestamp",
        "uuid",
        "timestamptz_ns",
        "variant",
        "unknown",
        "geometry",
        "what",
    ] {
        check(type_name, &[]);
        check(type_name, &[1, 0x80, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8]);
    }
    check("timestamptz", &[0; 4]);
    check("timestamp_ns", &i32::MAX.to_le_bytes());
    check("string", &[0xff]);
    check("fixed[2]", &[1]);
    // 17 bytes of which the first is not the sign of the rest.
    check("decimal(38, 0)", &[0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].map(|byte| byte | 1));
}

#[test]
fn json_values_are_those_of_the_specification() {
    fn check(type_name: &str, json: &Json, expected: &Value) {
        assert_eq!(from_json(type_name, json).as_ref(), Some(expected), "{type_name}");
        assert_eq!(expected.to_json(), *json, "{type_name}");
    }
    check("boolean", &json!(true), &Value::Boolean(true));
    check("int", &json!(34), &Value::Int(34));
    check("long", &json!(i64::MIN), &Value::Long(i64::MIN));
    check("float", &json!(0.1), &Value::Float(0.1));
    check("double", &json!(123.456), &Value::Double(123.456));
    check("double", &json!("-Infinity"), &Value::Double(f64::NEG_INFINITY));
    check("decimal(9, 4)", &json!("123.4500"), &decimal(1_234_500, 4));
    check("decimal(9, 2)", &json!("-0.05"), &decimal(-5, 2));
    check("decimal(9, 0)", &json!("2"), &decimal(2, 0));
    check("date", &json!("2007-12-03"), &Value::Date(13_850));
    check("date", &json!("-0001-02-28"), &Value::Date(-719_835));
    check("date", &json!("+10000-01-01"), &Value::Date(2_932_897));
    check("time", &json!("22:31:08.123456"), &Value::Time(81_068_123_456));
    check("timestamp", &json!("2017-11-16T22:31:08.123456"), &Value::Timestamp(1_510_871_468_123_456));
    check("timestamptz", &json!("1969-12-31T23:59:59.999999+00:00"), &Value::Timestamptz(-1));
    check("timestamp_ns", &json!("1969-12-31T23:59:59.999999999"), &Value::TimestampNs(-1));
    check("timestamptz_ns", &json!("1970-01-01T00:00:00.000000001+00:00"), &Value::TimestamptzNs(1));
    check("string", &json!("a"), &Value::String("a".to_owned()));
    check("fixed[3]", &json!("78797A"), &Value::Fixed(b"xyz".to_vec()));
    check("binary", &json!("00FF"), &Value::Binary(vec![0, 255]));
    let uuid = "eb26bdb1-a1d8-4aa6-990e-da940875492c";
    check("uuid", &json!(uuid), &Value::Uuid(uuid.parse().unwrap()));
}

#[test]
fn json_values_may_be_spelt_otherwise() {
    fn check(type_name: &str, json: &Json, canonical: &Json) {
        assert_eq!(from_json(type_name, json).unwrap().to_json(), *canonical);
    }
    check("binary", &json!("00ff"), &json!("00FF"));
    check("time", &json!("10:15"), &json!("10:15:00.000000"));
    check("timestamp", &json!("2007-12-03t10:15:30"), &json!("2007-12-03T10:15:30.000000"));
    check("timestamp", &json!("2007-12-03T10:15:30.000001000"), &json!("2007-12-03T10:15:30.000001"));
    check("timestamptz", &json!("2007-12-03T10:15:30Z"), &json!("2007-12-03T10:15:30.000000+00:00"));
    check("timestamptz", &json!("2007-12-03T10:15:30+01:30"), &json!("2007-12-03T08:45:30.000000+00:00"));
    check("timestamptz", &json!("2007-12-03T22:15:30-02:00"), &json!("2007-12-04T00:15:30.000000+00:00"));
    check("decimal(9, 1)", &json!("2E+3"), &json!("2000.0"));
    check("decimal(9, 2)", &json!("1.5"), &json!("1.50"));
    check("double", &json!(1), &json!(1.0));
}

#[test]
fn json_that_is_not_of_the_type_is_refused() {
    fn check(type_name: &str, json: &Json) {
        assert_eq!(from_json(type_name, json), None, "{type_name} {json}");
    }
    check("boolean", &json!("true"));
    check("int", &json!(2_147_483_648_i64));
    check("int", &json!(1.5));
    check("long", &json!("1"));
    check("float", &json!(1e300));
    check("decimal(9, 2)", &json!("1.555"));
    check("decimal(9, 2)", &json!(1.55));
    check("decimal(9, 2)", &json!("1e999999999"));
    check("decimal(9, 2)", &json!("."));
    check("date", &json!("2007-02-29"));
    check("date", &json!("2007-1-01"));
    check("date", &json!("12007-01-01"));
    check("date", &json!("2007-01-01T00:00"));
    check("date", &json!("é007-01-01"));
    check("time", &json!("24:00:00"));
    check("time", &json!("10:15:30.1234567"));
    check("timestamp", &json!("2007-12-03T10:15:30Z"));
    check("timestamp", &json!("2007-12-03 10:15:30"));
    check("timestamptz", &json!("2007-12-03T10:15:30"));
    check("timestamp_ns", &json!("9999-12-03T10:15:30"));
    check("uuid", &json!("eb26bdb1a1d84aa6990eda940875492c"));
    check("fixed[3]", &json!("7879"));
    check("binary", &json!("7"));
    check("binary", &json!("zz"));
    check("variant", &json!(1));
    let error = Value::from_json(&json!("x"), &Primitive::Date).unwrap_err().to_string();
    assert_eq!(error, "`\"x\"` is not a value of type `date`; write a date such as `\"2007-12-03\"`");
}

#[test]
fn every_day_of_eight_centuries_is_its_own() {
    let mut expected = (1599, 12, 31);
    for days in days_from_civil(1600, 1, 1)..days_from_civil(2400, 1, 1) {
        let date = civil_from_days(days);
        assert!(date > expected, "{date:?}");
        assert_eq!(days_from_civil(date.0, date.1, date.2), days);
        expected = date;
    }
    assert_eq!(days_from_civil(1970, 1, 1), 0);
    assert_eq!(parse_date("1969-12-31"), Some(-1));
    assert_eq!(parse_timestamptz("1970-01-01T00:00:00+00:00"), Some(0));
}

fn any_type() -> impl Strategy<Value = Primitive> {
    prop::sample::select(
        [
            "boolean",
            "int",
            "long",
            "float",
            "double",
            "decimal(38, 5)",
            "date",
            "time",
            "timestamp",
            "timestamptz",
            "timestamp_ns",
            "timestamptz_ns",
            "string",
            "uuid",
            "fixed[4]",
            "binary",
            "variant",
            "nonsense",
        ]
        .map(Primitive::parse)
        .to_vec(),
    )
}

proptest! {
    #[test]
    fn any_bytes_decode_or_not_but_never_panic(
        value_type in any_type(), bytes in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        if let Some(value) = Value::decode(&bytes, &value_type) {
            prop_assert!(value.is_of(&value_type));
            prop_assert_eq!(Value::decode(&value.encode(), &value_type), Some(value.clone()));
            // The dates of some numbers are later than any text of a date.
            if let Ok(again) = Value::from_json(&value.to_json(), &value_type) {
                prop_assert_eq!(again, value);
            }
        }
        if let Some(value) = ValueRef::decode(&bytes, &value_type) {
            prop_assert!(value.is_comparable(value));
        }
    }

    #[test]
    fn any_text_is_read_or_not_but_never_panics(value_type in any_type(), text in "\\PC{0,12}|[-+0-9TZ:.eE]{0,30}") {
        if let Ok(value) = Value::from_json(&json!(text), &value_type) {
            prop_assert!(value.is_of(&value_type));
        }
    }

    #[test]
    fn decimals_compare_as_numbers(left in -2000_i32..2000, right in -2000_i32..2000, scale in 0_u32..4) {
        let raised = decimal(i128::from(right) * 10_i128.pow(scale), scale);
        prop_assert_eq!(decimal(i128::from(left), 0).cmp(&raised), left.cmp(&right));
        prop_assert_eq!(raised.cmp(&decimal(i128::from(left), 0)), right.cmp(&left));
    }
}
