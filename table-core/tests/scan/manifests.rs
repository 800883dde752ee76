//! Decoding manifests and manifest lists: what is inherited, every codec, other writers' ways.

use apache_avro::types::Value;
use apache_avro::{Schema, Writer};
use serde_json::{Value as Json, json};
use table_core::manifest::error::ManifestError;
use table_core::manifest::file::Manifest;
use table_core::manifest::list::{self, ManifestContent, ManifestFile};

use crate::table::{LIMIT_BYTES, listed};
use crate::writer::{codecs, entry, line, list_schema, manifest, manifest_schema, optional, required, write};

fn decode(bytes: &[u8]) -> Manifest {
    Manifest::decode(bytes, LIMIT_BYTES).unwrap()
}

fn number(text: &str) -> Json {
    if text == "-" { Json::Null } else { json!(text.parse::<i64>().unwrap()) }
}

fn shown(value: Option<i64>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

// --- What is inherited ------------------------------------------------------

/// Entries such as `added 5 6`: status, sequence number, and that of the file; `-` is null. What they come to in a manifest
/// with this sequence number.
#[track_caller]
fn check_sequence(manifest_number: i64, entries: &[&str], expected: &str) {
    let written: Vec<_> = entries
        .iter()
        .map(|text| {
            let words: Vec<_> = text.split(' ').collect();
            let status = ["existing", "added", "deleted"].iter().position(|name| *name == words[0]).unwrap();
            entry(json!({"entry": {
                "status": status, "sequence_number": number(words[1]), "file_sequence_number": number(words[2]),
            }}))
        })
        .collect();
    let manifest = decode(&manifest(&[], &written));
    let listed = ManifestFile { sequence_number: manifest_number, ..listed(0, ManifestContent::Data) };
    let seen: Vec<_> = manifest
        .files(&listed)
        .map(|file| format!("{} {}", shown(file.sequence_number()), shown(file.file_sequence_number())))
        .collect();
    assert_eq!(seen.join(", "), expected, "{entries:?}");
}

#[test]
fn added_files_inherit_the_sequence_number() {
    check_sequence(7, &["added - -", "added 5 -", "added 5 6"], "7 7, 5 7, 5 6");
    check_sequence(7, &["existing 5 6", "existing - -", "deleted - -", "deleted 3 4"], "5 6, - -, - -, 3 4");
}

#[test]
fn everything_in_a_manifest_of_version_1_has_number_0() {
    check_sequence(0, &["added - -", "existing - -", "deleted - -"], "0 0, 0 0, 0 0");
}

#[test]
fn entries_inherit_the_snapshot() {
    let written =
        [entry(json!({"entry": {"snapshot_id": null}})), entry(json!({"entry": {"snapshot_id": 5}}))];
    let manifest = decode(&manifest(&[], &written));
    let listed = ManifestFile { added_snapshot_id: 8, ..listed(0, ManifestContent::Data) };
    assert_eq!(manifest.files(&listed).map(|file| file.snapshot_id()).collect::<Vec<_>>(), [8, 5]);
}

/// Entries such as `added 10 -`: status, rows, and first row id. Their first row ids in a manifest that has this one.
#[track_caller]
fn check_rows(first: Option<i64>, entries: &[&str], expected: &str) {
    let written: Vec<_> = entries
        .iter()
        .map(|text| {
            let words: Vec<_> = text.split(' ').collect();
            let status = ["existing", "added", "deleted"].iter().position(|name| *name == words[0]).unwrap();
            entry(json!({
                "entry": {"status": status}, "record_count": number(words[1]), "first_row_id": number(words[2]),
            }))
        })
        .collect();
    let manifest = decode(&manifest(&[], &written));
    let listed = ManifestFile { first_row_id: first, ..listed(0, ManifestContent::Data) };
    let seen: Vec<_> = manifest.files(&listed).map(|file| shown(file.first_row_id())).collect();
    assert_eq!(seen.join(" "), expected, "{entries:?}");
}

#[test]
fn first_row_ids_follow_on_from_the_manifests() {
    check_rows(Some(100), &["added 10 -", "added 5 -", "existing 1 -", "added 1 -"], "100 110 115 116");
    // Those that have one do not count, nor those that were removed.
    check_rows(Some(100), &["added 10 -", "existing 50 7", "deleted 20 -", "added 5 -"], "100 7 - 110");
    check_rows(Some(0), &["deleted 20 3", "added 5 -"], "3 0");
}

#[test]
fn there_are_no_first_row_ids_in_a_manifest_without_one() {
    check_rows(None, &["added 10 -", "existing 5 7"], "- -");
}

// --- How it is written ------------------------------------------------------

#[test]
fn every_codec_is_read() {
    let entries: Vec<_> =
        (0..2000).map(|number| entry(json!({"file_path": format!("file {number}")}))).collect();
    let lines: Vec<_> =
        (0..500).map(|number| line(json!({"manifest_path": format!("m {number}")}))).collect();
    let listed = listed(0, ManifestContent::Data);
    for codec in codecs() {
        let manifest = decode(&write(&manifest_schema(&[]), &entries, codec));
        let paths: Vec<_> = manifest.files(&listed).map(|file| file.path().to_owned()).collect();
        assert_eq!(paths.len(), 2000, "{codec:?}");
        assert_eq!((paths[0].as_str(), paths[1999].as_str()), ("file 0", "file 1999"), "{codec:?}");
        let manifests = list::decode(&write(&list_schema(), &lines, codec), LIMIT_BYTES).unwrap();
        assert_eq!(manifests.len(), 500, "{codec:?}");
        assert_eq!(manifests[499].path, "m 499");
    }
}

/// The file with some bytes in place of others.
fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    let mut changed = bytes.to_vec();
    changed[at..at + to.len()].copy_from_slice(to.as_bytes());
    changed
}

#[test]
fn what_cannot_be_read_is_refused() {
    let refuse = |bytes: &[u8], part: &str| {
        let message = Manifest::decode(bytes, LIMIT_BYTES).err().unwrap().to_string();
        assert!(message.contains(part), "{message}");
    };
    let [null, deflate, snappy, zstandard] =
        codecs().map(|codec| write(&manifest_schema(&[]), &[entry(json!({}))], codec));
    refuse(&replaced(&snappy, "snappy", "xyzppy"), "compressed with `xyzppy`");
    refuse(&[], "does not begin like an Avro object container file");
    refuse(b"PAR1", "does not begin like an Avro object container file");
    refuse(&replaced(&null, "\"field-id\":100", "\"field-id\":199"), "its files have no path");
    refuse(&replaced(&null, "avro.schema", "avro.scheme"), "its header has no schema");
    for whole in [&null, &deflate, &snappy, &zstandard] {
        refuse(&whole[..whole.len() - 1], "ends within a value");
    }
    let mut wrong = snappy.clone();
    let at = wrong.len() - 17;
    wrong[at] ^= 1;
    refuse(&wrong, "a block's checksum is wrong");
}

#[test]
fn a_file_that_takes_more_memory_than_allowed_is_refused() {
    let entries: Vec<_> = (0..1000).map(|_| entry(json!({"file_path": "a".repeat(500)}))).collect();
    let lines: Vec<_> = (0..1000).map(|_| line(json!({"manifest_path": "a".repeat(500)}))).collect();
    for codec in codecs() {
        let refused = Manifest::decode(&write(&manifest_schema(&[]), &entries, codec), 300_000);
        assert_eq!(refused.err(), Some(ManifestError::TooLarge { limit_bytes: 300_000 }), "{codec:?}");
        let refused = list::decode(&write(&list_schema(), &lines, codec), 300_000);
        assert_eq!(refused.err(), Some(ManifestError::TooLarge { limit_bytes: 300_000 }), "{codec:?}");
        // What is decompressed and what is made of it are in memory at the same time.
        let long = write(&list_schema(), &[line(json!({"manifest_path": "a".repeat(500_000)}))], codec);
        let refused = list::decode(&long, 800_000);
        assert_eq!(refused.err(), Some(ManifestError::TooLarge { limit_bytes: 800_000 }), "{codec:?}");
        list::decode(&long, 1_500_000).unwrap();
    }
    // Small in the file, but not in memory.
    let summaries: Vec<_> = (0..5000).map(|_| json!({"contains_null": false})).collect();
    let many = write(&list_schema(), &[line(json!({"partitions": summaries}))], codecs()[0]);
    assert!(many.len() < 50_000);
    assert_eq!(list::decode(&many, 100_000).err(), Some(ManifestError::TooLarge { limit_bytes: 100_000 }));
}

#[test]
fn fields_are_found_by_their_ids() {
    // In another order, under other names, with others between them.
    let file = json!([
        required(9000, "vendor", json!({"type": "map", "values": ["null", "long"]})),
        required(104, "size", "long"),
        required(103, "rows", "long"),
        optional(
            9001,
            "more",
            json!({"type": "record", "name": "more", "fields": [
                required(9002, "kind", json!({"type": "enum", "name": "kind", "symbols": ["A", "B"]})),
                required(9003, "digest", json!({"type": "fixed", "name": "digest", "size": 3})),
                required(9004, "flags", json!({"type": "array", "items": "boolean"})),
            ]})
        ),
        required(101, "format", "string"),
        required(100, "location", "string"),
    ]);
    let schema = json!({"type": "record", "name": "line", "fields": [
        required(2, "file", json!({"type": "record", "name": "file", "fields": file})),
        optional(9005, "score", "double"),
        required(0, "what", "int"),
    ]});
    let parsed = Schema::parse(&schema).unwrap();
    let mut writer = Writer::new(&parsed, Vec::new());
    let text = |text: &str| Value::String(text.to_owned());
    let union = |branch, value| Value::Union(branch, Box::new(value));
    let record = |fields: Vec<(&str, Value)>| {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        Value::Record(fields.collect())
    };
    let more = record(vec![
        ("kind", Value::Enum(1, "B".to_owned())),
        ("digest", Value::Fixed(3, vec![1, 2, 3])),
        ("flags", Value::Array(vec![Value::Boolean(true), Value::Boolean(false)])),
    ]);
    let vendor = Value::Map([("x".to_owned(), union(1, Value::Long(5)))].into());
    let file = record(vec![
        ("vendor", vendor),
        ("size", Value::Long(77)),
        ("rows", Value::Long(3)),
        ("more", union(1, more)),
        ("format", text("orc")),
        ("location", text("here")),
    ]);
    let score = union(1, Value::Double(0.5));
    writer.append(record(vec![("file", file), ("score", score), ("what", Value::Int(1))])).unwrap();
    let manifest = decode(&writer.into_inner().unwrap());
    let listed = listed(0, ManifestContent::Data);
    let file = manifest.file(0, &listed).unwrap();
    assert_eq!((file.path(), file.format()), ("here", "orc"));
    assert_eq!((file.record_count(), file.size_bytes()), (3, 77));
    assert_eq!(manifest.partitions(&Vec::new()), Ok(vec![vec![]]));
}

#[test]
fn a_list_tells_everything_about_its_manifests() {
    let lines = [
        line(json!({
            "content": 1, "partition_spec_id": 3, "sequence_number": 9, "min_sequence_number": 4, "first_row_id": 70,
            "added_files_count": 2, "existing_files_count": 3, "deleted_files_count": 4, "key_metadata": [1, 2],
            "partitions": [
                {"contains_null": true, "contains_nan": false, "lower_bound": [1], "upper_bound": [2]},
                {"contains_null": false},
            ],
        })),
        line(json!({})),
    ];
    let manifests = list::decode(&write(&list_schema(), &lines, codecs()[1]), LIMIT_BYTES).unwrap();
    let [first, second] = &manifests[..] else { panic!("{manifests:?}") };
    assert_eq!((first.content, first.spec_id), (ManifestContent::Deletes, 3));
    assert_eq!((first.sequence_number, first.min_sequence_number, first.first_row_id), (9, 4, Some(70)));
    assert_eq!((first.live_files(), first.deleted_files), (Some(5), Some(4)));
    assert_eq!(first.key_metadata.as_deref(), Some([1, 2].as_slice()));
    let summaries = first.partitions.as_ref().unwrap();
    assert_eq!((summaries[0].contains_null, summaries[0].contains_nan), (true, Some(false)));
    assert_eq!(summaries[0].lower_bound.as_deref(), Some([1].as_slice()));
    assert_eq!((summaries[1].contains_nan, &summaries[1].upper_bound), (None, &None));
    assert_eq!((second.partitions.as_ref(), second.first_row_id, second.length_bytes), (None, None, 5000));
}
