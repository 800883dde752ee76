//! Manifests of `table-core`, read by the crate `iceberg`, written again by it, and read by `table-core`.

use std::collections::{BTreeMap, HashMap};

use iceberg::io::FileIO;
use iceberg::spec::{
    DataContentType, Datum, Literal, Manifest as TheirManifest, ManifestEntry, ManifestStatus,
    ManifestWriterBuilder, PrimitiveLiteral,
};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;
use table_core::expr::decimal::Decimal;
use table_core::expr::value::Value;
use table_core::manifest::avro_write::AvroCodec;
use table_core::manifest::data_file::{ColumnMetrics, DataFile};
use table_core::manifest::entry::{FileContent, Status};
use table_core::manifest::file::Manifest;
use table_core::manifest::header::ManifestHeader;
use table_core::manifest::list::{ManifestContent, ManifestFile};
use table_core::manifest::write::{EntryOrigin, ManifestWriter, UNASSIGNED_SEQUENCE_NUMBER, WrittenManifest};
use table_core::metadata::json::Raw;
use table_core::metadata::partition::PartitionSpec;
use table_core::metadata::schema::Schema;
use table_core::metadata::types::Primitive;
use tests::fixture;
use uuid::Uuid;

use crate::values::{Disagreements, Outcome, TYPES, kind, values};

/// More than any manifest of the suite needs.
pub const LIMIT_BYTES: usize = 1 << 24;
const SNAPSHOT: i64 = 11;
const ROUNDS: usize = 20;
/// Types by which the crate can read no partition; explained in `docs/compatibility.md`.
const NOT_PARTITIONS: [&str; 3] = ["uuid", "timestamp_ns", "timestamptz_ns"];
/// Disagreements over partition values by their type.
const KNOWN: [&str; 3] = [
    "timestamp_ns of ours: ours a value, theirs an error",
    "timestamptz_ns of ours: ours a value, theirs an error",
    "uuid of ours: ours a value, theirs an error",
];

/// Entry of a manifest: its status, when it was added, and its file.
type Entry = (Status, EntryOrigin, DataFile);

/// Returns the types of which both sides read partitions.
pub fn partition_types() -> Vec<Primitive> {
    let names = TYPES.iter().filter(|name| !NOT_PARTITIONS.contains(name));
    names.map(|name| Primitive::parse(name)).collect()
}

/// Returns the header of manifests by these types, with an identity transform each.
pub fn header(format_version: i32, content: ManifestContent, types: &[Primitive]) -> ManifestHeader {
    let raw = |json: serde_json::Value| Raw::parse(&json.to_string()).unwrap();
    let named = || (1..).zip(types.iter().map(ToString::to_string));
    let columns: Vec<_> = named()
        .map(|(id, value_type)| json!({ "id": id, "name": format!("c{id}"), "required": false, "type": value_type }))
        .collect();
    let fields: Vec<_> = named()
        .map(|(id, _)| json!({ "source-id": id, "field-id": 999 + id, "name": format!("p{id}"), "transform": "identity" }))
        .collect();
    let schema = Schema::parse(raw(json!({ "type": "struct", "schema-id": 2, "fields": columns }))).unwrap();
    let spec = PartitionSpec::parse(raw(json!({ "spec-id": 5, "fields": fields }))).unwrap();
    ManifestHeader::new(format_version, content, &spec, std::iter::once(&schema)).unwrap()
}

fn counts(random: &mut StdRng) -> BTreeMap<i32, i64> {
    (0..random.random_range(0..5))
        .map(|_| (random.random_range(1..19), random.random_range(0..1 << 40)))
        .collect()
}

fn bounds(types: &[Primitive], random: &mut StdRng) -> BTreeMap<i32, Vec<u8>> {
    let mut bounds = BTreeMap::new();
    for _ in 0..random.random_range(0..5).min(types.len()) {
        let number = random.random_range(0..types.len());
        let found = values(&types[number], random);
        let value = &found[random.random_range(0..found.len())];
        bounds.insert(i32::try_from(number + 1).unwrap(), value.encode());
    }
    bounds
}

/// Returns a random file.
pub fn random_file(content: FileContent, types: &[Primitive], random: &mut StdRng) -> DataFile {
    let partition = types.iter().map(|value_type| {
        let found = values(value_type, random);
        (random.random_range(0..4) > 0).then(|| found[random.random_range(0..found.len())].clone())
    });
    let partition = partition.collect();
    let is_data = content == FileContent::Data;
    DataFile {
        content,
        path: format!("file:///t/{}.parquet", random.random::<u64>()),
        format: "PARQUET".to_owned(),
        spec_id: 5,
        partition,
        record_count: random.random_range(1..1 << 40),
        size_bytes: random.random_range(1..1 << 40),
        metrics: ColumnMetrics {
            column_sizes: counts(random),
            value_counts: counts(random),
            null_value_counts: counts(random),
            nan_value_counts: counts(random),
            lower_bounds: bounds(types, random),
            upper_bounds: bounds(types, random),
        },
        split_offsets: if random.random() { vec![4, random.random_range(5..1 << 40)] } else { Vec::new() },
        equality_ids: if content == FileContent::EqualityDeletes { vec![1, 3] } else { Vec::new() },
        sort_order_id: random.random::<bool>().then_some(1),
        first_row_id: None,
        referenced_data_file: (!is_data && random.random()).then(|| "file:///t/other.parquet".to_owned()),
        content_offset: None,
        content_size_bytes: None,
        key_metadata: random.random::<bool>().then(|| vec![1, 2, 3]),
    }
}

/// Writes a manifest with entries of each status.
pub fn write(
    header: &ManifestHeader,
    content: FileContent,
    types: &[Primitive],
    random: &mut StdRng,
) -> (WrittenManifest, Vec<Entry>) {
    let codec = [AvroCodec::Null, AvroCodec::Deflate(6), AvroCodec::Zstandard(3)][random.random_range(0..3)];
    let mut writer = ManifestWriter::new(header, "file:///t/m.avro".to_owned(), SNAPSHOT, codec, [7; 16]);
    let mut entries = Vec::new();
    for _ in 0..random.random_range(1..6) {
        let file = random_file(content, types, random);
        let origin = EntryOrigin { snapshot_id: 3, sequence_number: Some(4), file_sequence_number: Some(5) };
        let status = [Status::Added, Status::Existing, Status::Deleted][random.random_range(0..3)];
        let origin = match status {
            Status::Added => {
                writer.added(&file, None).unwrap();
                EntryOrigin { snapshot_id: SNAPSHOT, sequence_number: None, file_sequence_number: None }
            }
            Status::Existing => {
                writer.existing(&file, origin).unwrap();
                origin
            }
            Status::Deleted => {
                writer.deleted(&file, origin).unwrap();
                EntryOrigin { snapshot_id: SNAPSHOT, ..origin }
            }
        };
        entries.push((status, origin, file));
    }
    (writer.finish().unwrap(), entries)
}

/// Reads a manifest with `table-core`, as one that has not been committed.
fn read(bytes: &[u8], header: &ManifestHeader, listed: &ManifestFile) -> Vec<Entry> {
    let manifest = Manifest::decode(bytes, LIMIT_BYTES).unwrap();
    let listed = ManifestFile { sequence_number: UNASSIGNED_SEQUENCE_NUMBER, ..listed.clone() };
    let tuples = manifest.partitions(&header.fields().types()).unwrap();
    let unassigned = |number: Option<i64>| number.filter(|number| *number >= 0);
    let entries = manifest.files(&listed).map(|file| {
        let origin = EntryOrigin {
            snapshot_id: file.snapshot_id(),
            sequence_number: unassigned(file.sequence_number()),
            file_sequence_number: unassigned(file.file_sequence_number()),
        };
        (file.status(), origin, DataFile::read(&file, tuples[file.partition_number()].clone()))
    });
    entries.collect()
}

/// Converts an entry that the crate read.
fn converted(entry: &ManifestEntry, types: &[Primitive]) -> Entry {
    let status = match entry.status() {
        ManifestStatus::Added => Status::Added,
        ManifestStatus::Existing => Status::Existing,
        ManifestStatus::Deleted => Status::Deleted,
    };
    let origin = EntryOrigin {
        snapshot_id: entry.snapshot_id().unwrap(),
        sequence_number: entry.sequence_number(),
        file_sequence_number: entry.file_sequence_number,
    };
    let file = entry.data_file();
    let counts = |counts: &HashMap<i32, u64>| -> BTreeMap<i32, i64> {
        counts.iter().map(|(id, count)| (*id, i64::try_from(*count).unwrap())).collect()
    };
    let bounds = |bounds: &HashMap<i32, Datum>| -> BTreeMap<i32, Vec<u8>> {
        bounds.iter().map(|(id, bound)| (*id, bound.to_bytes().unwrap().to_vec())).collect()
    };
    let values = types.iter().zip(file.partition().iter());
    let ours = DataFile {
        content: match file.content_type() {
            DataContentType::Data => FileContent::Data,
            DataContentType::PositionDeletes => FileContent::PositionDeletes,
            DataContentType::EqualityDeletes => FileContent::EqualityDeletes,
        },
        path: file.file_path().to_owned(),
        format: file.file_format().to_string().to_ascii_uppercase(),
        spec_id: 5,
        partition: values.map(|(value_type, value)| value.map(|value| value_of(value, value_type))).collect(),
        record_count: file.record_count().try_into().unwrap(),
        size_bytes: file.file_size_in_bytes().try_into().unwrap(),
        metrics: ColumnMetrics {
            column_sizes: counts(file.column_sizes()),
            value_counts: counts(file.value_counts()),
            null_value_counts: counts(file.null_value_counts()),
            nan_value_counts: counts(file.nan_value_counts()),
            lower_bounds: bounds(file.lower_bounds()),
            upper_bounds: bounds(file.upper_bounds()),
        },
        split_offsets: file.split_offsets().unwrap_or_default().to_vec(),
        equality_ids: file.equality_ids().unwrap_or_default(),
        sort_order_id: file.sort_order_id(),
        first_row_id: file.first_row_id(),
        referenced_data_file: file.referenced_data_file(),
        content_offset: file.content_offset(),
        content_size_bytes: file.content_size_in_bytes(),
        key_metadata: file.key_metadata().map(<[u8]>::to_vec),
    };
    (status, origin, ours)
}

/// Converts a partition value of the crate.
fn value_of(literal: &Literal, value_type: &Primitive) -> Value {
    match (literal.as_primitive_literal().unwrap(), value_type) {
        (PrimitiveLiteral::Boolean(value), _) => Value::Boolean(value),
        (PrimitiveLiteral::Int(value), Primitive::Date) => Value::Date(value),
        (PrimitiveLiteral::Int(value), _) => Value::Int(value),
        (PrimitiveLiteral::Long(value), Primitive::Long) => Value::Long(value),
        (PrimitiveLiteral::Long(value), Primitive::Time) => Value::Time(value),
        (PrimitiveLiteral::Long(value), Primitive::Timestamp) => Value::Timestamp(value),
        (PrimitiveLiteral::Long(value), Primitive::Timestamptz) => Value::Timestamptz(value),
        (PrimitiveLiteral::Long(value), Primitive::TimestampNs) => Value::TimestampNs(value),
        (PrimitiveLiteral::Long(value), _) => Value::TimestamptzNs(value),
        (PrimitiveLiteral::Float(value), _) => Value::Float(value.0),
        (PrimitiveLiteral::Double(value), _) => Value::Double(value.0),
        (PrimitiveLiteral::String(value), _) => Value::String(value),
        (PrimitiveLiteral::UInt128(value), _) => Value::Uuid(Uuid::from_u128(value)),
        (PrimitiveLiteral::Int128(unscaled), Primitive::Decimal { scale, .. }) => {
            Value::Decimal(Decimal { unscaled, scale: *scale })
        }
        (PrimitiveLiteral::Binary(value), Primitive::Fixed(_)) => Value::Fixed(value),
        (PrimitiveLiteral::Binary(value), _) => Value::Binary(value),
        (other, value_type) => panic!("{other:?} is no value of {value_type}"),
    }
}

/// Lets the crate write what it read to another manifest. Returns its content.
async fn rewrite_with_crate(theirs: &TheirManifest, folder: &std::path::Path) -> Vec<u8> {
    let path = folder.join("again.avro");
    let output = FileIO::new_with_fs().new_output(path.to_str().unwrap()).unwrap();
    let metadata = theirs.metadata();
    let (schema, spec) = (metadata.schema().clone(), metadata.partition_spec().clone());
    let builder = ManifestWriterBuilder::new(output, Some(SNAPSHOT), schema, spec);
    let is_data = *metadata.content() == iceberg::spec::ManifestContentType::Data;
    let mut writer = match (metadata.format_version(), is_data) {
        (iceberg::spec::FormatVersion::V1, _) => builder.build_v1(),
        (iceberg::spec::FormatVersion::V2, true) => builder.build_v2_data(),
        (iceberg::spec::FormatVersion::V2, false) => builder.build_v2_deletes(),
        (iceberg::spec::FormatVersion::V3, true) => builder.build_v3_data(),
        (iceberg::spec::FormatVersion::V3, false) => builder.build_v3_deletes(),
    };
    for entry in theirs.entries() {
        let file = entry.data_file().clone();
        let number = entry.sequence_number();
        match entry.status() {
            ManifestStatus::Added => writer.add_file(file, number.unwrap_or(-1)),
            ManifestStatus::Existing => writer.add_existing_file(
                file,
                entry.snapshot_id().unwrap(),
                number.unwrap(),
                entry.file_sequence_number,
            ),
            ManifestStatus::Deleted => {
                writer.add_delete_file(file, number.unwrap(), entry.file_sequence_number)
            }
        }
        .unwrap();
    }
    writer.write_manifest_file().await.unwrap();
    std::fs::read(path).unwrap()
}

#[tokio::test]
async fn each_side_reads_the_manifests_of_the_other() {
    let mut random = fixture::random("manifests");
    let types = partition_types();
    let folder = tempfile::tempdir().unwrap();
    for round in 0..ROUNDS {
        for (version, content) in [
            (2, FileContent::Data),
            (2, FileContent::PositionDeletes),
            (2, FileContent::EqualityDeletes),
            (3, FileContent::Data),
            (3, FileContent::PositionDeletes),
        ] {
            let kind =
                if content == FileContent::Data { ManifestContent::Data } else { ManifestContent::Deletes };
            let header = header(version, kind, &types);
            let (written, expected) = write(&header, content, &types, &mut random);
            assert_eq!(read(&written.bytes, &header, &written.manifest_file), expected);
            let theirs = TheirManifest::parse_avro(&written.bytes).unwrap();
            let read_by_them: Vec<_> =
                theirs.entries().iter().map(|entry| converted(entry, &types)).collect();
            assert_eq!(read_by_them, expected, "round {round}, version {version}, {content:?}");
            let again = rewrite_with_crate(&theirs, folder.path()).await;
            assert_eq!(
                read(&again, &header, &written.manifest_file),
                expected,
                "round {round}, version {version}"
            );
        }
    }
}

#[tokio::test]
async fn partitions_by_one_type_are_the_same_on_both_sides() {
    let mut random = fixture::random("partition values");
    let folder = tempfile::tempdir().unwrap();
    let mut disagreements = Disagreements::default();
    for name in TYPES {
        let types = [Primitive::parse(name)];
        let header = header(2, ManifestContent::Data, &types);
        let what = kind(&types[0]);
        for value in values(&types[0], &mut random).into_iter().step_by(7) {
            let file = DataFile {
                partition: vec![Some(value.clone())],
                ..random_file(FileContent::Data, &[], &mut random)
            };
            let mut writer =
                ManifestWriter::new(&header, "m".to_owned(), SNAPSHOT, AvroCodec::Deflate(6), [7; 16]);
            writer.added(&file, None).unwrap();
            let written = writer.finish().unwrap();
            let expected = Outcome::Value(value.encode());
            let Ok(theirs) = TheirManifest::parse_avro(&written.bytes) else {
                disagreements.compare(&format!("{what} of ours"), &value, &expected, &Outcome::Refused);
                continue;
            };
            let (_, _, read_by_them) = converted(&theirs.entries()[0], &types);
            let found = read_by_them.partition[0]
                .as_ref()
                .map_or(Outcome::Null, |value| Outcome::Value(value.encode()));
            disagreements.compare(&format!("{what} of ours"), &value, &expected, &found);
            let again = rewrite_with_crate(&theirs, folder.path()).await;
            let (_, _, read) = read(&again, &header, &written.manifest_file).remove(0);
            let found =
                read.partition[0].as_ref().map_or(Outcome::Null, |value| Outcome::Value(value.encode()));
            disagreements.compare(&format!("{what} of theirs"), &value, &expected, &found);
        }
    }
    disagreements.check(&KNOWN);
}
