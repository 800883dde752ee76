//! Tables with real data files: written as an engine would write them, and read without the reader that
//! maintenance uses. This module does not depend on maintenance.
//!
//! Rows have the columns `id`, `name` and `part`; a partitioned table is partitioned by `identity(part)`.

pub mod reference_reader;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use catalog_server::clock::Clock;
use catalog_server::id;
use serde_json::{Value, json};
use table_core::expr::value::Value as Single;
use table_core::file::data_location::DataLocations;
use table_core::file::deletion_vector::{self, DeletionVector, VectorOf};
use table_core::file::parquet_writer::options::WriterOptions;
use table_core::file::parquet_writer::{FileWriter, WrittenFile};
use table_core::file::position_deletes::PositionDeletes;
use table_core::manifest::data_file::{ColumnMetrics, DataFile};
use table_core::manifest::entry::FileContent;
use table_core::manifest::file::Manifest;
use table_core::manifest::list;
use table_core::manifest::partition::PartitionTuple;
use table_core::metadata::json::Raw;
use table_core::metadata::schema::Schema;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::change::{AddedDelete, ChangeKind, FileChange};
use table_core::snapshot::commit::NewSnapshot;
use table_core::snapshot::context::Context;
use table_core::snapshot::plan::{Needs, SnapshotPlan};

use self::reference_reader::{Entry, ReferenceRow};
use crate::fixture::{self, local};
use crate::http::{Client, Reply};

/// Maximum size of a manifest or manifest list in bytes; those of tests are small.
const MANIFEST_BYTES_MAX: usize = 64 << 20;

/// Row to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Unique key of the row.
    pub id: i64,
    /// Any text.
    pub name: String,
    /// Partition value; equal for all rows of a data file of a partitioned table.
    pub part: i32,
}

/// Properties of a table to be created.
#[derive(Clone, Debug)]
pub struct TableOptions {
    /// Format version, 2 or 3.
    pub format_version: i32,
    /// `true` for a table partitioned by `part`.
    pub is_partitioned: bool,
    /// `true` for a table with a sort order by `id`.
    pub is_sorted: bool,
}

/// Table of a catalog, with the client to access it.
#[derive(Clone, Debug)]
pub struct Table {
    client: Client,
    /// Name of the namespace, which has one level.
    pub namespace: String,
    /// Name of the table.
    pub name: String,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self { format_version: 2, is_partitioned: false, is_sorted: false }
    }
}

/// Returns rows with the ids of a range, all in one partition.
pub fn rows(ids: std::ops::Range<i64>, part: i32) -> Vec<Row> {
    ids.map(|id| Row { id, name: format!("row {id}"), part }).collect()
}

impl Table {
    /// Creates a table in a new namespace.
    pub async fn create(client: &Client, options: &TableOptions) -> Self {
        let namespace = fixture::namespace(client).await;
        let spec = if options.is_partitioned {
            json!({ "spec-id": 0, "fields": [partition_field()] })
        } else {
            json!({ "spec-id": 0, "fields": [] })
        };
        let field = json!({ "source-id": 1, "transform": "identity", "direction": "asc", "null-order": "nulls-first" });
        let order = if options.is_sorted {
            json!({ "order-id": 1, "fields": [field] })
        } else {
            json!({ "order-id": 0, "fields": [] })
        };
        let body = json!({
            "name": "t", "schema": schema(), "partition-spec": spec, "write-order": order,
            "properties": { "format-version": options.format_version.to_string() },
        });
        client.post(&fixture::tables(&namespace), &body).await.expect(200);
        Self { client: client.clone(), namespace, name: "t".to_owned() }
    }

    /// Returns the same table accessed with another client or by another name.
    #[must_use]
    pub fn with_client(&self, client: &Client, name: &str) -> Self {
        Self { client: client.clone(), namespace: self.namespace.clone(), name: name.to_owned() }
    }

    /// Returns the table's path below the warehouse prefix.
    pub fn path(&self) -> String {
        fixture::table_path(&self.namespace, &self.name)
    }

    /// Loads the table and returns the response body.
    pub async fn load(&self) -> Value {
        self.client.get(&self.path()).await.expect(200).json()
    }

    /// Returns the table's local folder.
    pub async fn folder(&self) -> PathBuf {
        PathBuf::from(local(self.load().await["metadata"]["location"].as_str().expect("a location")))
    }

    /// Returns the id of the snapshot that the branch `main` refers to; 0 if there is none.
    pub async fn snapshot_id(&self) -> i64 {
        fixture::current_snapshot(&self.load().await["metadata"]).unwrap_or_default()
    }

    /// Commits updates of the table metadata; fails the test if they are refused.
    pub async fn update(&self, updates: &[Value]) -> Value {
        self.client.post(&self.path(), &fixture::commit(&[], updates)).await.expect(200).json()
    }

    /// Appends rows in one commit, one data file for each item of `files`, and returns the paths of the
    /// files.
    pub async fn append(&self, files: &[Vec<Row>]) -> Vec<String> {
        let metadata = self.metadata().await;
        let mut change = FileChange::new(ChangeKind::Append);
        change.added_data = files.iter().map(|rows| write_rows(&metadata, rows)).collect();
        self.commit(&metadata, &change).await.expect(200);
        change.added_data.into_iter().map(|file| file.path).collect()
    }

    /// Appends one data file several times, each time in a separate commit, so that the table lists it
    /// repeatedly. Returns its path.
    pub async fn append_repeatedly(&self, rows: &[Row], times: usize) -> String {
        let mut change = FileChange::new(ChangeKind::Append);
        change.added_data = vec![write_rows(&self.metadata().await, rows)];
        for _ in 0..times {
            self.commit(&self.metadata().await, &change).await.expect(200);
        }
        change.added_data.remove(0).path
    }

    /// Appends another manifest entry for a data file that the table already lists.
    pub async fn append_duplicate_entry(&self, path: &str) {
        let metadata = self.metadata().await;
        let mut change = FileChange::new(ChangeKind::Append);
        change.added_data = vec![listed(&metadata, path)];
        self.commit(&metadata, &change).await.expect(200);
    }

    /// Appends rows like a client whose clock is behind by `behind_ms`, with additional entries in the
    /// snapshot's summary. Returns the snapshot id.
    pub async fn append_backdated(&self, rows: &[Row], behind_ms: i64, summary: &[(&str, &str)]) -> i64 {
        let metadata = self.metadata().await;
        let mut change = FileChange::new(ChangeKind::Append);
        change.added_data = vec![write_rows(&metadata, rows)];
        let new = plan(&metadata, &change, Clock::system().now_ms() - behind_ms);
        let mut body: Value = serde_json::from_str(new.body.as_str()).expect("a body");
        for update in body["updates"].as_array_mut().expect("updates") {
            for (name, value) in summary {
                if update["action"] == "add-snapshot" {
                    update["snapshot"]["summary"][name] = (*value).into();
                }
            }
        }
        for (location, content) in &new.files {
            fs::write(local(location), content).expect("a metadata file");
        }
        self.client.post(&self.path(), &body).await.expect(200);
        new.snapshot.id()
    }

    /// Adds an existing data file outside of the table's data folder, with this number of rows, as engines do
    /// when they import files.
    pub async fn add_existing_file(&self, path: &str, record_count: i64) {
        let size = fs::metadata(local(path)).expect("a file").len();
        self.add_file_entries(&[path.to_owned()], record_count, size).await;
    }

    /// Adds data files with this number of rows and bytes each, which do not have to exist.
    pub async fn add_file_entries(&self, paths: &[String], record_count: i64, size: u64) {
        let metadata = self.metadata().await;
        let size_bytes = i64::try_from(size).expect("a size");
        let file = |path: &String| {
            let (metrics, split_offsets) = (ColumnMetrics::default(), Vec::new());
            let written = WrittenFile { record_count, size_bytes, metrics, split_offsets };
            entry(FileContent::Data, path.clone(), metadata.default_spec_id(), Vec::new(), written)
        };
        let mut change = FileChange::new(ChangeKind::Append);
        change.added_data = paths.iter().map(file).collect();
        self.commit(&metadata, &change).await.expect(200);
    }

    /// Replaces data files by one new file with these rows, as an overwrite does.
    pub async fn replace(&self, paths: &[String], rows: &[Row]) {
        let metadata = self.metadata().await;
        let mut change = FileChange::new(ChangeKind::Overwrite);
        change.removed_paths = paths.to_vec();
        change.added_data = vec![write_rows(&metadata, rows)];
        self.commit(&metadata, &change).await.expect(200);
    }

    /// Deletes rows by their positions in data files, with position delete files or, from format version 3
    /// on, deletion vectors, and adds rows in the same commit, as an update does.
    pub async fn update_rows(&self, deleted: &[(String, Vec<u64>)], added: &[Row]) {
        let metadata = self.metadata().await;
        let entries = self.entries().await;
        let of = |path: &str| entries.iter().find(|entry| entry.path == path).expect("a file of the table");
        let mut change = FileChange::new(ChangeKind::RowDelta);
        for (path, positions) in deleted {
            let file = write_position_deletes(&metadata, of(path), positions);
            change.added_deletes.push(AddedDelete { file, sequence_number: None });
        }
        if !added.is_empty() {
            change.added_data = vec![write_rows(&metadata, added)];
        }
        self.commit(&metadata, &change).await.expect(200);
    }

    /// Deletes rows of one partition by their ids, with an equality delete file.
    pub async fn delete_ids(&self, ids: &[i64], part: i32) {
        let metadata = self.metadata().await;
        let mut change = FileChange::new(ChangeKind::RowDelta);
        let file = write_equality_deletes(&metadata, ids, part);
        change.added_deletes = vec![AddedDelete { file, sequence_number: None }];
        self.commit(&metadata, &change).await.expect(200);
    }

    /// Returns all rows with the columns of the current schema, sorted by id.
    pub async fn rows(&self) -> Vec<Vec<Value>> {
        let mut rows: Vec<_> = self.reference_rows().await.into_iter().map(|row| row.values).collect();
        rows.sort_by_key(|row| (row[0].as_i64(), Value::from(row.clone()).to_string()));
        rows
    }

    /// Returns all rows with their file, position and lineage.
    pub async fn reference_rows(&self) -> Vec<ReferenceRow> {
        reference_reader::rows(&self.load().await["metadata"])
    }

    /// Returns the live files of the current snapshot.
    pub async fn entries(&self) -> Vec<Entry> {
        reference_reader::entries(&self.load().await["metadata"])
    }

    /// Returns the paths of the live data files of the current snapshot.
    pub async fn data_files(&self) -> Vec<String> {
        let data = self.entries().await.into_iter().filter(|entry| entry.content == 0);
        data.map(|entry| entry.path).collect()
    }

    /// Returns the files in the table's folder that its metadata does not refer to.
    pub async fn unreferenced_files(&self) -> Vec<PathBuf> {
        let known = reference_reader::known(&self.load().await);
        let mut found = files_below(&self.folder().await);
        found.retain(|path| !known.contains(path));
        found
    }

    async fn metadata(&self) -> TableMetadata {
        let loaded = self.load().await;
        TableMetadata::parse(loaded["metadata"].to_string().as_bytes()).expect("metadata")
    }

    async fn commit(&self, metadata: &TableMetadata, change: &FileChange) -> Reply {
        let new = plan(metadata, change, Clock::system().now_ms());
        for (location, content) in &new.files {
            fs::write(local(location), content).expect("a metadata file");
        }
        self.client.send("POST", &self.path(), Some(new.body.as_str().to_owned()), &[]).await
    }
}

/// Returns all files in a folder and its subfolders.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Schema of a new table: `id`, `name` and `part`.
pub fn schema() -> Value {
    json!({ "type": "struct", "schema-id": 0, "fields": [
        { "id": 1, "name": "id", "required": true, "type": "long" },
        { "id": 2, "name": "name", "required": false, "type": "string" },
        { "id": 3, "name": "part", "required": false, "type": "int" },
    ] })
}

/// Partition field `identity(part)`.
pub fn partition_field() -> Value {
    json!({ "source-id": 3, "field-id": 1000, "name": "part", "transform": "identity" })
}

fn plan(metadata: &TableMetadata, change: &FileChange, now_ms: i64) -> NewSnapshot {
    let context = Context {
        branch: "main".to_owned(),
        snapshot_id: i64::try_from(id::random().as_u128() >> 66).expect("63 bits"),
        commit_uuid: id::random(),
        attempt: 1,
        now_ms,
    };
    let mut plan = SnapshotPlan::new(metadata, change, context).expect("a plan");
    loop {
        match plan.needs() {
            Needs::Nothing => return plan.finish().expect("a snapshot"),
            Needs::Lists(paths) => {
                for path in paths {
                    let lines = list::decode(&read(&path), MANIFEST_BYTES_MAX).expect("a manifest list");
                    plan.supply_list(&path, lines).expect("a list that fits");
                }
            }
            Needs::Manifests(lines) => {
                for line in lines {
                    let manifest =
                        Manifest::decode(&read(&line.path), MANIFEST_BYTES_MAX).expect("a manifest");
                    plan.supply_manifest(&line.path, &manifest).expect("a manifest that fits");
                }
            }
        }
    }
}

pub(crate) fn read(location: &str) -> Vec<u8> {
    fs::read(local(location)).unwrap_or_else(|error| panic!("cannot read {location}: {error}"))
}

/// Returns the location of a new file in a partition, and creates its folder.
fn new_location(metadata: &TableMetadata, partition: &PartitionTuple, ending: &str) -> String {
    let spec = metadata.default_spec().expect("a partition spec");
    let name = format!("{}.{ending}", id::random());
    let location = DataLocations::new(metadata).expect("locations").file(spec, partition, &name);
    let folder = Path::new(local(&location)).parent().expect("a folder").to_owned();
    fs::create_dir_all(folder).expect("a folder for data");
    location
}

/// Returns a data file as it is listed in the current snapshot of an unpartitioned table.
fn listed(metadata: &TableMetadata, path: &str) -> DataFile {
    let snapshot = metadata.current_snapshot().expect("a snapshot");
    let list = snapshot.manifest_list().expect("a snapshot").expect("a manifest list");
    for line in list::decode(&read(&list), MANIFEST_BYTES_MAX).expect("a manifest list") {
        let manifest = Manifest::decode(&read(&line.path), MANIFEST_BYTES_MAX).expect("a manifest");
        if let Some(file) = manifest.files(&line).find(|file| file.path() == path) {
            return DataFile { first_row_id: None, ..DataFile::read(&file, PartitionTuple::new()) };
        }
    }
    panic!("{path} is not listed");
}

fn partition_of(metadata: &TableMetadata, part: i32) -> PartitionTuple {
    match metadata.default_spec() {
        Some(spec) if !spec.is_unpartitioned() => vec![Some(Single::Int(part))],
        _ => Vec::new(),
    }
}

fn write_rows(metadata: &TableMetadata, rows: &[Row]) -> DataFile {
    let schema = metadata.current_schema().expect("a schema");
    let columns = schema.columns().expect("columns");
    let options = WriterOptions::of_data(metadata.properties(), columns, metadata.default_sort_order());
    let partition = partition_of(metadata, rows.first().map_or(0, |row| row.part));
    let location = new_location(metadata, &partition, "parquet");
    let file = fs::File::create(local(&location)).expect("a data file");
    let mut writer = FileWriter::new(file, schema, &options).expect("a writer");
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| Some(row.id)).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| Some(&row.name)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| Some(row.part)).collect::<Int32Array>()),
    ];
    let batch =
        RecordBatch::try_new(writer.schema().clone(), columns).expect("rows of the table's first schema");
    writer.write(&batch).expect("rows");
    let (_, written) = writer.finish().expect("a whole file");
    entry(FileContent::Data, location, metadata.default_spec_id(), partition, written)
}

fn write_position_deletes(metadata: &TableMetadata, target: &Entry, positions: &[u64]) -> DataFile {
    let partition: PartitionTuple = target.partition.iter().map(|part| Some(Single::Int(*part))).collect();
    let spec_id = target.spec_id;
    if metadata.format_version() >= 3 {
        let location = new_location(metadata, &partition, "puffin");
        let vector = DeletionVector::from_sorted(positions.iter().copied()).expect("ascending positions");
        let of = VectorOf { data_file: target.path.clone(), spec_id, partition, vector };
        let (bytes, mut entries) = deletion_vector::write(&location, "tests", &[of]).expect("a vector");
        fs::write(local(&location), bytes).expect("a Puffin file");
        return entries.remove(0);
    }
    let location = new_location(metadata, &partition, "parquet");
    let mut deletes = PositionDeletes::default();
    deletes.by_path.insert(target.path.clone(), positions.iter().copied().collect());
    let file = fs::File::create(local(&location)).expect("a delete file");
    let options = WriterOptions::of_position_deletes(metadata.properties());
    let (_, written) = deletes.write(file, &options).expect("deletes");
    let written = entry(FileContent::PositionDeletes, location, spec_id, partition, written);
    DataFile { referenced_data_file: Some(target.path.clone()), ..written }
}

fn write_equality_deletes(metadata: &TableMetadata, ids: &[i64], part: i32) -> DataFile {
    let mut only = schema();
    only["fields"].as_array_mut().expect("fields").truncate(1);
    let only = Schema::parse(Raw::parse(&only.to_string()).expect("JSON")).expect("a schema");
    let columns = only.columns().expect("columns");
    let options = WriterOptions::of_equality_deletes(metadata.properties(), columns);
    let partition = partition_of(metadata, part);
    let location = new_location(metadata, &partition, "parquet");
    let file = fs::File::create(local(&location)).expect("a delete file");
    let mut writer = FileWriter::new(file, &only, &options).expect("a writer");
    let column: ArrayRef = Arc::new(ids.iter().copied().collect::<Int64Array>());
    let batch = RecordBatch::try_new(writer.schema().clone(), vec![column]).expect("ids");
    writer.write(&batch).expect("ids");
    let (_, written) = writer.finish().expect("a whole file");
    let written =
        entry(FileContent::EqualityDeletes, location, metadata.default_spec_id(), partition, written);
    DataFile { equality_ids: vec![1], ..written }
}

fn entry(
    content: FileContent,
    path: String,
    spec_id: i32,
    partition: PartitionTuple,
    written: WrittenFile,
) -> DataFile {
    DataFile {
        content,
        path,
        format: "PARQUET".to_owned(),
        spec_id,
        partition,
        record_count: written.record_count,
        size_bytes: written.size_bytes,
        metrics: written.metrics,
        split_offsets: written.split_offsets,
        equality_ids: Vec::new(),
        sort_order_id: None,
        first_row_id: None,
        referenced_data_file: None,
        content_offset: None,
        content_size_bytes: None,
        key_metadata: None,
    }
}
