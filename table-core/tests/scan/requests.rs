//! Requests as their clients wrote them: no number loses a bit on the way to the plan and back, no chain is
//! too long.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;
use table_core::expr::bind::{NameMatching, bind};
use table_core::expr::bound::{Bound, BoundFilter};
use table_core::expr::decimal::Decimal;
use table_core::expr::expression::{Expression, Predicate, Test};
use table_core::expr::json::EXPRESSION_DEPTH_MAX;
use table_core::expr::value::Value;
use table_core::metadata::json::Raw;
use table_core::metadata::schema::Schema;
use table_core::metadata::types::Type;
use table_core::scan::error::ScanError;
use table_core::scan::request::{ScanRequest, UnparsedRequest};

/// Columns `d` (double), `f` (float), `l` (long) and `n` of this type.
fn schema(decimal: &str) -> Schema {
    let columns = [("d", "double"), ("f", "float"), ("l", "long"), ("n", decimal)];
    let fields = columns
        .iter()
        .zip(1..)
        .map(|((name, kind), id)| json!({"id": id, "name": name, "required": false, "type": kind}));
    let text = json!({"type": "struct", "fields": fields.collect::<Vec<_>>()}).to_string();
    Schema::parse(Raw::parse(&text).unwrap()).unwrap()
}

/// The request that a plan task carries, of one that compares a column with a number as it is written here.
fn carried(column: &str, number: &str) -> ScanRequest {
    let body = format!(
        r#"{{"select":["x"],"filter":{{"type":"eq","term":"{column}","value": {number} }},"extra":[1e400]}}"#
    );
    let request = ScanRequest::parse(body.as_bytes()).unwrap();
    let unparsed = UnparsedRequest::read(body.as_bytes()).unwrap();
    let essential = unparsed.text();
    assert!(essential.contains(number) && !essential.contains("select"), "{essential}");
    assert_eq!(ScanRequest::parse(essential.as_bytes()).unwrap(), request);
    request
}

/// The value that a column of a table is compared with, and how it is told to the client.
fn compared(decimal: &str, column: &str, number: &str) -> (Value, String) {
    let schema = schema(decimal);
    let request = carried(column, number);
    let bound = bind(&request.filter, &schema.columns().unwrap().root, NameMatching::CaseSensitive).unwrap();
    let told = text(&bound);
    let Bound::Predicate(predicate) = bound else { panic!("{number} is {told}") };
    let Test::Eq(value) = &predicate.test else { panic!("{number} is {told}") };
    (value.clone(), told)
}

fn text(filter: &BoundFilter) -> String {
    let mut text = Vec::new();
    filter.push_json(&mut text);
    String::from_utf8(text).unwrap()
}

fn told_number(told: &str) -> &str {
    told.split_once(r#""value":"#).unwrap().1.trim_end_matches('}')
}

fn bits(value: &Value) -> u64 {
    let Value::Double(double) = value else { panic!("{value:?}") };
    double.to_bits()
}

#[test]
fn the_numbers_that_were_lost() {
    let (value, told) = compared("decimal(38, 0)", "d", "182.19916586263525");
    assert_eq!(bits(&value), 182.199_165_862_635_25_f64.to_bits());
    assert_eq!(told, r#"{"type":"eq","term":"d","value":182.19916586263525}"#);
    let (value, told) = compared("decimal(38, 0)", "n", "12345678901234567890123");
    assert_eq!(value, Value::Decimal(Decimal { unscaled: 12_345_678_901_234_567_890_123, scale: 0 }));
    assert_eq!(told, r#"{"type":"eq","term":"n","value":"12345678901234567890123"}"#);
    // Python writes a `Decimal` of a float with all of its digits.
    let long = "0.1000000000000000055511151231257827021181583404541015625";
    assert_eq!(bits(&compared("decimal(38, 0)", "d", long).0), 0.1_f64.to_bits());
    let next = "9007199254740993.0000000000000000000001";
    assert_eq!(bits(&compared("decimal(38, 0)", "d", next).0), 9_007_199_254_740_994_f64.to_bits());
    let beyond =
        ScanRequest::parse(br#"{"filter":{"type":"lt","term":"l","value":12345678901234567890123}}"#);
    let root = &schema("decimal(9, 2)").columns().unwrap().root.clone();
    assert_eq!(bind(&beyond.unwrap().filter, root, NameMatching::CaseSensitive).unwrap(), Bound::True);
}

/// How a filter on the column `n` of a type is bound, and told.
fn bound_decimal(kind: &str, test: &str, number: &str) -> (BoundFilter, String) {
    let body = format!(r#"{{"filter":{{"type":"{test}","term":"n","value":{number}}}}}"#);
    let request = ScanRequest::parse(body.as_bytes()).unwrap();
    let bound = bind(&request.filter, &schema(kind).columns().unwrap().root, NameMatching::CaseSensitive);
    let bound = bound.unwrap();
    let told = text(&bound);
    (bound, told)
}

#[test]
fn no_number_of_more_digits_than_a_decimal_becomes_its_neighbour() {
    let long = "1.0000000000000000000000000000000000000000000001";
    let told = |test: &str, number: &str| bound_decimal("decimal(38, 37)", test, number).1;
    let one = format!("\"1.{}\"", "0".repeat(37));
    assert_eq!(told("lt", long), format!(r#"{{"type":"lt-eq","term":"n","value":{one}}}"#));
    assert_eq!(told("not-eq", long), "true");
    assert_eq!(told("eq", long), "false");
    let next = format!("\"-1.{}1\"", "0".repeat(36));
    let negative = format!("-{long}");
    assert_eq!(told("gt", &negative), format!(r#"{{"type":"gt","term":"n","value":{next}}}"#));
    assert_eq!(
        told("lt", "1e-300000"),
        r#"{"type":"lt-eq","term":"n","value":"0.0000000000000000000000000000000000000"}"#
    );
    // Just above the middle between two doubles, in the 44th digit.
    let (double, _) = compared("decimal(9, 2)", "d", "9007199254740993.0000000000000000000000000001");
    assert_eq!(bits(&double), 9_007_199_254_740_994_f64.to_bits());
}

#[test]
fn a_number_that_clients_round_differently_is_told_as_it_was_written() {
    for (test, number) in
        [("lt", "1.005"), ("eq", "-1.005"), ("not-eq", "0.30000000000000004"), ("gt-eq", "2.675")]
    {
        let (_, told) = bound_decimal("decimal(5, 2)", test, number);
        assert_eq!(told, format!(r#"{{"type":"{test}","term":"n","value":{number}}}"#));
    }
    let body = br#"{"filter":{"type":"not","child":{"type":"in","term":"n","values":[1.005,2,"3.5"]}}}"#;
    let filter = ScanRequest::parse(body).unwrap().filter;
    let bound = bind(&filter, &schema("decimal(5, 2)").columns().unwrap().root, NameMatching::CaseSensitive);
    assert_eq!(text(&bound.unwrap()), r#"{"type":"not-in","term":"n","values":[1.005,2,"3.5"]}"#);
}

#[test]
fn defaults_of_columns_keep_their_bits() {
    let field =
        r#"{"id":1,"name":"d","required":false,"type":"double","initial-default":182.19916586263525}"#;
    let text = format!(r#"{{"type":"struct","fields":[{field}]}}"#);
    let schema = Schema::parse(Raw::parse(&text).unwrap()).unwrap();
    let field = &schema.columns().unwrap().root.fields[0];
    let Type::Primitive(primitive) = &field.field_type else { panic!() };
    let value = Value::from_json(field.initial_default.as_ref().unwrap(), primitive).unwrap();
    assert_eq!(bits(&value), 182.199_165_862_635_25_f64.to_bits());
}

#[test]
fn what_is_left_out_of_a_request_is_checked_before() {
    for body in [r#"{"select":"id"}"#, "[]", "{"] {
        assert!(UnparsedRequest::read(body.as_bytes()).is_err(), "{body}");
    }
    assert_eq!(
        UnparsedRequest::read(br#"{"select":["id"],"filter":null,"snapshot-id": 7 }"#).unwrap().text(),
        r#"{"snapshot-id":7}"#
    );
}

#[test]
fn what_is_kept_of_a_request_is_decoded_only_when_it_is_parsed() {
    for kept in [
        r#"{"snapshot-id":"x"}"#,
        r#"{"filter":{}}"#,
        r#"{"case-sensitive":1}"#,
        r#"{"stats-fields":[1]}"#,
        r#"{"min-rows-requested":-1}"#,
    ] {
        let unparsed = UnparsedRequest::read(kept.as_bytes()).unwrap();
        assert_eq!(unparsed.text(), kept);
        assert_eq!(UnparsedRequest::from_text(kept.into()), unparsed);
        let refused = unparsed.parse().unwrap_err();
        assert_eq!(refused.to_string(), ScanRequest::parse(kept.as_bytes()).unwrap_err().to_string());
    }
}

#[test]
fn the_filter_is_checked_before_what_follows_it() {
    let error = ScanRequest::parse(br#"{"min-rows-requested":-1,"filter":{}}"#).unwrap_err();
    assert!(matches!(error, ScanError::Filter(_)), "{error}");
}

#[test]
fn a_field_that_occurs_twice_is_refused() {
    let error = ScanRequest::parse(br#"{"filter":true,"filter":false}"#).unwrap_err();
    assert!(error.to_string().contains("`filter` occurs twice"), "{error}");
}

/// A filter nested so often, on the left or on the right.
fn nested(levels: usize, operation: impl Fn(usize) -> &'static str, is_left: bool) -> String {
    let leaf = |number: usize| format!(r#"{{"type":"eq","term":"l","value":{number}}}"#);
    let (mut front, mut back) = (String::new(), Vec::new());
    for level in 0..levels {
        let (operation, leaf) = (operation(level), leaf(level));
        if is_left {
            write!(front, r#"{{"type":"{operation}","left":"#).unwrap();
            back.push(format!(r#","right":{leaf}}}"#));
        } else {
            write!(front, r#"{{"type":"{operation}","left":{leaf},"right":"#).unwrap();
            back.push("}".to_owned());
        }
    }
    back.reverse();
    format!("{front}{}{}", leaf(levels), back.concat())
}

#[test]
fn chains_are_as_long_as_somebody_likes() {
    for (levels, is_left) in [(127, true), (128, false), (1_000, true), (10_000, false), (10_000, true)] {
        for operation in ["and", "or"] {
            let body = format!(r#"{{"filter":{}}}"#, nested(levels, |_| operation, is_left));
            let request = ScanRequest::parse(body.as_bytes()).unwrap();
            let unparsed = UnparsedRequest::read(body.as_bytes()).unwrap();
            let essential = unparsed.text();
            let (Expression::And(parts) | Expression::Or(parts)) = &request.filter else { panic!() };
            assert_eq!(parts.len(), levels + 1);
            assert_eq!(ScanRequest::parse(essential.as_bytes()).unwrap(), request);
            let schema = schema("decimal(9, 2)");
            let bound =
                bind(&request.filter, &schema.columns().unwrap().root, NameMatching::CaseSensitive).unwrap();
            // What is told can be read where depth is limited.
            let told = text(&bound);
            assert!(serde_json::from_str::<serde_json::Value>(&told).is_ok());
        }
    }
}

#[test]
fn operations_may_alternate_a_hundred_times() {
    let alternating = |level: usize| if level.is_multiple_of(2) { "and" } else { "or" };
    for is_left in [true, false] {
        let parse = |levels| {
            ScanRequest::parse(format!(r#"{{"filter":{}}}"#, nested(levels, alternating, is_left)).as_bytes())
        };
        parse(EXPRESSION_DEPTH_MAX).unwrap();
        for levels in [EXPRESSION_DEPTH_MAX + 1, 100_000] {
            let error = parse(levels).unwrap_err().to_string();
            assert!(error.contains("flatten it"), "{error}");
        }
    }
}

#[test]
fn no_nesting_of_anything_overflows_the_stack() {
    for (open, close) in [
        ("[", "]"),
        (r#"{"type":"not","child":"#, "}"),
        (r#"{"type":"eq","term":"l","value":"#, "}"),
        (r#"{"type":"literal","value":"#, "}"),
        (r#"{"type":"in","term":"l","values":["#, "]}"),
        (r#"{"type":"eq","left":{"type":"transform","transform":"day","term":"#, "}}"),
    ] {
        let deep = format!("{}1{}", open.repeat(200_000), close.repeat(200_000));
        for body in [format!(r#"{{"filter":{deep}}}"#), format!(r#"{{"stats-fields":{deep}}}"#)] {
            assert!(ScanRequest::parse(body.as_bytes()).is_err(), "{open}");
        }
        // What nobody looks at does no harm.
        ScanRequest::parse(format!(r#"{{"unknown":{deep}}}"#).as_bytes()).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn doubles_keep_their_bits(number in any::<u64>()) {
        let double = f64::from_bits(number);
        prop_assume!(double.is_finite());
        for written in [format!("{double:?}"), format!("{double:e}"), format!("{double}"), format!("{double:.17e}")] {
            let (value, told) = compared("decimal(9, 2)", "d", &written);
            prop_assert_eq!(bits(&value), double.to_bits(), "{}", written);
            let again: f64 = told_number(&told).parse().unwrap();
            prop_assert_eq!(again.to_bits(), double.to_bits(), "{}", told);
        }
    }

    #[test]
    fn floats_keep_their_bits(number in any::<u32>()) {
        let float = f32::from_bits(number);
        prop_assume!(float.is_finite());
        let value = Value::Float(float);
        // Java reads a double, and makes a float of it.
        let written = value.to_json().to_string();
        let (value, told) = compared("decimal(9, 2)", "f", &written);
        let Value::Float(read) = value else { panic!("{value:?}") };
        prop_assert_eq!(read.to_bits(), float.to_bits(), "{}", written);
        #[expect(clippy::cast_possible_truncation, reason = "as Java does")]
        let again = told_number(&told).parse::<f64>().unwrap() as f32;
        prop_assert_eq!(again.to_bits(), float.to_bits(), "{}", told);
    }

    #[test]
    fn decimals_keep_their_digits(
        unscaled in -(10_i128.pow(38) - 1)..10_i128.pow(38), scale in 0_u32..=38, digits in 0_u32..38,
    ) {
        let unscaled = unscaled / 10_i128.pow(digits);
        let expected = Value::Decimal(Decimal { unscaled, scale });
        let Value::Decimal(decimal) = expected else { unreachable!() };
        let kind = format!("decimal(38, {scale})");
        let written = decimal.to_string();
        for written in [written.clone(), format!("{unscaled}E-{scale}"), format!("\"{written}\"")] {
            let (value, told) = compared(&kind, "n", &written);
            prop_assert_eq!(&value, &expected, "{}", written);
            prop_assert_eq!(told_number(&told), format!("\"{decimal}\""));
        }
    }

    /// The decimal itself is less than a number with more digits behind its own, and the next one is greater.
    #[test]
    fn decimals_have_their_place_beside_longer_numbers(
        unscaled in 10_i128.pow(37)..10_i128.pow(38), scale in 1_u32..=38, digits in "0{0,9}[1-9][0-9]{0,9}", negative in any::<bool>(),
    ) {
        let kind = format!("decimal(38, {scale})");
        let decimal = Decimal { unscaled: if negative { -unscaled } else { unscaled }, scale };
        let (below, _) = bound_decimal(&kind, "lt-eq", &format!("{decimal}{digits}"));
        let expected = Decimal { unscaled: decimal.unscaled - i128::from(negative), scale };
        let Bound::Predicate(predicate) = below else { panic!() };
        prop_assert_eq!(&predicate.test, &Test::LtEq(Value::Decimal(expected)));
    }

    #[test]
    fn longs_keep_their_digits(number in any::<i64>()) {
        let request = carried("l", &number.to_string());
        let Expression::Predicate(Predicate { test, .. }) = request.filter else { panic!() };
        prop_assert_eq!(test, Test::Eq(Value::Long(number)));
    }
}
