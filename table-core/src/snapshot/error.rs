//! Errors of creating a snapshot.

use crate::expr::error::ExpressionError;
use crate::manifest::data_file::DataFile;
use crate::manifest::error::ManifestError;
use crate::metadata::error::MetadataError;

/// Error in a change or in the table that it is for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SnapshotError {
    /// The change contradicts itself or does not match the table.
    #[error("{0}")]
    Invalid(String),
    /// Another commit conflicts with the change, which has to be computed again from the current table.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// A filter cannot be applied to the table.
    #[error("the filter cannot be used: {0}")]
    Filter(#[from] ExpressionError),
    /// The table's metadata is damaged.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A manifest or manifest list cannot be used.
    #[error("the manifest `{path}` cannot be used: {reason}")]
    Manifest {
        /// Path of the manifest or manifest list.
        path: String,
        /// Error of the manifest or manifest list.
        reason: ManifestError,
    },
}

/// Concurrent commit that is incompatible with a change.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Conflict {
    /// Files that the change removes or refers to do not exist any more.
    #[error("files of the change were removed concurrently: {}", some(.0))]
    FilesGone(Vec<String>),
    /// Files that a rewrite removes have another number of manifest entries than when it read them.
    #[error("files are listed a different number of times than before: {}", some(.0))]
    EntriesChanged(Vec<String>),
    /// Rows were deleted from files that the change removes; the files replacing them would restore these
    /// rows.
    #[error("rows of files that the change removes were deleted concurrently: {}", some(.0.iter().flat_map(|found| &found.data_files)))]
    NewDeletes(Vec<NewDelete>),
    /// Data files were added that may contain rows which the change should have read.
    #[error("data files were added concurrently that conflict with the change: {}", some(.0))]
    NewData(Vec<String>),
    /// Delete files were added that may delete rows which the change is about.
    #[error("delete files were added concurrently that conflict with the change: {}", some(.0))]
    NewDeleteFiles(Vec<String>),
    /// Data files were removed that may have contained rows which the change is about.
    #[error("data files of the change were removed concurrently: {}", some(.0))]
    DataRemoved(Vec<String>),
    /// Data files for which the change adds deletion vectors got other deletion vectors.
    #[error("deletion vectors of data files were changed concurrently: {}", some(.0))]
    NewVectors(Vec<String>),
    /// The snapshot that the change was computed from is not an ancestor of the branch's head, or the history
    /// between them has expired.
    #[error("snapshot {since} is not an ancestor of the branch, or has expired")]
    HistoryGone {
        /// Id of the snapshot that the change was computed from.
        since: i64,
    },
}

/// Delete of a concurrent commit that applies to files which the change removes.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDelete {
    /// Paths of the data files. A delete for a whole partition possibly deletes no rows from some or all of
    /// them.
    pub data_files: Vec<String>,
    /// Delete file or deletion vector.
    pub delete: DataFile,
    /// Data sequence number of the delete.
    pub sequence_number: i64,
}

/// Formats the first paths, and the number of others.
fn some<'p>(paths: impl IntoIterator<Item = &'p String>) -> String {
    const NAMED_MAX: usize = 10;

    let paths: Vec<_> = paths.into_iter().map(String::as_str).collect();
    let shown = paths.get(..NAMED_MAX).unwrap_or(&paths).join("`, `");
    match paths.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        Some(more) => format!("`{shown}` and {more} more"),
        None => format!("`{shown}`"),
    }
}

impl SnapshotError {
    pub(super) fn invalid(message: impl Into<String>) -> SnapshotError {
        SnapshotError::Invalid(message.into())
    }

    /// Converts an error of writing a manifest: contents that cannot be written come from the caller.
    pub(super) fn unwritten(error: ManifestError) -> SnapshotError {
        match error {
            ManifestError::Unwritable(reason)
            | ManifestError::Unsupported(reason)
            | ManifestError::Malformed(reason) => SnapshotError::Invalid(reason),
            ManifestError::TooLarge { .. } => SnapshotError::Invalid(error.to_string()),
        }
    }

    pub(super) fn manifest(path: &str) -> impl FnOnce(ManifestError) -> SnapshotError {
        move |reason| SnapshotError::Manifest { path: path.to_owned(), reason }
    }
}
