//! Expressions: row filters as clients send them, bound to a schema, projected onto partitions, and judged against
//! the statistics of manifests and files. Pure decisions; reading manifests and planning scans happen elsewhere.
//!
//! # What an expression means
//!
//! Expressions have two values, true and false (Iceberg's expressions specification, "Predicates"). For null, only
//! `is-null`, `not-nan`, `not-eq`, `not-in` and `not-starts-with` are true; for NaN, only `not-null`, `is-nan`,
//! `not-eq` and `not-in`. `not` is pushed down to the predicates first, as Java does, so that `not (a < 5)` is
//! `a >= 5`, which is false for null.
//!
//! A literal beyond the range of a column's type is compared as Java does: `int_column < 3000000000` is always true, for
//! null as well, and readers with Java's semantics return those rows; `int_column > 3000000000` never is. A reader to
//! which null is no number has some files to read in vain. Infinity lies beyond the range of `float`'s literals, too, and
//! is found there, which Java does not look for.
//!
//! Engines disagree on whether `-0.0` equals `0.0`, on where NaN is: beyond all order, or greater than every number, and on how
//! a double is rounded to a decimal. Nothing here decides it: what is kept is kept for every answer, and what is promised is true for all of them. So files
//! that may hold NaN are kept for `gt` and `gt-eq`, and for `not` around `gt` and `gt-eq`, whose answer some engines negate.
//!
//! # The promise
//!
//! An inclusive answer of `false` means that no row matches; a strict answer of `true` that every row does. Whatever is
//! missing, unknown or cannot be decoded leads to the other answer.

pub mod binary;
pub mod bind;
pub mod bound;
pub mod civil;
pub mod decimal;
pub mod error;
pub mod expression;
pub mod inclusive_metrics;
pub mod json;
pub mod manifest_evaluator;
pub mod metrics;
pub mod partition;
pub mod project;
pub mod residual;
pub mod single_value;
pub mod strict_metrics;
pub mod transform;
pub mod value;

pub(crate) mod hash;
pub(crate) mod weight;

mod convert;
mod range;
