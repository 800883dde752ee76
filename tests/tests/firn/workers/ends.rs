//! Workers that end, or are considered dead, during a job: no rows are lost, and the next worker deletes the
//! leftover files.

use std::time::Duration;

use serde_json::{Value, json};
use tests::process::{Backend, Firn, Setup};
use tests::tables::Table;
use tests::worker::Worker;

use super::{
    FILES, begun, catalog, check_compacted, check_tidy, compact, done, ended, error_of, eventually, job,
    number, scattered,
};
use crate::maintenance::{at_job, held, lease, post};

/// Request rate with which a compaction of eight partitions takes a worker some seconds.
const SLOW: [&str; 2] = ["--requests-per-second", "12"];
const PARTS: i32 = 8;

async fn a_worker_that_is_stopped_commits_completed_groups(backend: Backend) {
    let firn = catalog(backend, 60_000).await;
    let (of, rows) = scattered(&firn, 2, PARTS).await;
    let id = compact(&firn, &of).await;
    let mut worker = Worker::start(firn.root(), &SLOW);
    begun(&of, 3).await;
    let status = tokio::time::timeout(Duration::from_secs(20), worker.stop()).await;
    assert!(status.expect("an end within seconds").success(), "{}", worker.log());
    assert!(worker.log().contains("stopped"), "{}", worker.log());

    let waiting = job(&firn, &id).await;
    assert_eq!((&waiting["state"], &waiting["attempt"]), (&json!("queued"), &json!(1)), "{waiting}");
    assert!(error_of(&waiting).contains("shutting down"), "{waiting}");
    assert!(waiting["due-ms"].as_i64() <= waiting["started-ms"].as_i64().map(|ms| ms + 60_000), "{waiting}");
    // At least two groups were completed, but not all.
    let files = i64::try_from(of.data_files().await.len()).unwrap();
    assert!((i64::from(PARTS)..=i64::from(PARTS) * FILES - 4).contains(&files), "{files} files");
    // The job already reports the completed groups.
    let rewritten = number(&waiting, "files-rewritten");
    assert_eq!(files, i64::from(PARTS) * FILES - rewritten + number(&waiting, "files-written"));
    assert_eq!(of.rows().await, rows);
    check_tidy(&of).await;

    let _worker = Worker::start(firn.root(), &[]);
    let done = done(&firn, &id).await;
    assert_eq!(done["attempt"], 2);
    assert_eq!(number(&done, "files-rewritten"), i64::from(PARTS) * FILES, "{done}");
    check_compacted(&of, &rows, 8).await;
}

async fn a_server_that_is_stopped_returns_its_job_to_the_queue(backend: Backend) {
    let setup = Setup::new(backend).await.with("FIRN_MAINTENANCE__WORKERS", "1");
    let mut firn = Firn::start(setup.with("FIRN_MAINTENANCE__REQUESTS_PER_SECOND", "12"));
    let (of, rows) = scattered(&firn, 2, PARTS).await;
    let id = compact(&firn, &of).await;
    begun(&of, 3).await;
    let began_ms = catalog_server::clock::Clock::system().now_ms();
    firn.stop();
    let took_ms = catalog_server::clock::Clock::system().now_ms() - began_ms;
    assert!(took_ms < 20_000, "it took {took_ms} ms");

    firn.restart_with(|setup| {
        setup.env.insert("FIRN_MAINTENANCE__REQUESTS_PER_SECOND".to_owned(), "0".to_owned());
    });
    let of = of.over(&firn, "t");
    assert_eq!(done(&firn, &id).await["attempt"], 2);
    check_compacted(&of, &rows, 8).await;
    firn.check_no_panic();
}

async fn leftover_files_of_a_killed_worker_are_deleted_by_the_next(backend: Backend) {
    let firn = catalog(backend, 1_500).await;
    let (of, rows) = scattered(&firn, 2, PARTS).await;
    let id = compact(&firn, &of).await;
    let mut worker = Worker::start(firn.root(), &SLOW);
    begun(&of, 3).await;
    worker.kill();
    assert!(!of.strays().await.is_empty());
    assert_eq!(of.rows().await, rows);

    let next = Worker::start(firn.root(), &[]);
    assert_eq!(done(&firn, &id).await["attempt"], 2, "{}", next.log());
    check_compacted(&of, &rows, 8).await;
}

async fn a_killed_server_continues_its_job_after_a_restart(backend: Backend) {
    let setup = Setup::new(backend).await.with("FIRN_MAINTENANCE__WORKERS", "1");
    let setup = setup.with("FIRN_MAINTENANCE__LEASE_MS", "1500");
    let mut firn = Firn::start(setup.with("FIRN_MAINTENANCE__REQUESTS_PER_SECOND", "12"));
    let (of, rows) = scattered(&firn, 2, PARTS).await;
    let id = compact(&firn, &of).await;
    begun(&of, 3).await;
    firn.restart_with(|setup| {
        setup.env.insert("FIRN_MAINTENANCE__REQUESTS_PER_SECOND".to_owned(), "0".to_owned());
    });
    let of = of.over(&firn, "t");
    assert_eq!(done(&firn, &id).await["attempt"], 2);
    check_compacted(&of, &rows, 8).await;
}

async fn a_suspended_worker_loses_its_job_to_another_worker(backend: Backend) {
    let firn = catalog(backend, 1_500).await;
    let (of, rows) = scattered(&firn, 2, PARTS).await;
    let id = compact(&firn, &of).await;
    let mut away = Worker::start(firn.root(), &SLOW);
    begun(&of, 3).await;
    away.signal("STOP");
    let mut successor = Worker::start(firn.root(), &[]);
    assert_eq!(done(&firn, &id).await["attempt"], 2);
    successor.kill();
    check_compacted(&of, &rows, 8).await;
    let committed = of.snapshot_id().await;

    away.signal("CONT");
    eventually("the end of the first attempt", async || {
        away.log().contains("was taken over by another worker").then_some(())
    })
    .await;
    assert_eq!(of.snapshot_id().await, committed);
    check_compacted(&of, &rows, 8).await;
    assert_eq!(job(&firn, &id).await["state"], "succeeded");
    // The worker can do other jobs afterwards.
    let (other, rows) = scattered(&firn, 2, 1).await;
    let id = compact(&firn, &other).await;
    done(&firn, &id).await;
    check_compacted(&other, &rows, 1).await;
    assert!(away.stop().await.success());
    assert!(!away.log().contains("panicked"), "{}", away.log());
}

async fn a_cancelled_job_ends_soon_and_keeps_completed_groups(backend: Backend) {
    let firn = catalog(backend, 3_000).await;
    let (of, rows) = scattered(&firn, 2, PARTS).await;
    let id = compact(&firn, &of).await;
    let _worker = Worker::start(firn.root(), &SLOW);
    begun(&of, 3).await;
    post(&firn, &format!("jobs/{id}/cancel"), &json!({})).await.expect(200);
    let cancelled = tokio::time::timeout(Duration::from_secs(10), ended(&firn, &id)).await;
    let cancelled = cancelled.expect("an end within seconds");
    assert_eq!(cancelled["state"], "cancelled");
    let files = of.data_files().await.len();
    assert!((8..24).contains(&files), "{files} files");
    let (rewritten, written) = (number(&cancelled, "files-rewritten"), number(&cancelled, "files-written"));
    assert_eq!(i64::try_from(files).unwrap(), i64::from(PARTS) * FILES - rewritten + written, "{cancelled}");
    assert_eq!(of.rows().await, rows);
    check_tidy(&of).await;
}

/// Requests a compaction, and leases it as a worker that stores this report and dies; returns the job's id.
async fn died_after(firn: &Firn, of: &Table, report: &Value) -> String {
    let id = compact(firn, of).await;
    let leased = lease(firn, "dead").await;
    assert_eq!(leased["job"]["job-id"], json!(id));
    let heartbeat = json!({ "lease": held(&leased), "result": report });
    post(firn, &at_job(&leased, "heartbeat"), &heartbeat).await.expect(200);
    assert_eq!(job(firn, &id).await["result"], *report);
    id
}

async fn commits_of_a_dead_worker_are_reported_by_the_next(backend: Backend) {
    let firn = catalog(backend, 1_500).await;
    let report = |pending: i64| {
        json!({
            "committed": true, "snapshot-ids": [5], "numbers": { "files-rewritten": 100 },
            "pending": { "added-snapshot-id": pending, "numbers": { "files-rewritten": 10 } },
        })
    };
    // The second commit was made, because the table has its snapshot.
    let (of, rows) = scattered(&firn, 2, 2).await;
    let second = of.snapshot_id().await;
    let id = died_after(&firn, &of, &report(second)).await;
    let mut worker = Worker::start(firn.root(), &[]);
    let job = done(&firn, &id).await;
    assert_eq!(number(&job, "files-rewritten"), 100 + 10 + 2 * FILES, "{job}");
    assert_eq!(job["result"]["snapshot-ids"], json!([5, second, of.snapshot_id().await]), "{job}");
    assert_eq!((&job["attempt"], &job["result"]["pending"]), (&json!(2), &Value::Null), "{job}");
    check_compacted(&of, &rows, 2).await;
    worker.kill();

    // The second commit was not made.
    let (of, rows) = scattered(&firn, 2, 1).await;
    let id = died_after(&firn, &of, &report(6)).await;
    let _worker = Worker::start(firn.root(), &[]);
    let job = done(&firn, &id).await;
    assert_eq!(number(&job, "files-rewritten"), 100 + FILES, "{job}");
    assert_eq!(job["result"]["snapshot-ids"], json!([5, of.snapshot_id().await]), "{job}");
    check_compacted(&of, &rows, 1).await;
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
