//! Appends that lost the race for their branch, put on top of what won it.

use serde_json::json;
use table_core::commit::request::TableCommit;
use table_core::manifest::data_file::DataFile;
use table_core::manifest::list;
use table_core::snapshot::change::{ChangeKind, FileChange};
use table_core::snapshot::commit::NewSnapshot;
use table_core::snapshot::rebase::{PROPERTY, Rebase, Rebased};
use uuid::Uuid;

use super::lake::{
    Lake, append, data, delete, equality, positions, replace, row_delta, unpartitioned, vector,
};

const LIMIT_BYTES: usize = 1 << 26;

/// A position delete file that was looked into, and is for nothing but files of its own commit.
const OWN_ALONE: &str = "looked-into";

/// The id of the snapshot that loses.
const LATE: i64 = 50;

fn lake(version: i32) -> Lake {
    Lake::with(version, &json!({ PROPERTY: "true" }))
}

/// A change that was planned on the table as it is, but comes late.
fn stale(lake: &mut Lake, change: &FileChange) -> NewSnapshot {
    let next_id = std::mem::replace(&mut lake.next_id, LATE);
    let planned = lake.plan(change).unwrap();
    lake.next_id = next_id;
    lake.files.extend(planned.files.iter().cloned());
    planned
}

fn rebase(lake: &Lake, commit: &TableCommit) -> Option<Rebased> {
    let rebase = Rebase::of(&lake.metadata, commit)?;
    let (own, head, base) = rebase.lists().unwrap()?;
    let lines = |path: &str| list::decode(&lake.files[path], LIMIT_BYTES).unwrap();
    let base = base.map(|base| lines(&base)).unwrap_or_default();
    let fresh = rebase.fresh(&lines(&own), &lines(&head), &base)?;
    let lines = fresh.manifests.clone();
    let manifests: Vec<_> = lines.iter().map(|line| (lake.manifest(&line.path), line)).collect();
    let seen: Vec<_> = manifests.iter().map(|(manifest, line)| (manifest, *line)).collect();
    let own = fresh.check_files(&seen)?;
    // Nothing is in the delete files of these tests, so only what the manifests tell counts; and what
    // `OWN_ALONE` says.
    let is_own = own.unclear_deletes.iter().all(|path| path == OWN_ALONE);
    is_own.then(|| fresh.finish(Uuid::from_u128(77)).unwrap())?
}

/// Commits what was put on top, and gives what a plan made after all others would have come to: it has to be
/// the same.
fn check(version: i32, first: &[FileChange], meanwhile: &[FileChange]) {
    check_change(version, first, &append(&[data("late", "x"), data("later", "y")]), meanwhile);
}

fn check_change(version: i32, first: &[FileChange], change: &FileChange, meanwhile: &[FileChange]) {
    let mut lake = lake(version);
    for change in first {
        lake.commit(change);
    }
    let missed = stale(&mut lake, change);
    for change in meanwhile {
        lake.commit(change);
    }
    let rebased = rebase(&lake, &missed.commit).unwrap();

    let mut fresh =
        Lake { metadata: lake.metadata.clone(), files: lake.files.clone(), branch: "main", next_id: LATE };
    fresh.files.retain(|path, _| !missed.files.iter().any(|(written, _)| written == path));
    let wanted = fresh.commit(change);
    let mut lake = Lake { next_id: LATE, ..lake };
    lake.apply(&NewSnapshot { files: vec![rebased.list], commit: rebased.commit, ..missed });
    let told = |lake: &Lake| {
        let entries = lake.entries(LATE).into_iter();
        let mut told: Vec<_> = entries
            .map(|entry| (entry.file.path, entry.status, entry.sequence_number, entry.file.first_row_id))
            .collect();
        told.sort_by(|one, other| one.0.cmp(&other.0));
        told
    };
    assert_eq!(told(&lake), told(&fresh));
    let (done, wanted) = (lake.metadata.snapshot(LATE).unwrap(), &wanted.snapshot);
    assert_eq!(done.parent_id(), wanted.parent_id());
    assert_eq!(done.sequence_number(), wanted.sequence_number());
    assert_eq!((done.first_row_id(), done.added_rows()), (wanted.first_row_id(), wanted.added_rows()));
    assert_eq!(lake.metadata.next_row_id(), fresh.metadata.next_row_id());
    let totals = |summary: Vec<(String, String)>| {
        let mut totals: Vec<_> =
            summary.into_iter().filter(|(name, _)| !name.starts_with("manifests-")).collect();
        totals.sort();
        totals
    };
    assert_eq!(totals(done.summary().unwrap()), totals(wanted.summary().unwrap()));
}

#[test]
fn an_append_on_top_of_others_is_as_if_it_had_come_later() {
    for version in [1, 2, 3] {
        let first = [append(&[data("a", "x"), data("b", "y")])];
        check(version, &first, &[append(&[data("c", "x")])]);
        check(version, &first, &[append(&[data("c", "x")]), delete(&["a"]), append(&[data("d", "z")])]);
        check(version, &first, &[replace(&[data("a", "x"), data("b", "y")], &[data("ab", "x")], 1)]);
        // Nothing was there when it was planned.
        check(version, &[], &[append(&[data("c", "x")])]);
    }
    for version in [2, 3] {
        // A delete of its neighbours is older than it is now.
        check(version, &[append(&[data("a", "x")])], &[row_delta(&[], &[equality("e", "x")])]);
    }
}

#[test]
fn an_upsert_on_top_of_a_rewrite_is_as_if_it_had_come_later() {
    let rewrite = replace(&[data("a", "x")], &[data("b", "x")], 1);
    for version in [2, 3] {
        let first = [append(&[data("a", "x"), data("y", "y")])];
        let upsert = row_delta(&[data("late", "x")], &[equality("e", "x"), equality("f", "y")]);
        check_change(version, &first, &upsert, std::slice::from_ref(&rewrite));
        let delete = row_delta(&[], &[equality("e", "x")]);
        check_change(version, &first, &delete, std::slice::from_ref(&rewrite));
    }
}

/// A writer that is sent two rows of one key takes the first back by its position.
#[test]
fn positions_of_an_upserts_own_files_are_as_safe_as_its_rows() {
    let rewrite = replace(&[data("a", "x")], &[data("b", "x")], 1);
    let first = [append(&[data("a", "x"), data("y", "y")])];
    let rows = [data("late", "x"), data("later", "y")];
    let told = of("late", positions("p", "x"));
    for own in [told, bounded(2_147_483_546, "late", "late"), bounded(2_147_483_646, "later", "later")] {
        let upsert = row_delta(&rows, &[equality("e", "x"), own]);
        check_change(2, &first, &upsert, std::slice::from_ref(&rewrite));
    }
    // Bounds that were cut, or are of several files, do not tell.
    for unclear in [positions(OWN_ALONE, "x"), named(OWN_ALONE, bounded(2_147_483_546, "la", "lb"))] {
        let upsert = row_delta(&rows, &[equality("e", "x"), unclear]);
        check_change(2, &first, &upsert, std::slice::from_ref(&rewrite));
    }
    let upsert =
        row_delta(&rows, &[equality("e", "x"), vector("v", 4, "late", "x"), vector("v", 50, "later", "y")]);
    check_change(3, &first, &upsert, std::slice::from_ref(&rewrite));
}

fn of(path: &str, file: DataFile) -> DataFile {
    DataFile { referenced_data_file: Some(path.to_owned()), ..file }
}

fn named(path: &str, file: DataFile) -> DataFile {
    DataFile { path: path.to_owned(), ..file }
}

/// Position deletes with bounds of a column.
fn bounded(id: i32, lower: &str, upper: &str) -> DataFile {
    let mut file = positions("p", "x");
    file.metrics.lower_bounds.insert(id, lower.as_bytes().to_vec());
    file.metrics.upper_bounds.insert(id, upper.as_bytes().to_vec());
    file
}

#[test]
fn changes_that_depend_on_files_are_not_put_on_top_of_a_rewrite() {
    let rewrite = replace(&[data("a", "x")], &[data("b", "x")], 1);
    let changes = [
        row_delta(&[data("late", "x")], &[positions("p", "x")]),
        row_delta(&[], &[equality("e", "x"), positions("p", "x")]),
        row_delta(&[data("late", "x")], &[equality("e", "x"), of("z", positions("p", "x"))]),
        row_delta(&[data("late", "x")], &[of("late", positions("p", "x")), of("a", positions("q", "x"))]),
        row_delta(&[data("late", "x"), data("z2", "x")], &[bounded(2_147_483_546, "late", "z2")]),
        row_delta(&[data("late", "x")], &[bounded(2, "late", "late")]),
        delete(&["z"]),
        // Of another spec than the one that a rewrite may have brought its rows to.
        row_delta(&[data("late", "x")], &[unpartitioned(equality("e", "x"))]),
        FileChange { removed_paths: vec!["z".to_owned()], ..append_as_overwrite() },
    ];
    for change in changes {
        let mut lake = Lake::new(2);
        lake.commit(&append(&[data("a", "x"), data("z", "x")]));
        let missed = stale(&mut lake, &change);
        lake.commit(&rewrite);
        assert!(!is_saved(&lake, &missed.commit), "{change:?}");
    }
}

fn append_as_overwrite() -> FileChange {
    FileChange { added_data: vec![data("late", "x")], ..FileChange::new(ChangeKind::Overwrite) }
}

/// Whether a stale commit is saved.
fn is_saved(lake: &Lake, commit: &TableCommit) -> bool {
    rebase(lake, commit).is_some()
}

#[test]
fn only_tables_that_ask_for_it_get_it() {
    for (value, saved) in [("true", true), ("TRUE", true), ("false", false), ("yes", false)] {
        let mut lake = Lake::with(2, &json!({ PROPERTY: value }));
        lake.commit(&append(&[data("a", "x")]));
        let missed = stale(&mut lake, &append(&[data("b", "x")]));
        lake.commit(&append(&[data("c", "x")]));
        assert_eq!(is_saved(&lake, &missed.commit), saved, "{value}");
    }
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    let missed = stale(&mut lake, &append(&[data("b", "x")]));
    lake.commit(&append(&[data("c", "x")]));
    assert!(!is_saved(&lake, &missed.commit));
}

#[test]
fn whoever_rewrites_files_is_in_no_appends_way() {
    let rewrite = |from: &str, to: &str| replace(&[data(from, "x")], &[data(to, "x")], 1);
    let others = append(&[data("c", "x")]);
    let cases: [(Option<&str>, &[FileChange], bool); 6] = [
        (None, &[rewrite("a", "b")], true),
        (None, &[rewrite("a", "b"), rewrite("b", "d")], true),
        (None, &[rewrite("a", "b"), others.clone()], false),
        (None, &[others.clone(), rewrite("a", "b")], false),
        (Some("false"), &[rewrite("a", "b")], false),
        (Some("true"), &[others, rewrite("a", "b")], true),
    ];
    for (number, (value, meanwhile, saved)) in cases.into_iter().enumerate() {
        let mut lake = value.map_or_else(|| Lake::new(2), |value| Lake::with(2, &json!({ PROPERTY: value })));
        lake.commit(&append(&[data("a", "x")]));
        let missed = stale(&mut lake, &append(&[data("late", "x")]));
        for change in meanwhile {
            lake.commit(change);
        }
        assert_eq!(is_saved(&lake, &missed.commit), saved, "case {number}");
    }
}

#[test]
fn nothing_but_an_append_is_saved() {
    let changes = [
        delete(&["a"]),
        replace(&[data("a", "x")], &[data("b", "x")], 1),
        row_delta(&[data("b", "x")], &[equality("e", "x")]),
    ];
    for change in changes {
        let mut lake = lake(2);
        lake.commit(&append(&[data("a", "x"), data("z", "x")]));
        let missed = stale(&mut lake, &change);
        lake.commit(&append(&[data("c", "x")]));
        assert!(!is_saved(&lake, &missed.commit), "{change:?}");
    }
}

/// Whatever it calls itself: its deletes would take rows that it has not seen.
#[test]
fn an_append_with_deletes_is_put_on_top_of_nothing_but_rewrites() {
    let mut lake = lake(2);
    lake.commit(&append(&[data("a", "x")]));
    let missed = stale(&mut lake, &row_delta(&[data("b", "x")], &[equality("e", "x")]));
    let mut body: serde_json::Value = serde_json::from_str(missed.body.as_str()).unwrap();
    for update in body["updates"].as_array_mut().unwrap() {
        if let Some(operation) = update.pointer_mut("/snapshot/summary/operation") {
            *operation = json!("append");
        }
    }
    let commit = TableCommit::parse(body.to_string().as_bytes()).unwrap();
    lake.commit(&replace(&[data("a", "x")], &[data("c", "x")], 1));
    assert!(is_saved(&lake, &commit));
    lake.commit(&append(&[data("d", "x")]));
    assert!(!is_saved(&lake, &commit));
}

#[test]
fn an_append_with_more_in_its_commit_is_not_saved() {
    let mut lake = lake(2);
    lake.commit(&append(&[data("a", "x")]));
    let missed = stale(&mut lake, &append(&[data("b", "x")]));
    lake.commit(&append(&[data("c", "x")]));
    assert!(is_saved(&lake, &missed.commit));
    let with = |requirement: serde_json::Value, update: Option<serde_json::Value>| {
        let mut body: serde_json::Value = serde_json::from_str(missed.body.as_str()).unwrap();
        body["requirements"].as_array_mut().unwrap().push(requirement);
        body["updates"].as_array_mut().unwrap().extend(update);
        TableCommit::parse(body.to_string().as_bytes()).unwrap()
    };
    let held = json!({"type": "assert-current-schema-id", "current-schema-id": 0});
    assert!(is_saved(&lake, &with(held.clone(), None)));
    let broken = json!({"type": "assert-current-schema-id", "current-schema-id": 7});
    assert!(!is_saved(&lake, &with(broken, None)));
    let twice = json!({"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 9});
    assert!(!is_saved(&lake, &with(twice, None)));
    let update = json!({"action": "set-properties", "updates": {"offset": "5"}});
    assert!(!is_saved(&lake, &with(held, Some(update))));
}

#[test]
fn an_append_to_what_was_rolled_back_is_not_saved() {
    let mut lake = lake(2);
    lake.commit(&append(&[data("a", "x")]));
    let before = lake.head();
    lake.commit(&append(&[data("gone", "x")]));
    let missed = stale(&mut lake, &append(&[data("b", "x")]));
    lake.point("main", "branch", before);
    assert!(!is_saved(&lake, &missed.commit));
    lake.commit(&append(&[data("c", "x")]));
    assert!(!is_saved(&lake, &missed.commit));
}

#[test]
fn an_append_that_was_made_is_not_made_again() {
    let mut lake = lake(2);
    lake.commit(&append(&[data("a", "x")]));
    let new = lake.commit(&append(&[data("b", "x")]));
    lake.commit(&append(&[data("c", "x")]));
    assert!(!is_saved(&lake, &new.commit));
}

#[test]
fn files_with_numbers_of_their_own_are_not_put_elsewhere() {
    let mut lake = lake(2);
    lake.commit(&append(&[data("a", "x")]));
    let mut change = append(&[data("b", "x")]);
    change.data_sequence_number = Some(1);
    let missed = stale(&mut lake, &change);
    lake.commit(&append(&[data("c", "x")]));
    assert!(!is_saved(&lake, &missed.commit));
}
