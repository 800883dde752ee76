//! Unbound expressions, as clients send them: columns by name or field id, literals without types. Binding is
//! in [`super::bind`], JSON in [`super::json`].

use std::sync::Arc;

use super::value::Value;
use crate::metadata::transform::Transform;

/// Filter on rows, not yet bound to a schema.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// Matches every row.
    True,
    /// Matches no row.
    False,
    /// Conjunction; matches every row if it is empty.
    And(Vec<Expression>),
    /// Disjunction; matches no row if it is empty.
    Or(Vec<Expression>),
    /// Negation: the predicates inside are negated, see [`super`].
    Not(Box<Expression>),
    /// Test of a value.
    Predicate(Predicate),
}

/// Test of a term. The literals in the test are as the client sent them.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicate {
    /// Tested column, possibly with a transform.
    pub term: Term,
    /// Test of its value.
    pub test: Test,
}

/// Column that a predicate tests, or a transform of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// Reference to the column.
    pub reference: Reference,
    /// Transform that is applied to the column; [`Transform::Identity`] for the column itself.
    pub transform: Transform,
}

/// Reference to a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// Full name: the names of the enclosing structs and of the field, joined with dots.
    Name(String),
    /// Field id.
    Id(i32),
}

/// Test of one value. The results for null and NaN are described in [`super`].
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// `is-null`: the value is null.
    IsNull,
    /// `not-null`: the value is not null.
    NotNull,
    /// `is-nan`: the value is NaN.
    IsNan,
    /// `not-nan`: the value is not NaN; true for null.
    NotNan,
    /// `lt`: the value is less than the literal.
    Lt(Value),
    /// `lt-eq`: the value is less than or equal to the literal.
    LtEq(Value),
    /// `gt`: the value is greater than the literal.
    Gt(Value),
    /// `gt-eq`: the value is greater than or equal to the literal.
    GtEq(Value),
    /// `eq`: the value equals the literal.
    Eq(Value),
    /// `not-eq`: the value does not equal the literal.
    NotEq(Value),
    /// `in`: the value equals one of the literals. In a bound expression, there are at least two, sorted and
    /// distinct. Shared, because there may be millions, and projections repeat them.
    In(Arc<Vec<Value>>),
    /// `not-in`: the value equals none of the literals, which are as in [`Test::In`].
    NotIn(Arc<Vec<Value>>),
    /// `starts-with`: the value is a string that begins with the literal.
    StartsWith(Value),
    /// `not-starts-with`: the value is not a string that begins with the literal.
    NotStartsWith(Value),
}

impl Test {
    /// Returns the name of the operation in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Test::IsNull => "is-null",
            Test::NotNull => "not-null",
            Test::IsNan => "is-nan",
            Test::NotNan => "not-nan",
            Test::Lt(_) => "lt",
            Test::LtEq(_) => "lt-eq",
            Test::Gt(_) => "gt",
            Test::GtEq(_) => "gt-eq",
            Test::Eq(_) => "eq",
            Test::NotEq(_) => "not-eq",
            Test::In(_) => "in",
            Test::NotIn(_) => "not-in",
            Test::StartsWith(_) => "starts-with",
            Test::NotStartsWith(_) => "not-starts-with",
        }
    }

    /// Returns the negation of the test, with which a `not` is pushed down.
    pub fn negated(self) -> Test {
        match self {
            Test::IsNull => Test::NotNull,
            Test::NotNull => Test::IsNull,
            Test::IsNan => Test::NotNan,
            Test::NotNan => Test::IsNan,
            Test::Lt(value) => Test::GtEq(value),
            Test::LtEq(value) => Test::Gt(value),
            Test::Gt(value) => Test::LtEq(value),
            Test::GtEq(value) => Test::Lt(value),
            Test::Eq(value) => Test::NotEq(value),
            Test::NotEq(value) => Test::Eq(value),
            Test::In(values) => Test::NotIn(values),
            Test::NotIn(values) => Test::In(values),
            Test::StartsWith(value) => Test::NotStartsWith(value),
            Test::NotStartsWith(value) => Test::StartsWith(value),
        }
    }

    /// Returns the literals of the test.
    pub fn literals(&self) -> &[Value] {
        match self {
            Test::IsNull | Test::NotNull | Test::IsNan | Test::NotNan => &[],
            Test::Lt(value)
            | Test::LtEq(value)
            | Test::Gt(value)
            | Test::GtEq(value)
            | Test::Eq(value)
            | Test::NotEq(value)
            | Test::StartsWith(value)
            | Test::NotStartsWith(value) => std::slice::from_ref(value),
            Test::In(values) | Test::NotIn(values) => values,
        }
    }

    /// Returns `true` if at least one engine matches NaN by this test of a float; `is_negated` is `true` if
    /// an enclosing `not` was pushed down to it.
    ///
    /// In Spark and `DuckDB`, NaN is greater than every number. In an engine where NaN is unordered, negating
    /// the result of `x > 5` instead of evaluating `x <= 5` matches NaN as well.
    pub(crate) fn may_find_nan(&self, is_negated: bool) -> bool {
        match self {
            Test::Gt(_) | Test::GtEq(_) | Test::NotNull | Test::IsNan | Test::NotEq(_) | Test::NotIn(_) => {
                true
            }
            Test::Lt(_) | Test::LtEq(_) => is_negated,
            Test::IsNull
            | Test::NotNan
            | Test::Eq(_)
            | Test::In(_)
            | Test::StartsWith(_)
            | Test::NotStartsWith(_) => false,
        }
    }

    /// Returns the test for equality with one of these values, which need not be sorted; `None` if there are
    /// none.
    pub(crate) fn one_of(values: Vec<Value>) -> Option<Test> {
        let mut values = sorted(values);
        if values.len() > 1 {
            values.shrink_to_fit();
            return Some(Test::In(Arc::new(values)));
        }
        values.pop().map(Test::Eq)
    }

    /// Returns the test for equality with none of these values, which need not be sorted; `None` if there are
    /// none.
    pub(crate) fn none_of(values: Vec<Value>) -> Option<Test> {
        Test::one_of(values).map(Test::negated)
    }
}

fn sorted(mut values: Vec<Value>) -> Vec<Value> {
    values.sort_unstable();
    values.dedup();
    values
}
