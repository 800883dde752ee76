//! Filter expressions: parsed from requests, bound to a schema, projected onto partitions, and evaluated on
//! the statistics of manifests and files.
//!
//! All functions are pure. Manifests are read in [`crate::manifest`], and scans are planned in
//! [`crate::scan`].
//!
//! # Semantics
//!
//! Expressions have two values, true and false (Iceberg's expressions specification, "Predicates"). For null,
//! only `is-null`, `not-nan`, `not-eq`, `not-in` and `not-starts-with` are true; for NaN, only `not-null`,
//! `is-nan`, `not-eq` and `not-in`. `not` is pushed down to the predicates first, as Java does, so that
//! `not (a < 5)` is `a >= 5`, which is false for null.
//!
//! A literal beyond the range of a column's type is compared as in Java: `int_column < 3000000000` is always
//! true, for null as well, and readers with Java's semantics return those rows; `int_column > 3000000000` is
//! always false. A reader for which the comparison is false for null reads some files in vain. A `float`
//! column may contain infinity, which lies beyond the range of its finite literals: `float_column > 1e39`
//! matches it, unlike in Java.
//!
//! Engines disagree on three points: the equality of `-0.0` and `0.0`; the order of NaN, which is unordered
//! or greater than every number; and the rounding of a double to a decimal. This module does not decide
//! between them: an inclusive answer includes a file if it matches under any interpretation, and a strict
//! answer is true only if it is true under all of them. So files that may contain NaN are included for `gt`
//! and `gt-eq`, and for `not` around `gt` and `gt-eq`, whose result some engines negate.
//!
//! # Guarantee
//!
//! If an inclusive answer is `false`, no row matches; if a strict answer is `true`, every row matches.
//! Anything that is missing, unknown or not decodable leads to the opposite answer.

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
