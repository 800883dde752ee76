//! Predecessors and successors of values, for discrete types.

use crate::expr::decimal::Decimal;
use crate::expr::value::Value;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Step {
    Up,
    Down,
}

/// Predecessor or successor of a value.
pub(super) enum Neighbour {
    Is(Value),
    /// The value is the first or last one of its type.
    None,
    /// The type is dense (between any two values is another one), or its neighbours are not computed.
    Dense,
}

pub(super) fn neighbour(value: &Value, step: Step) -> Neighbour {
    let int = |value: i32, make: fn(i32) -> Value| match step {
        Step::Up => value.checked_add(1).map(make),
        Step::Down => value.checked_sub(1).map(make),
    };
    let long = |value: i64, make: fn(i64) -> Value| match step {
        Step::Up => value.checked_add(1).map(make),
        Step::Down => value.checked_sub(1).map(make),
    };
    let next = match value {
        Value::Int(value) => int(*value, Value::Int),
        Value::Date(value) => int(*value, Value::Date),
        Value::Long(value) => long(*value, Value::Long),
        Value::Timestamp(value) => long(*value, Value::Timestamp),
        Value::Timestamptz(value) => long(*value, Value::Timestamptz),
        Value::TimestampNs(value) => long(*value, Value::TimestampNs),
        Value::TimestamptzNs(value) => long(*value, Value::TimestamptzNs),
        Value::Decimal(Decimal { unscaled, scale }) => {
            let unscaled = match step {
                Step::Up => unscaled.checked_add(1),
                Step::Down => unscaled.checked_sub(1),
            };
            unscaled.map(|unscaled| Value::Decimal(Decimal { unscaled, scale: *scale }))
        }
        _ => return Neighbour::Dense,
    };
    next.map_or(Neighbour::None, Neighbour::Is)
}

/// Returns the neighbour of a result of a time transform, which is never the first or last value of its type.
pub(super) fn neighbour_or(value: Value, step: Step) -> Value {
    match neighbour(&value, step) {
        Neighbour::Is(next) => next,
        Neighbour::None | Neighbour::Dense => value,
    }
}
