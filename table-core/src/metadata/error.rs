//! What can be wrong with a metadata document. Not what can be wrong with a change of it: see
//! [`crate::commit::CommitError`].

/// A document that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The bytes are not the JSON that the specification describes: syntax, a missing field, a wrong type.
    #[error("{0}")]
    Malformed(String),
    /// Well-formed, but its parts contradict each other, for example a reference to a missing snapshot.
    #[error("{0}")]
    Inconsistent(String),
    /// A compressed document would grow over the limit of the caller.
    #[error("the metadata is larger than the limit of {limit_bytes} bytes")]
    TooLarge {
        /// The limit that was exceeded.
        limit_bytes: usize,
    },
}

impl MetadataError {
    pub(crate) fn malformed(message: impl Into<String>) -> MetadataError {
        MetadataError::Malformed(message.into())
    }

    pub(crate) fn inconsistent(message: impl Into<String>) -> MetadataError {
        MetadataError::Inconsistent(message.into())
    }
}
