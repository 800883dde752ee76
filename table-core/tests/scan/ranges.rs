//! Which part of a table's history is read, and how much of it.

use serde_json::{Value as Json, json};
use table_core::manifest::list::{ManifestContent, ManifestFile};

use crate::table::{listed, plan, show, table};
use crate::writer::{entry, manifest};

/// What each snapshot of the table added: 1 and 3 and 4 appended, 2 replaced.
fn history() -> Vec<(ManifestFile, Vec<u8>)> {
    let of = |snapshot: i64, content, entries: &[Json]| {
        (ManifestFile { added_snapshot_id: snapshot, ..listed(0, content) }, manifest(&[], entries))
    };
    let file = |path: &str, status: i64, snapshot: i64| {
        entry(
            json!({"file_path": path, "entry": {"status": status, "snapshot_id": snapshot, "sequence_number": snapshot}}),
        )
    };
    let delete =
        entry(json!({"file_path": "p", "content": 1, "entry": {"snapshot_id": 3, "sequence_number": 3}}));
    vec![
        of(1, ManifestContent::Data, &[file("one", 1, 1), file("first", 1, 1)]),
        of(2, ManifestContent::Data, &[file("two", 1, 2), file("one", 2, 2)]),
        // Carried over what is older, when it was written anew.
        of(3, ManifestContent::Data, &[file("three", 1, 3), file("old", 0, 1), file("gone", 2, 3)]),
        of(3, ManifestContent::Deletes, &[delete]),
        of(4, ManifestContent::Data, &[file("four", 1, 4)]),
    ]
}

#[track_caller]
fn check(request: &Json, expected: &str) {
    assert_eq!(show(&plan(&table(&[json!([])]), request, history()).unwrap()), expected, "{request}");
}

#[track_caller]
fn refuse(request: &Json, part: &str) {
    let message = plan(&table(&[json!([])]), request, history()).unwrap_err().to_string();
    assert!(message.contains(part), "{message}");
}

#[test]
fn an_incremental_scan_has_what_was_appended_without_deletes() {
    check(&json!({"start-snapshot-id": 3, "end-snapshot-id": 4}), "four");
    check(&json!({"start-snapshot-id": 1, "end-snapshot-id": 4}), "three; four");
    check(&json!({"start-snapshot-id": 1, "end-snapshot-id": 3}), "three");
    // What an overwrite added was not appended.
    check(&json!({"start-snapshot-id": 1, "end-snapshot-id": 2}), "");
    check(&json!({"end-snapshot-id": 4}), "one; first; three; four");
}

#[test]
fn an_incremental_scan_starts_from_an_ancestor() {
    refuse(
        &json!({"start-snapshot-id": 4, "end-snapshot-id": 1}),
        "snapshot 4 is not an ancestor of snapshot 1",
    );
    refuse(
        &json!({"start-snapshot-id": 3, "end-snapshot-id": 3}),
        "send the parent of the first snapshot to scan",
    );
    refuse(&json!({"start-snapshot-id": 1, "end-snapshot-id": 9}), "the table has no snapshot 9");
    refuse(&json!({"start-snapshot-id": 1}), "needs an `end-snapshot-id`");
    refuse(&json!({"snapshot-id": 1, "end-snapshot-id": 2}), "send one or the other");
}

/// Files such as `a=5`, with so many rows; with deletes for those that have an exclamation mark.
#[track_caller]
fn check_rows(files: &str, request: &Json, expected: &str) {
    let mut deletes = Vec::new();
    let entries: Vec<_> = files
        .split(' ')
        .map(|file| {
            let (path, rows) = file.trim_end_matches('!').split_once('=').unwrap();
            if file.ends_with('!') {
                deletes.push(entry(json!({"file_path": "p", "content": 1, "referenced_data_file": path})));
            }
            entry(json!({"file_path": path, "record_count": rows.parse::<i64>().unwrap()}))
        })
        .collect();
    let manifests = vec![
        (listed(0, ManifestContent::Data), manifest(&[], &entries)),
        (listed(0, ManifestContent::Deletes), manifest(&[], &deletes)),
    ];
    let plan = plan(&table(&[json!([])]), request, manifests).unwrap();
    assert_eq!(show(&plan), expected, "{files} {request}");
}

#[test]
fn a_plan_ends_when_it_has_as_many_rows_as_are_wanted() {
    let rows = |rows: i64| json!({"min-rows-requested": rows});
    check_rows("a=5 b=5 c=5", &rows(1), "a");
    check_rows("a=5 b=5 c=5", &rows(5), "a");
    check_rows("a=5 b=5 c=5", &rows(6), "a; b");
    check_rows("a=5 b=5 c=5", &rows(100), "a; b; c");
    check_rows("a=0 b=5 c=5", &rows(1), "b");
}

#[test]
fn rows_that_may_not_be_read_do_not_count() {
    check_rows("a=5! b=5 c=5", &json!({"min-rows-requested": 1}), "a: p; b");
    let filter = json!({"type": "eq", "term": "id", "value": 1});
    check_rows("a=5 b=5 c=5", &json!({"min-rows-requested": 1, "filter": filter}), "a; b; c");
    // Nobody knows how many there are.
    check_rows("a=-1 b=5 c=5", &json!({"min-rows-requested": 1}), "a; b");
}
