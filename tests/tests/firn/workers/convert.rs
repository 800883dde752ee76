//! Conversion of equality deletes to position deletes, without rewriting data files.

use serde_json::{Value, json};
use tests::http::Client;
use tests::process::{Backend, Firn};
use tests::tables::{Table, rows};
use tests::worker::Worker;

use super::{
    check_no_unreferenced_files, create_fragmented_table, eventually, job_number, post, start_server,
    wait_for_success,
};
use crate::maintenance::table_identifier;

const POSITION_DELETES: i64 = 1;
const EQUALITY_DELETES: i64 = 2;
/// Request rate with which a job takes a worker some seconds.
const SLOW: [&str; 2] = ["--requests-per-second", "8"];

/// Creates a table with two partitions and all kinds of deletes; returns its rows as well.
async fn create_table_with_deletes(firn: &Firn, format_version: i32) -> (Table, Vec<Vec<Value>>) {
    let (table, _) = create_fragmented_table(firn, format_version, 2).await;
    // The ids of the second partition begin at 30. Row 2 is deleted twice.
    table
        .update_rows(
            &[(file_of_row(&table, 2).await, vec![2]), (file_of_row(&table, 10).await, vec![0])],
            &[],
        )
        .await;
    for first in [0, 2, 4] {
        table.delete_ids(&[first, first + 11], 0).await;
    }
    table.delete_ids(&[31], 1).await;
    // Rows appended after an equality delete are not deleted by it; only the last delete applies to these.
    table.append(&[rows(0..3, 0)]).await;
    table.delete_ids(&[1], 0).await;
    let rows = table.rows().await;
    assert_eq!(rows.len(), 60 + 3 - 2 - 5 - 1 - 2);
    (table, rows)
}

/// Returns the data file that contains a row.
async fn file_of_row(table: &Table, row: i64) -> String {
    table.reference_rows().await.into_iter().find(|found| found.values[0] == row).expect("the row").path
}

/// Requests a compaction with a policy under which no file is worth a rewrite, but two equality deletes are
/// converted.
async fn convert(client: &Client, table: &Table) -> String {
    let policy = json!({ "compact": { "inputs-min": 100, "delete-ratio": 1, "equality-deletes-min": 2 } });
    let new = json!({ "table": table_identifier(&table.namespace, &table.name), "action": "compact", "policy": policy });
    let job = post(client, "jobs", &new).await.expect(200).json();
    job["job-id"].as_str().unwrap().to_owned()
}

/// Returns the number of live files with this content in a partition.
async fn count(table: &Table, content: i64, part: i32) -> usize {
    let entries = table.entries().await.into_iter();
    entries.filter(|entry| entry.content == content && entry.partition == [part]).count()
}

async fn check_conversion(format_version: i32, backend: Backend) {
    let firn = start_server(backend, 3_000).await;
    let (table, rows) = create_table_with_deletes(&firn, format_version).await;
    let (files, lineage) = (table.data_files().await, table.reference_rows().await);
    let id = convert(&firn, &table).await;
    let _worker = Worker::start(firn.root(), &[]);
    let job = wait_for_success(&firn, &id).await;
    assert_eq!(table.rows().await, rows);
    assert_eq!(table.reference_rows().await.len(), lineage.len());
    for row in table.reference_rows().await {
        assert!(lineage.contains(&row), "{row:?} differs");
    }
    assert_eq!(table.data_files().await, files);
    // A single equality delete is below the limit of the policy.
    assert_eq!((count(&table, EQUALITY_DELETES, 0).await, count(&table, EQUALITY_DELETES, 1).await), (0, 1));
    // From format version 3 on, a data file has one deletion vector; before, each conversion adds a position
    // delete file.
    let positions = count(&table, POSITION_DELETES, 0).await;
    assert_eq!(positions, if format_version == 3 { 3 } else { 5 });
    assert_eq!(job_number(&job, "rows-deleted-by-position"), 7);
    assert_eq!(job_number(&job, "equality-deletes-converted"), 4);
    check_no_unreferenced_files(&table).await;
    // A second conversion has nothing to do.
    let id = convert(&firn, &table).await;
    let job = wait_for_success(&firn, &id).await;
    assert_eq!(job["result"]["committed"], false, "{job}");
}

async fn equality_deletes_are_converted_to_position_deletes(backend: Backend) {
    check_conversion(2, backend).await;
}

async fn equality_deletes_are_converted_to_deletion_vectors(backend: Backend) {
    check_conversion(3, backend).await;
}

/// Starts a conversion, and waits until its worker reports that it reads equality deletes.
async fn start_conversion(firn: &Firn, table: &Table) -> (String, Worker) {
    let id = convert(firn, table).await;
    let worker = Worker::start(firn.root(), &SLOW);
    eventually("the activity of reading equality deletes", async || {
        let job = super::job(firn, &id).await;
        job["progress"]["activity"]
            .as_str()
            .is_some_and(|activity| activity.contains("equality deletes"))
            .then_some(())
    })
    .await;
    (id, worker)
}

async fn concurrent_deletes_are_preserved(backend: Backend) {
    for format_version in [2, 3] {
        let firn = start_server(backend, 3_000).await;
        let (table, _) = create_table_with_deletes(&firn, format_version).await;
        let (changed, replaced) = (file_of_row(&table, 25).await, file_of_row(&table, 7).await);
        let (id, _worker) = start_conversion(&firn, &table).await;
        table.delete_ids(&[14, 16], 0).await;
        table.update_rows(&[(changed, vec![7])], &[]).await;
        table.replace(&[replaced], &rows(100..105, 0)).await;
        table.append(&[rows(0..2, 0)]).await;
        let rows = table.rows().await;
        wait_for_success(&firn, &id).await;
        assert_eq!(table.rows().await, rows, "version {format_version}");
        // The job does not convert the delete that was added meanwhile.
        assert_eq!(count(&table, EQUALITY_DELETES, 0).await, 1);
        check_no_unreferenced_files(&table).await;
    }
}

async fn a_concurrent_rollback_restores_the_deleted_rows(backend: Backend) {
    let firn = start_server(backend, 3_000).await;
    let (table, _) = create_fragmented_table(&firn, 3, 2).await;
    let (before, rows) = (table.snapshot_id().await, table.rows().await);
    table.delete_ids(&[1], 0).await;
    table.delete_ids(&[2], 0).await;
    let (id, _worker) = start_conversion(&firn, &table).await;
    let rollback =
        json!({ "action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": before });
    table.update(&[rollback]).await;
    let job = wait_for_success(&firn, &id).await;
    assert!(job["result"]["skipped"].to_string().contains("were changed meanwhile"), "{job}");
    assert_eq!((table.snapshot_id().await, table.rows().await), (before, rows));
    check_no_unreferenced_files(&table).await;
}

async fn a_missing_delete_file_is_reported(backend: Backend) {
    let firn = start_server(backend, 3_000).await;
    let (table, _) = create_table_with_deletes(&firn, 2).await;
    let mut entries = table.entries().await.into_iter();
    let missing =
        entries.rfind(|entry| entry.content == EQUALITY_DELETES && entry.partition == [0]).unwrap().path;
    std::fs::remove_file(tests::fixture::local(&missing)).unwrap();
    let id = convert(&firn, &table).await;
    let _worker = Worker::start(firn.root(), &[]);
    let ended = wait_for_success(&firn, &id).await;
    assert_eq!(ended["result"]["unreadable"][0]["path"], missing, "{ended}");
    // Deletes that depend on the missing file are not changed.
    assert!(table.entries().await.iter().any(|entry| entry.path == missing), "{ended}");
}

tests::on_both_databases!(equality_deletes_are_converted_to_deletion_vectors);

tests::on_sqlite!(
    equality_deletes_are_converted_to_position_deletes,
    concurrent_deletes_are_preserved,
    a_concurrent_rollback_restores_the_deleted_rows,
    a_missing_delete_file_is_reported,
);
