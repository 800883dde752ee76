//! Why a manifest or manifest list cannot be read or written.

/// What is wrong with a file. Who knows its location adds it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The file is damaged, or was never one.
    #[error("it is damaged: {0}")]
    Malformed(String),
    /// The file is whole, but uses something this reader does not know.
    #[error("{0}")]
    Unsupported(String),
    /// What the file holds takes more memory than the reader may use.
    #[error("it takes more than {limit_bytes} bytes of memory; raise the limit to read it")]
    TooLarge {
        /// The limit it exceeds.
        limit_bytes: usize,
    },
    /// What is to be written does not go into a file of this kind: the caller has to hand in something else.
    #[error("it cannot be written: {0}")]
    Unwritable(String),
}

pub(super) fn malformed(what: impl Into<String>) -> ManifestError {
    ManifestError::Malformed(what.into())
}

pub(super) fn unwritable(what: impl Into<String>) -> ManifestError {
    ManifestError::Unwritable(what.into())
}
