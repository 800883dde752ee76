//! Manifests whose data files do not exist, which is enough to plan scans. They are written with the crate
//! `apache-avro`, independently of Firn's own writer.

use apache_avro::types::Value as Avro;
use apache_avro::{Schema, Writer};
use serde_json::{Value, json};

use crate::fixture;
use crate::http::Client;

/// Appends data files to a table with [`fixture::schema`], one manifest for each count in `files`. The paths
/// are `data/<manifest>-<number>.parquet`, each with ten rows. Returns the snapshot id and the location of
/// the manifest list.
pub async fn append(client: &Client, path: &str, snapshot_id: i64, files: &[u32]) -> (i64, String) {
    let loaded = client.get(path).await.expect(200).json();
    let location = loaded["metadata"]["location"].as_str().expect("a location").to_owned();
    let mut lines = Vec::new();
    for (number, count) in files.iter().enumerate() {
        let manifest = format!("{location}/metadata/{snapshot_id}-m{number}.avro");
        let entries =
            (0..*count).map(|file| entry(&format!("{location}/data/{number}-{file}.parquet"), file));
        let bytes = write(&entry_schema(), entries);
        lines.push(line(&manifest, bytes.len(), snapshot_id, *count));
        std::fs::write(fixture::local(&manifest), bytes).expect("a manifest");
    }
    let list = format!("{location}/metadata/snap-{snapshot_id}.avro");
    std::fs::write(fixture::local(&list), write(&list_schema(), lines.into_iter())).expect("a manifest list");
    let updates = fixture::append(&loaded["metadata"], snapshot_id, "files");
    client.post(path, &fixture::commit(&[], &updates)).await.expect(200);
    (snapshot_id, list)
}

/// Metrics of one column of a data file with two rows.
pub struct Column {
    /// Field id of the column.
    pub id: i32,
    /// Lower bound, in the binary single-value serialisation.
    pub lower: Vec<u8>,
    /// Upper bound, in the binary single-value serialisation.
    pub upper: Vec<u8>,
    /// Number of NaN values, if known (`nan_value_counts`).
    pub nans: Option<i64>,
}

/// Appends one manifest to a table, with a data file `data/<number>.parquet` of two rows for each item of
/// `files`, which contains the metrics of its only known column.
pub async fn append_columns(client: &Client, path: &str, snapshot_id: i64, files: Vec<Column>) {
    let loaded = client.get(path).await.expect(200).json();
    let location = loaded["metadata"]["location"].as_str().expect("a location").to_owned();
    let manifest = format!("{location}/metadata/{snapshot_id}-m.avro");
    let count = u32::try_from(files.len()).expect("a few files");
    let entries = files
        .into_iter()
        .enumerate()
        .map(|(number, column)| file_entry(&format!("{location}/data/{number}.parquet"), 2, column));
    let bytes = write(&entry_schema(), entries);
    let lines = vec![line(&manifest, bytes.len(), snapshot_id, count)];
    std::fs::write(fixture::local(&manifest), bytes).expect("a manifest");
    let list = format!("{location}/metadata/snap-{snapshot_id}.avro");
    std::fs::write(fixture::local(&list), write(&list_schema(), lines.into_iter())).expect("a manifest list");
    let updates = fixture::append(&loaded["metadata"], snapshot_id, "files");
    client.post(path, &fixture::commit(&[], &updates)).await.expect(200);
}

fn write(schema: &Value, records: impl Iterator<Item = Avro>) -> Vec<u8> {
    let schema = Schema::parse(schema).expect("an Avro schema");
    let mut writer = Writer::new(&schema, Vec::new());
    for record in records {
        writer.append(record).expect("a record of the schema");
    }
    writer.into_inner().expect("a file")
}

fn field(id: i32, name: &str, schema: impl Into<Value>) -> Value {
    json!({ "name": name, "type": schema.into(), "field-id": id })
}

fn record(name: &str, fields: &[Value]) -> Value {
    json!({ "type": "record", "name": name, "fields": fields })
}

fn pairs(key_id: i32, value: &str) -> Value {
    let fields = [field(key_id, "key", "int"), field(key_id + 1, "value", value)];
    json!({ "type": "array", "logicalType": "map", "items": record(&format!("k{key_id}"), &fields) })
}

fn entry_schema() -> Value {
    let file = [
        field(134, "content", "int"),
        field(100, "file_path", "string"),
        field(101, "file_format", "string"),
        field(102, "partition", record("r102", &[])),
        field(103, "record_count", "long"),
        field(104, "file_size_in_bytes", "long"),
        field(109, "value_counts", pairs(119, "long")),
        field(137, "nan_value_counts", pairs(138, "long")),
        field(125, "lower_bounds", pairs(126, "bytes")),
        field(128, "upper_bounds", pairs(129, "bytes")),
    ];
    let entry = [
        field(0, "status", "int"),
        field(1, "snapshot_id", json!(["null", "long"])),
        field(2, "data_file", record("r2", &file)),
    ];
    record("manifest_entry", &entry)
}

/// Returns an entry for a data file with ten rows, whose `id`s start at ten times `number`.
fn entry(path: &str, number: u32) -> Avro {
    let bound = |id: i64| id.to_le_bytes().to_vec();
    let first = i64::from(number) * 10;
    file_entry(path, 10, Column { id: 1, lower: bound(first), upper: bound(first + 9), nans: None })
}

fn file_entry(path: &str, rows: i64, column: Column) -> Avro {
    let Column { id, lower, upper, nans } = column;
    let pairs = |value: Option<Avro>| {
        let pair = |value| Avro::Record(named([("key", Avro::Int(id)), ("value", value)]));
        Avro::Array(value.map(pair).into_iter().collect())
    };
    let file = named([
        ("content", Avro::Int(0)),
        ("file_path", Avro::String(path.to_owned())),
        ("file_format", Avro::String("PARQUET".to_owned())),
        ("partition", Avro::Record(Vec::new())),
        ("record_count", Avro::Long(rows)),
        ("file_size_in_bytes", Avro::Long(1_000)),
        ("value_counts", pairs(nans.map(|_| Avro::Long(rows)))),
        ("nan_value_counts", pairs(nans.map(Avro::Long))),
        ("lower_bounds", pairs(Some(Avro::Bytes(lower)))),
        ("upper_bounds", pairs(Some(Avro::Bytes(upper)))),
    ]);
    let null = Avro::Union(0, Box::new(Avro::Null));
    Avro::Record(named([("status", Avro::Int(1)), ("snapshot_id", null), ("data_file", Avro::Record(file))]))
}

fn list_schema() -> Value {
    let fields = [
        field(500, "manifest_path", "string"),
        field(501, "manifest_length", "long"),
        field(502, "partition_spec_id", "int"),
        field(517, "content", "int"),
        field(515, "sequence_number", "long"),
        field(516, "min_sequence_number", "long"),
        field(503, "added_snapshot_id", "long"),
        field(504, "added_files_count", "int"),
        field(505, "existing_files_count", "int"),
        field(506, "deleted_files_count", "int"),
    ];
    record("manifest_file", &fields)
}

fn line(path: &str, length: usize, snapshot_id: i64, files: u32) -> Avro {
    let int = |number: u32| Avro::Int(i32::try_from(number).expect("a small number"));
    Avro::Record(named([
        ("manifest_path", Avro::String(path.to_owned())),
        ("manifest_length", Avro::Long(i64::try_from(length).expect("a small file"))),
        ("partition_spec_id", int(0)),
        ("content", int(0)),
        ("sequence_number", Avro::Long(1)),
        ("min_sequence_number", Avro::Long(1)),
        ("added_snapshot_id", Avro::Long(snapshot_id)),
        ("added_files_count", int(files)),
        ("existing_files_count", int(0)),
        ("deleted_files_count", int(0)),
    ]))
}

fn named<const N: usize>(fields: [(&str, Avro); N]) -> Vec<(String, Avro)> {
    fields.map(|(name, value)| (name.to_owned(), value)).into()
}
