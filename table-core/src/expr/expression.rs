//! Expressions as clients write them, by name and without types. Binding is in [`super::bind`], JSON in
//! [`super::json`].

use std::sync::Arc;

use super::value::Value;
use crate::metadata::transform::Transform;

/// A predicate on rows, not yet bound to a schema.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// Every row.
    True,
    /// No row.
    False,
    /// Rows that all of these match; every row if there are none.
    And(Vec<Expression>),
    /// Rows that one of these matches; no row if there are none.
    Or(Vec<Expression>),
    /// Rows of which the predicates inside are negated.
    Not(Box<Expression>),
    /// Rows whose value passes a test.
    Predicate(Predicate),
}

/// A test of a term. The values in the test are as the client wrote them.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicate {
    /// What is tested.
    pub term: Term,
    /// The test.
    pub test: Test,
}

/// What a predicate tests: a column, or a transform of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// The column.
    pub reference: Reference,
    /// What is done to it; [`Transform::Identity`] for the column itself.
    pub transform: Transform,
}

/// How a column is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// By its name; that of a field of a struct has the names around it, joined with dots.
    Name(String),
    /// By its field id.
    Id(i32),
}

/// A test of one value. [`super`] says what each answers for null and NaN.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// The value is null.
    IsNull,
    /// The value is not null.
    NotNull,
    /// The value is NaN.
    IsNan,
    /// The value is not NaN; null is not.
    NotNan,
    /// Less than.
    Lt(Value),
    /// Less than, or equal.
    LtEq(Value),
    /// Greater than.
    Gt(Value),
    /// Greater than, or equal.
    GtEq(Value),
    /// Equal.
    Eq(Value),
    /// Not equal.
    NotEq(Value),
    /// Equal to one of these. In a bound expression they are sorted, at least two, and no two are equal. Shared, because
    /// there may be millions, and projections repeat them.
    In(Arc<Vec<Value>>),
    /// Not equal to any of these, which are as in [`Test::In`].
    NotIn(Arc<Vec<Value>>),
    /// A string that begins with this one.
    StartsWith(Value),
    /// Not a string that begins with this one.
    NotStartsWith(Value),
}

impl Test {
    /// The name of the operation in JSON.
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

    /// The test that `not` makes of this one.
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

    /// The values in the test.
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

    /// Whether some engine finds NaN by this test of a float, `is_negated` if a `not` around it was pushed down to it.
    ///
    /// To Spark and `DuckDB` NaN is greater than every number. Where NaN is beyond all order, an engine that negates the
    /// answer of `x > 5` instead of asking for `x <= 5` finds it as well.
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

    /// A test of being one of these values, which need not be sorted; `None` if there are none.
    pub(crate) fn one_of(values: Vec<Value>) -> Option<Test> {
        let mut values = sorted(values);
        if values.len() > 1 {
            values.shrink_to_fit();
            return Some(Test::In(Arc::new(values)));
        }
        values.pop().map(Test::Eq)
    }

    /// A test of being none of these values, which need not be sorted; `None` if there are none.
    pub(crate) fn none_of(values: Vec<Value>) -> Option<Test> {
        Test::one_of(values).map(Test::negated)
    }
}

fn sorted(mut values: Vec<Value>) -> Vec<Value> {
    values.sort_unstable();
    values.dedup();
    values
}
