//! What keeps `main` from being rewritten: commits that wait to be published.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value as Json, json};
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::publish::{self, Unpublished};

const HOUR_MS: i64 = 3_600_000;
const WAIT_MS: i64 = 24 * HOUR_MS;
const NOW_MS: i64 = 100 * HOUR_MS;

/// A table with snapshots such as `1`, `2<1@99`: 2 has the parent 1 and is of hour 99; behind may stand
/// `wap=x` and the operation. Branches are such as `main:1 audit:2`; a tag begins with `#`.
fn table(snapshots: &str, refs: &str) -> TableMetadata {
    let snapshots: Vec<Json> = snapshots
        .split(", ")
        .map(|text| {
            let mut words = text.split(' ');
            let (ids, hour) = words.next().unwrap().split_once('@').unwrap();
            let (id, parent) = ids.split_once('<').map_or((ids, None), |(id, parent)| (id, Some(parent)));
            let hour: i64 = hour.parse().unwrap();
            let mut summary = json!({"operation": "overwrite"});
            for word in words {
                match word.split_once('=') {
                    Some((_, id)) => summary["wap.id"] = json!(id),
                    None => summary["operation"] = json!(word),
                }
            }
            let mut snapshot = json!({"snapshot-id": id.parse::<i64>().unwrap(), "timestamp-ms": hour * HOUR_MS,
                "sequence-number": 1, "manifest-list": "file:///l", "summary": summary, "schema-id": 0});
            if let Some(parent) = parent {
                snapshot["parent-snapshot-id"] = json!(parent.parse::<i64>().unwrap());
            }
            snapshot
        })
        .collect();
    let refs: serde_json::Map<String, Json> = refs
        .split(' ')
        .map(|text| {
            let (name, id) = text.split_once(':').unwrap();
            let kind = if name.starts_with('#') { "tag" } else { "branch" };
            (name.to_owned(), json!({"snapshot-id": id.parse::<i64>().unwrap(), "type": kind}))
        })
        .collect();
    let schema = json!({"type": "struct", "schema-id": 0, "fields": []});
    let document = json!({
        "format-version": 2, "table-uuid": "0d2c1f6b-6a52-4d59-9c3e-6f3f8c4ad2a2", "location": "file:///t",
        "last-sequence-number": 9, "last-updated-ms": 9, "last-column-id": 2, "current-schema-id": 0,
        "schemas": [schema], "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}],
        "last-partition-id": 999, "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}],
        "current-snapshot-id": refs["main"]["snapshot-id"], "snapshots": snapshots, "refs": refs,
    });
    TableMetadata::parse(document.to_string().as_bytes()).unwrap()
}

/// What waits, and until which hour.
#[track_caller]
fn check(snapshots: &str, refs: &str, expected: Option<(&str, i64)>) {
    let found = publish::unpublished(&table(snapshots, refs), WAIT_MS, NOW_MS).unwrap();
    let found = found.map(|Unpublished { description: what, until_ms }| (what, until_ms / HOUR_MS));
    assert_eq!(found.as_ref().map(|(what, hour)| (what.as_str(), *hour)), expected, "{snapshots}; {refs}");
}

#[test]
fn a_branch_ahead_of_main_waits_for_a_day_after_its_last_commit() {
    check("1@1, 2<1@99", "main:1 audit:2", Some(("the branch `audit`", 123)));
    check("1@1, 2<1@50, 3<2@90", "main:1 audit:3", Some(("the branch `audit`", 114)));
    check("1@1, 2<1@76", "main:1 audit:2", None);
    check("1@1, 2<1@99, 3<1@95", "main:1 a:3 b:2", Some(("the branch `b`", 123)));
    // A clock that was ahead.
    check("1@1, 2<1@900", "main:1 audit:2", Some(("the branch `audit`", 124)));
}

#[test]
fn what_does_not_descend_from_the_head_of_main_does_not_wait() {
    check("1@99", "main:1 audit:1", None);
    check("1@1, 2<1@99", "main:2 audit:1", None);
    check("1@1, 2<1@99, 3<1@99", "main:3 audit:2", None);
    check("1@1, 2<1@99", "main:1 #tag:2", None);
    // Ancestors that have expired, or that go in a circle.
    check("1@1, 3<2@99", "main:1 audit:3", None);
    check("1@1, 2<3@99, 3<2@99", "main:1 audit:3", None);
}

#[test]
fn a_staged_snapshot_waits_unless_it_is_an_append() {
    let staged = |what: &str| format!("1@1, 2<1@99 wap={what}");
    check(&staged("x delete"), "main:1", Some(("the staged snapshot 2 (`wap.id` x)", 123)));
    check(&staged("x overwrite"), "main:1", Some(("the staged snapshot 2 (`wap.id` x)", 123)));
    check(&staged("x append"), "main:1", None);
    // Published, or left behind.
    check(&staged("x delete"), "main:2", None);
    check("1@1, 2<1@99 wap=x delete, 3<1@99", "main:3", None);
    check("1@1, 2<1@99 delete", "main:1", None);
}

#[test]
fn the_explanation_is_a_sentence() {
    let found =
        publish::unpublished(&table("1@1, 2<1@99", "main:1 audit:2"), WAIT_MS, NOW_MS).unwrap().unwrap();
    let told = found.explain();
    assert!(told.contains("the branch `audit` descends from the head of `main`"), "{told}");
    assert!(told.contains("until 1970-01-06T03:00:00Z ("), "{told}");
    assert_eq!(publish::unpublished(&table("1@1, 2<1@99", "main:1 audit:2"), 0, NOW_MS), Ok(None));
}
