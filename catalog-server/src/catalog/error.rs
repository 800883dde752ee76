//! Why a use case did not do what was asked.

use storage::error::StorageError;
use table_core::commit::error::CommitError;
use table_core::scan::error::ScanError;

use crate::storage::documents::DocumentError;
use crate::store::error::StoreError;
use crate::store::tabulars::TabularKind;

use super::names::{Identifier, Namespace};

/// Longest error in the log, in bytes: with its causes, and without the ellipsis.
const LOGGED_BYTES_MAX: usize = 8_192;

/// What a caller is told; the API gives each its status and its Iceberg error type.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The warehouse is not known.
    #[error("Warehouse does not exist: {0}")]
    NoSuchWarehouse(String),
    /// The namespace is not known.
    #[error("Namespace does not exist: {0}")]
    NoSuchNamespace(Namespace),
    /// A namespace of this name is there already.
    #[error("Namespace already exists: {0}")]
    NamespaceExists(Namespace),
    /// The namespace still holds something.
    #[error("Namespace is not empty: {0}. Drop its tables, views and child namespaces first")]
    NamespaceNotEmpty(Namespace),
    /// The table is not known.
    #[error("Table does not exist: {0}")]
    NoSuchTable(Identifier),
    /// The view is not known.
    #[error("View does not exist: {0}")]
    NoSuchView(Identifier),
    /// The plan is not known, or not any more.
    #[error("Plan does not exist: {0}. It may have expired; plan the scan again")]
    NoSuchPlanId(String),
    /// The plan task is not known, or not any more.
    #[error("Plan task does not exist: {0}")]
    NoSuchPlanTask(String),
    /// There is no maintenance policy.
    #[error(
        "No maintenance policy is set for the {0} itself; ask for the applicable policy of a table to see what holds"
    )]
    NoSuchPolicy(String),
    /// The maintenance job is not known, or not any more.
    #[error("Maintenance job does not exist: {0}")]
    NoSuchJob(String),
    /// A worker commits for a job that is another one's by now, or has ended.
    #[error(
        "Nothing was committed: maintenance job {job_id} is not attempt {attempt} any more; stop, and delete what was written for it"
    )]
    JobLost {
        /// The job.
        job_id: uuid::Uuid,
        /// The attempt that it is not.
        attempt: i64,
    },
    /// Something is in a state in which this cannot be done.
    #[error("{0}")]
    Conflict(String),
    /// The name is taken.
    #[error("{text}")]
    NameTaken {
        /// By what.
        holder: TabularKind,
        /// What could not be done because of it.
        text: String,
    },
    /// The request is not what the protocol describes.
    #[error("{0}")]
    Malformed(String),
    /// The request is understood, and cannot be carried out as it stands.
    #[error("{0}")]
    Invalid(String),
    /// The request contradicts itself, or a key is used for two requests.
    #[error("{0}")]
    Unprocessable(String),
    /// The request is understood but not supported for this object.
    #[error("{0}")]
    Unsupported(String),
    /// The caller may not do this here.
    #[error("{0}")]
    Forbidden(String),
    /// A requirement does not hold, or the race for the table was lost too often.
    #[error("{0}")]
    CommitFailed(String),
    /// Another change came first, so that this one has to be worked out anew.
    #[error("Commit failed: {0} was changed by others meanwhile; try again")]
    LostRace(Identifier),
    /// A file that the catalog points to is gone.
    #[error("Failed to open input stream for file: {0}")]
    FileMissing(String),
    /// The database did not say whether the change was made.
    #[error(
        "the database did not confirm the change, so it may or may not have been made; load the object again \
         to see which ({0})"
    )]
    OutcomeUnknown(#[source] StoreError),
    /// The request was carried out before, and the file that its answer was made from is gone since.
    #[error(
        "the request with this Idempotency-Key was carried out, but the metadata file it wrote, `{0}`, has been deleted \
         since; load the object to see what it is now"
    )]
    AnswerGone(String),
    /// The same `Idempotency-Key` was recorded meanwhile; its answer is to be given instead.
    #[error("a request with this Idempotency-Key was answered already")]
    Replayed,
    /// The database failed.
    #[error(transparent)]
    Store(StoreError),
    /// The file system failed.
    #[error(transparent)]
    File(StorageError),
    /// A metadata file cannot be used.
    #[error(transparent)]
    Document(DocumentError),
    /// A table's files contradict each other.
    #[error("{0}")]
    Damaged(String),
    /// A defect, or a machine out of order.
    #[error("{0}")]
    Internal(String),
}

impl CatalogError {
    /// The error of a document that the caller has named: what is wrong with it is wrong with the request.
    pub(super) fn foreign(error: DocumentError) -> Self {
        let is_callers = match &error {
            DocumentError::Malformed { .. } => true,
            DocumentError::File(file) => is_of_request(file),
        };
        if is_callers { Self::Invalid(error.to_string()) } else { error.into() }
    }

    /// What went wrong and why, for the log, as long as that may be: clients are not told of the database's inner life, and
    /// messages quote what clients sent and what stands in their files.
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

    /// Whether a file system does not answer, but may do so later.
    pub fn is_file_system_silent(&self) -> bool {
        match self {
            Self::File(error) => error.is_unavailable(),
            Self::Document(DocumentError::File(error)) => error.is_unavailable(),
            _ => false,
        }
    }

    /// Whether a commit is refused for what it says of the table as it is.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::CommitFailed(_) | Self::Invalid(_))
    }

    /// Whether working the change out anew, from its first read, may succeed at once.
    pub(super) fn is_lost_race(&self) -> bool {
        match self {
            Self::LostRace(_) => true,
            Self::Store(error) => error.is_retryable(),
            _ => false,
        }
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

/// Whether a file cannot be used because of where or what it is, and not because the file system fails.
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
