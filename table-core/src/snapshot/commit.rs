//! Assembly of a commit from manifests: the manifest list, the snapshot, and the request that adds it to the
//! table.

use uuid::Uuid;

use super::error::SnapshotError;
use super::output::SnapshotOutput;
use crate::commit::error::CommitError;
use crate::commit::request::TableCommit;
use crate::manifest::list::ManifestFile;
use crate::manifest::list_write::{self, ListHeader, WrittenList};
use crate::metadata::error::MetadataError;
use crate::metadata::json::{Object, Raw, push_array};
use crate::metadata::snapshot::Snapshot;

/// Snapshot that is ready to be written and committed.
#[derive(Debug, Clone)]
pub struct NewSnapshot {
    /// Paths and contents of the files to write: new manifests first, the manifest list last. All of them
    /// must be written before the commit.
    pub files: Vec<(String, Vec<u8>)>,
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Commit that adds the snapshot and sets the branch to it. Its requirements assert the identity of the
    /// table and the previous head of the branch.
    pub commit: TableCommit,
    /// The commit as the body of a request.
    pub body: Raw,
    /// Manifest file entries of the snapshot.
    pub manifests: Vec<ManifestFile>,
}

/// Properties of a snapshot apart from its manifest list.
pub(super) struct SnapshotHeader {
    pub(super) parent_id: Option<i64>,
    pub(super) operation: &'static str,
    pub(super) summary: Vec<(String, String)>,
}

/// Writes the manifest list and assembles the commit.
pub(super) fn finish(
    mut output: SnapshotOutput<'_>,
    snapshot_header: &SnapshotHeader,
    manifest_files: Vec<ManifestFile>,
) -> Result<NewSnapshot, SnapshotError> {
    let metadata = output.metadata;
    let list_header = ListHeader {
        format_version: metadata.format_version(),
        snapshot_id: output.context.snapshot_id,
        parent_id: snapshot_header.parent_id,
        sequence_number: next_sequence_number(&output),
        next_row_id: metadata.next_row_id(),
    };
    let path = output.list_path();
    let list = list_write::write(&list_header, manifest_files, output.codec, output.sync(0))
        .map_err(SnapshotError::manifest(&path))?;
    let snapshot = snapshot_json(&output, snapshot_header, &list_header, &list, &path);
    output.files.push((path, list.bytes));
    let body = request_json(&output, snapshot_header, &snapshot);
    let commit = TableCommit::parse(body.as_str().as_bytes()).map_err(|error| match error {
        CommitError::Metadata(error) => SnapshotError::Metadata(error),
        other => SnapshotError::Invalid(other.to_string()),
    })?;
    let snapshot = Snapshot::parse(snapshot)?;
    Ok(NewSnapshot { files: output.files, snapshot, commit, body, manifests: list.manifest_files })
}

/// Returns the sequence number of the next snapshot of the table.
pub(super) fn next_sequence_number(output: &SnapshotOutput<'_>) -> i64 {
    match output.metadata.format_version() {
        1 => 0,
        _ => output.metadata.last_sequence_number() + 1,
    }
}

/// Returns the JSON of the snapshot, with its fields in Java's order.
fn snapshot_json(
    output: &SnapshotOutput<'_>,
    snapshot_header: &SnapshotHeader,
    list_header: &ListHeader,
    list: &WrittenList,
    list_path: &str,
) -> Raw {
    let mut snapshot = Object::default();
    if list_header.sequence_number > 0 {
        snapshot.set("sequence-number", Raw::number(list_header.sequence_number));
    }
    snapshot.set("snapshot-id", Raw::number(list_header.snapshot_id));
    if let Some(parent_id) = snapshot_header.parent_id {
        snapshot.set("parent-snapshot-id", Raw::number(parent_id));
    }
    snapshot.set("timestamp-ms", Raw::number(output.context.now_ms));
    let mut summary = Object::default();
    summary.set("operation", Raw::string(snapshot_header.operation));
    for (name, value) in &snapshot_header.summary {
        if name != "operation" {
            summary.set(name, Raw::string(value));
        }
    }
    snapshot.set("summary", summary.to_raw());
    snapshot.set("manifest-list", Raw::string(list_path));
    snapshot.set("schema-id", Raw::number(i64::from(output.metadata.current_schema_id())));
    if list_header.format_version > 2 {
        snapshot.set("first-row-id", Raw::number(list_header.next_row_id));
        snapshot.set("added-rows", Raw::number(list.assigned_rows));
    }
    snapshot.to_raw()
}

fn request_json(output: &SnapshotOutput<'_>, snapshot_header: &SnapshotHeader, snapshot: &Raw) -> Raw {
    let context = &output.context;
    let mut add = Object::default();
    add.set("action", Raw::string("add-snapshot"));
    add.set("snapshot", snapshot.clone());
    let mut point = Object::default();
    point.set("action", Raw::string("set-snapshot-ref"));
    point.set("ref-name", Raw::string(&context.branch));
    point.set("type", Raw::string("branch"));
    point.set("snapshot-id", Raw::number(context.snapshot_id));
    let mut same_head = Object::default();
    same_head.set("type", Raw::string("assert-ref-snapshot-id"));
    same_head.set("ref", Raw::string(&context.branch));
    let head = snapshot_header.head(output);
    same_head.set("snapshot-id", head.map_or_else(|| Raw::joined("null".to_owned()), Raw::number));
    request(output.metadata.uuid(), &[same_head.to_raw()], &[add.to_raw(), point.to_raw()])
}

/// Returns the body of a commit to the table with this UUID.
pub(super) fn request(uuid: Option<Uuid>, requirements: &[Raw], updates: &[Raw]) -> Raw {
    let mut same_table = Object::default();
    if let Some(uuid) = uuid {
        same_table.set("type", Raw::string("assert-table-uuid"));
        same_table.set("uuid", Raw::string(&uuid.to_string()));
    }
    let same_table = uuid.map(|_| same_table.to_raw());
    let array = |elements: &mut dyn Iterator<Item = &Raw>| {
        let mut text = String::new();
        push_array(&mut text, elements.map(Raw::as_str));
        Raw::joined(text)
    };
    let mut body = Object::default();
    body.set("requirements", array(&mut same_table.iter().chain(requirements)));
    body.set("updates", array(&mut updates.iter()));
    body.to_raw()
}

impl SnapshotHeader {
    /// Returns the current head of the branch; `None` if the branch is new and begins at the head of `main`.
    fn head(&self, output: &SnapshotOutput<'_>) -> Option<i64> {
        output.metadata.refs().get(&output.context.branch).and(self.parent_id)
    }
}

/// Returns the summary of a snapshot; `None` if there is no snapshot.
pub(super) fn summary_of(
    snapshot: Option<&Snapshot>,
) -> Result<Option<Vec<(String, String)>>, MetadataError> {
    snapshot.map(Snapshot::summary).transpose()
}

/// Returns the summary properties that count manifests.
pub(super) fn manifest_counts(
    output: &SnapshotOutput<'_>,
    manifest_files: &[ManifestFile],
    replaced: usize,
) -> [(String, String); 3] {
    let id = output.context.snapshot_id;
    let created = manifest_files.iter().filter(|manifest_file| manifest_file.added_snapshot_id == id).count();
    let counts = [
        ("manifests-created", created),
        ("manifests-kept", manifest_files.len() - created),
        ("manifests-replaced", replaced),
    ];
    counts.map(|(name, count)| (name.to_owned(), count.to_string()))
}
