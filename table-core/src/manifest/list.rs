//! Manifest lists: decoding of the manifest file entries of a snapshot.

use super::avro::{AvroCursor, Container, make_room};
use super::error::{ManifestError, malformed};
use super::shape::{AvroShape, identify, number};
use crate::expr::manifest_evaluator::FieldSummary;
use crate::expr::weight::ALLOCATION_BYTES;

/// Content of a manifest (spec field `content`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManifestContent {
    /// Data files.
    Data,
    /// Delete files.
    Deletes,
}

/// Manifest file entry: a manifest, as described by a manifest list (specification, "Manifest Lists").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFile {
    /// URI of the manifest, as in the manifest list (not normalised).
    pub path: String,
    /// Length of the manifest, in bytes (spec field `manifest_length`).
    pub length_bytes: i64,
    /// Id of the partition spec of all its files.
    pub spec_id: i32,
    /// Content of its files: data or deletes.
    pub content: ManifestContent,
    /// Sequence number of the snapshot that added the manifest; 0 in format version 1.
    pub sequence_number: i64,
    /// Minimum data sequence number of its live files; 0 in format version 1.
    pub min_sequence_number: i64,
    /// Id of the snapshot that added the manifest.
    pub added_snapshot_id: i64,
    /// Number of entries with the status added (spec field `added_files_count`); format version 1 may omit
    /// it.
    pub added_files: Option<i64>,
    /// Number of entries with the status existing (spec field `existing_files_count`); format version 1 may
    /// omit it.
    pub existing_files: Option<i64>,
    /// Number of entries with the status deleted (spec field `deleted_files_count`); format version 1 may
    /// omit it.
    pub deleted_files: Option<i64>,
    /// Number of rows in the added files; format version 1 may omit it.
    pub added_rows: Option<i64>,
    /// Number of rows in the existing files; format version 1 may omit it.
    pub existing_rows: Option<i64>,
    /// Number of rows in the deleted files; format version 1 may omit it.
    pub deleted_rows: Option<i64>,
    /// Partition summary for each field of the partition spec, in the order of the spec; format version 1 may
    /// omit it.
    pub partitions: Option<Vec<PartitionSummary>>,
    /// First row id of files that have none of their own (spec field `first_row_id`; format version 3).
    pub first_row_id: Option<i64>,
    /// Encryption key metadata of the manifest (spec field `key_metadata`).
    pub key_metadata: Option<Vec<u8>>,
}

/// Summary of the values of one partition field in all files of a manifest (spec `field_summary`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionSummary {
    /// `true` if at least one value is null.
    pub contains_null: bool,
    /// `true` if at least one value is NaN; `None` if unknown.
    pub contains_nan: Option<bool>,
    /// Lower bound of the values that are neither null nor NaN, in binary single-value serialization.
    pub lower_bound: Option<Vec<u8>>,
    /// Upper bound of the values that are neither null nor NaN, in binary single-value serialization.
    pub upper_bound: Option<Vec<u8>>,
}

impl ManifestFile {
    /// Returns the memory that the entry occupies, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let text = |bytes: Option<&Vec<u8>>| bytes.map_or(0, |bytes| bytes.capacity() + ALLOCATION_BYTES);
        let bounds = |summary: &PartitionSummary| {
            text(summary.lower_bound.as_ref()) + text(summary.upper_bound.as_ref())
        };
        let summaries = self.partitions.as_ref().map_or(0, |summaries| {
            summaries.capacity() * size_of::<PartitionSummary>()
                + ALLOCATION_BYTES
                + summaries.iter().map(bounds).sum::<usize>()
        });
        size_of::<Self>()
            + self.path.capacity()
            + ALLOCATION_BYTES
            + summaries
            + text(self.key_metadata.as_ref())
    }

    /// Returns the entry for a manifest of a snapshot of format version 1 that lists its manifests itself,
    /// without a manifest list. Counts and partition summaries are unknown.
    pub fn embedded(path: String, spec_id: i32, snapshot_id: i64) -> ManifestFile {
        ManifestFile {
            path,
            length_bytes: 0,
            spec_id,
            content: ManifestContent::Data,
            sequence_number: 0,
            min_sequence_number: 0,
            added_snapshot_id: snapshot_id,
            added_files: None,
            existing_files: None,
            deleted_files: None,
            added_rows: None,
            existing_rows: None,
            deleted_rows: None,
            partitions: None,
            first_row_id: None,
            key_metadata: None,
        }
    }

    /// Returns the partition summaries in the form that filters are evaluated on.
    pub(crate) fn summaries(&self) -> Vec<FieldSummary<'_>> {
        let summaries = self.partitions.iter().flatten().map(|summary| FieldSummary {
            contains_null: summary.contains_null,
            contains_nan: summary.contains_nan,
            lower: summary.lower_bound.as_deref(),
            upper: summary.upper_bound.as_deref(),
        });
        summaries.collect()
    }

    /// Returns `true` if the manifest may have live files: its counts of added and existing files are not
    /// both 0.
    pub fn may_have_live_files(&self) -> bool {
        self.added_files != Some(0) || self.existing_files != Some(0)
    }

    /// Returns the number of live files (added and existing); `None` if unknown.
    pub fn live_files(&self) -> Option<i64> {
        self.added_files?.checked_add(self.existing_files?)
    }
}

/// Decodes the bytes of a manifest list.
///
/// `limit_bytes` limits the memory for one decompressed block and all decoded entries together.
///
/// # Errors
///
/// Fails if the limit is exceeded ([`ManifestError::TooLarge`]); if the bytes are not an Avro file with the
/// fields of a manifest list, or an entry is damaged or has no path ([`ManifestError::Malformed`]); and if
/// the codec or the content of a manifest is unknown ([`ManifestError::Unsupported`]).
pub fn decode(file: &[u8], limit_bytes: usize) -> Result<Vec<ManifestFile>, ManifestError> {
    let mut container = Container::open(file)?;
    let schema = AvroShape::parse(&container.schema)?;
    let fields = identify(schema.fields()?, &FIELDS, ListField::Other);
    if !fields.iter().any(|(field, _)| *field == ListField::Path) {
        return Err(malformed("its manifests have no path"));
    }
    let mut bytes = Vec::new();
    let mut manifests = Vec::new();
    let mut room = Room { left_bytes: limit_bytes, limit_bytes };
    loop {
        let block = container.next_block(&mut bytes, room.left_bytes);
        let Some(count) = block.map_err(|error| room.in_all(error))? else { break };
        room.take(bytes.len())?;
        let mut cursor = AvroCursor::new(&bytes);
        for _ in 0..count {
            let manifest = read(&fields, &mut cursor, &mut room)?;
            make_room(&mut manifests, 1, limit_bytes / size_of::<ManifestFile>());
            manifests.push(manifest);
        }
        if !cursor.is_at_end() {
            return Err(malformed("a block has more data than its manifests"));
        }
        room.left_bytes += bytes.len();
        bytes.clear();
    }
    manifests.shrink_to_fit();
    Ok(manifests)
}

#[derive(Clone, Copy, PartialEq)]
enum ListField {
    Path,
    Length,
    SpecId,
    Content,
    SequenceNumber,
    MinSequenceNumber,
    AddedSnapshotId,
    AddedFiles,
    ExistingFiles,
    DeletedFiles,
    AddedRows,
    ExistingRows,
    DeletedRows,
    Partitions,
    KeyMetadata,
    FirstRowId,
    Other,
}

/// Field ids and names of the specification, section "Manifest Lists"; names are used in files without ids.
const FIELDS: [(i32, &str, ListField); 16] = [
    (500, "manifest_path", ListField::Path),
    (501, "manifest_length", ListField::Length),
    (502, "partition_spec_id", ListField::SpecId),
    (517, "content", ListField::Content),
    (515, "sequence_number", ListField::SequenceNumber),
    (516, "min_sequence_number", ListField::MinSequenceNumber),
    (503, "added_snapshot_id", ListField::AddedSnapshotId),
    (504, "added_files_count", ListField::AddedFiles),
    (505, "existing_files_count", ListField::ExistingFiles),
    (506, "deleted_files_count", ListField::DeletedFiles),
    (512, "added_rows_count", ListField::AddedRows),
    (513, "existing_rows_count", ListField::ExistingRows),
    (514, "deleted_rows_count", ListField::DeletedRows),
    (507, "partitions", ListField::Partitions),
    (519, "key_metadata", ListField::KeyMetadata),
    (520, "first_row_id", ListField::FirstRowId),
];

#[derive(Clone, Copy, PartialEq)]
enum SummaryField {
    ContainsNull,
    ContainsNan,
    LowerBound,
    UpperBound,
    Other,
}

const SUMMARY_FIELDS: [(i32, &str, SummaryField); 4] = [
    (509, "contains_null", SummaryField::ContainsNull),
    (518, "contains_nan", SummaryField::ContainsNan),
    (510, "lower_bound", SummaryField::LowerBound),
    (511, "upper_bound", SummaryField::UpperBound),
];

/// Memory budget for decoding.
struct Room {
    left_bytes: usize,
    limit_bytes: usize,
}

impl Room {
    fn take(&mut self, bytes: usize) -> Result<(), ManifestError> {
        let too_large = ManifestError::TooLarge { limit_bytes: self.limit_bytes };
        self.left_bytes = self.left_bytes.checked_sub(bytes).ok_or(too_large)?;
        Ok(())
    }

    /// Replaces the remaining limit in an error by the whole limit.
    fn in_all(&self, error: ManifestError) -> ManifestError {
        match error {
            ManifestError::TooLarge { .. } => ManifestError::TooLarge { limit_bytes: self.limit_bytes },
            error => error,
        }
    }
}

fn read(
    fields: &[(ListField, AvroShape)],
    cursor: &mut AvroCursor<'_>,
    room: &mut Room,
) -> Result<ManifestFile, ManifestError> {
    let before = cursor.position();
    let mut manifest = ManifestFile::embedded(String::new(), 0, 0);
    for (field, shape) in fields {
        let Some(shape) = shape.enter(cursor)? else { continue };
        match field {
            ListField::Path => manifest.path = text(shape, cursor)?,
            ListField::Length => manifest.length_bytes = number(shape, cursor)?,
            ListField::SpecId => {
                manifest.spec_id = i32::try_from(number(shape, cursor)?)
                    .map_err(|_| malformed("a manifest's partition spec has an impossible id"))?;
            }
            ListField::Content => {
                manifest.content = match number(shape, cursor)? {
                    0 => ManifestContent::Data,
                    1 => ManifestContent::Deletes,
                    other => {
                        return Err(ManifestError::Unsupported(format!(
                            "it lists a manifest with content {other}, which is unknown"
                        )));
                    }
                };
            }
            ListField::SequenceNumber => manifest.sequence_number = number(shape, cursor)?,
            ListField::MinSequenceNumber => manifest.min_sequence_number = number(shape, cursor)?,
            ListField::AddedSnapshotId => manifest.added_snapshot_id = number(shape, cursor)?,
            ListField::AddedFiles => manifest.added_files = Some(number(shape, cursor)?),
            ListField::ExistingFiles => manifest.existing_files = Some(number(shape, cursor)?),
            ListField::DeletedFiles => manifest.deleted_files = Some(number(shape, cursor)?),
            ListField::AddedRows => manifest.added_rows = Some(number(shape, cursor)?),
            ListField::ExistingRows => manifest.existing_rows = Some(number(shape, cursor)?),
            ListField::DeletedRows => manifest.deleted_rows = Some(number(shape, cursor)?),
            ListField::Partitions => manifest.partitions = Some(summaries(shape, cursor, room)?),
            ListField::KeyMetadata => manifest.key_metadata = Some(blob(shape, cursor)?),
            ListField::FirstRowId => manifest.first_row_id = Some(number(shape, cursor)?),
            ListField::Other => shape.skip(cursor)?,
        }
    }
    if manifest.path.is_empty() {
        return Err(malformed("a manifest has no path"));
    }
    // In memory, texts and bounds take about as many bytes as in the file.
    room.take(size_of::<ManifestFile>() + cursor.position() - before)?;
    Ok(manifest)
}

fn summaries(
    shape: &AvroShape,
    cursor: &mut AvroCursor<'_>,
    room: &mut Room,
) -> Result<Vec<PartitionSummary>, ManifestError> {
    let AvroShape::Array(item) = shape else {
        return Err(malformed("its schema has another type for partition summaries"));
    };
    let fields = identify(item.fields()?, &SUMMARY_FIELDS, SummaryField::Other);
    let mut summaries = Vec::new();
    while let Some(count) = cursor.block_count()? {
        for _ in 0..count {
            let before = cursor.position();
            let mut summary = PartitionSummary::default();
            for (field, shape) in &fields {
                let Some(shape) = shape.enter(cursor)? else { continue };
                match (field, shape) {
                    (SummaryField::ContainsNull, AvroShape::Boolean) => {
                        summary.contains_null = cursor.boolean()?;
                    }
                    (SummaryField::ContainsNan, AvroShape::Boolean) => {
                        summary.contains_nan = Some(cursor.boolean()?);
                    }
                    (SummaryField::LowerBound, _) => summary.lower_bound = Some(blob(shape, cursor)?),
                    (SummaryField::UpperBound, _) => summary.upper_bound = Some(blob(shape, cursor)?),
                    _ => shape.skip(cursor)?,
                }
            }
            if cursor.position() == before {
                return Err(malformed("its partition summaries have no fields"));
            }
            room.take(size_of::<PartitionSummary>())?;
            summaries.push(summary);
        }
    }
    Ok(summaries)
}

fn text(shape: &AvroShape, cursor: &mut AvroCursor<'_>) -> Result<String, ManifestError> {
    match shape {
        AvroShape::String => Ok(cursor.string()?.to_owned()),
        _ => Err(malformed("its schema has another type than string for a string")),
    }
}

fn blob(shape: &AvroShape, cursor: &mut AvroCursor<'_>) -> Result<Vec<u8>, ManifestError> {
    match shape {
        AvroShape::Bytes => Ok(cursor.bytes()?.to_vec()),
        AvroShape::Fixed(size) => Ok(cursor.take(*size)?.to_vec()),
        _ => Err(malformed("its schema has another type than bytes for bytes")),
    }
}
