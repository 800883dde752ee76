//! Rewriting manifests without changing what the table consists of.

use table_core::manifest::avro_write::AvroCodec;
use table_core::manifest::data_file::DataFile;
use table_core::manifest::entry::Status;
use table_core::manifest::list::ManifestContent;
use table_core::manifest::list_write::{self, ListHeader};
use table_core::snapshot::change::{ChangeKind, FileChange};
use table_core::snapshot::rewrite::Clustering;

use super::lake::{Lake, append, data, delete, equality, replace, row_delta, unpartitioned};

/// A table with a manifest for each of these files, named as `path:partition`.
fn with(version: i32, files: &[&str]) -> Lake {
    let mut lake = Lake::new(version);
    for file in files {
        let (path, partition) = file.split_once(':').unwrap();
        lake.commit(&append(&[data(path, partition)]));
    }
    lake
}

/// The paths in each manifest.
fn show(lake: &Lake) -> String {
    let manifests = lake.lines(lake.head()).into_iter().map(|line| {
        let manifest = lake.manifest(&line.path);
        manifest.files(&line).map(|file| file.path().to_owned()).collect::<Vec<_>>().join(" ")
    });
    manifests.collect::<Vec<_>>().join("; ")
}

#[test]
fn small_manifests_become_one() {
    for version in 1..=3 {
        let mut lake = with(version, &["a:x", "b:y", "c:x"]);
        let before = lake.live();
        lake.rewrite(|_| true, Clustering::AsRead).unwrap();
        assert_eq!(show(&lake).split("; ").count(), 1, "version {version}");
        let mut after = lake.live();
        after.sort_by(|left, right| left.file.path.cmp(&right.file.path));
        for (before, after) in before.iter().rev().zip(&after) {
            assert_eq!(after.status, Status::Existing);
            assert_eq!(
                (after.snapshot_id, after.sequence_number),
                (before.snapshot_id, before.sequence_number)
            );
            assert_eq!(after.file, before.file, "version {version}");
        }
    }
}

#[test]
fn files_of_one_partition_come_together() {
    let mut lake = Lake::with(2, &serde_json::json!({"commit.manifest.target-size-bytes": "9000"}));
    for round in 0..6 {
        let files = ["x", "y", "z"].map(|partition| data(&format!("{partition}{round}"), partition));
        lake.commit(&append(&files));
    }
    lake.rewrite(|_| true, Clustering::ByPartition).unwrap();
    let manifests = show(&lake);
    assert!(manifests.split("; ").count() > 1, "{manifests}");
    let mut sorted: Vec<_> = manifests
        .split("; ")
        .map(|paths| {
            let mut partitions: Vec<_> = paths.split(' ').map(|path| &path[..1]).collect();
            partitions.dedup();
            partitions.sort_unstable();
            partitions.dedup();
            partitions
        })
        .collect();
    sorted.sort();
    // A partition is cut at most where one run ends and the next begins.
    let all: Vec<_> = sorted.concat();
    assert!(all.is_sorted(), "{manifests}");
    assert_eq!(lake.live().len(), 18);
}

#[test]
fn only_chosen_manifests_are_rewritten() {
    let mut lake = with(2, &["a:x", "b:y", "c:x"]);
    let kept = lake.lines(3)[0].clone();
    let new = lake.rewrite(|line| line.added_snapshot_id < 3, Clustering::AsRead).unwrap();
    assert!(lake.lines(4).contains(&kept));
    assert_eq!(lake.lines(4).len(), 2);
    assert_eq!(new.files.len(), 2);
    assert_eq!(lake.show(), "a@1 b@2 c@3");
}

#[test]
fn nothing_is_written_where_nothing_is_chosen() {
    let mut lake = with(2, &["a:x"]);
    assert!(lake.rewrite(|_| false, Clustering::ByPartition).is_none());
    assert!(Lake::new(2).rewrite(|_| true, Clustering::AsRead).is_none());
}

#[test]
fn contents_and_specs_stay_apart() {
    let mut lake = with(2, &["a:x"]);
    lake.commit(&append(&[unpartitioned(data("b", ""))]));
    lake.commit(&row_delta(&[data("c", "x")], &[equality("e", "x")]));
    lake.commit(&row_delta(&[], &[equality("f", "y")]));
    lake.rewrite(|_| true, Clustering::ByPartition).unwrap();
    let lines = lake.lines(lake.head());
    let kinds: Vec<_> = lines.iter().map(|line| (line.content, line.spec_id)).collect();
    assert_eq!(
        kinds,
        [(ManifestContent::Data, 0), (ManifestContent::Data, 1), (ManifestContent::Deletes, 0)]
    );
    assert_eq!(lake.show(), "a@1 b@2 c@3 e@3 f@4");
}

#[test]
fn removed_files_are_forgotten_and_totals_stay() {
    let mut lake = with(2, &["a:x", "b:x"]);
    lake.commit(&delete(&["a"]));
    lake.rewrite(|_| true, Clustering::AsRead).unwrap();
    assert_eq!(show(&lake), "b");
    for (name, value) in [
        ("operation", "replace"),
        ("total-data-files", "1"),
        ("total-records", "10"),
        ("changed-partition-count", "0"),
        ("entries-processed", "1"),
        ("manifests-created", "1"),
        ("manifests-kept", "0"),
        ("manifests-replaced", "2"),
    ] {
        assert_eq!(lake.summary(name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn row_ids_stay() {
    let mut lake = with(3, &["a:x", "b:y", "c:x"]);
    let ids = |lake: &Lake| {
        let mut ids: Vec<_> =
            lake.live().into_iter().map(|entry| (entry.file.path, entry.file.first_row_id)).collect();
        ids.sort();
        ids
    };
    let before = ids(&lake);
    lake.rewrite(|_| true, Clustering::ByPartition).unwrap();
    assert_eq!(ids(&lake), before);
}

#[test]
fn manifests_roll_at_the_target_size() {
    let mut lake = Lake::with(2, &serde_json::json!({"commit.manifest.target-size-bytes": "6000"}));
    let files: Vec<DataFile> = (0..300).map(|number| data(&format!("file-{number}"), "x")).collect();
    lake.commit(&append(&files));
    for clustering in [Clustering::AsRead, Clustering::ByPartition] {
        lake.rewrite(|_| true, clustering).unwrap();
        assert!(lake.lines(lake.head()).len() > 3, "{clustering:?}");
        assert_eq!(lake.live().len(), 300);
    }
}

#[test]
fn a_concurrent_rewrite_of_manifests_does_not_disturb_a_rewrite_of_files() {
    let mut lake = with(2, &["a:x", "b:x"]);
    lake.rewrite(|_| true, Clustering::AsRead).unwrap();
    let change = super::lake::replace(&[data("a", "x")], &[data("n", "x")], 2);
    lake.commit(&change);
    assert_eq!(lake.show(), "b@2 n@4");
    assert_eq!(FileChange::new(ChangeKind::Replace).operation(), "replace");
}

/// A table whose first manifest, of the file `a`, is listed twice, and which has a file `b` of its own
/// manifest.
fn listed_twice() -> Lake {
    let mut lake = Lake::new(2);
    lake.commit(&append(&[data("a", "x")]));
    lake.commit(&append(&[data("b", "x")]));
    let mut lines = lake.lines(2);
    lines.push(lines.iter().find(|line| line.added_snapshot_id == 1).unwrap().clone());
    let header = ListHeader {
        format_version: 2,
        snapshot_id: 2,
        parent_id: Some(1),
        sequence_number: 2,
        next_row_id: 0,
    };
    let list = list_write::write(&header, lines, AvroCodec::Null, [7; 16]).unwrap();
    let path = lake.metadata.snapshot(2).unwrap().manifest_list().unwrap().unwrap();
    lake.files.insert(path, list.bytes);
    assert_eq!(lake.show(), "a@1 a@1 b@2");
    lake
}

#[test]
fn a_manifest_that_is_listed_twice_has_its_files_twice() {
    let mut lake = listed_twice();
    lake.commit(&delete(&["a"]));
    assert_eq!((lake.show().as_str(), lake.summary("deleted-data-files").as_deref()), ("b@2", Some("2")));
    let mut lake = listed_twice();
    let removed = [data("a", "x"), data("a", "x")];
    lake.commit(&replace(&removed, &[data("aa", "x")], 2));
    assert_eq!(lake.show(), "aa@3 b@2");
    for clustering in [Clustering::AsRead, Clustering::ByPartition] {
        let mut lake = listed_twice();
        lake.rewrite(|_| true, clustering).unwrap();
        assert_eq!((lake.show().as_str(), lake.lines(3).len()), ("a@1 a@1 b@2", 1));
    }
}
