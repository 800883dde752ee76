//! Bound expressions: no `not`, columns by id, values of the column's type. Making them is in [`super::bind`] and
//! [`super::project`], judging them in the evaluators.

use std::sync::Arc;

use super::expression::Test;
use super::value::Value;
use super::weight::Weight;
use crate::metadata::transform::Transform;
use crate::metadata::types::Primitive;

/// A bound expression on rows (`T` is [`Column`]) or on partitions (`T` is [`PartitionColumn`]).
#[derive(Debug, Clone, PartialEq)]
pub enum Bound<T> {
    /// Always.
    True,
    /// Never.
    False,
    /// All of these; at least two, none of them constant or itself `And`.
    And(Vec<Bound<T>>),
    /// One of these; at least two, none of them constant or itself `Or`.
    Or(Vec<Bound<T>>),
    /// A test. Shared, because residuals repeat it for every file.
    Predicate(Arc<BoundPredicate<T>>),
}

/// A bound expression on rows.
pub type RowFilter = Bound<Column>;

/// A bound expression on partition tuples.
pub type PartitionFilter = Bound<PartitionColumn>;

/// A test of a term, with values of the term's type.
#[derive(Debug, Clone, PartialEq)]
pub struct BoundPredicate<T> {
    /// What is tested.
    pub term: T,
    /// The test.
    pub test: Test,
}

/// A column of a schema, or a transform of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The field id.
    pub id: i32,
    /// The full name in the schema.
    pub name: String,
    /// What is done to it; [`Transform::Identity`] for the column itself.
    pub transform: Transform,
    /// The type of the column. A struct, list, map or unknown type is [`Primitive::Other`]; it is only tested for null.
    pub source: Primitive,
    /// The type of the term.
    pub result: Primitive,
    /// Whether the term may be null, because the column or a struct around it is optional.
    pub nullable: bool,
    /// Whether a struct around the column is optional, so that files may count fewer values than rows.
    pub inside_optional: bool,
    /// Whether the test was negated to take a `not` away that was around it; engines differ in what that does to NaN.
    pub is_negated: bool,
    /// The test with literals as they were written, if clients differ in which values these are. Then the bound test
    /// finds whatever a client finds, and this one is sent back.
    pub written: Option<Test>,
}

/// A field of a partition tuple, or a transform of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionColumn {
    /// Its place in the partition spec, counted from 0.
    pub position: usize,
    /// What is done to it; [`Transform::Identity`] for the field itself.
    pub transform: Transform,
    /// The type of the field: the result type of its own transform.
    pub source: Primitive,
    /// The type of the term.
    pub result: Primitive,
    /// As [`Column::is_negated`].
    pub is_negated: bool,
}

impl<T> Bound<T> {
    /// A single test.
    pub fn predicate(term: T, test: Test) -> Bound<T> {
        Bound::Predicate(Arc::new(BoundPredicate { term, test }))
    }

    /// All of these, simplified.
    pub fn and(parts: impl IntoIterator<Item = Bound<T>>) -> Bound<T> {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Bound::True => {}
                Bound::False => return Bound::False,
                Bound::And(inner) => kept.extend(inner),
                Bound::Or(_) | Bound::Predicate(_) => kept.push(part),
            }
        }
        match kept.len() {
            0 => Bound::True,
            1 => kept.pop().unwrap_or(Bound::True),
            _ => Bound::And(kept),
        }
    }

    /// One of these, simplified.
    pub fn or(parts: impl IntoIterator<Item = Bound<T>>) -> Bound<T> {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Bound::False => {}
                Bound::True => return Bound::True,
                Bound::Or(inner) => kept.extend(inner),
                Bound::And(_) | Bound::Predicate(_) => kept.push(part),
            }
        }
        match kept.len() {
            0 => Bound::False,
            1 => kept.pop().unwrap_or(Bound::False),
            _ => Bound::Or(kept),
        }
    }

    /// The answer, given that of each predicate. Stops as soon as it is known.
    pub fn evaluate(&self, answer: &mut impl FnMut(&BoundPredicate<T>) -> bool) -> bool {
        match self {
            Bound::True => true,
            Bound::False => false,
            Bound::And(parts) => parts.iter().all(|part| part.evaluate(answer)),
            Bound::Or(parts) => parts.iter().any(|part| part.evaluate(answer)),
            Bound::Predicate(predicate) => answer(predicate),
        }
    }

    /// The expression with every predicate replaced.
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

impl RowFilter {
    /// The memory of the filter beside its own size.
    pub(crate) fn heap_bytes(&self) -> usize {
        let mut weight = Weight::default();
        weight.add_bound(self, Column::heap_bytes);
        weight.bytes()
    }
}

impl<T> Bound<T> {
    /// Whether the order of UUIDs matters to the answer.
    pub(crate) fn compares_uuids(&self) -> bool {
        match self {
            Bound::True | Bound::False => false,
            Bound::And(parts) | Bound::Or(parts) => parts.iter().any(Bound::compares_uuids),
            Bound::Predicate(predicate) => matches!(predicate.test.literals(), [Value::Uuid(_), ..]),
        }
    }
}
