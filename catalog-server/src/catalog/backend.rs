//! Failures of what the use cases rely on: the database, file systems, files, and the server itself. What is
//! wrong with a request is an error of its subject.

use storage::error::StorageError;

use crate::storage::documents::DocumentError;
use crate::store::engine::error::StoreError;

/// Maximum length of a logged error, in bytes: with its causes, without the ellipsis.
const LOGGED_BYTES_MAX: usize = 8_192;

/// Failure of the database, of a file system, of a file or of the server.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The database did not confirm the commit of the transaction, so the change may or may not have been
    /// made.
    #[error(
        "the database did not confirm the change, so its outcome is unknown; \
         load the object again to see whether it was made ({0})"
    )]
    OutcomeUnknown(#[source] StoreError),
    /// The database failed.
    #[error(transparent)]
    Store(StoreError),
    /// A file that the catalog or the request refers to does not exist.
    #[error("Failed to open input stream for file: {0}")]
    FileMissing(String),
    /// A file cannot be used because of its location, its kind or its size.
    #[error("{0}")]
    UnusableFile(String),
    /// The file system failed.
    #[error(transparent)]
    File(StorageError),
    /// A metadata file is malformed or cannot be read.
    #[error(transparent)]
    Document(DocumentError),
    /// The files of a table contradict each other or are damaged.
    #[error("{0}")]
    Damaged(String),
    /// Defect of the server, or failure of its machine.
    #[error("{0}")]
    Internal(String),
}

impl BackendError {
    /// Converts the error of a document that the caller named: a problem of the document is a problem of the
    /// request.
    pub(in crate::catalog) fn of_named_document(error: DocumentError) -> Self {
        let is_callers = match &error {
            DocumentError::Malformed { .. } => true,
            DocumentError::File(file) => is_of_request(file),
        };
        if is_callers { Self::UnusableFile(error.to_string()) } else { error.into() }
    }

    /// Returns `true` if a file system does not respond at the moment. A retry may succeed.
    pub fn is_file_system_silent(&self) -> bool {
        match self {
            Self::File(error) => error.is_unavailable(),
            Self::Document(DocumentError::File(error)) => error.is_unavailable(),
            _ => false,
        }
    }

    /// Returns `true` if the transaction certainly failed because of a concurrent one.
    pub fn is_lost_race(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_retryable())
    }
}

impl From<DocumentError> for BackendError {
    fn from(error: DocumentError) -> Self {
        match &error {
            DocumentError::File(file) => match &**file {
                StorageError::NotFound(location) => Self::FileMissing(location.clone()),
                _ => Self::Document(error),
            },
            DocumentError::Malformed { .. } => Self::Document(error),
        }
    }
}

impl From<StoreError> for BackendError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::OutcomeUnknown(_) => Self::OutcomeUnknown(error),
            other => Self::Store(other),
        }
    }
}

impl From<StorageError> for BackendError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::NotFound(location) => Self::FileMissing(location),
            error if is_of_request(&error) => Self::UnusableFile(error.to_string()),
            other => Self::File(other),
        }
    }
}

/// Implements the conversions from the errors of store, storage and documents for an error with a variant
/// `Backend`.
macro_rules! from_backend {
    ($error:ty) => {
        impl From<$crate::store::engine::error::StoreError> for $error {
            fn from(error: $crate::store::engine::error::StoreError) -> Self {
                Self::Backend(error.into())
            }
        }

        impl From<storage::error::StorageError> for $error {
            fn from(error: storage::error::StorageError) -> Self {
                Self::Backend(error.into())
            }
        }

        impl From<$crate::storage::documents::DocumentError> for $error {
            fn from(error: $crate::storage::documents::DocumentError) -> Self {
                Self::Backend(error.into())
            }
        }
    };
}

/// Returns an error with its causes for the log, truncated to a maximum length because messages quote client
/// input and file contents. The causes are not returned to clients, since they disclose internals of the
/// database.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    if text.len() > LOGGED_BYTES_MAX {
        text.truncate(text.floor_char_boundary(LOGGED_BYTES_MAX));
        text.push('…');
    }
    text
}

/// Returns `true` if a file cannot be used because of its location or kind, and not because the file system
/// failed.
fn is_of_request(error: &StorageError) -> bool {
    matches!(
        error,
        StorageError::UnsupportedScheme(_)
            | StorageError::TooLarge { .. }
            | StorageError::Location(_)
            | StorageError::NotOwn(_)
            | StorageError::NotReadable(_)
            | StorageError::NotRegular(_)
            | StorageError::Link(_)
    )
}
