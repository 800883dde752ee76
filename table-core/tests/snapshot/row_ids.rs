//! Row ids, which tables of version 3 give to rows.

use std::collections::BTreeMap;

use table_core::snapshot::change::FileChange;

use super::lake::{Lake, append, data, delete, equality, replace, row_delta};

fn first_row_ids(lake: &Lake) -> BTreeMap<String, i64> {
    let live = lake.live().into_iter().filter(|entry| entry.file.equality_ids.is_empty());
    live.map(|entry| (entry.file.path, entry.file.first_row_id.unwrap())).collect()
}

#[test]
fn new_rows_get_ids_and_the_table_goes_on_after_them() {
    let mut lake = Lake::new(3);
    lake.commit(&append(&[data("a", "x"), data("b", "x")]));
    assert_eq!(first_row_ids(&lake), [("a".to_owned(), 0), ("b".to_owned(), 10)].into());
    assert_eq!(lake.metadata.next_row_id(), 20);
    lake.commit(&append(&[data("c", "x")]));
    assert_eq!(first_row_ids(&lake)["c"], 20);
    let snapshot = lake.metadata.snapshot(2).unwrap();
    assert_eq!((snapshot.first_row_id(), snapshot.added_rows()), (Some(20), Some(10)));
}

#[test]
fn a_carried_file_keeps_its_row_ids_when_its_manifest_is_rewritten() {
    let mut lake = Lake::new(3);
    lake.commit(&append(&[data("a", "x"), data("b", "x"), data("c", "x")]));
    lake.commit(&delete(&["b"]));
    assert_eq!(first_row_ids(&lake), [("a".to_owned(), 0), ("c".to_owned(), 20)].into());
    // The rewritten manifest takes a range for its carried files too, as with Java, although they have
    // theirs.
    assert_eq!(lake.metadata.next_row_id(), 50);
    lake.commit(&append(&[data("d", "x")]));
    assert_eq!(first_row_ids(&lake)["d"], 50);
}

#[test]
fn files_from_before_version_3_get_ids_with_the_first_commit() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x"), data("b", "x")]));
    let mut document: serde_json::Value = serde_json::from_slice(&lake.metadata.to_bytes()).unwrap();
    document["format-version"] = 3.into();
    document["next-row-id"] = 0.into();
    lake.metadata =
        table_core::metadata::table::TableMetadata::parse(document.to_string().as_bytes()).unwrap();
    lake.commit(&append(&[data("c", "x")]));
    assert_eq!(
        first_row_ids(&lake),
        [("a".to_owned(), 10), ("b".to_owned(), 20), ("c".to_owned(), 0)].into()
    );
    assert_eq!(lake.metadata.next_row_id(), 30);
    lake.commit(&delete(&["a"]));
    assert_eq!(first_row_ids(&lake), [("b".to_owned(), 20), ("c".to_owned(), 0)].into());
}

#[test]
fn deletes_take_no_row_ids() {
    let mut lake = Lake::new(3);
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&row_delta(&[], &[equality("e", "x")]));
    assert_eq!(lake.metadata.next_row_id(), 10);
    assert_eq!(lake.metadata.snapshot(2).unwrap().added_rows(), Some(0));
}

#[test]
fn a_rewritten_file_gets_a_range_of_its_own() {
    let mut lake = Lake::new(3);
    lake.commit(&append(&[data("a", "x")]));
    let given = table_core::manifest::data_file::DataFile { first_row_id: Some(0), ..data("n", "x") };
    lake.commit(&FileChange { data_sequence_number: Some(1), ..replace(&[data("a", "x")], &[given], 1) });
    // Rows that move keep their ids in a column of the file; the file's own range is for rows without.
    assert_eq!(first_row_ids(&lake), [("n".to_owned(), 10)].into());
}
