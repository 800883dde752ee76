//! A manifest list: the manifests of a snapshot.

use super::avro::{Container, Cursor, make_room};
use super::error::{ManifestError, malformed};
use super::file::{identify, number};
use super::shape::Shape;
use crate::expr::manifest_evaluator::FieldSummary;
use crate::expr::weight::ALLOCATION_BYTES;

/// What the manifests of a list hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManifestContent {
    /// Data files.
    Data,
    /// Delete files.
    Deletes,
}

/// A manifest, as a manifest list tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFile {
    /// Where it is.
    pub path: String,
    /// Its size.
    pub length_bytes: i64,
    /// The partition spec of all its files.
    pub spec_id: i32,
    /// What it holds.
    pub content: ManifestContent,
    /// The sequence number of the snapshot that added it; 0 for format version 1.
    pub sequence_number: i64,
    /// The lowest data sequence number of its live files; 0 for format version 1.
    pub min_sequence_number: i64,
    /// The snapshot that added it.
    pub added_snapshot_id: i64,
    /// Files added in that snapshot; version 1 may not say.
    pub added_files: Option<i64>,
    /// Files carried over.
    pub existing_files: Option<i64>,
    /// Files removed.
    pub deleted_files: Option<i64>,
    /// Rows of the files added.
    pub added_rows: Option<i64>,
    /// Rows of the files carried over.
    pub existing_rows: Option<i64>,
    /// Rows of the files removed.
    pub deleted_rows: Option<i64>,
    /// A summary of the partitions for each field of the spec, in its order; may be missing in version 1.
    pub partitions: Option<Vec<PartitionSummary>>,
    /// The first row id for files that were given none, from version 3 on.
    pub first_row_id: Option<i64>,
    /// What is needed to decrypt it.
    pub key_metadata: Option<Vec<u8>>,
}

/// The values of a partition field in all files of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionSummary {
    /// Whether one is null.
    pub contains_null: bool,
    /// Whether one is NaN, if known.
    pub contains_nan: Option<bool>,
    /// The least that is neither, in its binary form.
    pub lower_bound: Option<Vec<u8>>,
    /// The greatest.
    pub upper_bound: Option<Vec<u8>>,
}

impl ManifestFile {
    /// How much memory it takes, in bytes.
    pub fn held_bytes(&self) -> usize {
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

    /// A manifest of a snapshot of format version 1 that lists its manifests without a manifest list.
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

    /// Its partitions as a filter judges them.
    pub(crate) fn summaries(&self) -> Vec<FieldSummary<'_>> {
        let summaries = self.partitions.iter().flatten().map(|summary| FieldSummary {
            contains_null: summary.contains_null,
            contains_nan: summary.contains_nan,
            lower: summary.lower_bound.as_deref(),
            upper: summary.upper_bound.as_deref(),
        });
        summaries.collect()
    }

    /// Whether it may have files that are part of the snapshot.
    pub fn may_have_live_files(&self) -> bool {
        self.added_files != Some(0) || self.existing_files != Some(0)
    }

    /// How many files may be part of the snapshot, if it says.
    pub fn live_files(&self) -> Option<i64> {
        self.added_files?.checked_add(self.existing_files?)
    }
}

/// Decodes a manifest list's bytes.
///
/// Fails if that takes more than `limit_bytes` of memory: for what it decompresses at a time, and for what it makes of it all.
pub fn decode(file: &[u8], limit_bytes: usize) -> Result<Vec<ManifestFile>, ManifestError> {
    let mut container = Container::open(file)?;
    let schema = Shape::parse(&container.schema)?;
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
        let mut cursor = Cursor::new(&bytes);
        for _ in 0..count {
            let manifest = read(&fields, &mut cursor, &mut room)?;
            make_room(&mut manifests, 1, limit_bytes / size_of::<ManifestFile>());
            manifests.push(manifest);
        }
        if !cursor.is_at_end() {
            return Err(malformed("a block holds more than its manifests"));
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

/// The ids of the specification, section "Manifest Lists", and the names for files without ids.
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

/// Memory that is left for what is decoded.
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

    /// An error that tells the whole limit, where it told what was left of it.
    fn in_all(&self, error: ManifestError) -> ManifestError {
        match error {
            ManifestError::TooLarge { .. } => ManifestError::TooLarge { limit_bytes: self.limit_bytes },
            error => error,
        }
    }
}

fn read(
    fields: &[(ListField, Shape)],
    cursor: &mut Cursor<'_>,
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
    // Texts and bounds take what they take in the file.
    room.take(size_of::<ManifestFile>() + cursor.position() - before)?;
    Ok(manifest)
}

fn summaries(
    shape: &Shape,
    cursor: &mut Cursor<'_>,
    room: &mut Room,
) -> Result<Vec<PartitionSummary>, ManifestError> {
    let Shape::Array(item) = shape else {
        return Err(malformed("its schema has something else where partition summaries belong"));
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
                    (SummaryField::ContainsNull, Shape::Boolean) => {
                        summary.contains_null = cursor.boolean()?;
                    }
                    (SummaryField::ContainsNan, Shape::Boolean) => {
                        summary.contains_nan = Some(cursor.boolean()?);
                    }
                    (SummaryField::LowerBound, _) => summary.lower_bound = Some(blob(shape, cursor)?),
                    (SummaryField::UpperBound, _) => summary.upper_bound = Some(blob(shape, cursor)?),
                    _ => shape.skip(cursor)?,
                }
            }
            if cursor.position() == before {
                return Err(malformed("its partition summaries hold nothing"));
            }
            room.take(size_of::<PartitionSummary>())?;
            summaries.push(summary);
        }
    }
    Ok(summaries)
}

fn text(shape: &Shape, cursor: &mut Cursor<'_>) -> Result<String, ManifestError> {
    match shape {
        Shape::String => Ok(cursor.string()?.to_owned()),
        _ => Err(malformed("its schema has something else where a text belongs")),
    }
}

fn blob(shape: &Shape, cursor: &mut Cursor<'_>) -> Result<Vec<u8>, ManifestError> {
    match shape {
        Shape::Bytes => Ok(cursor.bytes()?.to_vec()),
        Shape::Fixed(size) => Ok(cursor.take(*size)?.to_vec()),
        _ => Err(malformed("its schema has something else where bytes belong")),
    }
}
