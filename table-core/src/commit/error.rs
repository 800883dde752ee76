//! Error of commits: the reason for which one is refused.

use crate::metadata::error::MetadataError;

/// Reason for which a commit is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The request does not have the form that the specification describes: invalid JSON, an unknown action,
    /// a missing member.
    #[error("{0}")]
    Malformed(String),
    /// The request is well-formed, but its result would not be a valid table or view.
    #[error("{0}")]
    Invalid(String),
    /// The change requires rules that this version does not implement, such as an unknown type or format
    /// version.
    #[error("{0}")]
    Unsupported(String),
    /// A requirement is not fulfilled; the client should refresh the metadata before it retries.
    #[error("Requirement failed: {0}")]
    RequirementFailed(String),
    /// The change was computed from older metadata; the same change computed from the current metadata may
    /// succeed.
    #[error("{0}")]
    Stale(String),
    /// The current metadata is damaged in a part that the change depends on.
    #[error("the current metadata is not supported: {0}")]
    Metadata(#[from] MetadataError),
}

impl CommitError {
    pub(crate) fn invalid(message: impl Into<String>) -> CommitError {
        CommitError::Invalid(message.into())
    }

    /// Converts the error of a part of a request that was parsed with the parsers of metadata documents.
    pub(crate) fn malformed(error: &MetadataError) -> CommitError {
        CommitError::Malformed(error.to_string())
    }

    pub(crate) fn invalid_part(error: &MetadataError) -> CommitError {
        CommitError::Invalid(error.to_string())
    }
}
