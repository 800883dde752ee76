//! A schema, and expressions as short text: `a lt 5`, `bucket[16](id) in [1,2]`, `not a is-null`, `a gt 1 & b
//! eq "x"`.

#![allow(dead_code, reason = "every test binary uses another part")]

use serde_json::{Value as Json, json};
use table_core::expr::bind::{NameMatching, bind};
use table_core::expr::bound::{Bound, BoundColumn, BoundFilter, PartitionFilter};
use table_core::expr::error::ExpressionError;
use table_core::expr::expression::{Expression, Test};
use table_core::expr::value::Value;
use table_core::metadata::json::Raw;
use table_core::metadata::partition::PartitionSpec;
use table_core::metadata::schema::Schema;
use table_core::metadata::types::Primitive;

/// One column of every type, `id` from 1 in this order, and some structs.
pub(crate) fn schema() -> Schema {
    let columns = [
        "boolean",
        "int",
        "long",
        "float",
        "double",
        "decimal(9, 2)",
        "date",
        "time",
        "timestamp",
        "timestamptz",
        "timestamp_ns",
        "timestamptz_ns",
        "string",
        "uuid",
        "fixed[3]",
        "binary",
        "variant",
        "unknown",
        "geometry",
    ];
    let names = [
        "bool", "int", "long", "float", "double", "dec", "date", "time", "ts", "tz", "tsn", "tzn", "str",
        "uuid", "fixed", "bin", "var", "unk", "geo",
    ];
    let mut fields: Vec<Json> = columns
        .iter()
        .zip(names)
        .zip(1..)
        .map(|((column, name), id)| json!({"id": id, "name": name, "required": false, "type": column}))
        .collect();
    fields.push(json!({"id": 20, "name": "req", "required": true, "type": "int"}));
    fields.push(json!({"id": 21, "name": "opt", "required": false, "type": {"type": "struct", "fields": [
        {"id": 22, "name": "req", "required": true, "type": "int"},
        {"id": 23, "name": "deep", "required": true, "type": {"type": "struct", "fields": [
            {"id": 24, "name": "leaf", "required": true, "type": "string"}]}},
    ]}}));
    fields.push(json!({"id": 25, "name": "must", "required": true, "type": {"type": "struct", "fields": [
        {"id": 26, "name": "req", "required": true, "type": "int"},
        {"id": 27, "name": "a.b", "required": false, "type": "int"},
    ]}}));
    fields.push(json!({"id": 28, "name": "list", "required": true, "type":
        {"type": "list", "element-id": 29, "element-required": true, "element": "int"}}));
    fields.push(json!({"id": 30, "name": "dot.ted", "required": true, "type": "int"}));
    fields.push(json!({"id": 31, "name": "Twin", "required": false, "type": "int"}));
    fields.push(json!({"id": 32, "name": "TWIN", "required": false, "type": "int"}));
    let text = json!({"type": "struct", "schema-id": 0, "fields": fields}).to_string();
    Schema::parse(Raw::parse(&text).unwrap()).unwrap()
}

/// Reads short text.
pub(crate) fn expression(text: &str) -> Expression {
    Expression::parse(&json_of(text).to_string()).unwrap()
}

fn json_of(text: &str) -> Json {
    if let Some((left, right)) = text.split_once(" | ") {
        return json!({"type": "or", "left": json_of(left), "right": json_of(right)});
    }
    if let Some((left, right)) = text.split_once(" & ") {
        return json!({"type": "and", "left": json_of(left), "right": json_of(right)});
    }
    if let Some(child) = text.strip_prefix("not ") {
        return json!({"type": "not", "child": json_of(child)});
    }
    if let Ok(constant) = text.parse::<bool>() {
        return Json::Bool(constant);
    }
    let mut words = text.splitn(3, ' ');
    let (term, operation) = (words.next().unwrap(), words.next().unwrap());
    let term = match term.strip_suffix(')').and_then(|term| term.split_once('(')) {
        Some((transform, column)) => json!({"type": "transform", "transform": transform, "term": column}),
        None => json!(term),
    };
    let mut predicate = json!({"type": operation, "term": term});
    if let Some(value) = words.next() {
        let key = if operation.ends_with("in") { "values" } else { "value" };
        predicate[key] = serde_json::from_str(value).unwrap();
    }
    predicate
}

pub(crate) fn bound(text: &str) -> Result<BoundFilter, ExpressionError> {
    bind(&expression(text), &schema().columns().unwrap().root, NameMatching::CaseSensitive)
}

/// A spec with fields such as `bucket[16](2)`, by the id of the source.
pub(crate) fn spec(fields: &str) -> PartitionSpec {
    let fields: Vec<Json> = fields
        .split_whitespace()
        .enumerate()
        .map(|(position, field)| {
            let (transform, id) = field.strip_suffix(')').unwrap().rsplit_once('(').unwrap();
            let ids: Vec<i32> = id.split(',').map(|id| id.parse().unwrap()).collect();
            let name = format!("p{position}");
            let mut field = json!({"field-id": 1000 + position, "name": name, "transform": transform});
            match ids.as_slice() {
                [id] => field["source-id"] = json!(id),
                _ => field["source-ids"] = json!(ids),
            }
            field
        })
        .collect();
    PartitionSpec::parse(Raw::parse(&json!({"spec-id": 0, "fields": fields}).to_string()).unwrap()).unwrap()
}

/// The binary form of a value given as JSON.
pub(crate) fn bytes(type_name: &str, json: &Json) -> Vec<u8> {
    Value::from_json(json, &Primitive::parse(type_name)).unwrap().encode()
}

pub(crate) fn show(filter: &BoundFilter) -> String {
    show_with(filter, &|column: &BoundColumn| match column.transform.to_string().as_str() {
        "identity" => column.name.clone(),
        transform => format!("{transform}({})", column.name),
    })
}

pub(crate) fn show_partition(filter: &PartitionFilter) -> String {
    show_with(filter, &|column| match column.transform.to_string().as_str() {
        "identity" => format!("p{}", column.position),
        transform => format!("{transform}(p{})", column.position),
    })
}

fn show_with<T>(filter: &Bound<T>, name: &dyn Fn(&T) -> String) -> String {
    let all = |parts: &[Bound<T>], word: &str| {
        parts.iter().map(|part| show_with(part, name)).collect::<Vec<_>>().join(word)
    };
    match filter {
        Bound::True => "true".to_owned(),
        Bound::False => "false".to_owned(),
        Bound::And(parts) => all(parts, " & "),
        Bound::Or(parts) => all(parts, " | "),
        Bound::Predicate(predicate) => {
            let values: Vec<Json> = predicate.test.literals().iter().map(Value::to_json).collect();
            let text = format!("{} {}", name(&predicate.term), predicate.test.name());
            match (&predicate.test, values.as_slice()) {
                (Test::In(_) | Test::NotIn(_), values) => format!("{text} {}", Json::from(values)),
                (_, [value]) => format!("{text} {value}"),
                _ => text,
            }
        }
    }
}
