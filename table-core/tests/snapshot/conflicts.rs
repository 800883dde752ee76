//! Which concurrent commits a change goes with.

use table_core::manifest::data_file::DataFile;
use table_core::snapshot::change::{AddedDelete, ChangeKind, Checks, DeleteKey, FileChange};
use table_core::snapshot::error::{Conflict, SnapshotError};

use super::lake::{
    Lake, added_deletes, append, data, delete, equality, keys, p_is, positions, replace, row_delta,
    unpartitioned, vector,
};

/// A table of version 2 or 3 with the files `a` and `b` in the partition `x` and `c` in `y`; and a commit
/// after that.
fn after(version: i32, commit: &FileChange) -> Lake {
    let mut lake = Lake::new(version);
    lake.commit(&append(&[data("a", "x"), data("b", "x"), data("c", "y")]));
    lake.commit(commit);
    lake
}

fn rewrite_a() -> FileChange {
    replace(&[data("a", "x")], &[data("n", "x")], 1)
}

fn conflict(lake: &Lake, change: &FileChange) -> Conflict {
    match lake.plan(change) {
        Err(SnapshotError::Conflict(conflict)) => conflict,
        other => panic!("a conflict, not {other:?}"),
    }
}

fn fine(lake: &Lake, change: &FileChange) {
    lake.plan(change).unwrap();
}

/// The data files whose new deletes are told.
fn deleted_from(conflict: Conflict) -> Vec<(String, String)> {
    let Conflict::NewDeletes(found) = conflict else { panic!("new deletes, not {conflict:?}") };
    let pairs = found.into_iter().flat_map(|found| {
        let path = found.delete.path;
        found.data_files.into_iter().map(move |data| (data, path.clone()))
    });
    pairs.collect()
}

fn pair(data: &str, delete: &str) -> (String, String) {
    (data.to_owned(), delete.to_owned())
}

#[test]
fn a_concurrent_append_is_fine_for_a_rewrite() {
    fine(&after(2, &append(&[data("d", "x")])), &rewrite_a());
}

#[test]
fn a_removed_input_fails_a_rewrite() {
    let lake = after(2, &delete(&["a"]));
    assert_eq!(conflict(&lake, &rewrite_a()), Conflict::FilesGone(vec!["a".to_owned()]));
    let lake = after(2, &replace(&[data("a", "x")], &[data("m", "x")], 1));
    assert_eq!(conflict(&lake, &rewrite_a()), Conflict::FilesGone(vec!["a".to_owned()]));
}

#[test]
fn a_new_position_delete_on_an_input_fails_a_rewrite_and_is_told() {
    let of_a = DataFile { referenced_data_file: Some("a".to_owned()), ..positions("p", "x") };
    let lake = after(2, &row_delta(&[], std::slice::from_ref(&of_a)));
    assert_eq!(deleted_from(conflict(&lake, &rewrite_a())), [pair("a", "p")]);
    let keeps = FileChange { data_sequence_number: Some(1), ..rewrite_a() };
    assert_eq!(
        deleted_from(conflict(&lake, &keeps)),
        [pair("a", "p")],
        "positions do not outlive their file"
    );
    let lake = after(2, &row_delta(&[], &[positions("q", "x")]));
    assert_eq!(deleted_from(conflict(&lake, &rewrite_a())), [pair("a", "q")]);
}

#[test]
fn a_new_deletion_vector_on_an_input_fails_a_rewrite_and_is_told() {
    let lake = after(3, &row_delta(&[], &[vector("v", 4, "a", "x"), vector("v", 50, "b", "x")]));
    let Conflict::NewDeletes(found) = conflict(&lake, &rewrite_a()) else { panic!("new deletes") };
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].data_files[..], found[0].delete.content_offset), (&["a".to_owned()][..], Some(4)));
    assert_eq!(found[0].sequence_number, 2);
}

#[test]
fn a_new_delete_is_told_once_even_if_a_later_commit_carried_it_over() {
    let mut lake = after(3, &row_delta(&[], &[vector("v", 4, "a", "x"), vector("v", 50, "b", "x")]));
    let remove = FileChange {
        removed_deletes: keys(&[vector("v", 50, "b", "x")]),
        ..FileChange::new(ChangeKind::RowDelta)
    };
    lake.commit(&remove);
    assert_eq!(deleted_from(conflict(&lake, &rewrite_a())), [pair("a", "v")]);
}

#[test]
fn new_position_deletes_of_other_files_are_fine_for_a_rewrite() {
    let of_b = DataFile { referenced_data_file: Some("b".to_owned()), ..positions("p", "x") };
    fine(&after(2, &row_delta(&[], &[of_b, positions("q", "y")])), &rewrite_a());
    fine(&after(3, &row_delta(&[], &[vector("v", 4, "b", "x")])), &rewrite_a());
}

#[test]
fn a_new_equality_delete_is_fine_only_if_new_files_keep_the_starting_number() {
    let lake = after(2, &row_delta(&[], &[equality("e", "x")]));
    assert_eq!(deleted_from(conflict(&lake, &rewrite_a())), [pair("a", "e")]);
    fine(&lake, &FileChange { data_sequence_number: Some(1), ..rewrite_a() });
    // A number that is newer than what was seen would hide rows from the delete.
    let too_new = FileChange { data_sequence_number: Some(2), ..rewrite_a() };
    assert_eq!(deleted_from(conflict(&lake, &too_new)), [pair("a", "e")]);
}

#[test]
fn a_new_equality_delete_does_not_follow_rows_to_another_spec() {
    let moves = FileChange {
        data_sequence_number: Some(1),
        ..replace(&[data("a", "x")], &[unpartitioned(data("n", ""))], 1)
    };
    let lake = after(2, &row_delta(&[], &[equality("e", "x")]));
    assert_eq!(deleted_from(conflict(&lake, &moves)), [pair("a", "e")]);
    fine(&after(2, &row_delta(&[], &[unpartitioned(equality("e", ""))])), &moves);
}

#[test]
fn an_equality_delete_without_partition_is_for_every_file() {
    let lake = after(2, &row_delta(&[], &[unpartitioned(equality("e", ""))]));
    assert_eq!(deleted_from(conflict(&lake, &rewrite_a())), [pair("a", "e")]);
    fine(&after(2, &row_delta(&[], &[equality("e", "y")])), &rewrite_a());
}

#[test]
fn a_delete_that_the_rewrite_translated_is_fine() {
    let mut lake = after(3, &row_delta(&[], &[vector("v", 4, "a", "x")]));
    let translated = Checks {
        since: Some(1),
        translated: vec![DeleteKey { path: "v".to_owned(), content_offset: Some(4) }],
        ..Checks::default()
    };
    let change = FileChange {
        added_deletes: added_deletes(&[vector("w", 4, "n", "x")]),
        checks: translated,
        ..rewrite_a()
    };
    lake.commit(&change);
    assert_eq!(lake.show(), "b@1 c@1 n@3 w@3");
}

#[test]
fn deletes_that_a_rewrite_saw_are_no_conflict() {
    let mut lake = after(2, &row_delta(&[], &[equality("e", "x"), positions("p", "x")]));
    lake.commit(&append(&[data("d", "x")]));
    fine(&lake, &replace(&[data("a", "x")], &[data("n", "x")], 2));
}

#[test]
fn deletes_that_were_seen_and_then_rewritten_with_their_number_are_no_conflict() {
    let mut lake = after(2, &row_delta(&[], &[positions("p", "x"), positions("q", "x")]));
    let merged = AddedDelete { file: positions("pq", "x"), sequence_number: Some(2) };
    let merge = FileChange {
        removed_deletes: keys(&[positions("p", "x"), positions("q", "x")]),
        added_deletes: vec![merged],
        ..FileChange::new(ChangeKind::Replace)
    };
    lake.commit(&merge);
    fine(&lake, &replace(&[data("a", "x")], &[data("n", "x")], 2));
    assert_eq!(deleted_from(conflict(&lake, &rewrite_a())).len(), 3, "none of them was seen at 1");
}

#[test]
fn deletes_that_a_concurrent_rewrite_added_count() {
    let mut lake = after(3, &row_delta(&[], &[equality("e", "x")]));
    // Equality deletes turned into vectors: an operation that Java does not look at.
    let converted = FileChange {
        removed_deletes: keys(&[equality("e", "x")]),
        added_deletes: added_deletes(&[vector("v", 4, "a", "x")]),
        checks: Checks { since: Some(2), ..Checks::default() },
        ..FileChange::new(ChangeKind::Replace)
    };
    lake.commit(&converted);
    let change =
        FileChange { data_sequence_number: Some(2), ..replace(&[data("a", "x")], &[data("n", "x")], 2) };
    assert_eq!(deleted_from(conflict(&lake, &change)), [pair("a", "v")]);
}

#[test]
fn new_data_is_a_conflict_only_under_serializable_isolation() {
    let lake = after(2, &append(&[data("d", "x")]));
    let delta = |checks| FileChange { checks, ..row_delta(&[data("n", "x")], &[positions("p", "x")]) };
    fine(&lake, &delta(Checks::snapshot(Some(1), p_is("x"))));
    let found = conflict(&lake, &delta(Checks::serializable(Some(1), p_is("x"))));
    assert_eq!(found, Conflict::NewData(vec!["d".to_owned()]));
    fine(&lake, &delta(Checks::serializable(Some(1), p_is("y"))));
    fine(&lake, &delta(Checks::serializable(Some(2), p_is("x"))));
}

#[test]
fn new_deletes_are_a_conflict_under_both_isolations() {
    let lake = after(2, &row_delta(&[], &[equality("e", "x")]));
    let delta = |checks| FileChange { checks, ..row_delta(&[data("n", "x")], &[positions("p", "x")]) };
    for checks in [Checks::snapshot(Some(1), p_is("x")), Checks::serializable(Some(1), p_is("x"))] {
        assert_eq!(conflict(&lake, &delta(checks)), Conflict::NewDeleteFiles(vec!["e".to_owned()]));
    }
    fine(&lake, &delta(Checks::snapshot(Some(1), p_is("y"))));
    fine(&lake, &delta(Checks { since: Some(1), ..Checks::default() }));
}

#[test]
fn a_file_that_new_deletes_refer_to_has_to_be_there() {
    let delta = |ignores_deletions| FileChange {
        checks: Checks {
            since: Some(1),
            referenced_files: vec!["a".to_owned()],
            ignores_deletions,
            ..Checks::default()
        },
        ..row_delta(&[], &[positions("p", "x")])
    };
    let gone = Conflict::FilesGone(vec!["a".to_owned()]);
    let deleted = after(2, &delete(&["a"]));
    assert_eq!(conflict(&deleted, &delta(false)), gone);
    fine(&deleted, &delta(true));
    let rewritten = after(2, &rewrite_a());
    assert_eq!(conflict(&rewritten, &delta(true)), gone);
    fine(&after(2, &delete(&["b"])), &delta(false));
}

#[test]
fn two_commits_cannot_give_one_file_a_deletion_vector() {
    let lake = after(3, &row_delta(&[], &[vector("v", 4, "a", "x")]));
    let delta = |of: &str| FileChange {
        checks: Checks { since: Some(1), ..Checks::default() },
        ..row_delta(&[], &[vector("w", 4, of, "x")])
    };
    assert_eq!(conflict(&lake, &delta("a")), Conflict::NewVectors(vec!["a".to_owned()]));
    fine(&lake, &delta("b"));
}

#[test]
fn an_overwrite_by_rows_conflicts_with_what_happened_to_such_rows() {
    let overwrite = |checks| FileChange {
        removed_rows: p_is("x"),
        added_data: vec![data("n", "x")],
        checks,
        ..FileChange::new(ChangeKind::Overwrite)
    };
    let serializable = || Checks::serializable(Some(1), None);
    let snapshot = || Checks::snapshot(Some(1), None);
    let appended = after(2, &append(&[data("d", "x"), data("e", "y")]));
    assert_eq!(conflict(&appended, &overwrite(serializable())), Conflict::NewData(vec!["d".to_owned()]));
    fine(&appended, &overwrite(snapshot()));
    fine(&after(2, &append(&[data("e", "y")])), &overwrite(serializable()));
    let deleted = after(2, &row_delta(&[], &[equality("e", "x")]));
    assert_eq!(conflict(&deleted, &overwrite(snapshot())), Conflict::NewDeleteFiles(vec!["e".to_owned()]));
    let removed = after(2, &delete(&["a"]));
    assert_eq!(conflict(&removed, &overwrite(snapshot())), Conflict::DataRemoved(vec!["a".to_owned()]));
    fine(&after(2, &delete(&["c"])), &overwrite(snapshot()));
}

#[test]
fn an_overwrite_of_files_conflicts_with_new_deletes_of_them() {
    let overwrite = FileChange {
        removed_data: vec![data("a", "x")],
        added_data: vec![data("n", "x")],
        checks: Checks::snapshot(Some(1), None),
        must_exist: true,
        ..FileChange::new(ChangeKind::Overwrite)
    };
    let lake = after(2, &row_delta(&[], &[positions("p", "x")]));
    assert_eq!(deleted_from(conflict(&lake, &overwrite)), [pair("a", "p")]);
    fine(&after(2, &row_delta(&[], &[positions("p", "y")])), &overwrite);
    let unknown = FileChange { removed_data: Vec::new(), removed_paths: vec!["a".to_owned()], ..overwrite };
    let lake = after(2, &row_delta(&[], &[positions("p", "y")]));
    assert_eq!(deleted_from(conflict(&lake, &unknown)), [pair("a", "p")], "its partition is not known");
}

#[test]
fn a_delete_for_a_partition_is_told_with_all_of_its_files() {
    let change = replace(&[data("a", "x"), data("b", "x"), data("c", "y")], &[data("n", "x")], 1);
    let lake = after(2, &row_delta(&[], &[positions("p", "x")]));
    assert_eq!(deleted_from(conflict(&lake, &change)), [pair("a", "p"), pair("b", "p")]);
}

#[test]
fn a_conflict_names_a_few_files() {
    let names: Vec<_> = (0..12).map(|number| format!("f{number}")).collect();
    let text = Conflict::FilesGone(names).to_string();
    assert!(text.ends_with("`f8`, `f9` and 2 more"), "{text}");
    let text = Conflict::FilesGone(vec!["a".to_owned()]).to_string();
    assert!(text.ends_with(": `a`"), "{text}");
}

#[test]
fn the_start_has_to_be_an_ancestor() {
    let lake = after(2, &append(&[data("d", "x")]));
    let change = FileChange { checks: Checks { since: Some(9), ..Checks::default() }, ..rewrite_a() };
    assert_eq!(conflict(&lake, &change), Conflict::HistoryGone { since: 9 });
    let empty = Lake::new(2);
    assert_eq!(conflict(&empty, &rewrite_a()), Conflict::HistoryGone { since: 1 });
}

#[test]
fn all_of_the_history_counts_where_no_start_is_given() {
    let lake = after(2, &row_delta(&[], &[positions("p", "x")]));
    let change = FileChange { checks: Checks::default(), ..rewrite_a() };
    assert_eq!(deleted_from(conflict(&lake, &change)), [pair("a", "p")]);
}

#[test]
fn a_rewrite_takes_all_entries_of_a_file_or_none() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&append(&[data("a", "x")]));
    let once = replace(&[data("a", "x")], &[data("b", "x")], 2);
    let changed = Conflict::EntriesChanged(vec!["a".to_owned()]);
    assert_eq!(conflict(&lake, &once), changed);
    let twice = replace(&[data("a", "x"), data("a", "x")], &[data("b", "x"), data("c", "x")], 2);
    // Added once more meanwhile: its rows would be lost.
    let mut other = Lake { metadata: lake.metadata.clone(), files: lake.files.clone(), ..lake };
    other.commit(&append(&[data("a", "x")]));
    assert_eq!(conflict(&other, &twice), changed);
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&twice);
    assert_eq!(lake.show(), "b@3 c@3");
}

/// A position delete file that is listed in two partitions is for the files of both.
#[test]
fn deletes_that_are_listed_twice_are_found_for_all_files_that_they_are_for() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x"), data("b", "y")]));
    lake.commit(&row_delta(&[], &[positions("p", "x"), positions("p", "y")]));
    let rewrite = replace(&[data("a", "x"), data("b", "y")], &[data("c", "x"), data("d", "y")], 1);
    let Conflict::NewDeletes(found) = conflict(&lake, &rewrite) else { panic!("deletes") };
    let files: Vec<_> = found.iter().flat_map(|found| &found.data_files).collect();
    assert_eq!(files, ["a", "b"]);
}
