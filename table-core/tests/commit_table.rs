//! Commits that change the table as a whole: identity, version, location, properties, and the metadata log.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{BASE_LOCATION, NOW_MS, V1, V2, V3, check, commit, refuse, table};
use serde_json::{Value, json};
use table_core::commit::request::{TableCommit, TransactionCommit};
use table_core::commit::requirement::check_requirements;

#[test]
fn nothing_to_change_leaves_the_document_alone() {
    for updates in [
        json!([]),
        json!([{"action": "set-location", "location": "file:///tmp/orchard/trees/"}]),
        json!([{"action": "remove-properties", "removals": ["nowhere"]}]),
        json!([{"action": "set-properties", "updates": {"commit.retry.num-retries": "2"}}]),
        json!([{"action": "upgrade-format-version", "format-version": 2}]),
        json!([{"action": "assign-uuid", "uuid": "0D2C1F6B-6A52-4D59-9C3E-6F3F8C4AD2A2"}]),
        json!([{"action": "remove-snapshot-ref", "ref-name": "nowhere"}]),
    ] {
        let applied = commit(V2, &updates).unwrap();
        assert!(!applied.changed, "{updates}");
        assert_eq!(applied.metadata.to_bytes(), table(V2).to_bytes());
    }
}

#[test]
fn properties_keep_their_order_and_take_any_name() {
    let updates = json!([
        {"action": "set-properties", "updates": {"new": "\"x\"", "format-version": "7", "zeta": "2"}},
        {"action": "remove-properties", "removals": ["alpha"]}
    ]);
    let applied = commit(V1, &updates).unwrap();
    let properties: Vec<(&str, &str)> =
        applied.metadata.properties().iter().map(|(name, value)| (name, value.as_str())).collect();
    assert_eq!(
        properties,
        [("owner", "harbour master"), ("zeta", "2"), ("new", "\"x\""), ("format-version", "7")]
    );
    let legacy = json!([{"action": "set-properties", "updated": {"a": "b"}}, {"action": "remove-properties", "removed": ["owner"]}]);
    check(V1, &legacy, &[("/properties/a", json!("b")), ("/properties/owner", Value::Null)]);
}

#[test]
fn the_location_is_stored_without_a_slash_at_its_end() {
    check(
        V2,
        &json!([{"action": "set-location", "location": "s3://b/t//"}]),
        &[("/location", json!("s3://b/t"))],
    );
    refuse(V2, &json!([{"action": "set-location", "location": ""}]), "needs a location");
}

#[test]
fn an_identity_is_for_ever() {
    let other = json!([{"action": "assign-uuid", "uuid": "00000000-0000-0000-0000-000000000001"}]);
    refuse(V2, &other, "Cannot reassign uuid");
    let bare = V1.replace("\"table-uuid\": \"8f1f6a5e-4bf9-4a4e-9a86-0a3f3a4b7c11\",", "");
    check(&bare, &other, &[("/table-uuid", json!("00000000-0000-0000-0000-000000000001"))]);
    refuse(&bare, &json!([{"action": "upgrade-format-version", "format-version": 2}]), "assign one first");
}

#[test]
fn an_upgrade_writes_what_the_new_version_demands() {
    check(
        V1,
        &json!([{"action": "upgrade-format-version", "format-version": 2}]),
        &[
            ("/format-version", json!(2)),
            ("/schema", Value::Null),
            ("/partition-spec", Value::Null),
            ("/schemas/0/schema-id", json!(0)),
            ("/schemas/0/fields/1/doc", json!("harbour time")),
            ("/current-schema-id", json!(0)),
            ("/partition-specs/0/spec-id", json!(0)),
            ("/partition-specs/0/fields/1/transform", json!("void")),
            ("/default-spec-id", json!(0)),
            ("/last-partition-id", json!(1001)),
            ("/last-sequence-number", json!(0)),
            ("/sort-orders", json!([{"order-id": 0, "fields": []}])),
            ("/default-sort-order-id", json!(0)),
            ("/refs/main/snapshot-id", json!(11)),
            ("/next-row-id", Value::Null),
            ("/snapshots/0/x-writer/build/0", json!(1)),
            ("/x-harbour/a/0", json!(true)),
        ],
    );
    let to_v3 = json!([{"action": "upgrade-format-version", "format-version": 3}]);
    check(V1, &to_v3, &[("/next-row-id", json!(0)), ("/last-sequence-number", json!(0))]);
    check(V2, &to_v3, &[("/next-row-id", json!(0)), ("/schemas/1/x-note", json!("unknown to everyone"))]);
    refuse(
        V3,
        &json!([{"action": "upgrade-format-version", "format-version": 2}]),
        "Cannot downgrade v3 table to v2",
    );
    refuse(
        V3,
        &json!([{"action": "upgrade-format-version", "format-version": 4}]),
        "Unsupported format version: v4",
    );
}

#[test]
fn ids_that_were_left_to_be_counted_are_written_out_by_an_upgrade() {
    let counted = V1.replace(", \"field-id\": 1000", "").replace(", \"field-id\": 1001", "");
    assert_eq!(table(&counted).last_partition_id(), 1001);
    let counted = counted.replace(
        "\"properties\"",
        r#""partition-specs": [{"spec-id": 0, "fields": [{"source-id": 1, "name": "a", "transform": "identity"},
            {"source-id": 3, "name": "b", "transform": "identity"}]}], "default-spec-id": 0,
            "schemas": [{"type": "struct", "fields": [{"id": 1, "name": "ship", "required": true, "type": "string"},
            {"id": 3, "name": "tonnage", "required": false, "type": "int"}]}], "current-schema-id": 0, "properties""#,
    );
    assert_eq!(table(&counted).last_partition_id(), 1001);
    check(
        &counted,
        &json!([{"action": "upgrade-format-version", "format-version": 2}]),
        &[
            ("/partition-specs/0/fields/1/field-id", json!(1001)),
            ("/schemas/0/schema-id", json!(0)),
            ("/last-partition-id", json!(1001)),
        ],
    );
}

#[test]
fn the_metadata_log_keeps_as_many_files_as_the_table_says() {
    let updates = |extra: Value| json!([{"action": "set-properties", "updates": extra}]);
    let applied = commit(V2, &updates(json!({"a": "b"}))).unwrap();
    let log: Vec<&str> =
        applied.metadata.metadata_log().iter().map(|entry| entry.metadata_file.as_str()).collect();
    assert_eq!(
        log,
        [
            "file:///tmp/orchard/trees/metadata/00001-bb.metadata.json",
            "file:///tmp/orchard/trees/metadata/v2.metadata.json",
            BASE_LOCATION
        ]
    );
    assert_eq!(applied.metadata.last_updated_ms(), NOW_MS);
    assert!(applied.expired_metadata_files.is_empty());

    let applied = commit(
        V2,
        &updates(json!({
            "write.metadata.delete-after-commit.enabled": "TRUE", "write.metadata.previous-versions-max": "0"
        })),
    )
    .unwrap();
    assert_eq!(applied.metadata.metadata_log().len(), 1);
    assert_eq!(applied.expired_metadata_files.len(), 3);

    let many = json!({"write.metadata.previous-versions-max": "many"});
    refuse(V2, &updates(many), "must be a whole number");
    // A table that has it already can be changed.
    let many = V2.replace(
        "\"write.metadata.previous-versions-max\": \"3\"",
        "\"write.metadata.previous-versions-max\": \"many\"",
    );
    let applied = commit(&many, &updates(json!({"a": "b"}))).unwrap();
    assert_eq!(applied.metadata.metadata_log().len(), 4);
}

fn check_requirement(document: &str, requirement: &Value, expected: &str) {
    let body = json!({"requirements": [requirement], "updates": []}).to_string();
    let commit = TableCommit::parse(body.as_bytes()).unwrap();
    let outcome = check_requirements(Some(&table(document)), &commit.requirements);
    let outcome = outcome.map_or_else(|error| error.to_string(), |()| String::new());
    assert_eq!(outcome, expected);
}

#[test]
fn requirements_that_hold_are_silent() {
    for requirement in [
        json!({"type": "assert-table-uuid", "uuid": "0D2C1F6B-6A52-4D59-9C3E-6F3F8C4AD2A2"}),
        json!({"type": "assert-ref-snapshot-id", "ref": "audit", "snapshot-id": 2}),
        json!({"type": "assert-ref-snapshot-id", "ref": "nowhere", "snapshot-id": null}),
        json!({"type": "assert-last-assigned-field-id", "last-assigned-field-id": 9}),
        json!({"type": "assert-current-schema-id", "current-schema-id": 1}),
        json!({"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": 1000}),
        json!({"type": "assert-default-spec-id", "default-spec-id": 1}),
        json!({"type": "assert-default-sort-order-id", "default-sort-order-id": 1}),
    ] {
        check_requirement(V2, &requirement, "");
    }
}

#[test]
fn requirements_that_fail_say_so_in_the_words_of_java() {
    let head = 3_051_729_675_574_597_004_i64;
    for (requirement, expected) in [
        (json!({"type": "assert-create"}), "table already exists".to_owned()),
        (
            json!({"type": "assert-table-uuid", "uuid": "abc"}),
            "UUID does not match: expected 0d2c1f6b-6a52-4d59-9c3e-6f3f8c4ad2a2 != abc".to_owned(),
        ),
        (
            json!({"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 1}),
            format!("branch main has changed: expected id 1 != {head}"),
        ),
        (
            json!({"type": "assert-ref-snapshot-id", "ref": "audit", "snapshot-id": null}),
            "tag audit was created concurrently".to_owned(),
        ),
        (
            json!({"type": "assert-ref-snapshot-id", "ref": "gone", "snapshot-id": 1}),
            "branch or tag gone is missing, expected 1".to_owned(),
        ),
        (
            json!({"type": "assert-last-assigned-field-id", "last-assigned-field-id": 1}),
            "last assigned field id changed: expected id 1 != 9".to_owned(),
        ),
        (
            json!({"type": "assert-current-schema-id", "current-schema-id": 0}),
            "current schema changed: expected id 0 != 1".to_owned(),
        ),
        (
            json!({"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": 999}),
            "last assigned partition id changed: expected id 999 != 1000".to_owned(),
        ),
        (
            json!({"type": "assert-default-spec-id", "default-spec-id": 0}),
            "default partition spec changed: expected id 0 != 1".to_owned(),
        ),
        (
            json!({"type": "assert-default-sort-order-id", "default-sort-order-id": 0}),
            "default sort order changed: expected id 0 != 1".to_owned(),
        ),
    ] {
        check_requirement(V2, &requirement, &format!("Requirement failed: {expected}"));
    }
}

#[test]
fn a_table_that_does_not_exist_can_only_be_required_not_to() {
    let parse = |requirements: Value| {
        TableCommit::parse(json!({"requirements": requirements}).to_string().as_bytes()).unwrap()
    };
    let create = parse(json!([{"type": "assert-create"}]));
    assert!(create.is_create());
    assert!(check_requirements(None, &create.requirements).is_ok());
    let mixed =
        parse(json!([{"type": "assert-create"}, {"type": "assert-default-spec-id", "default-spec-id": 0}]));
    let error = check_requirements(None, &mixed.requirements).unwrap_err();
    assert!(error.to_string().starts_with("Invalid create requirements"), "{error}");
}

#[test]
fn requests_that_cannot_be_read_name_the_place() {
    for (body, expected) in [
        ("{", "the request cannot be read"),
        ("[]", "an object"),
        (r#"{"updates": [{"action": "fly"}]}"#, "`updates` [0]: unknown table update `fly`"),
        (r#"{"updates": [{}]}"#, "`updates` [0]: the update has no `action`"),
        (r#"{"updates": [{"action": "set-location"}]}"#, "the update `set-location` has no `location`"),
        (
            r#"{"updates": [{"action": "set-location", "location": 1}]}"#,
            "`location` of the update `set-location`",
        ),
        (
            r#"{"updates": [{"action": "set-properties", "updates": {"a": 1}}]}"#,
            "the property `a` is not a string",
        ),
        (
            r#"{"updates": [{"action": "set-properties", "updates": {"a": "1", "a": "2"}}]}"#,
            "`a` occurs twice",
        ),
        (r#"{"updates": [{"action": "add-snapshot", "snapshot": {}}]}"#, "the snapshot has no `snapshot-id`"),
        (
            r#"{"updates": [{"action": "add-schema", "schema": {"type": "struct"}}]}"#,
            "the schema has no `fields`",
        ),
        (r#"{"updates": [{"action": "assign-uuid", "uuid": "x"}]}"#, "`x` is not a UUID"),
        (
            r#"{"updates": [{"action": "set-statistics", "statistics": {"snapshot-id": 1}}]}"#,
            "no `file-size-in-bytes`",
        ),
        (r#"{"updates": 7}"#, "`updates` of the request"),
        (
            r#"{"requirements": [{"type": "assert-luck"}]}"#,
            "`requirements` [0]: unknown table requirement `assert-luck`",
        ),
        (r#"{"requirements": [{"type": "assert-table-uuid"}]}"#, "no `uuid`"),
        (
            r#"{"identifier": {"namespace": "a", "name": "b"}, "updates": []}"#,
            "`namespace` of the identifier",
        ),
        (r#"{"properties": {"a": "b"}}"#, "neither `requirements` nor `updates`"),
    ] {
        let error = TableCommit::parse(body.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{body}: {error}");
    }
    let error = TransactionCommit::parse(br#"{"table-changes": [{"updates": []}]}"#).unwrap_err().to_string();
    assert!(error.contains("`table-changes` [0]: the table change has no `identifier`"), "{error}");
}

#[test]
fn a_transaction_names_its_tables() {
    let body = json!({"table-changes": [
        {"identifier": {"namespace": ["a", "b"], "name": "t"}, "requirements": [], "updates": []},
        {"identifier": {"namespace": ["a"], "name": "u"}, "updates": [{"action": "set-location", "location": "s3://x/y"}]},
    ]});
    let transaction = TransactionCommit::parse(body.to_string().as_bytes()).unwrap();
    let names: Vec<&str> =
        transaction.table_changes.iter().map(|(identifier, _)| identifier.name.as_str()).collect();
    assert_eq!(names, ["t", "u"]);
    assert_eq!(transaction.table_changes[1].1.updates[0].action(), "set-location");
}

#[test]
fn documents_that_contradict_themselves_are_refused() {
    let parse = |document: &str| table_core::metadata::table::TableMetadata::parse(document.as_bytes());
    for (from, to, expected) in [
        ("\"current-schema-id\": 1", "\"current-schema-id\": 6", "the current schema 6 is missing"),
        ("{\"snapshot-id\": 1,", "{\"snapshot-id\": 2,", "the snapshot id 2 occurs twice"),
        ("\"schema-id\": 0,\n", "\"schema-id\": 1,\n", "the schema id 1 occurs twice"),
        ("{\"spec-id\": 0", "{\"spec-id\": 1", "the partition spec id 1 occurs twice"),
        ("{\"order-id\": 0", "{\"order-id\": 1", "the sort order id 1 occurs twice"),
        (
            "\"audit\": {\"snapshot-id\": 2",
            "\"audit\": {\"snapshot-id\": 22",
            "the reference `audit` points at the missing",
        ),
        (
            "\"current-snapshot-id\": 3051729675574597004",
            "\"current-snapshot-id\": 2",
            "the current snapshot is 2 but",
        ),
        (
            "\"current-snapshot-id\": 3051729675574597004",
            "\"current-snapshot-id\": null",
            "the current snapshot is none but",
        ),
        (
            "\"last-sequence-number\": 3",
            "\"last-sequence-number\": 2",
            "above the table's last sequence number 2",
        ),
        ("\"format-version\": 2", "\"format-version\": 0", "unknown format version 0"),
        ("\"format-version\": 2", "\"format-version\": 3", "has no `next-row-id`"),
        ("\"table-uuid\": \"0", "\"table-uuid\": \"z", "is not a UUID"),
        ("\"table-uuid\"", "\"uuid\"", "has no `table-uuid`"),
        ("\"location\"", "\"place\"", "has no `location`"),
        ("\"schemas\"", "\"schemes\"", "has no `schemas`"),
        ("\"last-partition-id\"", "\"x\"", "has no `last-partition-id`"),
        ("\"type\": \"tag\"", "\"type\": \"bag\"", "the type `bag`"),
        (
            "\"format-version\": 2,",
            "\"format-version\": 2, \"format-version\": 2,",
            "`format-version` occurs twice",
        ),
    ] {
        let document = V2.replacen(from, to, 1);
        assert_ne!(document, V2, "{from}");
        let error = parse(&document).unwrap_err().to_string();
        assert!(error.contains(expected), "{to}: {error}");
    }
    for document in ["", "null", "[]", "{}", "{\"format-version\": \"2\"}", "\u{feff}{}"] {
        assert!(parse(document).is_err());
    }
    assert!(table_core::metadata::table::TableMetadata::parse(&[0xff, 0xfe]).is_err());
}
