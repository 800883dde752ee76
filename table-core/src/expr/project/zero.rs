//! Tests of floats that are valid both if `-0.0` equals `0.0` and if it does not.

use std::sync::Arc;

use crate::expr::expression::Test;
use crate::expr::value::Value;

/// Returns the test, widened to have the same answer for both zeros.
pub(super) fn with_both_zeros(test: &Test) -> Test {
    match test {
        Test::Eq(value) if is_zero(value) => Test::In(Arc::new(zeros(value).to_vec())),
        Test::In(values) if values.iter().any(is_zero) => {
            let both = values.iter().filter(|value| is_zero(value)).flat_map(zeros);
            let values = values.iter().cloned().chain(both).collect();
            Test::one_of(values).unwrap_or_else(|| test.clone())
        }
        Test::LtEq(value) if is_zero(value) => Test::LtEq(zeros(value)[1].clone()),
        Test::GtEq(value) if is_zero(value) => Test::GtEq(zeros(value)[0].clone()),
        _ => test.clone(),
    }
}

/// Returns the test, narrowed to be true only if it is true under both interpretations of the zeros.
pub(super) fn without_doubtful_zeros(test: &Test) -> Test {
    match test {
        Test::NotEq(value) if is_zero(value) => Test::NotIn(Arc::new(zeros(value).to_vec())),
        Test::NotIn(values) if values.iter().any(is_zero) => {
            let both = values.iter().filter(|value| is_zero(value)).flat_map(zeros);
            let values = values.iter().cloned().chain(both).collect();
            Test::none_of(values).unwrap_or_else(|| test.clone())
        }
        Test::Lt(value) if is_zero(value) => Test::Lt(zeros(value)[0].clone()),
        Test::Gt(value) if is_zero(value) => Test::Gt(zeros(value)[1].clone()),
        _ => test.clone(),
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Float(value) => *value == 0.0,
        Value::Double(value) => *value == 0.0,
        _ => false,
    }
}

/// Returns `-0.0` and `0.0` of a value's type.
fn zeros(value: &Value) -> [Value; 2] {
    match value {
        Value::Float(_) => [Value::Float(-0.0), Value::Float(0.0)],
        _ => [Value::Double(-0.0), Value::Double(0.0)],
    }
}
