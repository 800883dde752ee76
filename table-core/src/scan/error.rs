//! Why a scan cannot be planned.

use crate::expr::error::ExpressionError;
use crate::manifest::error::ManifestError;
use crate::metadata::error::MetadataError;

/// What is wrong with a request, or with the table it is about.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScanError {
    /// The request contradicts itself, or asks for what the table does not have.
    #[error("{0}")]
    Invalid(String),
    /// The filter cannot be used on this table.
    #[error("the filter cannot be used: {0}")]
    Filter(#[from] ExpressionError),
    /// The table's metadata is damaged.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A manifest cannot be read.
    #[error("the manifest `{path}` cannot be used: {reason}")]
    Manifest {
        /// Which one.
        path: String,
        /// What is wrong with it.
        reason: ManifestError,
    },
    /// The table's files contradict each other.
    #[error("the table is damaged: {0}")]
    Damaged(String),
}
