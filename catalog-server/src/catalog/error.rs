//! Errors of the use cases.

use storage::error::StorageError;
use table_core::commit::error::CommitError;
use table_core::scan::error::ScanError;

use crate::storage::documents::DocumentError;
use crate::store::catalog::tabular::TabularKind;
use crate::store::engine::error::StoreError;

use crate::catalog::names::{Identifier, NameError, Namespace};

/// Maximum length of a logged error, in bytes: with its causes, without the ellipsis.
const LOGGED_BYTES_MAX: usize = 8_192;

/// Error of a use case. The API maps each variant to an HTTP status and an Iceberg error type.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The warehouse does not exist, or the caller may not know of it.
    #[error("Warehouse does not exist: {0}")]
    NoSuchWarehouse(String),
    /// The namespace does not exist, or the caller may not know of it.
    #[error("Namespace does not exist: {0}")]
    NoSuchNamespace(Namespace),
    /// A namespace of this name already exists.
    #[error("Namespace already exists: {0}")]
    NamespaceExists(Namespace),
    /// The namespace to be dropped contains tables, views or namespaces.
    #[error("Namespace is not empty: {0}. Drop its tables, views and child namespaces first")]
    NamespaceNotEmpty(Namespace),
    /// The table does not exist, or the caller may not know of it.
    #[error("Table does not exist: {0}")]
    NoSuchTable(Identifier),
    /// The view does not exist, or the caller may not know of it.
    #[error("View does not exist: {0}")]
    NoSuchView(Identifier),
    /// The scan plan does not exist or has expired.
    #[error("Plan does not exist: {0}. It may have expired; plan the scan again")]
    NoSuchPlanId(String),
    /// The plan task is not valid for the table and the caller, or has expired.
    #[error("Plan task does not exist: {0}")]
    NoSuchPlanTask(String),
    /// The object itself has no maintenance policy.
    #[error(
        "No maintenance policy is set for the {0} itself; ask for the applicable policy of a table to see what holds"
    )]
    NoSuchPolicy(String),
    /// The maintenance job does not exist or was deleted after its retention time.
    #[error("Maintenance job does not exist: {0}")]
    NoSuchJob(String),
    /// A worker committed for a maintenance job whose lease it no longer has, or that has ended.
    #[error(
        "Nothing was committed: maintenance job {job_id} is not attempt {attempt} any more; stop, and delete what was written for it"
    )]
    JobLost {
        /// Id of the job.
        job_id: uuid::Uuid,
        /// Number of the attempt that the worker committed for.
        attempt: i64,
    },
    /// The state of an object does not permit the operation.
    #[error("{0}")]
    Conflict(String),
    /// The name is in use by another table or view.
    #[error("{text}")]
    NameTaken {
        /// Kind of the object that has the name.
        holder: TabularKind,
        /// Error message.
        text: String,
    },
    /// The request does not have the form that the protocol requires.
    #[error("{0}")]
    Malformed(String),
    /// The request is well-formed but cannot be executed.
    #[error("{0}")]
    Invalid(String),
    /// The request contradicts itself, or an idempotency key was used for two different requests.
    #[error("{0}")]
    Unprocessable(String),
    /// The operation is not supported for the object.
    #[error("{0}")]
    Unsupported(String),
    /// The caller is not authorised for the operation, or the warehouse is a read-only view.
    #[error("{0}")]
    Forbidden(String),
    /// A commit requirement is not met, or concurrent changes were faster too often.
    #[error("{0}")]
    CommitFailed(String),
    /// A concurrent change was faster, so the change has to be computed again.
    #[error("Commit failed: {0} was changed by others meanwhile; try again")]
    LostRace(Identifier),
    /// A file that the catalog refers to does not exist.
    #[error("Failed to open input stream for file: {0}")]
    FileMissing(String),
    /// The database did not confirm the commit of the transaction, so the change may or may not have been
    /// made.
    #[error(
        "the database did not confirm the change, so it may or may not have been made; load the object again \
         to see which ({0})"
    )]
    OutcomeUnknown(#[source] StoreError),
    /// The request was executed before, and the metadata file of its recorded response was deleted since.
    #[error(
        "the request with this Idempotency-Key was carried out, but the metadata file it wrote, `{0}`, has been deleted \
         since; load the object to see what it is now"
    )]
    AnswerGone(String),
    /// A response was recorded under the same `Idempotency-Key` meanwhile. It must be returned instead.
    #[error("a request with this Idempotency-Key was answered already")]
    Replayed,
    /// The database failed.
    #[error(transparent)]
    Store(StoreError),
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

impl CatalogError {
    /// Converts the error of a document that was named by the caller: a problem of the document is a problem
    /// of the request.
    pub(in crate::catalog) fn foreign(error: DocumentError) -> Self {
        let is_callers = match &error {
            DocumentError::Malformed { .. } => true,
            DocumentError::File(file) => is_of_request(file),
        };
        if is_callers { Self::Invalid(error.to_string()) } else { error.into() }
    }

    /// Returns the error with its causes for the log, truncated to a maximum length because messages quote
    /// client input and file contents. The causes are not returned to clients, since they disclose internals
    /// of the database.
    pub fn for_log(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
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

    /// Returns `true` if a file system does not respond at the moment. A retry may succeed.
    pub fn is_file_system_silent(&self) -> bool {
        match self {
            Self::File(error) => error.is_unavailable(),
            Self::Document(DocumentError::File(error)) => error.is_unavailable(),
            _ => false,
        }
    }

    /// Returns `true` if a commit was rejected because of the current version of the table.
    pub(in crate::catalog) fn is_refusal(&self) -> bool {
        matches!(self, Self::CommitFailed(_) | Self::Invalid(_))
    }

    /// Returns `true` if the change may succeed at once when it is computed again, starting with its first
    /// read.
    pub(in crate::catalog) fn is_lost_race(&self) -> bool {
        match self {
            Self::LostRace(_) => true,
            Self::Store(error) => error.is_retryable(),
            _ => false,
        }
    }
}

impl From<NameError> for CatalogError {
    fn from(error: NameError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<CommitError> for CatalogError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::RequirementFailed(_) => Self::CommitFailed(error.to_string()),
            CommitError::Stale(_) => Self::CommitFailed(format!("Commit failed: {error}")),
            CommitError::Malformed(_) => Self::Malformed(error.to_string()),
            CommitError::Invalid(_) | CommitError::Unsupported(_) => Self::Invalid(error.to_string()),
            CommitError::Metadata(_) => Self::Unprocessable(error.to_string()),
        }
    }
}

impl From<ScanError> for CatalogError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Invalid(_) | ScanError::Filter(_) => Self::Invalid(error.to_string()),
            ScanError::Metadata(_) | ScanError::Manifest { .. } | ScanError::Damaged(_) => {
                Self::Damaged(error.to_string())
            }
        }
    }
}

impl From<DocumentError> for CatalogError {
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

impl From<StoreError> for CatalogError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::OutcomeUnknown(_) => Self::OutcomeUnknown(error),
            other => Self::Store(other),
        }
    }
}

impl From<StorageError> for CatalogError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::NotFound(location) => Self::FileMissing(location),
            error if is_of_request(&error) => Self::Invalid(error.to_string()),
            other => Self::File(other),
        }
    }
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
