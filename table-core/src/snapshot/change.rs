//! A change of a table's files, and what must not have happened meanwhile.

use super::error::SnapshotError;
use crate::expr::expression::Expression;
use crate::manifest::data_file::DataFile;
use crate::manifest::entry::{Content, File};

/// The format of deletion vectors.
const PUFFIN: &str = "PUFFIN";

/// What kind of change it is. Decides the snapshot's `operation`, and what is checked in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Data files are added. Java's `FastAppend`: manifests are carried over unread.
    Append,
    /// Whole data files are removed. Java's `DeleteFiles`.
    Delete,
    /// Data files are removed, others added. Java's `OverwriteFiles`.
    Overwrite,
    /// Data and delete files are added and removed. Java's `RowDelta`.
    RowDelta,
    /// The same rows in other files. Java's `RewriteFiles`.
    Replace,
}

/// A change of a table's files.
#[derive(Debug, Clone)]
pub struct Change {
    /// What kind of change it is.
    pub kind: Kind,
    /// Data files to add, of any of the table's partition specs.
    pub added_data: Vec<DataFile>,
    /// The data sequence number of the data files added; the commit's own if there is none. A rewrite gives the starting
    /// snapshot's, so that deletes that are newer still apply.
    pub data_sequence_number: Option<i64>,
    /// Delete files to add.
    pub added_deletes: Vec<AddedDelete>,
    /// Data files to remove, as they were read.
    pub removed_data: Vec<DataFile>,
    /// Data files to remove, of which only the paths are known.
    pub removed_paths: Vec<String>,
    /// Delete files to remove.
    pub removed_deletes: Vec<DeleteKey>,
    /// Removes the data files all of whose rows match; a file of which some rows do makes the change fail.
    pub removed_rows: Option<Expression>,
    /// Whether every file to remove has to be there. Always so for [`Kind::Replace`].
    pub must_exist: bool,
    /// What must not have happened meanwhile.
    pub checks: Checks,
    /// More properties for the snapshot's summary.
    pub properties: Vec<(String, String)>,
}

/// A delete file to add.
#[derive(Debug, Clone, PartialEq)]
pub struct AddedDelete {
    /// The file.
    pub file: DataFile,
    /// Its data sequence number; the commit's own if there is none.
    pub sequence_number: Option<i64>,
}

/// What tells a delete file from others: its path, and for deletion vectors where in the file it begins, because many share
/// one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeleteKey {
    /// Where the file is.
    pub path: String,
    /// Where in it a deletion vector begins.
    pub content_offset: Option<i64>,
}

/// What must not have happened since the change was computed.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    /// The snapshot that the change was computed from; `None` if the branch had none, so that all of its history counts.
    pub since: Option<i64>,
    /// The rows the change has seen, and the only ones that conflicts are looked for among; `None` for all.
    pub filter: Option<Expression>,
    /// Whether new data files with such rows are a conflict: what makes the difference between snapshot isolation and
    /// serializable isolation.
    pub no_new_data: bool,
    /// Whether new deletes of such rows are a conflict.
    pub no_new_deletes: bool,
    /// Data files that the added deletes refer to, which therefore have to be there still.
    pub referenced_files: Vec<String>,
    /// Whether the files referred to may have been removed by a commit that only deletes.
    pub ignores_deletions: bool,
    /// New deletes on removed files that the change has taken into account, by adding deletes for the new files.
    pub translated: Vec<DeleteKey>,
}

impl Change {
    /// A change that does nothing yet.
    pub fn new(kind: Kind) -> Change {
        Change {
            kind,
            added_data: Vec::new(),
            data_sequence_number: None,
            added_deletes: Vec::new(),
            removed_data: Vec::new(),
            removed_paths: Vec::new(),
            removed_deletes: Vec::new(),
            removed_rows: None,
            must_exist: kind == Kind::Replace,
            checks: Checks::default(),
            properties: Vec::new(),
        }
    }

    /// The snapshot's `operation`, as Java chooses it.
    pub fn operation(&self) -> &'static str {
        let adds_data = !self.added_data.is_empty();
        let adds_deletes = !self.added_deletes.is_empty();
        match self.kind {
            Kind::Append => "append",
            Kind::Delete => "delete",
            Kind::Replace => "replace",
            Kind::Overwrite if self.removes_data() && !adds_data => "delete",
            Kind::Overwrite if adds_data && !self.removes_data() => "append",
            Kind::RowDelta if adds_data && !adds_deletes && !self.removes_data() => "append",
            Kind::RowDelta if adds_deletes && !adds_data => "delete",
            Kind::Overwrite | Kind::RowDelta => "overwrite",
        }
    }

    pub(super) fn removes_data(&self) -> bool {
        !self.removed_data.is_empty() || !self.removed_paths.is_empty() || self.removed_rows.is_some()
    }

    /// Whether it makes sense for a table of a format version.
    pub(super) fn check(&self, format_version: i32) -> Result<(), SnapshotError> {
        let refuse = |reason: String| Err(SnapshotError::Invalid(reason));
        if let Some(file) = self.added_data.iter().find(|file| file.content != Content::Data) {
            return refuse(format!("`{}` is no data file", file.path));
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
            Kind::Append if self.removes_data() || removes_deletes || !self.added_deletes.is_empty() => {
                refuse("an append only adds data files".to_owned())
            }
            Kind::Delete if !self.added_data.is_empty() || !self.added_deletes.is_empty() => {
                refuse("a delete only removes files".to_owned())
            }
            Kind::Replace if !self.removes_data() && !removes_deletes => {
                refuse("a rewrite has to remove files".to_owned())
            }
            Kind::Replace if !self.removes_data() && !self.added_data.is_empty() => {
                refuse("a rewrite that removes no data file cannot add one".to_owned())
            }
            Kind::Replace
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
    /// Nothing that the change has not seen may have been added or deleted among these rows since: the result is the same as
    /// if the change had been computed just now.
    pub fn serializable(since: Option<i64>, filter: Option<Expression>) -> Checks {
        Checks { since, filter, no_new_data: true, no_new_deletes: true, ..Checks::default() }
    }

    /// Nothing that the change rewrites may have been deleted since; rows that were added do not matter.
    pub fn snapshot(since: Option<i64>, filter: Option<Expression>) -> Checks {
        Checks { since, filter, no_new_deletes: true, ..Checks::default() }
    }
}

impl DeleteKey {
    /// The key of a delete file.
    pub fn of(file: &DataFile) -> DeleteKey {
        DeleteKey { path: file.path.clone(), content_offset: file.content_offset }
    }

    /// The key of a delete file in a manifest.
    pub fn read(file: &File<'_>) -> DeleteKey {
        DeleteKey { path: file.path().to_owned(), content_offset: file.content_offset() }
    }
}

/// The data file of a deletion vector; `None` for any other file.
pub(super) fn vector_of(file: &DataFile) -> Option<&str> {
    let is_vector = file.content == Content::PositionDeletes && file.format.eq_ignore_ascii_case(PUFFIN);
    file.referenced_data_file.as_deref().filter(|_| is_vector)
}

fn check_delete(file: &DataFile, format_version: i32) -> Result<(), SnapshotError> {
    let is_puffin = file.format.eq_ignore_ascii_case(PUFFIN);
    let refuse = |reason: &str| Err(SnapshotError::Invalid(format!("`{}` {reason}", file.path)));
    match file.content {
        Content::Data => refuse("is no delete file"),
        _ if format_version < 2 => refuse("cannot be added: version 1 has no deletes"),
        Content::EqualityDeletes if file.equality_ids.is_empty() => {
            refuse("does not say which columns it compares")
        }
        Content::PositionDeletes if format_version == 2 && is_puffin => {
            refuse("is a deletion vector, which version 2 does not have")
        }
        Content::PositionDeletes if format_version > 2 && !is_puffin => {
            refuse("cannot be added: from version 3 on, positions are deleted by deletion vectors")
        }
        Content::PositionDeletes
            if is_puffin
                && (file.referenced_data_file.is_none()
                    || file.content_offset.is_none()
                    || file.content_size_bytes.is_none()) =>
        {
            refuse("does not say which data file its deletion vector is for, or where it is")
        }
        _ => Ok(()),
    }
}
