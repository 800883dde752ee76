//! Ranges of values between a lower and an upper bound, and tests on them. Nulls and NaNs are not part of a
//! range; the evaluators handle them separately.

use std::cmp::Ordering;

use uuid::Uuid;

use super::expression::Test;
use super::value::{Value, ValueRef};

/// Order of UUIDs that the writer of bounds used.
///
/// Java compared UUIDs as two signed halves before it followed the specification, and bounds do not record
/// the order. So an answer must be valid for both orders, as in Java now. One writer used one order, so all
/// bounds of a file are interpreted in the same order. Tests always use the order of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UuidOrder {
    /// Unsigned, as in the specification.
    Unsigned,
    /// Two signed halves, as in Java's `UUID.compareTo`.
    Signed,
}

/// Range of values that are neither less than `lower` nor greater than `upper`, as far as these are known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range<'a> {
    lower: Option<ValueRef<'a>>,
    upper: Option<ValueRef<'a>>,
    order: UuidOrder,
}

/// Sense of a test: as it is, or negated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sense {
    AsIs,
    Negated,
}

impl<'a> Range<'a> {
    /// Returns the range between two bounds.
    ///
    /// Bounds that are NaN are ignored, because ORC writes them whenever the first value is NaN. A bound that
    /// is zero includes the other zero, because writers and engines differ in the equality of `-0.0` and
    /// `0.0`.
    pub(crate) fn new(
        lower: Option<ValueRef<'a>>,
        upper: Option<ValueRef<'a>>,
        order: UuidOrder,
    ) -> Range<'a> {
        let lower = lower.filter(|lower| !lower.is_nan()).map(ValueRef::with_lesser_zero);
        let upper = upper.filter(|upper| !upper.is_nan()).map(ValueRef::with_greater_zero);
        Range { lower, upper, order }
    }

    /// Returns `true` if a value in the range may pass the test.
    pub(crate) fn might_match(&self, test: &Test) -> bool {
        self.might(test, Sense::AsIs)
    }

    /// Returns `true` if every value in the range passes the test.
    pub(crate) fn must_match(&self, test: &Test) -> bool {
        !self.might(test, Sense::Negated)
    }

    fn might(&self, test: &Test, sense: Sense) -> bool {
        match (test, sense) {
            (Test::Lt(value), Sense::AsIs) | (Test::GtEq(value), Sense::Negated) => {
                self.lower_to(value).is_none_or(Ordering::is_lt)
            }
            (Test::LtEq(value), Sense::AsIs) | (Test::Gt(value), Sense::Negated) => {
                self.lower_to(value).is_none_or(Ordering::is_le)
            }
            (Test::Gt(value), Sense::AsIs) | (Test::LtEq(value), Sense::Negated) => {
                self.upper_to(value).is_none_or(Ordering::is_gt)
            }
            (Test::GtEq(value), Sense::AsIs) | (Test::Lt(value), Sense::Negated) => {
                self.upper_to(value).is_none_or(Ordering::is_ge)
            }
            (Test::Eq(value), Sense::AsIs) | (Test::NotEq(value), Sense::Negated) => self.contains(value),
            (Test::NotEq(value), Sense::AsIs) | (Test::Eq(value), Sense::Negated) => !self.is_only(value),
            (Test::In(values), Sense::AsIs) | (Test::NotIn(values), Sense::Negated) => {
                self.contains_one_of(values)
            }
            (Test::NotIn(values), Sense::AsIs) | (Test::In(values), Sense::Negated) => {
                !self.is_only_one_of(values)
            }
            (Test::StartsWith(prefix), Sense::AsIs) | (Test::NotStartsWith(prefix), Sense::Negated) => {
                self.reaches_prefix(prefix)
            }
            (Test::NotStartsWith(prefix), Sense::AsIs) | (Test::StartsWith(prefix), Sense::Negated) => {
                !self.is_within_prefix(prefix)
            }
            (Test::IsNull | Test::NotNull | Test::IsNan | Test::NotNan, _) => true,
        }
    }

    /// Compares the lower bound with a value, in the order of tests; `None` if the result is unknown.
    fn lower_to(&self, value: &Value) -> Option<Ordering> {
        self.in_order_of_tests(self.lower?, value)
    }

    fn upper_to(&self, value: &Value) -> Option<Ordering> {
        self.in_order_of_tests(self.upper?, value)
    }

    fn in_order_of_tests(&self, bound: ValueRef<'_>, value: &Value) -> Option<Ordering> {
        let (ValueRef::Uuid(bound), Value::Uuid(value), UuidOrder::Signed) = (bound, value, self.order)
        else {
            return self.in_order_of_bounds(bound, value);
        };
        // Between bounds of the same sign, both orders agree on the first halves. Nothing else is known.
        let (Some(ValueRef::Uuid(lower)), Some(ValueRef::Uuid(upper))) = (self.lower, self.upper) else {
            return None;
        };
        let half = |uuid: Uuid| uuid.as_u64_pair().0;
        let is_one_sign = (half(lower) ^ half(upper)) >> 63 == 0;
        is_one_sign.then(|| half(bound).cmp(&half(*value))).filter(|order| order.is_ne())
    }

    /// Compares a bound with a value, in the order that the writer used.
    fn in_order_of_bounds(&self, bound: ValueRef<'_>, value: &Value) -> Option<Ordering> {
        let value = value.as_ref();
        if let (ValueRef::Uuid(left), ValueRef::Uuid(right), UuidOrder::Signed) = (bound, value, self.order) {
            return Some(signed_halves(left).cmp(&signed_halves(right)));
        }
        bound.is_comparable(value).then(|| bound.cmp(&value))
    }

    fn contains(&self, value: &Value) -> bool {
        let compare = |bound: Option<ValueRef<'_>>| self.in_order_of_bounds(bound?, value);
        compare(self.lower).is_none_or(Ordering::is_le) && compare(self.upper).is_none_or(Ordering::is_ge)
    }

    /// Returns `true` if the range consists of this value only.
    fn is_only(&self, value: &Value) -> bool {
        self.lower == Some(value.as_ref()) && self.upper == Some(value.as_ref())
    }

    fn contains_one_of(&self, values: &[Value]) -> bool {
        if self.order == UuidOrder::Signed {
            // The values are sorted in the order of the specification, not in this one.
            return values.iter().any(|value| self.contains(value));
        }
        let first = values.partition_point(|value| self.lower_to(value).is_some_and(Ordering::is_gt));
        values.get(first).is_some_and(|value| self.contains(value))
    }

    fn is_only_one_of(&self, values: &[Value]) -> bool {
        let (Some(lower), Some(upper)) = (self.lower, self.upper) else { return false };
        let are_zeros = matches!(
            (lower, upper),
            (ValueRef::Float(0.0), ValueRef::Float(0.0)) | (ValueRef::Double(0.0), ValueRef::Double(0.0))
        );
        let is_one = |bound| values.binary_search_by(|value| value.as_ref().cmp(&bound)).is_ok();
        // Equality is the same in both orders of UUIDs.
        (lower == upper || are_zeros) && is_one(lower) && is_one(upper)
    }

    /// Returns `true` if a string in the range may begin with the prefix. Bytes are compared, because bounds
    /// may be truncated in the middle of a character.
    fn reaches_prefix(&self, prefix: &Value) -> bool {
        let Value::String(prefix) = prefix else { return true };
        let cut = |bound: Option<ValueRef<'a>>| match bound {
            Some(ValueRef::String(bytes)) => Some(bytes.get(..prefix.len()).unwrap_or(bytes)),
            _ => None,
        };
        cut(self.lower).is_none_or(|lower| lower <= prefix.as_bytes())
            && cut(self.upper).is_none_or(|upper| upper >= prefix.as_bytes())
    }

    /// Returns `true` if every string in the range begins with the prefix.
    fn is_within_prefix(&self, prefix: &Value) -> bool {
        let Value::String(prefix) = prefix else { return false };
        let begins = |bound: Option<ValueRef<'a>>| matches!(bound, Some(ValueRef::String(bytes)) if bytes.starts_with(prefix.as_bytes()));
        begins(self.lower) && begins(self.upper)
    }
}

fn signed_halves(uuid: Uuid) -> (i64, i64) {
    let (high, low) = uuid.as_u64_pair();
    (high.cast_signed(), low.cast_signed())
}
