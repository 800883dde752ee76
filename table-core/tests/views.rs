//! Views are created, replaced and trimmed as Java does it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::value::RawValue;
use serde_json::{Value, json};
use table_core::commit::error::CommitError;
use table_core::commit::request::ViewCommit;
use table_core::commit::requirement::check_view_requirements;
use table_core::commit::view::{AppliedView, CreateView, apply_view, create_view};
use table_core::metadata::view::ViewMetadata;
use uuid::Uuid;

const VIEW: &str = include_str!("../fixtures/view.metadata.json");
const NOW_MS: i64 = 1_800_000_000_000;

fn view(document: &str) -> ViewMetadata {
    ViewMetadata::parse(document.as_bytes()).unwrap()
}

fn commit(base: &str, updates: &Value) -> Result<AppliedView, CommitError> {
    let request = ViewCommit::parse(json!({"updates": updates}).to_string().as_bytes()).unwrap();
    let applied = apply_view(&view(base), &request.updates, NOW_MS)?;
    let bytes = applied.metadata.to_bytes();
    assert_eq!(ViewMetadata::parse(&bytes).unwrap().to_bytes(), bytes);
    Ok(applied)
}

fn document(metadata: &ViewMetadata) -> Value {
    serde_json::from_slice(&metadata.to_bytes()).unwrap()
}

fn compare(document: &Value, expected: &[(&str, Value)]) {
    for (pointer, value) in expected {
        let actual = document.pointer(pointer).cloned().unwrap_or(Value::Null);
        assert_eq!(&actual, value, "at {pointer}");
    }
}

fn check(updates: &Value, expected: &[(&str, Value)]) {
    let applied = commit(VIEW, updates).unwrap();
    assert!(applied.changed, "nothing changed");
    compare(&document(&applied.metadata), expected);
}

fn refuse(updates: &Value, reason: &str) {
    let error = commit(VIEW, updates).unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
}

fn version(schema_id: i64, queries: &[(&str, &str)]) -> Value {
    let queries: Vec<Value> =
        queries.iter().map(|(dialect, sql)| json!({"type": "sql", "dialect": dialect, "sql": sql})).collect();
    json!({"version-id": 1, "timestamp-ms": 1_750_000_000_000_i64, "schema-id": schema_id, "summary": {"engine-name": "trino"},
        "default-namespace": ["harbour"], "representations": queries, "x-new": true})
}

fn replace(version: &Value) -> Value {
    json!([{"action": "add-view-version", "view-version": version}, {"action": "set-current-view-version", "view-version-id": -1}])
}

#[test]
fn a_replacement_is_a_new_version_with_a_log_entry() {
    check(
        &replace(&version(1, &[("Trino", "SELECT 3"), ("spark", "SELECT 4")])),
        &[
            ("/current-version-id", json!(3)),
            ("/versions/2/version-id", json!(3)),
            ("/versions/2/x-new", json!(true)),
            ("/version-log/2", json!({"timestamp-ms": 1_750_000_000_000_i64, "version-id": 3})),
            ("/version-log/1/x", json!(0)),
            ("/versions/1/representations/1/plan", json!("AAAA")),
            ("/x-end", json!({})),
        ],
    );
}

#[test]
fn a_version_that_does_the_same_is_the_same_version() {
    let mut same = document(&view(VIEW))["versions"][1].clone();
    same["version-id"] = json!(40);
    same["timestamp-ms"] = json!(5);
    assert!(!commit(VIEW, &replace(&same)).unwrap().changed);
}

#[test]
fn a_version_of_the_past_becomes_current_now() {
    let updates = json!([{"action": "set-current-view-version", "view-version-id": 1}]);
    check(
        &updates,
        &[
            ("/current-version-id", json!(1)),
            ("/version-log/2", json!({"timestamp-ms": NOW_MS, "version-id": 1})),
        ],
    );
    refuse(&json!([{"action": "set-current-view-version", "view-version-id": 9}]), "unknown version: 9");
    refuse(&json!([{"action": "set-current-view-version", "view-version-id": -1}]), "no current version id");
}

#[test]
fn a_commit_logs_only_where_it_ends() {
    let mut updates = replace(&version(1, &[("trino", "SELECT 3")]));
    let more = replace(&version(1, &[("trino", "SELECT 4")]));
    updates.as_array_mut().unwrap().extend(more.as_array().unwrap().clone());
    check(
        &updates,
        &[
            ("/version-log/2/version-id", json!(4)),
            ("/version-log/3", Value::Null),
            ("/versions/3/version-id", json!(4)),
        ],
    );
}

#[test]
fn schemas_are_added_once_and_named_by_minus_one() {
    let schema = json!({"type": "struct", "schema-id": 7, "fields": [{"id": 1, "name": "day", "required": false, "type": "string"}]});
    let mut updates = vec![json!({"action": "add-schema", "schema": schema})];
    updates.extend(replace(&version(-1, &[("trino", "SELECT 3")])).as_array().unwrap().clone());
    check(&json!(updates), &[("/schemas/2/schema-id", json!(2)), ("/versions/2/schema-id", json!(2))]);
    let mut known = document(&view(VIEW))["schemas"][1].clone();
    known["schema-id"] = json!(9);
    updates[0] = json!({"action": "add-schema", "schema": known});
    check(&json!(updates), &[("/schemas/2", Value::Null), ("/versions/2/schema-id", json!(1))]);
    refuse(&replace(&version(-1, &[("trino", "SELECT 3")])), "no schema has been added");
    refuse(&replace(&version(8, &[("trino", "SELECT 3")])), "unknown schema: 8");
}

#[test]
fn dialects_are_distinct_and_not_lost_by_accident() {
    refuse(
        &replace(&version(1, &[("trino", "a"), ("TRINO", "b")])),
        "Cannot add multiple queries for dialect trino",
    );
    refuse(
        &replace(&version(1, &[("spark", "a")])),
        "Cannot replace view due to loss of view dialects (replace.drop-dialect.allowed=false):\nPrevious dialects: [trino]\nNew dialects: [spark]",
    );
    let allow = |name: &str| json!({"action": "set-properties", "updates": {name: "true"}});
    let mut updates = vec![allow("replace.drop-dialect.allowed")];
    updates.extend(replace(&version(1, &[("spark", "a")])).as_array().unwrap().clone());
    check(&json!(updates), &[("/current-version-id", json!(3))]);
    refuse(
        &json!([allow("replace.drop-dialect.allowed"), allow("replace.append-dialect.allowed")]),
        "Cannot set both",
    );
}

#[test]
fn old_versions_expire_but_not_those_of_the_commit() {
    let history =
        |size: &str| json!({"action": "set-properties", "updates": {"version.history.num-entries": size}});
    check(
        &json!([history("1")]),
        &[
            ("/versions/0/version-id", json!(2)),
            ("/versions/1", Value::Null),
            ("/version-log/0/version-id", json!(2)),
            ("/version-log/1", Value::Null),
        ],
    );
    let mut updates = vec![history("1")];
    updates.extend(replace(&version(1, &[("trino", "SELECT 3")])).as_array().unwrap().clone());
    updates.extend(replace(&version(1, &[("trino", "SELECT 4")])).as_array().unwrap().clone());
    check(
        &json!(updates),
        &[
            ("/versions/0/version-id", json!(3)),
            ("/versions/1/version-id", json!(4)),
            ("/versions/2", Value::Null),
        ],
    );
    refuse(&json!([history("0")]), "version.history.num-entries must be positive but was 0");

    let mut document = VIEW.to_owned();
    for round in 0..12 {
        let updates = replace(&version(1, &[("trino", &format!("SELECT {}", round + 10))]));
        document = String::from_utf8(commit(&document, &updates).unwrap().metadata.to_bytes()).unwrap();
    }
    let metadata = view(&document);
    assert_eq!(metadata.versions().len(), 10);
    assert_eq!(metadata.version_log().len(), 10);
    assert_eq!(metadata.current_version_id(), 14);
}

#[test]
fn identity_version_and_location() {
    refuse(&json!([{"action": "assign-uuid", "uuid": Uuid::from_u128(1)}]), "Cannot reassign uuid");
    refuse(
        &json!([{"action": "upgrade-format-version", "format-version": 2}]),
        "Unsupported format version: 2",
    );
    refuse(
        &json!([{"action": "upgrade-format-version", "format-version": 0}]),
        "Cannot downgrade v1 view to v0",
    );
    refuse(&json!([{"action": "set-location", "location": "/"}]), "needs a location");
    check(
        &json!([{"action": "set-location", "location": "s3://x/y/"}, {"action": "remove-properties", "removals": ["comment"]}]),
        &[("/location", json!("s3://x/y")), ("/properties", json!({}))],
    );
    assert!(!commit(VIEW, &json!([])).unwrap().changed);
}

#[test]
fn the_identity_can_be_required() {
    let requirements = |uuid: &str| {
        let body = json!({"requirements": [{"type": "assert-view-uuid", "uuid": uuid}]}).to_string();
        ViewCommit::parse(body.as_bytes()).unwrap().requirements
    };
    assert!(
        check_view_requirements(&view(VIEW), &requirements("3A1C9A52-6F1B-4C7E-B1F5-17F7B3A9D0C4")).is_ok()
    );
    assert_eq!(
        check_view_requirements(&view(VIEW), &requirements("x")).unwrap_err().to_string(),
        "Requirement failed: view UUID does not match: expected 3a1c9a52-6f1b-4c7e-b1f5-17f7b3a9d0c4 != x"
    );
}

fn created(schema: &Value, version: &Value) -> Result<ViewMetadata, CommitError> {
    let raw = |value: &Value| RawValue::from_string(value.to_string()).unwrap();
    let (schema, view_version) = (raw(schema), raw(version));
    let properties = vec![("a".to_owned(), "b".to_owned())];
    let request = CreateView {
        schema: &schema,
        view_version: &view_version,
        location: "s3://v/".to_owned(),
        properties,
    };
    create_view(&request, Uuid::from_u128(9), NOW_MS)
}

#[test]
fn a_new_view_has_version_one_of_schema_zero() {
    let schema = json!({"type": "struct", "schema-id": 5, "fields": [{"id": 30, "name": "day", "required": false, "type": "date"}]});
    let mut first = version(5, &[("trino", "SELECT 1")]);
    first["version-id"] = json!(77);
    let metadata = created(&schema, &first).unwrap();
    compare(
        &document(&metadata),
        &[
            ("/view-uuid", json!("00000000-0000-0000-0000-000000000009")),
            ("/format-version", json!(1)),
            ("/location", json!("s3://v")),
            ("/properties", json!({"a": "b"})),
            ("/schemas/0/schema-id", json!(0)),
            ("/schemas/0/fields/0/id", json!(30)),
            ("/current-version-id", json!(1)),
            ("/versions/0/version-id", json!(1)),
            ("/versions/0/schema-id", json!(0)),
            ("/versions/0/summary/engine-name", json!("trino")),
            ("/version-log", json!([{"timestamp-ms": 1_750_000_000_000_i64, "version-id": 1}])),
        ],
    );
    assert!(
        created(&schema, &version(0, &[])).unwrap_err().to_string().contains("without specifying a query")
    );
    first["representations"] = json!([{"type": "substrait"}]);
    assert!(matches!(created(&schema, &first), Err(CommitError::Unsupported(_))));
    assert!(matches!(created(&schema, &json!({})), Err(CommitError::Malformed(_))));
}

#[test]
fn views_that_contradict_themselves_are_refused() {
    for (from, to, expected) in [
        ("\"current-version-id\": 2", "\"current-version-id\": 5", "the current version 5 is missing"),
        ("\"version-id\": 1,\n      \"t", "\"version-id\": 2,\n      \"t", "the view version 2 occurs twice"),
        ("\"schema-id\": 0, \"x\"", "\"schema-id\": 1, \"x\"", "the schema id 1 occurs twice"),
        ("\"schema-id\": 1,\n", "\"schema-id\": 8,\n", "the schema 8 of the current version is missing"),
        ("\"versions\"", "\"editions\"", "has no `versions`"),
        ("\"view-uuid\": \"3", "\"view-uuid\": \"g", "is not a UUID"),
    ] {
        let document = VIEW.replacen(from, to, 1);
        assert_ne!(document, VIEW, "{from}");
        let error = ViewMetadata::parse(document.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{to}: {error}");
    }
}
