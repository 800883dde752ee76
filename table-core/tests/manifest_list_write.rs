//! Manifest lists that were written here, read by our own reader and by a library that is not ours.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod written;

use apache_avro::Reader;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use table_core::manifest::avro::Container;
use table_core::manifest::avro_write::AvroCodec;
use table_core::manifest::error::ManifestError;
use table_core::manifest::file::Manifest;
use table_core::manifest::list::{ManifestContent, ManifestFile, PartitionSummary, decode};
use table_core::manifest::list_write::{ListHeader, WrittenList, write};
use table_core::manifest::write::UNASSIGNED_SEQUENCE_NUMBER;
use written::{LIMIT_BYTES, all_values, codecs, data_file, writer};

fn header(format_version: i32) -> ListHeader {
    let sequence_number = if format_version > 1 { 7 } else { 0 };
    ListHeader { format_version, snapshot_id: 11, parent_id: Some(10), sequence_number, next_row_id: 500 }
}

/// A line that an older snapshot wrote, with everything that a line can say in version 3.
fn carried(path: &str) -> ManifestFile {
    let summary = PartitionSummary {
        contains_null: true,
        contains_nan: None,
        lower_bound: Some(vec![1]),
        upper_bound: Some(vec![2, 3]),
    };
    ManifestFile {
        length_bytes: 900,
        sequence_number: 4,
        min_sequence_number: 2,
        added_files: Some(1),
        existing_files: Some(2),
        deleted_files: Some(3),
        added_rows: Some(10),
        existing_rows: Some(20),
        deleted_rows: Some(30),
        partitions: Some(vec![summary, PartitionSummary::default()]),
        first_row_id: Some(100),
        key_metadata: Some(vec![9]),
        ..ManifestFile::embedded(path.to_owned(), 5, 8)
    }
}

/// A line of a manifest that this snapshot writes.
fn new(path: &str, content: ManifestContent, rows: i64) -> ManifestFile {
    ManifestFile {
        content,
        sequence_number: UNASSIGNED_SEQUENCE_NUMBER,
        min_sequence_number: UNASSIGNED_SEQUENCE_NUMBER,
        added_rows: Some(rows),
        added_snapshot_id: 11,
        first_row_id: None,
        existing_rows: Some(0),
        ..carried(path)
    }
}

fn written(version: i32, lines: Vec<ManifestFile>) -> WrittenList {
    write(&header(version), lines, AvroCodec::Deflate(6), [3; 16]).unwrap()
}

fn records(list: &WrittenList) -> Vec<Json> {
    Reader::new(&list.bytes[..]).unwrap().map(|record| Json::try_from(record.unwrap()).unwrap()).collect()
}

#[test]
fn a_carried_line_is_written_as_it_was_read() {
    for codec in codecs() {
        let list = write(&header(3), vec![carried("a"), carried("b")], codec, [3; 16]).unwrap();
        assert_eq!(decode(&list.bytes, LIMIT_BYTES).unwrap(), [carried("a"), carried("b")]);
        assert_eq!(list.manifest_files, [carried("a"), carried("b")]);
        assert_eq!(list.assigned_rows, 0);
    }
    let without_row_ids = ManifestFile { first_row_id: None, ..carried("a") };
    assert_eq!(decode(&written(2, vec![carried("a")]).bytes, LIMIT_BYTES).unwrap(), [without_row_ids]);
}

#[test]
fn version_1_has_no_sequence_numbers() {
    let list = written(1, vec![carried("a"), new("b", ManifestContent::Data, 5)]);
    let found = decode(&list.bytes, LIMIT_BYTES).unwrap();
    assert_eq!((found[0].sequence_number, found[0].min_sequence_number), (0, 0));
    assert_eq!((found[1].sequence_number, found[1].min_sequence_number), (0, 0));
    assert_eq!(found[0].deleted_rows, Some(30));
    assert!(records(&list)[0].get("content").is_none());
}

#[test]
fn a_new_manifest_gets_the_sequence_number_of_its_snapshot() {
    let kept = ManifestFile { min_sequence_number: 3, ..new("b", ManifestContent::Data, 5) };
    let list = written(2, vec![new("a", ManifestContent::Deletes, 5), kept]);
    let numbers: Vec<_> =
        list.manifest_files.iter().map(|line| (line.sequence_number, line.min_sequence_number)).collect();
    assert_eq!(numbers, [(7, 7), (7, 3)]);
    assert_eq!(
        decode(&list.bytes, LIMIT_BYTES).unwrap(),
        list.manifest_files.iter().map(plain).collect::<Vec<_>>()
    );
}

/// As version 2 has it.
fn plain(line: &ManifestFile) -> ManifestFile {
    ManifestFile { first_row_id: None, ..line.clone() }
}

#[test]
fn a_manifest_of_another_snapshot_must_have_its_sequence_number() {
    let foreign = ManifestFile { added_snapshot_id: 9, ..new("a", ManifestContent::Data, 5) };
    let refused = write(&header(2), vec![foreign], AvroCodec::Null, [3; 16]);
    assert!(matches!(refused, Err(ManifestError::Unwritable(_))));
}

#[test]
fn row_ids_are_given_to_data_manifests_without_them_with_room_for_all_their_rows() {
    let upgraded = ManifestFile { first_row_id: None, ..carried("old") };
    let list = written(
        3,
        vec![
            new("a", ManifestContent::Data, 5),
            carried("kept"),
            new("deletes", ManifestContent::Deletes, 9),
            upgraded,
            new("b", ManifestContent::Data, 1),
        ],
    );
    let first: Vec<_> = list.manifest_files.iter().map(|line| line.first_row_id).collect();
    assert_eq!(first, [Some(500), Some(100), None, Some(505), Some(535)]);
    assert_eq!(list.assigned_rows, 36);
    assert_eq!(decode(&list.bytes, LIMIT_BYTES).unwrap(), list.manifest_files);
}

#[test]
fn a_line_without_counts_is_refused_until_its_manifest_was_counted() {
    let embedded = || ManifestFile::embedded("m".to_owned(), 5, 8);
    for version in [2, 3] {
        let refused = write(&header(version), vec![embedded()], AvroCodec::Null, [3; 16]);
        assert!(matches!(refused, Err(ManifestError::Unwritable(_))), "version {version}");
    }
    assert_eq!(decode(&written(1, vec![embedded()]).bytes, LIMIT_BYTES).unwrap(), [embedded()]);
    let mut manifest = writer(1, ManifestContent::Data);
    manifest.added(&data_file("a", all_values(1)), None).unwrap();
    let manifest = Manifest::decode(&manifest.finish().unwrap().bytes, LIMIT_BYTES).unwrap();
    let counted = manifest.counted(&embedded());
    assert_eq!((counted.added_files, counted.added_rows, counted.deleted_rows), (Some(1), Some(10), Some(0)));
    written(3, vec![counted]);
}

#[test]
fn deletes_are_refused_in_version_1() {
    let refused = write(&header(1), vec![new("a", ManifestContent::Deletes, 1)], AvroCodec::Null, [3; 16]);
    assert!(matches!(refused, Err(ManifestError::Unwritable(_))));
    assert!(matches!(
        write(&header(4), vec![], AvroCodec::Null, [3; 16]),
        Err(ManifestError::Unsupported(_))
    ));
}

#[test]
fn the_header_names_the_snapshot() {
    let bytes = written(3, vec![]).bytes;
    let container = Container::open(&bytes).unwrap();
    let find = |name: &str| {
        let found = container.metadata.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| String::from_utf8(value.to_vec()).unwrap())
    };
    let expected = [
        ("snapshot-id", "11"),
        ("parent-snapshot-id", "10"),
        ("sequence-number", "7"),
        ("first-row-id", "500"),
        ("format-version", "3"),
    ];
    for (name, value) in expected {
        assert_eq!(find(name).as_deref(), Some(value), "{name}");
    }
    assert!(decode(&bytes, LIMIT_BYTES).unwrap().is_empty());
}

#[test]
fn another_library_reads_every_version() {
    for version in 1..=3 {
        let records = records(&written(version, vec![carried("a")]));
        assert_eq!(records[0]["manifest_path"], json!("a"), "version {version}");
        assert_eq!(records[0]["partitions"][0]["contains_null"], json!(true));
        assert_eq!(records[0]["deleted_rows_count"], json!(30));
    }
}

fn lines() -> impl Strategy<Value = ManifestFile> {
    let counts = (0..i64::from(i32::MAX), 0..i64::from(i32::MAX), 0..i64::from(i32::MAX), any::<i64>());
    let bound = || prop::option::of(prop::collection::vec(any::<u8>(), 0..9));
    let summary = (any::<bool>(), prop::option::of(any::<bool>()), bound(), bound()).prop_map(
        |(contains_null, contains_nan, lower_bound, upper_bound)| PartitionSummary {
            contains_null,
            contains_nan,
            lower_bound,
            upper_bound,
        },
    );
    let partitions = prop::option::of(prop::collection::vec(summary, 0..4));
    (".{1,30}", counts, partitions, any::<(i32, i64, i64, i64, bool)>(), bound()).prop_map(
        |(path, counts, partitions, (spec_id, snapshot, number, row, is_data), key_metadata)| ManifestFile {
            length_bytes: counts.3,
            content: if is_data { ManifestContent::Data } else { ManifestContent::Deletes },
            sequence_number: number.max(0),
            min_sequence_number: number.max(0),
            added_files: Some(counts.0),
            existing_files: Some(counts.1),
            deleted_files: Some(counts.2),
            added_rows: Some(counts.3),
            existing_rows: Some(counts.2),
            deleted_rows: Some(counts.0),
            partitions,
            first_row_id: is_data.then_some(row),
            key_metadata,
            ..ManifestFile::embedded(path, spec_id, snapshot)
        },
    )
}

proptest! {
    #[test]
    fn any_lines_read_back(lines in prop::collection::vec(lines(), 0..20), codec in 0..3_usize) {
        let list = write(&header(3), lines.clone(), codecs()[codec], [3; 16]).unwrap();
        prop_assert_eq!(decode(&list.bytes, LIMIT_BYTES).unwrap(), lines.clone());
        prop_assert_eq!(records(&list).len(), lines.len());
    }
}
