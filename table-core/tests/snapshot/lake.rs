//! A table whose files are in memory: plans are run against it, and what they write is read with nothing but
//! the readers.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use table_core::commit::apply;
use table_core::commit::request::TableCommit;
use table_core::commit::requirement::check_requirements;
use table_core::expr::expression::Expression;
use table_core::expr::value::Value;
use table_core::manifest::data_file::{ColumnMetrics, DataFile};
use table_core::manifest::entry::{FileContent, Status};
use table_core::manifest::file::Manifest;
use table_core::manifest::list::{self, ManifestContent, ManifestFile};
use table_core::manifest::partition::PartitionType;
use table_core::metadata::table::TableMetadata;
use table_core::metadata::types::Primitive;
use table_core::snapshot::change::{AddedDelete, ChangeKind, Checks, DeleteKey, FileChange};
use table_core::snapshot::commit::NewSnapshot;
use table_core::snapshot::context::Context;
use table_core::snapshot::error::SnapshotError;
use table_core::snapshot::plan::{Needs, SnapshotPlan};
use table_core::snapshot::rewrite::{Clustering, Rewrite};
use uuid::Uuid;

const LIMIT_BYTES: usize = 1 << 26;

/// A table and its files.
pub(crate) struct Lake {
    pub(crate) metadata: TableMetadata,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) branch: &'static str,
    pub(crate) next_id: i64,
}

/// An entry of a manifest with what it inherits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listed {
    pub(crate) status: Status,
    pub(crate) snapshot_id: i64,
    pub(crate) sequence_number: Option<i64>,
    pub(crate) file_sequence_number: Option<i64>,
    pub(crate) file: DataFile,
}

impl Lake {
    /// An empty table with the columns `id` and `p`. Spec 0 is by `p`, spec 1 by nothing.
    pub(crate) fn new(format_version: i32) -> Lake {
        Lake::with(format_version, &json!({}))
    }

    pub(crate) fn with(format_version: i32, properties: &Json) -> Lake {
        let by_p = json!([{"source-id": 2, "field-id": 1000, "name": "p", "transform": "identity"}]);
        let fields = json!([
            {"id": 1, "name": "id", "required": false, "type": "int"},
            {"id": 2, "name": "p", "required": false, "type": "string"},
        ]);
        let schema = json!({"type": "struct", "schema-id": 0, "fields": fields});
        let document = json!({
            "format-version": format_version, "table-uuid": "0d2c1f6b-6a52-4d59-9c3e-6f3f8c4ad2a2",
            "location": "file:///t", "last-sequence-number": 0, "last-updated-ms": 9, "last-column-id": 2,
            "current-schema-id": 0, "schemas": [schema], "schema": schema, "partition-spec": by_p,
            "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": by_p}, {"spec-id": 1, "fields": []}],
            "last-partition-id": 1000, "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}],
            "properties": properties, "snapshots": [], "next-row-id": 0,
        });
        let metadata = TableMetadata::parse(document.to_string().as_bytes()).unwrap();
        Lake { metadata, files: BTreeMap::new(), branch: "main", next_id: 1 }
    }

    pub(crate) fn context(&self) -> Context {
        Context {
            branch: self.branch.to_owned(),
            snapshot_id: self.next_id,
            commit_uuid: Uuid::from_u128(u128::from(self.next_id.unsigned_abs()) << 64),
            attempt: 1,
            now_ms: 1000 * self.next_id,
        }
    }

    /// Plans a change, having every file read that the plan wants.
    pub(crate) fn plan(&self, change: &FileChange) -> Result<NewSnapshot, SnapshotError> {
        let mut plan = SnapshotPlan::new(&self.metadata, change, self.context())?;
        loop {
            match plan.needs() {
                Needs::Lists(paths) => {
                    for path in paths {
                        plan.supply_list(&path, list::decode(&self.files[&path], LIMIT_BYTES).unwrap())?;
                    }
                }
                Needs::Manifests(lines) => {
                    for line in lines {
                        plan.supply_manifest(&line.path, &self.manifest(&line.path))?;
                    }
                }
                Needs::Nothing => return plan.finish(),
            }
        }
    }

    /// Plans and commits a change.
    pub(crate) fn try_commit(&mut self, change: &FileChange) -> Result<NewSnapshot, SnapshotError> {
        let new = self.plan(change)?;
        self.apply(&new);
        Ok(new)
    }

    pub(crate) fn commit(&mut self, change: &FileChange) -> NewSnapshot {
        self.try_commit(change).unwrap()
    }

    pub(crate) fn apply(&mut self, new: &NewSnapshot) {
        for (path, bytes) in &new.files {
            assert!(self.files.insert(path.clone(), bytes.clone()).is_none(), "{path} is written twice");
        }
        check_requirements(Some(&self.metadata), &new.commit.requirements).unwrap();
        let now_ms = self.context().now_ms;
        self.metadata =
            apply(&self.metadata, "file:///t/m.json", &new.commit.updates, now_ms).unwrap().metadata;
        self.next_id += 1;
    }

    /// Plans and commits a rewrite of manifests; `None` if there is nothing to rewrite.
    pub(crate) fn rewrite(
        &mut self,
        choice: impl Fn(&ManifestFile) -> bool,
        clustering: Clustering,
    ) -> Option<NewSnapshot> {
        let metadata = self.metadata.clone();
        let mut rewrite = Rewrite::new(&metadata, self.context(), Box::new(choice), clustering).unwrap();
        loop {
            match rewrite.needs() {
                Needs::Lists(paths) => {
                    for path in paths {
                        rewrite.supply_list(&path, list::decode(&self.files[&path], LIMIT_BYTES).unwrap());
                    }
                }
                Needs::Manifests(lines) => {
                    for line in lines {
                        rewrite.supply_manifest(&line.path, &self.manifest(&line.path)).unwrap();
                    }
                }
                Needs::Nothing => break,
            }
        }
        let new = rewrite.finish().unwrap()?;
        self.apply(&new);
        Some(new)
    }

    /// Commits updates that make no snapshot.
    pub(crate) fn update(&mut self, commit: &TableCommit) {
        check_requirements(Some(&self.metadata), &commit.requirements).unwrap();
        self.metadata =
            apply(&self.metadata, "file:///t/m.json", &commit.updates, 9_000_000).unwrap().metadata;
    }

    /// Points a branch or tag at a snapshot.
    pub(crate) fn point(&mut self, name: &str, kind: &str, snapshot_id: i64) {
        let update =
            json!({"action": "set-snapshot-ref", "ref-name": name, "type": kind, "snapshot-id": snapshot_id});
        let commit = json!({"requirements": [], "updates": [update]});
        self.update(&TableCommit::parse(commit.to_string().as_bytes()).unwrap());
    }

    pub(crate) fn head(&self) -> i64 {
        self.metadata.refs().get(self.branch).unwrap().snapshot_id
    }

    pub(crate) fn manifest(&self, path: &str) -> Manifest {
        Manifest::decode(&self.files[path], LIMIT_BYTES).unwrap()
    }

    pub(crate) fn lines(&self, snapshot_id: i64) -> Vec<ManifestFile> {
        let path = self.metadata.snapshot(snapshot_id).unwrap().manifest_list().unwrap().unwrap();
        list::decode(&self.files[&path], LIMIT_BYTES).unwrap()
    }

    /// The entries of a snapshot's manifests, in their order.
    pub(crate) fn entries(&self, snapshot_id: i64) -> Vec<Listed> {
        let mut entries = Vec::new();
        for line in self.lines(snapshot_id) {
            let manifest = self.manifest(&line.path);
            let types: PartitionType = match line.spec_id {
                0 => vec![(1000, Some(Primitive::String))],
                _ => Vec::new(),
            };
            let tuples = manifest.partitions(&types).unwrap();
            for file in manifest.files(&line) {
                let is_data = file.content() == FileContent::Data;
                assert_eq!(is_data, line.content == ManifestContent::Data);
                if file.is_live() && self.metadata.format_version() > 1 {
                    assert!(file.sequence_number().unwrap() >= line.min_sequence_number, "{}", file.path());
                }
                entries.push(Listed {
                    status: file.status(),
                    snapshot_id: file.snapshot_id(),
                    sequence_number: file.sequence_number(),
                    file_sequence_number: file.file_sequence_number(),
                    file: DataFile::read(&file, tuples[file.partition_number()].clone()),
                });
            }
        }
        entries
    }

    pub(crate) fn live(&self) -> Vec<Listed> {
        let entries = self.entries(self.head());
        entries.into_iter().filter(|entry| entry.status != Status::Deleted).collect()
    }

    /// The live files with their data sequence numbers, sorted: `a@1 b@2`.
    pub(crate) fn show(&self) -> String {
        let mut words: Vec<_> = self
            .live()
            .iter()
            .map(|entry| format!("{}@{}", entry.file.path, entry.sequence_number.unwrap()))
            .collect();
        words.sort();
        words.join(" ")
    }

    pub(crate) fn summary(&self, name: &str) -> Option<String> {
        let summary = self.metadata.snapshot(self.head()).unwrap().summary().unwrap();
        summary.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

/// A data file of ten rows in a partition of spec 0, whose ids are from 0 to 9.
pub(crate) fn data(path: &str, partition: &str) -> DataFile {
    DataFile {
        content: FileContent::Data,
        path: path.to_owned(),
        format: "PARQUET".to_owned(),
        spec_id: 0,
        partition: vec![Some(Value::String(partition.to_owned()))],
        record_count: 10,
        size_bytes: 100,
        metrics: ColumnMetrics {
            value_counts: [(1, 10), (2, 10)].into(),
            null_value_counts: [(1, 0), (2, 0)].into(),
            lower_bounds: [(1, 0_i32.to_le_bytes().to_vec())].into(),
            upper_bounds: [(1, 9_i32.to_le_bytes().to_vec())].into(),
            ..ColumnMetrics::default()
        },
        split_offsets: Vec::new(),
        equality_ids: Vec::new(),
        sort_order_id: None,
        first_row_id: None,
        referenced_data_file: None,
        content_offset: None,
        content_size_bytes: None,
        key_metadata: None,
    }
}

/// An equality delete file of three values.
pub(crate) fn equality(path: &str, partition: &str) -> DataFile {
    DataFile {
        content: FileContent::EqualityDeletes,
        record_count: 3,
        equality_ids: vec![1],
        metrics: ColumnMetrics::default(),
        ..data(path, partition)
    }
}

/// A position delete file for a whole partition.
pub(crate) fn positions(path: &str, partition: &str) -> DataFile {
    DataFile { content: FileContent::PositionDeletes, equality_ids: Vec::new(), ..equality(path, partition) }
}

/// A deletion vector for a data file, in a file that holds others.
pub(crate) fn vector(path: &str, offset: i64, of: &str, partition: &str) -> DataFile {
    DataFile {
        format: "PUFFIN".to_owned(),
        referenced_data_file: Some(of.to_owned()),
        content_offset: Some(offset),
        content_size_bytes: Some(7),
        ..positions(path, partition)
    }
}

/// A file without partition.
pub(crate) fn unpartitioned(file: DataFile) -> DataFile {
    DataFile { spec_id: 1, partition: Vec::new(), ..file }
}

pub(crate) fn append(files: &[DataFile]) -> FileChange {
    FileChange { added_data: files.to_vec(), ..FileChange::new(ChangeKind::Append) }
}

pub(crate) fn delete(paths: &[&str]) -> FileChange {
    let removed_paths = paths.iter().map(|path| (*path).to_owned()).collect();
    FileChange { removed_paths, ..FileChange::new(ChangeKind::Delete) }
}

pub(crate) fn added_deletes(files: &[DataFile]) -> Vec<AddedDelete> {
    files.iter().map(|file| AddedDelete { file: file.clone(), sequence_number: None }).collect()
}

pub(crate) fn row_delta(files: &[DataFile], deletes: &[DataFile]) -> FileChange {
    FileChange {
        added_data: files.to_vec(),
        added_deletes: added_deletes(deletes),
        ..FileChange::new(ChangeKind::RowDelta)
    }
}

/// A rewrite of files computed from a snapshot.
pub(crate) fn replace(removed: &[DataFile], added: &[DataFile], since: i64) -> FileChange {
    FileChange {
        removed_data: removed.to_vec(),
        added_data: added.to_vec(),
        checks: Checks { since: Some(since), ..Checks::default() },
        ..FileChange::new(ChangeKind::Replace)
    }
}

pub(crate) fn keys(files: &[DataFile]) -> Vec<DeleteKey> {
    files.iter().map(DeleteKey::of).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "what a change takes")]
pub(crate) fn filter(json: &Json) -> Option<Expression> {
    Some(Expression::parse(&json.to_string()).unwrap())
}

pub(crate) fn p_is(value: &str) -> Option<Expression> {
    filter(&json!({"type": "eq", "term": "p", "value": value}))
}
