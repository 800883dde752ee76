//! Projection of a row filter to filters on the partitions of a partition spec. As Java's `Projections` and
//! `ProjectionUtil`.
//!
//! Two errors of writers are taken into account. Iceberg 0.10 and earlier rounded times before 1970 up
//! instead of down, so that the partition value may be one too great; and Java's `DateTimeUtil` rounds a time
//! before 1970 that lies in the last microsecond (nanosecond) of the first second of a unit one too far down.
//! So for results below zero, the rows may be in the neighbouring partitions as well.

mod neighbour;
mod zero;

use neighbour::{Neighbour, Step, neighbour, neighbour_or};
use zero::{with_both_zeros, without_doubtful_zeros};

use super::bound::{Bound, BoundColumn, BoundFilter, BoundPredicate, PartitionColumn, PartitionFilter};
use super::expression::Test;
use super::transform::first_characters;
use super::value::Value;
use crate::metadata::partition::{PartitionField, PartitionSpec};
use crate::metadata::transform::Transform;
use crate::metadata::types::Primitive;

/// Returns a filter that the partition of every matching row matches. A partition that does not match it has
/// no matching row.
pub fn inclusive(filter: &BoundFilter, spec: &PartitionSpec) -> PartitionFilter {
    filter.rewrite(&mut |predicate| inclusive_predicate(predicate, spec))
}

/// Returns a filter that matches a partition only if every row of the partition matches.
pub fn strict(filter: &BoundFilter, spec: &PartitionSpec) -> PartitionFilter {
    filter.rewrite(&mut |predicate| strict_predicate(predicate, spec))
}

pub(crate) fn inclusive_predicate(
    predicate: &BoundPredicate<BoundColumn>,
    spec: &PartitionSpec,
) -> PartitionFilter {
    let fields = targets(&predicate.term, spec);
    Bound::and(fields.map(|target| target.inclusive(&predicate.test).unwrap_or(Bound::True)))
}

pub(crate) fn strict_predicate(
    predicate: &BoundPredicate<BoundColumn>,
    spec: &PartitionSpec,
) -> PartitionFilter {
    if predicate.term.written.is_some() {
        return Bound::False;
    }
    let fields = targets(&predicate.term, spec);
    Bound::or(fields.map(|target| target.strict(&predicate.test).unwrap_or(Bound::False)))
}

/// Returns the partition fields that are derived from a term's column.
fn targets<'a>(column: &'a BoundColumn, spec: &'a PartitionSpec) -> impl Iterator<Item = Target<'a>> {
    spec.fields().iter().enumerate().filter_map(|(position, field)| Target::new(column, position, field))
}

/// Partition field, as the image of a term.
struct Target<'a> {
    source: &'a Primitive,
    /// Transform of the partition field.
    written: &'a Transform,
    /// Transform from the term to the partition value: identity, if the term is the field's own transform, or
    /// can be computed from the partition value.
    transform: &'a Transform,
    column: PartitionColumn,
}

impl<'a> Target<'a> {
    /// Returns the target for a partition field; `None` if the field has another source, or allows no
    /// conclusion about the term.
    fn new(column: &'a BoundColumn, position: usize, field: &'a PartitionField) -> Option<Target<'a>> {
        if field.source_ids != [column.id] || field.transform == Transform::Void {
            return None;
        }
        let source = field.transform.result_type(&column.source)?;
        let mut of_field = PartitionColumn {
            position,
            transform: Transform::Identity,
            result: source.clone(),
            source,
            is_negated: column.is_negated,
        };
        let transform = if column.transform == Transform::Identity {
            &field.transform
        } else if column.transform == field.transform {
            &Transform::Identity
        } else if field.transform == Transform::Identity {
            // The partition value is the value of the column itself.
            of_field.transform = column.transform.clone();
            of_field.result = column.result.clone();
            &Transform::Identity
        } else {
            return None;
        };
        Some(Target { source: &column.source, written: &field.transform, transform, column: of_field })
    }

    fn test(&self, test: Test) -> PartitionFilter {
        Bound::predicate(self.column.clone(), test)
    }

    fn inclusive(&self, test: &Test) -> Option<PartitionFilter> {
        let same = || Some(self.test(test.clone()));
        match (self.transform, test) {
            (_, Test::IsNull | Test::NotNull | Test::IsNan | Test::NotNan) => same(),
            (Transform::Identity, _) if self.is_exact(test) => Some(self.test(with_both_zeros(test))),
            (_, Test::Eq(value)) => self.one_of(std::slice::from_ref(value)),
            (_, Test::In(values)) => self.one_of(values),
            (_, Test::NotEq(_) | Test::NotIn(_)) | (Transform::Bucket(_), _) => None,
            (Transform::Truncate(width), Test::StartsWith(Value::String(prefix))) => {
                match prefix_fits(prefix, *width) {
                    Fits::Shorter => same(),
                    Fits::Exactly | Fits::Longer => self.one_of(test.literals()),
                }
            }
            (Transform::Truncate(width), Test::NotStartsWith(Value::String(prefix))) => {
                match prefix_fits(prefix, *width) {
                    Fits::Shorter => same(),
                    Fits::Exactly => Some(self.test(Test::NotEq(Value::String(prefix.clone())))),
                    Fits::Longer => None,
                }
            }
            (_, Test::Lt(value)) => match neighbour(value, Step::Down) {
                Neighbour::Is(value) => self.at_most(&value),
                Neighbour::None => Some(Bound::False),
                Neighbour::Dense => self.at_most(value),
            },
            (_, Test::LtEq(value)) => self.at_most(value),
            (_, Test::Gt(value)) => match neighbour(value, Step::Up) {
                Neighbour::Is(value) => self.at_least(&value),
                Neighbour::None => Some(Bound::False),
                Neighbour::Dense => self.at_least(value),
            },
            (_, Test::GtEq(value)) => self.at_least(value),
            (_, Test::StartsWith(_) | Test::NotStartsWith(_)) => None,
        }
    }

    fn strict(&self, test: &Test) -> Option<PartitionFilter> {
        let same = || Some(self.test(test.clone()));
        match (self.transform, test) {
            (_, Test::IsNull | Test::NotNull | Test::IsNan | Test::NotNan) => same(),
            (Transform::Identity, _) if self.is_exact(test) => Some(self.test(without_doubtful_zeros(test))),
            (_, Test::NotEq(value)) => self.none_of(std::slice::from_ref(value)),
            (_, Test::NotIn(values)) => self.none_of(values),
            (_, Test::Eq(_) | Test::In(_)) | (Transform::Bucket(_), _) => None,
            (Transform::Truncate(width), Test::StartsWith(Value::String(prefix))) => {
                match prefix_fits(prefix, *width) {
                    Fits::Shorter => same(),
                    Fits::Exactly => Some(self.test(Test::Eq(Value::String(prefix.clone())))),
                    Fits::Longer => None,
                }
            }
            (Transform::Truncate(width), Test::NotStartsWith(Value::String(prefix))) => {
                match prefix_fits(prefix, *width) {
                    Fits::Shorter => same(),
                    Fits::Exactly | Fits::Longer => self.none_of(test.literals()),
                }
            }
            (_, Test::Lt(value)) => self.below(value),
            (_, Test::LtEq(value)) => match neighbour(value, Step::Up) {
                Neighbour::Is(value) => self.below(&value),
                Neighbour::None => Some(self.test(Test::NotNull)),
                Neighbour::Dense => self.below(value),
            },
            (_, Test::Gt(value)) => self.above(value),
            (_, Test::GtEq(value)) => match neighbour(value, Step::Down) {
                Neighbour::Is(value) => self.above(&value),
                Neighbour::None => Some(self.test(Test::NotNull)),
                Neighbour::Dense => self.above(value),
            },
            (_, Test::StartsWith(_) | Test::NotStartsWith(_)) => None,
        }
    }

    /// Returns the partitions that may contain one of the values.
    fn one_of(&self, values: &[Value]) -> Option<PartitionFilter> {
        let mut results = Vec::with_capacity(values.len());
        for value in values {
            let result = self.transform.apply(value)?;
            results.extend(self.doubts(&result).neighbours(&result));
            results.push(result);
        }
        Some(self.test(Test::one_of(results)?))
    }

    /// Returns the partitions that contain none of the values.
    fn none_of(&self, values: &[Value]) -> Option<PartitionFilter> {
        let Bound::Predicate(predicate) = self.one_of(values)? else { return None };
        Some(self.test(predicate.test.clone().negated()))
    }

    /// Returns the partitions that may contain a value less than or equal to this one.
    fn at_most(&self, value: &Value) -> Option<PartitionFilter> {
        let result = self.transform.apply(value)?;
        if self.has_wrapped(value, &result) {
            return Some(self.test(Test::Eq(result)));
        }
        let most = if self.doubts(&result).above { neighbour_or(result, Step::Up) } else { result };
        let most = self.test(Test::LtEq(most));
        Some(Bound::or(
            [Some(most), self.wrapped().map(|last| self.test(Test::Eq(last)))].into_iter().flatten(),
        ))
    }

    /// Returns the partitions that may contain a value greater than or equal to this one.
    fn at_least(&self, value: &Value) -> Option<PartitionFilter> {
        let result = self.transform.apply(value)?;
        if self.has_wrapped(value, &result) {
            return Some(self.test(Test::NotNull));
        }
        let least = if self.doubts(&result).below { neighbour_or(result, Step::Down) } else { result };
        Some(self.test(Test::GtEq(least)))
    }

    /// Returns the partitions that contain only values less than this one.
    fn below(&self, value: &Value) -> Option<PartitionFilter> {
        let result = self.transform.apply(value)?;
        if self.has_wrapped(value, &result) {
            return None;
        }
        let end = if self.doubts(&result).below { neighbour_or(result, Step::Down) } else { result };
        Some(self.test(Test::Lt(end)))
    }

    /// Returns the partitions that contain only values greater than this one.
    fn above(&self, value: &Value) -> Option<PartitionFilter> {
        let result = self.transform.apply(value)?;
        if self.has_wrapped(value, &result) {
            return None;
        }
        let end = if self.doubts(&result).above { neighbour_or(result, Step::Up) } else { result };
        let above = self.test(Test::Gt(end));
        Some(Bound::and(
            [Some(above), self.wrapped().map(|last| self.test(Test::NotEq(last)))].into_iter().flatten(),
        ))
    }

    /// Returns `true` if truncation wrapped around the minimum of the type.
    fn has_wrapped(&self, value: &Value, result: &Value) -> bool {
        matches!(self.transform, Transform::Truncate(_)) && is_integer(self.source) && result > value
    }

    /// Returns the partition value of the values that wrap around, if there are any.
    fn wrapped(&self) -> Option<Value> {
        let minimum = match self.source {
            Primitive::Int => Value::Int(i32::MIN),
            Primitive::Long => Value::Long(i64::MIN),
            _ => return None,
        };
        self.transform.apply(&minimum).filter(|result| self.has_wrapped(&minimum, result))
    }

    /// Returns `true` if the test has the same result for the partition value as for the term, given that the
    /// transform between them is identity.
    fn is_exact(&self, test: &Test) -> bool {
        let is_time =
            matches!(self.written, Transform::Year | Transform::Month | Transform::Day | Transform::Hour);
        // Partition values before 1970 may be off by one, which affects 0 as well, but no greater ones.
        !is_time || test.literals().iter().all(|value| matches!(value, Value::Int(1..) | Value::Date(1..)))
    }

    /// Returns the neighbouring partitions in which a writer may have put the rows of a partition by mistake.
    fn doubts(&self, result: &Value) -> Doubts {
        let is_before = matches!(result, Value::Int(..0) | Value::Date(..0));
        match (self.written, self.source) {
            (Transform::Year | Transform::Month, Primitive::Date) => {
                Doubts { above: is_before, below: false }
            }
            (Transform::Year | Transform::Month | Transform::Day | Transform::Hour, source) => {
                let is_time = *source != Primitive::Date;
                Doubts { above: is_before && is_time, below: is_before && is_time }
            }
            _ => Doubts { above: false, below: false },
        }
    }
}

/// Flags for the neighbouring partitions that may contain rows of a partition as well.
struct Doubts {
    above: bool,
    below: bool,
}

impl Doubts {
    fn neighbours(&self, result: &Value) -> impl Iterator<Item = Value> {
        let above = self.above.then(|| neighbour_or(result.clone(), Step::Up));
        let below = self.below.then(|| neighbour_or(result.clone(), Step::Down));
        above.into_iter().chain(below)
    }
}

fn is_integer(source: &Primitive) -> bool {
    matches!(source, Primitive::Int | Primitive::Long)
}

/// Length of a prefix in comparison with the width of a truncation.
enum Fits {
    Shorter,
    Exactly,
    Longer,
}

fn prefix_fits(prefix: &str, width: u32) -> Fits {
    let first = first_characters(prefix, width);
    if first.len() < prefix.len() {
        return Fits::Longer;
    }
    match u32::try_from(prefix.chars().count()) {
        Ok(count) if count == width => Fits::Exactly,
        _ => Fits::Shorter,
    }
}
