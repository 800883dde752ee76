//! Errors of scan planning.

use crate::expr::error::ExpressionError;
use crate::manifest::error::ManifestError;
use crate::metadata::error::MetadataError;

/// Error in a scan request or in the table that it refers to.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScanError {
    /// The request contradicts itself, or refers to something that the table does not have.
    #[error("{0}")]
    Invalid(String),
    /// The filter cannot be applied to the table.
    #[error("the filter cannot be used: {0}")]
    Filter(#[from] ExpressionError),
    /// The table's metadata is damaged.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A manifest cannot be read.
    #[error("the manifest `{path}` cannot be used: {reason}")]
    Manifest {
        /// Path of the manifest.
        path: String,
        /// Error of the manifest.
        reason: ManifestError,
    },
    /// The files of the table contradict each other.
    #[error("the table is damaged: {0}")]
    Damaged(String),
}
