//! Manifests that were written here, read by our own reader and by a library that is not ours.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod written;

use apache_avro::types::Value as Avro;
use apache_avro::{Reader, Schema as AvroSchema};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use table_core::expr::decimal::Decimal;
use table_core::expr::value::Value;
use table_core::manifest::avro::Container;
use table_core::manifest::avro_write::AvroCodec;
use table_core::manifest::data_file::DataFile;
use table_core::manifest::entry::{FileContent, Status};
use table_core::manifest::error::ManifestError;
use table_core::manifest::file::Manifest;
use table_core::manifest::header::ManifestHeader;
use table_core::manifest::list::{ManifestContent, ManifestFile};
use table_core::manifest::list_write::{self, ListHeader};
use table_core::manifest::write::{EntryOrigin, ManifestWriter, UNASSIGNED_SEQUENCE_NUMBER, WrittenManifest};
use written::{
    LIMIT_BYTES, SNAPSHOT, all_values, codecs, data_file, delete_file, every_type, header, vector, writer,
};

const ORIGIN: EntryOrigin =
    EntryOrigin { snapshot_id: 3, sequence_number: Some(4), file_sequence_number: Some(5) };

/// What a manifest says when it is read as its line has it, after the commit with this sequence number.
fn read(
    written: &WrittenManifest,
    header: &ManifestHeader,
    sequence_number: i64,
) -> Vec<(Status, EntryOrigin, DataFile)> {
    let manifest = Manifest::decode(&written.bytes, LIMIT_BYTES).unwrap();
    let listed = ManifestFile { sequence_number, ..written.manifest_file.clone() };
    let tuples = manifest.partitions(&header.fields().types()).unwrap();
    let entry = |file: table_core::manifest::entry::File<'_>| {
        let origin = EntryOrigin {
            snapshot_id: file.snapshot_id(),
            sequence_number: file.sequence_number(),
            file_sequence_number: file.file_sequence_number(),
        };
        (file.status(), origin, DataFile::read(&file, tuples[file.partition_number()].clone()))
    };
    manifest.files(&listed).map(entry).collect()
}

/// The other library takes every UUID for a text, so the word is hidden from it.
fn without_uuids(bytes: &[u8]) -> Vec<u8> {
    let word = b"\"logicalType\":\"uuid\"";
    let mut bytes = bytes.to_vec();
    while let Some(at) = bytes.windows(word.len()).position(|window| window == word) {
        bytes[at + 8] = b'X';
    }
    bytes
}

fn avro_records(bytes: &[u8]) -> Vec<Json> {
    let bytes = without_uuids(bytes);
    let reader = Reader::new(&bytes[..]).unwrap();
    reader.map(|record| Json::try_from(record.unwrap()).unwrap()).collect()
}

#[test]
fn every_partition_type_reads_back_in_every_version() {
    for version in 1..=3 {
        let header = header(version, ManifestContent::Data);
        let files = [
            data_file("a", all_values(7)),
            data_file("b", vec![None; every_type().len()]),
            data_file("c", all_values(-9)),
        ];
        for codec in codecs() {
            let mut writer = ManifestWriter::new(&header, "m".to_owned(), SNAPSHOT, codec, [7; 16]);
            for file in &files {
                writer.added(file, None).unwrap();
            }
            let written = writer.finish().unwrap();
            let found: Vec<_> = read(&written, &header, 6).into_iter().map(|(_, _, file)| file).collect();
            assert_eq!(found, files, "version {version}, {codec:?}");
            assert_eq!(written.manifest_file.length_bytes, i64::try_from(written.bytes.len()).unwrap());
        }
    }
}

#[test]
fn another_library_reads_every_partition_type() {
    for version in 1..=3 {
        let mut writer = writer(version, ManifestContent::Data);
        writer.added(&data_file("a", all_values(7)), None).unwrap();
        let records = avro_records(&writer.finish().unwrap().bytes);
        let partition = &records[0]["data_file"]["partition"];
        assert_eq!(partition["int"], json!(7), "version {version}");
        assert_eq!(partition["string"], json!("s7"));
        assert_eq!(partition["boolean"], json!(true));
        assert_eq!(partition["timestamp_ns"], json!(7));
        assert_eq!(partition.as_object().unwrap().len(), every_type().len());
        assert_eq!(records[0]["data_file"]["file_path"], json!("a"));
    }
}

/// Three files in the partition `f = "fixed", i = 7` of spec 5, written by Java's library 1.11.0. It declares
/// `f` as an Avro `fixed` and writes it as `bytes`.
const JAVA_FIXED: &[u8] = include_bytes!("../fixtures/manifests/java-1.11-fixed-partition.avro");

#[test]
fn fixed_partitions_are_read_as_java_writes_them() {
    let columns = [("f", "fixed[5]"), ("i", "int")];
    let types = written::header_of(2, ManifestContent::Data, &columns).fields().types();
    let manifest = Manifest::decode(JAVA_FIXED, LIMIT_BYTES).unwrap();
    assert_eq!(manifest.len(), 3);
    let expected = vec![Some(Value::Fixed(b"fixed".to_vec())), Some(Value::Int(7))];
    assert_eq!(manifest.partitions(&types).unwrap(), [expected]);
}

/// The schemas in the headers of manifests and manifest lists that Java's library 1.11.0 wrote, of versions 1
/// to 3, for partitions by all types but `fixed` and by names that Avro does not allow.
const JAVA_MANIFESTS: [&str; 3] = [
    include_str!("../fixtures/manifests/java-1.11-v1-data.json"),
    include_str!("../fixtures/manifests/java-1.11-v2-data.json"),
    include_str!("../fixtures/manifests/java-1.11-v3-data.json"),
];
const JAVA_LISTS: [&str; 3] = [
    include_str!("../fixtures/manifests/java-1.11-v1-list.json"),
    include_str!("../fixtures/manifests/java-1.11-v2-list.json"),
    include_str!("../fixtures/manifests/java-1.11-v3-list.json"),
];

#[test]
fn schemas_are_those_of_java_to_the_letter() {
    let is_plain = |(name, _): &(&str, &str)| !name.ends_with("_again") && *name != "fixed";
    let odd = [("odd name.x", "string"), ("9-lives", "string")];
    let columns: Vec<_> = every_type().into_iter().filter(is_plain).chain(odd).collect();
    for (version, (manifest, list)) in (1..).zip(JAVA_MANIFESTS.iter().zip(JAVA_LISTS)) {
        for content in [ManifestContent::Data, ManifestContent::Deletes] {
            if version == 1 && content == ManifestContent::Deletes {
                continue;
            }
            let header = written::header_of(version, content, &columns);
            let writer = ManifestWriter::new(&header, "m".to_owned(), SNAPSHOT, AvroCodec::Null, [7; 16]);
            assert_eq!(schema_text(&writer.finish().unwrap().bytes), manifest.trim(), "version {version}");
        }
        let header = ListHeader {
            format_version: version,
            snapshot_id: SNAPSHOT,
            parent_id: None,
            sequence_number: 0,
            next_row_id: 0,
        };
        let bytes = list_write::write(&header, Vec::new(), AvroCodec::Null, [7; 16]).unwrap().bytes;
        assert_eq!(schema_text(&bytes), list.trim(), "version {version}");
    }
}

fn schema_text(bytes: &[u8]) -> String {
    let container = Container::open(bytes).unwrap();
    let (_, schema) = container.metadata.iter().find(|(key, _)| key == "avro.schema").unwrap();
    String::from_utf8(schema.to_vec()).unwrap()
}

#[test]
fn fixed_partitions_are_declared_as_they_are_written() {
    let header = written::header_of(2, ManifestContent::Data, &[("f", "fixed[5]")]);
    let writer = ManifestWriter::new(&header, "m".to_owned(), SNAPSHOT, AvroCodec::Null, [7; 16]);
    let bytes = writer.finish().unwrap().bytes;
    let schema = Container::open(&bytes).unwrap().schema.to_string();
    assert!(
        schema.contains(r#"{"name":"f","type":["null","bytes"],"default":null,"field-id":1000}"#),
        "{schema}"
    );
}

#[test]
fn fields_are_those_of_their_version() {
    let names = |version: i32| -> Vec<String> {
        let bytes = writer(version, ManifestContent::Data).finish().unwrap().bytes;
        let schema = Container::open(&bytes).unwrap().schema;
        let entry = schema["fields"].as_array().unwrap();
        let file = entry.iter().find(|field| field["name"] == "data_file").unwrap();
        let file = file["type"]["fields"].as_array().unwrap();
        entry.iter().chain(file).map(|field| field["name"].as_str().unwrap().to_owned()).collect()
    };
    let has = |version: i32, name: &str| names(version).iter().any(|known| known == name);
    for (name, versions) in [
        ("block_size_in_bytes", [true, false, false]),
        ("content", [false, true, true]),
        ("sequence_number", [false, true, true]),
        ("file_sequence_number", [false, true, true]),
        ("equality_ids", [false, true, true]),
        ("referenced_data_file", [false, true, true]),
        ("first_row_id", [false, false, true]),
        ("content_offset", [false, false, true]),
        ("content_size_in_bytes", [false, false, true]),
        ("sort_order_id", [true, true, true]),
    ] {
        assert_eq!([has(1, name), has(2, name), has(3, name)], versions, "{name}");
    }
}

#[test]
fn the_header_says_what_the_specification_asks_for() {
    let metadata = |version: i32, content: ManifestContent| -> Vec<(String, String)> {
        let bytes = writer(version, content).finish().unwrap().bytes;
        let container = Container::open(&bytes).unwrap();
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        container.metadata.iter().map(|(key, value)| (key.clone(), text(value))).collect()
    };
    let find = |metadata: &[(String, String)], name: &str| {
        metadata.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    };
    let v3 = metadata(3, ManifestContent::Deletes);
    assert_eq!(find(&v3, "content").as_deref(), Some("deletes"));
    assert_eq!(find(&v3, "format-version").as_deref(), Some("3"));
    assert_eq!(find(&v3, "partition-spec-id").as_deref(), Some("5"));
    assert_eq!(find(&v3, "schema-id").as_deref(), Some("2"));
    let schema: Json = serde_json::from_str(&find(&v3, "schema").unwrap()).unwrap();
    assert_eq!(schema["schema-id"], json!(2));
    let spec: Json = serde_json::from_str(&find(&v3, "partition-spec").unwrap()).unwrap();
    assert_eq!(spec[0]["field-id"], json!(1000));
    assert_eq!(spec[0]["source-id"], json!(1));
    assert_eq!(find(&metadata(2, ManifestContent::Data), "content").as_deref(), Some("data"));
    assert_eq!(find(&metadata(1, ManifestContent::Data), "content"), None);
}

#[test]
fn an_added_file_inherits_its_numbers() {
    for version in [2, 3] {
        let header = header(version, ManifestContent::Data);
        let mut writer = writer(version, ManifestContent::Data);
        writer.added(&data_file("a", all_values(1)), None).unwrap();
        let written = writer.finish().unwrap();
        let records = avro_records(&written.bytes);
        assert_eq!(records[0]["sequence_number"], Json::Null);
        assert_eq!(records[0]["file_sequence_number"], Json::Null);
        assert_eq!(records[0]["snapshot_id"], json!(SNAPSHOT));
        assert_eq!(written.manifest_file.sequence_number, UNASSIGNED_SEQUENCE_NUMBER);
        assert_eq!(written.manifest_file.min_sequence_number, UNASSIGNED_SEQUENCE_NUMBER);
        let (status, origin, _) = read(&written, &header, 6).remove(0);
        let inherited =
            EntryOrigin { snapshot_id: SNAPSHOT, sequence_number: Some(6), file_sequence_number: Some(6) };
        assert_eq!((status, origin), (Status::Added, inherited));
    }
}

#[test]
fn a_rewritten_file_keeps_the_sequence_number_given() {
    let header = header(2, ManifestContent::Data);
    let mut writer = writer(2, ManifestContent::Data);
    writer.added(&data_file("a", all_values(1)), Some(4)).unwrap();
    let written = writer.finish().unwrap();
    assert_eq!(written.manifest_file.min_sequence_number, 4);
    let (_, origin, _) = read(&written, &header, 6).remove(0);
    assert_eq!((origin.sequence_number, origin.file_sequence_number), (Some(4), Some(6)));
}

#[test]
fn a_carried_file_keeps_its_origin() {
    let header = header(3, ManifestContent::Data);
    let mut writer = writer(3, ManifestContent::Data);
    let file = DataFile { first_row_id: Some(100), ..data_file("a", all_values(1)) };
    writer.existing(&file, ORIGIN).unwrap();
    let written = writer.finish().unwrap();
    let line = ManifestFile { first_row_id: Some(900), ..written.manifest_file.clone() };
    let (status, origin, found) =
        read(&WrittenManifest { manifest_file: line, ..written }, &header, 6).remove(0);
    assert_eq!((status, origin, found), (Status::Existing, ORIGIN, file));
}

#[test]
fn a_removed_file_keeps_its_numbers_and_names_the_snapshot_that_removes_it() {
    let header = header(2, ManifestContent::Data);
    let mut writer = writer(2, ManifestContent::Data);
    writer.deleted(&data_file("a", all_values(1)), ORIGIN).unwrap();
    let written = writer.finish().unwrap();
    let (status, origin, _) = read(&written, &header, 6).remove(0);
    assert_eq!((status, origin), (Status::Deleted, EntryOrigin { snapshot_id: SNAPSHOT, ..ORIGIN }));
    // What is gone does not hold deletes back.
    assert_eq!(written.manifest_file.min_sequence_number, UNASSIGNED_SEQUENCE_NUMBER);
}

#[test]
fn a_new_file_gets_no_first_row_id_of_its_own() {
    let mut writer = writer(3, ManifestContent::Data);
    let file = DataFile { first_row_id: Some(100), ..data_file("a", all_values(1)) };
    writer.added(&file, None).unwrap();
    let records = avro_records(&writer.finish().unwrap().bytes);
    assert_eq!(records[0]["data_file"]["first_row_id"], Json::Null);
}

#[test]
fn delete_files_of_every_kind_read_back() {
    let header = header(3, ManifestContent::Deletes);
    let files = [
        delete_file("e", FileContent::EqualityDeletes),
        delete_file("p", FileContent::PositionDeletes),
        vector("v", "a"),
    ];
    let mut writer = writer(3, ManifestContent::Deletes);
    for file in &files {
        writer.added(file, None).unwrap();
    }
    let written = writer.finish().unwrap();
    let found: Vec<_> = read(&written, &header, 6).into_iter().map(|(_, _, file)| file).collect();
    assert_eq!(found, files);
}

#[test]
fn the_line_counts_files_and_rows_and_sums_up_partitions() {
    let mut writer = writer(2, ManifestContent::Data);
    writer.added(&data_file("a", all_values(3)), None).unwrap();
    writer.existing(&data_file("b", vec![None; every_type().len()]), ORIGIN).unwrap();
    writer
        .existing(&data_file("c", all_values(-2)), EntryOrigin { sequence_number: Some(2), ..ORIGIN })
        .unwrap();
    writer
        .deleted(&data_file("d", all_values(9)), EntryOrigin { sequence_number: Some(1), ..ORIGIN })
        .unwrap();
    let line = writer.finish().unwrap().manifest_file;
    assert_eq!((line.added_files, line.existing_files, line.deleted_files), (Some(1), Some(2), Some(1)));
    assert_eq!((line.added_rows, line.existing_rows, line.deleted_rows), (Some(10), Some(20), Some(10)));
    assert_eq!(line.min_sequence_number, 2);
    let summaries = line.partitions.unwrap();
    let place = |name: &str| every_type().iter().position(|(known, _)| *known == name).unwrap();
    let int = &summaries[place("int")];
    assert_eq!((int.contains_null, int.contains_nan), (true, Some(false)));
    assert_eq!(int.lower_bound, Some((-2_i32).to_le_bytes().to_vec()));
    assert_eq!(int.upper_bound, Some(9_i32.to_le_bytes().to_vec()));
}

#[test]
fn nan_is_told_and_is_no_bound() {
    let mut writer = writer(2, ManifestContent::Data);
    let place = every_type().iter().position(|(known, _)| *known == "double").unwrap();
    let mut tuple = vec![None; every_type().len()];
    tuple[place] = Some(Value::Double(f64::NAN));
    writer.added(&data_file("a", tuple), None).unwrap();
    let summary = writer.finish().unwrap().manifest_file.partitions.unwrap().remove(place);
    assert_eq!((summary.contains_nan, summary.lower_bound, summary.upper_bound), (Some(true), None, None));
}

#[test]
fn names_that_avro_cannot_hold_are_made_to_fit_and_kept_beside() {
    let header = written::header_of(
        2,
        ManifestContent::Data,
        &[("a.b", "int"), ("9 lives", "int"), ("größe", "int"), ("a_x2Eb", "int"), ("ok_1", "int")],
    );
    let writer = ManifestWriter::new(&header, "m".to_owned(), SNAPSHOT, AvroCodec::Null, [7; 16]);
    let bytes = writer.finish().unwrap().bytes;
    AvroSchema::parse(&Container::open(&bytes).unwrap().schema).unwrap();
    let schema = Container::open(&bytes).unwrap().schema;
    let file =
        schema["fields"].as_array().unwrap().iter().find(|field| field["name"] == "data_file").unwrap();
    let partition = &file["type"]["fields"]
        .as_array()
        .unwrap()
        .iter()
        .find(|field| field["name"] == "partition")
        .unwrap();
    assert_eq!(partition["type"]["name"], json!("r102"));
    let fields: Vec<_> = partition["type"]["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| {
            (field["name"].as_str().unwrap(), field.get("iceberg-field-name").and_then(Json::as_str))
        })
        .collect();
    assert_eq!(
        fields,
        [
            ("a_x2Eb", Some("a.b")),
            ("_9_x20lives", Some("9 lives")),
            ("gr_xF6_xDFe", Some("größe")),
            ("a_x2Eb_1003", Some("a_x2Eb")),
            ("ok_1", None),
        ]
    );
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_no_trace() {
    let mut writer = writer(2, ManifestContent::Data);
    let good = data_file("a", all_values(1));
    let mut wrong_type = all_values(1);
    wrong_type[0] = Some(Value::String("x".to_owned()));
    let refused = [
        data_file("b", wrong_type),
        data_file("b", vec![None]),
        DataFile { spec_id: 9, ..good.clone() },
        DataFile { content: FileContent::EqualityDeletes, ..good.clone() },
        data_file("", all_values(1)),
    ];
    for file in &refused {
        let error = writer.added(file, None).unwrap_err();
        assert!(matches!(error, ManifestError::Unwritable(_)), "{error}");
    }
    let unknown = EntryOrigin { sequence_number: None, ..ORIGIN };
    assert!(matches!(writer.existing(&good, unknown), Err(ManifestError::Unwritable(_))));
    writer.added(&good, None).unwrap();
    let written = writer.finish().unwrap();
    assert_eq!(read(&written, &header(2, ManifestContent::Data), 1).len(), 1);
    assert_eq!(written.manifest_file.added_files, Some(1));
}

#[test]
fn deletes_are_refused_in_version_1_and_vectors_in_version_2() {
    let spec = written::spec(&[("int", "int")]);
    let schema = written::schema(&[("int", "int")]);
    let header = ManifestHeader::new(1, ManifestContent::Deletes, &spec, std::iter::once(&schema));
    assert!(matches!(header, Err(ManifestError::Unsupported(_))));
    let header = ManifestHeader::new(4, ManifestContent::Data, &spec, std::iter::once(&schema));
    assert!(matches!(header, Err(ManifestError::Unsupported(_))));
    let refused = writer(2, ManifestContent::Deletes).added(&vector("v", "a"), None);
    assert!(matches!(refused, Err(ManifestError::Unwritable(_))));
}

#[test]
fn a_decimal_that_does_not_fit_its_bytes_is_refused() {
    let header = written::header_of(2, ManifestContent::Data, &[("d", "decimal(2, 0)")]);
    let mut writer = ManifestWriter::new(&header, "m".to_owned(), SNAPSHOT, AvroCodec::Null, [7; 16]);
    let file = |unscaled| data_file("a", vec![Some(Value::Decimal(Decimal { unscaled, scale: 0 }))]);
    writer.added(&file(-99), None).unwrap();
    assert!(matches!(writer.added(&file(1000), None), Err(ManifestError::Unwritable(_))));
}

#[test]
fn the_size_grows_with_entries_so_that_callers_can_roll() {
    let mut writer = writer(2, ManifestContent::Data);
    let mut before = writer.size_bytes();
    for number in 0..5_000 {
        writer
            .added(&data_file(&format!("s3://lake/data/{number:08}.parquet"), all_values(number)), None)
            .unwrap();
    }
    assert!(writer.size_bytes() > before);
    before = writer.size_bytes();
    let written = writer.finish().unwrap();
    assert!(before.abs_diff(written.bytes.len()) < 70_000, "{before} and {}", written.bytes.len());
    assert_eq!(Manifest::decode(&written.bytes, 1 << 28).unwrap().len(), 5_000);
}

fn tuples() -> impl Strategy<Value = Vec<Option<Value>>> {
    any::<[u8; 24]>().prop_map(|bytes| written::random_values(&bytes))
}

fn files() -> impl Strategy<Value = DataFile> {
    let counts = || prop::collection::btree_map(any::<i32>(), any::<i64>(), 0..4);
    let bounds =
        || prop::collection::btree_map(any::<i32>(), prop::collection::vec(any::<u8>(), 0..20), 0..4);
    let metrics = (counts(), counts(), counts(), counts(), bounds(), bounds());
    (
        ".{1,60}",
        tuples(),
        0..i64::MAX / 1000,
        any::<i64>(),
        metrics,
        prop::collection::vec(any::<i64>(), 0..4),
    )
        .prop_map(|(path, partition, record_count, size_bytes, metrics, split_offsets)| DataFile {
            record_count,
            size_bytes,
            metrics: table_core::manifest::data_file::ColumnMetrics {
                column_sizes: metrics.0,
                value_counts: metrics.1,
                null_value_counts: metrics.2,
                nan_value_counts: metrics.3,
                lower_bounds: metrics.4,
                upper_bounds: metrics.5,
            },
            split_offsets,
            ..data_file(&path, partition)
        })
}

proptest! {
    #[test]
    fn any_entries_read_back(
        version in 1..=3_i32,
        entries in prop::collection::vec((0..3, files(), any::<i64>(), 0..i64::MAX), 0..12),
        codec in 0..3_usize,
    ) {
        let header = header(version, ManifestContent::Data);
        let mut writer = ManifestWriter::new(&header, "m".to_owned(), SNAPSHOT, codecs()[codec], [7; 16]);
        let mut expected = Vec::new();
        for (status, file, snapshot_id, number) in entries {
            let known = version > 1;
            let sequence_number = if known { Some(number) } else { Some(0) };
            let origin = EntryOrigin { snapshot_id, sequence_number, file_sequence_number: sequence_number };
            let own = EntryOrigin { snapshot_id: SNAPSHOT, ..origin };
            match status {
                0 => { writer.existing(&file, origin).unwrap(); expected.push((Status::Existing, origin, file)); }
                1 => {
                    writer.added(&file, None).unwrap();
                    let inherited = if known { Some(77) } else { Some(0) };
                    expected.push((
                        Status::Added,
                        EntryOrigin { snapshot_id: SNAPSHOT, sequence_number: inherited, file_sequence_number: inherited },
                        file,
                    ));
                }
                _ => { writer.deleted(&file, origin).unwrap(); expected.push((Status::Deleted, own, file)); }
            }
        }
        let written = writer.finish().unwrap();
        prop_assert_eq!(read(&written, &header, if version > 1 { 77 } else { 0 }), expected.clone());
        let mut count = 0;
        let bytes = without_uuids(&written.bytes);
        for (record, (status, _, file)) in Reader::new(&bytes[..]).unwrap().zip(&expected) {
            let Avro::Record(fields) = record.unwrap() else { panic!("a record") };
            let number = match status { Status::Existing => 0, Status::Added => 1, Status::Deleted => 2 };
            prop_assert_eq!(&fields[0], &("status".to_owned(), Avro::Int(number)));
            let Avro::Record(held) = &fields.last().unwrap().1 else { panic!("a record") };
            let path = held.iter().find(|(name, _)| name == "file_path").unwrap();
            prop_assert_eq!(&path.1, &Avro::String(file.path.clone()));
            count += 1;
        }
        prop_assert_eq!(count, expected.len());
    }
}
