//! What a request brings is decoded completely: no part that a reader would refuse gets into a table or view.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{BASE_LOCATION, NOW_MS, V1, V2, V3, check, document, refuse, table};
use serde_json::{Value, json};
use table_core::commit::apply;
use table_core::commit::create::{CreateTable, create};
use table_core::commit::foreign::{check_table, check_view};
use table_core::commit::request::{TableCommit, ViewCommit};
use table_core::metadata::view::ViewMetadata;
use uuid::Uuid;

const HEAD: i64 = 3_051_729_675_574_597_004;

/// Whether a commit of these updates is refused, when it is read or when it is applied.
fn is_refused(base: &str, updates: &Value) -> bool {
    let body = json!({"requirements": [], "updates": updates}).to_string();
    match TableCommit::parse(body.as_bytes()) {
        Err(_) => true,
        Ok(commit) => apply(&table(base), BASE_LOCATION, &commit.updates, NOW_MS).is_err(),
    }
}

#[track_caller]
fn check_refused(base: &str, updates: &Value) {
    assert!(is_refused(base, updates), "accepted: {updates}");
}

#[track_caller]
fn check_accepted(base: &str, updates: &Value) {
    assert!(!is_refused(base, updates), "refused: {updates}");
}

fn add_column(field: &Value) -> Value {
    let mut schema = document(&table(V3))["schemas"].as_array().unwrap().last().unwrap().clone();
    schema["fields"].as_array_mut().unwrap().push(field.clone());
    json!([{"action": "add-schema", "schema": schema}, {"action": "set-current-schema", "schema-id": -1}])
}

fn column(kind: &Value) -> Value {
    json!({"id": 900, "name": "new", "required": false, "type": kind})
}

fn with(mut value: Value, key: &str, new: Value) -> Value {
    value[key] = new;
    value
}

#[test]
fn types_are_those_that_readers_know_under_names_that_they_read() {
    for kind in [
        "decimal(5,2)",
        "DECIMAL( 5 , 2 )",
        "fixed[ 4 ]",
        "geometry",
        "geography(a, karney)",
        "unknown",
        "Variant",
    ] {
        check_accepted(V3, &add_column(&column(&json!(kind))));
    }
    for kind in [
        "decimal (5,2)",
        "decimal(39,2)",
        "decimal(5,2147483648)",
        " int",
        "int ",
        "fixed [4]",
        "fixed[2147483648]",
        "geometry()",
        "geography(a, flat)",
        "interval",
        "",
    ] {
        check_refused(V3, &add_column(&column(&json!(kind))));
    }
    for kind in
        [json!(5), Value::Null, json!({"type": 5}), json!({"type": "Struct", "fields": []}), json!(["int"])]
    {
        check_refused(V3, &add_column(&column(&kind)));
    }
    let element = |kind: Value, required: Value| json!({"type": "list", "element-id": 901, "element": kind, "element-required": required});
    check_accepted(V3, &add_column(&column(&element(json!("unknown"), json!(false)))));
    for (kind, required) in
        [(json!("unknown"), json!(true)), (json!("decimal (5,2)"), json!(false)), (json!("int"), Value::Null)]
    {
        check_refused(V3, &add_column(&column(&element(kind, required))));
    }
    let map = json!({"type": "map", "key-id": 901, "key": "unknown", "value-id": 902, "value": "int", "value-required": false});
    check_refused(V3, &add_column(&column(&map)));
    check_refused(V3, &add_column(&with(column(&json!("unknown")), "required", json!(true))));
    let name = "/schemas/2/fields";
    let applied = common::commit(V3, &add_column(&column(&json!("DECIMAL( 5 , 2 )")))).unwrap();
    let fields = document(&applied.metadata).pointer(name).cloned().unwrap_or_default();
    let written = fields.as_array().and_then(|fields| fields.last().cloned());
    assert!(written.is_none_or(|field| field["type"] == "decimal(5, 2)"), "{fields}");
}

#[test]
fn defaults_are_values_of_their_type() {
    let possible = [
        ("boolean", json!(true)),
        ("int", json!(-5)),
        ("long", json!(i64::MAX)),
        ("float", json!(1.5)),
        ("double", json!(1e300)),
        ("decimal(5,2)", json!("-123.45")),
        ("decimal(9,7)", json!("1E-7")),
        ("date", json!("2007-12-03")),
        ("time", json!("22:31")),
        ("timestamp", json!("2007-12-03T10:15:30.123456")),
        ("timestamptz", json!("2007-12-03T10:15:30Z")),
        ("timestamp_ns", json!("2007-12-03T10:15:30.123456789")),
        ("string", json!("")),
        ("uuid", json!("9c12d441-03fe-4693-9a96-a0705ddf69c1")),
        ("fixed[2]", json!("0a0B")),
        ("binary", json!("")),
    ];
    for (kind, value) in possible {
        for key in ["initial-default", "write-default"] {
            check_accepted(V3, &add_column(&with(column(&json!(kind)), key, value.clone())));
        }
    }
    let impossible = [
        ("boolean", json!("true")),
        ("int", json!("abc")),
        ("int", json!(1.0)),
        ("int", json!(2_147_483_648_i64)),
        ("long", json!(9_223_372_036_854_775_808_u64)),
        ("float", json!(1)),
        ("float", json!(1e39)),
        ("double", json!("NaN")),
        ("decimal(5,2)", json!("1.2")),
        ("decimal(5,2)", json!(1.25)),
        ("decimal(5,2)", json!("1234.56")),
        ("date", json!(7)),
        ("date", json!("2007-2-3")),
        ("date", json!("2007-02-30")),
        ("time", json!("24:00:00")),
        ("timestamp", json!("2007-12-03 10:15:30")),
        ("timestamp", json!("2007-12-03T10:15:30Z")),
        ("timestamptz", json!("2007-12-03T10:15:30")),
        ("timestamptz", json!("2007-12-03T10:15:30+01:00")),
        ("timestamp_ns", json!("3000-01-01T00:00:00")),
        ("string", json!(5)),
        ("uuid", json!("1-1-1-1-1")),
        ("fixed[2]", json!("0a")),
        ("binary", json!("0")),
        ("binary", json!("zz")),
        ("variant", json!("a")),
        ("unknown", json!(1)),
        ("geometry", json!("01")),
    ];
    for (kind, value) in impossible {
        for key in ["initial-default", "write-default"] {
            check_refused(V3, &add_column(&with(column(&json!(kind)), key, value.clone())));
        }
    }
    // Clients write `null` for none, which Java's parser does not know.
    let none = with(column(&json!("int")), "initial-default", Value::Null);
    let applied = common::commit(V3, &add_column(&none)).unwrap();
    assert!(!String::from_utf8(applied.metadata.to_bytes()).unwrap().contains("\"initial-default\":null"));
    let nested = json!({"type": "struct", "fields": []});
    check_refused(V3, &add_column(&with(column(&nested), "initial-default", json!({}))));
}

fn snapshot() -> Value {
    json!({"snapshot-id": 50, "parent-snapshot-id": HEAD, "sequence-number": 4, "timestamp-ms": 1_790_000_000_000_i64,
        "manifest-list": "s3://lake/50.avro", "summary": {"operation": "append"}, "schema-id": 1})
}

#[test]
fn snapshots_are_decoded_to_the_last_value() {
    let add = |snapshot: Value| json!([{"action": "add-snapshot", "snapshot": snapshot}]);
    check_accepted(V2, &add(snapshot()));
    for (key, wrong) in [
        ("snapshot-id", json!("50")),
        ("snapshot-id", json!(1.5)),
        ("snapshot-id", Value::Null),
        ("snapshot-id", json!(-1)),
        ("sequence-number", json!("4")),
        ("timestamp-ms", json!("now")),
        ("timestamp-ms", json!(u64::MAX)),
        ("manifest-list", json!(5)),
        ("summary", json!([])),
        ("summary", json!({"operation": "append", "n": 1})),
        ("summary", json!({"operation": null})),
        ("summary", json!({"operation": "compact"})),
        ("schema-id", json!(1_i64 << 31)),
        ("first-row-id", json!(-1)),
        ("first-row-id", json!(1)),
        ("added-rows", json!(-1)),
        ("key-id", json!(5)),
        ("manifests", json!(5)),
        ("manifests", json!([5])),
    ] {
        check_refused(V2, &add(with(snapshot(), key, wrong)));
    }
    // `null` for absent is left out where Java's parser would trip over it.
    let mut root = with(snapshot(), "parent-snapshot-id", Value::Null);
    root["summary"] = Value::Null;
    let applied = common::commit(V2, &add(root)).unwrap();
    let written = document(&applied.metadata)["snapshots"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((written.get("parent-snapshot-id"), written.get("summary")), (None, None));
}

#[test]
fn negative_snapshot_ids_are_ids_but_for_the_one_that_means_none() {
    let commit = |id: i64| {
        json!([{"action": "add-snapshot", "snapshot": with(snapshot(), "snapshot-id", json!(id))},
            {"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": id}])
    };
    for id in [-2, -5, i64::MIN, 0] {
        check(V2, &commit(id), &[("/current-snapshot-id", json!(id)), ("/refs/main/snapshot-id", json!(id))]);
    }
    refuse(V2, &commit(-1), "means that there is no snapshot");
}

#[test]
fn references_statistics_and_keys_are_decoded_to_the_last_value() {
    let tag = json!({"action": "set-snapshot-ref", "ref-name": "x", "type": "branch", "snapshot-id": HEAD});
    check_accepted(V2, &json!([tag]));
    for (key, wrong) in [
        ("min-snapshots-to-keep", json!(1_i64 << 31)),
        ("min-snapshots-to-keep", json!("1")),
        ("max-snapshot-age-ms", json!(1.5)),
        ("max-ref-age-ms", json!([])),
        ("type", json!("x")),
        ("ref-name", json!(5)),
        ("snapshot-id", json!("1")),
    ] {
        check_refused(V2, &json!([with(tag.clone(), key, wrong)]));
    }
    let blob = json!({"type": "t", "snapshot-id": HEAD, "sequence-number": 1, "fields": [1], "properties": {"a": "b"}});
    let file = json!({"snapshot-id": HEAD, "statistics-path": "s3://x", "file-size-in-bytes": 5,
        "file-footer-size-in-bytes": 4, "blob-metadata": [blob]});
    let set = |file: Value| json!([{"action": "set-statistics", "statistics": file}]);
    check_accepted(V2, &set(file.clone()));
    for (key, wrong) in [
        ("file-size-in-bytes", json!("5")),
        ("file-footer-size-in-bytes", json!(1.0)),
        ("statistics-path", json!(5)),
        ("blob-metadata", json!({})),
        ("blob-metadata", json!([5])),
        ("blob-metadata", json!([with(blob.clone(), "fields", json!(["a"]))])),
        ("blob-metadata", json!([with(blob.clone(), "properties", json!({"a": 1}))])),
        ("blob-metadata", json!([with(blob.clone(), "type", Value::Null)])),
    ] {
        check_refused(V2, &set(with(file.clone(), key, wrong)));
    }
    let part = json!({"snapshot-id": HEAD, "statistics-path": "s3://x", "file-size-in-bytes": "5"});
    check_refused(V2, &json!([{"action": "set-partition-statistics", "partition-statistics": part}]));
    let key = json!({"key-id": "k", "encrypted-key-metadata": "YQ==", "properties": {"a": "b"}});
    let add = |key: Value| json!([{"action": "add-encryption-key", "encryption-key": key}]);
    check_accepted(V2, &add(key.clone()));
    for (name, wrong) in [
        ("encrypted-key-metadata", json!("???")),
        ("encrypted-by-id", json!(5)),
        ("properties", json!({"a": 1})),
    ] {
        check_refused(V2, &add(with(key.clone(), name, wrong)));
    }
}

#[test]
fn specs_and_orders_are_what_every_reader_can_build() {
    let field = json!({"source-id": 1, "name": "p", "transform": "bucket[4]"});
    let spec = |field: Value| json!([{"action": "add-spec", "spec": {"spec-id": 9, "fields": [field]}}]);
    check_accepted(V2, &spec(field.clone()));
    check_accepted(V2, &spec(json!({"source-ids": [1], "name": "p", "transform": "BUCKET[04]"})));
    for (key, wrong) in [
        ("transform", json!("bucket[2147483648]")),
        ("transform", json!("bucket[+4]")),
        ("transform", json!("bucket[0]")),
        ("transform", Value::Null),
        ("name", json!(5)),
        ("name", json!("")),
        ("source-id", json!("1")),
        ("source-ids", json!([2])),
        ("field-id", json!(1_i64 << 31)),
        ("field-id", json!("1000")),
    ] {
        check_refused(V2, &spec(with(field.clone(), key, wrong)));
    }
    let applied =
        common::commit(V2, &spec(json!({"source-ids": [1], "name": "p", "transform": "BUCKET[04]"})))
            .unwrap();
    let specs = document(&applied.metadata)["partition-specs"].clone();
    let written = &specs.as_array().unwrap().last().unwrap()["fields"][0];
    assert_eq!((&written["source-id"], &written["transform"]), (&json!(1), &json!("bucket[4]")), "{specs}");
    let order = |key: &str, wrong: Value| {
        let field =
            json!({"source-id": 1, "transform": "identity", "direction": "asc", "null-order": "nulls-first"});
        json!([{"action": "add-sort-order", "sort-order": {"order-id": 9, "fields": [with(field, key, wrong)]}}])
    };
    for (key, wrong) in [
        ("direction", json!(5)),
        ("null-order", Value::Null),
        ("transform", json!("bucket[2147483648]")),
        ("source-id", json!(1.5)),
    ] {
        check_refused(V2, &order(key, wrong));
    }
}

/// A table of two columns, bucketed by the first one.
fn bucketed(version: &str) -> Vec<u8> {
    let schema = json!({"type": "struct", "fields": [
        {"id": 1, "name": "a", "required": false, "type": "int"},
        {"id": 2, "name": "l", "required": false, "type": {"type": "list", "element-id": 3, "element-required": false,
            "element": {"type": "struct", "fields": [{"id": 4, "name": "x", "required": false, "type": "int"}]}}}]});
    let schema = serde_json::value::to_raw_value(&schema).unwrap();
    let spec = json!({"fields": [{"source-id": 1, "field-id": 1000, "name": "p", "transform": "bucket[4]"}]});
    let spec = serde_json::value::to_raw_value(&spec).unwrap();
    let request = CreateTable {
        schema: &schema,
        partition_spec: Some(&spec),
        write_order: None,
        location: "s3://lake/t".to_owned(),
        properties: vec![("format-version".to_owned(), version.to_owned())],
    };
    create(&request, Uuid::from_u128(7), NOW_MS).unwrap().to_bytes()
}

#[test]
fn no_column_takes_the_name_of_a_present_or_former_partition_field() {
    for version in ["1", "2", "3"] {
        let base = String::from_utf8(bucketed(version)).unwrap();
        let add = |name: &str| {
            let mut schema = document(&table(&base))["schemas"][0].clone();
            let fields = schema["fields"].as_array_mut().unwrap();
            fields.push(json!({"id": 9, "name": name, "required": false, "type": "int"}));
            json!([{"action": "add-schema", "schema": schema}, {"action": "set-current-schema", "schema-id": -1}])
        };
        check_accepted(&base, &add("q"));
        check_refused(&base, &add("p"));
        // The same when the spec is a former one.
        let former = json!([{"action": "add-spec", "spec": {"fields": []}}, {"action": "set-default-spec", "spec-id": -1}]);
        let moved = apply(&table(&base), BASE_LOCATION, &common::request(&former).updates, NOW_MS).unwrap();
        let moved = String::from_utf8(moved.metadata.to_bytes()).unwrap();
        check_refused(&moved, &add("p"));
        // And the other way round, by any name under which readers find the column.
        for (name, transform) in
            [("l.element.x", "bucket[2]"), ("l.x", "bucket[2]"), ("l", "void"), ("l", "identity")]
        {
            let field = json!({"source-id": 1, "name": name, "transform": transform, "field-id": 1000});
            check_refused(&base, &json!([{"action": "add-spec", "spec": {"fields": [field]}}]));
        }
    }
}

#[test]
fn views_are_decoded_to_the_last_value() {
    let version = json!({"version-id": 1, "schema-id": -1, "timestamp-ms": 5, "summary": {}, "default-namespace": ["n"],
        "representations": [{"type": "sql", "sql": "select 1", "dialect": "spark"}]});
    let parse = |version: &Value| {
        let body = json!({"updates": [{"action": "add-view-version", "view-version": version}]}).to_string();
        ViewCommit::parse(body.as_bytes()).is_ok()
    };
    assert!(parse(&version));
    for (key, wrong) in [
        ("version-id", json!(1_i64 << 31)),
        ("timestamp-ms", Value::Null),
        ("summary", json!({"a": 1})),
        ("summary", Value::Null),
        ("default-namespace", json!(["a\0"])),
        ("default-namespace", json!([5])),
        ("default-catalog", json!(5)),
        ("representations", json!([{"type": "sql", "sql": null, "dialect": "d"}])),
        ("representations", json!([5])),
    ] {
        assert!(!parse(&with(version.clone(), key, wrong.clone())), "{key} {wrong}");
    }
    let schema = json!({"type": "struct", "fields": [column(&json!("decimal (5,2)"))]});
    let body = json!({"updates": [{"action": "add-schema", "schema": schema}]}).to_string();
    assert!(ViewCommit::parse(body.as_bytes()).is_err());
}

#[test]
fn text_that_java_cannot_read_is_refused_wherever_it_stands() {
    let deep = format!("{}{}", "[".repeat(950), "]".repeat(950));
    let long = "n".repeat(50_001);
    for update in [
        format!(r#"{{"action": "set-properties", "updates": {{"{long}": "x"}}}}"#),
        format!(r#"{{"action": "remove-properties", "removals": [], "x": {deep}}}"#),
        format!(r#"{{"action": "remove-properties", "removals": [], "x": {}}}"#, "1".repeat(1001)),
    ] {
        let body = format!(r#"{{"requirements": [], "updates": [{update}]}}"#);
        TableCommit::parse(body.as_bytes()).unwrap_err();
        ViewCommit::parse(body.as_bytes()).unwrap_err();
    }
    let number =
        json!([{"action": "set-properties", "updates": {"write.metadata.previous-versions-max": "many"}}]);
    refuse(V1, &number, "must be a whole number");
}

/// Java's clients parse these before every commit, the one that would remove them included.
#[test]
fn no_property_keeps_java_from_committing() {
    for name in ["num-retries", "min-wait-ms", "max-wait-ms", "total-timeout-ms"] {
        let name = format!("commit.retry.{name}");
        for value in ["many", "", " 5", "2147483648", "1.5"] {
            let mut updates = json!([{"action": "set-properties", "updates": {}}]);
            updates[0]["updates"][&name] = json!(value);
            refuse(V2, &updates, "must be a whole number");
            let set = |document: &mut Value| document["properties"][&name] = json!(value);
            check_unregistered(V2, set, "must be a whole number");
            // What is there already is in nobody's way here.
            let mut there: Value = serde_json::from_str(V2).unwrap();
            set(&mut there);
            check_accepted(&there.to_string(), &json!([{"action": "set-properties", "updates": {"a": "b"}}]));
            check_accepted(&there.to_string(), &json!([{"action": "remove-properties", "removals": [name]}]));
        }
    }
}

/// Changes a document, and expects that it is not registered.
#[track_caller]
fn check_unregistered(base: &str, change: impl Fn(&mut Value), reason: &str) {
    let mut document: Value = serde_json::from_str(base).unwrap();
    check_table(&table(base), base.as_bytes()).unwrap();
    change(&mut document);
    let json = document.to_string();
    let error = check_table(&table(&json), json.as_bytes()).unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
}

#[test]
fn documents_that_java_cannot_load_are_not_registered() {
    let order = |change: fn(&mut Value)| {
        move |document: &mut Value| {
            let mut order = json!({"order-id": 77, "fields": [{"source-id": 1, "transform": "identity", "direction": "asc",
                "null-order": "nulls-first"}]});
            change(&mut order["fields"][0]);
            document["sort-orders"].as_array_mut().unwrap().push(order);
        }
    };
    // An order that the table is not sorted by.
    check_unregistered(V2, order(|field| field["direction"] = json!("sideways")), "sort direction");
    check_unregistered(V2, order(|field| field["null-order"] = json!("nulls")), "null order");
    let number = |document: &mut Value| document["snapshots"][0]["sequence-number"] = json!(1);
    check_unregistered(V1, number, "`sequence-number`");
    // One id for two partition fields.
    let specs = |document: &mut Value| {
        let fields = |name: &str, transform: &str| json!([{"source-id": 1, "field-id": 1777, "name": name, "transform": transform}]);
        let specs = document["partition-specs"].as_array_mut().unwrap();
        specs.push(json!({"spec-id": 77, "fields": fields("one", "bucket[3]")}));
        specs.push(json!({"spec-id": 78, "fields": fields("other", "bucket[5]")}));
    };
    check_unregistered(V2, specs, "has the id of");
    for times in [
        "/snapshot-log/0/timestamp-ms",
        "/metadata-log/0/timestamp-ms",
        "/last-updated-ms",
        "/snapshots/0/timestamp-ms",
    ] {
        let set = |document: &mut Value| *document.pointer_mut(times).unwrap() = json!(i64::MIN);
        check_unregistered(V2, set, "too long ago");
    }
}

#[test]
fn views_that_java_cannot_load_or_write_are_not_registered() {
    let schema = json!({"type": "struct", "schema-id": 0, "fields": [column(&json!("int"))]});
    let version = json!({"version-id": 1, "schema-id": 0, "timestamp-ms": 5, "summary": {}, "default-namespace": ["n"],
        "representations": [{"type": "sql", "sql": "select 1", "dialect": "spark"}]});
    let view = json!({"view-uuid": Uuid::from_u128(7), "format-version": 1, "location": "s3://lake/v", "properties": {},
        "schemas": [schema], "current-version-id": 1, "versions": [version],
        "version-log": [{"timestamp-ms": 5, "version-id": 1}]});
    let check = |view: &Value| {
        let json = view.to_string();
        check_view(&ViewMetadata::parse(json.as_bytes()).unwrap(), json.as_bytes())
    };
    check(&view).unwrap();
    check(&with(view.clone(), "properties", Value::Null)).unwrap_err();
    let mut other = view;
    other["versions"][0]["representations"][0]["type"] = json!("plan");
    check(&other).unwrap_err();
}

/// Java takes the difference of two times for one of 64 bits, and refuses the table where it is not.
#[test]
fn a_snapshot_is_not_older_than_readers_can_tell() {
    let add = |timestamp_ms: i64| {
        let mut snapshot = document(&table(V2))["snapshots"][0].clone();
        snapshot["snapshot-id"] = json!(77);
        snapshot["sequence-number"] = json!(1_000_000);
        snapshot["timestamp-ms"] = json!(timestamp_ms);
        json!([{"action": "add-snapshot", "snapshot": snapshot},
            {"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": 77}])
    };
    for timestamp_ms in [i64::MIN, NOW_MS - i64::MAX - 1, i64::MIN / 1000 - 1] {
        refuse(V2, &add(timestamp_ms), "too long ago");
    }
    for timestamp_ms in [i64::MIN / 1000, -1, 0] {
        check_accepted(V2, &add(timestamp_ms));
    }
}
