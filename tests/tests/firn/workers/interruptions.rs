//! Workers that end, or are considered dead, during a job: no rows are lost, and the next worker deletes the
//! leftover files.

use std::time::Duration;

use serde_json::{Value, json};
use tests::process::{Backend, Firn, Setup};
use tests::tables::Table;
use tests::worker::Worker;

use super::{
    FILES, check_compacted, check_no_unreferenced_files, create_fragmented_table, eventually, job, job_error,
    job_number, request_compaction, start_server, wait_for_end, wait_for_new_files, wait_for_success,
};
use crate::maintenance::{job_path, lease, lease_of, post};

/// Request rate with which a compaction of eight partitions takes a worker some seconds.
const SLOW: [&str; 2] = ["--requests-per-second", "12"];
const PARTS: i32 = 8;

async fn a_worker_that_is_stopped_commits_completed_groups(backend: Backend) {
    let firn = start_server(backend, 60_000).await;
    let (table, rows) = create_fragmented_table(&firn, 2, PARTS).await;
    let id = request_compaction(&firn, &table).await;
    let mut worker = Worker::start(firn.root(), &SLOW);
    wait_for_new_files(&table, 3).await;
    let status = tokio::time::timeout(Duration::from_secs(20), worker.stop()).await;
    assert!(status.expect("an end within seconds").success(), "{}", worker.log());
    assert!(worker.log().contains("stopped"), "{}", worker.log());

    let waiting = job(&firn, &id).await;
    assert_eq!((&waiting["state"], &waiting["attempt"]), (&json!("queued"), &json!(1)), "{waiting}");
    assert!(job_error(&waiting).contains("shutting down"), "{waiting}");
    assert!(waiting["due-ms"].as_i64() <= waiting["started-ms"].as_i64().map(|ms| ms + 60_000), "{waiting}");
    // At least two groups were completed, but not all.
    let files = i64::try_from(table.data_files().await.len()).unwrap();
    assert!((i64::from(PARTS)..=i64::from(PARTS) * FILES - 4).contains(&files), "{files} files");
    // The job already reports the completed groups.
    let rewritten = job_number(&waiting, "files-rewritten");
    assert_eq!(files, i64::from(PARTS) * FILES - rewritten + job_number(&waiting, "files-written"));
    assert_eq!(table.rows().await, rows);
    check_no_unreferenced_files(&table).await;

    let _worker = Worker::start(firn.root(), &[]);
    let done = wait_for_success(&firn, &id).await;
    assert_eq!(done["attempt"], 2);
    assert_eq!(job_number(&done, "files-rewritten"), i64::from(PARTS) * FILES, "{done}");
    check_compacted(&table, &rows, 8).await;
}

async fn a_server_that_is_stopped_returns_its_job_to_the_queue(backend: Backend) {
    let setup = Setup::new(backend).await.with("FIRN_MAINTENANCE__WORKERS", "1");
    let mut firn = Firn::start(setup.with("FIRN_MAINTENANCE__REQUESTS_PER_SECOND", "12"));
    let (table, rows) = create_fragmented_table(&firn, 2, PARTS).await;
    let id = request_compaction(&firn, &table).await;
    wait_for_new_files(&table, 3).await;
    let start_ms = catalog_server::clock::Clock::system().now_ms();
    firn.stop();
    let duration_ms = catalog_server::clock::Clock::system().now_ms() - start_ms;
    assert!(duration_ms < 20_000, "it took {duration_ms} ms");

    firn.restart_with(|setup| {
        setup.env.insert("FIRN_MAINTENANCE__REQUESTS_PER_SECOND".to_owned(), "0".to_owned());
    });
    let table = table.with_client(&firn, "t");
    assert_eq!(wait_for_success(&firn, &id).await["attempt"], 2);
    check_compacted(&table, &rows, 8).await;
    firn.check_no_panic();
}

async fn leftover_files_of_a_killed_worker_are_deleted_by_the_next(backend: Backend) {
    let firn = start_server(backend, 1_500).await;
    let (table, rows) = create_fragmented_table(&firn, 2, PARTS).await;
    let id = request_compaction(&firn, &table).await;
    let mut worker = Worker::start(firn.root(), &SLOW);
    wait_for_new_files(&table, 3).await;
    worker.kill();
    assert!(!table.unreferenced_files().await.is_empty());
    assert_eq!(table.rows().await, rows);

    let next = Worker::start(firn.root(), &[]);
    assert_eq!(wait_for_success(&firn, &id).await["attempt"], 2, "{}", next.log());
    check_compacted(&table, &rows, 8).await;
}

async fn a_killed_server_continues_its_job_after_a_restart(backend: Backend) {
    let setup = Setup::new(backend).await.with("FIRN_MAINTENANCE__WORKERS", "1");
    let setup = setup.with("FIRN_MAINTENANCE__LEASE_MS", "1500");
    let mut firn = Firn::start(setup.with("FIRN_MAINTENANCE__REQUESTS_PER_SECOND", "12"));
    let (table, rows) = create_fragmented_table(&firn, 2, PARTS).await;
    let id = request_compaction(&firn, &table).await;
    wait_for_new_files(&table, 3).await;
    firn.restart_with(|setup| {
        setup.env.insert("FIRN_MAINTENANCE__REQUESTS_PER_SECOND".to_owned(), "0".to_owned());
    });
    let table = table.with_client(&firn, "t");
    assert_eq!(wait_for_success(&firn, &id).await["attempt"], 2);
    check_compacted(&table, &rows, 8).await;
}

async fn a_suspended_worker_loses_its_job_to_another_worker(backend: Backend) {
    let firn = start_server(backend, 1_500).await;
    let (table, rows) = create_fragmented_table(&firn, 2, PARTS).await;
    let id = request_compaction(&firn, &table).await;
    let mut suspended = Worker::start(firn.root(), &SLOW);
    wait_for_new_files(&table, 3).await;
    suspended.signal("STOP");
    let mut successor = Worker::start(firn.root(), &[]);
    assert_eq!(wait_for_success(&firn, &id).await["attempt"], 2);
    successor.kill();
    check_compacted(&table, &rows, 8).await;
    let committed = table.snapshot_id().await;

    suspended.signal("CONT");
    eventually("the end of the first attempt", async || {
        suspended.log().contains("was taken over by another worker").then_some(())
    })
    .await;
    assert_eq!(table.snapshot_id().await, committed);
    check_compacted(&table, &rows, 8).await;
    assert_eq!(job(&firn, &id).await["state"], "succeeded");
    // The worker can do other jobs afterwards.
    let (other, rows) = create_fragmented_table(&firn, 2, 1).await;
    let id = request_compaction(&firn, &other).await;
    wait_for_success(&firn, &id).await;
    check_compacted(&other, &rows, 1).await;
    assert!(suspended.stop().await.success());
    assert!(!suspended.log().contains("panicked"), "{}", suspended.log());
}

async fn a_cancelled_job_ends_soon_and_keeps_completed_groups(backend: Backend) {
    let firn = start_server(backend, 3_000).await;
    let (table, rows) = create_fragmented_table(&firn, 2, PARTS).await;
    let id = request_compaction(&firn, &table).await;
    let _worker = Worker::start(firn.root(), &SLOW);
    wait_for_new_files(&table, 3).await;
    post(&firn, &format!("jobs/{id}/cancel"), &json!({})).await.expect(200);
    let cancelled = tokio::time::timeout(Duration::from_secs(10), wait_for_end(&firn, &id)).await;
    let cancelled = cancelled.expect("an end within seconds");
    assert_eq!(cancelled["state"], "cancelled");
    let files = table.data_files().await.len();
    assert!((8..24).contains(&files), "{files} files");
    let (rewritten, written) =
        (job_number(&cancelled, "files-rewritten"), job_number(&cancelled, "files-written"));
    assert_eq!(i64::try_from(files).unwrap(), i64::from(PARTS) * FILES - rewritten + written, "{cancelled}");
    assert_eq!(table.rows().await, rows);
    check_no_unreferenced_files(&table).await;
}

/// Requests a compaction, and leases it as a worker that stores this report and dies; returns the job's id.
async fn lease_as_dying_worker(firn: &Firn, table: &Table, report: &Value) -> String {
    let id = request_compaction(firn, table).await;
    let leased = lease(firn, "dead").await;
    assert_eq!(leased["job"]["job-id"], json!(id));
    let heartbeat = json!({ "lease": lease_of(&leased), "result": report });
    post(firn, &job_path(&leased, "heartbeat"), &heartbeat).await.expect(200);
    assert_eq!(job(firn, &id).await["result"], *report);
    id
}

async fn commits_of_a_dead_worker_are_reported_by_the_next(backend: Backend) {
    let firn = start_server(backend, 1_500).await;
    let report = |pending: i64| {
        json!({
            "committed": true, "snapshot-ids": [5], "numbers": { "files-rewritten": 100 },
            "pending": { "added-snapshot-id": pending, "numbers": { "files-rewritten": 10 } },
        })
    };
    // The second commit was made, because the table has its snapshot.
    let (table, rows) = create_fragmented_table(&firn, 2, 2).await;
    let second = table.snapshot_id().await;
    let id = lease_as_dying_worker(&firn, &table, &report(second)).await;
    let mut worker = Worker::start(firn.root(), &[]);
    let job = wait_for_success(&firn, &id).await;
    assert_eq!(job_number(&job, "files-rewritten"), 100 + 10 + 2 * FILES, "{job}");
    assert_eq!(job["result"]["snapshot-ids"], json!([5, second, table.snapshot_id().await]), "{job}");
    assert_eq!((&job["attempt"], &job["result"]["pending"]), (&json!(2), &Value::Null), "{job}");
    check_compacted(&table, &rows, 2).await;
    worker.kill();

    // The second commit was not made.
    let (table, rows) = create_fragmented_table(&firn, 2, 1).await;
    let id = lease_as_dying_worker(&firn, &table, &report(6)).await;
    let _worker = Worker::start(firn.root(), &[]);
    let job = wait_for_success(&firn, &id).await;
    assert_eq!(job_number(&job, "files-rewritten"), 100 + FILES, "{job}");
    assert_eq!(job["result"]["snapshot-ids"], json!([5, table.snapshot_id().await]), "{job}");
    check_compacted(&table, &rows, 1).await;
}

tests::on_both_databases!(
    a_worker_that_is_stopped_commits_completed_groups,
    commits_of_a_dead_worker_are_reported_by_the_next,
    leftover_files_of_a_killed_worker_are_deleted_by_the_next,
    a_suspended_worker_loses_its_job_to_another_worker,
);

tests::on_sqlite!(
    a_server_that_is_stopped_returns_its_job_to_the_queue,
    a_killed_server_continues_its_job_after_a_restart,
    a_cancelled_job_ends_soon_and_keeps_completed_groups,
);
