//! Writing a manifest list: the lines of a snapshot's manifests, those of new manifests completed with what the commit
//! gives them. The counterpart of [`super::list`].

use super::avro_write::{Codec, ContainerWriter, Encoder};
use super::error::{ManifestError, unwritable};
use super::list::{ManifestContent, ManifestFile, PartitionSummary};
use super::schema;
use super::write::UNASSIGNED_SEQUENCE_NUMBER;

/// The snapshot whose manifests are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListHeader {
    /// The table's format version, 1 to 3.
    pub format_version: i32,
    /// The snapshot's id.
    pub snapshot_id: i64,
    /// The snapshot it was made from.
    pub parent_id: Option<i64>,
    /// Its sequence number; 0 in version 1.
    pub sequence_number: i64,
    /// The table's next row id; used from version 3 on.
    pub next_row_id: i64,
}

/// A manifest list that was written.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenList {
    /// The file.
    pub bytes: Vec<u8>,
    /// The lines as they stand in it.
    pub lines: Vec<ManifestFile>,
    /// How many row ids were given to manifests that had none: the snapshot's `added-rows` in version 3, its
    /// `first-row-id` being the table's next row id. 0 before.
    pub assigned_rows: i64,
}

/// Writes a manifest list.
///
/// Lines keep what they say. Those of manifests that the snapshot itself writes get its sequence number; in version 3,
/// data manifests without a first row id get one, with room for all their rows: the files of older manifests may have none
/// either (specification, "First Row ID Assignment").
///
/// Fails with [`ManifestError::Unwritable`] if a line of version 1 says less than later versions have to: its manifest has to
/// be counted first, see [`super::file::Manifest::counted`].
pub fn write(
    header: &ListHeader,
    lines: Vec<ManifestFile>,
    codec: Codec,
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
    let mut written = Vec::with_capacity(lines.len());
    for mut line in lines {
        complete(header, &mut line, &mut next_row_id)?;
        write_line(&mut container.record, version, &line)?;
        container.end_record()?;
        written.push(line);
    }
    let assigned_rows = next_row_id - header.next_row_id;
    Ok(WrittenList { bytes: container.finish()?, lines: written, assigned_rows })
}

fn metadata(header: &ListHeader) -> Vec<(&'static str, String)> {
    // Java writes the word where there is no parent.
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

/// Gives a line what only the commit knows.
fn complete(
    header: &ListHeader,
    line: &mut ManifestFile,
    next_row_id: &mut i64,
) -> Result<(), ManifestError> {
    let number = header.sequence_number;
    for known in [&mut line.sequence_number, &mut line.min_sequence_number] {
        if *known != UNASSIGNED_SEQUENCE_NUMBER {
            continue;
        }
        if line.added_snapshot_id != header.snapshot_id {
            return Err(unwritable(format!(
                "the manifest `{}` of snapshot {} has no sequence number",
                line.path, line.added_snapshot_id
            )));
        }
        *known = number;
    }
    let is_data = line.content == ManifestContent::Data;
    if header.format_version == 1 && !is_data {
        return Err(unwritable(format!(
            "the manifest `{}` lists deletes, which tables of version 1 do not have",
            line.path
        )));
    }
    if header.format_version > 2 && is_data && line.first_row_id.is_none() {
        line.first_row_id = Some(*next_row_id);
        let rows = line.existing_rows.zip(line.added_rows).and_then(|(left, right)| left.checked_add(right));
        let rows = rows.filter(|rows| *rows >= 0).ok_or_else(|| uncounted(line))?;
        *next_row_id = next_row_id.checked_add(rows).ok_or_else(|| unwritable("all row ids are used up"))?;
    }
    Ok(())
}

fn write_line(out: &mut Encoder, version: i32, line: &ManifestFile) -> Result<(), ManifestError> {
    out.string(&line.path);
    out.long(line.length_bytes);
    out.long(i64::from(line.spec_id));
    if version == 1 {
        out.long(line.added_snapshot_id);
        for count in files(line) {
            out.optional_long(count);
        }
        write_summaries(out, line.partitions.as_deref());
        for count in rows(line) {
            out.optional_long(count);
        }
        out.optional_bytes(line.key_metadata.as_deref());
        return Ok(());
    }
    out.long(match line.content {
        ManifestContent::Data => 0,
        ManifestContent::Deletes => 1,
    });
    out.long(line.sequence_number);
    out.long(line.min_sequence_number);
    out.long(line.added_snapshot_id);
    for count in files(line).into_iter().chain(rows(line)) {
        out.long(count.ok_or_else(|| uncounted(line))?);
    }
    write_summaries(out, line.partitions.as_deref());
    out.optional_bytes(line.key_metadata.as_deref());
    if version > 2 {
        out.optional_long(line.first_row_id.filter(|_| line.content == ManifestContent::Data));
    }
    Ok(())
}

fn files(line: &ManifestFile) -> [Option<i64>; 3] {
    [line.added_files, line.existing_files, line.deleted_files]
}

fn rows(line: &ManifestFile) -> [Option<i64>; 3] {
    [line.added_rows, line.existing_rows, line.deleted_rows]
}

fn uncounted(line: &ManifestFile) -> ManifestError {
    unwritable(format!("the files of the manifest `{}` were never counted", line.path))
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
