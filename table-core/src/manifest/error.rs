//! Errors of reading and writing manifests and manifest lists.

/// Reason for which a manifest or manifest list cannot be read or written. The location of the file is added
/// by the caller, which knows it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The file is damaged, or is not a file of this kind.
    #[error("it is damaged: {0}")]
    Malformed(String),
    /// The file is intact, but uses a feature that this reader does not support.
    #[error("{0}")]
    Unsupported(String),
    /// The content of the file takes more memory than the caller's limit.
    #[error("it takes more than {limit_bytes} bytes of memory; raise the limit to read it")]
    TooLarge {
        /// Exceeded limit, in bytes.
        limit_bytes: usize,
    },
    /// The values to be written do not fit into a file of this kind: an error of the caller.
    #[error("it cannot be written: {0}")]
    Unwritable(String),
}

pub(super) fn malformed(what: impl Into<String>) -> ManifestError {
    ManifestError::Malformed(what.into())
}

pub(super) fn unwritable(what: impl Into<String>) -> ManifestError {
    ManifestError::Unwritable(what.into())
}
