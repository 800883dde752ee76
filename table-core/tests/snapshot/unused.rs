//! Which schemas and partition specs go with the snapshots.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use table_core::commit::apply;
use table_core::commit::requirement::{TableRequirement, check_requirements};
use table_core::metadata::schema::Schema;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::expire::{Expiry, ExpirySettings, plan};

const NOW_MS: i64 = 1_000_000_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A table whose schemas are lists of field ids, `?` behind those that may be null, and whose snapshots are
/// `id@days#schema`, days being their age: each the parent of the next, the last one the head of `main`. The
/// last schema is the current one.
fn document(schemas: &[&str], snapshots: &str) -> Json {
    let fields = |text: &str| -> Json {
        text.split_whitespace()
            .map(|word| {
                let id: i32 = word.trim_end_matches('?').parse().unwrap();
                json!({"id": id, "name": format!("c{id}"), "required": !word.ends_with('?'), "type": "int"})
            })
            .collect()
    };
    let schemas: Vec<_> = schemas
        .iter()
        .enumerate()
        .map(|(id, text)| json!({"type": "struct", "schema-id": id, "fields": fields(text)}))
        .collect();
    let mut made: Vec<Json> = Vec::new();
    for word in snapshots.split_whitespace() {
        let (id, rest) = word.split_once('@').unwrap();
        let (days, schema) = rest.split_once('#').unwrap();
        made.push(json!({
            "snapshot-id": id.parse::<i64>().unwrap(), "sequence-number": made.len() + 1,
            "parent-snapshot-id": made.last().map(|parent| parent["snapshot-id"].clone()),
            "timestamp-ms": NOW_MS - days.parse::<i64>().unwrap() * DAY_MS, "schema-id": schema.parse::<i32>().ok(),
            "manifest-list": format!("l{id}"), "summary": {"operation": "append"},
        }));
    }
    let head = made.last().map(|snapshot| snapshot["snapshot-id"].clone());
    let refs = match &head {
        Some(head) => json!({"main": {"snapshot-id": head, "type": "branch"}}),
        None => json!({}),
    };
    json!({
        "format-version": 2, "table-uuid": "0d2c1f6b-6a52-4d59-9c3e-6f3f8c4ad2a2", "location": "file:///t",
        "last-sequence-number": 99, "last-updated-ms": 9, "last-column-id": 99,
        "current-schema-id": schemas.len() - 1, "schemas": schemas, "default-spec-id": 0,
        "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 1002, "default-sort-order-id": 0,
        "sort-orders": [{"order-id": 0, "fields": []}], "properties": {}, "snapshots": made, "refs": refs,
        "current-snapshot-id": head,
    })
}

fn parse(document: &Json) -> TableMetadata {
    TableMetadata::parse(document.to_string().as_bytes()).unwrap()
}

fn clean() -> ExpirySettings {
    ExpirySettings { clean_metadata: true, ..ExpirySettings::default() }
}

/// What is due, checked against what the commit leaves.
fn due(metadata: &TableMetadata, policy: &ExpirySettings) -> Option<Expiry> {
    let expiry = plan(metadata, NOW_MS, policy).unwrap()?;
    check_requirements(Some(metadata), &expiry.commit.requirements).unwrap();
    let after = apply(metadata, "m", &expiry.commit.updates, NOW_MS).unwrap().metadata;
    let ids = |metadata: &TableMetadata| metadata.schemas().iter().map(Schema::id).collect::<Vec<_>>();
    let mut left = ids(metadata);
    left.retain(|id| !expiry.schema_ids.contains(id));
    assert_eq!(ids(&after), left);
    assert_eq!(after.partition_specs().len() + expiry.spec_ids.len(), metadata.partition_specs().len());
    assert_eq!(after.snapshots().len() + expiry.snapshot_ids.len(), metadata.snapshots().len());
    assert_eq!(after.current_schema_id(), metadata.current_schema_id());
    Some(expiry)
}

/// Checks which schemas are due.
fn check(schemas: &[&str], snapshots: &str, expected: &[i32]) {
    let found = due(&parse(&document(schemas, snapshots)), &clean());
    assert_eq!(
        found.map(|expiry| expiry.schema_ids).unwrap_or_default(),
        expected,
        "{schemas:?} {snapshots}"
    );
}

#[test]
fn schemas_that_only_expired_snapshots_had_are_due() {
    check(&["1", "1 2?", "1 2? 3?"], "1@9#0 2@8#1 3@1#2", &[0, 1]);
    check(&["1", "1 2?", "1 2? 3?"], "1@9#0 2@2#1 3@1#2", &[0]);
    check(&["1", "1 2?", "1 2? 3?"], "1@3#0 2@2#1 3@1#2", &[]);
}

#[test]
fn schemas_are_due_though_no_snapshot_is() {
    let metadata = parse(&document(&["1", "1 2?", "1 2? 3?"], "1@1#0"));
    let expiry = due(&metadata, &clean()).unwrap();
    assert_eq!((expiry.snapshot_ids.len(), expiry.schema_ids), (0, vec![1]));
    assert!(plan(&metadata, NOW_MS, &ExpirySettings::default()).unwrap().is_none(), "unless nobody asked");
}

#[test]
fn the_current_schema_stays_without_a_snapshot() {
    check(&["1", "1 2?"], "", &[0]);
    check(&["1"], "", &[]);
}

#[test]
fn snapshots_that_do_not_say_their_schema_keep_none() {
    check(&["1", "1 2?"], "1@1#", &[0]);
}

#[test]
fn a_schema_that_alone_has_a_lost_column_stays() {
    check(&["1 2?", "1"], "1@9#0 2@1#1", &[]);
    // The newest that has it is enough.
    check(&["1 2?", "1 2? 3?", "1 3?"], "1@9#0 2@1#2", &[0]);
    check(&["1 2?", "1 3?", "1 2? 4?", "1"], "1@9#0 2@1#3", &[0]);
}

#[test]
fn a_schema_that_says_what_a_lost_column_was_in_the_end_stays() {
    let mut document = document(&["1 2?", "1 2?", "1"], "1@1#0 2@1#2");
    let due = |document: &Json| due(&parse(document), &clean()).map(|expiry| expiry.schema_ids);
    assert_eq!(due(&document), Some(vec![1]));
    for (name, value) in [("type", json!("long")), ("initial-default", json!(7))] {
        let before = document.clone();
        document["schemas"][1]["fields"][1][name] = value;
        assert_eq!(due(&document), None, "{name}");
        document = before;
    }
    // Of a column that is there, the current schema tells it.
    document["schemas"][1]["fields"][0]["type"] = json!("long");
    assert_eq!(due(&document), Some(vec![1]));
}

#[test]
fn a_schema_that_alone_allowed_nulls_stays() {
    check(&["1?", "1"], "1@9#0 2@1#1", &[]);
    check(&["1?", "1? 2?", "1 2?"], "1@9#0 2@1#2", &[0]);
    check(&["1", "1?"], "1@9#0 2@1#1", &[0]);
}

#[test]
fn nulls_that_only_the_struct_around_a_column_allowed_count() {
    let mut document = document(&["1", "1"], "1@9#0 2@1#1");
    for (schema, required) in [(0, false), (1, true)] {
        document["schemas"][schema]["fields"] = json!([{"id": 1, "name": "s", "required": required, "type":
            {"type": "struct", "fields": [{"id": 2, "name": "x", "required": true, "type": "int"}]}}]);
    }
    assert_eq!(due(&parse(&document), &clean()).unwrap().schema_ids, [0; 0]);
    document["schemas"][1]["fields"][0]["required"] = json!(false);
    assert_eq!(due(&parse(&document), &clean()).unwrap().schema_ids, [0]);
}

#[test]
fn a_schema_that_cannot_be_read_stays() {
    let mut document = document(&["1", "1", "1"], "1@1#2");
    document["schemas"][0]["fields"][0]["type"] = json!(7);
    let metadata = parse(&document);
    assert!(metadata.schemas()[0].columns().is_err());
    assert_eq!(due(&metadata, &clean()).unwrap().schema_ids, [1]);
}

#[test]
fn schemas_of_pinned_snapshots_stay() {
    let metadata = parse(&document(&["1", "1 2?", "1 2? 3?"], "1@9#0 2@8#1 3@1#2"));
    let pinned = ExpirySettings { pinned: vec![2], ..clean() };
    assert_eq!(due(&metadata, &pinned).unwrap().schema_ids, [0]);
}

fn with_specs() -> Json {
    let mut document = document(&["1 2"], "1@1#0");
    let field = |id: i32, source: i32| json!({"field-id": id, "source-id": source, "name": format!("p{id}"), "transform": "identity"});
    document["partition-specs"] = json!([
        {"spec-id": 0, "fields": []},
        {"spec-id": 1, "fields": [field(1000, 1)]},
        {"spec-id": 2, "fields": [field(1001, 2)]},
    ]);
    document["default-spec-id"] = json!(2);
    document
}

#[test]
fn specs_are_due_only_if_somebody_knows_which_are_in_use() {
    let metadata = parse(&with_specs());
    let known = |ids: &[i32]| ExpirySettings { specs_in_use: Some(ids.iter().copied().collect()), ..clean() };
    assert!(due(&metadata, &clean()).is_none());
    assert_eq!(due(&metadata, &known(&[])).unwrap().spec_ids, [0, 1]);
    assert_eq!(due(&metadata, &known(&[1])).unwrap().spec_ids, [0]);
    assert!(due(&metadata, &known(&[0, 1, 2])).is_none());
    assert!(due(&metadata, &ExpirySettings { clean_metadata: false, ..known(&[]) }).is_none());
}

/// Whether the commit fails on a table that was changed since.
fn is_refused(before: &Json, policy: &ExpirySettings, change: impl FnOnce(&mut Json)) -> bool {
    let requirements = due(&parse(before), policy).unwrap().commit.requirements;
    let mut after = before.clone();
    change(&mut after);
    check_requirements(Some(&parse(&after)), &requirements).is_err()
}

#[test]
fn the_commit_fails_if_what_was_found_unused_may_be_in_use_by_then() {
    let schemas = document(&["1", "1 2?", "1 2? 3?"], "1@1#2");
    assert!(!is_refused(&schemas, &clean(), |_| {}));
    assert!(is_refused(&schemas, &clean(), |table| table["current-schema-id"] = json!(1)));
    let head = json!({"snapshot-id": 1, "type": "branch"});
    let mut branched = schemas.clone();
    branched["refs"]["audit"] = head.clone();
    let second = |table: &mut Json| {
        let mut snapshot = table["snapshots"][0].clone();
        snapshot["snapshot-id"] = json!(2);
        snapshot["schema-id"] = json!(0);
        table["snapshots"].as_array_mut().unwrap().push(snapshot);
    };
    for branch in ["main", "audit"] {
        let moved = |table: &mut Json| {
            second(table);
            table["refs"][branch]["snapshot-id"] = json!(2);
            table["current-snapshot-id"] = table["refs"]["main"]["snapshot-id"].clone();
        };
        assert!(is_refused(&branched, &clean(), moved), "{branch}");
    }
    let first = |table: &mut Json| {
        table["snapshots"] = schemas["snapshots"].clone();
        table["refs"] = json!({"main": head});
        table["current-snapshot-id"] = json!(1);
    };
    assert!(is_refused(&document(&["1", "1 2?"], ""), &clean(), first));

    let unused = ExpirySettings { specs_in_use: Some(BTreeSet::new()), ..clean() };
    assert!(!is_refused(&with_specs(), &unused, |_| {}));
    assert!(is_refused(&with_specs(), &unused, |table| table["default-spec-id"] = json!(1)));
}

#[test]
fn requirements_are_no_stricter_than_what_goes_needs() {
    let kinds = |metadata: &TableMetadata, policy: &ExpirySettings| {
        let requirements = due(metadata, policy).unwrap().commit.requirements;
        let schema =
            requirements.iter().any(|one| matches!(one, TableRequirement::AssertCurrentSchemaId { .. }));
        let spec = requirements.iter().any(|one| matches!(one, TableRequirement::AssertDefaultSpecId { .. }));
        (schema, spec)
    };
    let schemas = parse(&document(&["1", "1 2?"], "1@9#1 2@1#1"));
    assert_eq!(kinds(&schemas, &ExpirySettings::default()), (false, false));
    assert_eq!(kinds(&schemas, &clean()), (true, false));
    let unused = ExpirySettings { specs_in_use: Some(BTreeSet::new()), ..clean() };
    assert_eq!(kinds(&parse(&with_specs()), &unused), (false, true));
}

#[test]
fn the_request_says_what_is_checked_here() {
    let expiry = due(&parse(&document(&["1", "1 2?"], "1@9#0 2@1#1")), &clean()).unwrap();
    let body: Json = serde_json::from_str(expiry.body.as_str()).unwrap();
    let expected = json!({
        "requirements": [
            {"type": "assert-table-uuid", "uuid": "0d2c1f6b-6a52-4d59-9c3e-6f3f8c4ad2a2"},
            {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 2},
            {"type": "assert-current-schema-id", "current-schema-id": 1},
        ],
        "updates": [
            {"action": "remove-snapshots", "snapshot-ids": [1]},
            {"action": "remove-schemas", "schema-ids": [0]},
        ],
    });
    assert_eq!(body, expected);
}
