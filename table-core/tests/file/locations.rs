//! Locations of new data files are those that Java (Iceberg 1.11) chooses.

use serde_json::{Value as Json, json};
use table_core::expr::value::Value;
use table_core::file::data_location::DataLocations;
use table_core::file::error::FileError;
use table_core::file::partition_path::partition_path;
use table_core::metadata::json::Raw;
use table_core::metadata::partition::PartitionSpec;
use table_core::metadata::table::TableMetadata;
use table_core::metadata::types::Primitive;

use crate::common::refuse;

fn spec(fields: &Json) -> PartitionSpec {
    let text = json!({"spec-id": 0, "fields": fields}).to_string();
    PartitionSpec::parse(Raw::parse(&text).unwrap()).unwrap()
}

fn locations(location: &str, properties: &Json) -> Result<DataLocations, FileError> {
    let mut document: Json = serde_json::from_str(include_str!("../../fixtures/v2.metadata.json")).unwrap();
    document["location"] = json!(location);
    document["properties"] = properties.clone();
    DataLocations::new(&TableMetadata::parse(document.to_string().as_bytes()).unwrap())
}

/// Where a file goes of an unpartitioned table, and of a partition.
fn check(location: &str, properties: &Json, unpartitioned: &str, partitioned: &str) {
    let locations = locations(location, properties).unwrap();
    let fields = json!([
        {"name": "id_bucket", "transform": "bucket[8]", "source-id": 1, "field-id": 1000},
        {"name": "a /=ü.b", "transform": "identity", "source-id": 2, "field-id": 1001},
    ]);
    let tuple = [Some(Value::Int(3)), Some(Value::String("x y/ü".to_owned()))];
    assert_eq!(locations.file(&spec(&json!([])), &[], "00001-a.parquet"), unpartitioned, "{properties}");
    assert_eq!(locations.file(&spec(&fields), &tuple, "00001-a.parquet"), partitioned, "{properties}");
}

/// The lines of the fixture were made by Java's transforms and `PartitionSpec.partitionToPath`: the transform of the field
/// `f`, the type and the value of its source, and the path.
#[test]
fn partitions_are_spelled_as_java_spells_them() {
    let mut count = 0;
    for line in include_str!("../../fixtures/partition_paths.tsv").lines() {
        let [transform, type_name, source, expected] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let spec = spec(&json!([{"name": "f", "transform": transform, "source-id": 1, "field-id": 1000}]));
        let value =
            (source != "null").then(|| Value::from_json_text(source, &Primitive::parse(type_name)).unwrap());
        let result = value.and_then(|value| spec.fields()[0].transform.apply(&value));
        assert_eq!(partition_path(&spec, &[result]), expected, "{line}");
        count += 1;
    }
    assert!(count > 300);
}

#[test]
fn files_are_in_the_data_folder_of_the_table() {
    check(
        "s3://bucket/db/table/",
        &json!({}),
        "s3://bucket/db/table/data/00001-a.parquet",
        "s3://bucket/db/table/data/id_bucket=3/a+%2F%3D%C3%BC.b=x+y%2F%C3%BC/00001-a.parquet",
    );
    check(
        "s3://bucket/db/table",
        &json!({"write.object-storage.enabled": "yes", "write.object-storage.path": "s3://elsewhere"}),
        "s3://bucket/db/table/data/00001-a.parquet",
        "s3://bucket/db/table/data/id_bucket=3/a+%2F%3D%C3%BC.b=x+y%2F%C3%BC/00001-a.parquet",
    );
}

#[test]
fn files_are_where_the_properties_say() {
    let unpartitioned = "s3://other/x/00001-a.parquet";
    let partitioned = "s3://other/x/id_bucket=3/a+%2F%3D%C3%BC.b=x+y%2F%C3%BC/00001-a.parquet";
    for properties in [
        json!({"write.data.path": "s3://other/x//"}),
        json!({"write.data.path": "s3://other/x", "write.folder-storage.path": "s3://old"}),
        json!({"write.folder-storage.path": "s3://other/x"}),
    ] {
        check("s3://bucket/db/table", &properties, unpartitioned, partitioned);
    }
}

#[test]
fn files_are_spread_by_a_hash_if_the_table_asks_for_it() {
    check(
        "s3://bucket/db/table",
        &json!({"write.object-storage.enabled": "TRUE"}),
        "s3://bucket/db/table/data/1000/0101/0000/01010101/00001-a.parquet",
        "s3://bucket/db/table/data/1110/1010/0100/11000101/id_bucket=3/a+%2F%3D%C3%BC.b=x+y%2F%C3%BC/00001-a.parquet",
    );
    check(
        "s3://bucket/db/table",
        &json!({"write.object-storage.enabled": "true", "write.object-storage.partitioned-paths": "false"}),
        "s3://bucket/db/table/data/1000/0101/0000/01010101-00001-a.parquet",
        "s3://bucket/db/table/data/1000/0101/0000/01010101-00001-a.parquet",
    );
}

#[test]
fn tables_that_share_a_folder_are_told_apart_below_the_hash() {
    let (shared, flat) = (
        json!({"write.object-storage.enabled": "true", "write.data.path": "s3://other/x/"}),
        json!({"write.object-storage.enabled": "true", "write.object-storage.path": "s3://other/x",
            "write.folder-storage.path": "s3://old", "write.object-storage.partitioned-paths": "false"}),
    );
    let partition = "id_bucket=3/a+%2F%3D%C3%BC.b=x+y%2F%C3%BC";
    // Java writes an empty folder for what is not there in the last two; nobody needs one.
    for (location, context) in [
        ("s3://bucket/db/table", "db/table/"),
        ("s3://bucket/a%20b/t t/", "a%20b/t t/"),
        ("/tmp/db/table", "db/table/"),
        ("file:/tmp/db/table", "db/table/"),
        ("s3://bucket/table", "table/"),
        ("s3://bucket", ""),
    ] {
        check(
            location,
            &shared,
            &format!("s3://other/x/1000/0101/0000/01010101/{context}00001-a.parquet"),
            &format!("s3://other/x/1110/1010/0100/11000101/{context}{partition}/00001-a.parquet"),
        );
    }
    let flat_location = "s3://other/x/1000/0101/0000/01010101/db/table/00001-a.parquet";
    check("s3://bucket/db/table", &flat, flat_location, flat_location);
}

#[test]
fn fields_that_were_dropped_have_folders_beside_others_only() {
    let locations = locations("s3://b/t", &json!({})).unwrap();
    let old = json!({"name": "old", "transform": "void", "source-id": 1, "field-id": 1000});
    let name = json!({"name": "name", "transform": "identity", "source-id": 2, "field-id": 1001});
    let (both, only) = (spec(&json!([old, name])), spec(&json!([old])));
    assert_eq!(
        locations.file(&both, &[None, None], "a.parquet"),
        "s3://b/t/data/old=null/name=null/a.parquet"
    );
    assert_eq!(locations.file(&only, &[None], "a.parquet"), "s3://b/t/data/a.parquet");
}

#[test]
fn a_table_that_chooses_by_itself_is_refused() {
    let class = json!({"write.location-provider.impl": "com.example.Provider"});
    refuse(locations("s3://b/t", &class), "com.example.Provider");
    refuse(locations("s3://b/t", &json!({"write.data.path": ""})), "`write.data.path` is empty");
}
