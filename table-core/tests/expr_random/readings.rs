//! What the rows of a file are to engines that read a filter differently: judged on the filter as it was sent, by a few lines
//! of their own.

use std::cmp::Ordering;

use table_core::expr::expression::{Expression, Predicate, Reference, Test};
use table_core::expr::value::Value;

use crate::rows::{self, Row, Zeros, columns, compare};

/// How an engine orders NaN. Both have SQL's three values of logic, and negate answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Nan {
    /// Greater than every number and equal to itself, as in Spark and `DuckDB`.
    Greatest,
    /// Neither less than, equal to nor greater than anything, as in IEEE 754.
    Unordered,
}

/// Whether an engine finds a row.
pub(crate) fn finds(expression: &Expression, row: &Row, nan: Nan, zeros: Zeros) -> bool {
    answer(expression, row, nan, zeros) == Some(true)
}

fn answer(expression: &Expression, row: &Row, nan: Nan, zeros: Zeros) -> Option<bool> {
    let all = |parts: &[Expression]| -> Vec<Option<bool>> {
        parts.iter().map(|part| answer(part, row, nan, zeros)).collect()
    };
    match expression {
        Expression::True => Some(true),
        Expression::False => Some(false),
        Expression::Not(child) => answer(child, row, nan, zeros).map(|passes| !passes),
        Expression::And(parts) => {
            let answers = all(parts);
            if answers.contains(&Some(false)) {
                Some(false)
            } else {
                (!answers.contains(&None)).then_some(true)
            }
        }
        Expression::Or(parts) => {
            let answers = all(parts);
            if answers.contains(&Some(true)) {
                Some(true)
            } else {
                (!answers.contains(&None)).then_some(false)
            }
        }
        Expression::Predicate(predicate) => passes(predicate, row, nan, zeros),
    }
}

fn passes(Predicate { term, test }: &Predicate, row: &Row, nan: Nan, zeros: Zeros) -> Option<bool> {
    let Reference::Name(name) = &term.reference else { return None };
    let position = columns().iter().position(|(column, _, _)| column == name).unwrap();
    let value = row[position].as_ref().map(|value| term.transform.apply(value).unwrap());
    if value.is_none() && !matches!(test, Test::IsNull | Test::NotNull) {
        return None;
    }
    let order = |literal: &Value| match (compare(value.as_ref()?, literal, zeros), nan) {
        (None, Nan::Greatest) => Some(Ordering::Greater),
        (order, _) => order,
    };
    Some(rows::passes(test, value.as_ref(), order))
}
