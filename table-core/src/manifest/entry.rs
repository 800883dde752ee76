//! Entries of a manifest, and the files they describe.

use serde::{Deserialize, Serialize};

use super::avro::AvroCursor;
use super::body::{Body, Span};
use super::list::ManifestFile;
use super::metrics::{Bounds, Counts, Longs};
use crate::expr::metrics::FileMetrics;
use crate::metadata::reserved;

/// Status of an entry: the change to its file in the snapshot that wrote the entry (spec field `status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The file was added by an earlier snapshot and is still live.
    Existing,
    /// The file was added by the snapshot.
    Added,
    /// The file was removed by the snapshot; it is no longer live.
    Deleted,
}

/// Content of a data file or delete file (spec field `content`). Serialised in the spelling of the REST
/// specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileContent {
    /// Data file: rows.
    Data,
    /// Position deletes: positions of deleted rows, in a position delete file or a deletion vector.
    PositionDeletes,
    /// Equality deletes: values of the columns by which rows are deleted.
    EqualityDeletes,
}

/// Entry as written in the manifest, before inheritance. Compact, because a table has very many entries.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) status: Status,
    pub(super) content: FileContent,
    /// Number of its partition tuple among the distinct tuples of the manifest.
    pub(super) partition: u32,
    pub(super) snapshot_id: Option<i64>,
    pub(super) sequence_number: Option<i64>,
    pub(super) file_sequence_number: Option<i64>,
    pub(super) record_count: i64,
    pub(super) size_bytes: i64,
    pub(super) sort_order_id: Option<i32>,
    pub(super) first_row_id: Option<i64>,
    /// Number of rows in the preceding live entries that also inherit their first row id.
    pub(super) rows_before: i64,
    pub(super) content_offset: Option<i64>,
    pub(super) content_size_bytes: Option<i64>,
    pub(super) path: Span,
    pub(super) format: Span,
    pub(super) referenced_data_file: Option<Span>,
    pub(super) key_metadata: Option<Span>,
    /// Positions at which arrays and maps begin.
    pub(super) split_offsets: Option<u32>,
    pub(super) equality_ids: Option<u32>,
    pub(super) column_sizes: Option<u32>,
    pub(super) value_counts: Option<u32>,
    pub(super) null_value_counts: Option<u32>,
    pub(super) nan_value_counts: Option<u32>,
    pub(super) lower_bounds: Option<u32>,
    pub(super) upper_bounds: Option<u32>,
}

/// Data file or delete file of a manifest entry.
///
/// Values that the entry omits (snapshot id, sequence numbers, first row id) are inherited from the manifest
/// file entry in the manifest list (specification, "Sequence Number Inheritance", "First Row ID
/// Inheritance"). The other values are decoded on access, in place; the byte layout was checked by
/// [`Manifest::decode`](super::file::Manifest::decode).
#[derive(Clone, Copy)]
pub struct File<'a> {
    pub(super) body: &'a Body,
    pub(super) entry: &'a Entry,
    pub(super) listed_in: &'a ManifestFile,
}

impl<'a> File<'a> {
    /// Returns the status of the entry: the change to the file in the snapshot that wrote it.
    pub fn status(&self) -> Status {
        self.entry.status
    }

    /// Returns `true` if the file is part of the snapshot: its status is not [`Status::Deleted`].
    pub fn is_live(&self) -> bool {
        self.entry.status != Status::Deleted
    }

    /// Returns the content of the file: data, position deletes or equality deletes.
    pub fn content(&self) -> FileContent {
        self.entry.content
    }

    /// Returns the URI of the file, as in the manifest (not normalised).
    pub fn path(&self) -> &'a str {
        self.text(self.entry.path)
    }

    /// Returns the file format, such as `PARQUET`, in the writer's case.
    pub fn format(&self) -> &'a str {
        self.text(self.entry.format)
    }

    /// Returns the id of the snapshot that added the file, or that removed it if the status is
    /// [`Status::Deleted`].
    pub fn snapshot_id(&self) -> i64 {
        self.entry.snapshot_id.unwrap_or(self.listed_in.added_snapshot_id)
    }

    /// Returns the data sequence number, which decides the deletes that apply to the file.
    ///
    /// `None` only if a writer omitted it for an existing file, which the specification does not allow.
    pub fn sequence_number(&self) -> Option<i64> {
        self.entry.sequence_number.or_else(|| self.inherited_sequence_number())
    }

    /// Returns the file sequence number: the sequence number of the snapshot that added the file.
    pub fn file_sequence_number(&self) -> Option<i64> {
        self.entry.file_sequence_number.or_else(|| self.inherited_sequence_number())
    }

    /// Returns the sequence number of the manifest if the entry inherits it: added entries do, and all
    /// entries of manifests of format version 1, which has no sequence numbers.
    fn inherited_sequence_number(&self) -> Option<i64> {
        let sequence_number = self.listed_in.sequence_number;
        (sequence_number == 0 || self.entry.status == Status::Added).then_some(sequence_number)
    }

    /// Returns the row id of the first row in the file (format version 3). As in Java, it is `None` for every
    /// file of a manifest that has no first row id itself.
    pub fn first_row_id(&self) -> Option<i64> {
        let first = self.listed_in.first_row_id?;
        match self.entry.first_row_id {
            None if self.is_live() => first.checked_add(self.entry.rows_before),
            known => known,
        }
    }

    /// Returns the id of the partition spec that the file was written with.
    pub fn spec_id(&self) -> i32 {
        self.listed_in.spec_id
    }

    /// Returns the index of the file's partition tuple in
    /// [`Manifest::partitions`](super::file::Manifest::partitions). Equal tuples may have different indexes.
    pub fn partition_number(&self) -> usize {
        self.entry.partition as usize
    }

    /// Returns the number of rows in the file, or of deletes in a delete file.
    pub fn record_count(&self) -> i64 {
        self.entry.record_count
    }

    /// Returns the size of the file, in bytes.
    pub fn size_bytes(&self) -> i64 {
        self.entry.size_bytes
    }

    /// Returns the id of the sort order of the rows in the file.
    pub fn sort_order_id(&self) -> Option<i32> {
        self.entry.sort_order_id
    }

    /// Returns the URI of the only data file that all deletes in the file refer to (spec field
    /// `referenced_data_file`).
    pub fn referenced_data_file(&self) -> Option<&'a str> {
        self.entry.referenced_data_file.map(|span| self.text(span))
    }

    /// Returns the URI of the only data file that position deletes refer to, as in Java:
    /// `referenced_data_file`, or the bounds of the column `file_path` if both are equal. `None` for other
    /// files, and for deletes of several data files.
    pub fn deleted_file(&self) -> Option<&'a str> {
        if self.content() != FileContent::PositionDeletes {
            return None;
        }
        self.referenced_data_file().or_else(|| self.sole_path(reserved::DELETE_FILE_PATH))
    }

    /// Returns the same as [`File::deleted_file`], and also accepts bounds with the field id of `_file`, as
    /// `DuckDB` writes them. Readers that do not use these bounds apply the deletes to more data files, and
    /// find the same rows.
    ///
    /// Bounds of other columns are not used: a delete file may contain the deleted rows as well, and a text
    /// in these may look like a path.
    pub fn sole_data_file(&self) -> Option<&'a str> {
        let of_positions = self.content() == FileContent::PositionDeletes;
        self.deleted_file().or_else(|| self.sole_path(reserved::FILE_PATH).filter(|_| of_positions))
    }

    fn sole_path(&self, id: i32) -> Option<&'a str> {
        let (lower, upper) = (self.lower_bounds()?.find(id)?, self.upper_bounds()?.find(id)?);
        if lower == upper { std::str::from_utf8(lower).ok() } else { None }
    }

    /// Returns the offset of the deletion vector in the file, in bytes (spec field `content_offset`).
    pub fn content_offset(&self) -> Option<i64> {
        self.entry.content_offset
    }

    /// Returns the length of the deletion vector, in bytes (spec field `content_size_in_bytes`).
    pub fn content_size_bytes(&self) -> Option<i64> {
        self.entry.content_size_bytes
    }

    /// Returns the encryption key metadata of the file (spec field `key_metadata`).
    pub fn key_metadata(&self) -> Option<&'a [u8]> {
        self.entry.key_metadata.map(|span| self.body.slice(span))
    }

    /// Returns the offsets at which the file may be split, in bytes (spec field `split_offsets`).
    pub fn split_offsets(&self) -> Option<Longs<'a>> {
        self.entry.split_offsets.map(|at| Longs::new(self.cursor(at)))
    }

    /// Returns the field ids of the columns that an equality delete file compares (spec field
    /// `equality_ids`).
    pub fn equality_ids(&self) -> Option<Longs<'a>> {
        self.entry.equality_ids.map(|at| Longs::new(self.cursor(at)))
    }

    /// Returns the size in the file by column, in bytes.
    pub fn column_sizes(&self) -> Option<Counts<'a>> {
        self.entry.column_sizes.map(|at| Counts::new(self.cursor(at), self.body.shapes.column_sizes))
    }

    /// Returns the number of values by column, nulls and NaNs included.
    pub fn value_counts(&self) -> Option<Counts<'a>> {
        self.entry.value_counts.map(|at| Counts::new(self.cursor(at), self.body.shapes.value_counts))
    }

    /// Returns the number of nulls by column.
    pub fn null_value_counts(&self) -> Option<Counts<'a>> {
        let shape = self.body.shapes.null_value_counts;
        self.entry.null_value_counts.map(|at| Counts::new(self.cursor(at), shape))
    }

    /// Returns the number of NaNs by column.
    pub fn nan_value_counts(&self) -> Option<Counts<'a>> {
        let shape = self.body.shapes.nan_value_counts;
        self.entry.nan_value_counts.map(|at| Counts::new(self.cursor(at), shape))
    }

    /// Returns the lower bounds by column, in binary single-value serialization.
    pub fn lower_bounds(&self) -> Option<Bounds<'a>> {
        self.entry.lower_bounds.map(|at| Bounds::new(self.cursor(at), self.body.shapes.lower_bounds))
    }

    /// Returns the upper bounds by column, in binary single-value serialization.
    pub fn upper_bounds(&self) -> Option<Bounds<'a>> {
        self.entry.upper_bounds.map(|at| Bounds::new(self.cursor(at), self.body.shapes.upper_bounds))
    }

    fn text(&self, span: Span) -> &'a str {
        // UTF-8 was checked when the manifest was decoded.
        std::str::from_utf8(self.body.slice(span)).unwrap_or_default()
    }

    fn cursor(&self, at: u32) -> AvroCursor<'a> {
        AvroCursor::at(&self.body.bytes, at as usize)
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
