//! What only snapshots needed that are gone.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use table_core::manifest::entry::Status;
use table_core::manifest::list;
use table_core::metadata::snapshot::Snapshot;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::change::{ChangeKind, FileChange};
use table_core::snapshot::cleanup::{Cleanup, Unreachable, UnreachableKind};
use table_core::snapshot::error::SnapshotError;
use table_core::snapshot::expire::{ExpirySettings, plan};
use table_core::snapshot::plan::Needs;
use table_core::snapshot::rewrite::Clustering;

use super::lake::{Lake, append, data, delete, keys, replace, row_delta, vector};

const LIMIT_BYTES: usize = 1 << 26;

/// What is found, in the order in which it is found. Files that the lake does not have are told to be
/// missing.
fn find(lake: &Lake, before: &TableMetadata, files_max: u64) -> Result<Vec<Unreachable>, SnapshotError> {
    let mut cleanup = Cleanup::new(before, &lake.metadata, &[], files_max)?;
    let mut found = Vec::new();
    loop {
        found.extend(cleanup.take_found());
        match cleanup.needs() {
            Needs::Lists(paths) => {
                for path in paths {
                    match lake.files.get(&path) {
                        Some(bytes) => cleanup.supply_list(&path, list::decode(bytes, LIMIT_BYTES).unwrap()),
                        None => cleanup.report_missing(&path)?,
                    }
                }
            }
            Needs::Manifests(lines) => {
                for line in lines {
                    if lake.files.contains_key(&line.path) {
                        cleanup.supply_manifest(&line.path, &lake.manifest(&line.path));
                    } else {
                        cleanup.report_missing(&line.path)?;
                    }
                }
            }
            Needs::Nothing => {
                found.extend(cleanup.take_found());
                return Ok(found);
            }
        }
    }
}

fn expire(lake: &mut Lake, policy: &ExpirySettings) -> TableMetadata {
    let before = lake.metadata.clone();
    if let Some(expiry) = plan(&before, 9_000_000, policy).unwrap() {
        lake.update(&expiry.commit);
    }
    before
}

/// All but the heads.
fn all() -> ExpirySettings {
    ExpirySettings { older_than_ms: Some(i64::MAX), ..ExpirySettings::default() }
}

fn paths(found: &[Unreachable], kind: UnreachableKind) -> Vec<&str> {
    found.iter().filter(|found| found.kind == kind).map(|found| found.path.as_str()).collect()
}

#[test]
fn a_removed_file_goes_with_the_last_snapshot_that_had_it() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x"), data("b", "x")]));
    lake.commit(&delete(&["a"]));
    let manifest = lake.lines(1)[0].path.clone();
    let before = expire(&mut lake, &all());
    let found = find(&lake, &before, 100).unwrap();
    assert_eq!(paths(&found, UnreachableKind::File), ["a"]);
    assert_eq!(paths(&found, UnreachableKind::Manifest), [manifest]);
    assert_eq!(paths(&found, UnreachableKind::ManifestList).len(), 1);
    assert!(found.is_sorted_by_key(|found| found.kind), "files before manifests before lists");
}

#[test]
fn nothing_goes_that_a_tag_or_branch_needs() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&delete(&["a"]));
    lake.commit(&append(&[data("b", "x")]));
    lake.point("tag", "tag", 1);
    let before = expire(&mut lake, &all());
    let found = find(&lake, &before, 100).unwrap();
    assert_eq!(paths(&found, UnreachableKind::File), [""; 0]);
    assert_eq!(paths(&found, UnreachableKind::ManifestList).len(), 1);
}

#[test]
fn a_file_that_was_removed_and_added_again_stays() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&delete(&["a"]));
    lake.commit(&append(&[data("a", "x")]));
    let before = expire(&mut lake, &all());
    assert_eq!(paths(&find(&lake, &before, 100).unwrap(), UnreachableKind::File), [""; 0]);
}

#[test]
fn a_file_that_is_listed_twice_stays_as_long_as_one_of_them() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.branch = "other";
    lake.commit(&append(&[data("a", "x")]));
    lake.branch = "main";
    lake.commit(&delete(&["a"]));
    let before = expire(&mut lake, &all());
    assert_eq!(paths(&find(&lake, &before, 100).unwrap(), UnreachableKind::File), [""; 0]);
}

#[test]
fn a_file_of_several_deletion_vectors_stays_as_long_as_one_of_them() {
    let mut lake = Lake::new(3);
    lake.commit(&append(&[data("a", "x"), data("b", "x")]));
    let (of_a, of_b) = (vector("v", 4, "a", "x"), vector("v", 50, "b", "x"));
    lake.commit(&row_delta(&[], &[of_a.clone(), of_b.clone()]));
    let remove =
        |file| FileChange { removed_deletes: keys(&[file]), ..FileChange::new(ChangeKind::RowDelta) };
    lake.commit(&remove(of_a));
    let before = expire(&mut lake, &all());
    assert_eq!(paths(&find(&lake, &before, 100).unwrap(), UnreachableKind::File), [""; 0]);
    lake.commit(&remove(of_b));
    let before = expire(&mut lake, &all());
    assert_eq!(paths(&find(&lake, &before, 100).unwrap(), UnreachableKind::File), ["v"]);
}

#[test]
fn files_of_a_snapshot_that_was_rolled_back_go() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&append(&[data("b", "x")]));
    lake.point("main", "branch", 1);
    let before = expire(&mut lake, &all());
    let found = find(&lake, &before, 100).unwrap();
    assert_eq!(paths(&found, UnreachableKind::File), ["b"]);
    assert_eq!(paths(&found, UnreachableKind::Manifest).len(), 1);
}

#[test]
fn what_was_committed_since_stays() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&delete(&["a"]));
    let before = expire(&mut lake, &all());
    lake.commit(&append(&[data("a", "x")]));
    assert_eq!(paths(&find(&lake, &before, 100).unwrap(), UnreachableKind::File), [""; 0]);
}

#[test]
fn statistics_go_with_their_snapshots_unless_another_has_the_same_file() {
    let mut lake = Lake::new(2);
    for path in ["a", "b", "c"] {
        lake.commit(&append(&[data(path, "x")]));
    }
    let mut document: serde_json::Value = serde_json::from_slice(&lake.metadata.to_bytes()).unwrap();
    let file = |id: i64, path: &str| {
        serde_json::json!({"snapshot-id": id, "statistics-path": path, "file-size-in-bytes": 1,
            "file-footer-size-in-bytes": 1, "blob-metadata": []})
    };
    document["statistics"] = serde_json::json!([file(1, "s1"), file(2, "shared"), file(3, "shared")]);
    document["partition-statistics"] = serde_json::json!([file(2, "p2"), file(3, "p3")]);
    lake.metadata = TableMetadata::parse(document.to_string().as_bytes()).unwrap();
    let before = expire(&mut lake, &all());
    assert_eq!(paths(&find(&lake, &before, 100).unwrap(), UnreachableKind::Statistics), ["p2", "s1"]);
}

#[test]
fn what_manifests_call_a_file_and_the_table_needs_for_something_else_stays() {
    let mut lake = Lake::new(2);
    let names = [
        "a",
        "file:/t/statistics",
        "file:/t/former.json",
        "file:///t/1.metadata.json",
        "file:/t//2.gz.metadata.json/",
        "/t/3.metadata.json.gz",
    ];
    lake.commit(&append(&names.map(|name| data(name, "x"))));
    lake.commit(&delete(&names));
    let mut document: serde_json::Value = serde_json::from_slice(&lake.metadata.to_bytes()).unwrap();
    document["statistics"] = serde_json::json!([{
        "snapshot-id": 2, "statistics-path": "file:///t/statistics", "file-size-in-bytes": 1,
        "file-footer-size-in-bytes": 1, "blob-metadata": [],
    }]);
    document["metadata-log"] =
        serde_json::json!([{ "timestamp-ms": 1, "metadata-file": "file:///t/former.json" }]);
    lake.metadata = TableMetadata::parse(document.to_string().as_bytes()).unwrap();
    let before = expire(&mut lake, &all());
    assert_eq!(paths(&find(&lake, &before, 100).unwrap(), UnreachableKind::File), ["a"]);
}

#[test]
fn nothing_is_wanted_if_nothing_is_gone() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    let cleanup = Cleanup::new(&lake.metadata, &lake.metadata, &[], 100).unwrap();
    assert_eq!(cleanup.needs(), Needs::Nothing);
}

#[test]
fn nothing_more_is_wanted_once_every_manifest_is_needed() {
    let mut lake = Lake::new(2);
    for path in ["a", "b", "c", "d"] {
        lake.commit(&append(&[data(path, "x")]));
    }
    let policy = ExpirySettings { older_than_ms: Some(3000), ..ExpirySettings::default() };
    let before = expire(&mut lake, &policy);
    assert_eq!(lake.metadata.snapshots().len(), 2);
    let mut cleanup = Cleanup::new(&before, &lake.metadata, &[], 100).unwrap();
    let mut lists_given = 0;
    while let Needs::Lists(paths) = cleanup.needs() {
        cleanup.supply_list(&paths[0], list::decode(&lake.files[&paths[0]], LIMIT_BYTES).unwrap());
        lists_given += 1;
    }
    assert_eq!(cleanup.needs(), Needs::Nothing);
    assert_eq!(lists_given, 3, "two that go, and one of the two that stay");
    assert_eq!(cleanup.take_found().len(), 2);
}

#[test]
fn a_search_that_was_cut_short_is_taken_up_again() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&append(&[data("b", "x")]));
    lake.commit(&replace(&[data("a", "x")], &[data("c", "x")], 2));
    lake.commit(&replace(&[data("b", "x")], &[data("d", "x")], 3));
    let before = expire(&mut lake, &all());
    let found = find(&lake, &before, 1).unwrap();
    let first = found.iter().find(|found| found.kind == UnreachableKind::Manifest).unwrap();
    lake.files.remove(&first.path);
    let again = find(&lake, &before, 1).unwrap();
    let (all, again): (BTreeSet<_>, BTreeSet<_>) = (found.iter().collect(), again.iter().collect());
    assert!(again.is_subset(&all));
    assert!(again.contains(first), "whether it is gone, its store knows best");
}

#[test]
fn nothing_is_found_if_something_needed_is_missing() {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&delete(&["a"]));
    lake.commit(&append(&[data("b", "x")]));
    let before = expire(&mut lake, &all());
    let needed = lake.lines(3)[0].path.clone();
    let mut without_manifest =
        Lake { files: lake.files.clone(), metadata: lake.metadata.clone(), ..Lake::new(2) };
    without_manifest.files.remove(&needed);
    assert!(matches!(find(&without_manifest, &before, 100), Err(SnapshotError::Invalid(_))));
    let list = lake.metadata.snapshot(3).unwrap().manifest_list().unwrap().unwrap();
    lake.files.remove(&list);
    assert!(matches!(find(&lake, &before, 100), Err(SnapshotError::Invalid(_))));
}

#[test]
fn a_table_that_shares_its_files_loses_none() {
    let lake = Lake::with(2, &serde_json::json!({"gc.enabled": "false"}));
    assert!(matches!(Cleanup::new(&lake.metadata, &lake.metadata, &[], 1), Err(SnapshotError::Invalid(_))));
}

/// Lists, manifests and live files that some snapshots lead to, found the simple way.
fn reachable(lake: &Lake, lists: &[(i64, String)]) -> BTreeSet<Unreachable> {
    let mut reachable = BTreeSet::new();
    for (_, path) in lists {
        reachable.insert(Unreachable { kind: UnreachableKind::ManifestList, path: path.clone() });
        for line in list::decode(&lake.files[path], LIMIT_BYTES).unwrap() {
            reachable.insert(Unreachable { kind: UnreachableKind::Manifest, path: line.path.clone() });
            let manifest = lake.manifest(&line.path);
            let live = manifest.files(&line).filter(|file| file.status() != Status::Deleted);
            reachable.extend(
                live.map(|file| Unreachable { kind: UnreachableKind::File, path: file.path().to_owned() }),
            );
        }
    }
    reachable
}

fn lists(metadata: &TableMetadata) -> Vec<(i64, String)> {
    let list = |snapshot: &Snapshot| (snapshot.id(), snapshot.manifest_list().unwrap().unwrap());
    metadata.snapshots().iter().map(list).collect()
}

#[derive(Debug, Clone)]
enum Step {
    Append(u8),
    /// Adds a path again that there was before.
    AppendAgain(u8),
    Delete(u8),
    Replace(u8),
    Rewrite,
    Branch(u8),
    Tag(u8),
    RollBack(u8),
    Expire(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<u8>().prop_map(Step::Append),
        1 => any::<u8>().prop_map(Step::AppendAgain),
        3 => any::<u8>().prop_map(Step::Delete),
        3 => any::<u8>().prop_map(Step::Replace),
        1 => Just(Step::Rewrite),
        2 => any::<u8>().prop_map(Step::Branch),
        1 => any::<u8>().prop_map(Step::Tag),
        1 => any::<u8>().prop_map(Step::RollBack),
        3 => any::<u8>().prop_map(Step::Expire),
    ];
    prop::collection::vec(step, 2..20)
}

fn pick<T: Clone>(from: &[T], seed: u8) -> Option<T> {
    from.get(usize::from(seed) % from.len().max(1)).cloned()
}

fn step(lake: &mut Lake, step: &Step, round: usize) -> Result<(), TestCaseError> {
    let ids: Vec<_> = lake.metadata.snapshots().iter().map(Snapshot::id).collect();
    let has_head = lake.metadata.refs().get(lake.branch).is_some();
    let live: BTreeMap<_, _> = if has_head {
        lake.live().into_iter().map(|entry| (entry.file.path.clone(), entry.file)).collect()
    } else {
        BTreeMap::new()
    };
    let files: Vec<_> = live.into_values().collect();
    match step {
        Step::Append(seed) => {
            let file = data(&format!("f{round}"), ["x", "y"][usize::from(seed % 2)]);
            lake.commit(&append(&[file]));
        }
        Step::AppendAgain(seed) => {
            lake.commit(&append(&[data(&format!("f{}", seed % 4), "x")]));
        }
        Step::Delete(seed) => {
            if let Some(file) = pick(&files, *seed) {
                lake.commit(&delete(&[&file.path]));
            }
        }
        Step::Replace(seed) => {
            if let Some(file) = pick(&files, *seed).filter(|_| has_head) {
                let next = data(&format!("r{round}"), "x");
                let entries: Vec<_> = lake.live().into_iter().map(|entry| entry.file).collect();
                let entries: Vec<_> = entries.into_iter().filter(|entry| entry.path == file.path).collect();
                lake.commit(&replace(&entries, &[next], lake.head()));
            }
        }
        Step::Rewrite => drop(lake.rewrite(|_| true, Clustering::AsRead)),
        Step::Branch(seed) => lake.branch = ["main", "side", "other"][usize::from(seed % 3)],
        Step::Tag(seed) => {
            if let Some(id) = pick(&ids, *seed) {
                lake.point(["t1", "t2"][usize::from(seed % 2)], "tag", id);
            }
        }
        Step::RollBack(seed) => {
            if let Some(id) = pick(&ids, *seed) {
                lake.point("main", "branch", id);
            }
        }
        Step::Expire(seed) => {
            let older_than_ms = Some(1000 * i64::from(seed % 20));
            let before = expire(lake, &ExpirySettings { older_than_ms, ..ExpirySettings::default() });
            check(lake, &before)?;
        }
    }
    Ok(())
}

fn check(lake: &Lake, before: &TableMetadata) -> Result<(), TestCaseError> {
    let kept = lists(&lake.metadata);
    let gone: Vec<_> = lists(before).into_iter().filter(|list| !kept.contains(list)).collect();
    let (kept, gone) = (reachable(lake, &kept), reachable(lake, &gone));
    let expected: Vec<_> = gone.difference(&kept).cloned().collect();
    for files_max in [1, 3, 1000] {
        let mut found = find(lake, before, files_max).unwrap();
        found.sort();
        // A file in manifests of two batches is found in both.
        found.dedup();
        prop_assert_eq!(&found, &expected, "{} files at most", files_max);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn exactly_what_nothing_leads_to_is_found(version in 1..=3_i32, steps in steps()) {
        let mut lake = Lake::new(version);
        lake.commit(&append(&[data("first", "x")]));
        for (round, next) in steps.iter().enumerate() {
            step(&mut lake, next, round)?;
        }
        let before = expire(&mut lake, &all());
        check(&lake, &before)?;
    }
}
