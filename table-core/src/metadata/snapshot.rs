//! Snapshots, the references to them, and the logs of a table.

use serde::Deserialize;

use super::error::MetadataError;
use super::json::{Fields, Object, Raw};

/// The branch that is the table's current state.
pub const MAIN_BRANCH: &str = "main";

/// What old writers say for the current snapshot of a table without one; no snapshot can have this id.
pub const NO_SNAPSHOT: i64 = -1;

/// One snapshot. Only what commits are judged by is decoded; the rest is read from its text when asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    raw: Raw,
    fields: SnapshotFields,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct SnapshotFields {
    snapshot_id: i64,
    parent_snapshot_id: Option<i64>,
    sequence_number: Option<i64>,
    timestamp_ms: i64,
    schema_id: Option<i32>,
    first_row_id: Option<i64>,
    added_rows: Option<i64>,
}

impl Snapshot {
    /// Reads a snapshot.
    pub fn parse(raw: Raw) -> Result<Snapshot, MetadataError> {
        let fields = raw.decode("snapshot")?;
        Ok(Snapshot { raw, fields })
    }

    /// The snapshot id.
    pub fn id(&self) -> i64 {
        self.fields.snapshot_id
    }

    /// The snapshot it was made from.
    pub fn parent_id(&self) -> Option<i64> {
        self.fields.parent_snapshot_id
    }

    /// The sequence number; 0 in version 1, which has none.
    pub fn sequence_number(&self) -> i64 {
        self.fields.sequence_number.unwrap_or(0)
    }

    /// When it was made, in milliseconds since 1970, by the clock of the writer.
    pub fn timestamp_ms(&self) -> i64 {
        self.fields.timestamp_ms
    }

    /// The schema that was current when it was made.
    pub fn schema_id(&self) -> Option<i32> {
        self.fields.schema_id
    }

    /// The first row id of its new rows (version 3).
    pub fn first_row_id(&self) -> Option<i64> {
        self.fields.first_row_id
    }

    /// How many row ids it took (version 3).
    pub fn added_rows(&self) -> Option<i64> {
        self.fields.added_rows
    }

    /// The location of its manifest list; none for the oldest snapshots, which list [`Snapshot::manifests`].
    pub fn manifest_list(&self) -> Result<Option<String>, MetadataError> {
        self.raw.fields("snapshot")?.optional("manifest-list")
    }

    /// The manifests that the oldest snapshots list in place of a manifest list.
    pub fn manifests(&self) -> Result<Option<Vec<String>>, MetadataError> {
        self.raw.fields("snapshot")?.optional("manifests")
    }

    /// The summary in order; values that are not strings are left out.
    pub fn summary(&self) -> Result<Vec<(String, String)>, MetadataError> {
        let fields = self.raw.fields("snapshot")?;
        let Some(summary) = fields.present("summary") else { return Ok(Vec::new()) };
        let entries = Fields::parse(summary.get(), "summary")?.entries;
        let strings = entries.into_iter().filter_map(|(key, value)| {
            let value = serde_json::from_str::<String>(value.get()).ok()?;
            Some((key.into_owned(), value))
        });
        Ok(strings.collect())
    }

    /// The text as it was read.
    pub fn raw(&self) -> &Raw {
        &self.raw
    }
}

/// What a reference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefKind {
    /// A name that moves with commits.
    Branch,
    /// A name that stays.
    Tag,
}

impl RefKind {
    /// The word of the specification.
    pub fn as_str(self) -> &'static str {
        match self {
            RefKind::Branch => "branch",
            RefKind::Tag => "tag",
        }
    }
}

/// A branch or a tag.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotRef {
    raw: Raw,
    /// The snapshot it names.
    pub snapshot_id: i64,
    /// Branch or tag.
    pub kind: RefKind,
    /// Retention: snapshots of the branch to keep.
    pub min_snapshots_to_keep: Option<i64>,
    /// Retention: age up to which snapshots of the branch are kept.
    pub max_snapshot_age_ms: Option<i64>,
    /// Retention: age up to which the reference is kept.
    pub max_ref_age_ms: Option<i64>,
}

impl SnapshotRef {
    /// Reads a reference.
    pub fn parse(raw: Raw) -> Result<SnapshotRef, MetadataError> {
        let fields = raw.fields("snapshot reference")?;
        let kind = match fields.required::<String>("type")?.to_ascii_lowercase().as_str() {
            "branch" => RefKind::Branch,
            "tag" => RefKind::Tag,
            other => {
                let message =
                    format!("a snapshot reference has the type `{other}`; it must be `branch` or `tag`");
                return Err(MetadataError::malformed(message));
            }
        };
        let snapshot_id = fields.required("snapshot-id")?;
        let min_snapshots_to_keep = fields.optional("min-snapshots-to-keep")?;
        let max_snapshot_age_ms = fields.optional("max-snapshot-age-ms")?;
        let max_ref_age_ms = fields.optional("max-ref-age-ms")?;
        Ok(SnapshotRef { raw, snapshot_id, kind, min_snapshots_to_keep, max_snapshot_age_ms, max_ref_age_ms })
    }

    /// The main branch of a document that has a current snapshot but no references.
    pub(crate) fn implied_main(snapshot_id: i64) -> Result<SnapshotRef, MetadataError> {
        SnapshotRef::parse(Raw::joined(format!("{{\"snapshot-id\":{snapshot_id},\"type\":\"branch\"}}")))
    }

    /// This reference with what `previous` says and it does not: retention, and attributes nobody here knows.
    pub(crate) fn over(&self, previous: &SnapshotRef) -> Result<SnapshotRef, MetadataError> {
        let mut object = Object::parse(previous.raw.as_str(), "snapshot reference")?;
        for (name, value) in Object::parse(self.raw.as_str(), "snapshot reference")?.iter() {
            object.set(name, value.clone());
        }
        SnapshotRef::parse(object.to_raw())
    }

    /// Whether both say the same, however they are written.
    pub(crate) fn is_same(&self, other: &SnapshotRef) -> bool {
        let value =
            |reference: &SnapshotRef| reference.raw.decode::<serde_json::Value>("snapshot reference").ok();
        value(self).is_some_and(|own| value(other) == Some(own))
    }

    /// The text as it was read.
    pub fn raw(&self) -> &Raw {
        &self.raw
    }
}

/// An entry of the snapshot log: since when a snapshot was the current one.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotLogEntry {
    raw: Raw,
    /// Since when, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Which snapshot.
    pub snapshot_id: i64,
}

impl SnapshotLogEntry {
    /// Reads an entry.
    pub fn parse(raw: Raw) -> Result<SnapshotLogEntry, MetadataError> {
        let (timestamp_ms, snapshot_id) = {
            let fields = raw.fields("snapshot log entry")?;
            (fields.required("timestamp-ms")?, fields.required("snapshot-id")?)
        };
        Ok(SnapshotLogEntry { raw, timestamp_ms, snapshot_id })
    }

    pub(crate) fn new(timestamp_ms: i64, snapshot_id: i64) -> SnapshotLogEntry {
        let text = format!("{{\"timestamp-ms\":{timestamp_ms},\"snapshot-id\":{snapshot_id}}}");
        SnapshotLogEntry { raw: Raw::joined(text), timestamp_ms, snapshot_id }
    }

    pub(crate) fn raw(&self) -> &Raw {
        &self.raw
    }
}

/// An entry of the metadata log: a previous metadata file.
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataLogEntry {
    raw: Raw,
    /// When that file was written, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Its location.
    pub metadata_file: String,
}

impl MetadataLogEntry {
    /// Reads an entry.
    pub fn parse(raw: Raw) -> Result<MetadataLogEntry, MetadataError> {
        let (timestamp_ms, metadata_file) = {
            let fields = raw.fields("metadata log entry")?;
            (fields.required("timestamp-ms")?, fields.required("metadata-file")?)
        };
        Ok(MetadataLogEntry { raw, timestamp_ms, metadata_file })
    }

    pub(crate) fn new(timestamp_ms: i64, metadata_file: &str) -> MetadataLogEntry {
        let mut object = Object::default();
        object.set("timestamp-ms", Raw::number(timestamp_ms));
        object.set("metadata-file", Raw::string(metadata_file));
        MetadataLogEntry { raw: object.to_raw(), timestamp_ms, metadata_file: metadata_file.to_owned() }
    }

    pub(crate) fn raw(&self) -> &Raw {
        &self.raw
    }
}
