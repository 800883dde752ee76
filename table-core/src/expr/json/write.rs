//! Writing expressions.

use serde_json::{Value as Json, json};

use crate::expr::expression::{Expression, Predicate, Reference, Term, Test};
use crate::expr::value::Value;
use crate::metadata::transform::Transform;

impl Expression {
    /// The expression as JSON. Chains of `and` and `or` are written as balanced trees, because readers limit depth.
    pub fn to_json(&self) -> Json {
        match self {
            Expression::True => Json::Bool(true),
            Expression::False => Json::Bool(false),
            Expression::And(parts) => write_chain("and", parts, true),
            Expression::Or(parts) => write_chain("or", parts, false),
            Expression::Not(child) => json!({"type": "not", "child": child.to_json()}),
            Expression::Predicate(predicate) => write_predicate(predicate),
        }
    }
}

fn write_chain(name: &str, parts: &[Expression], empty: bool) -> Json {
    match parts {
        [] => Json::Bool(empty),
        [part] => part.to_json(),
        _ => {
            let (left, right) = parts.split_at(parts.len() / 2);
            json!({
                "type": name,
                "left": write_chain(name, left, empty),
                "right": write_chain(name, right, empty),
            })
        }
    }
}

fn write_predicate(predicate: &Predicate) -> Json {
    let name = predicate.test.name();
    let old = match (&predicate.term.reference, &predicate.term.transform) {
        (Reference::Name(column), Transform::Identity) => Some(json!(column)),
        (Reference::Name(column), transform) => {
            Some(json!({"type": "transform", "transform": transform.to_string(), "term": column}))
        }
        (Reference::Id(_), _) => None,
    };
    let is_list = matches!(predicate.test, Test::In(_) | Test::NotIn(_));
    match (old, predicate.test.literals()) {
        (Some(term), values) if is_list => json!({"type": name, "term": term, "values": list(values)}),
        (Some(term), [value]) => json!({"type": name, "term": term, "value": value.to_json()}),
        (Some(term), _) => json!({"type": name, "term": term}),
        (None, values) if is_list => {
            json!({"type": name, "child": write_term(&predicate.term), "values": list(values)})
        }
        (None, [value]) => {
            json!({"type": name, "left": write_term(&predicate.term), "right": value.to_json()})
        }
        (None, _) => json!({"type": name, "child": write_term(&predicate.term)}),
    }
}

fn list(values: &[Value]) -> Json {
    values.iter().map(Value::to_json).collect()
}

/// A term in the newer form.
fn write_term(term: &Term) -> Json {
    let reference = match &term.reference {
        Reference::Name(name) => json!({"type": "reference", "name": name}),
        Reference::Id(id) => json!({"type": "reference", "id": id}),
    };
    match &term.transform {
        Transform::Identity => reference,
        Transform::Bucket(parameter) => {
            json!({"type": "apply", "function": "bucket", "arguments": [parameter, reference]})
        }
        Transform::Truncate(parameter) => {
            json!({"type": "apply", "function": "truncate", "arguments": [parameter, reference]})
        }
        other => json!({"type": "apply", "function": other.to_string(), "arguments": [reference]}),
    }
}
