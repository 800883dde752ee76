//! Decoding of single entries of a manifest, by the layout of its schema. Manifests as a whole are in `file`.

use std::collections::HashMap;

use super::avro::AvroCursor;
use super::body::{Shapes, Span};
use super::entry::{Entry, FileContent, Status};
use super::error::{ManifestError, malformed};
use super::metrics::{PairShape, PairValue, skip_bounds, skip_counts};
use super::shape::{AvroShape, identify, number};

/// Distinct partition tuples found so far.
#[derive(Default)]
pub(super) struct Partitions {
    /// Positions of the distinct tuples.
    pub(super) spans: Vec<Span>,
    numbers: HashMap<Vec<u8>, u32>,
    /// Memory of the tuples in bytes.
    pub(super) memory_bytes: usize,
}

impl Partitions {
    fn number(&mut self, span: Span, tuple: &[u8]) -> u32 {
        // Consecutive entries are mostly of the same partition.
        if let Some(number) = self.numbers.get(tuple) {
            return *number;
        }
        let number = u32::try_from(self.spans.len()).unwrap_or(u32::MAX);
        self.memory_bytes += size_of::<Span>() + size_of::<(Vec<u8>, u32)>() + tuple.len();
        self.spans.push(span);
        self.numbers.insert(tuple.to_vec(), number);
        number
    }
}

/// Layout of the record of an entry: its fields in the writer's order.
pub(super) struct EntryLayout {
    entry: Vec<(EntryField, AvroShape)>,
    file: Vec<(FileField, AvroShape)>,
    /// Shape of a partition tuple.
    pub(super) partition: AvroShape,
    /// Shapes of the values that are decoded on access.
    pub(super) shapes: Shapes,
}

#[derive(Clone, Copy, PartialEq)]
enum EntryField {
    Status,
    SnapshotId,
    SequenceNumber,
    FileSequenceNumber,
    File,
    Other,
}

#[derive(Clone, Copy, PartialEq)]
enum FileField {
    Content,
    Path,
    Format,
    Partition,
    RecordCount,
    Size,
    ColumnSizes,
    ValueCounts,
    NullValueCounts,
    NanValueCounts,
    LowerBounds,
    UpperBounds,
    KeyMetadata,
    SplitOffsets,
    EqualityIds,
    SortOrderId,
    FirstRowId,
    ReferencedDataFile,
    ContentOffset,
    ContentSize,
    Other,
}

/// Field ids and names of the specification, section "Manifests"; names are used in files without ids.
const ENTRY_FIELDS: [(i32, &str, EntryField); 5] = [
    (0, "status", EntryField::Status),
    (1, "snapshot_id", EntryField::SnapshotId),
    (3, "sequence_number", EntryField::SequenceNumber),
    (4, "file_sequence_number", EntryField::FileSequenceNumber),
    (2, "data_file", EntryField::File),
];

const FILE_FIELDS: [(i32, &str, FileField); 20] = [
    (134, "content", FileField::Content),
    (100, "file_path", FileField::Path),
    (101, "file_format", FileField::Format),
    (102, "partition", FileField::Partition),
    (103, "record_count", FileField::RecordCount),
    (104, "file_size_in_bytes", FileField::Size),
    (108, "column_sizes", FileField::ColumnSizes),
    (109, "value_counts", FileField::ValueCounts),
    (110, "null_value_counts", FileField::NullValueCounts),
    (137, "nan_value_counts", FileField::NanValueCounts),
    (125, "lower_bounds", FileField::LowerBounds),
    (128, "upper_bounds", FileField::UpperBounds),
    (131, "key_metadata", FileField::KeyMetadata),
    (132, "split_offsets", FileField::SplitOffsets),
    (135, "equality_ids", FileField::EqualityIds),
    (140, "sort_order_id", FileField::SortOrderId),
    (142, "first_row_id", FileField::FirstRowId),
    (143, "referenced_data_file", FileField::ReferencedDataFile),
    (144, "content_offset", FileField::ContentOffset),
    (145, "content_size_in_bytes", FileField::ContentSize),
];

/// Field ids of the keys in the maps of metrics.
const KEY_IDS: [(FileField, i32, PairValue); 6] = [
    (FileField::ColumnSizes, 117, PairValue::Count),
    (FileField::ValueCounts, 119, PairValue::Count),
    (FileField::NullValueCounts, 121, PairValue::Count),
    (FileField::NanValueCounts, 138, PairValue::Count),
    (FileField::LowerBounds, 126, PairValue::Bound),
    (FileField::UpperBounds, 129, PairValue::Bound),
];

impl EntryLayout {
    /// Returns the layout of the entries of a manifest with this schema.
    ///
    /// # Errors
    ///
    /// Fails if the schema lacks a field that every scan needs, or has a field of another type.
    pub(super) fn of(schema: &AvroShape) -> Result<EntryLayout, ManifestError> {
        let entry = identify(schema.fields()?, &ENTRY_FIELDS, EntryField::Other);
        let shape_of = |id| entry.iter().find(|(field, _)| *field == id).map(|(_, shape)| shape);
        if shape_of(EntryField::Status).is_none() {
            return Err(malformed("its entries have no status"));
        }
        let file = shape_of(EntryField::File).ok_or_else(|| malformed("its entries have no file"))?;
        let file = identify(file.fields()?, &FILE_FIELDS, FileField::Other);
        let shape_of = |id| file.iter().find(|(field, _)| *field == id).map(|(_, shape)| shape);
        for (field, name) in [
            (FileField::Path, "path"),
            (FileField::Format, "format"),
            (FileField::RecordCount, "record count"),
        ] {
            if shape_of(field).is_none() {
                return Err(malformed(format!("its files have no {name}")));
            }
        }
        let partition = shape_of(FileField::Partition).cloned().unwrap_or(AvroShape::Record([].into()));
        let pair = |number: usize| {
            let (field, key_id, value) = KEY_IDS[number];
            shape_of(field).map_or(Ok(PairShape::KeyFirst), |shape| {
                let (shape, _) = shape.optional().unwrap_or((shape, 0));
                PairShape::of(shape, value, key_id)
            })
        };
        let shapes = Shapes {
            column_sizes: pair(0)?,
            value_counts: pair(1)?,
            null_value_counts: pair(2)?,
            nan_value_counts: pair(3)?,
            lower_bounds: pair(4)?,
            upper_bounds: pair(5)?,
        };
        for field in [FileField::SplitOffsets, FileField::EqualityIds] {
            let shape = shape_of(field).map(|shape| shape.optional().map_or(shape, |(shape, _)| shape));
            if shape.is_some_and(
                |shape| !matches!(shape, AvroShape::Array(item) if matches!(**item, AvroShape::Long)),
            ) {
                return Err(malformed(
                    "its schema has a list of offsets or ids in a form that is not Iceberg's",
                ));
            }
        }
        Ok(EntryLayout { entry, file, partition, shapes })
    }

    /// Decodes the entry at the cursor, and adds its partition tuple to `partitions`.
    ///
    /// # Errors
    ///
    /// Fails if the entry is malformed or truncated.
    pub(super) fn read_entry(
        &self,
        cursor: &mut AvroCursor<'_>,
        bytes: &[u8],
        partitions: &mut Partitions,
    ) -> Result<Entry, ManifestError> {
        let mut entry = Entry::empty();
        for (field, shape) in &self.entry {
            if *field == EntryField::File {
                self.read_file(&mut entry, cursor, bytes, partitions)?;
                continue;
            }
            let Some(shape) = shape.enter(cursor)? else { continue };
            match field {
                EntryField::Status => entry.status = status(number(shape, cursor)?)?,
                EntryField::SnapshotId => entry.snapshot_id = Some(number(shape, cursor)?),
                EntryField::SequenceNumber => entry.sequence_number = Some(number(shape, cursor)?),
                EntryField::FileSequenceNumber => entry.file_sequence_number = Some(number(shape, cursor)?),
                EntryField::File | EntryField::Other => shape.skip(cursor)?,
            }
        }
        Ok(entry)
    }

    fn read_file(
        &self,
        entry: &mut Entry,
        cursor: &mut AvroCursor<'_>,
        bytes: &[u8],
        partitions: &mut Partitions,
    ) -> Result<(), ManifestError> {
        let mut partition = None;
        for (field, shape) in &self.file {
            let Some(shape) = shape.enter(cursor)? else { continue };
            match field {
                FileField::Content => entry.content = content(number(shape, cursor)?)?,
                FileField::Path => entry.path = text(shape, cursor)?,
                FileField::Format => entry.format = text(shape, cursor)?,
                FileField::Partition => {
                    let span = skipped(shape, cursor)?;
                    let tuple = bytes.get(span.start as usize..span.end as usize).unwrap_or_default();
                    partition = Some(partitions.number(span, tuple));
                }
                FileField::RecordCount => entry.record_count = number(shape, cursor)?,
                FileField::Size => entry.size_bytes = number(shape, cursor)?,
                FileField::SortOrderId => entry.sort_order_id = i32::try_from(number(shape, cursor)?).ok(),
                FileField::FirstRowId => entry.first_row_id = Some(number(shape, cursor)?),
                FileField::ContentOffset => entry.content_offset = Some(number(shape, cursor)?),
                FileField::ContentSize => entry.content_size_bytes = Some(number(shape, cursor)?),
                FileField::ReferencedDataFile => entry.referenced_data_file = Some(text(shape, cursor)?),
                FileField::KeyMetadata => entry.key_metadata = Some(blob(shape, cursor)?),
                FileField::SplitOffsets => entry.split_offsets = Some(begun(shape, cursor)?),
                FileField::EqualityIds => entry.equality_ids = Some(begun(shape, cursor)?),
                FileField::ColumnSizes => entry.column_sizes = Some(counts(cursor)?),
                FileField::ValueCounts => entry.value_counts = Some(counts(cursor)?),
                FileField::NullValueCounts => entry.null_value_counts = Some(counts(cursor)?),
                FileField::NanValueCounts => entry.nan_value_counts = Some(counts(cursor)?),
                FileField::LowerBounds => {
                    entry.lower_bounds = Some(bounds(cursor, self.shapes.lower_bounds)?);
                }
                FileField::UpperBounds => {
                    entry.upper_bounds = Some(bounds(cursor, self.shapes.upper_bounds)?);
                }
                FileField::Other => shape.skip(cursor)?,
            }
        }
        if entry.path.start == entry.path.end {
            return Err(malformed("an entry has no path"));
        }
        entry.partition = match partition {
            Some(number) => number,
            None if self.partition.fields()?.is_empty() => partitions.number(Span::default(), &[]),
            None => return Err(malformed("an entry has no partition")),
        };
        Ok(())
    }
}

impl Entry {
    /// Returns an entry with the values of absent fields.
    fn empty() -> Entry {
        Entry {
            status: Status::Existing,
            content: FileContent::Data,
            partition: 0,
            snapshot_id: None,
            sequence_number: None,
            file_sequence_number: None,
            record_count: -1,
            size_bytes: 0,
            sort_order_id: None,
            first_row_id: None,
            rows_before: 0,
            content_offset: None,
            content_size_bytes: None,
            path: Span::default(),
            format: Span::default(),
            referenced_data_file: None,
            key_metadata: None,
            split_offsets: None,
            equality_ids: None,
            column_sizes: None,
            value_counts: None,
            null_value_counts: None,
            nan_value_counts: None,
            lower_bounds: None,
            upper_bounds: None,
        }
    }
}

fn text(shape: &AvroShape, cursor: &mut AvroCursor<'_>) -> Result<Span, ManifestError> {
    if !matches!(shape, AvroShape::String) {
        return Err(malformed("its schema has another type than string for a string"));
    }
    let length = cursor.string()?.len();
    behind(cursor, length)
}

fn blob(shape: &AvroShape, cursor: &mut AvroCursor<'_>) -> Result<Span, ManifestError> {
    if !matches!(shape, AvroShape::Bytes) {
        return Err(malformed("its schema has another type than bytes for bytes"));
    }
    let length = cursor.bytes()?.len();
    behind(cursor, length)
}

/// Returns the span of the `length` bytes before the cursor.
fn behind(cursor: &AvroCursor<'_>, length: usize) -> Result<Span, ManifestError> {
    let end = cursor.position();
    span(end - length, end)
}

fn skipped(shape: &AvroShape, cursor: &mut AvroCursor<'_>) -> Result<Span, ManifestError> {
    let start = cursor.position();
    shape.skip(cursor)?;
    span(start, cursor.position())
}

/// Skips a value that is decoded later, if at all, and returns its start.
fn begun(shape: &AvroShape, cursor: &mut AvroCursor<'_>) -> Result<u32, ManifestError> {
    Ok(skipped(shape, cursor)?.start)
}

/// Skips a map of counts, whose layout is known, and returns its start.
fn counts(cursor: &mut AvroCursor<'_>) -> Result<u32, ManifestError> {
    let start = cursor.position();
    skip_counts(cursor)?;
    Ok(span(start, cursor.position())?.start)
}

/// Skips a map of bounds, and returns its start.
fn bounds(cursor: &mut AvroCursor<'_>, shape: PairShape) -> Result<u32, ManifestError> {
    let start = cursor.position();
    skip_bounds(cursor, shape)?;
    Ok(span(start, cursor.position())?.start)
}

fn span(start: usize, end: usize) -> Result<Span, ManifestError> {
    let far = || malformed("it is larger than 4 GiB");
    Ok(Span { start: u32::try_from(start).map_err(|_| far())?, end: u32::try_from(end).map_err(|_| far())? })
}

fn status(number: i64) -> Result<Status, ManifestError> {
    match number {
        0 => Ok(Status::Existing),
        1 => Ok(Status::Added),
        2 => Ok(Status::Deleted),
        _ => Err(malformed(format!("an entry has the status {number}"))),
    }
}

fn content(number: i64) -> Result<FileContent, ManifestError> {
    match number {
        0 => Ok(FileContent::Data),
        1 => Ok(FileContent::PositionDeletes),
        2 => Ok(FileContent::EqualityDeletes),
        _ => Err(ManifestError::Unsupported(format!(
            "it lists a file with content {number}, which is unknown"
        ))),
    }
}
