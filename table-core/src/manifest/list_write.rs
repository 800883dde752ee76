//! Writer of manifest lists: writes the manifest file entries of a snapshot, and assigns sequence numbers and
//! row ids to new manifests. Counterpart of [`super::list`].

use super::avro_write::{AvroCodec, ContainerWriter, Encoder};
use super::error::{ManifestError, unwritable};
use super::list::{ManifestContent, ManifestFile, PartitionSummary};
use super::schema;
use super::write::UNASSIGNED_SEQUENCE_NUMBER;

/// Snapshot of a manifest list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListHeader {
    /// Format version of the table, 1 to 3.
    pub format_version: i32,
    /// Id of the snapshot.
    pub snapshot_id: i64,
    /// Id of the parent snapshot.
    pub parent_id: Option<i64>,
    /// Sequence number of the snapshot; 0 in format version 1.
    pub sequence_number: i64,
    /// `next-row-id` of the table; used in format version 3.
    pub next_row_id: i64,
}

/// Finished manifest list.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenList {
    /// Content of the manifest list file.
    pub bytes: Vec<u8>,
    /// Manifest file entries as written, with assigned sequence numbers and first row ids.
    pub manifest_files: Vec<ManifestFile>,
    /// Number of row ids that were assigned to manifests without a first row id: the `added-rows` of the
    /// snapshot in format version 3, whose `first-row-id` is the table's `next-row-id`. 0 in earlier
    /// versions.
    pub assigned_rows: i64,
}

/// Writes a manifest list.
///
/// Entries are written unchanged, with two exceptions. Manifests that the snapshot itself wrote get its
/// sequence number. In format version 3, data manifests without a first row id get one, with a range for all
/// their rows, because the files of older manifests may have none either (specification, "First Row ID
/// Assignment").
///
/// # Errors
///
/// Fails if the format version is not 1 to 3 ([`ManifestError::Unsupported`]); and if an entry lacks counts
/// that the format version requires, for which see [`Manifest::counted`](super::file::Manifest::counted), or
/// a sequence number although another snapshot added it, lists deletes in version 1, or there are not enough
/// row ids ([`ManifestError::Unwritable`]).
pub fn write(
    header: &ListHeader,
    manifest_files: Vec<ManifestFile>,
    codec: AvroCodec,
    sync: [u8; 16],
) -> Result<WrittenList, ManifestError> {
    let version = header.format_version;
    if !(1..=3).contains(&version) {
        return Err(ManifestError::Unsupported(format!(
            "manifest lists of format version {version} cannot be written; versions 1 to 3 can"
        )));
    }
    let metadata = metadata(header);
    let metadata: Vec<_> = metadata.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let mut container = ContainerWriter::new(&schema::list(version).to_string(), &metadata, codec, sync);
    let mut next_row_id = header.next_row_id;
    let mut written = Vec::with_capacity(manifest_files.len());
    for mut manifest_file in manifest_files {
        complete(header, &mut manifest_file, &mut next_row_id)?;
        write_manifest_file(&mut container.record, version, &manifest_file)?;
        container.end_record()?;
        written.push(manifest_file);
    }
    let assigned_rows = next_row_id - header.next_row_id;
    Ok(WrittenList { bytes: container.finish()?, manifest_files: written, assigned_rows })
}

fn metadata(header: &ListHeader) -> Vec<(&'static str, String)> {
    // Java writes the word `null` if there is no parent.
    let parent = header.parent_id.map_or_else(|| "null".to_owned(), |id| id.to_string());
    let mut metadata = vec![("snapshot-id", header.snapshot_id.to_string()), ("parent-snapshot-id", parent)];
    if header.format_version > 1 {
        metadata.push(("sequence-number", header.sequence_number.to_string()));
    }
    if header.format_version > 2 {
        metadata.push(("first-row-id", header.next_row_id.to_string()));
    }
    metadata.push(("format-version", header.format_version.to_string()));
    metadata
}

/// Assigns the values of an entry that only the commit knows.
fn complete(
    header: &ListHeader,
    manifest_file: &mut ManifestFile,
    next_row_id: &mut i64,
) -> Result<(), ManifestError> {
    let number = header.sequence_number;
    for known in [&mut manifest_file.sequence_number, &mut manifest_file.min_sequence_number] {
        if *known != UNASSIGNED_SEQUENCE_NUMBER {
            continue;
        }
        if manifest_file.added_snapshot_id != header.snapshot_id {
            return Err(unwritable(format!(
                "the manifest `{}` of snapshot {} has no sequence number",
                manifest_file.path, manifest_file.added_snapshot_id
            )));
        }
        *known = number;
    }
    let is_data = manifest_file.content == ManifestContent::Data;
    if header.format_version == 1 && !is_data {
        return Err(unwritable(format!(
            "the manifest `{}` lists deletes, which tables of version 1 do not have",
            manifest_file.path
        )));
    }
    if header.format_version > 2 && is_data && manifest_file.first_row_id.is_none() {
        manifest_file.first_row_id = Some(*next_row_id);
        let rows = manifest_file
            .existing_rows
            .zip(manifest_file.added_rows)
            .and_then(|(left, right)| left.checked_add(right));
        let rows = rows.filter(|rows| *rows >= 0).ok_or_else(|| uncounted(manifest_file))?;
        *next_row_id = next_row_id.checked_add(rows).ok_or_else(|| unwritable("all row ids are used up"))?;
    }
    Ok(())
}

fn write_manifest_file(
    out: &mut Encoder,
    version: i32,
    manifest_file: &ManifestFile,
) -> Result<(), ManifestError> {
    out.string(&manifest_file.path);
    out.long(manifest_file.length_bytes);
    out.long(i64::from(manifest_file.spec_id));
    if version == 1 {
        out.long(manifest_file.added_snapshot_id);
        for count in files(manifest_file) {
            out.optional_long(count);
        }
        write_summaries(out, manifest_file.partitions.as_deref());
        for count in rows(manifest_file) {
            out.optional_long(count);
        }
        out.optional_bytes(manifest_file.key_metadata.as_deref());
        return Ok(());
    }
    out.long(match manifest_file.content {
        ManifestContent::Data => 0,
        ManifestContent::Deletes => 1,
    });
    out.long(manifest_file.sequence_number);
    out.long(manifest_file.min_sequence_number);
    out.long(manifest_file.added_snapshot_id);
    for count in files(manifest_file).into_iter().chain(rows(manifest_file)) {
        out.long(count.ok_or_else(|| uncounted(manifest_file))?);
    }
    write_summaries(out, manifest_file.partitions.as_deref());
    out.optional_bytes(manifest_file.key_metadata.as_deref());
    if version > 2 {
        out.optional_long(
            manifest_file.first_row_id.filter(|_| manifest_file.content == ManifestContent::Data),
        );
    }
    Ok(())
}

fn files(manifest_file: &ManifestFile) -> [Option<i64>; 3] {
    [manifest_file.added_files, manifest_file.existing_files, manifest_file.deleted_files]
}

fn rows(manifest_file: &ManifestFile) -> [Option<i64>; 3] {
    [manifest_file.added_rows, manifest_file.existing_rows, manifest_file.deleted_rows]
}

fn uncounted(manifest_file: &ManifestFile) -> ManifestError {
    unwritable(format!("the manifest `{}` has no file counts", manifest_file.path))
}

fn write_summaries(out: &mut Encoder, summaries: Option<&[PartitionSummary]>) {
    out.is_present(summaries.is_some());
    let Some(summaries) = summaries else { return };
    out.array(summaries.iter(), |out, summary| {
        out.boolean(summary.contains_null);
        out.is_present(summary.contains_nan.is_some());
        if let Some(contains_nan) = summary.contains_nan {
            out.boolean(contains_nan);
        }
        out.optional_bytes(summary.lower_bound.as_deref());
        out.optional_bytes(summary.upper_bound.as_deref());
    });
}
