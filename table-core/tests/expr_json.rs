//! Expressions as JSON: every form that clients write, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use table_core::expr::error::ExpressionError;
use table_core::expr::expression::{Expression, Predicate, Reference, Term, Test};
use table_core::expr::json::EXPRESSION_DEPTH_MAX;
use table_core::expr::value::Value;
use table_core::metadata::transform::Transform;

/// Reads, and compares what is written of it.
fn check(json: &Json, written: &Json) {
    let expression = Expression::parse(&json.to_string()).unwrap();
    assert_eq!(serde_json::from_str::<Json>(&expression.to_json()).unwrap(), *written, "{json}");
    assert_eq!(Expression::parse(&written.to_string()).unwrap(), expression, "{json}");
}

/// Reads what is written as it is read.
fn check_same(json: &Json) {
    check(json, json);
}

fn refuse(json: &Json, part: &str) {
    let message = Expression::parse(&json.to_string()).unwrap_err().to_string();
    assert!(message.contains(part), "{json}: {message}");
}

#[test]
fn what_java_and_pyiceberg_wrote_reads_and_writes_the_same() {
    check_same(&json!(true));
    check_same(&json!(false));
    check_same(&json!({"type": "is-null", "term": "column-name"}));
    check_same(&json!({"type": "not-nan", "term": "a.b"}));
    check_same(&json!({"type": "eq", "term": "column-name", "value": 50}));
    check_same(&json!({"type": "lt-eq", "term": "column-name", "value": "2023-01-15"}));
    check_same(&json!({"type": "gt", "term": "column-name", "value": 0.1}));
    check_same(&json!({"type": "not-eq", "term": "column-name", "value": false}));
    check_same(&json!({"type": "in", "term": "column-name", "values": [50, "a"]}));
    check_same(&json!({"type": "not-in", "term": "column-name", "values": []}));
    check_same(&json!({"type": "not-starts-with", "term": "column-name", "value": "crackle"}));
    check_same(&json!({
        "type": "in",
        "term": {"type": "transform", "transform": "bucket[100]", "term": "id"},
        "values": [50],
    }));
    check_same(&json!({
        "type": "or",
        "left": {
            "type": "and",
            "left": {"type": "in", "term": "a", "values": [1, 2]},
            "right": {"type": "not", "child": {"type": "eq", "term": "b", "value": "test"}},
        },
        "right": {"type": "is-nan", "term": "c"},
    }));
}

#[test]
fn other_forms_mean_the_same() {
    let eq = json!({"type": "eq", "term": "a", "value": 5});
    check(&json!({"type": "true"}), &json!(true));
    check(&json!({"type": "FALSE"}), &json!(false));
    check(&json!({"type": "literal", "value": true}), &json!(true));
    check(
        &json!({"type": "NOT_EQ", "term": "a", "value": 5}),
        &json!({"type": "not-eq", "term": "a", "value": 5}),
    );
    for term in [
        json!({"type": "reference", "term": "a"}),
        json!({"type": "reference", "name": "a"}),
        json!({"type": "transform", "transform": "identity", "term": "a"}),
        json!({"type": "apply", "function": "identity", "arguments": [{"type": "reference", "name": "a"}]}),
    ] {
        check(&json!({"type": "eq", "term": term, "value": 5}), &eq);
        check(&json!({"type": "eq", "left": term, "right": 5}), &eq);
        check(&json!({"type": "eq", "left": 5, "right": term}), &eq);
        check(
            &json!({"type": "lt", "left": 5, "right": term}),
            &json!({"type": "gt", "term": "a", "value": 5}),
        );
        check(
            &json!({"type": "gt-eq", "left": 5, "right": term}),
            &json!({"type": "lt-eq", "term": "a", "value": 5}),
        );
        check(&json!({"type": "is-null", "child": term}), &json!({"type": "is-null", "term": "a"}));
        check(
            &json!({"type": "in", "child": term, "values": [5]}),
            &json!({"type": "in", "term": "a", "values": [5]}),
        );
    }
    for literal in [
        json!({"type": "literal", "value": 5}),
        json!({"type": "literal", "value": 5, "data-type": "long"}),
        json!({"type": "literal", "value": 5, "data-type": null}),
    ] {
        check(&json!({"type": "eq", "term": "a", "value": literal}), &eq);
    }
    for values in [
        json!([{"type": "literal", "value": 5}, 6]),
        json!({"type": "literals", "values": [5, 6], "data-type": "long"}),
        json!({"type": "literals", "values": [5, 6]}),
    ] {
        check(
            &json!({"type": "in", "term": "a", "values": values}),
            &json!({"type": "in", "term": "a", "values": [5, 6]}),
        );
    }
    let bucket = json!({"type": "transform", "transform": "bucket[16]", "term": "a"});
    for function in [
        json!("Bucket"),
        json!(["bucket"]),
        json!({"identifier": ["bucket"]}),
        json!({"catalog": "iceberg_functions", "identifier": ["bucket"]}),
    ] {
        let apply = json!({"type": "apply", "function": function, "arguments": [16, {"type": "reference", "name": "a"}]});
        check(
            &json!({"type": "eq", "left": apply, "right": 5}),
            &json!({"type": "eq", "term": bucket, "value": 5}),
        );
    }
}

#[test]
fn white_space_means_nothing() {
    let json = json!({"type": "or", "left": {"type": "not", "child": true}, "right": {"type": "in", "term": {
        "type": "transform", "transform": "day", "term": "a"}, "values": [1, {"type": "literal", "value": -2.5}]}});
    let pretty = format!("\n {} \t", serde_json::to_string_pretty(&json).unwrap().replace(':', " : "));
    assert_eq!(Expression::parse(&pretty), Expression::parse(&json.to_string()));
    assert!(Expression::parse(&pretty).is_ok());
}

#[test]
fn a_reference_by_id_has_the_new_form_only() {
    let reference = json!({"type": "reference", "id": 3});
    check_same(&json!({"type": "is-null", "child": reference}));
    check_same(&json!({"type": "eq", "left": reference, "right": "x"}));
    check_same(&json!({"type": "not-in", "child": reference, "values": [1]}));
    let day = json!({"type": "apply", "function": "day", "arguments": [reference]});
    check_same(&json!({"type": "gt", "left": day, "right": "2020-01-01"}));
    let bucket = json!({"type": "apply", "function": "bucket", "arguments": [16, reference]});
    check_same(&json!({"type": "gt", "left": bucket, "right": 3}));
}

#[test]
fn literals_keep_their_digits() {
    fn check(text: &str, expected: &Value) {
        let expression = Expression::parse(&format!(r#"{{"type":"eq","term":"a","value":{text}}}"#)).unwrap();
        let Expression::Predicate(Predicate { test: Test::Eq(value), .. }) = expression else { panic!() };
        assert_eq!(value, *expected);
    }
    check("5", &Value::Long(5));
    check("-9223372036854775808", &Value::Long(i64::MIN));
    check("5.0", &Value::Double(5.0));
    check("1e3", &Value::Double(1000.0));
    let decimal = table_core::expr::decimal::Decimal { unscaled: 9_223_372_036_854_775_809, scale: 0 };
    check("9223372036854775809", &Value::Decimal(decimal));
    check(r#"{"type":"literal","value":"2020-01-01","data-type":"date"}"#, &Value::Date(18_262));
}

#[test]
fn what_is_no_expression_is_refused_with_a_hint() {
    refuse(&json!(null), "not `null`");
    refuse(&json!("a"), "an expression is an object, `true` or `false`");
    refuse(&json!({}), "no `type`");
    refuse(&json!({"type": "like", "term": "a", "value": "x"}), "`like` is no operation");
    refuse(&json!({"type": "and", "left": true}), "no `right`");
    refuse(&json!({"type": "not", "child": 5}), "not `5`");
    refuse(&json!({"type": "eq", "term": "a"}), "no `value`");
    refuse(&json!({"type": "eq", "term": "a", "value": null}), "no `value`");
    refuse(&json!({"type": "eq", "term": "a", "value": [1]}), "not a literal");
    refuse(&json!({"type": "eq", "term": "a", "value": {"type": "reference", "name": "b"}}), "not a literal");
    refuse(&json!({"type": "eq", "term": "a", "value": {"type": "literal", "value": null}}), "no `value`");
    refuse(
        &json!({"type": "eq", "term": "a", "value": {"type": "literal", "value": "x", "data-type": "date"}}),
        "date",
    );
    refuse(
        &json!({"type": "eq", "term": "a", "value": {"type": "literal", "value": 1, "data-type": "wat"}}),
        "wat",
    );
    refuse(&json!({"type": "eq", "left": "a", "right": "b"}), "write a column as");
    let (a, b) = (json!({"type": "reference", "name": "a"}), json!({"type": "reference", "name": "b"}));
    refuse(&json!({"type": "eq", "left": a, "right": b}), "compares two columns");
    refuse(&json!({"type": "starts-with", "left": "x", "right": b}), "needs the column on its left");
    refuse(&json!({"type": "is-null", "child": "a"}), "write a column as");
    refuse(&json!({"type": "is-null", "term": 5}), "a `term` is");
    refuse(&json!({"type": "is-null", "term": {"type": "reference"}}), "needs a `name` or an `id`");
    refuse(&json!({"type": "in", "term": "a", "values": 5}), "object");
    refuse(&json!({"type": "in", "term": "a", "values": [null]}), "`is-null`");
    let apply = |function: Json, arguments: Json| json!({"type": "is-null", "child": {"type": "apply", "function": function, "arguments": arguments}});
    refuse(&apply(json!("lower"), json!([a])), "the function `lower` with 1 arguments");
    refuse(&apply(json!("bucket"), json!([a])), "the function `bucket` with 1 arguments");
    refuse(&apply(json!("bucket"), json!(["x", a])), "is a number");
    refuse(&apply(json!("day"), json!(["x"])), "apply it to a reference");
    refuse(&apply(json!(["s", "day"]), json!([a])), "the function `s.day`");
    refuse(&apply(json!({"catalog": "x", "identifier": ["day"]}), json!([a])), "the function `day`");
}

#[test]
fn constants_decide_what_is_around_them() {
    let a = json!({"type": "eq", "term": "a", "value": 5});
    let join = |kind: &str, left: &Json, right: &Json| json!({"type": kind, "left": left, "right": right});
    check(&join("and", &a, &json!(false)), &json!(false));
    check(&join("and", &json!(true), &a), &a);
    check(&join("or", &a, &json!(true)), &json!(true));
    check(&join("or", &a, &join("or", &json!(false), &a)), &join("or", &a, &a));
    check(&join("and", &json!(true), &json!(true)), &json!(true));
    check(&json!({"type": "not", "child": join("or", &a, &json!(true))}), &json!(false));
}

#[test]
fn a_value_that_an_operation_does_not_have_is_refused() {
    refuse(&json!({"type": "is-null", "term": "a", "value": 1}), "`is-null` has no `value`; leave it out");
    refuse(
        &json!({"type": "not-nan", "child": {"type": "reference", "id": 1}, "values": [1]}),
        "has no `values`",
    );
    refuse(&json!({"type": "in", "term": "a", "values": [1], "value": 1}), "`in` has no `value`");
    refuse(&json!({"type": "eq", "term": "a", "value": 1, "values": [1]}), "`eq` has no `values`");
}

#[test]
fn not_json_is_refused() {
    for text in [
        "",
        "{",
        "true false",
        r#"{"type":"eq","type":"eq"}"#,
        r#"{"type":"not","child":true,"\u0063hild":false}"#,
        r#"{"type":"is-null","term":"\ud800"}"#,
    ] {
        assert!(matches!(Expression::parse(text), Err(ExpressionError::Malformed(_))), "{text}");
    }
}

#[test]
fn chains_may_be_long_but_nesting_is_limited() {
    let part = r#"{"type":"eq","term":"a","value":1}"#;
    let (open, close) = (r#"{"type":"or","left":"#, format!(r#","right":{part}}}"#));
    let chain = format!("{}{part}{}", open.repeat(10_000), close.repeat(10_000));
    let expression = Expression::parse(&chain).unwrap();
    let Expression::Or(parts) = &expression else { panic!() };
    assert_eq!(parts.len(), 10_001);
    // Written balanced, so that readers with a limit on depth can read it.
    assert_eq!(Expression::parse(&expression.to_json()).unwrap(), expression);

    let nested = |open: &str, close: &str, levels: usize| {
        Expression::parse(&format!("{}{part}{}", open.repeat(levels), close.repeat(levels)))
    };
    let predicate = Expression::parse(part).unwrap();
    let not = |levels: usize| nested(r#"{"type":"not","child":"#, "}", levels);
    for levels in [127, 100_001] {
        assert_eq!(not(levels), Ok(Expression::Not(Box::new(predicate.clone()))));
        assert_eq!(not(levels + 1), Ok(predicate.clone()));
    }
    let close = format!(r#","right":{part}}}}}"#);
    let alternating = |levels: usize| nested(r#"{"type":"not","child":{"type":"or","left":"#, &close, levels);
    alternating(EXPRESSION_DEPTH_MAX / 2).unwrap();
    for levels in [EXPRESSION_DEPTH_MAX / 2 + 1, 100_000] {
        let error = alternating(levels).unwrap_err();
        assert!(matches!(error, ExpressionError::TooLarge(_)), "{error}");
    }
    let long = format!(r#"{{"type":"eq","term":"a","value":"{}"}}"#, "x".repeat(16 << 20));
    assert!(matches!(Expression::parse(&long), Err(ExpressionError::TooLarge(_))));
    // Long parts are not read over and over.
    let mut deep = part.to_owned();
    for _ in 0..6 {
        let padding = "x".repeat(1 << 20);
        deep = format!(
            r#"{{"type":"or","left":{deep},"right":{{"type":"eq","term":"a","value":"{padding}"}}}}"#
        );
    }
    Expression::parse(&deep).unwrap();
}

fn any_expression() -> impl Strategy<Value = Expression> {
    let value = prop_oneof![
        any::<i64>().prop_map(Value::Long),
        any::<bool>().prop_map(Value::Boolean),
        (-1e9..1e9).prop_map(Value::Double),
        "\\PC{0,6}".prop_map(Value::String),
    ];
    let reference = prop_oneof!["[a-z.]{1,4}".prop_map(Reference::Name), (1..40).prop_map(Reference::Id)];
    let transform = prop::sample::select(vec!["identity", "day", "bucket[7]", "truncate[3]"]);
    let term = (reference, transform)
        .prop_map(|(reference, transform)| Term { reference, transform: Transform::parse(transform) });
    let test = (0..14_u8, prop::collection::vec(value, 1..4)).prop_map(|(kind, values)| {
        let value = values[0].clone();
        match kind {
            0 => Test::IsNull,
            1 => Test::NotNull,
            2 => Test::IsNan,
            3 => Test::NotNan,
            4 => Test::Lt(value),
            5 => Test::LtEq(value),
            6 => Test::Gt(value),
            7 => Test::GtEq(value),
            8 => Test::Eq(value),
            9 => Test::NotEq(value),
            10 => Test::StartsWith(value),
            11 => Test::NotStartsWith(value),
            12 => Test::In(values.into()),
            _ => Test::NotIn(values.into()),
        }
    });
    let leaf = (term, test).prop_map(|(term, test)| Expression::Predicate(Predicate { term, test }));
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..5).prop_map(|parts| joined(parts, true)),
            prop::collection::vec(inner.clone(), 2..5).prop_map(|parts| joined(parts, false)),
            inner.prop_map(negated),
        ]
    })
}

/// What is read of a `not` around an expression.
fn negated(child: Expression) -> Expression {
    match child {
        Expression::Not(inner) => *inner,
        child => Expression::Not(Box::new(child)),
    }
}

/// A chain with the chains of the same operation in it dissolved, as they are read.
fn joined(parts: Vec<Expression>, is_and: bool) -> Expression {
    let mut flat = Vec::new();
    for part in parts {
        match part {
            Expression::And(inner) if is_and => flat.extend(inner),
            Expression::Or(inner) if !is_and => flat.extend(inner),
            other => flat.push(other),
        }
    }
    if is_and { Expression::And(flat) } else { Expression::Or(flat) }
}

proptest! {
    #[test]
    fn what_is_written_reads_as_it_was(expression in any_expression()) {
        prop_assert_eq!(Expression::parse(&expression.to_json()).unwrap(), expression);
    }

    #[test]
    fn no_text_panics(text in "[{}\\[\\]\",:a-z0-9.-]{0,40}") {
        drop(Expression::parse(&text));
    }

    #[test]
    fn no_damaged_expression_panics(expression in any_expression(), at in any::<prop::sample::Index>(), byte in " -~") {
        let mut text = expression.to_json();
        let at = at.index(text.len());
        if text.is_char_boundary(at) && text.is_char_boundary(at + 1) {
            text.replace_range(at..=at, &byte);
        }
        drop(Expression::parse(&text));
    }
}
