//! Why a snapshot cannot be made.

use crate::expr::error::ExpressionError;
use crate::manifest::data_file::DataFile;
use crate::manifest::error::ManifestError;
use crate::metadata::error::MetadataError;

/// What is wrong with a change, or with the table it is for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SnapshotError {
    /// The change contradicts itself or does not fit the table.
    #[error("{0}")]
    Invalid(String),
    /// Another commit was in the way; the change has to be computed from the table as it is now.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// A filter cannot be used on this table.
    #[error("the filter cannot be used: {0}")]
    Filter(#[from] ExpressionError),
    /// The table's metadata is damaged.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A manifest or manifest list cannot be used.
    #[error("the manifest `{path}` cannot be used: {reason}")]
    Manifest {
        /// Which one.
        path: String,
        /// What is wrong with it.
        reason: ManifestError,
    },
}

/// What another commit did that a change cannot go with.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Conflict {
    /// Files that the change removes or refers to are not there any more.
    #[error("files are gone that the change is about: {}", some(.0))]
    FilesGone(Vec<String>),
    /// Files that a rewrite removes are listed more or less often than when it read them.
    #[error("files are listed more or less often than before: {}", some(.0))]
    EntriesChanged(Vec<String>),
    /// Rows were deleted from files that the change removes, and would come back with what replaces them.
    #[error("rows were deleted since from files that the change removes: {}", some(.0.iter().flat_map(|found| &found.data_files)))]
    NewDeletes(Vec<NewDelete>),
    /// Data files were added that may hold rows the change should have seen.
    #[error("data files were added since that the change did not see: {}", some(.0))]
    NewData(Vec<String>),
    /// Delete files were added that may delete rows the change is about.
    #[error("delete files were added since that the change did not see: {}", some(.0))]
    NewDeleteFiles(Vec<String>),
    /// Data files were removed that may have held rows the change is about.
    #[error("data files were removed since that the change is about: {}", some(.0))]
    DataRemoved(Vec<String>),
    /// Data files that the change adds deletion vectors for got others since.
    #[error("data files got other deletion vectors since: {}", some(.0))]
    NewVectors(Vec<String>),
    /// The snapshot that the change was computed from is not an ancestor of the branch's head, or the history between is
    /// gone.
    #[error("snapshot {since} is not known to be an ancestor of the branch")]
    HistoryGone {
        /// The snapshot.
        since: i64,
    },
}

/// A delete that another commit added, for files that the change removes.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDelete {
    /// The data files. A delete for a whole partition may delete nothing from some of them, or from any.
    pub data_files: Vec<String>,
    /// The delete file or deletion vector.
    pub delete: DataFile,
    /// Its data sequence number.
    pub sequence_number: i64,
}

/// The first of these paths, and how many more there are.
fn some<'p>(paths: impl IntoIterator<Item = &'p String>) -> String {
    const SHOWN_MAX: usize = 10;

    let paths: Vec<_> = paths.into_iter().map(String::as_str).collect();
    let shown = paths.get(..SHOWN_MAX).unwrap_or(&paths).join("`, `");
    match paths.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        Some(more) => format!("`{shown}` and {more} more"),
        None => format!("`{shown}`"),
    }
}

impl SnapshotError {
    pub(super) fn invalid(message: impl Into<String>) -> SnapshotError {
        SnapshotError::Invalid(message.into())
    }

    /// For manifests that are written: what does not fit into one is the caller's.
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
