//! Writer of manifests: takes entries, and produces the bytes of the manifest and its manifest file entry for
//! a manifest list. The selection of entries is up to the caller.

use super::avro_write::{AvroCodec, ContainerWriter, Encoder};
use super::data_file::DataFile;
use super::entry::{FileContent, Status};
use super::error::{ManifestError, unwritable};
use super::header::ManifestHeader;
use super::list::{ManifestContent, ManifestFile};
use super::partition_fields::{PartitionFields, Summaries};
use super::schema;

/// Placeholder for the sequence number of the commit, in manifest file entries that are not yet in a manifest
/// list. As Java's `ManifestWriter.UNASSIGNED_SEQ`.
pub const UNASSIGNED_SEQUENCE_NUMBER: i64 = -1;

/// Value of `block_size_in_bytes`, which format version 1 requires and no reader uses: Java's
/// `DEFAULT_BLOCK_SIZE`.
const BLOCK_SIZE_BYTES: i64 = 64 << 20;

/// Manifest under construction.
///
/// ```text
/// let header = ManifestHeader::new(format_version, ManifestContent::Data, spec, schemas)?;
/// let mut writer = ManifestWriter::new(&header, path, snapshot_id, codec, sync);
/// writer.added(&data_file, None)?;
/// let written = writer.finish()?;
/// ```
pub struct ManifestWriter {
    container: ContainerWriter,
    format_version: i32,
    fields: PartitionFields,
    summaries: Summaries,
    manifest_file: ManifestFile,
}

/// Finished manifest, with its manifest file entry.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenManifest {
    /// Content of the manifest file.
    pub bytes: Vec<u8>,
    /// Manifest file entry for the manifest list. Its sequence number is [`UNASSIGNED_SEQUENCE_NUMBER`], and
    /// so is its minimum sequence number if all live files inherit that of the commit; it has no first row
    /// id.
    pub manifest_file: ManifestFile,
}

/// Snapshot id and sequence numbers of a file that was added before. They are written explicitly, because the
/// entry of such a file cannot inherit them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryOrigin {
    /// Id of the snapshot that added the file.
    pub snapshot_id: i64,
    /// Data sequence number of the file.
    pub sequence_number: Option<i64>,
    /// File sequence number: the sequence number of the snapshot that added the file.
    pub file_sequence_number: Option<i64>,
}

impl ManifestWriter {
    /// Starts a manifest of the snapshot `snapshot_id` that will be stored at `path`. `sync` is the marker at
    /// the end of each block: 16 bytes that differ from file to file, such as a UUID's.
    pub fn new(
        header: &ManifestHeader,
        path: String,
        snapshot_id: i64,
        codec: AvroCodec,
        sync: [u8; 16],
    ) -> ManifestWriter {
        let schema = schema::entries(header.format_version, &header.fields.declarations()).to_string();
        let metadata = header.metadata();
        let metadata: Vec<_> = metadata.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let mut manifest_file = ManifestFile::embedded(path, header.spec_id, snapshot_id);
        manifest_file.content = header.content;
        manifest_file.sequence_number = UNASSIGNED_SEQUENCE_NUMBER;
        manifest_file.min_sequence_number = UNASSIGNED_SEQUENCE_NUMBER;
        let zero = || Some(0);
        (manifest_file.added_files, manifest_file.existing_files, manifest_file.deleted_files) =
            (zero(), zero(), zero());
        (manifest_file.added_rows, manifest_file.existing_rows, manifest_file.deleted_rows) =
            (zero(), zero(), zero());
        ManifestWriter {
            container: ContainerWriter::new(&schema, &metadata, codec, sync),
            format_version: header.format_version,
            fields: header.fields.clone(),
            summaries: Summaries::new(&header.fields),
            manifest_file,
        }
    }

    /// Appends a file that this snapshot adds.
    ///
    /// Without a `sequence_number`, the file inherits that of the snapshot. A rewrite passes the sequence
    /// number up to which it has applied deletes. The first row id is inherited from the manifest list.
    ///
    /// # Errors
    ///
    /// Fails if the file does not fit the manifest: other content, another partition spec, an empty path, a
    /// deletion vector in format version 2, a partition tuple that does not match the spec; or if a block
    /// cannot be compressed ([`ManifestError::Unwritable`]).
    pub fn added(&mut self, file: &DataFile, sequence_number: Option<i64>) -> Result<(), ManifestError> {
        let snapshot_id = self.manifest_file.added_snapshot_id;
        let origin = EntryOrigin { snapshot_id, sequence_number, file_sequence_number: None };
        self.entry(Status::Added, file, None, origin)
    }

    /// Appends a file that an earlier snapshot added.
    ///
    /// Its sequence numbers have to be explicit, and in format version 3 its first row id if it has one.
    ///
    /// # Errors
    ///
    /// Fails as [`ManifestWriter::added`] does, and if `origin` has no data sequence number and the format
    /// version is above 1 ([`ManifestError::Unwritable`]).
    pub fn existing(&mut self, file: &DataFile, origin: EntryOrigin) -> Result<(), ManifestError> {
        if self.format_version > 1 && origin.sequence_number.is_none() {
            return Err(unwritable(format!("the sequence number of `{}` is unknown", file.path)));
        }
        self.entry(Status::Existing, file, file.first_row_id, origin)
    }

    /// Appends a file that this snapshot removes. `origin` is that of the file; its snapshot id is ignored.
    ///
    /// # Errors
    ///
    /// Fails as [`ManifestWriter::added`] does ([`ManifestError::Unwritable`]).
    pub fn deleted(&mut self, file: &DataFile, origin: EntryOrigin) -> Result<(), ManifestError> {
        let origin = EntryOrigin { snapshot_id: self.manifest_file.added_snapshot_id, ..origin };
        self.entry(Status::Deleted, file, file.first_row_id, origin)
    }

    /// Returns the size of the manifest so far, in bytes. The last 64 KB are counted uncompressed.
    pub fn size_bytes(&self) -> usize {
        self.container.size_bytes()
    }

    /// Returns the number of entries so far.
    pub fn len(&self) -> usize {
        let counts = [
            self.manifest_file.added_files,
            self.manifest_file.existing_files,
            self.manifest_file.deleted_files,
        ];
        usize::try_from(counts.into_iter().flatten().sum::<i64>()).unwrap_or(usize::MAX)
    }

    /// Returns `true` if there are no entries yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the finished manifest and its manifest file entry.
    ///
    /// # Errors
    ///
    /// Fails if the last block cannot be compressed ([`ManifestError::Unwritable`]).
    pub fn finish(self) -> Result<WrittenManifest, ManifestError> {
        let bytes = self.container.finish()?;
        let length_bytes = i64::try_from(bytes.len()).map_err(|_| unwritable("it is too large"))?;
        let partitions = Some(self.summaries.finish());
        Ok(WrittenManifest {
            bytes,
            manifest_file: ManifestFile { length_bytes, partitions, ..self.manifest_file },
        })
    }

    fn entry(
        &mut self,
        status: Status,
        file: &DataFile,
        first_row_id: Option<i64>,
        origin: EntryOrigin,
    ) -> Result<(), ManifestError> {
        self.check(file)?;
        let out = &mut self.container.record;
        let before = out.bytes.len();
        out.long(status_number(status));
        out.optional_long(Some(origin.snapshot_id));
        if self.format_version > 1 {
            out.optional_long(origin.sequence_number);
            out.optional_long(origin.file_sequence_number);
        }
        if let Err(error) = write_file(out, self.format_version, &self.fields, file, first_row_id) {
            out.bytes.truncate(before);
            return Err(error);
        }
        self.count(status, file, origin.sequence_number);
        self.summaries.add(&file.partition);
        self.container.end_record()
    }

    fn check(&self, file: &DataFile) -> Result<(), ManifestError> {
        let content = match file.content {
            FileContent::Data => ManifestContent::Data,
            FileContent::PositionDeletes | FileContent::EqualityDeletes => ManifestContent::Deletes,
        };
        if content != self.manifest_file.content {
            return Err(unwritable(format!(
                "the content of `{}` differs from that of the manifest",
                file.path
            )));
        }
        if file.spec_id != self.manifest_file.spec_id {
            return Err(unwritable(format!(
                "`{}` is of partition spec {}, but the manifest of {}",
                file.path, file.spec_id, self.manifest_file.spec_id
            )));
        }
        if file.path.is_empty() {
            return Err(unwritable("a file has no path"));
        }
        if self.format_version == 2 && file.content_offset.is_some() {
            return Err(unwritable(format!(
                "`{}` has a deletion vector, which requires format version 3",
                file.path
            )));
        }
        Ok(())
    }

    fn count(&mut self, status: Status, file: &DataFile, sequence_number: Option<i64>) {
        let manifest_file = &mut self.manifest_file;
        let (files, rows) = match status {
            Status::Added => (&mut manifest_file.added_files, &mut manifest_file.added_rows),
            Status::Existing => (&mut manifest_file.existing_files, &mut manifest_file.existing_rows),
            Status::Deleted => (&mut manifest_file.deleted_files, &mut manifest_file.deleted_rows),
        };
        *files = files.map(|files| files + 1);
        *rows = rows.map(|rows| rows.saturating_add(file.record_count.max(0)));
        if let Some(number) = sequence_number.filter(|_| status != Status::Deleted) {
            let min = &mut manifest_file.min_sequence_number;
            *min = if *min == UNASSIGNED_SEQUENCE_NUMBER { number } else { number.min(*min) };
        }
    }
}

fn write_file(
    out: &mut Encoder,
    format_version: i32,
    fields: &PartitionFields,
    file: &DataFile,
    first_row_id: Option<i64>,
) -> Result<(), ManifestError> {
    if format_version > 1 {
        out.long(content_number(file.content));
    }
    out.string(&file.path);
    out.string(&file.format);
    fields.write(out, &file.partition)?;
    out.long(file.record_count);
    out.long(file.size_bytes);
    if format_version == 1 {
        out.long(BLOCK_SIZE_BYTES);
    }
    write_metrics(out, file);
    out.optional_bytes(file.key_metadata.as_deref());
    out.optional_array(file.split_offsets.iter(), |out, offset| out.long(*offset));
    if format_version > 1 {
        out.optional_array(file.equality_ids.iter(), |out, id| out.long(i64::from(*id)));
    }
    out.optional_long(file.sort_order_id.map(i64::from));
    if format_version > 2 {
        out.optional_long(first_row_id.filter(|_| file.content == FileContent::Data));
    }
    if format_version > 1 {
        out.optional_bytes(file.referenced_data_file.as_deref().map(str::as_bytes));
    }
    if format_version > 2 {
        out.optional_long(file.content_offset);
        out.optional_long(file.content_size_bytes);
    }
    Ok(())
}

/// Appends the metrics. Empty maps are written as empty arrays: null would mean the same, but `PyIceberg`
/// fails on it.
fn write_metrics(out: &mut Encoder, file: &DataFile) {
    let metrics = &file.metrics;
    for counts in
        [&metrics.column_sizes, &metrics.value_counts, &metrics.null_value_counts, &metrics.nan_value_counts]
    {
        out.is_present(true);
        out.array(counts.iter(), |out, (id, count)| {
            out.long(i64::from(*id));
            out.long(*count);
        });
    }
    for bounds in [&metrics.lower_bounds, &metrics.upper_bounds] {
        out.is_present(true);
        out.array(bounds.iter(), |out, (id, bound)| {
            out.long(i64::from(*id));
            out.bytes(bound);
        });
    }
}

fn status_number(status: Status) -> i64 {
    match status {
        Status::Existing => 0,
        Status::Added => 1,
        Status::Deleted => 2,
    }
}

fn content_number(content: FileContent) -> i64 {
    match content {
        FileContent::Data => 0,
        FileContent::PositionDeletes => 1,
        FileContent::EqualityDeletes => 2,
    }
}
