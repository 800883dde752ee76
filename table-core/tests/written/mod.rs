//! Files and headers to be written, with partitions of every type.

#![allow(dead_code, reason = "every test binary uses another part")]

use serde_json::json;
use table_core::expr::decimal::Decimal;
use table_core::expr::value::Value;
use table_core::manifest::avro_write::AvroCodec;
use table_core::manifest::data_file::{ColumnMetrics, DataFile};
use table_core::manifest::entry::FileContent;
use table_core::manifest::header::ManifestHeader;
use table_core::manifest::list::ManifestContent;
use table_core::manifest::write::ManifestWriter;
use table_core::metadata::json::Raw;
use table_core::metadata::partition::PartitionSpec;
use table_core::metadata::schema::Schema;
use uuid::Uuid;

/// More than any test needs.
pub(crate) const LIMIT_BYTES: usize = 1 << 24;
/// The snapshot that writes.
pub(crate) const SNAPSHOT: i64 = 11;

/// Columns of every type that partitions can have, by a name that is mostly the type's. Two are decimals of
/// one type.
pub(crate) fn every_type() -> Vec<(&'static str, &'static str)> {
    vec![
        ("boolean", "boolean"),
        ("int", "int"),
        ("long", "long"),
        ("float", "float"),
        ("double", "double"),
        ("decimal", "decimal(9, 2)"),
        ("decimal_again", "decimal(9, 2)"),
        ("wide_decimal", "decimal(38, 10)"),
        ("date", "date"),
        ("time", "time"),
        ("timestamp", "timestamp"),
        ("timestamptz", "timestamptz"),
        ("timestamp_ns", "timestamp_ns"),
        ("timestamptz_ns", "timestamptz_ns"),
        ("string", "string"),
        ("uuid", "uuid"),
        ("uuid_again", "uuid"),
        ("fixed", "fixed[5]"),
        ("binary", "binary"),
    ]
}

/// A value of each of them, made from a number.
pub(crate) fn all_values(number: i32) -> Vec<Option<Value>> {
    let long = i64::from(number);
    let decimal = |scale| Value::Decimal(Decimal { unscaled: i128::from(number), scale });
    [
        Value::Boolean(number % 2 != 0),
        Value::Int(number),
        Value::Long(long),
        #[expect(clippy::cast_precision_loss, reason = "the test's own numbers are small")]
        Value::Float(number as f32),
        Value::Double(f64::from(number)),
        decimal(2),
        decimal(2),
        Value::Decimal(Decimal { unscaled: i128::from(number) * 10_i128.pow(28), scale: 10 }),
        Value::Date(number),
        Value::Time(long.abs()),
        Value::Timestamp(long),
        Value::Timestamptz(long),
        Value::TimestampNs(long),
        Value::TimestamptzNs(long),
        Value::String(format!("s{number}")),
        Value::Uuid(Uuid::from_u128(number.unsigned_abs().into())),
        Value::Uuid(Uuid::from_u128(u128::MAX - u128::from(number.unsigned_abs()))),
        Value::Fixed(b"fixed".to_vec()),
        Value::Binary(number.to_be_bytes().to_vec()),
    ]
    .into_iter()
    .map(Some)
    .collect()
}

/// Values of each of them, some null, made from bytes that may be anything.
pub(crate) fn random_values(bytes: &[u8; 24]) -> Vec<Option<Value>> {
    let number = i32::from_le_bytes([bytes[20], bytes[21], bytes[22], 0]) - (1 << 23);
    let text = String::from_utf8_lossy(&bytes[..8]).into_owned();
    let values = all_values(number).into_iter().zip(bytes).enumerate();
    values
        .map(|(place, (value, byte))| match value {
            _ if byte % 5 == 0 => None,
            Some(Value::String(_)) => Some(Value::String(text.clone())),
            Some(Value::Binary(_)) => Some(Value::Binary(bytes[..place].to_vec())),
            Some(Value::Uuid(_)) => Some(Value::Uuid(Uuid::from_slice(&bytes[4..20]).unwrap())),
            Some(Value::Double(_)) => Some(Value::Double(f64::from_le_bytes(*bytes.first_chunk().unwrap()))),
            Some(Value::TimestampNs(_)) => {
                Some(Value::TimestampNs(i64::from_le_bytes(*bytes.last_chunk().unwrap())))
            }
            other => other,
        })
        .collect()
}

pub(crate) fn codecs() -> [AvroCodec; 3] {
    [AvroCodec::Null, AvroCodec::Deflate(6), AvroCodec::Zstandard(3)]
}

/// A schema of these columns, its id being 2.
pub(crate) fn schema(columns: &[(&str, &str)]) -> Schema {
    let fields: Vec<_> = (1..)
        .zip(columns)
        .map(|(id, (name, kind))| json!({"id": id, "name": name, "required": false, "type": kind}))
        .collect();
    Schema::parse(raw(&json!({"type": "struct", "schema-id": 2, "fields": fields}))).unwrap()
}

/// A spec by the values of these columns, its id being 5.
pub(crate) fn spec(columns: &[(&str, &str)]) -> PartitionSpec {
    let fields: Vec<_> = (1..)
        .zip(columns)
        .map(|(id, (name, _))| json!({"source-id": id, "field-id": 999 + id, "name": name, "transform": "identity"}))
        .collect();
    PartitionSpec::parse(raw(&json!({"spec-id": 5, "fields": fields}))).unwrap()
}

pub(crate) fn header_of(version: i32, content: ManifestContent, columns: &[(&str, &str)]) -> ManifestHeader {
    ManifestHeader::new(version, content, &spec(columns), std::iter::once(&schema(columns))).unwrap()
}

pub(crate) fn header(version: i32, content: ManifestContent) -> ManifestHeader {
    header_of(version, content, &every_type())
}

pub(crate) fn writer(version: i32, content: ManifestContent) -> ManifestWriter {
    ManifestWriter::new(&header(version, content), "m".to_owned(), SNAPSHOT, AvroCodec::Deflate(6), [7; 16])
}

pub(crate) fn data_file(path: &str, partition: Vec<Option<Value>>) -> DataFile {
    DataFile {
        content: FileContent::Data,
        path: path.to_owned(),
        format: "PARQUET".to_owned(),
        spec_id: 5,
        partition,
        record_count: 10,
        size_bytes: 1000,
        metrics: ColumnMetrics {
            column_sizes: [(1, 50), (2, 60)].into(),
            value_counts: [(1, 10)].into(),
            null_value_counts: [(1, 0)].into(),
            nan_value_counts: [(4, 1)].into(),
            lower_bounds: [(2, vec![1, 0, 0, 0])].into(),
            upper_bounds: [(2, vec![9, 0, 0, 0]), (15, b"z".to_vec())].into(),
        },
        split_offsets: vec![4, 500],
        equality_ids: Vec::new(),
        sort_order_id: Some(1),
        first_row_id: None,
        referenced_data_file: None,
        content_offset: None,
        content_size_bytes: None,
        key_metadata: Some(vec![1, 2]),
    }
}

pub(crate) fn delete_file(path: &str, content: FileContent) -> DataFile {
    let equality_ids = if content == FileContent::EqualityDeletes { vec![2, 3] } else { Vec::new() };
    DataFile { content, equality_ids, ..data_file(path, all_values(1)) }
}

/// A deletion vector for a data file.
pub(crate) fn vector(path: &str, of: &str) -> DataFile {
    DataFile {
        format: "PUFFIN".to_owned(),
        referenced_data_file: Some(of.to_owned()),
        content_offset: Some(4),
        content_size_bytes: Some(40),
        ..delete_file(path, FileContent::PositionDeletes)
    }
}

fn raw(json: &serde_json::Value) -> Raw {
    Raw::parse(&json.to_string()).unwrap()
}
