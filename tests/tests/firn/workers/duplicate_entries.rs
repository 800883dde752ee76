//! Data files that a table lists more than once: their rows count once for each entry, and deletes apply to
//! each entry.

use serde_json::{Value, json};
use tests::process::{Backend, Firn};
use tests::tables::{Table, TableOptions, files_below, rows};
use tests::worker::Worker;

use super::{
    check_no_unreferenced_files, eventually, job, job_number, post, request_compaction, start_server,
    wait_for_success,
};
use crate::maintenance::table_identifier;

/// Request rate with which reading the manifests again for the commit takes a worker seconds.
const SLOW: [&str; 2] = ["--requests-per-second", "3"];

async fn create_unpartitioned_table(firn: &Firn, format_version: i32) -> Table {
    Table::create(firn, &TableOptions { format_version, ..TableOptions::default() }).await
}

/// Returns a total from the summary of the current snapshot.
async fn summary_value(table: &Table, name: &str) -> String {
    let metadata = table.load().await["metadata"].clone();
    let current = &metadata["current-snapshot-id"];
    let snapshots = metadata["snapshots"].as_array().unwrap();
    let snapshot = snapshots.iter().find(|snapshot| &snapshot["snapshot-id"] == current).unwrap();
    snapshot["summary"][name].as_str().unwrap_or_default().to_owned()
}

async fn rows_that_were_deleted_from_a_repeated_file_stay_deleted(backend: Backend) {
    for format_version in [2, 3] {
        let firn = start_server(backend, 3_000).await;
        let table = create_unpartitioned_table(&firn, format_version).await;
        let files: Vec<_> = (0..4).map(|file| rows(file * 3..file * 3 + 3, 0)).collect();
        let paths = table.append(&files).await;
        let repeated = table.append_repeatedly(&rows(100..103, 0), 2).await;
        let mut deleted: Vec<_> = paths.into_iter().map(|path| (path, vec![0, 2])).collect();
        deleted.push((repeated, vec![1]));
        table.update_rows(&deleted, &[]).await;
        let before = table.rows().await;
        assert_eq!(before.len(), 8);
        let id = request_compaction(&firn, &table).await;
        let _worker = Worker::start(firn.root(), &[]);
        let job = wait_for_success(&firn, &id).await;
        assert_eq!(table.rows().await, before, "version {format_version}");
        assert_eq!((job_number(&job, "files-rewritten"), job_number(&job, "deleted-rows-removed")), (6, 10));
        for (name, count) in [("total-records", "8"), ("total-data-files", "1"), ("total-delete-files", "0")]
        {
            assert_eq!(summary_value(&table, name).await, count, "{name} of version {format_version}");
        }
        check_no_unreferenced_files(&table).await;
    }
}

async fn equality_deletes_apply_to_each_entry(backend: Backend) {
    for (policy, becomes_one) in [(json!({ "inputs-min": 2 }), true), (conversion_policy(), false)] {
        let firn = start_server(backend, 3_000).await;
        let table = create_unpartitioned_table(&firn, 3).await;
        let duplicated = table.append_repeatedly(&rows(0..4, 0), 2).await;
        table.delete_ids(&[0, 10], 0).await;
        let other = table.append_repeatedly(&rows(10..14, 0), 1).await;
        table.delete_ids(&[1, 11], 0).await;
        let repeated = table.append_repeatedly(&rows(20..24, 0), 1).await;
        table.delete_ids(&[20], 0).await;
        let before = table.rows().await;
        assert_eq!(before.len(), 2 * 2 + 3 + 3);
        let paths = table.data_files().await;
        assert!([&duplicated, &other, &repeated].iter().all(|path| paths.contains(path)));
        let new = json!({ "table": table_identifier(&table.namespace, &table.name), "action": "compact", "policy": { "compact": policy } });
        let id = post(&firn, "jobs", &new).await.expect(200).json()["job-id"].as_str().unwrap().to_owned();
        let _worker = Worker::start(firn.root(), &[]);
        let job = wait_for_success(&firn, &id).await;
        assert_eq!(table.rows().await, before, "{job}");
        assert_eq!(job["result"]["committed"], true, "{job}");
        assert_eq!(table.data_files().await.len(), if becomes_one { 1 } else { paths.len() });
        check_no_unreferenced_files(&table).await;
    }
}

fn conversion_policy() -> Value {
    json!({ "inputs-min": 100, "delete-ratio": 1, "equality-deletes-min": 1 })
}

/// Two entries of one file; an equality delete applies only to the older one, which a position delete cannot
/// express.
async fn a_file_whose_entries_differ_in_their_deletes_is_not_converted(backend: Backend) {
    let firn = start_server(backend, 3_000).await;
    let table = create_unpartitioned_table(&firn, 2).await;
    table.append(&[rows(10..14, 0)]).await;
    let file = rows(0..4, 0);
    let repeated = table.append_repeatedly(&file, 1).await;
    table.delete_ids(&[1, 11], 0).await;
    table.append_duplicate_entry(&repeated).await;
    let before = table.rows().await;
    assert_eq!(before.len(), 3 + 3 + 4);
    let new = json!({ "table": table_identifier(&table.namespace, &table.name), "action": "compact", "policy": { "compact": conversion_policy() } });
    let id = post(&firn, "jobs", &new).await.expect(200).json()["job-id"].as_str().unwrap().to_owned();
    let _worker = Worker::start(firn.root(), &[]);
    wait_for_success(&firn, &id).await;
    assert_eq!(table.rows().await, before);
    // A rewrite can treat the entries differently.
    let id = request_compaction(&firn, &table).await;
    wait_for_success(&firn, &id).await;
    assert_eq!((table.rows().await, table.entries().await.len()), (before, 1));
}

async fn concurrent_deletes_apply_to_each_entry(backend: Backend) {
    for format_version in [2, 3] {
        let firn = start_server(backend, 3_000).await;
        let table = create_unpartitioned_table(&firn, format_version).await;
        let repeated = table.append_repeatedly(&rows(0..9, 0), 3).await;
        table.append(&[rows(20..29, 0), rows(30..39, 0)]).await;
        let id = request_compaction(&firn, &table).await;
        let _worker = Worker::start(firn.root(), &SLOW);
        let folder = table.folder().await.join("data");
        eventually("a new file", async || (files_below(&folder).len() > 3).then_some(())).await;
        table.update_rows(&[(repeated, vec![0, 4])], &[]).await;
        assert_eq!(table.rows().await.len(), 3 * 7 + 18);
        let before = table.rows().await;
        wait_for_success(&firn, &id).await;
        assert_eq!(table.rows().await, before, "version {format_version}");
        assert_eq!(table.data_files().await.len(), 1);
        check_no_unreferenced_files(&table).await;
    }
}

async fn a_file_added_again_concurrently_keeps_all_its_rows(backend: Backend) {
    let firn = start_server(backend, 3_000).await;
    let table = create_unpartitioned_table(&firn, 2).await;
    let repeated = table.append_repeatedly(&rows(0..9, 0), 2).await;
    table.append(&[rows(20..29, 0)]).await;
    let id = request_compaction(&firn, &table).await;
    let _worker = Worker::start(firn.root(), &SLOW);
    eventually("the job's begin", async || (job(&firn, &id).await["state"] == "running").then_some(())).await;
    table.append_duplicate_entry(&repeated).await;
    let before = table.rows().await;
    assert_eq!(before.len(), 4 * 9);
    wait_for_success(&firn, &id).await;
    assert_eq!(table.rows().await, before);
    check_no_unreferenced_files(&table).await;
}

tests::on_both_databases!(rows_that_were_deleted_from_a_repeated_file_stay_deleted);

tests::on_sqlite!(
    equality_deletes_apply_to_each_entry,
    a_file_whose_entries_differ_in_their_deletes_is_not_converted,
    concurrent_deletes_apply_to_each_entry,
    a_file_added_again_concurrently_keeps_all_its_rows,
);
