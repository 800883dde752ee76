//! Data files that a table lists more than once: their rows count once for each entry, and deletes apply to
//! each entry.

use serde_json::{Value, json};
use tests::process::{Backend, Firn};
use tests::tables::{Form, Table, files_below, rows};
use tests::worker::Worker;

use super::{catalog, check_tidy, compact, done, eventually, job, number, post};
use crate::maintenance::table;

/// Request rate with which reading the manifests again for the commit takes a worker seconds.
const SLOW: [&str; 2] = ["--requests-per-second", "3"];

async fn unpartitioned(firn: &Firn, format_version: i32) -> Table {
    Table::create(firn, &Form { format_version, ..Form::default() }).await
}

/// Returns a total from the summary of the current snapshot.
async fn total(of: &Table, name: &str) -> String {
    let metadata = of.load().await["metadata"].clone();
    let current = &metadata["current-snapshot-id"];
    let snapshots = metadata["snapshots"].as_array().unwrap();
    let snapshot = snapshots.iter().find(|snapshot| &snapshot["snapshot-id"] == current).unwrap();
    snapshot["summary"][name].as_str().unwrap_or_default().to_owned()
}

async fn rows_that_were_deleted_from_a_repeated_file_stay_deleted(backend: Backend) {
    for format_version in [2, 3] {
        let firn = catalog(backend, 3_000).await;
        let of = unpartitioned(&firn, format_version).await;
        let files: Vec<_> = (0..4).map(|file| rows(file * 3..file * 3 + 3, 0)).collect();
        let paths = of.append(&files).await;
        let repeated = of.append_repeatedly(&rows(100..103, 0), 2).await;
        let mut deleted: Vec<_> = paths.into_iter().map(|path| (path, vec![0, 2])).collect();
        deleted.push((repeated, vec![1]));
        of.update_rows(&deleted, &[]).await;
        let before = of.rows().await;
        assert_eq!(before.len(), 8);
        let id = compact(&firn, &of).await;
        let _worker = Worker::start(firn.root(), &[]);
        let job = done(&firn, &id).await;
        assert_eq!(of.rows().await, before, "version {format_version}");
        assert_eq!((number(&job, "files-rewritten"), number(&job, "deleted-rows-removed")), (6, 10));
        for (name, count) in [("total-records", "8"), ("total-data-files", "1"), ("total-delete-files", "0")]
        {
            assert_eq!(total(&of, name).await, count, "{name} of version {format_version}");
        }
        check_tidy(&of).await;
    }
}

async fn equality_deletes_apply_to_each_entry(backend: Backend) {
    for (policy, becomes_one) in [(json!({ "inputs-min": 2 }), true), (conversion(), false)] {
        let firn = catalog(backend, 3_000).await;
        let of = unpartitioned(&firn, 3).await;
        let again = of.append_repeatedly(&rows(0..4, 0), 2).await;
        of.delete_ids(&[0, 10], 0).await;
        let other = of.append_repeatedly(&rows(10..14, 0), 1).await;
        of.delete_ids(&[1, 11], 0).await;
        let repeated = of.append_repeatedly(&rows(20..24, 0), 1).await;
        of.delete_ids(&[20], 0).await;
        let before = of.rows().await;
        assert_eq!(before.len(), 2 * 2 + 3 + 3);
        let paths = of.data_files().await;
        assert!([&again, &other, &repeated].iter().all(|path| paths.contains(path)));
        let new = json!({ "table": table(&of.namespace, &of.name), "action": "compact", "policy": { "compact": policy } });
        let id = post(&firn, "jobs", &new).await.expect(200).json()["job-id"].as_str().unwrap().to_owned();
        let _worker = Worker::start(firn.root(), &[]);
        let job = done(&firn, &id).await;
        assert_eq!(of.rows().await, before, "{job}");
        assert_eq!(job["result"]["committed"], true, "{job}");
        assert_eq!(of.data_files().await.len(), if becomes_one { 1 } else { paths.len() });
        check_tidy(&of).await;
    }
}

fn conversion() -> Value {
    json!({ "inputs-min": 100, "delete-ratio": 1, "equality-deletes-min": 1 })
}

/// Two entries of one file; an equality delete applies only to the older one, which a position delete cannot
/// express.
async fn a_file_whose_entries_differ_in_their_deletes_is_not_converted(backend: Backend) {
    let firn = catalog(backend, 3_000).await;
    let of = unpartitioned(&firn, 2).await;
    of.append(&[rows(10..14, 0)]).await;
    let file = rows(0..4, 0);
    let repeated = of.append_repeatedly(&file, 1).await;
    of.delete_ids(&[1, 11], 0).await;
    of.append_entry_of(&repeated).await;
    let before = of.rows().await;
    assert_eq!(before.len(), 3 + 3 + 4);
    let new = json!({ "table": table(&of.namespace, &of.name), "action": "compact", "policy": { "compact": conversion() } });
    let id = post(&firn, "jobs", &new).await.expect(200).json()["job-id"].as_str().unwrap().to_owned();
    let _worker = Worker::start(firn.root(), &[]);
    done(&firn, &id).await;
    assert_eq!(of.rows().await, before);
    // A rewrite can treat the entries differently.
    let id = compact(&firn, &of).await;
    done(&firn, &id).await;
    assert_eq!((of.rows().await, of.entries().await.len()), (before, 1));
}

async fn concurrent_deletes_apply_to_each_entry(backend: Backend) {
    for format_version in [2, 3] {
        let firn = catalog(backend, 3_000).await;
        let of = unpartitioned(&firn, format_version).await;
        let repeated = of.append_repeatedly(&rows(0..9, 0), 3).await;
        of.append(&[rows(20..29, 0), rows(30..39, 0)]).await;
        let id = compact(&firn, &of).await;
        let _worker = Worker::start(firn.root(), &SLOW);
        let folder = of.folder().await.join("data");
        eventually("a new file", async || (files_below(&folder).len() > 3).then_some(())).await;
        of.update_rows(&[(repeated, vec![0, 4])], &[]).await;
        assert_eq!(of.rows().await.len(), 3 * 7 + 18);
        let before = of.rows().await;
        done(&firn, &id).await;
        assert_eq!(of.rows().await, before, "version {format_version}");
        assert_eq!(of.data_files().await.len(), 1);
        check_tidy(&of).await;
    }
}

async fn a_file_added_again_concurrently_keeps_all_its_rows(backend: Backend) {
    let firn = catalog(backend, 3_000).await;
    let of = unpartitioned(&firn, 2).await;
    let repeated = of.append_repeatedly(&rows(0..9, 0), 2).await;
    of.append(&[rows(20..29, 0)]).await;
    let id = compact(&firn, &of).await;
    let _worker = Worker::start(firn.root(), &SLOW);
    eventually("the job's begin", async || (job(&firn, &id).await["state"] == "running").then_some(())).await;
    of.append_entry_of(&repeated).await;
    let before = of.rows().await;
    assert_eq!(before.len(), 4 * 9);
    done(&firn, &id).await;
    assert_eq!(of.rows().await, before);
    check_tidy(&of).await;
}

tests::on_both_databases!(rows_that_were_deleted_from_a_repeated_file_stay_deleted);

tests::on_sqlite!(
    equality_deletes_apply_to_each_entry,
    a_file_whose_entries_differ_in_their_deletes_is_not_converted,
    concurrent_deletes_apply_to_each_entry,
    a_file_added_again_concurrently_keeps_all_its_rows,
);
