//! Binding of expressions to a schema: resolves columns, and converts literals to the types of the columns.
//! As Java's `Binder` after `RewriteNot`, with its simplifications.

use std::sync::Arc;

use super::bound::{Bound, BoundColumn, BoundFilter};
use super::convert::convert;
use super::decimal::{Fit, Neighbours};
use super::error::ExpressionError;
use super::expression::{Expression, Predicate, Reference, Term, Test};
use super::single_value::example;
use super::value::Value;
use crate::metadata::schema::Field;
use crate::metadata::transform::Transform;
use crate::metadata::types::{Primitive, StructType, Type};

/// Comparison of column names in an expression with those of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameMatching {
    /// Names have to be identical.
    CaseSensitive,
    /// Names have to be identical in lower case. Two columns that differ only in case cannot be
    /// distinguished, so neither can be referenced.
    IgnoreCase,
}

/// Binds an expression to a schema. The result has no `not`, and is simplified.
///
/// A comparison with a literal beyond the range of the column's type becomes constant, as described in
/// [`super`]. A literal between two values of the type is compared as the lower one.
///
/// ```text
/// let expression = Expression::parse(r#"{"type":"gt-eq","term":"id","value":5}"#)?;
/// let filter = bind(&expression, &schema.columns()?.root, NameMatching::CaseSensitive)?;
/// let partitions = project::inclusive(&filter, spec);
/// ```
///
/// # Errors
///
/// Fails if a column does not exist, is ambiguous, or is inside a list or map
/// ([`ExpressionError::UnknownColumn`]); and if a column does not support its test or transform, or a literal
/// cannot be converted to its type ([`ExpressionError::Unsupported`]).
pub fn bind(
    expression: &Expression,
    schema: &StructType,
    names: NameMatching,
) -> Result<BoundFilter, ExpressionError> {
    expression.clone().bind(schema, names)
}

impl Expression {
    /// Binds the expression as [`bind`] does, but consumes it, which avoids a copy of its lists.
    ///
    /// # Errors
    ///
    /// Fails as [`bind`] does.
    pub fn bind(self, schema: &StructType, names: NameMatching) -> Result<BoundFilter, ExpressionError> {
        Binder { schema, names }.bind(self, Polarity::Positive)
    }
}

struct Binder<'a> {
    schema: &'a StructType,
    names: NameMatching,
}

/// Parity of the number of `not` around an expression.
#[derive(Clone, Copy, PartialEq)]
enum Polarity {
    Positive,
    Negative,
}

/// Field of a schema, with the optionality of the structs around it.
#[derive(Clone, Copy)]
struct Found<'a> {
    field: &'a Field,
    inside_optional: bool,
}

impl Binder<'_> {
    fn bind(&self, expression: Expression, polarity: Polarity) -> Result<BoundFilter, ExpressionError> {
        let all = |parts: Vec<Expression>| -> Result<Vec<BoundFilter>, ExpressionError> {
            parts.into_iter().map(|part| self.bind(part, polarity)).collect()
        };
        Ok(match (expression, polarity) {
            (Expression::True, Polarity::Positive) | (Expression::False, Polarity::Negative) => Bound::True,
            (Expression::False, Polarity::Positive) | (Expression::True, Polarity::Negative) => Bound::False,
            (Expression::And(parts), Polarity::Positive) | (Expression::Or(parts), Polarity::Negative) => {
                Bound::and(all(parts)?)
            }
            (Expression::Or(parts), Polarity::Positive) | (Expression::And(parts), Polarity::Negative) => {
                Bound::or(all(parts)?)
            }
            (Expression::Not(child), Polarity::Positive) => self.bind(*child, Polarity::Negative)?,
            (Expression::Not(child), Polarity::Negative) => self.bind(*child, Polarity::Positive)?,
            (Expression::Predicate(Predicate { term, test }), polarity) => {
                self.predicate(&term, test, polarity)?
            }
        })
    }

    fn predicate(&self, term: &Term, test: Test, polarity: Polarity) -> Result<BoundFilter, ExpressionError> {
        let mut column = self.column(term)?;
        column.is_negated = polarity == Polarity::Negative;
        let test = match polarity {
            Polarity::Positive => test,
            Polarity::Negative => test.negated(),
        };
        match test {
            Test::In(_) | Test::NotIn(_) => among(column, test),
            Test::IsNull | Test::NotNull => Ok(null_test(column, test)),
            Test::IsNan | Test::NotNan => match column.result {
                Primitive::Float | Primitive::Double => Ok(Bound::predicate(column, test)),
                _ => Err(ExpressionError::unsupported(format!(
                    "`{}` on `{}`, which is of type `{}`; only `float` and `double` have NaN",
                    test.name(),
                    column.name,
                    column.result
                ))),
            },
            Test::StartsWith(_) | Test::NotStartsWith(_) => prefix_test(column, test),
            _ => comparison(column, test),
        }
    }

    fn column(&self, term: &Term) -> Result<BoundColumn, ExpressionError> {
        let (found, name) = match &term.reference {
            Reference::Name(name) => self.by_name(name)?,
            Reference::Id(id) => {
                let mut path = Vec::new();
                let found = find_id(self.schema, *id, &mut path).ok_or_else(|| {
                    ExpressionError::UnknownColumn(format!(
                        "no column outside lists and maps has the id {id}; use the ids of the table's schema"
                    ))
                })?;
                (found, path.join("."))
            }
        };
        let source = match &found.field.field_type {
            Type::Primitive(primitive) => primitive.clone(),
            other => Primitive::Other(other.to_string()),
        };
        let result = match &term.transform {
            Transform::Identity => source.clone(),
            transform => transform.result_type(&source).filter(|_| *transform != Transform::Void).ok_or_else(
                || {
                    ExpressionError::unsupported(format!(
                        "the transform `{transform}` of `{name}`, which is of type `{source}`; test the column itself"
                    ))
                },
            )?,
        };
        Ok(BoundColumn {
            id: found.field.id,
            name,
            transform: term.transform.clone(),
            source,
            result,
            nullable: found.inside_optional || !found.field.required,
            inside_optional: found.inside_optional,
            is_negated: false,
            written: None,
        })
    }

    fn by_name(&self, name: &str) -> Result<(Found<'_>, String), ExpressionError> {
        let mut search = Search { names: self.names, path: Vec::new(), hits: Vec::new() };
        let wanted = match self.names {
            NameMatching::CaseSensitive => name.to_owned(),
            NameMatching::IgnoreCase => name.to_lowercase(),
        };
        search.visit(self.schema, &wanted, Optionality::Required);
        let mut hits = search.hits.into_iter();
        match (hits.next(), hits.next()) {
            (Some(hit), None) => Ok(hit),
            (Some((_, first)), Some((_, second))) => Err(ExpressionError::UnknownColumn(format!(
                "`{name}` could be `{first}` or `{second}`; use case-sensitive names"
            ))),
            (None, _) => Err(ExpressionError::UnknownColumn(format!(
                "no column is named `{name}`, unless it is inside a list or map, where it cannot be tested; name one of \
                 the table's columns, and fields of structs as `struct.field`"
            ))),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Optionality {
    Required,
    Optional,
}

/// Search for a full name. Names may contain dots, so every split that the schema allows is tried; each field
/// of the schema is visited at most once.
struct Search<'a> {
    names: NameMatching,
    path: Vec<&'a str>,
    hits: Vec<(Found<'a>, String)>,
}

impl<'a> Search<'a> {
    fn visit(&mut self, parts: &'a StructType, wanted: &str, around: Optionality) {
        for field in &parts.fields {
            let rest = match self.names {
                NameMatching::CaseSensitive => wanted.strip_prefix(field.name.as_str()),
                NameMatching::IgnoreCase => wanted.strip_prefix(field.name.to_lowercase().as_str()),
            };
            let Some(rest) = rest else { continue };
            self.path.push(&field.name);
            if rest.is_empty() {
                let found = Found { field, inside_optional: around == Optionality::Optional };
                self.hits.push((found, self.path.join(".")));
            } else if let (Some(rest), Type::Struct(inner)) = (rest.strip_prefix('.'), &field.field_type) {
                let around = if field.required { around } else { Optionality::Optional };
                self.visit(inner, rest, around);
            }
            self.path.pop();
        }
    }
}

fn find_id<'a>(parts: &'a StructType, id: i32, path: &mut Vec<&'a str>) -> Option<Found<'a>> {
    for field in &parts.fields {
        path.push(&field.name);
        if field.id == id {
            return Some(Found { field, inside_optional: false });
        }
        if let Type::Struct(inner) = &field.field_type
            && let Some(found) = find_id(inner, id, path)
        {
            return Some(Found { inside_optional: found.inside_optional || !field.required, ..found });
        }
        path.pop();
    }
    None
}

fn null_test(column: BoundColumn, test: Test) -> BoundFilter {
    let is_null = test == Test::IsNull;
    if !column.nullable {
        return if is_null { Bound::False } else { Bound::True };
    }
    if column.source == Primitive::Unknown {
        return if is_null { Bound::True } else { Bound::False };
    }
    Bound::predicate(column, test)
}

fn prefix_test(column: BoundColumn, test: Test) -> Result<BoundFilter, ExpressionError> {
    let is_text = column.result == Primitive::String && matches!(test.literals(), [Value::String(_)]);
    if is_text {
        return Ok(Bound::predicate(column, test));
    }
    Err(ExpressionError::unsupported(format!(
        "`{}` on `{}`, which is of type `{}`; it needs a `string` and a prefix in quotes",
        test.name(),
        column.name,
        column.result
    )))
}

fn among(mut column: BoundColumn, test: Test) -> Result<BoundFilter, ExpressionError> {
    for value in test.literals().iter().filter(|value| matches!(value, Value::Double(_))) {
        if matches!(fit(&column, value)?, Fit::Between(_)) {
            column.written = Some(test.clone());
            break;
        }
    }
    Ok(match test {
        Test::NotIn(values) => match Test::none_of(exact(&column, values)?) {
            Some(test) => Bound::predicate(column, test),
            None if column.written.is_some() => Bound::predicate(column, anything()),
            None => Bound::True,
        },
        test if column.written.is_some() => {
            let values = near(&column, test.literals())?;
            Test::one_of(values).map_or(Bound::False, |test| Bound::predicate(column, test))
        }
        Test::In(values) => {
            Test::one_of(exact(&column, values)?).map_or(Bound::False, |test| Bound::predicate(column, test))
        }
        _ => Bound::True,
    })
}

/// Returns the test that every value passes, null included.
fn anything() -> Test {
    Test::NotIn(Arc::default())
}

/// Returns the values of the type that at least one client converts the literals to.
fn near(column: &BoundColumn, literals: &[Value]) -> Result<Vec<Value>, ExpressionError> {
    let mut values = Vec::with_capacity(literals.len());
    for literal in literals {
        match fit(column, literal)? {
            Fit::Exact(value) => values.push(value),
            Fit::Between(near) => values.extend(near.rounded),
            Fit::Above(_) | Fit::AboveMax | Fit::BelowMin => {}
        }
    }
    Ok(values)
}

/// Returns the test that matches every row that any client matches, independent of its rounding of the
/// literal.
fn widest(Neighbours { below, mut rounded }: Neighbours<Value>, test: &Test) -> Test {
    let first = rounded.first().cloned();
    match test {
        Test::Lt(_) => Test::LtEq(below),
        Test::Gt(_) => Test::Gt(below),
        Test::LtEq(_) => Test::LtEq(rounded.pop().unwrap_or(below)),
        Test::GtEq(_) => Test::GtEq(first.unwrap_or(below)),
        Test::NotEq(_) => anything(),
        _ => Test::one_of(rounded).unwrap_or_else(anything),
    }
}

/// Returns the literals that are values of the type; the others equal no value. Converted in place, because
/// there may be millions.
fn exact(column: &BoundColumn, values: Arc<Vec<Value>>) -> Result<Vec<Value>, ExpressionError> {
    let mut values = Arc::unwrap_or_clone(values);
    let mut refusal = None;
    values.retain_mut(|value| match fit(column, value) {
        Ok(Fit::Exact(exact)) => {
            *value = exact;
            true
        }
        Ok(_) => false,
        Err(error) => {
            refusal.get_or_insert(error);
            false
        }
    });
    refusal.map_or(Ok(values), Err)
}

fn fit(column: &BoundColumn, value: &Value) -> Result<Fit<Value>, ExpressionError> {
    if value.is_nan() {
        return Err(ExpressionError::unsupported(format!(
            "`{}` is compared with NaN; use `is-nan` or `not-nan`",
            column.name
        )));
    }
    convert(value, &column.result).ok_or_else(|| {
        ExpressionError::unsupported(format!(
            "`{}` cannot be compared with {}, because it is of type `{}`; write {}",
            column.name,
            value.to_json(),
            column.result,
            example(&column.result)
        ))
    })
}

fn comparison(mut column: BoundColumn, test: Test) -> Result<BoundFilter, ExpressionError> {
    let [literal] = test.literals() else { return Ok(Bound::True) };
    let test = match (fit(&column, literal)?, test) {
        (Fit::Between(near), test) => {
            let widest = widest(near, &test);
            column.written = Some(test);
            widest
        }
        (Fit::Exact(value), test) => match test {
            Test::Lt(_) => Test::Lt(value),
            Test::LtEq(_) => Test::LtEq(value),
            Test::Gt(_) => Test::Gt(value),
            Test::GtEq(_) => Test::GtEq(value),
            Test::NotEq(_) => Test::NotEq(value),
            _ => Test::Eq(value),
        },
        (Fit::AboveMax | Fit::Above(Value::Float(f32::MAX)), Test::Lt(_) | Test::LtEq(_))
        | (Fit::BelowMin | Fit::Above(Value::Float(f32::NEG_INFINITY)), Test::Gt(_) | Test::GtEq(_))
        | (_, Test::NotEq(_)) => return Ok(Bound::True),
        // Clients cannot parse infinity as a JSON number.
        (Fit::Above(Value::Float(f32::NEG_INFINITY)), Test::Lt(_) | Test::LtEq(_)) => {
            Test::Lt(Value::Float(f32::MIN))
        }
        (Fit::Above(value), Test::Lt(_) | Test::LtEq(_)) => Test::LtEq(value),
        (Fit::Above(value), Test::Gt(_) | Test::GtEq(_)) => Test::Gt(value),
        _ => return Ok(Bound::False),
    };
    Ok(Bound::predicate(column, test))
}
