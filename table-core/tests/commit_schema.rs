//! Commits that change schemas, partition specs and sort orders.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{V1, V2, V3, check, commit, document, refuse, table};
use serde_json::{Value, json};

/// The current schema of the version 2 fixture, as a client sends it back.
fn current_schema() -> Value {
    document(&table(V2))["schemas"][1].clone()
}

fn with_column(mut schema: Value, column: Value) -> Value {
    schema["fields"].as_array_mut().unwrap().push(column);
    schema
}

fn schema_of(columns: &Value) -> Value {
    json!({"type": "struct", "fields": columns})
}

fn add_and_use(schema: &Value) -> Value {
    json!([{"action": "add-schema", "schema": schema}, {"action": "set-current-schema", "schema-id": -1}])
}

#[test]
fn an_added_schema_gets_the_next_id_and_raises_the_last_column_id() {
    let schema =
        with_column(current_schema(), json!({"id": 12, "name": "age", "required": false, "type": "int"}));
    check(
        V2,
        &add_and_use(&schema),
        &[
            ("/current-schema-id", json!(2)),
            ("/last-column-id", json!(12)),
            ("/schemas/2/schema-id", json!(2)),
            ("/schemas/2/x-note", json!("unknown to everyone")),
            ("/schemas/2/fields/1/x-lineage", json!(["a", "b"])),
            ("/schemas/2/fields/2/type/x-unit", json!("degrees")),
            ("/schemas/1/schema-id", json!(1)),
        ],
    );
}

#[test]
fn a_schema_that_is_already_there_keeps_its_id() {
    let mut old = document(&table(V2))["schemas"][0].clone();
    old["schema-id"] = json!(9);
    check(V2, &add_and_use(&old), &[("/current-schema-id", json!(0)), ("/schemas/2", Value::Null)]);
}

#[test]
fn schemas_that_differ_only_in_what_nobody_knows_are_different() {
    let mut schema = current_schema();
    schema["fields"][1]["x-lineage"] = json!(["a", "c"]);
    check(V2, &add_and_use(&schema), &[("/schemas/2/fields/1/x-lineage", json!(["a", "c"]))]);
}

#[test]
fn a_type_is_the_same_type_however_it_is_spelled() {
    let text = current_schema().to_string().replace("decimal(9, 2)", "DECIMAL( 9 ,2)");
    let updates = json!([{"action": "add-schema", "schema": serde_json::from_str::<Value>(&text).unwrap()}]);
    assert!(!commit(V2, &updates).unwrap().changed);
}

#[test]
fn the_case_of_a_reference_system_matters() {
    let schema =
        document(&table(V3))["schemas"][0].to_string().replace("geometry(OGC:CRS84)", "GEOMETRY(OGC:CRS84)");
    let updates = |schema: &str| json!([{"action": "add-schema", "schema": serde_json::from_str::<Value>(schema).unwrap()}]);
    assert!(!commit(V3, &updates(&schema)).unwrap().changed);
    assert!(commit(V3, &updates(&schema.replace("CRS84", "crs84"))).unwrap().changed);
}

#[test]
fn the_last_added_schema_needs_one() {
    refuse(V2, &json!([{"action": "set-current-schema", "schema-id": -1}]), "no schema has been added");
    refuse(V2, &json!([{"action": "set-current-schema", "schema-id": 5}]), "unknown schema: 5");
}

#[test]
fn fields_are_unique_by_id_and_by_name() {
    let twice = json!([{"id": 1, "name": "a", "required": false, "type": "int"},
                       {"id": 1, "name": "b", "required": false, "type": "int"}]);
    refuse(V2, &add_and_use(&schema_of(&twice)), "have the same id 1");
    let twice = json!([{"id": 1, "name": "a", "required": false, "type": "int"},
                       {"id": 2, "name": "a", "required": false, "type": "int"}]);
    refuse(V2, &add_and_use(&schema_of(&twice)), "two fields named `a`");
    let cases = json!([{"id": 2, "name": "kind", "required": false, "type": "string"},
                       {"id": 1, "name": "id", "required": false, "type": "int"},
                       {"id": 3, "name": "ID", "required": false, "type": "int"}]);
    assert!(commit(V2, &add_and_use(&schema_of(&cases))).is_ok());
}

#[test]
fn types_and_defaults_wait_for_their_format_version() {
    let new =
        ["timestamp_ns", "timestamptz_ns", "variant", "unknown", "geometry", "geography(OGC:CRS84, karney)"];
    for name in new {
        let schema =
            with_column(current_schema(), json!({"id": 12, "name": "new", "required": false, "type": name}));
        refuse(V2, &add_and_use(&schema), "is not supported until v3");
        let upgraded = json!([{"action": "upgrade-format-version", "format-version": 3},
            {"action": "add-schema", "schema": schema}, {"action": "set-current-schema", "schema-id": -1}]);
        assert!(commit(V2, &upgraded).is_ok(), "{name}");
    }
    let column = json!({"id": 12, "name": "new", "required": true, "type": "int", "initial-default": 1});
    refuse(V2, &add_and_use(&with_column(current_schema(), column)), "Invalid initial default for `new`");
}

#[test]
fn unknown_types_are_carried_but_not_added() {
    let schema = document(&table(V3))["schemas"][0].clone();
    let known =
        with_column(schema.clone(), json!({"id": 8, "name": "new", "required": false, "type": "int"}));
    check(V3, &add_and_use(&known), &[("/current-schema-id", json!(1)), ("/last-column-id", json!(8))]);
    let unknown = with_column(schema, json!({"id": 8, "name": "new", "required": false, "type": "tensor"}));
    refuse(V3, &add_and_use(&unknown), "which this server does not support");
}

#[test]
fn identifier_fields_are_required_primitives_outside_of_lists() {
    let identified = |ids: Value| {
        let mut schema = current_schema();
        schema["identifier-field-ids"] = ids;
        add_and_use(&schema)
    };
    refuse(V2, &identified(json!([77])), "the identifier field 77 does not exist");
    refuse(V2, &identified(json!([2])), "it is optional");
    refuse(V2, &identified(json!([3])), "not of a primitive type");
    refuse(V2, &identified(json!([4])), "floating-point");
    refuse(V2, &identified(json!([7])), "inside a list or map");
}

#[test]
fn a_column_in_use_cannot_be_dropped() {
    let without = |id: i64| {
        let mut schema = current_schema();
        schema["fields"].as_array_mut().unwrap().retain(|field| field["id"] != json!(id));
        add_and_use(&schema)
    };
    refuse(V2, &without(2), "Cannot find source column for partition field: kind");
    refuse(V2, &without(1), "the identifier field 1 does not exist");
    let mut schema = current_schema();
    schema["fields"].as_array_mut().unwrap().remove(0);
    schema["identifier-field-ids"] = json!([]);
    refuse(V2, &add_and_use(&schema), "Cannot find source column for sort field");
    assert!(commit(V2, &without(6)).is_ok());
}

#[test]
fn nesting_ends_at_a_limit() {
    let nested = |levels: usize| {
        let mut field_type = json!("int");
        for level in 0..levels {
            field_type = json!({"type": "list", "element-id": 100 + level, "element": field_type, "element-required": false});
        }
        format!(
            r#"{{"updates":[{{"action":"add-schema","schema":{}}}]}}"#,
            schema_of(&json!([
            {"id": 2, "name": "kind", "required": false, "type": field_type}]))
        )
    };
    let parse = |body: String| table_core::commit::request::TableCommit::parse(body.as_bytes());
    assert!(parse(nested(60)).is_ok());
    assert!(parse(nested(70)).unwrap_err().to_string().contains("deeper than 64"));
    // Far beyond what the stack could hold.
    let deep = format!(
        "{}\"int\"{}",
        "{\"type\":\"list\",\"element-id\":1,\"element-required\":true,\"element\":".repeat(100_000),
        "}".repeat(100_000)
    );
    let body = format!(
        r#"{{"updates":[{{"action":"add-schema","schema":{{"type":"struct","fields":[{{"id":1,"name":"a","required":true,"type":{deep}}}]}}}}]}}"#
    );
    assert!(parse(body).unwrap_err().to_string().contains("deeper than 64"));
}

fn add_spec(fields: &Value) -> Value {
    json!([{"action": "add-spec", "spec": {"spec-id": 7, "fields": fields}}, {"action": "set-default-spec", "spec-id": -1}])
}

#[test]
fn an_added_spec_gets_the_next_id_and_its_fields_get_theirs() {
    let fields = json!([{"source-id": 2, "name": "kind_too", "transform": "identity"},
                        {"source-id": 1, "name": "id_bucket", "transform": "bucket[8]", "x-why": "spread"}]);
    check(
        V2,
        &add_spec(&fields),
        &[
            ("/default-spec-id", json!(2)),
            ("/partition-specs/2/spec-id", json!(2)),
            // The id that identity(2) has always had.
            ("/partition-specs/2/fields/0/field-id", json!(1000)),
            ("/partition-specs/2/fields/1/field-id", json!(1001)),
            ("/partition-specs/2/fields/1/x-why", json!("spread")),
            ("/last-partition-id", json!(1001)),
        ],
    );
}

#[test]
fn a_spec_that_partitions_alike_is_the_same_spec() {
    check(V2, &add_spec(&json!([])), &[("/default-spec-id", json!(0)), ("/partition-specs/2", Value::Null)]);
    let alike = json!([{"source-id": 2, "field-id": 1007, "name": "kind", "transform": "identity"}]);
    assert!(!commit(V2, &add_spec(&alike)).unwrap().changed);
}

#[test]
fn a_spec_under_another_name_is_another_spec() {
    let renamed = json!([{"source-id": 2, "field-id": 1000, "name": "sort", "transform": "identity"}]);
    check(
        V2,
        &add_spec(&renamed),
        &[
            ("/default-spec-id", json!(2)),
            ("/partition-specs/2/fields/0/name", json!("sort")),
            ("/partition-specs/1/fields/0/name", json!("kind")),
            ("/last-partition-id", json!(1000)),
        ],
    );
}

#[test]
fn the_first_version_numbers_partition_fields_in_sequence() {
    let day = json!({"source-id": 2, "field-id": 1000, "name": "arrived_day", "transform": "day"});
    let ship = |id: i64| json!({"source-id": 1, "field-id": id, "name": "ship", "transform": "identity"});
    refuse(V1, &add_spec(&json!([day, ship(1005)])), "must have the id 1001");
    check(
        V1,
        &add_spec(&json!([day, ship(1001)])),
        &[
            ("/partition-specs/1/spec-id", json!(1)),
            ("/default-spec-id", json!(1)),
            ("/partition-spec/1/name", json!("ship")),
            ("/last-partition-id", json!(1001)),
            ("/x-harbour/z", Value::Null),
        ],
    );
}

#[test]
fn partition_fields_must_fit_their_columns() {
    let spec = |source: i64, name: &str, transform: &str| {
        add_spec(&json!([{"source-id": source, "name": name, "transform": transform}]))
    };
    refuse(V2, &spec(99, "p", "identity"), "Cannot find source column for partition field: p");
    refuse(V2, &spec(2, "p", "day"), "cannot use day on `kind`, which is of the type string");
    refuse(V2, &spec(3, "p", "identity"), "which is of the type struct");
    refuse(V2, &spec(9, "p", "identity"), "cannot use identity on `pickings.value.element`");
    refuse(V2, &spec(2, "id", "bucket[4]"), "the name of a column it is not made from");
    refuse(V2, &spec(2, "", "bucket[4]"), "empty name");
    refuse(V2, &spec(2, "p", "bucket[0]"), "cannot validate");
    refuse(V2, &spec(2, "p", "zorder"), "cannot validate");
    assert!(commit(V2, &spec(4, "place.lat", "identity")).is_ok());
    assert!(commit(V2, &spec(99, "gone", "void")).is_ok());
    assert!(commit(V2, &spec(99, "id", "void")).is_ok());
    let twice = json!([{"source-id": 1, "name": "p", "transform": "identity"},
                       {"source-id": 2, "name": "p", "transform": "identity"}]);
    refuse(V2, &add_spec(&twice), "two partition fields are named `p`");
    let several = json!([{"source-ids": [1, 2], "name": "p", "transform": "bucket[4]"}]);
    refuse(V2, &add_spec(&several), "on several columns");
}

#[test]
fn sort_orders_are_numbered_from_one_and_never_twice() {
    let order = |id: i64, fields: Value| {
        json!([{"action": "add-sort-order", "sort-order": {"order-id": id, "fields": fields}},
               {"action": "set-default-sort-order", "sort-order-id": -1}])
    };
    let by = |source: i64, direction: &str| json!([{"source-id": source, "transform": "identity", "direction": direction, "null-order": "nulls-last"}]);
    check(
        V2,
        &order(1, by(2, "desc")),
        &[
            ("/default-sort-order-id", json!(2)),
            ("/sort-orders/2/order-id", json!(2)),
            ("/sort-orders/2/fields/0/direction", json!("desc")),
        ],
    );
    check(V2, &order(0, json!([])), &[("/default-sort-order-id", json!(0)), ("/sort-orders/2", Value::Null)]);
    refuse(V2, &order(3, json!([])), "the sort order id 0 is reserved");
    refuse(V2, &order(0, by(2, "asc")), "the sort order id 0 is reserved");
    refuse(V2, &order(3, by(2, "up")), "must be `asc` or `desc`");
    refuse(V2, &order(3, by(99, "asc")), "Cannot find source column for sort field");
    refuse(V2, &json!([{"action": "set-default-sort-order", "sort-order-id": 9}]), "unknown order: 9");
}

#[test]
fn what_is_in_use_cannot_be_removed() {
    refuse(V2, &json!([{"action": "remove-schemas", "schema-ids": [1]}]), "Cannot remove the current schema");
    refuse(V2, &json!([{"action": "remove-partition-specs", "spec-ids": [1]}]), "Cannot remove the default");
    refuse(
        V2,
        &json!([{"action": "remove-schemas", "schema-ids": [0]}]),
        "the snapshot 1 was written with it",
    );
    let expired = json!([{"action": "remove-snapshots", "snapshot-ids": [1]},
                         {"action": "remove-schemas", "schema-ids": [0, 55]},
                         {"action": "remove-partition-specs", "spec-ids": [0]}]);
    check(
        V2,
        &expired,
        &[
            ("/schemas/0/schema-id", json!(1)),
            ("/schemas/1", Value::Null),
            ("/partition-specs/0/spec-id", json!(1)),
        ],
    );
}

#[test]
fn an_id_freed_by_a_commit_is_not_given_out_by_it() {
    let schema = schema_of(&json!([{"id": 2, "name": "kind", "required": false, "type": "string"}]));
    let spec = json!({"fields": [{"source-id": 1, "name": "p", "transform": "bucket[2]"}]});
    let updates = json!([
        {"action": "set-default-spec", "spec-id": 0}, {"action": "remove-partition-specs", "spec-ids": [1, 70]},
        {"action": "add-spec", "spec": spec},
        {"action": "add-schema", "schema": schema}, {"action": "remove-schemas", "schema-ids": [2, 70]},
        {"action": "add-schema", "schema": schema},
    ]);
    check(V2, &updates, &[("/schemas/2/schema-id", json!(3)), ("/partition-specs/1/spec-id", json!(2))]);
}

#[test]
fn a_spec_nobody_understands_does_not_stop_other_changes() {
    let updates = json!([{"action": "set-properties", "updates": {"a": "b"}}]);
    check(
        V3,
        &updates,
        &[("/properties/a", json!("b")), ("/partition-specs/0/fields/0/transform", json!("zorder[4]"))],
    );
}

#[test]
fn a_commit_adds_only_so_many_schemas() {
    let spec = json!({"action": "add-spec", "spec": {"fields": []}});
    refuse(V2, &json!(vec![spec; 1001]), "at most 1000");
}

#[test]
fn ten_thousand_columns_are_no_effort() {
    let columns: Vec<Value> = (1..=10_000)
        .map(|id| json!({"id": id, "name": format!("column_{id}"), "required": id <= 2, "type": "string"}))
        .collect();
    let mut updates = vec![json!({"action": "add-schema", "schema": schema_of(&json!(columns))})];
    updates.push(json!({"action": "set-current-schema", "schema-id": -1}));
    check(V2, &json!(updates), &[("/last-column-id", json!(10_000))]);
}
