//! Jobs that the server itself runs: maintenance workers neither get them nor can change them.

use std::collections::BTreeSet;

use catalog_server::store::engine::error::StoreError;
use catalog_server::store::ids::TabularId;
use catalog_server::store::maintenance::jobs::{
    self, CancelJob, JobFilter, JobLease, JobOutcome, JobRow, JobState, LeaseTerms, NewJobRow, Runner,
};
use catalog_server::store::maintenance::policies;
use tokio::join;
use uuid::Uuid;

use crate::fixture::{Fixture, new_id};

on_both_databases!(
    the_longest_due_job_comes_first,
    a_job_can_be_leased_again_when_its_lease_expires,
    a_server_that_lost_its_lease_is_refused,
    a_failed_job_waits_with_its_error,
    progress_survives_a_restart_of_the_server,
    no_job_is_leased_twice,
    jobs_leased_by_an_ended_process_are_queued_again,
    a_worker_does_not_get_jobs_of_the_server,
    a_worker_cannot_change_a_job_of_the_server,
    neither_a_pause_nor_a_running_job_delays_a_job_of_the_server,
    jobs_of_the_server_never_fail,
    a_job_of_the_server_cannot_be_cancelled,
    a_job_of_the_server_ends_with_success_only,
);

const TERMS: LeaseTerms = LeaseTerms { lease_ms: 0, attempts_max: 1 };

async fn enqueue(fixture: &Fixture, due_ms: i64) -> Uuid {
    enqueue_for(fixture, Runner::Server, TabularId(new_id()), due_ms).await
}

async fn enqueue_for(fixture: &Fixture, runner: Runner, tabular_id: TabularId, due_ms: i64) -> Uuid {
    let job_id = new_id();
    let new = NewJobRow {
        job_id,
        warehouse_id: fixture.warehouse_id,
        tabular_id,
        table_name: "main/ns.t",
        action: if runner == Runner::Server { "purge" } else { "compact" },
        runner,
        options: r#"["s3://b/t/"]"#,
        reason: "the table was dropped",
        requested_by: "alice",
        priority: 0,
        due_ms,
    };
    let mut tx = fixture.write().await;
    assert!(jobs::queue::enqueue(&mut tx, &new).await.unwrap());
    tx.commit().await.unwrap();
    job_id
}

async fn lease(fixture: &Fixture, server: &str, lease_ms: i64) -> Option<JobRow> {
    let mut tx = fixture.write().await;
    let job = jobs::lease::lease_for_server(&mut tx, server, lease_ms).await.unwrap();
    tx.commit().await.unwrap();
    job
}

async fn lease_to_worker(fixture: &Fixture) -> Option<JobRow> {
    let mut tx = fixture.write().await;
    let job = jobs::lease::lease(&mut tx, "w", TERMS).await.unwrap();
    tx.commit().await.unwrap();
    job
}

async fn find(fixture: &Fixture, job_id: Uuid) -> JobRow {
    jobs::find(&fixture.db, job_id).await.unwrap().unwrap()
}

fn lease_of<'a>(job: &JobRow, worker: &'a str) -> JobLease<'a> {
    JobLease { runner: Runner::Server, job_id: job.job_id, worker, attempt: job.attempt }
}

async fn the_longest_due_job_comes_first(fixture: &Fixture) {
    let second = enqueue(fixture, 2).await;
    let first = enqueue(fixture, 1).await;
    let third = enqueue(fixture, 2).await;
    let later = enqueue(fixture, i64::MAX).await;
    let listed = jobs::list_of_server(&fixture.db, 9).await.unwrap();
    let listed: BTreeSet<_> = listed.iter().map(|job| job.job_id).collect();
    assert_eq!(listed, BTreeSet::from([first, second, third, later]));
    assert_eq!(jobs::list_of_server(&fixture.db, 2).await.unwrap().len(), 2);

    let job = lease(fixture, "s", 60_000).await.unwrap();
    assert_eq!((job.job_id, job.attempt, job.worker.as_deref()), (first, 1, Some("s")));
    assert_eq!((job.action.as_str(), job.options.as_str()), ("purge", r#"["s3://b/t/"]"#));
    // A job that is given back waits behind those that have been due for longer.
    let mut tx = fixture.write().await;
    assert!(jobs::lease::give_back(&mut tx, lease_of(&job, "s"), 3, ("access denied", None)).await.unwrap());
    tx.commit().await.unwrap();
    for expected in [second, third, first] {
        assert_eq!(lease(fixture, "s", 60_000).await.unwrap().job_id, expected);
    }
    assert_eq!(lease(fixture, "s", 60_000).await, None);
}

async fn a_job_can_be_leased_again_when_its_lease_expires(fixture: &Fixture) {
    let job_id = enqueue(fixture, 1).await;
    lease(fixture, "one", 0).await.unwrap();
    let job = lease(fixture, "two", 60_000).await.unwrap();
    assert_eq!((job.job_id, job.attempt, job.worker.as_deref()), (job_id, 2, Some("two")));
}

async fn a_server_that_lost_its_lease_is_refused(fixture: &Fixture) {
    let job_id = enqueue(fixture, 1).await;
    let first = lease(fixture, "s", 0).await.unwrap();
    // The same server after a restart: an equal name does not make the earlier attempt valid.
    let second = lease(fixture, "s", 60_000).await.unwrap();
    let before = find(fixture, job_id).await;

    let stale = lease_of(&first, "s");
    let mut tx = fixture.write().await;
    assert_eq!(jobs::lease::extend(&mut tx, stale, 60_000, (Some("{}"), None)).await.unwrap(), None);
    assert!(!jobs::lease::give_back(&mut tx, stale, 0, ("broken", None)).await.unwrap());
    assert!(!jobs::lease::finish(&mut tx, stale, JobOutcome::Succeeded("{}")).await.unwrap());
    let other = lease_of(&second, "other");
    assert!(!jobs::lease::finish(&mut tx, other, JobOutcome::Succeeded("{}")).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(find(fixture, job_id).await, before);

    let mut tx = fixture.write().await;
    let lease = lease_of(&second, "s");
    assert!(jobs::lease::finish(&mut tx, lease, JobOutcome::Succeeded("{}")).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(jobs::list_of_server(&fixture.db, 9).await.unwrap(), []);
    assert_eq!(find(fixture, job_id).await.state, JobState::Succeeded);
}

async fn a_failed_job_waits_with_its_error(fixture: &Fixture) {
    let job_id = enqueue(fixture, 1).await;
    let job = lease(fixture, "s", 60_000).await.unwrap();
    let mut tx = fixture.write().await;
    let failed = jobs::lease::give_back(&mut tx, lease_of(&job, "s"), i64::MAX, ("access denied", None));
    assert!(failed.await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(lease(fixture, "s", 60_000).await, None);
    let job = find(fixture, job_id).await;
    assert_eq!(
        (job.error.as_deref(), job.state, job.due_ms),
        (Some("access denied"), JobState::Queued, i64::MAX)
    );
}

async fn progress_survives_a_restart_of_the_server(fixture: &Fixture) {
    enqueue(fixture, 1).await;
    let job = lease(fixture, "one", 60_000).await.unwrap();
    let extend = async |lease_ms, progress| {
        let mut tx = fixture.write().await;
        let extended =
            jobs::lease::extend(&mut tx, lease_of(&job, "one"), lease_ms, (progress, None)).await.unwrap();
        assert_eq!(extended, Some(false));
        tx.commit().await.unwrap();
    };
    extend(60_000, Some(r#"{"deleted":3}"#)).await;
    assert_eq!(lease(fixture, "two", 60_000).await, None);
    extend(0, None).await;
    let resumed = lease(fixture, "two", 60_000).await.unwrap();
    assert_eq!(resumed.progress.as_deref(), Some(r#"{"deleted":3}"#));
}

async fn no_job_is_leased_twice(fixture: &Fixture) {
    let mut enqueued = BTreeSet::new();
    for due_ms in 0..40 {
        enqueued.insert(enqueue(fixture, due_ms).await);
    }
    let work = async |server: &str| {
        let mut leased = Vec::new();
        while let Some(job) = lease(fixture, server, 60_000).await {
            leased.push(job.job_id);
        }
        leased
    };
    let (a, b, c, d) = join!(work("a"), work("b"), work("c"), work("d"));
    let leased: Vec<Uuid> = [a, b, c, d].concat();
    assert_eq!(leased.len(), enqueued.len());
    assert_eq!(leased.into_iter().collect::<BTreeSet<_>>(), enqueued);
}

async fn jobs_leased_by_an_ended_process_are_queued_again(fixture: &Fixture) {
    let job_id = enqueue(fixture, 1).await;
    let later = enqueue(fixture, i64::MAX).await;
    enqueue_for(fixture, Runner::Worker, TabularId(new_id()), 1).await;
    let of_worker = lease_to_worker(fixture).await.unwrap();
    let before = lease(fixture, "crashed", 60_000).await.unwrap();
    let mut tx = fixture.write().await;
    assert_eq!(jobs::lease::requeue_of_server(&mut tx).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(find(fixture, of_worker.job_id).await.state, JobState::Running);
    assert_eq!(lease(fixture, "new", 60_000).await.unwrap().job_id, job_id);
    // A job that is not due yet is not leased, and the earlier attempt is no longer valid.
    assert_eq!(lease(fixture, "new", 60_000).await, None);
    let mut tx = fixture.write().await;
    let stale = lease_of(&before, "crashed");
    assert!(!jobs::lease::finish(&mut tx, stale, JobOutcome::Succeeded("{}")).await.unwrap());
    drop(tx);
    assert_eq!(find(fixture, later).await.state, JobState::Queued);
}

async fn a_worker_does_not_get_jobs_of_the_server(fixture: &Fixture) {
    let of_server = enqueue(fixture, 1).await;
    assert_eq!(lease_to_worker(fixture).await, None);
    // Not even one whose lease has expired.
    lease(fixture, "s", 0).await.unwrap();
    assert_eq!(lease_to_worker(fixture).await, None);
    let of_worker = enqueue_for(fixture, Runner::Worker, TabularId(new_id()), 1).await;
    assert_eq!(lease(fixture, "s", 60_000).await.unwrap().job_id, of_server);
    assert_eq!(lease(fixture, "s", 60_000).await, None);
    assert_eq!(lease_to_worker(fixture).await.unwrap().job_id, of_worker);
    let listed = jobs::list(&fixture.db, JobFilter::default(), 9).await.unwrap();
    assert_eq!(listed.iter().map(|job| job.job_id).collect::<Vec<_>>(), [of_worker, of_server]);
}

async fn a_worker_cannot_change_a_job_of_the_server(fixture: &Fixture) {
    let table = TabularId(new_id());
    let job_id = enqueue_for(fixture, Runner::Server, table, 1).await;
    let mut tx = fixture.write().await;
    jobs::queue::fail_queued(&mut tx, table, "its table was dropped").await.unwrap();
    tx.commit().await.unwrap();
    let job = lease(fixture, "s", 60_000).await.unwrap();
    assert_eq!(job.job_id, job_id);

    let before = find(fixture, job_id).await;
    let of_worker = JobLease { runner: Runner::Worker, ..lease_of(&job, "s") };
    let mut tx = fixture.write().await;
    assert_eq!(jobs::lease::extend(&mut tx, of_worker, 0, (Some("{}"), None)).await.unwrap(), None);
    assert!(!jobs::lease::give_back(&mut tx, of_worker, 0, ("broken", None)).await.unwrap());
    assert!(!jobs::lease::finish(&mut tx, of_worker, JobOutcome::Cancelled(None)).await.unwrap());
    assert!(!jobs::outputs::add_outputs(&mut tx, of_worker, &["s3://b/f".to_owned()]).await.unwrap());
    assert!(!jobs::lease::fence_attempt(&mut tx, job_id, job.attempt).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(find(fixture, job_id).await, before);
}

async fn neither_a_pause_nor_a_running_job_delays_a_job_of_the_server(fixture: &Fixture) {
    let table = TabularId(new_id());
    enqueue_for(fixture, Runner::Worker, table, 1).await;
    let running = lease_to_worker(fixture).await.unwrap();
    let mut tx = fixture.write().await;
    policies::pause(&mut tx, table, "investigation", "alice").await.unwrap();
    tx.commit().await.unwrap();
    let job_id = enqueue_for(fixture, Runner::Server, table, 1).await;
    assert_eq!(lease(fixture, "s", 0).await.unwrap().job_id, job_id);
    assert_eq!(lease(fixture, "s", 60_000).await.unwrap().job_id, job_id);
    assert_eq!(find(fixture, running.job_id).await.state, JobState::Running);
}

async fn jobs_of_the_server_never_fail(fixture: &Fixture) {
    let job_id = enqueue(fixture, 1).await;
    for attempt in 1..=20 {
        let job = lease(fixture, "s", 0).await.unwrap();
        assert_eq!((job.job_id, job.attempt), (job_id, attempt));
        // A worker that looks for work ends jobs whose workers died too often.
        assert_eq!(lease_to_worker(fixture).await, None);
    }
}

async fn a_job_of_the_server_cannot_be_cancelled(fixture: &Fixture) {
    let job_id = enqueue(fixture, 1).await;
    let cancel = async || {
        let before = find(fixture, job_id).await;
        let mut tx = fixture.write().await;
        assert_eq!(jobs::queue::cancel(&mut tx, job_id).await.unwrap(), CancelJob::OfServer);
        tx.commit().await.unwrap();
        assert_eq!(find(fixture, job_id).await, before);
    };
    cancel().await;
    let job = lease(fixture, "s", 60_000).await.unwrap();
    cancel().await;
    let mut tx = fixture.write().await;
    let succeeded = JobOutcome::Succeeded("{}");
    assert!(jobs::lease::finish(&mut tx, lease_of(&job, "s"), succeeded).await.unwrap());
    tx.commit().await.unwrap();
    cancel().await;
}

async fn a_job_of_the_server_ends_with_success_only(fixture: &Fixture) {
    let job_id = enqueue(fixture, 1).await;
    let job = lease(fixture, "s", 60_000).await.unwrap();
    let before = find(fixture, job_id).await;
    for outcome in [JobOutcome::Failed("access denied", None), JobOutcome::Cancelled(None)] {
        let mut tx = fixture.write().await;
        let refused = jobs::lease::finish(&mut tx, lease_of(&job, "s"), outcome).await.unwrap_err();
        assert!(matches!(refused, StoreError::Database(_)), "{outcome:?}: {refused}");
        drop(tx);
        assert_eq!(find(fixture, job_id).await, before, "{outcome:?}");
    }
}
