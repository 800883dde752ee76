//! Serialisation of expressions, directly to text: a filter may be many megabytes long, and is written for
//! every file.

use crate::expr::bound::{Bound, BoundFilter};
use crate::expr::expression::{Expression, Reference, Term, Test};
use crate::expr::value::Value;
use crate::metadata::transform::Transform;

impl Expression {
    /// Returns the expression as JSON text. Chains of `and` and `or` are written as balanced trees, because
    /// readers limit the nesting depth.
    pub fn to_json(&self) -> String {
        let mut out = Vec::new();
        push_expression(&mut out, self);
        // Everything that was appended is UTF-8.
        String::from_utf8(out).unwrap_or_default()
    }
}

impl BoundFilter {
    /// Appends the filter as JSON text for a client, with columns by name. Chains are written as balanced
    /// trees, because readers limit the nesting depth.
    pub fn push_json(&self, out: &mut Vec<u8>) {
        match self {
            Bound::True => push_constant(out, true),
            Bound::False => push_constant(out, false),
            Bound::And(parts) => push_chain(out, "and", parts, true, BoundFilter::push_into),
            Bound::Or(parts) => push_chain(out, "or", parts, false, BoundFilter::push_into),
            Bound::Predicate(predicate) => {
                let column = &predicate.term;
                let test = column.written.as_ref().unwrap_or(&predicate.test);
                push_predicate(out, &Named::Name(&column.name), &column.transform, test);
            }
        }
    }

    fn push_into(out: &mut Vec<u8>, filter: &BoundFilter) {
        filter.push_json(out);
    }
}

/// Reference to a column, by name or by field id.
enum Named<'a> {
    Name(&'a str),
    Id(i32),
}

fn push_expression(out: &mut Vec<u8>, expression: &Expression) {
    match expression {
        Expression::True => push_constant(out, true),
        Expression::False => push_constant(out, false),
        Expression::And(parts) => push_chain(out, "and", parts, true, push_expression),
        Expression::Or(parts) => push_chain(out, "or", parts, false, push_expression),
        Expression::Not(child) => {
            out.extend_from_slice(b"{\"type\":\"not\",\"child\":");
            push_expression(out, child);
            out.push(b'}');
        }
        Expression::Predicate(predicate) => {
            let Term { reference, transform } = &predicate.term;
            let named = match reference {
                Reference::Name(name) => Named::Name(name),
                Reference::Id(id) => Named::Id(*id),
            };
            push_predicate(out, &named, transform, &predicate.test);
        }
    }
}

fn push_constant(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

fn push_chain<T>(out: &mut Vec<u8>, name: &str, parts: &[T], empty: bool, push: fn(&mut Vec<u8>, &T)) {
    match parts {
        [] => push_constant(out, empty),
        [part] => push(out, part),
        _ => {
            let (left, right) = parts.split_at(parts.len() / 2);
            push_type(out, name);
            out.extend_from_slice(b",\"left\":");
            push_chain(out, name, left, empty, push);
            out.extend_from_slice(b",\"right\":");
            push_chain(out, name, right, empty, push);
            out.push(b'}');
        }
    }
}

fn push_predicate(out: &mut Vec<u8>, named: &Named<'_>, transform: &Transform, test: &Test) {
    push_type(out, test.name());
    let is_list = matches!(test, Test::In(_) | Test::NotIn(_));
    let values = test.literals();
    // The older form is understood by more clients, but has no references by id.
    let is_old = matches!(named, Named::Name(_));
    out.extend_from_slice(match (is_old, is_list || values.is_empty()) {
        (true, _) => b",\"term\":",
        (false, true) => b",\"child\":",
        (false, false) => b",\"left\":",
    });
    match named {
        Named::Name(name) => push_old_term(out, name, transform),
        Named::Id(id) => push_term(out, *id, transform),
    }
    match values {
        [value] if !is_list => {
            out.extend_from_slice(if is_old { b",\"value\":" } else { b",\"right\":" });
            push_value(out, value);
        }
        values if is_list => {
            out.extend_from_slice(b",\"values\":[");
            for (number, value) in values.iter().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                push_value(out, value);
            }
            out.push(b']');
        }
        _ => {}
    }
    out.push(b'}');
}

fn push_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Number(text) => out.extend_from_slice(text.as_bytes()),
        value => push_json(out, &value.to_json()),
    }
}

/// Appends a column name, or a transform of it, in the older form.
fn push_old_term(out: &mut Vec<u8>, name: &str, transform: &Transform) {
    if *transform == Transform::Identity {
        return push_json(out, name);
    }
    push_type(out, "transform");
    out.extend_from_slice(b",\"transform\":");
    push_json(out, &transform.to_string());
    out.extend_from_slice(b",\"term\":");
    push_json(out, name);
    out.push(b'}');
}

/// Appends a reference by field id, or a transform of it, in the newer form.
fn push_term(out: &mut Vec<u8>, id: i32, transform: &Transform) {
    let (function, parameter) = match transform {
        Transform::Identity => return push_reference(out, id),
        Transform::Bucket(parameter) => ("bucket".to_owned(), Some(parameter)),
        Transform::Truncate(parameter) => ("truncate".to_owned(), Some(parameter)),
        other => (other.to_string(), None),
    };
    push_type(out, "apply");
    out.extend_from_slice(b",\"function\":");
    push_json(out, &function);
    out.extend_from_slice(b",\"arguments\":[");
    if let Some(parameter) = parameter {
        push_json(out, parameter);
        out.push(b',');
    }
    push_reference(out, id);
    out.extend_from_slice(b"]}");
}

fn push_reference(out: &mut Vec<u8>, id: i32) {
    push_type(out, "reference");
    out.extend_from_slice(b",\"id\":");
    push_json(out, &id);
    out.push(b'}');
}

/// Appends the beginning of an object with its `type`.
fn push_type(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b"{\"type\":");
    push_json(out, name);
}

fn push_json(out: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    // Strings and numbers can always be serialised, and writing to memory does not fail.
    drop(serde_json::to_writer(out, value));
}
