//! Snapshots, the refs (branches and tags) that point at them, and the logs of a table.

use serde::Deserialize;

use super::error::MetadataError;
use super::json::{Fields, Object, Raw};

/// Name of the branch whose snapshot is the current snapshot of the table.
pub const MAIN_BRANCH: &str = "main";

/// Value of `current-snapshot-id` that old writers use for a table without a current snapshot; no snapshot
/// may have this id.
pub const NO_SNAPSHOT: i64 = -1;

/// Snapshot of a table (specification, "Snapshots").
///
/// The JSON text is preserved. The fields that commits depend on are decoded; the others are read from the
/// text on demand.
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
    /// Parses an element of `snapshots`.
    ///
    /// # Errors
    ///
    /// Fails if the JSON is not an object, `snapshot-id` or `timestamp-ms` is missing, or one of the decoded
    /// fields has a wrong type ([`MetadataError::Malformed`]).
    pub fn parse(raw: Raw) -> Result<Snapshot, MetadataError> {
        let fields = raw.decode("snapshot")?;
        Ok(Snapshot { raw, fields })
    }

    /// Returns the snapshot id (`snapshot-id`).
    pub fn id(&self) -> i64 {
        self.fields.snapshot_id
    }

    /// Returns the id of the parent snapshot (`parent-snapshot-id`).
    pub fn parent_id(&self) -> Option<i64> {
        self.fields.parent_snapshot_id
    }

    /// Returns the sequence number (`sequence-number`); 0 in format version 1, which has none.
    pub fn sequence_number(&self) -> i64 {
        self.fields.sequence_number.unwrap_or(0)
    }

    /// Returns the creation time (`timestamp-ms`), in milliseconds since 1970, by the clock of the writer.
    pub fn timestamp_ms(&self) -> i64 {
        self.fields.timestamp_ms
    }

    /// Returns the id of the schema that was current at the creation of the snapshot (`schema-id`).
    pub fn schema_id(&self) -> Option<i32> {
        self.fields.schema_id
    }

    /// Returns the first row id of the rows that the snapshot added (`first-row-id`; format version 3).
    pub fn first_row_id(&self) -> Option<i64> {
        self.fields.first_row_id
    }

    /// Returns the number of row ids that the snapshot assigned (`added-rows`; format version 3).
    pub fn added_rows(&self) -> Option<i64> {
        self.fields.added_rows
    }

    /// Returns the location of the manifest list (`manifest-list`); `None` for the oldest snapshots, which
    /// have [`Snapshot::manifests`] instead.
    ///
    /// # Errors
    ///
    /// Fails if the snapshot is not a JSON object in which each name occurs once, or `manifest-list` is not a
    /// string ([`MetadataError::Malformed`]).
    pub fn manifest_list(&self) -> Result<Option<String>, MetadataError> {
        self.raw.fields("snapshot")?.optional("manifest-list")
    }

    /// Returns the locations of the manifests (`manifests`), which the oldest snapshots have in place of a
    /// manifest list.
    ///
    /// # Errors
    ///
    /// Fails if the snapshot is not a JSON object in which each name occurs once, or `manifests` is not an
    /// array of strings ([`MetadataError::Malformed`]).
    pub fn manifests(&self) -> Result<Option<Vec<String>>, MetadataError> {
        self.raw.fields("snapshot")?.optional("manifests")
    }

    /// Returns the summary (`summary`) as (key, value), in order; values that are not strings are omitted.
    ///
    /// # Errors
    ///
    /// Fails if the snapshot or its summary is not a JSON object in which each name occurs once
    /// ([`MetadataError::Malformed`]).
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

    /// Returns the JSON text as it was read.
    pub fn raw(&self) -> &Raw {
        &self.raw
    }
}

/// Kind of a ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefKind {
    /// Branch: a ref that commits move to new snapshots.
    Branch,
    /// Tag: a ref that stays at one snapshot.
    Tag,
}

impl RefKind {
    /// Returns the `type` of the specification: `branch` or `tag`.
    pub fn as_str(self) -> &'static str {
        match self {
            RefKind::Branch => "branch",
            RefKind::Tag => "tag",
        }
    }
}

/// Ref to a snapshot: a branch or a tag (specification, "Snapshot References").
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotRef {
    raw: Raw,
    /// Id of the snapshot that the ref points at (`snapshot-id`).
    pub snapshot_id: i64,
    /// Kind of the ref (`type`).
    pub kind: RefKind,
    /// Minimum number of snapshots of the branch to retain (`min-snapshots-to-keep`).
    pub min_snapshots_to_keep: Option<i64>,
    /// Maximum age of the snapshots of the branch to retain, in milliseconds (`max-snapshot-age-ms`).
    pub max_snapshot_age_ms: Option<i64>,
    /// Maximum age of the ref itself, in milliseconds (`max-ref-age-ms`).
    pub max_ref_age_ms: Option<i64>,
}

impl SnapshotRef {
    /// Parses a value of `refs`.
    ///
    /// # Errors
    ///
    /// Fails if the JSON is not an object, `snapshot-id` or `type` is missing, the type is neither `branch`
    /// nor `tag` in any case, or a field has a wrong type ([`MetadataError::Malformed`]).
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

    /// Returns the main branch of a document that has a current snapshot but no refs.
    pub(crate) fn implied_main(snapshot_id: i64) -> Result<SnapshotRef, MetadataError> {
        SnapshotRef::parse(Raw::joined(format!("{{\"snapshot-id\":{snapshot_id},\"type\":\"branch\"}}")))
    }

    /// Returns this ref with the attributes of `previous` that it lacks: retention settings, and unknown
    /// attributes.
    pub(crate) fn over(&self, previous: &SnapshotRef) -> Result<SnapshotRef, MetadataError> {
        let mut object = Object::parse(previous.raw.as_str(), "snapshot reference")?;
        for (name, value) in Object::parse(self.raw.as_str(), "snapshot reference")?.iter() {
            object.set(name, value.clone());
        }
        SnapshotRef::parse(object.to_raw())
    }

    /// Returns `true` if both refs are equal as JSON values, independent of their spelling.
    pub(crate) fn is_same(&self, other: &SnapshotRef) -> bool {
        let value =
            |reference: &SnapshotRef| reference.raw.decode::<serde_json::Value>("snapshot reference").ok();
        value(self).is_some_and(|own| value(other) == Some(own))
    }

    /// Returns the JSON text as it was read.
    pub fn raw(&self) -> &Raw {
        &self.raw
    }
}

/// Entry of `snapshot-log`: the time at which a snapshot became the current one.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotLogEntry {
    raw: Raw,
    /// Time of the change, in milliseconds since 1970 (`timestamp-ms`).
    pub timestamp_ms: i64,
    /// Id of the snapshot that became current (`snapshot-id`).
    pub snapshot_id: i64,
}

impl SnapshotLogEntry {
    /// Parses an element of `snapshot-log`.
    ///
    /// # Errors
    ///
    /// Fails if the JSON is not an object, or `timestamp-ms` or `snapshot-id` is missing or of a wrong type
    /// ([`MetadataError::Malformed`]).
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

/// Entry of `metadata-log`: a previous metadata file of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataLogEntry {
    raw: Raw,
    /// `last-updated-ms` of that file, in milliseconds since 1970 (`timestamp-ms`).
    pub timestamp_ms: i64,
    /// Location of that file, as in the document (`metadata-file`).
    pub metadata_file: String,
}

impl MetadataLogEntry {
    /// Parses an element of `metadata-log`.
    ///
    /// # Errors
    ///
    /// Fails if the JSON is not an object, or `timestamp-ms` or `metadata-file` is missing or of a wrong type
    /// ([`MetadataError::Malformed`]).
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
