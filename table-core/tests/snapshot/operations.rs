//! What the operations leave in the table.

use table_core::manifest::data_file::DataFile;
use table_core::manifest::entry::Status;
use table_core::manifest::list::ManifestContent;
use table_core::snapshot::change::{AddedDelete, ChangeKind, Checks, DeleteKey, FileChange};
use table_core::snapshot::error::{Conflict, SnapshotError};
use table_core::snapshot::plan::{Needs, SnapshotPlan};
use table_core::snapshot::rewrite::Clustering;

use super::lake::{
    Lake, added_deletes, append, data, delete, equality, keys, p_is, positions, replace, row_delta,
    unpartitioned, vector,
};

fn refused(lake: &Lake, change: &FileChange, reason: &str) {
    let error = lake.plan(change).unwrap_err();
    assert!(matches!(error, SnapshotError::Invalid(_)), "{error:?}");
    assert!(error.to_string().contains(reason), "{error}");
}

#[test]
fn an_append_adds_files_and_carries_the_others_over() {
    for version in 1..=3 {
        let mut lake = Lake::new(version);
        lake.commit(&append(&[data("a", "x"), data("b", "y")]));
        let first = lake.lines(1);
        let new = lake.commit(&append(&[data("c", "x")]));
        assert_eq!(lake.show(), if version == 1 { "a@0 b@0 c@0" } else { "a@1 b@1 c@2" });
        assert_eq!(lake.lines(2)[1..], first, "version {version}");
        assert_eq!(new.files.len(), 2, "one manifest and the list");
        assert_eq!(lake.metadata.current_snapshot_id(), Some(2));
    }
}

#[test]
fn an_append_reads_no_manifest() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    let change = append(&[data("b", "x")]);
    let mut plan = SnapshotPlan::new(&lake.metadata, &change, lake.context()).unwrap();
    let Needs::Lists(lists) = plan.needs() else { panic!("a list") };
    assert_eq!(lists.len(), 1);
    plan.supply_list(&lists[0], lake.lines(1)).unwrap();
    assert_eq!(plan.needs(), Needs::Nothing);
}

#[test]
fn a_plan_that_has_not_seen_everything_does_not_finish() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    let change = append(&[data("b", "x")]);
    let plan = SnapshotPlan::new(&lake.metadata, &change, lake.context()).unwrap();
    assert!(matches!(plan.finish(), Err(SnapshotError::Invalid(_))));
}

#[test]
fn files_of_several_specs_go_into_manifests_of_their_own() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x"), unpartitioned(data("b", ""))]));
    let specs: Vec<_> = lake.lines(1).iter().map(|line| line.spec_id).collect();
    assert_eq!(specs, [0, 1]);
    assert_eq!(lake.show(), "a@1 b@1");
}

#[test]
fn a_delete_rewrites_only_the_manifests_of_its_files() {
    for version in 1..=3 {
        let mut lake = Lake::new(version);
        lake.commit(&append(&[data("a", "x"), data("b", "x")]));
        lake.commit(&append(&[data("c", "y")]));
        let kept = lake.lines(2)[0].clone();
        lake.commit(&delete(&["a"]));
        assert_eq!(lake.lines(3)[0], kept);
        let entries = lake.entries(3);
        let of = |path: &str| entries.iter().find(|entry| entry.file.path == path).unwrap();
        let number = |number: i64| Some(if version == 1 { 0 } else { number });
        assert_eq!(
            (of("a").status, of("a").snapshot_id, of("a").sequence_number),
            (Status::Deleted, 3, number(1))
        );
        assert_eq!(
            (of("b").status, of("b").snapshot_id, of("b").sequence_number),
            (Status::Existing, 1, number(1))
        );
        assert_eq!(of("c").status, Status::Added);
    }
}

#[test]
fn a_manifest_left_empty_goes_with_the_next_commit() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&append(&[data("b", "y")]));
    lake.commit(&delete(&["a"]));
    assert_eq!(lake.lines(3).len(), 2, "it tells that the file was removed");
    lake.commit(&delete(&["b"]));
    let entries: Vec<_> = lake.entries(4).into_iter().map(|entry| (entry.file.path, entry.status)).collect();
    assert_eq!(entries, [("b".to_owned(), Status::Deleted)]);
}

#[test]
fn manifests_of_other_partitions_are_not_read() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&append(&[data("b", "y")]));
    let change = replace(&[data("a", "x")], &[data("c", "x")], 2);
    let mut plan = SnapshotPlan::new(&lake.metadata, &change, lake.context()).unwrap();
    let Needs::Lists(lists) = plan.needs() else { panic!("lists") };
    plan.supply_list(&lists[0], lake.lines(2)).unwrap();
    let Needs::Manifests(manifests) = plan.needs() else { panic!("manifests") };
    assert_eq!(manifests, [lake.lines(1)[0].clone()]);
}

#[test]
fn a_file_that_is_not_there_may_be_deleted_unless_it_must_exist() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&delete(&["z"]));
    assert_eq!(lake.show(), "a@1");
    let strict = FileChange { must_exist: true, ..delete(&["z", "a"]) };
    let error = lake.plan(&strict).unwrap_err();
    assert_eq!(error, Conflict::FilesGone(vec!["z".to_owned()]).into());
}

#[test]
fn files_are_removed_by_their_rows() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x"), data("b", "y")]));
    let change = FileChange {
        removed_rows: p_is("x"),
        added_data: vec![data("c", "x")],
        ..FileChange::new(ChangeKind::Overwrite)
    };
    lake.commit(&change);
    assert_eq!(lake.show(), "b@1 c@2");
    assert_eq!(lake.summary("operation").as_deref(), Some("overwrite"));
}

#[test]
fn a_file_of_which_only_some_rows_match_is_not_removed() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    let half = serde_json::json!({"type": "lt", "term": "id", "value": 5});
    let change =
        FileChange { removed_rows: super::lake::filter(&half), ..FileChange::new(ChangeKind::Delete) };
    refused(&lake, &change, "cannot be removed as a whole");
    let all = serde_json::json!({"type": "lt", "term": "id", "value": 50});
    lake.commit(&FileChange {
        removed_rows: super::lake::filter(&all),
        ..FileChange::new(ChangeKind::Delete)
    });
    assert_eq!(lake.show(), "");
}

#[test]
fn a_row_delta_adds_data_and_deletes() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&row_delta(&[data("b", "x")], &[equality("e", "x"), positions("p", "x")]));
    assert_eq!(lake.show(), "a@1 b@2 e@2 p@2");
    let contents: Vec<_> = lake.lines(2).iter().map(|line| line.content).collect();
    assert_eq!(contents, [ManifestContent::Data, ManifestContent::Data, ManifestContent::Deletes]);
    assert_eq!(lake.summary("operation").as_deref(), Some("overwrite"));
    lake.commit(&row_delta(&[], &[equality("f", "x")]));
    assert_eq!(lake.summary("operation").as_deref(), Some("delete"));
    lake.commit(&row_delta(&[data("c", "x")], &[]));
    assert_eq!(lake.summary("operation").as_deref(), Some("append"));
}

#[test]
fn one_deletion_vector_of_a_shared_file_is_removed_and_the_others_stay() {
    let mut lake = Lake::new(3);
    lake.commit(&append(&[data("a", "x"), data("b", "x")]));
    let (of_a, of_b) = (vector("v", 4, "a", "x"), vector("v", 50, "b", "x"));
    lake.commit(&row_delta(&[], &[of_a.clone(), of_b]));
    let next = vector("w", 4, "a", "x");
    let change = FileChange {
        added_deletes: added_deletes(&[next]),
        removed_deletes: keys(&[of_a]),
        checks: Checks { since: Some(2), ..Checks::default() },
        must_exist: true,
        ..FileChange::new(ChangeKind::RowDelta)
    };
    lake.commit(&change);
    assert_eq!(lake.show(), "a@1 b@1 v@2 w@3");
    let left = lake.live().into_iter().find(|entry| entry.file.path == "v").unwrap();
    assert_eq!(left.file.content_offset, Some(50));
}

#[test]
fn a_rewrite_keeps_the_sequence_number_it_is_given() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x"), data("b", "x")]));
    lake.commit(&append(&[data("c", "y")]));
    let merged = table_core::manifest::data_file::DataFile { record_count: 20, ..data("ab", "x") };
    let change = FileChange {
        data_sequence_number: Some(2),
        ..replace(&[data("a", "x"), data("b", "x")], &[merged], 2)
    };
    lake.commit(&change);
    assert_eq!(lake.show(), "ab@2 c@2");
    assert_eq!(lake.summary("operation").as_deref(), Some("replace"));
    assert_eq!(lake.lines(3)[0].min_sequence_number, 2);
}

#[test]
fn a_file_keeps_both_of_its_numbers_wherever_it_is_carried() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    let added = [data("n", "x"), data("m", "x")].map(|file| DataFile { record_count: 5, ..file });
    lake.commit(&FileChange { data_sequence_number: Some(1), ..replace(&[data("a", "x")], &added, 1) });
    let numbers = |lake: &Lake| {
        let kept = lake.live().into_iter().find(|entry| entry.file.path == "n").unwrap();
        (kept.snapshot_id, kept.sequence_number, kept.file_sequence_number)
    };
    assert_eq!(numbers(&lake), (2, Some(1), Some(2)));
    lake.rewrite(|_| true, Clustering::AsRead).unwrap();
    assert_eq!(numbers(&lake), (2, Some(1), Some(2)));
    lake.commit(&delete(&["m"]));
    assert_eq!(numbers(&lake), (2, Some(1), Some(2)));
    let removed = lake.entries(4).into_iter().find(|entry| entry.file.path == "m").unwrap();
    assert_eq!(
        (removed.snapshot_id, removed.sequence_number, removed.file_sequence_number),
        (4, Some(1), Some(2))
    );
}

#[test]
fn deletes_older_than_every_file_go_with_a_rewrite() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&row_delta(&[], &[equality("e", "x")]));
    lake.commit(&replace(&[data("a", "x")], &[data("b", "x")], 2));
    assert_eq!(lake.show(), "b@3");
    assert_eq!(lake.summary("removed-delete-files").as_deref(), Some("1"));
}

#[test]
fn deletes_as_old_as_the_oldest_file_stay() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    // Positions may be deleted from files of the same commit.
    lake.commit(&row_delta(&[data("b", "x")], &[positions("p", "x"), equality("e", "x")]));
    lake.commit(&delete(&["a"]));
    assert_eq!(lake.show(), "b@2 e@2 p@2");
}

#[test]
fn a_file_whose_partition_is_null_is_found() {
    let mut lake = Lake::new(2);
    let null = DataFile { partition: vec![None], ..data("a", "") };
    lake.commit(&append(&[null.clone(), data("b", "x")]));
    lake.commit(&replace(&[null], &[data("c", "x")], 1));
    assert_eq!(lake.show(), "b@1 c@2");
}

#[test]
fn deletes_newer_than_the_number_that_new_files_keep_stay() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&row_delta(&[], &[equality("e", "x")]));
    // Computed before the delete: it still has to apply to the new file.
    let change =
        FileChange { data_sequence_number: Some(1), ..replace(&[data("a", "x")], &[data("b", "x")], 1) };
    lake.commit(&change);
    assert_eq!(lake.show(), "b@1 e@2");
}

#[test]
fn deletes_of_one_file_go_with_it() {
    let mut lake = Lake::new(3);
    lake.commit(&append(&[data("a", "x"), data("b", "x")]));
    lake.commit(&row_delta(&[], &[vector("v", 4, "a", "x"), vector("v", 50, "b", "x")]));
    lake.commit(&replace(&[data("a", "x")], &[data("c", "x")], 2));
    assert_eq!(lake.show(), "b@1 c@3 v@2");
    let change = FileChange { removed_rows: p_is("x"), ..FileChange::new(ChangeKind::Delete) };
    lake.commit(&change);
    assert_eq!(lake.show(), "");
}

/// By its bounds, whichever reserved id of paths these carry.
#[test]
fn position_deletes_of_one_file_go_with_it() {
    for id in [2_147_483_546, 2_147_483_646] {
        let mut own = positions("p", "x");
        own.metrics.lower_bounds.insert(id, b"a".to_vec());
        own.metrics.upper_bounds.insert(id, b"a".to_vec());
        let mut lake = Lake::new(2);
        lake.commit(&append(&[data("a", "x")]));
        // As an update: rows that are deleted and written anew.
        lake.commit(&row_delta(&[data("b", "x")], &[own]));
        lake.commit(&replace(&[data("a", "x")], &[data("c", "x")], 2));
        assert_eq!(
            (lake.show().as_str(), lake.summary("total-delete-files").as_deref()),
            ("b@2 c@3", Some("0"))
        );
    }
}

#[test]
fn deletes_are_rewritten_with_the_number_they_had() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&row_delta(&[], &[positions("p", "x"), positions("q", "x")]));
    lake.commit(&append(&[data("b", "x")]));
    let change = FileChange {
        removed_deletes: keys(&[positions("p", "x"), positions("q", "x")]),
        added_deletes: vec![AddedDelete { file: positions("pq", "x"), sequence_number: Some(2) }],
        ..FileChange::new(ChangeKind::Replace)
    };
    lake.commit(&change);
    assert_eq!(lake.show(), "a@1 b@3 pq@2");
}

#[test]
fn manifests_roll_at_the_target_size() {
    let mut lake = Lake::with(2, &serde_json::json!({"commit.manifest.target-size-bytes": "3000"}));
    let files: Vec<_> = (0..200).map(|number| data(&format!("file-{number}"), "x")).collect();
    lake.commit(&append(&files));
    assert!(lake.lines(1).len() > 3, "{}", lake.lines(1).len());
    assert_eq!(lake.live().len(), 200);
}

#[test]
fn a_branch_moves_alone_and_a_new_one_begins_at_main() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.branch = "audit";
    lake.commit(&append(&[data("b", "x")]));
    lake.commit(&append(&[data("c", "x")]));
    assert_eq!(lake.show(), "a@1 b@2 c@3");
    assert_eq!(lake.summary("total-data-files").as_deref(), Some("3"));
    lake.branch = "main";
    assert_eq!(lake.show(), "a@1");
}

#[test]
fn the_commit_asks_for_the_same_table_and_the_same_head() {
    let mut lake = Lake::new(2);
    let first = lake.plan(&append(&[data("a", "x")])).unwrap();
    lake.commit(&append(&[data("b", "x")]));
    let refused =
        table_core::commit::requirement::check_requirements(Some(&lake.metadata), &first.commit.requirements);
    assert!(refused.unwrap_err().to_string().contains("main was created concurrently"));
    let body: serde_json::Value = serde_json::from_str(first.body.as_str()).unwrap();
    assert_eq!(body["requirements"][0]["type"], "assert-table-uuid");
    assert_eq!(body["requirements"][1]["snapshot-id"], serde_json::Value::Null);
    assert_eq!(body["updates"][1]["ref-name"], "main");
}

#[test]
fn changes_that_make_no_sense_are_refused() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    refused(
        &lake,
        &FileChange { added_deletes: added_deletes(&[equality("e", "x")]), ..append(&[]) },
        "only adds data",
    );
    refused(&lake, &append(&[equality("e", "x")]), "not a data file");
    refused(&lake, &append(&[data("b", "x"), data("b", "x")]), "added twice");
    refused(&lake, &FileChange::new(ChangeKind::Replace), "must remove files");
    refused(&lake, &row_delta(&[], &[vector("v", 4, "a", "x")]), "version 2 does not have");
    refused(&Lake::new(1), &row_delta(&[], &[equality("e", "x")]), "version 1");
    refused(&Lake::new(3), &row_delta(&[], &[positions("p", "x")]), "deletion vectors");
    let twice = row_delta(&[], &[vector("v", 4, "a", "x"), vector("v", 50, "a", "x")]);
    refused(&Lake::new(3), &twice, "two deletion vectors");
    let more = replace(&[data("a", "x")], &[data("b", "x"), data("c", "x")], 1);
    refused(&lake, &more, "more rows than it removes");
    let mut other_spec = data("b", "x");
    other_spec.spec_id = 7;
    refused(&lake, &append(&[other_spec]), "no partition spec 7");
    let of_removed = FileChange {
        removed_paths: vec!["a".to_owned()],
        checks: Checks { referenced_files: vec!["a".to_owned()], ..Checks::default() },
        ..row_delta(&[], &[positions("p", "x")])
    };
    refused(&lake, &of_removed, "new deletes refer to it");
}

#[test]
fn a_missing_delete_file_is_told_by_its_path() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    let change = FileChange {
        removed_deletes: vec![DeleteKey { path: "gone".to_owned(), content_offset: None }],
        ..FileChange::new(ChangeKind::Replace)
    };
    assert_eq!(lake.plan(&change).unwrap_err(), Conflict::FilesGone(vec!["gone".to_owned()]).into());
}
