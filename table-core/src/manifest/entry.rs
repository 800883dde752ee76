//! One line of a manifest, and the file it tells of.

use serde::{Deserialize, Serialize};

use super::avro::Cursor;
use super::file::Manifest;
use super::list::ManifestFile;
use super::metrics::{Bounds, Counts, Longs};
use crate::expr::metrics::FileMetrics;
use crate::file::reserved;

/// What happened to a file in the snapshot that wrote the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It was there before.
    Existing,
    /// It was added.
    Added,
    /// It was removed; the entry only tells of it.
    Deleted,
}

/// What a file holds. As JSON, in the words of the REST document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Rows.
    Data,
    /// Positions of deleted rows, in files or as a deletion vector.
    PositionDeletes,
    /// Values of deleted rows.
    EqualityDeletes,
}

/// A range of a manifest's decompressed bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// An entry as it stands in the file, before anything is inherited. Kept small: there are very many.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) status: Status,
    pub(super) content: Content,
    /// Its partition tuple's number among the manifest's.
    pub(super) partition: u32,
    pub(super) snapshot_id: Option<i64>,
    pub(super) sequence_number: Option<i64>,
    pub(super) file_sequence_number: Option<i64>,
    pub(super) record_count: i64,
    pub(super) size_bytes: i64,
    pub(super) sort_order_id: Option<i32>,
    pub(super) first_row_id: Option<i64>,
    /// The rows of the entries before it that inherit their first row id.
    pub(super) rows_before: i64,
    pub(super) content_offset: Option<i64>,
    pub(super) content_size_bytes: Option<i64>,
    pub(super) path: Span,
    pub(super) format: Span,
    pub(super) referenced_data_file: Option<Span>,
    pub(super) key_metadata: Option<Span>,
    /// Where arrays and maps begin.
    pub(super) split_offsets: Option<u32>,
    pub(super) equality_ids: Option<u32>,
    pub(super) column_sizes: Option<u32>,
    pub(super) value_counts: Option<u32>,
    pub(super) null_value_counts: Option<u32>,
    pub(super) nan_value_counts: Option<u32>,
    pub(super) lower_bounds: Option<u32>,
    pub(super) upper_bounds: Option<u32>,
}

/// A data or delete file, with what its entry inherits from the manifest's line in the manifest list.
#[derive(Clone, Copy)]
pub struct File<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) entry: &'a Entry,
    pub(super) listed: &'a ManifestFile,
}

impl<'a> File<'a> {
    /// What happened to it in the snapshot that wrote the entry.
    pub fn status(&self) -> Status {
        self.entry.status
    }

    /// Whether it is part of the snapshot.
    pub fn is_live(&self) -> bool {
        self.entry.status != Status::Deleted
    }

    /// What it holds.
    pub fn content(&self) -> Content {
        self.entry.content
    }

    /// Where it is.
    pub fn path(&self) -> &'a str {
        self.text(self.entry.path)
    }

    /// Its format, such as `PARQUET`, in the writer's case.
    pub fn format(&self) -> &'a str {
        self.text(self.entry.format)
    }

    /// The snapshot that added it, or removed it.
    pub fn snapshot_id(&self) -> i64 {
        self.entry.snapshot_id.unwrap_or(self.listed.added_snapshot_id)
    }

    /// Its data sequence number: which deletes are newer. `None` only where a writer left it out of a file it carried
    /// over, which the specification does not allow.
    pub fn sequence_number(&self) -> Option<i64> {
        self.entry.sequence_number.or_else(|| self.inherited_sequence_number())
    }

    /// The sequence number of the snapshot that added it.
    pub fn file_sequence_number(&self) -> Option<i64> {
        self.entry.file_sequence_number.or_else(|| self.inherited_sequence_number())
    }

    /// Numbers are inherited by what was added, and by everything in manifests from before there were numbers.
    fn inherited_sequence_number(&self) -> Option<i64> {
        let sequence_number = self.listed.sequence_number;
        (sequence_number == 0 || self.entry.status == Status::Added).then_some(sequence_number)
    }

    /// The id of its first row, from format version 3 on. As Java, none at all in a manifest that was not given one.
    pub fn first_row_id(&self) -> Option<i64> {
        let first = self.listed.first_row_id?;
        match self.entry.first_row_id {
            None if self.is_live() => first.checked_add(self.entry.rows_before),
            known => known,
        }
    }

    /// The partition spec it was written with.
    pub fn spec_id(&self) -> i32 {
        self.listed.spec_id
    }

    /// Its partition tuple's number among the manifest's: equal tuples may have several.
    pub fn partition_number(&self) -> usize {
        self.entry.partition as usize
    }

    /// How many rows, or deletes, it holds.
    pub fn record_count(&self) -> i64 {
        self.entry.record_count
    }

    /// Its size.
    pub fn size_bytes(&self) -> i64 {
        self.entry.size_bytes
    }

    /// The order its rows are in.
    pub fn sort_order_id(&self) -> Option<i32> {
        self.entry.sort_order_id
    }

    /// The one data file that all its deletes are for.
    pub fn referenced_data_file(&self) -> Option<&'a str> {
        self.entry.referenced_data_file.map(|span| self.text(span))
    }

    /// The one data file that position deletes are for: as written, or because both bounds of `file_path` are the same, as Java has
    /// it. `None` for other files, and for deletes of several data files.
    pub fn deleted_file(&self) -> Option<&'a str> {
        if self.content() != Content::PositionDeletes {
            return None;
        }
        self.referenced_data_file().or_else(|| self.sole_path(reserved::DELETE_FILE_PATH))
    }

    /// The same, where bounds may also have the id of `_file`, as `DuckDB` writes them. Readers that do not know this have more
    /// deletes to look at, and find the same rows.
    ///
    /// Bounds of other columns say nothing: a delete file may hold the deleted rows, too, and a text in these may look like a path.
    pub fn sole_data_file(&self) -> Option<&'a str> {
        let of_positions = self.content() == Content::PositionDeletes;
        self.deleted_file().or_else(|| self.sole_path(reserved::FILE_PATH).filter(|_| of_positions))
    }

    fn sole_path(&self, id: i32) -> Option<&'a str> {
        let (lower, upper) = (self.lower_bounds()?.find(id)?, self.upper_bounds()?.find(id)?);
        if lower == upper { std::str::from_utf8(lower).ok() } else { None }
    }

    /// Where in the file a deletion vector begins, in bytes.
    pub fn content_offset(&self) -> Option<i64> {
        self.entry.content_offset
    }

    /// How long a deletion vector is, in bytes.
    pub fn content_size_bytes(&self) -> Option<i64> {
        self.entry.content_size_bytes
    }

    /// What is needed to decrypt it.
    pub fn key_metadata(&self) -> Option<&'a [u8]> {
        self.entry.key_metadata.map(|span| self.manifest.slice(span))
    }

    /// Where it may be split, in bytes.
    pub fn split_offsets(&self) -> Option<Longs<'a>> {
        self.entry.split_offsets.map(|at| Longs::new(self.cursor(at)))
    }

    /// The columns by which rows are deleted.
    pub fn equality_ids(&self) -> Option<Longs<'a>> {
        self.entry.equality_ids.map(|at| Longs::new(self.cursor(at)))
    }

    /// Bytes by column.
    pub fn column_sizes(&self) -> Option<Counts<'a>> {
        self.entry.column_sizes.map(|at| Counts::new(self.cursor(at), self.manifest.shapes.column_sizes))
    }

    /// Values by column, null and NaN included.
    pub fn value_counts(&self) -> Option<Counts<'a>> {
        self.entry.value_counts.map(|at| Counts::new(self.cursor(at), self.manifest.shapes.value_counts))
    }

    /// Nulls by column.
    pub fn null_value_counts(&self) -> Option<Counts<'a>> {
        let shape = self.manifest.shapes.null_value_counts;
        self.entry.null_value_counts.map(|at| Counts::new(self.cursor(at), shape))
    }

    /// NaNs by column.
    pub fn nan_value_counts(&self) -> Option<Counts<'a>> {
        let shape = self.manifest.shapes.nan_value_counts;
        self.entry.nan_value_counts.map(|at| Counts::new(self.cursor(at), shape))
    }

    /// Lower bounds by column, in their binary form.
    pub fn lower_bounds(&self) -> Option<Bounds<'a>> {
        self.entry.lower_bounds.map(|at| Bounds::new(self.cursor(at), self.manifest.shapes.lower_bounds))
    }

    /// Upper bounds by column, in their binary form.
    pub fn upper_bounds(&self) -> Option<Bounds<'a>> {
        self.entry.upper_bounds.map(|at| Bounds::new(self.cursor(at), self.manifest.shapes.upper_bounds))
    }

    fn text(&self, span: Span) -> &'a str {
        // Checked when the manifest was decoded.
        std::str::from_utf8(self.manifest.slice(span)).unwrap_or_default()
    }

    fn cursor(&self, at: u32) -> Cursor<'a> {
        Cursor::at(&self.manifest.bytes, at as usize)
    }
}

impl FileMetrics for File<'_> {
    fn record_count(&self) -> i64 {
        self.entry.record_count
    }

    fn value_count(&self, field_id: i32) -> Option<i64> {
        self.value_counts()?.find(field_id)
    }

    fn null_count(&self, field_id: i32) -> Option<i64> {
        self.null_value_counts()?.find(field_id)
    }

    fn nan_count(&self, field_id: i32) -> Option<i64> {
        self.nan_value_counts()?.find(field_id)
    }

    fn lower(&self, field_id: i32) -> Option<&[u8]> {
        self.lower_bounds()?.find(field_id)
    }

    fn upper(&self, field_id: i32) -> Option<&[u8]> {
        self.upper_bounds()?.find(field_id)
    }
}
