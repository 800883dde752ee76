//! Writers of the simulation. They compute changes from the table as they have read it, and commit them as
//! engines do: validated against concurrent commits, and retried if another commit was faster.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value as Json, json};
use table_core::expr::value::Value;
use table_core::file::arrow_schema::to_arrow;
use table_core::file::deletion_vector::{self, DeletionVector, VectorOf};
use table_core::file::parquet_writer::options::WriterOptions;
use table_core::file::parquet_writer::{FileWriter, WrittenFile};
use table_core::file::position_deletes::PositionDeletes;
use table_core::manifest::data_file::DataFile;
use table_core::manifest::entry::FileContent;
use table_core::manifest::file::Manifest;
use table_core::manifest::list;
use table_core::metadata::json::Raw;
use table_core::metadata::schema::Schema;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::change::{AddedDelete, ChangeKind, Checks, DeleteKey, FileChange};
use table_core::snapshot::commit::NewSnapshot;
use table_core::snapshot::context::Context;
use table_core::snapshot::error::SnapshotError;
use table_core::snapshot::plan::{Needs, SnapshotPlan};

use super::model::{Effect, Kind};
use super::reader::{Contents, Reader, Row};
use super::world::World;
use crate::fixture::local;

const MANIFEST_BYTES_MAX: usize = 1 << 26;
/// Maximum number of attempts of a commit.
const TRIES: u32 = 8;
/// Maximum number of rows of an append.
const ROWS_MAX: i64 = 12;

/// Operation of a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    Append,
    DeletePositions,
    DeleteKeys,
    Upsert,
    Overwrite,
}

/// Change that was computed but not committed yet.
pub(super) struct Pending {
    change: FileChange,
    effect: Effect,
    /// Locations of the data and delete files that were written for the change.
    files: Vec<String>,
}

/// Inputs and outputs of the computation of a change.
struct Job<'a> {
    world: &'a World,
    kind: Kind,
    metadata: TableMetadata,
    reader: &'a mut Reader,
    contents: Arc<Contents>,
    random: StdRng,
    files: Vec<String>,
}

/// Returns a random operation.
pub(super) fn choose(random: &mut StdRng) -> Write {
    match random.random_range(0..10) {
        0..2 => Write::Append,
        2..6 => Write::DeletePositions,
        6 => Write::DeleteKeys,
        7 | 8 => Write::Upsert,
        _ => Write::Overwrite,
    }
}

/// Computes a change from the current state of the table; `None` if there are no rows or files to change.
pub(super) async fn compute(
    world: &World,
    kind: Kind,
    next_id: i64,
    reader: &mut Reader,
    write: Write,
) -> Result<Option<Pending>, String> {
    let document = world.load(kind).await?;
    let metadata = parse(&document)?;
    let contents = match current(&document) {
        Some(snapshot) => reader.read(snapshot)?,
        None => Arc::default(),
    };
    let random = world.with_random(|random| rand::SeedableRng::seed_from_u64(random.random()));
    let mut job = Job { world, kind, metadata, reader, contents, random, files: Vec::new() };
    let computed = match write {
        Write::Append => Some(job.append(next_id)?),
        Write::DeletePositions => job.delete_positions()?,
        Write::DeleteKeys => job.delete_keys(false)?,
        Write::Upsert => job.delete_keys(true)?,
        Write::Overwrite => job.overwrite()?,
    };
    Ok(computed.map(|(change, effect)| Pending { change, effect, files: job.files }))
}

/// Commits a change; returns the snapshot id and the effect, or `None` in case of a conflict with a
/// concurrent commit.
pub(super) async fn commit(
    world: &World,
    kind: Kind,
    pending: Pending,
) -> Result<Option<(i64, Effect)>, String> {
    let commit_uuid = world.uuid();
    for attempt in 1..=TRIES {
        let document = world.load(kind).await?;
        let metadata = parse(&document)?;
        let context = Context {
            branch: "main".to_owned(),
            snapshot_id: world.snapshot_id(),
            commit_uuid,
            attempt,
            now_ms: world.clock.now_ms(),
        };
        let new = match plan(&metadata, &pending.change, context) {
            Ok(new) => new,
            Err(SnapshotError::Conflict(conflict)) => {
                world.record(&format!("  a writer gives up: {}", message_beginning(&conflict.to_string())));
                remove(&pending.files);
                return Ok(None);
            }
            Err(error) => return Err(format!("a writer cannot commit: {error}")),
        };
        for (location, bytes) in &new.files {
            write_file(location, bytes)?;
        }
        let body: Json = serde_json::from_str(new.body.as_str()).map_err(|error| error.to_string())?;
        let reply = world.client.post(&World::path(kind), &body).await;
        match reply.status {
            200 => return Ok(Some((new.snapshot.id(), pending.effect))),
            409 => remove(&new.files.iter().map(|(location, _)| location.clone()).collect::<Vec<_>>()),
            _ => return Err(format!("a writer's commit was refused: {}", reply.text())),
        }
    }
    Err("every commit of a writer had a conflict, although no other client writes".to_owned())
}

/// Deletes the files of a change that will not be committed.
pub(super) fn discard(pending: &Pending) {
    remove(&pending.files);
}

type Computed = (FileChange, Effect);

impl Job<'_> {
    fn append(&mut self, next_id: i64) -> Result<Computed, String> {
        let count = self.random.random_range(1..=ROWS_MAX);
        let rows: Vec<_> = (next_id..next_id + count).map(|id| (id, 0)).collect();
        let added_data = self.data_files(&rows)?;
        let change = FileChange { added_data, ..FileChange::new(ChangeKind::Append) };
        Ok((change, Effect { added: rows, ..Effect::default() }))
    }

    fn delete_positions(&mut self) -> Result<Option<Computed>, String> {
        let rows = self.some_rows();
        if rows.is_empty() {
            return Ok(None);
        }
        let mut by_file: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for row in &rows {
            by_file.entry(row.file).or_default().push(row.position);
        }
        let mut change = FileChange::new(ChangeKind::RowDelta);
        let deletes = if self.kind.format_version < 3 {
            self.position_files(&by_file)?
        } else {
            self.vectors(&by_file, &mut change.removed_deletes)?
        };
        change.added_deletes =
            deletes.into_iter().map(|file| AddedDelete { file, sequence_number: None }).collect();
        change.checks = Checks {
            since: self.metadata.current_snapshot_id(),
            referenced_files: by_file.keys().map(|file| self.contents.data[*file].path.clone()).collect(),
            ..Checks::default()
        };
        let rows = rows.iter().map(|row| (row.id, row.version)).collect();
        Ok(Some((change, Effect { rows, ..Effect::default() })))
    }

    fn delete_keys(&mut self, with_insert: bool) -> Result<Option<Computed>, String> {
        let rows = self.some_rows();
        if rows.is_empty() {
            return Ok(None);
        }
        let keys: Vec<i64> = rows.iter().map(|row| row.id).collect();
        let mut effect = Effect { keys: keys.clone(), ..Effect::default() };
        let mut change = FileChange::new(ChangeKind::RowDelta);
        let mut partitions: BTreeMap<Option<String>, Vec<(i64, i64)>> = BTreeMap::new();
        for id in keys {
            partitions.entry(self.kind.partition(id)).or_default().push((id, 0));
        }
        let schema = key_schema()?;
        let columns = schema.columns().map_err(|error| error.to_string())?;
        let options = WriterOptions::of_equality_deletes(self.metadata.properties(), columns);
        for (partition, keys) in partitions {
            let (location, file) = self.parquet(&schema, &options, &keys, partition.as_deref())?;
            let entry = data_file(&location, partition, file);
            let file = DataFile { content: FileContent::EqualityDeletes, equality_ids: vec![1], ..entry };
            change.added_deletes.push(AddedDelete { file, sequence_number: None });
        }
        if with_insert {
            effect.added = rows.iter().map(|row| (row.id, row.version + 1)).collect();
            change.added_data = self.data_files(&effect.added)?;
        }
        change.checks.since = self.metadata.current_snapshot_id();
        Ok(Some((change, effect)))
    }

    /// Replaces a data file by one in which some rows have new versions and some others are missing.
    fn overwrite(&mut self) -> Result<Option<Computed>, String> {
        if self.contents.data.is_empty() {
            return Ok(None);
        }
        let number = self.random.random_range(0..self.contents.data.len());
        let old: Vec<_> = self.contents.rows.iter().filter(|row| row.file == number).cloned().collect();
        let mut added = Vec::new();
        for row in &old {
            match self.random.random_range(0..4) {
                0 => {}
                1 => added.push((row.id, row.version + 1)),
                _ => added.push((row.id, row.version)),
            }
        }
        let path = self.contents.data[number].path.clone();
        let mut change = FileChange::new(ChangeKind::Overwrite);
        change.added_data = self.data_files(&added)?;
        change.removed_deletes.extend(
            self.contents
                .vector_of(&path)
                .map(|entry| DeleteKey { path: entry.path.clone(), content_offset: Some(entry.offset()) }),
        );
        change.removed_paths = vec![path];
        change.must_exist = true;
        change.checks = Checks::snapshot(self.metadata.current_snapshot_id(), None);
        let rows = old.iter().map(|row| (row.id, row.version)).collect();
        Ok(Some((change, Effect { rows, added, ..Effect::default() })))
    }

    /// Returns a few random live rows.
    fn some_rows(&mut self) -> Vec<Row> {
        let rows = &self.contents.rows;
        if rows.is_empty() {
            return Vec::new();
        }
        let count = self.random.random_range(1..=4.min(rows.len()));
        let numbers: BTreeSet<_> = (0..count).map(|_| self.random.random_range(0..rows.len())).collect();
        numbers.into_iter().map(|number| rows[number].clone()).collect()
    }

    fn data_files(&mut self, rows: &[(i64, i64)]) -> Result<Vec<DataFile>, String> {
        let mut partitions: BTreeMap<Option<String>, Vec<(i64, i64)>> = BTreeMap::new();
        for (id, version) in rows {
            partitions.entry(self.kind.partition(*id)).or_default().push((*id, *version));
        }
        let schema = self.metadata.current_schema().map_err(|error| error.to_string())?.clone();
        let columns = schema.columns().map_err(|error| error.to_string())?;
        let options = WriterOptions::of_data(self.metadata.properties(), columns, None);
        let mut files = Vec::new();
        for (partition, rows) in partitions {
            let (location, file) = self.parquet(&schema, &options, &rows, partition.as_deref())?;
            files.push(data_file(&location, partition, file));
        }
        Ok(files)
    }

    /// Writes rows to a Parquet file, with as many of the three columns as the schema has.
    fn parquet(
        &mut self,
        schema: &Schema,
        options: &WriterOptions,
        rows: &[(i64, i64)],
        partition: Option<&str>,
    ) -> Result<(String, WrittenFile), String> {
        let columns = schema.columns().map_err(|error| error.to_string())?;
        let arrow = to_arrow(&columns.root).map_err(|error| error.to_string())?;
        let all: [ArrayRef; 3] = [
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|(id, _)| *id))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, version)| *version))),
            Arc::new(rows.iter().map(|_| partition).collect::<StringArray>()),
        ];
        let batch = RecordBatch::try_new(arrow.clone(), all[..arrow.fields().len()].to_vec());
        let batch = batch.map_err(|error| error.to_string())?;
        let to_text = |error: table_core::file::error::FileError| error.to_string();
        let mut writer = FileWriter::new(Vec::new(), schema, options).map_err(to_text)?;
        writer.write(&batch).map_err(to_text)?;
        let (bytes, file) = writer.finish().map_err(to_text)?;
        let location = self.location("parquet");
        write_file(&location, &bytes)?;
        Ok((location, file))
    }

    fn position_files(&mut self, by_file: &BTreeMap<usize, Vec<u64>>) -> Result<Vec<DataFile>, String> {
        let mut partitions: BTreeMap<Option<String>, PositionDeletes> = BTreeMap::new();
        for (number, positions) in by_file {
            let file = &self.contents.data[*number];
            let deletes = partitions.entry(file.partition.clone()).or_default();
            deletes.by_path.insert(file.path.clone(), positions.iter().copied().collect());
        }
        let options = WriterOptions::of_position_deletes(self.metadata.properties());
        let mut files = Vec::new();
        for (partition, deletes) in partitions {
            let (bytes, file) = deletes.write(Vec::new(), &options).map_err(|error| error.to_string())?;
            let location = self.location("parquet");
            write_file(&location, &bytes)?;
            let entry = data_file(&location, partition, file);
            files.push(DataFile { content: FileContent::PositionDeletes, ..entry });
        }
        Ok(files)
    }

    /// Writes deletion vectors that contain the positions of the previous vectors as well.
    fn vectors(
        &mut self,
        by_file: &BTreeMap<usize, Vec<u64>>,
        replaced: &mut Vec<DeleteKey>,
    ) -> Result<Vec<DataFile>, String> {
        let mut vectors = Vec::new();
        for (number, positions) in by_file {
            let file = &self.contents.data[*number];
            let mut all: BTreeSet<u64> = positions.iter().copied().collect();
            if let Some(entry) = self.contents.vector_of(&file.path) {
                all.extend(self.reader.vector(entry)?.iter());
                let content_offset = Some(entry.offset());
                replaced.push(DeleteKey { path: entry.path.clone(), content_offset });
            }
            let vector = DeletionVector::from_sorted(all).map_err(|error| error.to_string())?;
            let partition = tuple(file.partition.clone());
            vectors.push(VectorOf { data_file: file.path.clone(), spec_id: 0, partition, vector });
        }
        let location = self.location("puffin");
        let (bytes, entries) =
            deletion_vector::write(&location, "simulation", &vectors).map_err(|error| error.to_string())?;
        write_file(&location, &bytes)?;
        Ok(entries)
    }

    fn location(&mut self, ending: &str) -> String {
        let location = format!("{}/data/w-{}.{ending}", self.metadata.location(), self.world.uuid());
        self.files.push(location.clone());
        location
    }
}

pub(super) fn parse(document: &Json) -> Result<TableMetadata, String> {
    TableMetadata::parse(document.to_string().as_bytes()).map_err(|error| error.to_string())
}

/// Returns the snapshot that the branch `main` refers to.
pub(super) fn current(document: &Json) -> Option<&Json> {
    let id = document["refs"]["main"]["snapshot-id"].as_i64()?;
    document["snapshots"].as_array()?.iter().find(|snapshot| snapshot["snapshot-id"] == id)
}

fn plan(
    metadata: &TableMetadata,
    change: &FileChange,
    context: Context,
) -> Result<NewSnapshot, SnapshotError> {
    let mut plan = SnapshotPlan::new(metadata, change, context)?;
    let read = |path: &str| {
        fs::read(local(path)).map_err(|error| SnapshotError::Invalid(format!("`{path}`: {error}")))
    };
    let wrong = |path: &str, reason| SnapshotError::Manifest { path: path.to_owned(), reason };
    loop {
        match plan.needs() {
            Needs::Lists(paths) => {
                for path in paths {
                    let lines = list::decode(&read(&path)?, MANIFEST_BYTES_MAX);
                    plan.supply_list(&path, lines.map_err(|reason| wrong(&path, reason))?)?;
                }
            }
            Needs::Manifests(lines) => {
                for line in lines {
                    let manifest = Manifest::decode(&read(&line.path)?, MANIFEST_BYTES_MAX);
                    plan.supply_manifest(&line.path, &manifest.map_err(|reason| wrong(&line.path, reason))?)?;
                }
            }
            Needs::Nothing => return plan.finish(),
        }
    }
}

fn data_file(location: &str, partition: Option<String>, written: WrittenFile) -> DataFile {
    DataFile {
        content: FileContent::Data,
        path: location.to_owned(),
        format: "PARQUET".to_owned(),
        spec_id: 0,
        partition: tuple(partition),
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

fn tuple(partition: Option<String>) -> Vec<Option<Value>> {
    partition.map(|partition| Some(Value::String(partition))).into_iter().collect()
}

fn key_schema() -> Result<Schema, String> {
    let key = json!({ "type": "struct", "schema-id": 0, "fields": [
        { "id": 1, "name": "id", "required": true, "type": "long" },
    ] });
    let raw = Raw::parse(&key.to_string()).and_then(Schema::parse);
    raw.map_err(|error| error.to_string())
}

fn write_file(location: &str, bytes: &[u8]) -> Result<(), String> {
    let path = Path::new(local(location));
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, bytes));
    written.map_err(|error| format!("`{location}`: {error}"))
}

fn remove(files: &[String]) {
    for location in files {
        // A file that no longer exists does not have to be deleted.
        let _ = fs::remove_file(local(location));
    }
}

/// Returns the beginning of a message, without the parts that differ from run to run.
pub(super) fn message_beginning(message: &str) -> &str {
    message.split(['`', '/']).next().unwrap_or_default().trim_end_matches([' ', ':'])
}
