//! Reader of a table's content that is independent of Firn's own: manifests are read with `apache-avro`, rows
//! with `parquet`. Nothing is written.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

use apache_avro::Reader;
use apache_avro::types::Value as Avro;
use arrow_array::{Array, ArrayRef, Float64Array, Int32Array, Int64Array, StringArray};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use table_core::file::deletion_vector::DeletionVector;

use super::read;
use crate::fixture::{current_snapshot, local};

const ROW_ID: i32 = 2_147_483_540;
const LAST_UPDATED: i32 = 2_147_483_539;
const DELETED_PATH: i32 = 2_147_483_546;
const DELETED_POSITION: i32 = 2_147_483_545;
/// Status of a manifest entry for a removed file (`DELETED`).
const REMOVED: i64 = 2;

/// Manifest entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Content of the file: 0 for data, 1 for position deletes, 2 for equality deletes.
    pub content: i64,
    /// URI of the file, as in the manifest.
    pub path: String,
    /// Id of the partition spec.
    pub spec_id: i32,
    /// Partition tuple: the `part`, or empty in an unpartitioned table.
    pub partition: Vec<i32>,
    /// Number of rows or deletes.
    pub record_count: i64,
    /// Data sequence number.
    pub sequence_number: i64,
    is_live: bool,
    is_puffin: bool,
    first_row_id: Option<i64>,
    data_file: Option<String>,
    place: Option<(i64, i64)>,
}

/// Row that is not deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceRow {
    /// URI of the data file.
    pub path: String,
    /// Position of the row in the file, from 0.
    pub position: u64,
    /// Values of the columns of the current schema.
    pub values: Vec<Value>,
    /// Row lineage from format version 3 on: row id (`_row_id`) and `_last_updated_sequence_number`. In older
    /// versions, `None` and the data sequence number of the file.
    pub lineage: (Option<i64>, i64),
}

/// Deletes of a snapshot, with their data sequence numbers.
#[derive(Default)]
struct Deletes {
    positions: HashMap<String, Vec<(i64, BTreeSet<u64>)>>,
    /// Equality deletes, by `id`.
    ids: Vec<(i64, HashSet<i64>)>,
}

/// Returns the live rows of the current snapshot.
pub fn rows(metadata: &Value) -> Vec<ReferenceRow> {
    let schema_id = &metadata["current-schema-id"];
    let schemas = metadata["schemas"].as_array().expect("schemas");
    let schema = schemas.iter().find(|schema| schema["schema-id"] == *schema_id).expect("the current schema");
    let fields = schema["fields"].as_array().expect("fields");
    let ids: Vec<i32> = fields.iter().map(|field| to_i32(&field["id"])).collect();
    let (data, deletes): (Vec<_>, Vec<_>) =
        entries(metadata).into_iter().partition(|entry| entry.content == 0);
    let deletes = Deletes::read(&deletes);
    data.iter().flat_map(|entry| rows_of(entry, &ids, &deletes)).collect()
}

/// Returns the live files of the current snapshot.
pub fn entries(metadata: &Value) -> Vec<Entry> {
    let current = current_snapshot(metadata);
    let snapshots = metadata["snapshots"].as_array().into_iter().flatten();
    let found = snapshots.filter(|snapshot| snapshot["snapshot-id"].as_i64() == current);
    let mut entries: Vec<_> = found.flat_map(|snapshot| entries_of(snapshot, &mut HashSet::new())).collect();
    entries.retain(|entry| entry.is_live);
    entries
}

/// Returns the paths of all files that a loaded table refers to: metadata files, manifest lists, manifests,
/// and the files in these.
pub fn known(loaded: &Value) -> HashSet<PathBuf> {
    let mut found = HashSet::new();
    let metadata = &loaded["metadata"];
    let log = metadata["metadata-log"].as_array().into_iter().flatten().map(|line| &line["metadata-file"]);
    found.extend(log.chain([&loaded["metadata-location"]]).filter_map(Value::as_str).map(str::to_owned));
    for snapshot in metadata["snapshots"].as_array().into_iter().flatten() {
        let entries = entries_of(snapshot, &mut found);
        found.extend(entries.into_iter().map(|entry| entry.path));
    }
    found.iter().map(|location| PathBuf::from(local(location))).collect()
}

/// Returns all manifest entries of a snapshot, and adds the manifest list and the manifests to `files`.
fn entries_of(snapshot: &Value, files: &mut HashSet<String>) -> Vec<Entry> {
    let list = snapshot["manifest-list"].as_str().expect("a manifest list");
    files.insert(list.to_owned());
    let mut found = Vec::new();
    for line in avro(list) {
        let path = text(&line, "manifest_path").expect("a manifest's path");
        let sequence_number = long(&line, "sequence_number").unwrap_or(0);
        let mut next_row_id = long(&line, "first_row_id");
        for record in avro(&path) {
            let mut entry = Entry::read(&record, sequence_number);
            entry.spec_id =
                i32::try_from(long(&line, "partition_spec_id").unwrap_or(0)).expect("a spec's id");
            if entry.is_live && entry.content == 0 && entry.first_row_id.is_none() {
                entry.first_row_id = next_row_id;
                next_row_id = next_row_id.map(|next| next + entry.record_count);
            }
            found.push(entry);
        }
        files.insert(path);
    }
    found
}

impl Entry {
    fn read(record: &Avro, sequence_number: i64) -> Self {
        let file = field(record, "data_file").expect("a file");
        let partition = match field(file, "partition") {
            Some(Avro::Record(values)) => values.iter().filter_map(|(_, value)| to_long(value)).collect(),
            _ => Vec::new(),
        };
        let partition = partition.into_iter().map(|part: i64| i32::try_from(part).expect("a part"));
        Self {
            content: long(file, "content").unwrap_or(0),
            path: text(file, "file_path").expect("a path"),
            spec_id: 0,
            partition: partition.collect(),
            record_count: long(file, "record_count").expect("a count"),
            sequence_number: long(record, "sequence_number").unwrap_or(sequence_number),
            is_live: long(record, "status") != Some(REMOVED),
            is_puffin: text(file, "file_format").is_some_and(|format| format.eq_ignore_ascii_case("puffin")),
            first_row_id: long(file, "first_row_id"),
            data_file: text(file, "referenced_data_file"),
            place: long(file, "content_offset").zip(long(file, "content_size_in_bytes")),
        }
    }
}

impl Deletes {
    fn read(entries: &[Entry]) -> Self {
        let mut deletes = Self::default();
        for entry in entries {
            let number = entry.sequence_number;
            if entry.is_puffin {
                let (offset, length) = entry.place.expect("a place in the file");
                let at = |number: i64| usize::try_from(number).expect("a small file");
                let file = read(&entry.path);
                let blob = &file[at(offset)..at(offset + length)];
                let vector = DeletionVector::decode(blob).expect("a vector");
                let target = entry.data_file.clone().expect("a data file");
                deletes.positions.entry(target).or_default().push((number, vector.iter().collect()));
                continue;
            }
            let columns = Columns::read(&entry.path);
            if entry.content == 2 {
                deletes.ids.push((number, columns.longs(1).into_iter().flatten().collect()));
                continue;
            }
            let mut by_path: HashMap<String, BTreeSet<u64>> = HashMap::new();
            for (path, position) in
                columns.texts(DELETED_PATH).into_iter().zip(columns.longs(DELETED_POSITION))
            {
                let position = u64::try_from(position.expect("a position")).expect("a position");
                by_path.entry(path).or_default().insert(position);
            }
            for (path, positions) in by_path {
                deletes.positions.entry(path).or_default().push((number, positions));
            }
        }
        deletes
    }

    fn is_deleted(&self, entry: &Entry, position: u64, id: Option<i64>) -> bool {
        let by_position = self.positions.get(&entry.path).into_iter().flatten();
        let mut by_position = by_position
            .filter(|(number, _)| *number >= entry.sequence_number)
            .map(|(_, positions)| positions);
        let mut by_id = self.ids.iter().filter(|(number, _)| *number > entry.sequence_number);
        by_position.any(|positions| positions.contains(&position))
            || id.is_some_and(|id| by_id.any(|(_, ids)| ids.contains(&id)))
    }
}

fn rows_of(entry: &Entry, ids: &[i32], deletes: &Deletes) -> Vec<ReferenceRow> {
    let columns = Columns::read(&entry.path);
    assert_eq!(columns.rows, usize::try_from(entry.record_count).expect("a count"), "rows in {}", entry.path);
    let keys = columns.longs(1);
    let (row_ids, updated) = (columns.longs(ROW_ID), columns.longs(LAST_UPDATED));
    let mut rows = Vec::new();
    for row in 0..columns.rows {
        let position = row as u64;
        if deletes.is_deleted(entry, position, keys.get(row).copied().flatten()) {
            continue;
        }
        let offset = i64::try_from(row).expect("a position");
        let row_id = row_ids.get(row).copied().flatten();
        let row_id = row_id.or_else(|| Some(entry.first_row_id? + offset));
        let updated = updated.get(row).copied().flatten().unwrap_or(entry.sequence_number);
        rows.push(ReferenceRow {
            path: entry.path.clone(),
            position,
            values: ids.iter().map(|id| columns.value(*id, row)).collect(),
            lineage: (row_id, updated),
        });
    }
    rows
}

/// Columns of a Parquet file, by field id.
struct Columns {
    rows: usize,
    by_id: HashMap<i32, Vec<ArrayRef>>,
}

impl Columns {
    fn read(location: &str) -> Self {
        let bytes = Bytes::from(read(location));
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes);
        let builder = builder.unwrap_or_else(|error| panic!("{location} is no Parquet file: {error}"));
        let fields = builder.parquet_schema().root_schema().get_fields();
        let ids: Vec<i32> = fields.iter().map(|field| field.get_basic_info().id()).collect();
        let mut columns = Self { rows: 0, by_id: HashMap::new() };
        for batch in builder.build().expect("a reader") {
            let batch = batch.expect("rows");
            columns.rows += batch.num_rows();
            for (id, column) in ids.iter().zip(batch.columns()) {
                columns.by_id.entry(*id).or_default().push(column.clone());
            }
        }
        columns
    }

    fn longs(&self, id: i32) -> Vec<Option<i64>> {
        let arrays = self.by_id.get(&id).into_iter().flatten();
        let longs = |array: &ArrayRef| {
            let array = array.as_any().downcast_ref::<Int64Array>().expect("a column of longs").clone();
            (0..array.len()).map(move |row| array.is_valid(row).then(|| array.value(row)))
        };
        arrays.flat_map(longs).collect()
    }

    fn texts(&self, id: i32) -> Vec<String> {
        let arrays = self.by_id.get(&id).into_iter().flatten();
        let texts = |array: &ArrayRef| {
            let array = array.as_any().downcast_ref::<StringArray>().expect("a column of text").clone();
            (0..array.len()).map(move |row| array.value(row).to_owned())
        };
        arrays.flat_map(texts).collect()
    }

    fn value(&self, id: i32, mut row: usize) -> Value {
        for array in self.by_id.get(&id).into_iter().flatten() {
            if row < array.len() {
                return value(array, row);
            }
            row -= array.len();
        }
        Value::Null
    }
}

fn value(array: &ArrayRef, row: usize) -> Value {
    let array = array.as_any();
    if let Some(array) = array.downcast_ref::<Int64Array>().filter(|array| array.is_valid(row)) {
        return json!(array.value(row));
    }
    if let Some(array) = array.downcast_ref::<Int32Array>().filter(|array| array.is_valid(row)) {
        return json!(array.value(row));
    }
    if let Some(array) = array.downcast_ref::<Float64Array>().filter(|array| array.is_valid(row)) {
        return json!(array.value(row));
    }
    if let Some(array) = array.downcast_ref::<StringArray>().filter(|array| array.is_valid(row)) {
        return json!(array.value(row));
    }
    Value::Null
}

fn avro(location: &str) -> Vec<Avro> {
    let bytes = read(location);
    let records =
        Reader::new(&bytes[..]).unwrap_or_else(|error| panic!("{location} is no Avro file: {error}"));
    records.map(|record| record.expect("a record")).collect()
}

/// Returns a field of a record; `None` if it is null or absent.
fn field<'a>(record: &'a Avro, name: &str) -> Option<&'a Avro> {
    let Avro::Record(fields) = record else { panic!("not a record: {record:?}") };
    let (_, value) = fields.iter().find(|(field, _)| field == name)?;
    match value {
        Avro::Union(_, value) => Some(&**value).filter(|value| **value != Avro::Null),
        value => Some(value),
    }
}

fn to_long(value: &Avro) -> Option<i64> {
    match value {
        Avro::Int(number) => Some(i64::from(*number)),
        Avro::Long(number) => Some(*number),
        Avro::Union(_, value) => to_long(value),
        _ => None,
    }
}

fn long(record: &Avro, name: &str) -> Option<i64> {
    field(record, name).and_then(to_long)
}

fn text(record: &Avro, name: &str) -> Option<String> {
    match field(record, name)? {
        Avro::String(text) => Some(text.clone()),
        other => panic!("`{name}` is no text: {other:?}"),
    }
}

fn to_i32(value: &Value) -> i32 {
    value.as_i64().and_then(|number| i32::try_from(number).ok()).expect("an id")
}
