//! Commits that change snapshots, references, statistics and keys.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{BASE_LOCATION, NOW_MS, V1, V2, V3, check, commit, document, refuse, request, table};
use serde_json::{Value, json};
use table_core::commit::apply;
use table_core::commit::error::CommitError;

/// When the second fixture was made.
const LAST_MS: i64 = 1_710_000_003_000;
const HEAD: i64 = 3_051_729_675_574_597_004;

fn snapshot(id: i64, sequence_number: i64) -> Value {
    json!({"snapshot-id": id, "parent-snapshot-id": HEAD, "sequence-number": sequence_number,
        "timestamp-ms": 1_790_000_000_000_i64 + id, "manifest-list": format!("s3://lake/{id}.avro"),
        "summary": {"operation": "append"}, "schema-id": 1, "x-tag": [1.50]})
}

fn add(snapshot: &Value) -> Value {
    json!({"action": "add-snapshot", "snapshot": snapshot})
}

fn point(name: &str, id: i64) -> Value {
    json!({"action": "set-snapshot-ref", "ref-name": name, "type": "branch", "snapshot-id": id})
}

#[test]
fn a_commit_to_main_moves_the_table() {
    check(
        V2,
        &json!([add(&snapshot(50, 4)), point("main", 50)]),
        &[
            ("/current-snapshot-id", json!(50)),
            ("/last-sequence-number", json!(4)),
            ("/last-updated-ms", json!(NOW_MS)),
            ("/snapshots/3/x-tag/0", json!(1.50)),
            ("/refs/main/snapshot-id", json!(50)),
            ("/snapshot-log/3/snapshot-id", json!(50)),
            ("/snapshot-log/3/timestamp-ms", json!(1_790_000_000_050_i64)),
            ("/metadata-log/2/metadata-file", json!(BASE_LOCATION)),
            ("/metadata-log/2/timestamp-ms", json!(1_710_000_003_000_i64)),
            ("/statistics", Value::Null),
        ],
    );
}

#[test]
fn a_branch_keeps_its_retention_when_it_moves() {
    check(
        V2,
        &json!([add(&snapshot(50, 4)), point("main", 50)]),
        &[("/refs/main/min-snapshots-to-keep", json!(5)), ("/refs/main/x-owner", json!("ops"))],
    );
    let mut own = point("main", 50);
    own["min-snapshots-to-keep"] = json!(9);
    own["max-ref-age-ms"] = Value::Null;
    check(
        V2,
        &json!([add(&snapshot(50, 4)), own]),
        &[("/refs/main/min-snapshots-to-keep", json!(9)), ("/refs/main/max-ref-age-ms", Value::Null)],
    );
    let removed = json!([{"action": "remove-snapshot-ref", "ref-name": "main"}, point("main", HEAD)]);
    check(V2, &removed, &[("/refs/main/min-snapshots-to-keep", Value::Null)]);
}

#[test]
fn a_client_with_a_slow_clock_can_commit_and_time_never_goes_back() {
    let mut slow = snapshot(50, 4);
    slow["timestamp-ms"] = json!(5);
    let applied = apply(
        &table(V2),
        BASE_LOCATION,
        &request(&json!([add(&slow), point("main", 50)])).updates,
        LAST_MS - 5000,
    )
    .unwrap();
    common::compare(
        &document(&applied.metadata),
        &[
            ("/snapshots/3/timestamp-ms", json!(5)),
            ("/snapshot-log/3/timestamp-ms", json!(1_710_000_003_000_i64)),
            ("/last-updated-ms", json!(1_710_000_003_000_i64)),
        ],
    );
}

#[test]
fn a_snapshot_from_the_future_is_refused() {
    let at = |timestamp_ms: i64| {
        let mut snapshot = snapshot(50, 4);
        snapshot["timestamp-ms"] = json!(timestamp_ms);
        json!([add(&snapshot), point("main", 50)])
    };
    for timestamp_ms in [NOW_MS + 60_001, NOW_MS + 86_400_000, i64::MAX] {
        refuse(V2, &at(timestamp_ms), "set the clock of the client");
    }
    // Within a minute it is taken, and logged by the clock of the server.
    let logged = [
        ("/snapshots/3/timestamp-ms", json!(NOW_MS + 60_000)),
        ("/snapshot-log/3/timestamp-ms", json!(NOW_MS)),
        ("/last-updated-ms", json!(NOW_MS)),
    ];
    check(V2, &at(NOW_MS + 60_000), &logged);
}

#[test]
fn a_document_from_the_future_is_brought_back() {
    let now_ms = LAST_MS - 86_400_000;
    let updates = request(&json!([{"action": "set-properties", "updates": {"a": "b"}}])).updates;
    let applied = apply(&table(V2), BASE_LOCATION, &updates, now_ms).unwrap();
    assert_eq!(applied.metadata.latest_ms(), now_ms);
    let metadata = document(&applied.metadata);
    let before = document(&table(V2));
    assert_eq!(metadata["snapshots"], before["snapshots"]);
    for log in ["snapshot-log", "metadata-log"] {
        let times: Vec<_> = metadata[log]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["timestamp-ms"].as_i64().unwrap())
            .collect();
        assert!(times.is_sorted() && times.iter().all(|time| *time <= now_ms), "{log}: {times:?}");
    }
    let applied = apply(&table(V2), BASE_LOCATION, &updates, LAST_MS - 60_000).unwrap();
    assert_eq!(applied.metadata.latest_ms(), LAST_MS, "clocks may differ by a minute");
}

#[test]
fn a_stale_sequence_number_can_be_tried_again() {
    let error = commit(V2, &json!([add(&snapshot(50, 3))])).unwrap_err();
    assert!(matches!(error, CommitError::Stale(_)), "{error}");
    assert!(error.to_string().contains("sequence number 3 older than last sequence number 3"));
    let mut root = snapshot(50, 3);
    root.as_object_mut().unwrap().remove("parent-snapshot-id");
    assert!(commit(V2, &json!([add(&root)])).is_ok());
    root["sequence-number"] = json!(1);
    assert!(matches!(commit(V2, &json!([add(&root)])).unwrap_err(), CommitError::Stale(_)));
}

#[test]
fn impossible_snapshots_are_refused() {
    refuse(V2, &json!([add(&snapshot(1, 4))]), "Snapshot already exists for id: 1");
    refuse(V2, &json!([add(&snapshot(-1, 4))]), "means that there is no snapshot");
    refuse(V2, &json!([add(&snapshot(50, 4)), add(&snapshot(50, 5))]), "already exists");
    refuse(V1, &json!([add(&snapshot(50, 4))]), "Sequence number must be 0 in v1");
    let mut orphan = snapshot(50, 4);
    orphan["parent-snapshot-id"] = json!(50);
    refuse(V2, &json!([add(&orphan)]), "is its own parent");
    let mut bare = snapshot(50, 4);
    bare.as_object_mut().unwrap().remove("manifest-list");
    refuse(V2, &json!([add(&bare)]), "no `manifest-list`");
    let again = json!([{"action": "remove-snapshots", "snapshot-ids": [1]}, add(&snapshot(1, 4))]);
    refuse(V2, &again, "cannot be removed and added in one commit");
}

#[test]
fn row_ids_are_given_out_once() {
    let rows = |first: Value, added: Value| {
        let mut snapshot = snapshot(50, 3);
        snapshot["first-row-id"] = first;
        snapshot["added-rows"] = added;
        json!([add(&snapshot)])
    };
    check(V3, &rows(json!(150), json!(25)), &[("/next-row-id", json!(175))]);
    check(V3, &rows(json!(160), json!(25)), &[("/next-row-id", json!(185))]);
    let error = commit(V3, &rows(json!(149), json!(25))).unwrap_err();
    assert!(matches!(&error, CommitError::Stale(text) if text.contains("149 < 150")), "{error}");
    refuse(V3, &rows(Value::Null, json!(25)), "first-row-id is null");
    refuse(V3, &rows(json!(150), Value::Null), "added-rows is null");
    refuse(V3, &rows(json!(150), json!(-1)), "added-rows is negative");
    refuse(V3, &rows(json!(150), json!(i64::MAX)), "all row ids are used up");
    check(V2, &json!([add(&snapshot(50, 4))]), &[("/next-row-id", Value::Null)]);
}

#[test]
fn a_snapshot_that_main_only_passed_is_not_history() {
    let updates = json!([add(&snapshot(50, 4)), point("main", 50), add(&snapshot(51, 5)), point("main", 51)]);
    check(V2, &updates, &[("/snapshot-log/3/snapshot-id", json!(51)), ("/snapshot-log/4", Value::Null)]);
    let rollback = json!([point("main", 1), point("main", 2)]);
    check(
        V2,
        &rollback,
        &[
            ("/snapshot-log/3/snapshot-id", json!(1)),
            ("/snapshot-log/4/snapshot-id", json!(2)),
            ("/snapshot-log/4/timestamp-ms", json!(NOW_MS)),
        ],
    );
}

#[test]
fn removed_snapshots_take_with_them_what_points_at_them() {
    let updates = json!([{"action": "remove-snapshots", "snapshot-ids": [2, 404]}]);
    check(
        V2,
        &updates,
        &[
            ("/snapshots/1/snapshot-id", json!(HEAD)),
            ("/refs/audit", Value::Null),
            ("/refs/main/snapshot-id", json!(HEAD)),
            ("/partition-statistics/0/snapshot-id", json!(1)),
            ("/partition-statistics/1", Value::Null),
            // History before the gap would be wrong.
            ("/snapshot-log/0/snapshot-id", json!(HEAD)),
            ("/snapshot-log/1", Value::Null),
        ],
    );
    let head = json!([{"action": "remove-snapshots", "snapshot-ids": [HEAD]}]);
    check(V2, &head, &[("/refs/main", Value::Null), ("/current-snapshot-id", json!(-1))]);
    let all = json!([{"action": "remove-snapshots", "snapshot-ids": [100]}, {"action": "remove-snapshots", "snapshot-ids": [200]}]);
    check(
        V3,
        &all,
        &[
            ("/current-snapshot-id", Value::Null),
            ("/snapshots", json!([])),
            ("/statistics", json!([])),
            ("/refs", json!({})),
        ],
    );
    assert!(!commit(V2, &json!([{"action": "remove-snapshots", "snapshot-ids": [404]}])).unwrap().changed);
}

#[test]
fn references_are_refused_where_they_make_no_sense() {
    let reference = |name: &str, kind: &str, extra: Value| {
        let mut update =
            json!({"action": "set-snapshot-ref", "ref-name": name, "type": kind, "snapshot-id": 1});
        update.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!([update])
    };
    refuse(V2, &reference("main", "tag", json!({})), "`main` is always a branch");
    refuse(V2, &reference("", "tag", json!({})), "its name is empty");
    refuse(V2, &reference("t", "tag", json!({"min-snapshots-to-keep": 3})), "tags do not support");
    refuse(V2, &reference("b", "branch", json!({"max-snapshot-age-ms": 0})), "greater than 0");
    refuse(V2, &reference("b", "branch", json!({"snapshot-id": 99})), "Cannot set b to unknown snapshot: 99");
    let gone = json!([{"action": "remove-snapshots", "snapshot-ids": [1]}, point("b", 1)]);
    refuse(V2, &gone, "Cannot set b to unknown snapshot: 1");
    check(
        V2,
        &reference("t", "tag", json!({"max-ref-age-ms": 3})),
        &[
            ("/refs/t", json!({"type": "tag", "snapshot-id": 1, "max-ref-age-ms": 3})),
            ("/current-snapshot-id", json!(HEAD)),
        ],
    );
}

#[test]
fn a_reference_that_says_the_same_changes_nothing() {
    let applied = commit(V2, &json!([point("main", HEAD)])).unwrap();
    assert!(!applied.changed);
    assert_eq!(applied.metadata.to_bytes(), table(V2).to_bytes());
}

#[test]
fn the_branches_of_the_first_version_are_kept() {
    let tagged = json!([{"action": "set-snapshot-ref", "ref-name": "t", "type": "tag", "snapshot-id": 10}]);
    check(
        V1,
        &tagged,
        &[
            ("/refs/main", json!({"snapshot-id": 11, "type": "branch"})),
            ("/refs/t/snapshot-id", json!(10)),
            ("/snapshots/0/manifests/0", json!("s3://lake/harbour/arrivals/metadata/m0.avro")),
        ],
    );
}

#[test]
fn statistics_replace_those_of_the_same_snapshot() {
    let file = |id: i64, path: &str| json!({"snapshot-id": id, "statistics-path": path, "file-size-in-bytes": 1, "file-footer-size-in-bytes": 1, "blob-metadata": []});
    let set = |id: i64, path: &str| json!({"action": "set-statistics", "statistics": file(id, path)});
    check(
        V3,
        &json!([set(100, "a"), set(100, "b"), set(300, "c")]),
        &[
            ("/statistics/0/statistics-path", json!("b")),
            ("/statistics/1/snapshot-id", json!(200)),
            ("/statistics/2/statistics-path", json!("c")),
            ("/statistics/3", Value::Null),
        ],
    );
    check(V2, &json!([set(1, "a")]), &[("/statistics/0/statistics-path", json!("a"))]);
    check(
        V3,
        &json!([set(100, "a"), {"action": "remove-statistics", "snapshot-id": 100}]),
        &[("/statistics/0/snapshot-id", json!(200))],
    );
    check(
        V2,
        &json!([{"action": "remove-partition-statistics", "snapshot-id": 2}]),
        &[("/partition-statistics/0/snapshot-id", json!(1))],
    );
    let partition = json!([{"action": "set-partition-statistics", "partition-statistics": {"snapshot-id": 2, "statistics-path": "p", "file-size-in-bytes": 3}}]);
    check(
        V2,
        &partition,
        &[
            ("/partition-statistics/0/statistics-path", json!("p")),
            ("/partition-statistics/1/snapshot-id", json!(1)),
        ],
    );
}

#[test]
fn encryption_keys_come_and_go() {
    let key = |id: &str| json!({"action": "add-encryption-key", "encryption-key": {"key-id": id, "encrypted-key-metadata": "QQ==", "x": 1}});
    check(
        V3,
        &json!([key("k1"), key("k3"), {"action": "remove-encryption-key", "key-id": "k2"}]),
        &[
            ("/encryption-keys/0/encrypted-key-metadata", json!("ZGVm")),
            ("/encryption-keys/1", json!({"key-id": "k3", "encrypted-key-metadata": "QQ==", "x": 1})),
            ("/encryption-keys/2", Value::Null),
        ],
    );
    assert!(!commit(V3, &json!([key("k1")])).unwrap().changed);
}

#[test]
fn later_versions_take_only_changes_that_mean_the_same_everywhere() {
    let v4 = V3.replace("\"format-version\": 3", "\"format-version\": 4");
    refuse(&v4, &json!([add(&snapshot(50, 3))]), "supports versions up to 3");
    refuse(&v4, &json!([{"action": "add-spec", "spec": {"fields": []}}]), "it has the format version 4");
    check(
        &v4,
        &json!([point("b", 100), {"action": "set-properties", "updates": {"a": "b"}}]),
        &[
            ("/format-version", json!(4)),
            ("/refs/b/snapshot-id", json!(100)),
            ("/x-last", document(&table(&v4))["x-last"].clone()),
        ],
    );
}

#[test]
fn ten_thousand_snapshots_and_single_removals_are_no_effort() {
    let adds: Vec<Value> =
        (0..10_000).flat_map(|n| [add(&snapshot(1000 + n, 4 + n)), point("main", 1000 + n)]).collect();
    let applied = commit(V2, &json!(adds)).unwrap();
    let big = String::from_utf8(applied.metadata.to_bytes()).unwrap();
    let removals: Vec<Value> =
        (0..9_999).map(|n| json!({"action": "remove-snapshots", "snapshot-ids": [1000 + n]})).collect();
    check(&big, &json!(removals), &[("/snapshots/4", Value::Null), ("/current-snapshot-id", json!(10_999))]);
}
