//! Bound expressions: without `not`, with columns by field id and literals of the column's type. They are
//! created by [`super::bind`] and [`super::project`], and evaluated by the evaluators.

use std::sync::Arc;

use super::expression::Test;
use super::value::Value;
use crate::metadata::transform::Transform;
use crate::metadata::types::Primitive;

/// Bound expression on rows (`T` is [`BoundColumn`]) or on partitions (`T` is [`PartitionColumn`]).
///
/// [`Bound::and`] and [`Bound::or`] maintain the invariants of the variants.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound<T> {
    /// Always true.
    True,
    /// Always false.
    False,
    /// Conjunction: at least two parts, none of them constant or itself `And`.
    And(Vec<Bound<T>>),
    /// Disjunction: at least two parts, none of them constant or itself `Or`.
    Or(Vec<Bound<T>>),
    /// Test of a term. Shared, because residuals repeat it for every file.
    Predicate(Arc<BoundPredicate<T>>),
}

/// Bound expression on rows.
pub type BoundFilter = Bound<BoundColumn>;

/// Bound expression on partition tuples.
pub type PartitionFilter = Bound<PartitionColumn>;

/// Test of a term, with literals of the term's type.
#[derive(Debug, Clone, PartialEq)]
pub struct BoundPredicate<T> {
    /// Tested column or partition field, possibly with a transform.
    pub term: T,
    /// Test of its value.
    pub test: Test,
}

/// Column of a schema, or a transform of it.
#[derive(Debug, Clone, PartialEq)]
pub struct BoundColumn {
    /// Field id.
    pub id: i32,
    /// Full name in the schema.
    pub name: String,
    /// Transform that is applied to the column; [`Transform::Identity`] for the column itself.
    pub transform: Transform,
    /// Type of the column. A struct, list, map or unknown type is [`Primitive::Other`]; it is only tested for
    /// null.
    pub source: Primitive,
    /// Type of the term: the result type of the transform.
    pub result: Primitive,
    /// `true` if the term may be null, because the column or a struct around it is optional.
    pub nullable: bool,
    /// `true` if a struct around the column is optional, so that files may count fewer values than rows.
    pub inside_optional: bool,
    /// `true` if the test was negated to eliminate an enclosing `not`; engines differ in the effect of that
    /// on NaN.
    pub is_negated: bool,
    /// Test with the literals as written, if clients differ in the values that they convert these to. In this
    /// case the bound test matches every row that any client's conversion matches, and this test is the one
    /// that is sent back.
    pub written: Option<Test>,
}

/// Field of a partition tuple, or a transform of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionColumn {
    /// Position in the partition spec, from 0.
    pub position: usize,
    /// Transform that is applied to the field; [`Transform::Identity`] for the field itself.
    pub transform: Transform,
    /// Type of the field: the result type of its own transform.
    pub source: Primitive,
    /// Type of the term: the result type of the transform.
    pub result: Primitive,
    /// `true` if the test was negated, as in [`BoundColumn::is_negated`].
    pub is_negated: bool,
}

impl<T> Bound<T> {
    /// Returns the expression of a single test.
    pub fn predicate(term: T, test: Test) -> Bound<T> {
        Bound::Predicate(Arc::new(BoundPredicate { term, test }))
    }

    /// Returns the conjunction of the parts, simplified.
    pub fn and(parts: impl IntoIterator<Item = Bound<T>>) -> Bound<T> {
        let mut operands = Vec::new();
        for part in parts {
            match part {
                Bound::True => {}
                Bound::False => return Bound::False,
                Bound::And(inner) => operands.extend(inner),
                Bound::Or(_) | Bound::Predicate(_) => operands.push(part),
            }
        }
        match operands.len() {
            0 => Bound::True,
            1 => operands.pop().unwrap_or(Bound::True),
            _ => Bound::And(operands),
        }
    }

    /// Returns the disjunction of the parts, simplified.
    pub fn or(parts: impl IntoIterator<Item = Bound<T>>) -> Bound<T> {
        let mut operands = Vec::new();
        for part in parts {
            match part {
                Bound::False => {}
                Bound::True => return Bound::True,
                Bound::Or(inner) => operands.extend(inner),
                Bound::And(_) | Bound::Predicate(_) => operands.push(part),
            }
        }
        match operands.len() {
            0 => Bound::False,
            1 => operands.pop().unwrap_or(Bound::False),
            _ => Bound::Or(operands),
        }
    }

    /// Evaluates the expression, given the answer for each predicate. Stops as soon as the result is
    /// determined.
    pub fn evaluate(&self, answer: &mut impl FnMut(&BoundPredicate<T>) -> bool) -> bool {
        match self {
            Bound::True => true,
            Bound::False => false,
            Bound::And(parts) => parts.iter().all(|part| part.evaluate(answer)),
            Bound::Or(parts) => parts.iter().any(|part| part.evaluate(answer)),
            Bound::Predicate(predicate) => answer(predicate),
        }
    }

    /// Returns the expression with every predicate replaced.
    pub fn rewrite<U>(&self, replace: &mut impl FnMut(&Arc<BoundPredicate<T>>) -> Bound<U>) -> Bound<U> {
        match self {
            Bound::True => Bound::True,
            Bound::False => Bound::False,
            Bound::And(parts) => Bound::and(parts.iter().map(|part| part.rewrite(replace))),
            Bound::Or(parts) => Bound::or(parts.iter().map(|part| part.rewrite(replace))),
            Bound::Predicate(predicate) => replace(predicate),
        }
    }
}

impl<T> Bound<T> {
    /// Returns `true` if the result depends on the order of UUIDs.
    pub(crate) fn compares_uuids(&self) -> bool {
        match self {
            Bound::True | Bound::False => false,
            Bound::And(parts) | Bound::Or(parts) => parts.iter().any(Bound::compares_uuids),
            Bound::Predicate(predicate) => matches!(predicate.test.literals(), [Value::Uuid(_), ..]),
        }
    }
}
