//! Errors of metadata documents. Errors of a change to a document are [`crate::commit::error::CommitError`].

/// Reason for which a metadata document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The bytes are not the JSON that the specification describes: a syntax error, a missing field, a wrong
    /// type.
    #[error("{0}")]
    Malformed(String),
    /// The document is well-formed, but its parts contradict each other, for example a ref to a missing
    /// snapshot.
    #[error("{0}")]
    Inconsistent(String),
    /// The document, after decompression, would exceed the limit of the caller.
    #[error("the metadata is larger than the limit of {limit_bytes} bytes")]
    TooLarge {
        /// Exceeded limit, in bytes.
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
