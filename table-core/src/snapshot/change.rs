//! Change of a table's files, and the concurrent changes that conflict with it.

use super::error::SnapshotError;
use crate::expr::expression::Expression;
use crate::manifest::data_file::DataFile;
use crate::manifest::entry::{File, FileContent};

/// File format of deletion vectors.
const PUFFIN: &str = "PUFFIN";

/// Kind of a change. It determines the snapshot's `operation` and the checks that are always made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// Addition of data files. Java's `FastAppend`: existing manifests are carried over without reading them.
    Append,
    /// Removal of whole data files. Java's `DeleteFiles`.
    Delete,
    /// Removal of data files and addition of others. Java's `OverwriteFiles`.
    Overwrite,
    /// Addition and removal of data files and delete files. Java's `RowDelta`.
    RowDelta,
    /// Replacement of files by others with the same rows. Java's `RewriteFiles`.
    Replace,
}

/// Change of a table's files, to be committed as a snapshot by a [`super::plan::SnapshotPlan`].
#[derive(Debug, Clone)]
pub struct FileChange {
    /// Kind of the change.
    pub kind: ChangeKind,
    /// Data files to add, with any of the table's partition specs.
    pub added_data: Vec<DataFile>,
    /// Data sequence number of the added data files; `None` for that of the commit. A rewrite sets it to the
    /// sequence number of the snapshot it started from, so that later deletes apply to the new files.
    pub data_sequence_number: Option<i64>,
    /// Delete files to add.
    pub added_deletes: Vec<AddedDelete>,
    /// Data files to remove, as read from their manifests.
    pub removed_data: Vec<DataFile>,
    /// Paths of data files to remove of which nothing else is known.
    pub removed_paths: Vec<String>,
    /// Delete files to remove.
    pub removed_deletes: Vec<DeleteKey>,
    /// Filter of the data files to remove: those of which all rows match are removed; a file of which only
    /// some rows match makes the change fail.
    pub removed_rows: Option<Expression>,
    /// `true` if every file to remove must exist, as is always the case for [`ChangeKind::Replace`].
    pub must_exist: bool,
    /// Checks for concurrent changes.
    pub checks: Checks,
    /// Additional properties for the snapshot's summary.
    pub properties: Vec<(String, String)>,
}

/// Delete file to add.
#[derive(Debug, Clone, PartialEq)]
pub struct AddedDelete {
    /// Delete file or deletion vector.
    pub file: DataFile,
    /// Data sequence number; `None` for that of the commit.
    pub sequence_number: Option<i64>,
}

/// Identity of a delete file: its path, and for a deletion vector also its offset, because a file may contain
/// several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeleteKey {
    /// Path of the file.
    pub path: String,
    /// Offset of the deletion vector in the file (`content_offset`).
    pub content_offset: Option<i64>,
}

/// Checks for concurrent changes: what must not have been committed since the change was computed.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    /// Id of the snapshot that the change was computed from; `None` if the branch had no snapshot, so that
    /// its whole history is checked.
    pub since: Option<i64>,
    /// Filter of the rows that the change has read, to which the search for conflicts is restricted; `None`
    /// for all rows.
    pub filter: Option<Expression>,
    /// `true` if new data files with such rows are a conflict, which distinguishes serializable isolation
    /// from snapshot isolation.
    pub no_new_data: bool,
    /// `true` if new deletes of such rows are a conflict.
    pub no_new_deletes: bool,
    /// Paths of data files that the added deletes refer to, and which must therefore still exist.
    pub referenced_files: Vec<String>,
    /// `true` if the referenced data files may have been removed by a commit with the operation `delete`.
    pub ignores_deletions: bool,
    /// New deletes on removed files that the change already takes into account, by adding equivalent deletes
    /// for the new files.
    pub translated: Vec<DeleteKey>,
}

impl FileChange {
    /// Creates a change without any files.
    pub fn new(kind: ChangeKind) -> FileChange {
        FileChange {
            kind,
            added_data: Vec::new(),
            data_sequence_number: None,
            added_deletes: Vec::new(),
            removed_data: Vec::new(),
            removed_paths: Vec::new(),
            removed_deletes: Vec::new(),
            removed_rows: None,
            must_exist: kind == ChangeKind::Replace,
            checks: Checks::default(),
            properties: Vec::new(),
        }
    }

    /// Returns the snapshot's `operation`, as Java chooses it.
    pub fn operation(&self) -> &'static str {
        let adds_data = !self.added_data.is_empty();
        let adds_deletes = !self.added_deletes.is_empty();
        match self.kind {
            ChangeKind::Append => "append",
            ChangeKind::Delete => "delete",
            ChangeKind::Replace => "replace",
            ChangeKind::Overwrite if self.removes_data() && !adds_data => "delete",
            ChangeKind::Overwrite if adds_data && !self.removes_data() => "append",
            ChangeKind::RowDelta if adds_data && !adds_deletes && !self.removes_data() => "append",
            ChangeKind::RowDelta if adds_deletes && !adds_data => "delete",
            ChangeKind::Overwrite | ChangeKind::RowDelta => "overwrite",
        }
    }

    pub(super) fn removes_data(&self) -> bool {
        !self.removed_data.is_empty() || !self.removed_paths.is_empty() || self.removed_rows.is_some()
    }

    /// Validates the change for a table of the given format version.
    pub(super) fn check(&self, format_version: i32) -> Result<(), SnapshotError> {
        let refuse = |reason: String| Err(SnapshotError::Invalid(reason));
        if let Some(file) = self.added_data.iter().find(|file| file.content != FileContent::Data) {
            return refuse(format!("`{}` is not a data file", file.path));
        }
        for added in &self.added_deletes {
            check_delete(&added.file, format_version)?;
        }
        let mut vectors: Vec<_> =
            self.added_deletes.iter().filter_map(|added| vector_of(&added.file)).collect();
        vectors.sort_unstable();
        if let Some([path, _]) = vectors.array_windows::<2>().find(|[left, right]| left == right) {
            return refuse(format!("the change adds two deletion vectors for `{path}`; merge them"));
        }
        let removes_deletes = !self.removed_deletes.is_empty();
        match self.kind {
            ChangeKind::Append
                if self.removes_data() || removes_deletes || !self.added_deletes.is_empty() =>
            {
                refuse("an append only adds data files".to_owned())
            }
            ChangeKind::Delete if !self.added_data.is_empty() || !self.added_deletes.is_empty() => {
                refuse("a delete only removes files".to_owned())
            }
            ChangeKind::Replace if !self.removes_data() && !removes_deletes => {
                refuse("a rewrite must remove files".to_owned())
            }
            ChangeKind::Replace if !self.removes_data() && !self.added_data.is_empty() => {
                refuse("a rewrite that removes no data file cannot add one".to_owned())
            }
            ChangeKind::Replace
                if !removes_deletes
                    && !self.added_deletes.is_empty()
                    && self.checks.translated.is_empty() =>
            {
                refuse("a rewrite that removes no delete file cannot add one".to_owned())
            }
            _ => self.check_references(),
        }
    }

    fn check_references(&self) -> Result<(), SnapshotError> {
        let is_removed = |path: &&String| {
            self.removed_paths.contains(path) || self.removed_data.iter().any(|file| file.path == **path)
        };
        match self.checks.referenced_files.iter().find(is_removed) {
            Some(path) => {
                Err(SnapshotError::Invalid(format!("`{path}` is removed, and new deletes refer to it")))
            }
            None => Ok(()),
        }
    }
}

impl Checks {
    /// Returns the checks for serializable isolation: no data or deletes that the change has not read were
    /// committed for rows matching `filter` since `since`. The result is the same as if the change had been
    /// computed from the current snapshot.
    pub fn serializable(since: Option<i64>, filter: Option<Expression>) -> Checks {
        Checks { since, filter, no_new_data: true, no_new_deletes: true, ..Checks::default() }
    }

    /// Returns the checks for snapshot isolation: no rows that the change rewrites were deleted since
    /// `since`; added rows are no conflict.
    pub fn snapshot(since: Option<i64>, filter: Option<Expression>) -> Checks {
        Checks { since, filter, no_new_deletes: true, ..Checks::default() }
    }
}

impl DeleteKey {
    /// Returns the key of a delete file.
    pub fn of(file: &DataFile) -> DeleteKey {
        DeleteKey { path: file.path.clone(), content_offset: file.content_offset }
    }

    /// Returns the key of a delete file from its manifest entry.
    pub fn read(file: &File<'_>) -> DeleteKey {
        DeleteKey { path: file.path().to_owned(), content_offset: file.content_offset() }
    }
}

/// Returns the path of the data file of a deletion vector; `None` for any other file.
pub(super) fn vector_of(file: &DataFile) -> Option<&str> {
    let is_vector = file.content == FileContent::PositionDeletes && file.format.eq_ignore_ascii_case(PUFFIN);
    file.referenced_data_file.as_deref().filter(|_| is_vector)
}

fn check_delete(file: &DataFile, format_version: i32) -> Result<(), SnapshotError> {
    let is_puffin = file.format.eq_ignore_ascii_case(PUFFIN);
    let refuse = |reason: &str| Err(SnapshotError::Invalid(format!("`{}` {reason}", file.path)));
    match file.content {
        FileContent::Data => refuse("is not a delete file"),
        _ if format_version < 2 => refuse("cannot be added: version 1 has no deletes"),
        FileContent::EqualityDeletes if file.equality_ids.is_empty() => {
            refuse("does not name the columns that it compares")
        }
        FileContent::PositionDeletes if format_version == 2 && is_puffin => {
            refuse("is a deletion vector, which version 2 does not have")
        }
        FileContent::PositionDeletes if format_version > 2 && !is_puffin => {
            refuse("cannot be added: from version 3 on, positions are deleted by deletion vectors")
        }
        FileContent::PositionDeletes
            if is_puffin
                && (file.referenced_data_file.is_none()
                    || file.content_offset.is_none()
                    || file.content_size_bytes.is_none()) =>
        {
            refuse("does not name the data file, offset or length of its deletion vector")
        }
        _ => Ok(()),
    }
}
