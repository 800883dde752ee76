//! Parser of the operands of predicates: terms, literals and lists of literals.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{SeqAccess, Visitor};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::read::{operation, required};
use super::start;
use crate::expr::decimal::{Decimal, Number};
use crate::expr::error::ExpressionError;
use crate::expr::expression::{Reference, Term};
use crate::expr::value::Value;
use crate::metadata::json::{Fields, decode, parse_number};
use crate::metadata::transform::Transform;
use crate::metadata::types::Primitive;

/// Operand of a predicate.
pub(super) enum Operand {
    Term(Term),
    Literal(Value),
}

/// Parses the term of a predicate that has no other operand, or only a list.
pub(super) fn operand_term(fields: &Fields<'_>) -> Result<Term, ExpressionError> {
    if let Some(term) = fields.present("term") {
        return old_term(term.get());
    }
    match operand(required(fields, "child")?)? {
        Operand::Term(term) => Ok(term),
        Operand::Literal(_) => Err(ExpressionError::malformed(
            "a literal is tested; write a column as `{\"type\":\"reference\",\"name\":…}`",
        )),
    }
}

/// Parses a term of the older form, in which a bare string is a column name.
pub(super) fn old_term(text: &str) -> Result<Term, ExpressionError> {
    if text.starts_with('"') {
        let name = decode(text, "term")?;
        return Ok(Term { reference: Reference::Name(name), transform: Transform::Identity });
    }
    match operand(text)? {
        Operand::Term(term) => Ok(term),
        Operand::Literal(_) => {
            Err(ExpressionError::malformed("a `term` is a column's name, a reference or a transform"))
        }
    }
}

/// Parses an operand of the newer form, in which a bare string is a literal.
pub(super) fn operand(text: &str) -> Result<Operand, ExpressionError> {
    if !text.starts_with('{') {
        return literal(text).map(Operand::Literal);
    }
    let fields = Fields::parse(text, "operand")?;
    match operation(&fields)?.as_str() {
        "reference" => {
            Ok(Operand::Term(Term { reference: reference(&fields)?, transform: Transform::Identity }))
        }
        "literal" => literal(text).map(Operand::Literal),
        "transform" => {
            let reference = old_reference(required(&fields, "term")?)?.ok_or_else(nested_transform)?;
            let transform: String = fields.required("transform")?;
            Ok(Operand::Term(Term { reference, transform: Transform::parse(&transform) }))
        }
        "apply" => apply(&fields).map(Operand::Term),
        name => Err(ExpressionError::malformed(format!(
            "`{name}` is neither `reference`, `apply`, `transform` nor `literal`"
        ))),
    }
}

fn nested_transform() -> ExpressionError {
    ExpressionError::unsupported("a transform of something other than a column; apply it to a reference")
}

fn reference(fields: &Fields<'_>) -> Result<Reference, ExpressionError> {
    // Java wrote `term` before the name had a field of its own.
    for key in ["name", "term"] {
        if let Some(name) = fields.optional(key)? {
            return Ok(Reference::Name(name));
        }
    }
    match fields.optional("id")? {
        Some(id) => Ok(Reference::Id(id)),
        None => Err(ExpressionError::malformed("a reference needs a `name` or an `id`")),
    }
}

/// Parses a column name or a reference; `None` if it is something else.
fn old_reference(text: &str) -> Result<Option<Reference>, ExpressionError> {
    if text.starts_with('"') {
        return Ok(Some(Reference::Name(decode(text, "term")?)));
    }
    let fields = Fields::parse(text, "term")?;
    if operation(&fields)? == "reference" { reference(&fields).map(Some) } else { Ok(None) }
}

fn apply(fields: &Fields<'_>) -> Result<Term, ExpressionError> {
    let name = function(required(fields, "function")?)?;
    let arguments: Vec<&RawValue> = fields.required("arguments")?;
    let (transform, argument) = match (name.as_str(), arguments.as_slice()) {
        ("identity" | "year" | "month" | "day" | "hour", [argument]) => (name, argument),
        ("bucket" | "truncate", [parameter, argument]) => {
            let Value::Long(parameter) = literal(parameter.get())? else {
                return Err(ExpressionError::malformed(format!(
                    "the first argument of `{name}` is a number"
                )));
            };
            (format!("{name}[{parameter}]"), argument)
        }
        _ => {
            return Err(ExpressionError::unsupported(format!(
                "the function `{name}` with {} arguments; Iceberg's transforms are `identity`, `year`, `month`, `day` and \
                 `hour` of a column, and `bucket` and `truncate` of a number and a column",
                arguments.len()
            )));
        }
    };
    match old_reference(argument.get())? {
        Some(reference) if argument.get().starts_with('{') => {
            Ok(Term { reference, transform: Transform::parse(&transform) })
        }
        _ => Err(nested_transform()),
    }
}

/// Parses the name of one of Iceberg's functions, in lower case.
fn function(text: &str) -> Result<String, ExpressionError> {
    let (catalog, identifier) = match text.as_bytes().first() {
        Some(b'"') => (None, vec![decode::<String>(text, "function")?]),
        Some(b'[') => (None, decode(text, "function")?),
        _ => {
            let fields = Fields::parse(text, "function")?;
            let catalog: Option<String> = fields.optional("catalog")?;
            (catalog, fields.required("identifier")?)
        }
    };
    let is_ours = catalog.as_deref().is_none_or(|catalog| catalog.eq_ignore_ascii_case("iceberg_functions"));
    match identifier.as_slice() {
        [name] if is_ours => Ok(name.to_ascii_lowercase()),
        _ => Err(ExpressionError::unsupported(format!(
            "the function `{}`; only Iceberg's transforms can be used",
            identifier.join(".")
        ))),
    }
}

/// Returns the number with all its digits, if the nearest double would represent a different number.
fn digits_beyond(text: &str, double: f64) -> Option<Value> {
    // A double preserves up to 15 significant digits, unless it is subnormal.
    if double.is_normal() && text.len() <= 15 {
        return None;
    }
    let number = Number::parse(text)?;
    let is_same = double.is_finite()
        && Number::parse(&format!("{double:e}")).is_some_and(|shortest| shortest.is_equal(&number));
    if is_same {
        return None;
    }
    let decimal = number.to_decimal().map(Value::Decimal);
    decimal.or_else(|| double.is_finite().then(|| Value::Number(text.to_owned())))
}

pub(super) fn values(fields: &Fields<'_>) -> Result<Vec<Value>, ExpressionError> {
    let text = required(fields, "values")?;
    if text.starts_with('[') {
        return list(text, &literal);
    }
    let fields = Fields::parse(text, "list of values")?;
    if operation(&fields)? != "literals" {
        return Err(ExpressionError::malformed("`values` is an array, or an object of type `literals`"));
    }
    let text = required(&fields, "values")?;
    match fields.optional::<String>("data-type")? {
        Some(name) => {
            let value_type = Primitive::parse(&name);
            list(text, &|element| Value::from_json_text(element, &value_type))
        }
        None => list(text, &literal),
    }
}

/// Parses the elements of an array one by one, because there may be millions.
fn list(
    text: &str,
    read: &dyn Fn(&str) -> Result<Value, ExpressionError>,
) -> Result<Vec<Value>, ExpressionError> {
    let mut refusal = None;
    let elements = Elements { read, refusal: &mut refusal };
    let values = serde_json::Deserializer::from_str(text).deserialize_seq(elements);
    if let Some(error) = refusal {
        return Err(error);
    }
    let mut values = values.map_err(|_| ExpressionError::malformed("`values` is not a list"))?;
    values.shrink_to_fit();
    Ok(values)
}

struct Elements<'a> {
    read: &'a dyn Fn(&str) -> Result<Value, ExpressionError>,
    refusal: &'a mut Option<ExpressionError>,
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(element) = elements.next_element::<&'de RawValue>()? {
            match (self.read)(element.get()) {
                Ok(value) => values.push(value),
                Err(error) => {
                    *self.refusal = Some(error);
                    return Err(serde::de::Error::custom("an element was refused"));
                }
            }
        }
        Ok(values)
    }
}

/// Parses a literal: bare, or in an object with or without its type.
pub(super) fn literal(text: &str) -> Result<Value, ExpressionError> {
    if text.starts_with('{') {
        let fields = Fields::parse(text, "literal")?;
        if operation(&fields)? != "literal" {
            return Err(ExpressionError::malformed(format!("`{}` is not a literal", start(text))));
        }
        let value = required(&fields, "value")?;
        return match fields.optional::<String>("data-type")? {
            Some(name) => typed(value, &name),
            None => bare(value),
        };
    }
    bare(text)
}

fn typed(text: &str, type_name: &str) -> Result<Value, ExpressionError> {
    Value::from_json_text(text, &Primitive::parse(type_name))
}

/// Parses a literal without a type; binding converts it to the type of the column.
fn bare(text: &str) -> Result<Value, ExpressionError> {
    if let Ok(number) = text.parse::<i64>() {
        return Ok(Value::Long(number));
    }
    // `serde_json` would parse a larger whole number as a double, and lose digits that a decimal has.
    if let Ok(unscaled) = text.parse::<i128>() {
        return Ok(Value::Decimal(Decimal { unscaled, scale: 0 }));
    }
    if let Some(double) = parse_number(text) {
        // A decimal column may have digits that a double has not.
        if let Some(number) = digits_beyond(text, double) {
            return Ok(number);
        }
        return Some(double)
            .filter(|number| number.is_finite())
            .map(Value::Double)
            .ok_or_else(|| ExpressionError::malformed(format!("the number `{}` is too large", start(text))));
    }
    match decode(text, "literal")? {
        Json::Bool(value) => Ok(Value::Boolean(value)),
        Json::String(value) => Ok(Value::String(value)),
        _ => Err(ExpressionError::malformed(format!(
            "`{}` is not a literal; write a number, a string or a boolean, and test for null with `is-null`",
            start(text)
        ))),
    }
}
