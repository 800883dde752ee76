//! Errors of maintenance jobs.

use storage::error::{StorageError, is_passing};
use table_core::file::error::FileError;
use table_core::file::puffin::PuffinError;
use table_core::manifest::error::ManifestError;
use table_core::metadata::error::MetadataError;
use table_core::rewrite::options::OptionsError;
use table_core::scan::error::ScanError;
use table_core::snapshot::error::SnapshotError;

use crate::client::error::ClientError;

/// Reason for which a job failed.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The catalog refused a request, or could not be reached.
    #[error(transparent)]
    Catalog(#[from] ClientError),
    /// A file could not be read, written or deleted.
    #[error("cannot {action} `{location}`: {source}")]
    Storage {
        /// Attempted operation: `read`, `write` or `delete`.
        action: &'static str,
        /// Location of the file.
        location: String,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The job is not permitted to access a file.
    #[error("{reason}")]
    NotAllowed {
        /// Location of the file, as in the request.
        location: String,
        /// Reason of the refusal.
        reason: StorageError,
    },
    /// The folders of the table are not valid locations on a local file system.
    #[error(transparent)]
    Folders(#[from] StorageError),
    /// A data file or delete file cannot be used.
    #[error("the file `{location}` cannot be used: {reason}")]
    File {
        /// Location of the file.
        location: String,
        /// Error in the file.
        reason: FileError,
    },
    /// A deletion vector cannot be used.
    #[error("the deletion vector in `{location}` cannot be used: {reason}")]
    Vector {
        /// Location of the Puffin file, or of the data file if a deletion vector for it cannot be created.
        location: String,
        /// Error in the deletion vector.
        reason: PuffinError,
    },
    /// A manifest or manifest list cannot be used.
    #[error("the manifest `{location}` cannot be used: {reason}")]
    Manifest {
        /// Location of the manifest or manifest list.
        location: String,
        /// Error in the manifest or manifest list.
        reason: ManifestError,
    },
    /// The table's metadata is damaged.
    #[error("the table's metadata cannot be used: {0}")]
    Metadata(#[from] MetadataError),
    /// The files of a snapshot cannot be determined.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The commit is not possible, or conflicts with a concurrent commit.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The settings of the compaction contradict each other.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The written rows differ from the rows that were read. Nothing was committed.
    #[error("{0}; nothing was committed")]
    Verification(String),
    /// Concurrent commits prevented every attempt. The value is the number of attempts.
    #[error("conflicting commits were made {0} times in a row; nothing was committed, try again")]
    LostRaces(u32),
    /// Unknown outcome of a commit, which may or may not have been made.
    #[error(
        "the outcome of the commit is unknown ({0}); its files were not deleted, load the table to see whether it was made"
    )]
    OutcomeUnknown(ClientError),
    /// The name of the table belongs to another table now.
    #[error("the table was dropped or renamed, and another table has its name now")]
    Replaced,
    /// Cancellation of the job was requested.
    #[error("the job was cancelled")]
    Cancelled,
    /// The worker is shutting down.
    #[error("the worker is shutting down; another worker continues the job")]
    Stopped,
    /// The lease of the job was lost; another worker may have leased it.
    #[error("the job was taken over by another worker: {0}")]
    LeaseLost(String),
    /// The job would exceed its budget.
    #[error("{what} requires {wanted_bytes} bytes, but the budget allows {allowed_bytes}; raise `{setting}`")]
    Budget {
        /// Description of what needs the resource.
        what: String,
        /// Required amount, in bytes.
        wanted_bytes: u64,
        /// Permitted amount, in bytes.
        allowed_bytes: u64,
        /// Name of the setting with the limit.
        setting: &'static str,
    },
    /// Folders were named for a table although its catalog reports the folders of the table.
    #[error("the catalog reports the folders of the table; remove `--own-folder` and `--read-folder`")]
    FoldersReported,
    /// A thread of this process ended unexpectedly, or a value of its own is not valid.
    #[error("unexpected failure: {0}")]
    Internal(String),
}

impl JobError {
    /// Returns `true` if the error concerns only some files, so that the job can continue without them.
    pub fn is_of_files(&self) -> bool {
        match self {
            JobError::File { .. } | JobError::Vector { .. } | JobError::Verification(_) => true,
            JobError::Storage { action, .. } => *action == "read" && !self.is_passing(),
            JobError::NotAllowed { .. } => self.is_not_readable(),
            _ => false,
        }
    }

    /// Returns the location of the file that the error is about; `None` if it is not about a single file.
    pub fn location(&self) -> Option<&str> {
        match self {
            JobError::File { location, .. }
            | JobError::Vector { location, .. }
            | JobError::Storage { location, .. }
            | JobError::NotAllowed { location, .. } => Some(location),
            _ => None,
        }
    }

    /// Returns `true` if the error is a refusal to read a file because of its location.
    pub fn is_not_readable(&self) -> bool {
        matches!(
            self,
            JobError::NotAllowed { reason: StorageError::NotReadable(_) | StorageError::Location(_), .. }
        )
    }

    /// Returns `true` if the job may succeed some time later: a file system or the catalog did not answer, or
    /// too many files are open.
    pub fn is_passing(&self) -> bool {
        match self {
            JobError::Storage { source, .. } => is_passing(source),
            // The catalog could not be asked whether the file may be read.
            JobError::NotAllowed { reason, .. } => matches!(reason, StorageError::Io { .. }),
            _ => false,
        }
    }

    /// Returns `true` if the error is that a file does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, JobError::Storage { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }

    /// Returns a function that converts an error in a data file or delete file.
    pub fn file(location: &str) -> impl FnOnce(FileError) -> JobError {
        move |reason| JobError::File { location: location.to_owned(), reason }
    }

    /// Returns a function that converts a refusal of a scope.
    pub fn not_allowed(location: &str) -> impl FnOnce(StorageError) -> JobError {
        move |reason| JobError::NotAllowed { location: location.to_owned(), reason }
    }

    /// Returns a function that converts an error of the operating system.
    pub fn storage(action: &'static str, location: &str) -> impl FnOnce(std::io::Error) -> JobError {
        move |source| JobError::Storage { action, location: location.to_owned(), source }
    }
}
