//! New tables: created in one step, and built from the updates of a create transaction.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{NOW_MS, assert_reads_back, compare, document};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use table_core::commit::create::{CreateTable, create};
use table_core::commit::error::CommitError;
use uuid::Uuid;

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap()
}

fn created(
    schema: &Value,
    spec: &Value,
    order: &Value,
    properties: &[(&str, &str)],
) -> Result<Value, CommitError> {
    let (schema, spec, order) = (raw(schema), raw(spec), raw(order));
    let request = CreateTable {
        schema: &schema,
        partition_spec: (spec.get() != "null").then_some(&*spec),
        write_order: (order.get() != "null").then_some(&*order),
        location: "s3://lake/new/".to_owned(),
        properties: properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    };
    let metadata = create(&request, Uuid::from_u128(7), NOW_MS)?;
    assert_reads_back(&metadata);
    Ok(document(&metadata))
}

fn nested_schema() -> Value {
    json!({"type": "struct", "schema-id": 4, "identifier-field-ids": [20], "x-origin": "import", "fields": [
        {"id": 10, "name": "m", "required": false, "type": {"type": "map", "key-id": 11, "key": "string", "value-id": 12,
            "value": {"type": "struct", "fields": [{"id": 13, "name": "inner", "required": false, "type": "int", "x": 1}]},
            "value-required": false}},
        {"id": 20, "name": "id", "required": true, "type": "long", "doc": "key"},
        {"id": 30, "name": "l", "required": false, "type": {"type": "list", "element-id": 31, "element":
            {"type": "struct", "fields": [{"id": 32, "name": "a", "required": true, "type": "date"}]}, "element-required": true}},
        {"id": 40, "name": "s", "required": true, "type": {"type": "struct", "fields": [
            {"id": 41, "name": "at", "required": false, "type": "timestamp"}]}}
    ]})
}

#[test]
fn field_ids_are_given_level_by_level() {
    let document = created(&nested_schema(), &Value::Null, &Value::Null, &[]).unwrap();
    let fields = &document["schemas"][0]["fields"];
    compare(
        fields,
        &[
            ("/0/id", json!(1)),
            ("/1/id", json!(2)),
            ("/2/id", json!(3)),
            ("/3/id", json!(4)),
            ("/0/type/key-id", json!(5)),
            ("/0/type/value-id", json!(6)),
            ("/0/type/value/fields/0/id", json!(7)),
            ("/0/type/value/fields/0/x", json!(1)),
            ("/2/type/element-id", json!(8)),
            ("/2/type/element/fields/0/id", json!(9)),
            ("/3/type/fields/0/id", json!(10)),
        ],
    );
    compare(
        &document,
        &[
            ("/schemas/0/schema-id", json!(0)),
            ("/schemas/0/identifier-field-ids", json!([2])),
            ("/schemas/0/x-origin", json!("import")),
            ("/last-column-id", json!(10)),
        ],
    );
}

#[test]
fn specs_and_orders_follow_their_columns() {
    let spec = json!({"spec-id": 9, "fields": [
        {"source-id": 20, "field-id": 77, "name": "id_bucket", "transform": "bucket[4]"},
        {"source-id": 41, "name": "at_day", "transform": "day", "x": true}]});
    let order = json!({"order-id": 5, "fields": [
        {"source-id": 20, "transform": "identity", "direction": "ASC", "null-order": "nulls-first"}]});
    let document = created(&nested_schema(), &spec, &order, &[]).unwrap();
    compare(
        &document,
        &[
            (
                "/partition-specs",
                json!([{"spec-id": 0, "fields": [
            {"source-id": 2, "field-id": 1000, "name": "id_bucket", "transform": "bucket[4]"},
            {"source-id": 10, "name": "at_day", "transform": "day", "x": true, "field-id": 1001}]}]),
            ),
            ("/last-partition-id", json!(1001)),
            ("/sort-orders/0/order-id", json!(1)),
            ("/sort-orders/0/fields/0/source-id", json!(2)),
            ("/sort-orders/0/fields/0/direction", json!("asc")),
            ("/default-sort-order-id", json!(1)),
            ("/default-spec-id", json!(0)),
        ],
    );
}

#[test]
fn a_new_table_is_complete() {
    let document = created(&nested_schema(), &Value::Null, &Value::Null, &[("owner", "me")]).unwrap();
    compare(
        &document,
        &[
            ("/format-version", json!(2)),
            ("/table-uuid", json!("00000000-0000-0000-0000-000000000007")),
            ("/location", json!("s3://lake/new")),
            ("/last-updated-ms", json!(NOW_MS)),
            ("/last-sequence-number", json!(0)),
            ("/current-snapshot-id", json!(-1)),
            ("/properties", json!({"write.parquet.compression-codec": "zstd", "owner": "me"})),
            ("/refs", json!({})),
            ("/snapshots", json!([])),
            ("/snapshot-log", json!([])),
            ("/metadata-log", json!([])),
            ("/last-partition-id", json!(999)),
            ("/sort-orders", json!([{"order-id": 0, "fields": []}])),
            ("/partition-specs", json!([{"spec-id": 0, "fields": []}])),
            ("/schema", Value::Null),
            ("/next-row-id", Value::Null),
        ],
    );
}

#[test]
fn the_format_version_is_chosen_by_a_property_that_is_not_kept() {
    let properties = [("format-version", "3"), ("uuid", "x"), ("write.parquet.compression-codec", "snappy")];
    let document = created(&nested_schema(), &Value::Null, &Value::Null, &properties).unwrap();
    compare(
        &document,
        &[
            ("/format-version", json!(3)),
            ("/next-row-id", json!(0)),
            ("/current-snapshot-id", Value::Null),
            ("/properties", json!({"write.parquet.compression-codec": "snappy"})),
        ],
    );
    let document = created(&nested_schema(), &Value::Null, &Value::Null, &[("format-version", "1")]).unwrap();
    compare(
        &document,
        &[
            ("/schema/schema-id", json!(0)),
            ("/partition-spec", json!([])),
            ("/last-sequence-number", Value::Null),
        ],
    );
}

#[test]
fn requests_for_impossible_tables_are_refused() {
    let refuse = |schema: &Value, spec: Value, properties: &[(&str, &str)], reason: &str| {
        let error = created(schema, &spec, &Value::Null, properties).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    };
    let schema = nested_schema();
    refuse(&schema, Value::Null, &[("format-version", "4")], "Unsupported format version: v4");
    refuse(&schema, Value::Null, &[("format-version", "two")], "must be a number");
    refuse(
        &schema,
        Value::Null,
        &[("commit.retry.num-retries", "-1")],
        "must have non negative integer value",
    );
    refuse(
        &schema,
        Value::Null,
        &[("write.metadata.metrics.column.nope", "none")],
        "could not find column nope",
    );
    refuse(
        &schema,
        json!({"fields": [{"source-id": 99, "name": "p", "transform": "identity"}]}),
        &[],
        "no field 99",
    );
    refuse(
        &schema,
        json!({"fields": [{"source-id": 20, "name": "p", "transform": "hour"}]}),
        &[],
        "cannot use hour on `id`",
    );
    refuse(&json!({"fields": []}), Value::Null, &[], "the schema has no `type`");
    refuse(&json!({"type": "map", "fields": []}), Value::Null, &[], "is a `map`, not a `struct`");
    refuse(&json!({"type": "struct"}), Value::Null, &[], "has no `fields`");
    let variant =
        json!({"type": "struct", "fields": [{"id": 1, "name": "v", "required": false, "type": "variant"}]});
    refuse(&variant, Value::Null, &[], "variant is not supported until v3");
    assert!(created(&variant, &Value::Null, &Value::Null, &[("format-version", "3")]).is_ok());
    let twice = json!({"type": "struct", "fields": [
        {"id": 1, "name": "v", "required": false, "type": "int"}, {"id": 1, "name": "w", "required": false, "type": "int"}]});
    refuse(&twice, Value::Null, &[], "have the same id 1");
}

fn transaction() -> Value {
    json!([
        {"action": "assign-uuid", "uuid": "11111111-2222-3333-4444-555555555555"},
        {"action": "upgrade-format-version", "format-version": 3},
        {"action": "add-schema", "schema": {"type": "struct", "schema-id": 0, "fields": [{"id": 1, "name": "v", "required": false, "type": "variant"},
            {"id": 2, "name": "n", "required": false, "type": "int"}]}, "last-column-id": 2},
        {"action": "set-current-schema", "schema-id": -1},
        {"action": "add-spec", "spec": {"spec-id": 0, "fields": [{"source-id": 2, "field-id": 1000, "name": "n", "transform": "identity"}]}},
        {"action": "set-default-spec", "spec-id": -1},
        {"action": "add-sort-order", "sort-order": {"order-id": 0, "fields": []}},
        {"action": "set-default-sort-order", "sort-order-id": -1},
        {"action": "set-location", "location": "s3://lake/new"},
        {"action": "set-properties", "updates": {"a": "b"}},
        {"action": "add-snapshot", "snapshot": {"snapshot-id": 5, "sequence-number": 1, "timestamp-ms": 3, "manifest-list": "s3://x", "summary": {"operation": "append"}, "first-row-id": 0, "added-rows": 4}},
        {"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": 5}
    ])
}

#[test]
fn a_create_transaction_builds_the_table_and_its_first_snapshot() {
    let document = document(&common::create(&transaction()).unwrap());
    compare(
        &document,
        &[
            ("/table-uuid", json!("11111111-2222-3333-4444-555555555555")),
            ("/format-version", json!(3)),
            ("/last-column-id", json!(2)),
            ("/last-partition-id", json!(1000)),
            ("/current-snapshot-id", json!(5)),
            ("/next-row-id", json!(4)),
            ("/last-sequence-number", json!(1)),
            ("/properties", json!({"a": "b"})),
            ("/metadata-log", json!([])),
            ("/snapshot-log", json!([{"timestamp-ms": 3, "snapshot-id": 5}])),
            ("/last-updated-ms", json!(NOW_MS)),
        ],
    );
}

#[test]
fn a_create_transaction_needs_a_schema_and_a_location() {
    let without = |action: &str| {
        let mut updates = transaction();
        updates.as_array_mut().unwrap().retain(|update| update["action"] != action);
        common::create(&updates)
    };
    assert!(without("set-location").unwrap_err().to_string().contains("needs a location"));
    assert!(without("add-schema").unwrap_err().to_string().contains("no schema has been added"));
    assert!(common::create(&json!([])).unwrap_err().to_string().contains("needs a schema"));
    let unassigned = without("assign-uuid").unwrap();
    assert_eq!(unassigned.uuid(), Some(Uuid::from_u128(7)));
    assert!(without("add-sort-order").is_err());
    let twice = json!([{"action": "assign-uuid", "uuid": Uuid::from_u128(1)}, {"action": "assign-uuid", "uuid": Uuid::from_u128(2)}]);
    assert!(common::create(&twice).unwrap_err().to_string().contains("Cannot reassign uuid"));
}
