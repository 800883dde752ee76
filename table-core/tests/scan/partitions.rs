//! Partition tuples: types, names, and what clients are told.

use serde_json::{Value as Json, json};
use table_core::manifest::list::ManifestContent;
use table_core::metadata::table::TableMetadata;

use crate::table::{field, listed, plan, show, table};
use crate::writer::{entry, manifest, optional};

fn one_spec(fields: &[Json]) -> TableMetadata {
    table(&[json!(fields)])
}

/// Plans files that are named by their place in `partitions`, and gives what the plan tells of them.
fn plan_with(metadata: &TableMetadata, fields: &[Json], partitions: &[Json], filter: &Json) -> Json {
    let entries: Vec<_> = (0..)
        .zip(partitions)
        .map(|(number, partition)| {
            entry(json!({"file_path": number.to_string(), "partition": partition, "entry": {"sequence_number": 1}}))
        })
        .collect();
    let manifests = vec![(listed(0, ManifestContent::Data), manifest(fields, &entries))];
    plan(metadata, &json!({"filter": filter}), manifests).unwrap()
}

fn told(plan: &Json) -> Json {
    let tasks = plan["file-scan-tasks"].as_array().unwrap();
    tasks.iter().map(|task| task["data-file"]["partition"].clone()).collect()
}

#[test]
fn partitions_of_every_kind_are_read_and_told() {
    let fixed = |name: &str, size: i32| json!({"type": "fixed", "name": name, "size": size});
    let metadata = one_spec(&[
        field(3, 1000, "u", "identity"),
        field(4, 1001, "d", "identity"),
        field(5, 1002, "f", "identity"),
        field(1, 1003, "b", "bucket[4]"),
    ]);
    let fields = [
        optional(1000, "u", fixed("uuid_fixed", 16)),
        optional(1001, "d", fixed("decimal_9_2", 4)),
        optional(1002, "f", fixed("fixed_3", 3)),
        optional(1003, "b", "int"),
    ];
    let tuple =
        json!({"u": (1..17).collect::<Vec<_>>(), "d": [255, 255, 255, 133], "f": [0, 1, 255], "b": 3});
    let all = plan_with(&metadata, &fields, &[tuple.clone(), json!({})], &json!(true));
    assert_eq!(
        told(&all),
        json!([["01020304-0506-0708-090a-0b0c0d0e0f10", "-1.23", "0001FF", 3], [null, null, null, null]])
    );
    let check = |filter: Json, expected: &str| {
        assert_eq!(
            show(&plan_with(&metadata, &fields, &[tuple.clone(), json!({})], &filter)),
            expected,
            "{filter}"
        );
    };
    check(json!({"type": "eq", "term": "u", "value": "01020304-0506-0708-090a-0b0c0d0e0f10"}), "0");
    check(json!({"type": "not-eq", "term": "u", "value": "01020304-0506-0708-090a-0b0c0d0e0f10"}), "1");
    check(json!({"type": "lt", "term": "d", "value": "-1.22"}), "0");
    check(json!({"type": "gt", "term": "d", "value": "-1.22"}), "");
    check(json!({"type": "eq", "term": "f", "value": "0001FF"}), "0");
    check(json!({"type": "is-null", "term": "f"}), "1");
}

#[test]
fn other_ways_to_write_a_value_are_read() {
    let metadata = one_spec(&[
        field(3, 1000, "u", "identity"),
        field(4, 1001, "d", "identity"),
        field(5, 1002, "f", "identity"),
    ]);
    let fields = [optional(1000, "u", "string"), optional(1001, "d", "bytes"), optional(1002, "f", "bytes")];
    let tuple = json!({"u": "01020304-0506-0708-090a-0b0c0d0e0f10", "d": [133], "f": [0, 1, 255]});
    let all = plan_with(&metadata, &fields, &[tuple], &json!(true));
    assert_eq!(told(&all), json!([["01020304-0506-0708-090a-0b0c0d0e0f10", "-1.23", "0001FF"]]));
}

#[test]
fn fields_of_partitions_are_found_by_id_whatever_their_name() {
    let metadata = one_spec(&[field(6, 1000, "odd name.x", "identity"), field(1, 1001, "1st", "identity")]);
    // As Java writes names that Avro does not have, in another order, and with a field that the spec has not.
    let fields = [
        optional(1007, "gone", "string"),
        optional(1001, "_1st", "int"),
        optional(1000, "odd_x20name_x2Ex", "string"),
    ];
    let tuple = json!({"gone": "x", "_1st": 5, "odd_x20name_x2Ex": "y"});
    assert_eq!(told(&plan_with(&metadata, &fields, &[tuple], &json!(true))), json!([["y", 5]]));
}

#[test]
fn fields_without_ids_are_found_by_their_order() {
    let metadata = one_spec(&[field(2, 1000, "s", "identity"), field(1, 1001, "id", "identity")]);
    let fields = [("x", "string"), ("y", "int")];
    let fields = fields.map(|(name, kind)| json!({"name": name, "type": ["null", kind]}));
    let tuple = json!({"x": "a", "y": 5});
    assert_eq!(told(&plan_with(&metadata, &fields, &[tuple], &json!(true))), json!([["a", 5]]));
}

#[test]
fn a_value_whose_column_is_gone_is_told_as_null_and_still_tells_partitions_apart() {
    let metadata = one_spec(&[field(99, 1000, "gone", "identity"), field(2, 1001, "s", "identity")]);
    let fields = [optional(1000, "gone", "long"), optional(1001, "s", "string")];
    let tuples = [json!({"gone": 5, "s": "a"}), json!({"gone": 6, "s": "a"})];
    assert_eq!(
        told(&plan_with(&metadata, &fields, &tuples, &json!(true))),
        json!([[null, "a"], [null, "a"]])
    );

    let data = [("a", 5), ("b", 6)].map(|(path, gone)| {
        entry(json!({"file_path": path, "partition": {"gone": gone, "s": "a"}, "entry": {"sequence_number": 1}}))
    });
    let deletes = entry(json!({
        "file_path": "e", "content": 2, "equality_ids": [1], "partition": {"gone": 5, "s": "a"},
        "entry": {"sequence_number": 2},
    }));
    let manifests = vec![
        (listed(0, ManifestContent::Data), manifest(&fields, &data)),
        (listed(0, ManifestContent::Deletes), manifest(&fields, &[deletes])),
    ];
    let plan = plan(&metadata, &json!({}), manifests).unwrap();
    assert_eq!(show(&plan), "a: e; b");
    assert_eq!(plan["delete-files"][0]["partition"], json!([null, "a"]));
}

#[test]
fn files_are_judged_by_what_the_partition_leaves_of_the_filter() {
    let metadata = one_spec(&[field(2, 1000, "s", "identity")]);
    let fields = [optional(1000, "s", "string")];
    let ids = |path: &str, s: &str, lower: i32, upper: i32| {
        entry(json!({
            "file_path": path, "partition": {"s": s}, "value_counts": {"1": 10}, "null_value_counts": {"1": 0},
            "lower_bounds": {"1": lower.to_le_bytes()}, "upper_bounds": {"1": upper.to_le_bytes()},
        }))
    };
    let entries = [ids("a", "x", 1, 5), ids("b", "x", 6, 9), ids("c", "y", 6, 9)];
    let check = |filter: Json, expected: &[(&str, Json)]| {
        let manifests = vec![(listed(0, ManifestContent::Data), manifest(&fields, &entries))];
        let plan = plan(&metadata, &json!({"filter": filter}), manifests).unwrap();
        let tasks = plan["file-scan-tasks"].as_array().unwrap().iter();
        let seen: Vec<_> = tasks
            .map(|task| (task["data-file"]["file-path"].as_str().unwrap(), task["residual-filter"].clone()))
            .collect();
        assert_eq!(seen, expected, "{filter}");
    };
    let low = json!({"type": "lt", "term": "id", "value": 3});
    let is_y = json!({"type": "eq", "term": "s", "value": "y"});
    check(json!({"type": "or", "left": is_y, "right": low}), &[("a", low.clone()), ("c", json!(true))]);
    check(json!({"type": "and", "left": is_y, "right": low}), &[]);
    check(
        json!({"type": "and", "left": {"type": "not", "child": is_y}, "right": low}),
        &[("a", low.clone())],
    );
}
