//! Parser of expressions. Terms and literals are in [`super::operand`].

use std::ops::Range;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::operand::{Operand, literal, old_term, operand, operand_term, values};
use super::tree::{Members, Tree};
use super::{EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX, start};
use crate::expr::error::ExpressionError;
use crate::expr::expression::{Expression, Predicate, Test};
use crate::expr::value::Value;
use crate::metadata::json::{Fields, decode};

impl Expression {
    /// Parses an expression from JSON.
    ///
    /// Accepts a bare `true` or `false`; operations in any case, with `-` or `_`; operands as `term`/`value`
    /// or as `child`/`left`/`right`, with the literal on either side; literals bare or as
    /// `{"type":"literal",…}`, with or without a data type; references by name or id; and transforms as
    /// `{"type":"transform",…}` or as the functions of the expressions specification.
    ///
    /// # Errors
    ///
    /// Fails if the text is longer than [`EXPRESSION_BYTES_MAX`], or alternates `and`, `or` and `not` deeper
    /// than [`EXPRESSION_DEPTH_MAX`] ([`ExpressionError::TooLarge`]); if it compares two columns or applies
    /// an unknown function ([`ExpressionError::Unsupported`]); and if it is otherwise no such expression
    /// ([`ExpressionError::Malformed`]).
    pub fn parse(text: &str) -> Result<Expression, ExpressionError> {
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(ExpressionError::TooLarge(format!(
                "the expression has {} bytes, and at most {EXPRESSION_BYTES_MAX} are read; shorten its lists",
                text.len()
            )));
        }
        let raw: &RawValue = decode(text, "expression")?;
        let tree = Tree::new(raw.get());
        Reader { tree: &tree }.expression(&tree.whole(), 0)
    }
}

struct Reader<'a> {
    tree: &'a Tree<'a>,
}

/// Operation that joins a chain.
#[derive(Clone, Copy, PartialEq)]
enum Chain {
    And,
    Or,
}

/// Kind of an object in an expression, as far as its `type` determines it.
enum Node<'a> {
    Not(Members<'a>),
    Chain(Chain, Members<'a>),
    Other,
}

impl<'a> Reader<'a> {
    fn node(&self, place: &Range<usize>) -> Result<Node<'a>, ExpressionError> {
        if !self.tree.text(place).starts_with('{') {
            return Ok(Node::Other);
        }
        let members = self.tree.members(place)?;
        let name = members.get("type").map(|name| self.tree.text(name));
        let name = name.filter(|name| name.starts_with('"')).map(|name| decode::<String>(name, "`type`"));
        Ok(match name.transpose()?.map(|name| plain(&name)).as_deref() {
            Some("not") => Node::Not(members),
            Some("and") => Node::Chain(Chain::And, members),
            Some("or") => Node::Chain(Chain::Or, members),
            _ => Node::Other,
        })
    }

    fn expression(&self, place: &Range<usize>, depth: usize) -> Result<Expression, ExpressionError> {
        if depth > EXPRESSION_DEPTH_MAX {
            return Err(ExpressionError::TooLarge(format!(
                "the expression alternates `and`, `or` and `not` over {EXPRESSION_DEPTH_MAX} levels deep; flatten it"
            )));
        }
        match self.node(place)? {
            Node::Not(members) => self.negation(&members, depth),
            Node::Chain(chain, members) => self.chain(chain, &members, depth),
            Node::Other => leaf(self.tree.text(place)),
        }
    }

    /// Parses a chain of `not` without recursion. Two consecutive ones cancel out.
    fn negation(&self, members: &Members<'_>, depth: usize) -> Result<Expression, ExpressionError> {
        let mut place = self.required(members, "child")?;
        let mut is_negated = true;
        while let Node::Not(members) = self.node(&place)? {
            place = self.required(&members, "child")?;
            is_negated = !is_negated;
        }
        Ok(match (self.expression(&place, depth + 1)?, is_negated) {
            (child, false) => child,
            (Expression::True, true) => Expression::False,
            (Expression::False, true) => Expression::True,
            (child, true) => Expression::Not(Box::new(child)),
        })
    }

    /// Parses a chain of one operation, nested to the left or to the right, without recursion.
    fn chain(
        &self,
        chain: Chain,
        members: &Members<'_>,
        depth: usize,
    ) -> Result<Expression, ExpressionError> {
        let mut waiting = vec![self.required(members, "right")?, self.required(members, "left")?];
        let mut parts = Vec::new();
        while let Some(place) = waiting.pop() {
            match self.node(&place)? {
                Node::Chain(inner, members) if inner == chain => {
                    waiting.push(self.required(&members, "right")?);
                    waiting.push(self.required(&members, "left")?);
                }
                _ => parts.push(self.expression(&place, depth + 1)?),
            }
        }
        Ok(match chain {
            Chain::And => joined(parts, Expression::And, &Expression::True, Expression::False),
            Chain::Or => joined(parts, Expression::Or, &Expression::False, Expression::True),
        })
    }

    fn required(&self, members: &Members<'_>, name: &str) -> Result<Range<usize>, ExpressionError> {
        let present = members.get(name).filter(|value| self.tree.text(value) != "null");
        present.cloned().ok_or_else(|| ExpressionError::malformed(format!("the expression has no `{name}`")))
    }
}

/// Parses an expression that contains no other one.
fn leaf(text: &str) -> Result<Expression, ExpressionError> {
    match text {
        "true" => return Ok(Expression::True),
        "false" => return Ok(Expression::False),
        _ if !text.starts_with('{') => {
            let message = format!("an expression is an object, `true` or `false`, not `{}`", start(text));
            return Err(ExpressionError::malformed(message));
        }
        _ => {}
    }
    let fields = Fields::parse(text, "expression")?;
    match operation(&fields)?.as_str() {
        "true" => Ok(Expression::True),
        "false" => Ok(Expression::False),
        "literal" => {
            let value = fields.required("value")?;
            Ok(if value { Expression::True } else { Expression::False })
        }
        name => Ok(Expression::Predicate(predicate(&fields, name)?)),
    }
}

/// Simplifies a chain: removes parts that have no effect, and replaces the chain by a part that decides it.
/// As in Java, columns beside a deciding part need not exist.
fn joined(
    mut parts: Vec<Expression>,
    join: fn(Vec<Expression>) -> Expression,
    neutral: &Expression,
    decided: Expression,
) -> Expression {
    if parts.contains(&decided) {
        return decided;
    }
    parts.retain(|part| part != neutral);
    match parts.len() {
        0 => neutral.clone(),
        1 => parts.pop().unwrap_or(decided),
        _ => join(parts),
    }
}

/// Returns the `type` in lower case and with dashes; Java accepts any case, and underscores as well.
pub(super) fn operation(fields: &Fields<'_>) -> Result<String, ExpressionError> {
    Ok(plain(&fields.required::<String>("type")?))
}

fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

pub(super) fn required<'a>(fields: &Fields<'a>, key: &str) -> Result<&'a str, ExpressionError> {
    fields.present(key).map(RawValue::get).ok_or_else(|| fields.missing(key).into())
}

fn predicate(fields: &Fields<'_>, name: &str) -> Result<Predicate, ExpressionError> {
    let unary = |test| {
        allow_no(fields, name, &["value", "values"])?;
        Ok(Predicate { term: operand_term(fields)?, test })
    };
    let list = |test: fn(Arc<Vec<Value>>) -> Test| {
        allow_no(fields, name, &["value"])?;
        Ok(Predicate { term: operand_term(fields)?, test: test(Arc::new(values(fields)?)) })
    };
    let compare: fn(Value) -> Test = match name {
        "is-null" => return unary(Test::IsNull),
        "not-null" => return unary(Test::NotNull),
        "is-nan" => return unary(Test::IsNan),
        "not-nan" => return unary(Test::NotNan),
        "in" => return list(Test::In),
        "not-in" => return list(Test::NotIn),
        "lt" => Test::Lt,
        "lt-eq" => Test::LtEq,
        "gt" => Test::Gt,
        "gt-eq" => Test::GtEq,
        "eq" => Test::Eq,
        "not-eq" => Test::NotEq,
        "starts-with" => Test::StartsWith,
        "not-starts-with" => Test::NotStartsWith,
        _ => {
            let message = format!("`{name}` is no operation; use one of those in the REST specification");
            return Err(ExpressionError::malformed(message));
        }
    };
    allow_no(fields, name, &["values"])?;
    if let Some(term) = fields.present("term") {
        let value = literal(required(fields, "value")?)?;
        return Ok(Predicate { term: old_term(term.get())?, test: compare(value) });
    }
    match (operand(required(fields, "left")?)?, operand(required(fields, "right")?)?) {
        (Operand::Term(term), Operand::Literal(value)) => Ok(Predicate { term, test: compare(value) }),
        (Operand::Literal(value), Operand::Term(term)) => {
            Ok(Predicate { term, test: mirrored(compare(value))? })
        }
        (Operand::Term(_), Operand::Term(_)) => Err(ExpressionError::unsupported(format!(
            "`{name}` compares two columns; compare a column with a literal instead"
        ))),
        (Operand::Literal(_), Operand::Literal(_)) => Err(ExpressionError::malformed(format!(
            "`{name}` compares two literals; write a column as `{{\"type\":\"reference\",\"name\":…}}`"
        ))),
    }
}

/// Refuses a value that an operation does not take, as Java does: it was probably meant for another
/// operation.
fn allow_no(fields: &Fields<'_>, name: &str, keys: &[&str]) -> Result<(), ExpressionError> {
    match keys.iter().find(|key| fields.present(key).is_some()) {
        None => Ok(()),
        Some(key) => Err(ExpressionError::malformed(format!("`{name}` has no `{key}`; leave it out"))),
    }
}

/// Returns the equivalent test with its sides exchanged.
fn mirrored(test: Test) -> Result<Test, ExpressionError> {
    Ok(match test {
        Test::Lt(value) => Test::Gt(value),
        Test::LtEq(value) => Test::GtEq(value),
        Test::Gt(value) => Test::Lt(value),
        Test::GtEq(value) => Test::LtEq(value),
        Test::Eq(_) | Test::NotEq(_) => test,
        _ => {
            let message =
                format!("`{}` needs the column on its left and the prefix on its right", test.name());
            return Err(ExpressionError::unsupported(message));
        }
    })
}
