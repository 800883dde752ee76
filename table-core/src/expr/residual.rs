//! Residuals: what is left of a filter once a file's partition is known. As Java's `ResidualEvaluator`.

use std::sync::Arc;

use super::bound::{Bound, BoundPredicate, Column, PartitionColumn, PartitionFilter, RowFilter};
use super::partition::{PartitionTuple, might_match, must_match};
use super::project::{inclusive_predicate, strict_predicate};
use super::weight::Weight;
use crate::metadata::partition::PartitionSpec;

/// A filter whose predicates are projected once, to be reduced for many files of one partition spec.
#[derive(Debug)]
pub struct Residuals {
    filter: Projected,
}

/// A filter with the projections of its predicates.
#[derive(Debug)]
enum Projected {
    /// Always, or never.
    Constant(bool),
    And(Vec<Projected>),
    Or(Vec<Projected>),
    Predicate {
        predicate: Arc<BoundPredicate<Column>>,
        inclusive: PartitionFilter,
        strict: PartitionFilter,
    },
}

impl Residuals {
    /// Prepares the residuals of a filter for the files of a partition spec.
    pub fn new(filter: &RowFilter, spec: &PartitionSpec) -> Residuals {
        Residuals { filter: Projected::new(filter, spec) }
    }

    /// The filter that has the same answer for every row of a partition: predicates that all of its rows match or that none
    /// does are gone.
    pub fn of<P: PartitionTuple + ?Sized>(&self, tuple: &P) -> RowFilter {
        self.filter.of(tuple)
    }

    /// The filter that the partition of every matching row matches, as [`super::project::inclusive`] makes it. It shares its
    /// predicates with the residuals.
    pub fn inclusive(&self) -> PartitionFilter {
        self.filter.inclusive()
    }

    /// Adds the memory of the projections.
    pub(crate) fn weigh(&self, weight: &mut Weight) {
        self.filter.weigh(weight);
    }
}

impl Projected {
    fn new(filter: &RowFilter, spec: &PartitionSpec) -> Projected {
        let all = |parts: &[RowFilter]| parts.iter().map(|part| Projected::new(part, spec)).collect();
        match filter {
            Bound::True => Projected::Constant(true),
            Bound::False => Projected::Constant(false),
            Bound::And(parts) => Projected::And(all(parts)),
            Bound::Or(parts) => Projected::Or(all(parts)),
            Bound::Predicate(predicate) => Projected::Predicate {
                predicate: Arc::clone(predicate),
                inclusive: inclusive_predicate(predicate, spec),
                strict: strict_predicate(predicate, spec),
            },
        }
    }

    fn of<P: PartitionTuple + ?Sized>(&self, tuple: &P) -> RowFilter {
        match self {
            Projected::Constant(true) => Bound::True,
            Projected::Constant(false) => Bound::False,
            Projected::And(parts) => Bound::and(parts.iter().map(|part| part.of(tuple))),
            Projected::Or(parts) => Bound::or(parts.iter().map(|part| part.of(tuple))),
            Projected::Predicate { predicate, inclusive, strict } => {
                if must_match(strict, tuple) {
                    Bound::True
                } else if might_match(inclusive, tuple) {
                    Bound::Predicate(Arc::clone(predicate))
                } else {
                    Bound::False
                }
            }
        }
    }

    fn inclusive(&self) -> PartitionFilter {
        match self {
            Projected::Constant(true) => Bound::True,
            Projected::Constant(false) => Bound::False,
            Projected::And(parts) => Bound::and(parts.iter().map(Projected::inclusive)),
            Projected::Or(parts) => Bound::or(parts.iter().map(Projected::inclusive)),
            Projected::Predicate { inclusive, .. } => inclusive.clone(),
        }
    }

    fn weigh(&self, weight: &mut Weight) {
        match self {
            Projected::Constant(_) => {}
            Projected::And(parts) | Projected::Or(parts) => {
                weight.add(parts.capacity() * size_of::<Projected>());
                for part in parts {
                    part.weigh(weight);
                }
            }
            Projected::Predicate { predicate, inclusive, strict } => {
                weight.add_predicate(predicate, Column::heap_bytes);
                weight.add_bound(inclusive, PartitionColumn::heap_bytes);
                weight.add_bound(strict, PartitionColumn::heap_bytes);
            }
        }
    }
}
