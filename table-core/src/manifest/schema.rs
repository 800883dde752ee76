//! Avro schemas of manifests and manifest lists, as Java's library declares them for each format version:
//! names, field ids, order and documentation.
//!
//! Source: `V1Metadata`, `V2Metadata`, `V3Metadata`, `DataFile`, `ManifestFile` and `TypeToSchema` of Iceberg
//! 1.11.

use serde_json::{Value as Json, json};

/// Returns the schema of a manifest's entries, with the fields `partition` of its partition tuples.
pub(super) fn entries(format_version: i32, partition: &[Json]) -> Json {
    let file = record("r2", &file_fields(format_version, partition));
    let mut fields = vec![required(0, "status", "int", ""), optional(1, "snapshot_id", "long", "")];
    if format_version > 1 {
        fields.push(optional(3, "sequence_number", "long", ""));
        fields.push(optional(4, "file_sequence_number", "long", ""));
    }
    fields.push(required(2, "data_file", file, ""));
    record("manifest_entry", &fields)
}

fn file_fields(format_version: i32, partition: &[Json]) -> Vec<Json> {
    let content = "Contents of the file: 0=data, 1=position deletes, 2=equality deletes";
    let partition_doc =
        if format_version > 1 { "Partition data tuple, schema based on the partition spec" } else { "" };
    let mut fields = Vec::with_capacity(20);
    if format_version > 1 {
        fields.push(required(134, "content", "int", content));
    }
    fields.push(required(100, "file_path", "string", "Location URI with FS scheme"));
    fields.push(required(101, "file_format", "string", "File format name: avro, orc, or parquet"));
    fields.push(required(102, "partition", record("r102", partition), partition_doc));
    fields.push(required(103, "record_count", "long", "Number of records in the file"));
    fields.push(required(104, "file_size_in_bytes", "long", "Total file size in bytes"));
    if format_version == 1 {
        fields.push(required(105, "block_size_in_bytes", "long", ""));
    }
    fields.extend(metrics());
    fields.push(optional(131, "key_metadata", "bytes", "Encryption key metadata blob"));
    fields.push(optional(132, "split_offsets", array(133, "long"), "Splittable offsets"));
    if format_version > 1 {
        fields.push(optional(135, "equality_ids", array(136, "int"), "Equality comparison field IDs"));
    }
    fields.push(optional(140, "sort_order_id", "int", "Sort order ID"));
    if format_version > 2 {
        let doc = "The first row ID assigned to the first row in the data file";
        fields.push(optional(142, "first_row_id", "long", doc));
    }
    if format_version > 1 {
        let doc = "Fully qualified location (URI with FS scheme) of a data file that all deletes reference";
        fields.push(optional(143, "referenced_data_file", "string", doc));
    }
    if format_version > 2 {
        let doc = "The offset in the file where the content starts";
        fields.push(optional(144, "content_offset", "long", doc));
        let doc = "The length of referenced content stored in the file";
        fields.push(optional(145, "content_size_in_bytes", "long", doc));
    }
    fields
}

fn metrics() -> [Json; 6] {
    [
        optional(108, "column_sizes", map(117, 118, "long"), "Map of column id to total size on disk"),
        optional(
            109,
            "value_counts",
            map(119, 120, "long"),
            "Map of column id to total count, including null and NaN",
        ),
        optional(110, "null_value_counts", map(121, 122, "long"), "Map of column id to null value count"),
        optional(
            137,
            "nan_value_counts",
            map(138, 139, "long"),
            "Map of column id to number of NaN values in the column",
        ),
        optional(125, "lower_bounds", map(126, 127, "bytes"), "Map of column id to lower bound"),
        optional(128, "upper_bounds", map(129, 130, "bytes"), "Map of column id to upper bound"),
    ]
}

/// Returns the schema of a manifest list's entries.
pub(super) fn list(format_version: i32) -> Json {
    let count: fn(i32, &str, &str, &str) -> Json =
        if format_version > 1 { |id, name, kind, doc| required(id, name, kind, doc) } else { optional_text };
    let files = [
        count(504, "added_files_count", "int", "Added entry count"),
        count(505, "existing_files_count", "int", "Existing entry count"),
        count(506, "deleted_files_count", "int", "Deleted entry count"),
    ];
    let rows = [
        count(512, "added_rows_count", "long", "Added rows count"),
        count(513, "existing_rows_count", "long", "Existing rows count"),
        count(514, "deleted_rows_count", "long", "Deleted rows count"),
    ];
    let partitions = optional(507, "partitions", summaries(), "Summary for each partition");
    let mut fields = vec![
        required(500, "manifest_path", "string", "Location URI with FS scheme"),
        required(501, "manifest_length", "long", "Total file size in bytes"),
        required(502, "partition_spec_id", "int", "Spec ID used to write"),
    ];
    if format_version > 1 {
        fields.push(required(517, "content", "int", "Contents of the manifest: 0=data, 1=deletes"));
        fields.push(required(515, "sequence_number", "long", "Sequence number when the manifest was added"));
        fields.push(required(516, "min_sequence_number", "long", "Lowest sequence number in the manifest"));
    }
    fields.push(required(503, "added_snapshot_id", "long", "Snapshot ID that added the manifest"));
    fields.extend(files);
    if format_version > 1 {
        fields.extend(rows);
        fields.push(partitions);
    } else {
        fields.push(partitions);
        fields.extend(rows);
    }
    fields.push(optional(519, "key_metadata", "bytes", "Encryption key metadata blob"));
    if format_version > 2 {
        let doc = "Starting row ID to assign to new rows in ADDED data files";
        fields.push(optional(520, "first_row_id", "long", doc));
    }
    record("manifest_file", &fields)
}

fn summaries() -> Json {
    let fields = [
        required(509, "contains_null", "boolean", "True if any file has a null partition value"),
        optional(518, "contains_nan", "boolean", "True if any file has a nan partition value"),
        optional(510, "lower_bound", "bytes", "Partition lower bound for all files"),
        optional(511, "upper_bound", "bytes", "Partition upper bound for all files"),
    ];
    array(508, record("r508", &fields))
}

fn record(name: &str, fields: &[Json]) -> Json {
    json!({"type": "record", "name": name, "fields": fields})
}

fn array(element_id: i32, items: impl Into<Json>) -> Json {
    json!({"type": "array", "items": items.into(), "element-id": element_id})
}

/// Returns the type of a map from column ids. Avro maps have string keys, so this is an array of key-value
/// records.
fn map(key_id: i32, value_id: i32, value: &str) -> Json {
    let fields = [required(key_id, "key", "int", ""), required(value_id, "value", value, "")];
    let pair = record(&format!("k{key_id}_v{value_id}"), &fields);
    json!({"type": "array", "items": pair, "logicalType": "map"})
}

fn required(id: i32, name: &str, kind: impl Into<Json>, doc: &str) -> Json {
    if doc.is_empty() {
        return json!({"name": name, "type": kind.into(), "field-id": id});
    }
    json!({"name": name, "type": kind.into(), "doc": doc, "field-id": id})
}

fn optional(id: i32, name: &str, kind: impl Into<Json>, doc: &str) -> Json {
    let kind = json!(["null", kind.into()]);
    if doc.is_empty() {
        return json!({"name": name, "type": kind, "default": null, "field-id": id});
    }
    json!({"name": name, "type": kind, "doc": doc, "default": null, "field-id": id})
}

fn optional_text(id: i32, name: &str, kind: &str, doc: &str) -> Json {
    optional(id, name, kind, doc)
}
