//! What is read is written: documents of every version keep all they contain.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{V1, V2, V3, table};
use serde_json::{Value, json};
use table_core::metadata::view::ViewMetadata;

const VIEW: &str = include_str!("../fixtures/view.metadata.json");

fn check(document: &str, written: Vec<u8>) {
    let written = String::from_utf8(written).unwrap();
    let before: Value = serde_json::from_str(document).unwrap();
    let after: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(before, after);
    // The text of numbers and the order of fields are beyond what comparing values shows.
    let squeeze = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    assert_eq!(squeeze(document), squeeze(&written));
}

fn check_table(document: &str) {
    check(document, table(document).to_bytes());
}

#[test]
fn a_document_of_version_1_comes_back_whole() {
    check_table(V1);
}

#[test]
fn a_document_of_version_2_comes_back_whole() {
    check_table(V2);
}

#[test]
fn a_document_of_version_3_with_unknown_types_and_transforms_comes_back_whole() {
    check_table(V3);
}

#[test]
fn a_document_of_a_later_version_comes_back_whole() {
    check_table(&V3.replace("\"format-version\": 3", "\"format-version\": 4"));
}

#[test]
fn a_view_comes_back_whole() {
    check(VIEW, ViewMetadata::parse(VIEW.as_bytes()).unwrap().to_bytes());
}

#[test]
fn the_first_version_may_lack_what_later_ones_demand() {
    let metadata = table(&V1.replace("\"table-uuid\": \"8f1f6a5e-4bf9-4a4e-9a86-0a3f3a4b7c11\",", ""));
    assert_eq!(metadata.uuid(), None);
    assert_eq!(metadata.last_partition_id(), 1001);
    assert_eq!(metadata.refs().get("main").unwrap().snapshot_id, 11);
    assert_eq!(metadata.current_schema_id(), 0);
    assert_eq!(metadata.default_spec().unwrap().fields().len(), 2);
    assert_eq!(metadata.default_sort_order().unwrap().fields().len(), 0);
    let lists: Vec<String> = metadata.manifest_lists().map(Result::unwrap).collect();
    assert_eq!(lists, ["s3://lake/harbour/arrivals/metadata/snap-11.avro"]);
}

#[test]
fn no_current_snapshot_is_said_in_many_ways() {
    for none in ["\"current-snapshot-id\": -1,", "\"current-snapshot-id\": null,", ""] {
        let empty =
            r#"{"format-version": 2, "table-uuid": "0d2c1f6b-6a52-4d59-9c3e-6f3f8c4ad2a2", "location": "/t/",
            "last-sequence-number": 0, "last-updated-ms": 1, "last-column-id": 0, NONE "current-schema-id": 0,
            "schemas": [{"type": "struct", "fields": []}], "default-spec-id": 0, "last-partition-id": 999,
            "partition-specs": [{"spec-id": 0, "fields": []}], "default-sort-order-id": 0,
            "sort-orders": [{"order-id": 0, "fields": []}]}"#
                .replace("NONE", none);
        assert_eq!(table(&empty).current_snapshot_id(), None);
        assert_eq!(table(&empty).location(), "/t");
        check_table(&empty);
    }
}

#[test]
fn a_refs_only_document_lacks_only_the_snapshots_no_reference_names() {
    let metadata = table(V2);
    let full: Value = serde_json::from_slice(&metadata.to_bytes()).unwrap();
    let refs: Value = serde_json::from_slice(&metadata.to_bytes_refs_only()).unwrap();
    let ids: Vec<&Value> =
        refs["snapshots"].as_array().unwrap().iter().map(|it| &it["snapshot-id"]).collect();
    assert_eq!(ids, [&json!(2), &json!(3_051_729_675_574_597_004_i64)]);
    for (name, value) in full.as_object().unwrap() {
        if name != "snapshots" {
            assert_eq!(value, &refs[name], "{name}");
        }
    }
}
