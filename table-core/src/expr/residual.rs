//! Residuals: the part of a filter that remains to be evaluated on rows once the partition of a file is
//! known. As Java's `ResidualEvaluator`.

use std::sync::Arc;

use super::bound::{Bound, BoundColumn, BoundFilter, BoundPredicate, PartitionColumn, PartitionFilter};
use super::partition::{PartitionValues, might_match, must_match};
use super::project::{inclusive_predicate, strict_predicate};
use super::weight::Weight;
use crate::metadata::partition::PartitionSpec;

/// Row filter whose predicates are projected once, in order to compute the residuals of many files of one
/// partition spec.
#[derive(Debug)]
pub struct Residuals {
    filter: Projected,
}

/// Row filter with the projections of its predicates.
#[derive(Debug)]
enum Projected {
    /// Always true, or always false.
    Constant(bool),
    And(Vec<Projected>),
    Or(Vec<Projected>),
    Predicate {
        predicate: Arc<BoundPredicate<BoundColumn>>,
        inclusive: PartitionFilter,
        strict: PartitionFilter,
    },
}

impl Residuals {
    /// Projects the predicates of a filter for the files of a partition spec.
    pub fn new(filter: &BoundFilter, spec: &PartitionSpec) -> Residuals {
        Residuals { filter: Projected::new(filter, spec) }
    }

    /// Returns the residual filter of a partition, which has the same answer as the filter for every row of
    /// the partition. Predicates that all or none of its rows match are eliminated.
    pub fn of<P: PartitionValues + ?Sized>(&self, tuple: &P) -> BoundFilter {
        self.filter.of(tuple)
    }

    /// Returns a filter that the partition of every matching row matches, as [`super::project::inclusive`]
    /// does. It shares its predicates with the residuals.
    pub fn inclusive(&self) -> PartitionFilter {
        self.filter.inclusive()
    }

    /// Adds the memory of the projections.
    pub(crate) fn weigh(&self, weight: &mut Weight) {
        self.filter.weigh(weight);
    }
}

impl Projected {
    fn new(filter: &BoundFilter, spec: &PartitionSpec) -> Projected {
        let all = |parts: &[BoundFilter]| parts.iter().map(|part| Projected::new(part, spec)).collect();
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

    fn of<P: PartitionValues + ?Sized>(&self, tuple: &P) -> BoundFilter {
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
                weight.add_predicate(predicate, BoundColumn::heap_bytes);
                weight.add_bound(inclusive, PartitionColumn::heap_bytes);
                weight.add_bound(strict, PartitionColumn::heap_bytes);
            }
        }
    }
}
