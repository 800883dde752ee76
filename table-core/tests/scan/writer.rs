//! Manifests and manifest lists, written by a library that is not ours.

use apache_avro::types::Value;
use apache_avro::{Codec, DeflateSettings, Schema, Writer, ZstandardSettings};
use serde_json::{Map, Value as Json, json};

/// The codecs of the specification.
pub(crate) fn codecs() -> [Codec; 4] {
    [
        Codec::Null,
        Codec::Deflate(DeflateSettings::default()),
        Codec::Snappy,
        Codec::Zstandard(ZstandardSettings::default()),
    ]
}

/// A field of a record that is always there.
pub(crate) fn required(id: i32, name: &str, schema: impl Into<Json>) -> Json {
    json!({"name": name, "type": schema.into(), "field-id": id})
}

/// A field of a record that may be null.
pub(crate) fn optional(id: i32, name: &str, schema: impl Into<Json>) -> Json {
    json!({"name": name, "type": ["null", schema.into()], "default": null, "field-id": id})
}

/// A map from column ids, as the specification has it: an array of pairs.
fn pairs(key_id: i32, value_id: i32, value: &str) -> Json {
    let fields = [required(key_id, "key", "int"), required(value_id, "value", value)];
    let pair = json!({"type": "record", "name": format!("k{key_id}_v{value_id}"), "fields": fields});
    json!({"type": "array", "logicalType": "map", "items": pair})
}

fn array(element_id: i32, element: impl Into<Json>) -> Json {
    json!({"type": "array", "element-id": element_id, "items": element.into()})
}

fn record(name: &str, fields: impl Into<Json>) -> Json {
    json!({"type": "record", "name": name, "fields": fields.into()})
}

/// The schema of a manifest's entries, given the fields of its partitions.
pub(crate) fn manifest_schema(partition: &[Json]) -> Json {
    let file = [
        required(134, "content", "int"),
        required(100, "file_path", "string"),
        required(101, "file_format", "string"),
        required(102, "partition", record("r102", partition)),
        required(103, "record_count", "long"),
        required(104, "file_size_in_bytes", "long"),
        optional(108, "column_sizes", pairs(117, 118, "long")),
        optional(109, "value_counts", pairs(119, 120, "long")),
        optional(110, "null_value_counts", pairs(121, 122, "long")),
        optional(137, "nan_value_counts", pairs(138, 139, "long")),
        optional(125, "lower_bounds", pairs(126, 127, "bytes")),
        optional(128, "upper_bounds", pairs(129, 130, "bytes")),
        optional(131, "key_metadata", "bytes"),
        optional(132, "split_offsets", array(133, "long")),
        optional(135, "equality_ids", array(136, "int")),
        optional(140, "sort_order_id", "int"),
        optional(142, "first_row_id", "long"),
        optional(143, "referenced_data_file", "string"),
        optional(144, "content_offset", "long"),
        optional(145, "content_size_in_bytes", "long"),
    ];
    let entry = [
        required(0, "status", "int"),
        optional(1, "snapshot_id", "long"),
        optional(3, "sequence_number", "long"),
        optional(4, "file_sequence_number", "long"),
        required(2, "data_file", record("r2", file.to_vec())),
    ];
    record("manifest_entry", entry.to_vec())
}

/// The schema of a manifest list's lines.
pub(crate) fn list_schema() -> Json {
    let summary = [
        required(509, "contains_null", "boolean"),
        optional(518, "contains_nan", "boolean"),
        optional(510, "lower_bound", "bytes"),
        optional(511, "upper_bound", "bytes"),
    ];
    let line = [
        required(500, "manifest_path", "string"),
        required(501, "manifest_length", "long"),
        required(502, "partition_spec_id", "int"),
        required(517, "content", "int"),
        required(515, "sequence_number", "long"),
        required(516, "min_sequence_number", "long"),
        required(503, "added_snapshot_id", "long"),
        required(504, "added_files_count", "int"),
        required(505, "existing_files_count", "int"),
        required(506, "deleted_files_count", "int"),
        required(512, "added_rows_count", "long"),
        required(513, "existing_rows_count", "long"),
        optional(507, "partitions", array(508, record("r508", summary.to_vec()))),
        optional(519, "key_metadata", "bytes"),
        optional(520, "first_row_id", "long"),
    ];
    record("manifest_file", line.to_vec())
}

/// An entry with what every entry needs, changed as `changes` says: fields of the file at their top level, those of the
/// entry itself under `entry`.
pub(crate) fn entry(mut changes: Json) -> Json {
    let outer = changes.as_object_mut().unwrap().remove("entry").unwrap_or(json!({}));
    let file = json!({
        "content": 0, "file_path": "a", "file_format": "PARQUET", "partition": {}, "record_count": 10,
        "file_size_in_bytes": 1000,
    });
    let entry = json!({"status": 1, "snapshot_id": 1, "data_file": merged(file, changes)});
    merged(entry, outer)
}

/// A line of a manifest list with what every line needs.
pub(crate) fn line(changes: Json) -> Json {
    let line = json!({
        "manifest_path": "m", "manifest_length": 5000, "partition_spec_id": 0, "content": 0, "sequence_number": 1,
        "min_sequence_number": 1, "added_snapshot_id": 1, "added_files_count": 1, "existing_files_count": 0,
        "deleted_files_count": 0, "added_rows_count": 10, "existing_rows_count": 0,
    });
    merged(line, changes)
}

fn merged(base: Json, changes: Json) -> Json {
    let (Json::Object(mut base), Json::Object(changes)) = (base, changes) else { panic!("two objects") };
    base.extend(changes);
    Json::Object(base)
}

/// Writes records: objects for records and for maps from column ids, arrays of numbers for bytes.
pub(crate) fn write(schema: &Json, records: &[Json], codec: Codec) -> Vec<u8> {
    let schema = Schema::parse(schema).unwrap();
    let mut writer = Writer::with_codec(&schema, Vec::new(), codec);
    for record in records {
        writer.append(value(&schema, record)).unwrap();
    }
    writer.into_inner().unwrap()
}

/// A manifest of these entries.
pub(crate) fn manifest(partition: &[Json], entries: &[Json]) -> Vec<u8> {
    write(&manifest_schema(partition), entries, Codec::Null)
}

fn value(schema: &Schema, json: &Json) -> Value {
    let whole = || json.as_i64().unwrap_or_else(|| panic!("a number, not {json}"));
    match schema {
        Schema::Null => Value::Null,
        Schema::Boolean => Value::Boolean(json.as_bool().unwrap()),
        Schema::Int => Value::Int(i32::try_from(whole()).unwrap()),
        Schema::Long => Value::Long(whole()),
        #[expect(clippy::cast_possible_truncation, reason = "a float of the test's own")]
        Schema::Float => Value::Float(json.as_f64().unwrap() as f32),
        Schema::Double => Value::Double(json.as_f64().unwrap()),
        Schema::Bytes => Value::Bytes(bytes(json)),
        Schema::String => Value::String(json.as_str().unwrap().to_owned()),
        Schema::Fixed(fixed) => Value::Fixed(fixed.size, bytes(json)),
        Schema::Array(array) => match json {
            Json::Object(map) => {
                Value::Array(map.iter().map(|pair| value(&array.items, &as_pair(pair))).collect())
            }
            _ => {
                Value::Array(json.as_array().unwrap().iter().map(|item| value(&array.items, item)).collect())
            }
        },
        Schema::Union(union) => {
            let is_wanted = |branch: &&Schema| matches!(branch, Schema::Null) == json.is_null();
            let branch = union.variants().iter().position(|branch| is_wanted(&branch)).unwrap();
            let inner = value(&union.variants()[branch], json);
            Value::Union(u32::try_from(branch).unwrap(), Box::new(inner))
        }
        Schema::Record(record) => {
            let fields = record.fields.iter().map(|field| {
                let held = json.get(&field.name).unwrap_or(&Json::Null);
                (field.name.clone(), value(&field.schema, held))
            });
            Value::Record(fields.collect())
        }
        other => panic!("no test writes {other:?}"),
    }
}

fn as_pair((key, value): (&String, &Json)) -> Json {
    let key: i32 = key.parse().unwrap();
    Json::Object(Map::from_iter([("key".to_owned(), json!(key)), ("value".to_owned(), value.clone())]))
}

fn bytes(json: &Json) -> Vec<u8> {
    match json {
        Json::String(text) => text.as_bytes().to_vec(),
        _ => json
            .as_array()
            .unwrap()
            .iter()
            .map(|byte| u8::try_from(byte.as_u64().unwrap()).unwrap())
            .collect(),
    }
}
