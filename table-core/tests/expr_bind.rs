//! Binding expressions to a schema.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod expr_common;

use expr_common::{bound, expression, schema, show};
use serde_json::json;
use table_core::expr::bind::{NameMatching, bind};
use table_core::expr::bound::Bound;
use table_core::expr::expression::Expression;

fn check(text: &str, expected: &str) {
    assert_eq!(show(&bound(text).unwrap()), expected, "{text}");
}

fn refuse(text: &str, part: &str) {
    let message = bound(text).unwrap_err().to_string();
    assert!(message.contains(part), "{text}: {message}");
}

#[test]
fn literals_take_the_type_of_the_column() {
    check("bool eq true", "bool eq true");
    check("int lt 5", "int lt 5");
    check("long gt 5", "long gt 5");
    check("float eq 0.1", "float eq 0.1");
    check("float eq 5", "float eq 5.0");
    check("double lt-eq 5", "double lt-eq 5.0");
    check("double eq 0.1", "double eq 0.1");
    check("dec eq 5", "dec eq \"5.00\"");
    check("dec eq \"-5.1\"", "dec eq \"-5.10\"");
    check("dec gt \"1e2\"", "dec gt \"100.00\"");
    check("date eq \"2020-01-02\"", "date eq \"2020-01-02\"");
    check("date eq 1", "date eq \"1970-01-02\"");
    check("time lt \"10:15\"", "time lt \"10:15:00.000000\"");
    check("time lt 1", "time lt \"00:00:00.000001\"");
    check("ts lt \"2020-01-02T00:00:00\"", "ts lt \"2020-01-02T00:00:00.000000\"");
    check("ts lt -1", "ts lt \"1969-12-31T23:59:59.999999\"");
    check("tz lt \"2020-01-02T01:00:00+01:00\"", "tz lt \"2020-01-02T00:00:00.000000+00:00\"");
    check("tz lt \"2020-01-02T01:00:00\"", "tz lt \"2020-01-02T01:00:00.000000+00:00\"");
    check("tsn lt -1", "tsn lt \"1969-12-31T23:59:59.999999000\"");
    check("tzn lt \"2020-01-02T00:00:00.000000001Z\"", "tzn lt \"2020-01-02T00:00:00.000000001+00:00\"");
    check("str eq \"5\"", "str eq \"5\"");
    check(
        "uuid eq \"F79C3E09-677C-4BBD-A479-3F349CB785E7\"",
        "uuid eq \"f79c3e09-677c-4bbd-a479-3f349cb785e7\"",
    );
    check("fixed eq \"0a0B0c\"", "fixed eq \"0A0B0C\"");
    check("bin eq \"0a\"", "bin eq \"0A\"");
    check("bucket[16](int) eq 3", "bucket[16](int) eq 3");
    check("day(ts) eq \"2020-01-02\"", "day(ts) eq \"2020-01-02\"");
    check("month(date) lt 600", "month(date) lt 600");
    check("truncate[2](str) starts-with \"a\"", "truncate[2](str) starts-with \"a\"");
    check("identity(int) eq 3", "int eq 3");
}

#[test]
fn typed_literals_convert_as_their_type_does() {
    fn check(column: &str, data_type: &str, value: &serde_json::Value, expected: &str) {
        let literal = json!({"type": "literal", "value": value, "data-type": data_type});
        let json = json!({"type": "lt", "term": column, "value": literal});
        let expression = Expression::parse(&json.to_string()).unwrap();
        let bound = bind(&expression, &schema().columns().unwrap().root, NameMatching::CaseSensitive);
        assert_eq!(
            bound.map_or("refused".to_owned(), |bound| show(&bound)),
            expected,
            "{column} {data_type}"
        );
    }
    check("long", "int", &json!(5), "long lt 5");
    check("ts", "int", &json!(5), "refused");
    check("double", "float", &json!(0.5), "double lt 0.5");
    check("date", "date", &json!("2020-01-01"), "date lt \"2020-01-01\"");
    check("ts", "date", &json!("2020-01-01"), "refused");
    check("tsn", "timestamp", &json!("2020-01-01T00:00:00"), "tsn lt \"2020-01-01T00:00:00.000000000\"");
    check(
        "ts",
        "timestamp_ns",
        &json!("1970-01-01T00:00:00.000000001"),
        "ts lt-eq \"1970-01-01T00:00:00.000000\"",
    );
    check(
        "ts",
        "timestamp_ns",
        &json!("1969-12-31T23:59:59.999999999"),
        "ts lt-eq \"1969-12-31T23:59:59.999999\"",
    );
    check("date", "timestamp", &json!("2020-01-01T00:00:00"), "date lt \"2020-01-01\"");
    check("date", "timestamp", &json!("2020-01-01T00:00:01"), "date lt-eq \"2020-01-01\"");
    check("dec", "decimal(5, 3)", &json!("1.005"), "dec lt-eq \"1.00\"");
    check("dec", "decimal(5, 3)", &json!("-1.005"), "dec lt-eq \"-1.01\"");
    check("bin", "fixed[2]", &json!("0A0B"), "bin lt \"0A0B\"");
    check("fixed", "binary", &json!("0A0B"), "refused");
    check("str", "uuid", &json!("f79c3e09-677c-4bbd-a479-3f349cb785e7"), "refused");
}

#[test]
fn literals_that_the_type_does_not_have_keep_the_answer() {
    check("int lt 3000000000", "true");
    check("int lt-eq 3000000000", "true");
    check("int gt 3000000000", "false");
    check("int gt-eq 3000000000", "false");
    check("int eq 3000000000", "false");
    check("int not-eq 3000000000", "true");
    check("int gt -3000000000", "true");
    check("int lt -3000000000", "false");
    check("req lt 3000000000", "true");
    check("date gt-eq -3000000000", "true");
    check("tsn lt 9223372036854775807", "true");
    check("time lt 86400000000", "time lt-eq \"23:59:59.999999\"");
    check("time eq 86400000000", "false");
    check("time gt-eq -1", "true");
    check("dec lt \"1e50\"", "true");
    check("dec gt \"1e-50\"", "dec gt \"0.00\"");
    check("dec gt-eq \"-1e-50\"", "dec gt \"-0.01\"");
    check("dec eq \"1.005\"", "false");
    check("dec not-eq \"1.005\"", "true");
    check("dec gt-eq \"1.005\"", "dec gt \"1.00\"");
    check("dec lt 12345678901234567890123456789012345678", "true");
    check("float lt 1e300", "true");
    check("float lt 3.40282347e38", "true");
    check("float lt 3.4028233e38", "float lt 3.4028233e+38");
    check("float lt 3.4028234e38", "float lt 3.4028234663852886e+38");
    check("float gt 1e300", "float gt 3.4028234663852886e+38");
    check("float gt-eq -1e300", "true");
    check("float lt-eq -1e300", "float lt -3.4028234663852886e+38");
    check("int in [1, 3000000000, 2, 1]", "int in [1,2]");
    check("int in [3000000000]", "false");
    check("int not-in [3000000000]", "true");
}

/// A double is how JSON says a decimal. Java rounds `1.005` up, `PyIceberg` down, and other clients not at all.
#[test]
fn a_double_between_two_decimals_is_whatever_a_client_takes_it_for() {
    check("dec eq 1.005", "dec in [\"1.00\",\"1.01\"]");
    check("dec eq -1.005", "dec in [\"-1.01\",\"-1.00\"]");
    check("dec eq 1.004", "dec eq \"1.00\"");
    check("dec eq 1.0051", "dec eq \"1.01\"");
    check("dec eq -1.0051", "dec eq \"-1.01\"");
    check("dec eq 0.30000000000000004", "dec eq \"0.30\"");
    check("dec eq 1e-300", "dec eq \"0.00\"");
    for literal in ["1.004", "1.005", "1.006"] {
        check(&format!("dec lt {literal}"), "dec lt-eq \"1.00\"");
        check(&format!("dec gt {literal}"), "dec gt \"1.00\"");
        // All values but none, and null.
        check(&format!("dec not-eq {literal}"), "dec not-in []");
        check(&format!("not dec eq {literal}"), "dec not-in []");
        check(&format!("dec not-in [{literal}, 2]"), "dec not-eq \"2.00\"");
    }
    check("dec lt-eq 1.004", "dec lt-eq \"1.00\"");
    check("dec lt-eq 1.005", "dec lt-eq \"1.01\"");
    check("dec lt-eq -1.005", "dec lt-eq \"-1.00\"");
    check("dec gt-eq 1.005", "dec gt-eq \"1.00\"");
    check("dec gt-eq 1.006", "dec gt-eq \"1.01\"");
    check("dec in [1.005, 1.25, 3.001]", "dec in [\"1.00\",\"1.01\",\"1.25\",\"3.00\"]");
}

#[test]
fn lists_are_sorted_and_short_ones_become_comparisons() {
    check("str in [\"b\", \"a\", \"b\"]", "str in [\"a\",\"b\"]");
    check("str in [\"b\"]", "str eq \"b\"");
    check("str in []", "false");
    check("str not-in [\"b\", \"b\"]", "str not-eq \"b\"");
    check("str not-in []", "true");
}

#[test]
fn negation_goes_down_to_the_predicates() {
    check("not int lt 5", "int gt-eq 5");
    check("not int lt-eq 5", "int gt 5");
    check("not int eq 5", "int not-eq 5");
    check("not int in [5, 6]", "int not-in [5,6]");
    check("not int is-null", "int not-null");
    check("not float is-nan", "float not-nan");
    check("not str starts-with \"a\"", "str not-starts-with \"a\"");
    check("not not int gt 5", "int gt 5");
    check("not true", "false");
    check("not int eq 3000000000", "true");
    let both = Expression::Not(Box::new(expression("int lt 5 & long gt-eq 6 | str is-null")));
    let bound = bind(&both, &schema().columns().unwrap().root, NameMatching::CaseSensitive).unwrap();
    assert_eq!(show(&bound), "int gt-eq 5 | long lt 6 & str not-null");
}

#[test]
fn constants_disappear() {
    check("int lt 5 & true", "int lt 5");
    check("int lt 5 & false", "false");
    check("int lt 5 | true", "true");
    check("int lt 5 | false", "int lt 5");
    check("req is-null | int in []", "false");
    assert_eq!(
        bind(&Expression::And(vec![]), &schema().columns().unwrap().root, NameMatching::IgnoreCase),
        Ok(Bound::True)
    );
}

#[test]
fn null_tests_of_required_columns_are_constant_only_if_every_parent_is_required() {
    check("int is-null", "int is-null");
    check("req is-null", "false");
    check("req not-null", "true");
    check("opt.req is-null", "opt.req is-null");
    check("opt.deep.leaf not-null", "opt.deep.leaf not-null");
    check("opt.deep is-null", "opt.deep is-null");
    check("opt is-null", "opt is-null");
    check("must is-null", "false");
    check("must.req not-null", "true");
    check("must.a.b is-null", "must.a.b is-null");
    check("bucket[4](req) is-null", "false");
    check("bucket[4](int) is-null", "bucket[4](int) is-null");
    check("list not-null", "true");
    check("var is-null", "var is-null");
    check("geo not-null", "geo not-null");
    check("unk is-null", "true");
    check("unk not-null", "false");
}

#[test]
fn columns_are_found_by_full_name_or_id() {
    check("dot.ted eq 1", "dot.ted eq 1");
    check("must.a.b eq 1", "must.a.b eq 1");
    let by_id = |id: i32| {
        let json = json!({"type": "eq", "left": {"type": "reference", "id": id}, "right": 1});
        let expression = Expression::parse(&json.to_string()).unwrap();
        bind(&expression, &schema().columns().unwrap().root, NameMatching::CaseSensitive)
    };
    assert_eq!(show(&by_id(27).unwrap()), "must.a.b eq 1");
    let Bound::Predicate(predicate) = by_id(22).unwrap() else { panic!() };
    assert!(predicate.term.nullable && predicate.term.inside_optional);
    let Bound::Predicate(predicate) = by_id(26).unwrap() else { panic!() };
    assert!(!predicate.term.nullable && !predicate.term.inside_optional);
    assert!(by_id(29).unwrap_err().to_string().contains("outside lists and maps has the id 29"));
    refuse("nope eq 1", "no column is named `nope`");
    refuse("INT eq 1", "no column is named `INT`");
    refuse("opt. eq 1", "no column is named `opt.`");
    refuse("opt.deep.leaf.x eq 1", "no column is named");
    refuse("list.element eq 1", "unless it is inside a list or map");
}

#[test]
fn names_may_be_compared_without_case() {
    let insensitive =
        |text: &str| bind(&expression(text), &schema().columns().unwrap().root, NameMatching::IgnoreCase);
    assert_eq!(show(&insensitive("OPT.Deep.LEAF eq \"x\"").unwrap()), "opt.deep.leaf eq \"x\"");
    assert_eq!(show(&insensitive("must.A.B eq 1").unwrap()), "must.a.b eq 1");
    assert!(insensitive("twin eq 1").unwrap_err().to_string().contains("could be `Twin` or `TWIN`"));
    check("Twin eq 1", "Twin eq 1");
}

#[test]
fn what_has_no_answer_is_refused_with_a_hint() {
    refuse("int eq \"5\"", "`int` cannot be compared with \"5\", because it is of type `int`");
    refuse("int eq 5.0", "write a whole number");
    refuse("str eq 5", "write a string");
    refuse("bool eq 1", "write `true` or `false`");
    refuse("date eq \"01/02/2020\"", "write a date such as");
    refuse("ts eq \"2020-01-01T00:00:00Z\"", "without a zone");
    refuse("tz eq \"2020-01-01 00:00:00\"", "with an offset");
    refuse("fixed eq \"0A\"", "hexadecimal");
    refuse("double eq \"1\"", "write a number");
    refuse("int in [1, \"x\"]", "write a whole number");
    refuse("int is-nan", "only `float` and `double` have NaN");
    refuse("int starts-with \"1\"", "it needs a `string`");
    refuse("str starts-with 1", "a prefix in quotes");
    refuse("opt eq 1", "of type `struct`");
    refuse("list in [1]", "of type `list`");
    refuse("var eq 1", "of type `variant`");
    refuse("unk eq 1", "of type `unknown`");
    refuse("geo eq \"x\"", "of type `geometry`");
    refuse("hour(date) eq 1", "the transform `hour` of `date`");
    refuse("bucket[4](double) is-null", "test the column itself");
    refuse("void(int) is-null", "the transform `void`");
    refuse("zorder(int) is-null", "the transform `zorder`");
    let nan = json!({"type": "lt", "term": "double", "value": {"type": "literal", "value": "NaN", "data-type": "double"}});
    let nan = Expression::parse(&nan.to_string()).unwrap();
    let error = bind(&nan, &schema().columns().unwrap().root, NameMatching::CaseSensitive).unwrap_err();
    assert!(error.to_string().contains("use `is-nan`"));
}

#[test]
fn a_bound_expression_can_be_sent_back() {
    for text in [
        "int lt 5",
        "day(ts) eq \"2020-01-02\" & opt.req is-null",
        "dec in [\"1.00\", \"2.00\"] | str not-eq \"x\"",
    ] {
        let filter = bound(text).unwrap();
        let mut sent = Vec::new();
        filter.push_json(&mut sent);
        let sent = Expression::parse(str::from_utf8(&sent).unwrap()).unwrap();
        let again = bind(&sent, &schema().columns().unwrap().root, NameMatching::CaseSensitive).unwrap();
        assert_eq!(again, filter);
    }
}
