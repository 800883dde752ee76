//! Residuals: what is left of a filter once a file's partition is known. As Java's `ResidualEvaluator`.

use std::sync::Arc;

use super::bound::{Bound, BoundPredicate, Column, PartitionFilter, RowFilter};
use super::partition::{PartitionTuple, might_match, must_match};
use super::project::{inclusive_predicate, strict_predicate};
use crate::metadata::partition::PartitionSpec;

/// A filter whose predicates are projected once, to be reduced for many files of one partition spec.
#[derive(Debug)]
pub struct Residuals {
    filter: Bound<Projected>,
}

/// A predicate and its projections.
#[derive(Debug)]
struct Projected {
    predicate: Arc<BoundPredicate<Column>>,
    inclusive: PartitionFilter,
    strict: PartitionFilter,
}

impl Residuals {
    /// Prepares the residuals of a filter for the files of a partition spec.
    pub fn new(filter: &RowFilter, spec: &PartitionSpec) -> Residuals {
        let filter = filter.rewrite(&mut |predicate| {
            let projected = Projected {
                predicate: Arc::clone(predicate),
                inclusive: inclusive_predicate(predicate, spec),
                strict: strict_predicate(predicate, spec),
            };
            Bound::predicate(projected, predicate.test.clone())
        });
        Residuals { filter }
    }

    /// The filter that has the same answer for every row of a partition: predicates that all of its rows match or that none
    /// does are gone.
    pub fn of<P: PartitionTuple + ?Sized>(&self, tuple: &P) -> RowFilter {
        self.filter.rewrite(&mut |projected| {
            let projected = &projected.term;
            if must_match(&projected.strict, tuple) {
                Bound::True
            } else if might_match(&projected.inclusive, tuple) {
                Bound::Predicate(Arc::clone(&projected.predicate))
            } else {
                Bound::False
            }
        })
    }
}
