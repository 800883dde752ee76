//! Why a job could not be done.

use storage::error::{StorageError, is_passing};
use table_core::file::error::FileError;
use table_core::file::puffin::PuffinError;
use table_core::manifest::error::ManifestError;
use table_core::metadata::error::MetadataError;
use table_core::rewrite::options::OptionsError;
use table_core::scan::error::ScanError;
use table_core::snapshot::error::SnapshotError;

use crate::client::ClientError;

/// What was in the way.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The catalog refused, or could not be reached.
    #[error(transparent)]
    Catalog(#[from] ClientError),
    /// A file could not be read, written or deleted.
    #[error("cannot {action} `{location}`: {source}")]
    Storage {
        /// What was attempted.
        action: &'static str,
        /// Where.
        location: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file may not be touched.
    #[error("{reason}")]
    NotAllowed {
        /// Where it is, as it was named.
        location: String,
        /// Why not.
        reason: StorageError,
    },
    /// The folders are none in which a job could work.
    #[error(transparent)]
    Folders(#[from] StorageError),
    /// A data or delete file cannot be used.
    #[error("the file `{location}` cannot be used: {reason}")]
    File {
        /// Which one.
        location: String,
        /// What is wrong with it.
        reason: FileError,
    },
    /// A deletion vector cannot be used.
    #[error("the deletion vector in `{location}` cannot be used: {reason}")]
    Vector {
        /// In which file.
        location: String,
        /// What is wrong with it.
        reason: PuffinError,
    },
    /// A manifest cannot be used.
    #[error("the manifest `{location}` cannot be used: {reason}")]
    Manifest {
        /// Which one.
        location: String,
        /// What is wrong with it.
        reason: ManifestError,
    },
    /// The table's metadata is damaged.
    #[error("the table's metadata cannot be used: {0}")]
    Metadata(#[from] MetadataError),
    /// The files of a snapshot cannot be told.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The commit cannot be made, or others were in the way.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// What is wanted cannot be.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// What was written is not what was read. Nothing was committed.
    #[error("{0}; nothing was committed")]
    Verification(String),
    /// Others committed again and again.
    #[error("others were faster {0} times; nothing was committed")]
    LostRaces(u32),
    /// Nobody knows whether the commit was made.
    #[error(
        "it is not known whether the catalog made the commit ({0}); no file was deleted, look at the table"
    )]
    OutcomeUnknown(ClientError),
    /// It is another table that has the name by now.
    #[error("the table was dropped or renamed, and its name is another table's now")]
    Replaced,
    /// Somebody wants the job to stop.
    #[error("the job was cancelled")]
    Cancelled,
    /// The worker is about to end.
    #[error("the worker is shutting down; the job goes on elsewhere")]
    Stopped,
    /// The job is another worker's by now.
    #[error("the job was taken over by another worker: {0}")]
    LeaseLost(String),
    /// There is more than the budget allows.
    #[error(
        "{what} would take {wanted_bytes} bytes, but the budget allows {allowed_bytes}; raise `{setting}`"
    )]
    Budget {
        /// What is too large.
        what: String,
        /// How much it takes.
        wanted_bytes: u64,
        /// How much there may be.
        allowed_bytes: u64,
        /// The setting that says so.
        setting: &'static str,
    },
    /// Folders were named of a table whose catalog says which are its own.
    #[error(
        "the catalog says which folders are the table's own and what else may be read; leave away those that you name"
    )]
    FoldersTold,
    /// A thread of ours ended in an unexpected way.
    #[error("the work ended in an unexpected way: {0}")]
    Internal(String),
}

impl JobError {
    /// Whether it is about some files alone, so that others may go on.
    pub fn is_of_files(&self) -> bool {
        match self {
            JobError::File { .. } | JobError::Vector { .. } | JobError::Verification(_) => true,
            JobError::Storage { action, .. } => *action == "read" && !self.is_passing(),
            JobError::NotAllowed { .. } => self.is_not_readable(),
            _ => false,
        }
    }

    /// The file that it is about, if it is about one.
    pub fn location(&self) -> Option<&str> {
        match self {
            JobError::File { location, .. }
            | JobError::Vector { location, .. }
            | JobError::Storage { location, .. }
            | JobError::NotAllowed { location, .. } => Some(location),
            _ => None,
        }
    }

    /// Whether it says that a file may not be read, because of where it lies.
    pub fn is_not_readable(&self) -> bool {
        matches!(
            self,
            JobError::NotAllowed { reason: StorageError::NotReadable(_) | StorageError::Location(_), .. }
        )
    }

    /// Whether the same may be possible a while later: a file system or a catalog did not answer, or there are too many open files.
    pub fn is_passing(&self) -> bool {
        match self {
            JobError::Storage { source, .. } => is_passing(source),
            // Nobody could be asked whether a file may be read.
            JobError::NotAllowed { reason, .. } => matches!(reason, StorageError::Io { .. }),
            _ => false,
        }
    }

    /// Whether it says that a file is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, JobError::Storage { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }

    /// For what is wrong with a data or delete file.
    pub fn file(location: &str) -> impl FnOnce(FileError) -> JobError {
        move |reason| JobError::File { location: location.to_owned(), reason }
    }

    /// For what a scope does not allow.
    pub fn not_allowed(location: &str) -> impl FnOnce(StorageError) -> JobError {
        move |reason| JobError::NotAllowed { location: location.to_owned(), reason }
    }

    /// For what the file system says.
    pub fn storage(action: &'static str, location: &str) -> impl FnOnce(std::io::Error) -> JobError {
        move |source| JobError::Storage { action, location: location.to_owned(), source }
    }
}
