//! What a snapshot's summary says.

use table_core::metadata::table::TableMetadata;
use table_core::snapshot::change::{ChangeKind, FileChange};

use super::lake::{Lake, append, data, delete, equality, keys, positions, row_delta, vector};

fn check(lake: &Lake, expected: &[(&str, Option<&str>)]) {
    for (name, value) in expected {
        assert_eq!(lake.summary(name).as_deref(), *value, "{name}");
    }
}

#[test]
fn an_append_counts_what_it_adds() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x"), data("b", "y"), data("c", "y")]));
    check(
        &lake,
        &[
            ("operation", Some("append")),
            ("added-data-files", Some("3")),
            ("added-records", Some("30")),
            ("added-files-size", Some("300")),
            ("changed-partition-count", Some("2")),
            ("deleted-data-files", None),
            ("total-data-files", Some("3")),
            ("total-records", Some("30")),
            ("total-files-size", Some("300")),
            ("total-delete-files", Some("0")),
            ("total-position-deletes", Some("0")),
            ("total-equality-deletes", Some("0")),
            ("manifests-created", Some("1")),
            ("manifests-kept", Some("0")),
            ("manifests-replaced", Some("0")),
        ],
    );
}

#[test]
fn a_delete_counts_what_it_removes() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x"), data("b", "y")]));
    lake.commit(&delete(&["a"]));
    check(
        &lake,
        &[
            ("operation", Some("delete")),
            ("deleted-data-files", Some("1")),
            ("deleted-records", Some("10")),
            ("removed-files-size", Some("100")),
            ("changed-partition-count", Some("1")),
            ("total-data-files", Some("1")),
            ("total-records", Some("10")),
            ("total-files-size", Some("100")),
            ("manifests-created", Some("1")),
            ("manifests-replaced", Some("1")),
        ],
    );
}

#[test]
fn delete_files_are_counted_by_kind() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&row_delta(&[], &[equality("e", "x"), positions("p", "x"), positions("q", "x")]));
    check(
        &lake,
        &[
            ("added-delete-files", Some("3")),
            ("added-equality-delete-files", Some("1")),
            ("added-position-delete-files", Some("2")),
            ("added-equality-deletes", Some("3")),
            ("added-position-deletes", Some("6")),
            ("added-dvs", None),
            ("added-files-size", Some("300")),
            ("total-delete-files", Some("3")),
            ("total-position-deletes", Some("6")),
            ("total-equality-deletes", Some("3")),
            ("total-records", Some("10")),
        ],
    );
    let removed = keys(&[equality("e", "x"), positions("p", "x")]);
    lake.commit(&FileChange { removed_deletes: removed, ..FileChange::new(ChangeKind::RowDelta) });
    check(
        &lake,
        &[
            ("removed-delete-files", Some("2")),
            ("removed-equality-delete-files", Some("1")),
            ("removed-position-delete-files", Some("1")),
            ("removed-equality-deletes", Some("3")),
            ("removed-position-deletes", Some("3")),
            ("total-delete-files", Some("1")),
        ],
    );
}

#[test]
fn deletion_vectors_are_counted_by_their_own_size() {
    let mut lake = Lake::new(3);
    lake.commit(&append(&[data("a", "x"), data("b", "x")]));
    lake.commit(&row_delta(&[], &[vector("v", 4, "a", "x"), vector("v", 50, "b", "x")]));
    check(
        &lake,
        &[
            ("added-dvs", Some("2")),
            ("added-delete-files", Some("2")),
            ("added-position-delete-files", None),
            ("added-position-deletes", Some("6")),
            ("added-files-size", Some("14")),
            ("total-files-size", Some("214")),
        ],
    );
}

/// Java counts the first entry alone, and leaves a total of one file in an empty table.
#[test]
fn each_entry_of_a_file_that_is_listed_twice_counts() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&append(&[data("a", "x"), data("b", "x")]));
    lake.commit(&delete(&["a"]));
    check(
        &lake,
        &[
            ("deleted-data-files", Some("2")),
            ("deleted-records", Some("20")),
            ("deleted-duplicate-files", Some("1")),
            ("total-data-files", Some("1")),
            ("total-records", Some("10")),
        ],
    );
    assert_eq!(lake.show(), "b@2");
}

#[test]
fn each_entry_of_a_delete_that_is_listed_twice_counts() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&row_delta(&[], &[equality("e", "x")]));
    lake.commit(&row_delta(&[], &[equality("e", "x")]));
    let removed_deletes = keys(&[equality("e", "x")]);
    lake.commit(&FileChange { removed_deletes, ..FileChange::new(ChangeKind::Replace) });
    check(&lake, &[("removed-delete-files", Some("2")), ("total-delete-files", Some("0"))]);
}

#[test]
fn own_properties_are_kept_and_do_not_replace_the_operation() {
    let mut lake = Lake::new(2);
    let properties = vec![("job".to_owned(), "7".to_owned()), ("operation".to_owned(), "x".to_owned())];
    lake.commit(&FileChange { properties, ..append(&[data("a", "x")]) });
    check(&lake, &[("job", Some("7")), ("operation", Some("append"))]);
}

#[test]
fn totals_that_are_wrong_or_no_numbers_are_left_out() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x"), data("b", "x")]));
    let mut document: serde_json::Value = serde_json::from_slice(&lake.metadata.to_bytes()).unwrap();
    let summary = &mut document["snapshots"][0]["summary"];
    summary["total-records"] = "3".into();
    summary["total-files-size"] = "much".into();
    lake.metadata = TableMetadata::parse(document.to_string().as_bytes()).unwrap();
    lake.commit(&delete(&["a"]));
    check(&lake, &[("total-records", None), ("total-files-size", None), ("total-data-files", Some("1"))]);
    lake.commit(&delete(&["b"]));
    check(&lake, &[("total-records", None), ("total-data-files", Some("0"))]);
}
