//! Writer for manifests and manifest lists in the form of Iceberg's libraries: Avro with field ids and
//! deflate compression.

#![expect(clippy::needless_pass_by_value, reason = "schemas are put together from parts that end in them")]

use std::fs;

use apache_avro::{Codec, DeflateSettings, Schema, Writer};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use tests::fixture;

use super::table::{COLUMNS_COUNT, File, ONLY_NULLS, ROWS, SNAPSHOT_ID, WrittenManifest, region_name};

/// Size of an uncompressed Avro block in bytes, as in Java's writer.
const BLOCK_BYTES: usize = 64_000;
/// Field ids of columns of type double, which may contain NaN.
const DOUBLES: std::ops::RangeInclusive<i32> = 9..=12;

#[derive(Serialize)]
struct Entry {
    status: i32,
    snapshot_id: Option<i64>,
    sequence_number: Option<i64>,
    file_sequence_number: Option<i64>,
    data_file: DataFile,
}

#[derive(Serialize)]
struct DataFile {
    content: i32,
    file_path: String,
    file_format: &'static str,
    partition: Partition,
    record_count: i64,
    file_size_in_bytes: i64,
    column_sizes: Option<Vec<Pair<i64>>>,
    value_counts: Option<Vec<Pair<i64>>>,
    null_value_counts: Option<Vec<Pair<i64>>>,
    nan_value_counts: Option<Vec<Pair<i64>>>,
    lower_bounds: Option<Vec<Pair<Bytes>>>,
    upper_bounds: Option<Vec<Pair<Bytes>>>,
    key_metadata: Option<Bytes>,
    split_offsets: Option<Vec<i64>>,
    equality_ids: Option<Vec<i32>>,
    sort_order_id: Option<i32>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Partition {
    Day { ts_day: Option<u32> },
    DayAndBucket { ts_day: Option<u32>, id_bucket: Option<u32> },
    RegionAndDay { region: Option<String>, ts_day: Option<u32> },
}

#[derive(Serialize)]
struct Pair<T> {
    key: i32,
    value: T,
}

struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

#[derive(Serialize)]
struct ManifestFile<'a> {
    manifest_path: &'a str,
    manifest_length: i64,
    partition_spec_id: u32,
    content: i32,
    sequence_number: i64,
    min_sequence_number: i64,
    added_snapshot_id: i64,
    added_files_count: u32,
    existing_files_count: u32,
    deleted_files_count: u32,
    added_rows_count: i64,
    existing_rows_count: i64,
    deleted_rows_count: i64,
    partitions: Option<Vec<Summary>>,
    key_metadata: Option<Bytes>,
}

#[derive(Serialize)]
struct Summary {
    contains_null: bool,
    contains_nan: Option<bool>,
    lower_bound: Option<Bytes>,
    upper_bound: Option<Bytes>,
}

/// Writes a manifest of added data files to a `file:` location, and returns its size in bytes.
///
/// # Errors
///
/// Fails if the manifest cannot be encoded or written.
pub fn write(
    path: &str,
    location: &str,
    table_schema: &Value,
    spec: &Value,
    files: impl Iterator<Item = File>,
) -> anyhow::Result<i64> {
    let schema = Schema::parse(&entry_schema(spec))?;
    let mut writer = writer(&schema);
    for (key, value) in [
        ("schema", table_schema.to_string()),
        ("schema-id", "0".to_owned()),
        ("partition-spec", spec["fields"].to_string()),
        ("partition-spec-id", spec["spec-id"].to_string()),
        ("format-version", "2".to_owned()),
        ("content", "data".to_owned()),
    ] {
        writer.add_user_metadata(key.to_owned(), value)?;
    }
    for file in files {
        writer.append_ser(Entry::new(&file, location))?;
    }
    let bytes = writer.into_inner()?;
    fs::write(fixture::local(path), &bytes)?;
    Ok(i64::try_from(bytes.len())?)
}

/// Writes the manifest list of a table to a `file:` location.
///
/// # Errors
///
/// Fails if the manifest list cannot be encoded or written.
pub fn write_list(path: &str, manifests: &[WrittenManifest], files: u32) -> anyhow::Result<()> {
    let schema = Schema::parse(&list_schema())?;
    let mut writer = writer(&schema);
    for (key, value) in [
        ("snapshot-id", SNAPSHOT_ID.to_string()),
        ("parent-snapshot-id", "null".to_owned()),
        ("sequence-number", "1".to_owned()),
        ("format-version", "2".to_owned()),
    ] {
        writer.add_user_metadata(key.to_owned(), value)?;
    }
    for manifest in manifests {
        writer.append_ser(ManifestFile::new(manifest, files))?;
    }
    Ok(fs::write(fixture::local(path), writer.into_inner()?)?)
}

fn writer(schema: &Schema) -> Writer<'_, Vec<u8>> {
    Writer::builder()
        .schema(schema)
        .writer(Vec::new())
        .codec(Codec::Deflate(DeflateSettings::default()))
        .block_size(BLOCK_BYTES)
        .build()
}

impl Entry {
    fn new(file: &File, location: &str) -> Entry {
        let column_bytes = |id: i32| 2_000 + (file.chance(id + 100) % 4_000_000).cast_signed();
        let counts = |count: &dyn Fn(i32) -> i64| {
            Some((1..=COLUMNS_COUNT).map(|id| Pair { key: id, value: count(id) }).collect::<Vec<_>>())
        };
        let (mut lower_bounds, mut upper_bounds) = (Vec::new(), Vec::new());
        for id in 1..=COLUMNS_COUNT {
            if let Some((lower, upper)) = file.bounds(id) {
                lower_bounds.push(Pair { key: id, value: Bytes(lower) });
                upper_bounds.push(Pair { key: id, value: Bytes(upper) });
            }
        }
        let nulls = |id: i32| match id {
            ONLY_NULLS => ROWS,
            5.. => (file.chance(id + 200) % 100).cast_signed(),
            _ => 0,
        };
        let data_file = DataFile {
            content: 0,
            file_path: file.path(location),
            file_format: "PARQUET",
            partition: match file.spec {
                0 => Partition::Day { ts_day: Some(file.day) },
                1 => Partition::DayAndBucket { ts_day: Some(file.day), id_bucket: Some(file.bucket) },
                _ => {
                    Partition::RegionAndDay { region: Some(region_name(file.region)), ts_day: Some(file.day) }
                }
            },
            record_count: ROWS,
            file_size_in_bytes: (1..=COLUMNS_COUNT).map(column_bytes).sum(),
            column_sizes: counts(&column_bytes),
            value_counts: counts(&|_| ROWS),
            null_value_counts: counts(&nulls),
            nan_value_counts: Some(DOUBLES.map(|id| Pair { key: id, value: 0 }).collect()),
            lower_bounds: Some(lower_bounds),
            upper_bounds: Some(upper_bounds),
            key_metadata: None,
            split_offsets: Some(vec![4]),
            equality_ids: None,
            sort_order_id: Some(0),
        };
        Entry {
            status: 1,
            snapshot_id: Some(SNAPSHOT_ID),
            sequence_number: None,
            file_sequence_number: None,
            data_file,
        }
    }
}

impl<'a> ManifestFile<'a> {
    fn new(manifest: &'a WrittenManifest, files: u32) -> ManifestFile<'a> {
        let numbers = manifest.files.clone();
        let files_of_manifest = || numbers.clone().map(|number| File::new(number, manifest.spec, files));
        let summary = |value: &dyn Fn(&File) -> Vec<u8>| Summary {
            contains_null: false,
            contains_nan: Some(false),
            // The values are small numbers and texts with a single digit, for which the order of the reversed
            // bytes is the order of the values.
            lower_bound: files_of_manifest()
                .map(|file| value(&file))
                .min_by(|left, right| left.iter().rev().cmp(right.iter().rev()))
                .map(Bytes),
            upper_bound: files_of_manifest()
                .map(|file| value(&file))
                .max_by(|left, right| left.iter().rev().cmp(right.iter().rev()))
                .map(Bytes),
        };
        let day = summary(&|file| file.day.to_le_bytes().to_vec());
        let partitions = match manifest.spec {
            0 => vec![day],
            1 => vec![day, summary(&|file| file.bucket.to_le_bytes().to_vec())],
            _ => vec![summary(&|file| region_name(file.region).into_bytes()), day],
        };
        let added = numbers.end - numbers.start;
        ManifestFile {
            manifest_path: &manifest.path,
            manifest_length: manifest.bytes,
            partition_spec_id: manifest.spec,
            content: 0,
            sequence_number: 1,
            min_sequence_number: 1,
            added_snapshot_id: SNAPSHOT_ID,
            added_files_count: added,
            existing_files_count: 0,
            deleted_files_count: 0,
            added_rows_count: i64::from(added) * ROWS,
            existing_rows_count: 0,
            deleted_rows_count: 0,
            partitions: Some(partitions),
            key_metadata: None,
        }
    }
}

/// Returns an Avro field with its Iceberg field id.
fn field(id: i32, name: &str, kind: Value) -> Value {
    json!({ "name": name, "type": kind, "field-id": id })
}

fn optional(id: i32, name: &str, kind: Value) -> Value {
    json!({ "name": name, "type": ["null", kind], "default": null, "field-id": id })
}

fn record(name: &str, fields: Vec<Value>) -> Value {
    json!({ "type": "record", "name": name, "fields": fields })
}

/// Returns an optional field of a map with integer keys: an array of key-value pairs.
fn map(id: i32, name: &str, (key_id, value_id): (i32, i32), value: &str) -> Value {
    let pair = record(
        &format!("k{key_id}_v{value_id}"),
        vec![field(key_id, "key", json!("int")), field(value_id, "value", json!(value))],
    );
    optional(id, name, json!({ "type": "array", "items": pair, "logicalType": "map" }))
}

fn list(id: i32, name: &str, element_id: i32, element: &Value) -> Value {
    optional(id, name, json!({ "type": "array", "items": element, "element-id": element_id }))
}

fn entry_schema(spec: &Value) -> Value {
    let fields = spec["fields"].as_array().into_iter().flatten().map(|partition_field| {
        let kind = match partition_field["transform"].as_str() {
            Some("day") => json!({ "type": "int", "logicalType": "date" }),
            Some("identity") => json!("string"),
            _ => json!("int"),
        };
        let mut declared = optional(0, partition_field["name"].as_str().unwrap_or_default(), kind);
        declared["field-id"] = partition_field["field-id"].clone();
        declared
    });
    let partition = record("r102", fields.collect());
    let data_file = record(
        "r2",
        vec![
            field(134, "content", json!("int")),
            field(100, "file_path", json!("string")),
            field(101, "file_format", json!("string")),
            field(102, "partition", partition),
            field(103, "record_count", json!("long")),
            field(104, "file_size_in_bytes", json!("long")),
            map(108, "column_sizes", (117, 118), "long"),
            map(109, "value_counts", (119, 120), "long"),
            map(110, "null_value_counts", (121, 122), "long"),
            map(137, "nan_value_counts", (138, 139), "long"),
            map(125, "lower_bounds", (126, 127), "bytes"),
            map(128, "upper_bounds", (129, 130), "bytes"),
            optional(131, "key_metadata", json!("bytes")),
            list(132, "split_offsets", 133, &json!("long")),
            list(135, "equality_ids", 136, &json!("int")),
            optional(140, "sort_order_id", json!("int")),
        ],
    );
    record(
        "manifest_entry",
        vec![
            field(0, "status", json!("int")),
            optional(1, "snapshot_id", json!("long")),
            optional(3, "sequence_number", json!("long")),
            optional(4, "file_sequence_number", json!("long")),
            field(2, "data_file", data_file),
        ],
    )
}

fn list_schema() -> Value {
    let summary = record(
        "r508",
        vec![
            field(509, "contains_null", json!("boolean")),
            optional(518, "contains_nan", json!("boolean")),
            optional(510, "lower_bound", json!("bytes")),
            optional(511, "upper_bound", json!("bytes")),
        ],
    );
    record(
        "manifest_file",
        vec![
            field(500, "manifest_path", json!("string")),
            field(501, "manifest_length", json!("long")),
            field(502, "partition_spec_id", json!("int")),
            field(517, "content", json!("int")),
            field(515, "sequence_number", json!("long")),
            field(516, "min_sequence_number", json!("long")),
            field(503, "added_snapshot_id", json!("long")),
            field(504, "added_files_count", json!("int")),
            field(505, "existing_files_count", json!("int")),
            field(506, "deleted_files_count", json!("int")),
            field(512, "added_rows_count", json!("long")),
            field(513, "existing_rows_count", json!("long")),
            field(514, "deleted_rows_count", json!("long")),
            list(507, "partitions", 508, &summary),
            optional(519, "key_metadata", json!("bytes")),
        ],
    )
}
