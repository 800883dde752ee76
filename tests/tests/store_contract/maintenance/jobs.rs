//! Maintenance jobs: the queue, leases, and the outputs that workers leave behind.

use std::collections::BTreeSet;

use catalog_server::store::engine::error::StoreError;
use catalog_server::store::ids::TabularId;
use catalog_server::store::maintenance::jobs::{
    self, CancelJob, FinishedJob, JobFilter, JobLease, JobOutcome, JobRow, JobState, LeaseTerms, NewJobRow,
    Runner,
};
use catalog_server::store::maintenance::policies;
use tokio::join;
use uuid::Uuid;

use crate::fixture::{Fixture, new_id};

on_both_databases!(
    the_same_action_is_not_queued_twice,
    due_jobs_are_leased_in_the_order_of_their_priority,
    no_two_jobs_of_a_table_run_at_once,
    a_job_of_a_worker_that_died_is_taken_over,
    a_job_whose_workers_die_repeatedly_fails,
    an_earlier_attempt_is_refused,
    heartbeats_store_progress_and_return_cancellations,
    a_cancelled_job_without_a_worker_ends,
    a_returned_job_waits,
    the_result_of_a_job_is_kept_after_any_end,
    returns_of_a_job_do_not_count_as_deaths_of_workers,
    ended_jobs_are_listed_and_pruned,
    outputs_of_earlier_attempts_are_listed,
    no_job_is_leased_twice,
    no_job_of_a_paused_table_is_leased,
    a_requested_job_replaces_a_queued_automatic_job,
    the_last_jobs_of_an_action_are_found,
    a_change_is_recorded_with_the_running_job,
    only_the_last_succeeded_jobs_are_kept,
    queued_jobs_of_a_table_can_be_failed,
    progress_of_an_unfinished_job_is_passed_to_the_next,
    a_queued_automatic_job_is_updated,
);

const TERMS: LeaseTerms = LeaseTerms { lease_ms: 60_000, attempts_max: 3 };
const EXPIRES_AT_ONCE: LeaseTerms = LeaseTerms { lease_ms: 0, attempts_max: 3 };

struct NewJob {
    table: TabularId,
    action: &'static str,
    priority: i64,
    due_ms: i64,
}

fn compact(table: TabularId) -> NewJob {
    NewJob { table, action: "compact", priority: 0, due_ms: 0 }
}

fn table() -> TabularId {
    TabularId(new_id())
}

/// Queues a job; returns its id if it was queued.
async fn enqueue(fixture: &Fixture, new_job: &NewJob) -> Option<Uuid> {
    let new = NewJobRow {
        job_id: new_id(),
        warehouse_id: fixture.warehouse_id,
        tabular_id: new_job.table,
        table_name: "main.ns.t",
        action: new_job.action,
        runner: Runner::Worker,
        options: r#"{"target-bytes":1}"#,
        reason: "many small files",
        requested_by: "alice",
        priority: new_job.priority,
        due_ms: new_job.due_ms,
    };
    let mut tx = fixture.write().await;
    let queued = jobs::queue::enqueue(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
    queued.then_some(new.job_id)
}

async fn lease(fixture: &Fixture, worker: &str, terms: LeaseTerms) -> Option<JobRow> {
    let mut tx = fixture.write().await;
    let job = jobs::lease::lease(&mut tx, worker, terms).await.unwrap();
    tx.commit().await.unwrap();
    job
}

async fn finish(fixture: &Fixture, lease: JobLease<'_>, outcome: JobOutcome<'_>) -> bool {
    let mut tx = fixture.write().await;
    let finished = jobs::lease::finish(&mut tx, lease, outcome).await.unwrap();
    tx.commit().await.unwrap();
    finished
}

async fn cancel(fixture: &Fixture, job_id: Uuid) -> CancelJob {
    let mut tx = fixture.write().await;
    let cancelled = jobs::queue::cancel(&mut tx, job_id).await.unwrap();
    tx.commit().await.unwrap();
    cancelled
}

async fn find(fixture: &Fixture, job_id: Uuid) -> JobRow {
    jobs::find(&fixture.db, job_id).await.unwrap().unwrap()
}

fn lease_of<'a>(job: &JobRow, worker: &'a str) -> JobLease<'a> {
    JobLease { runner: job.runner, job_id: job.job_id, worker, attempt: job.attempt }
}

async fn the_same_action_is_not_queued_twice(fixture: &Fixture) {
    let table = table();
    let first = enqueue(fixture, &compact(table)).await.unwrap();
    assert_eq!(enqueue(fixture, &compact(table)).await, None);
    assert!(enqueue(fixture, &NewJob { action: "expire-snapshots", ..compact(table) }).await.is_some());
    assert!(enqueue(fixture, &compact(TabularId(new_id()))).await.is_some());

    let job = find(fixture, first).await;
    assert_eq!((job.state, job.attempt, job.tabular_id), (JobState::Queued, 0, table));
    assert_eq!((job.table_name.as_str(), job.action.as_str()), ("main.ns.t", "compact"));
    assert_eq!((job.options.as_str(), job.reason.as_str()), (r#"{"target-bytes":1}"#, "many small files"));
    assert_eq!((job.requested_by.as_str(), job.worker), ("alice", None));

    // Neither while it runs; but again after it has ended.
    let job = lease(fixture, "w", TERMS).await.unwrap();
    assert_eq!(job.job_id, first);
    assert_eq!(enqueue(fixture, &compact(table)).await, None);
    assert!(finish(fixture, lease_of(&job, "w"), JobOutcome::Succeeded("{}")).await);
    assert!(enqueue(fixture, &compact(table)).await.is_some());
}

async fn due_jobs_are_leased_in_the_order_of_their_priority(fixture: &Fixture) {
    let small = enqueue(fixture, &compact(table())).await.unwrap();
    let large = enqueue(fixture, &NewJob { priority: 9, ..compact(table()) }).await.unwrap();
    enqueue(fixture, &NewJob { priority: 99, due_ms: i64::MAX, ..compact(table()) }).await.unwrap();
    assert_eq!(lease(fixture, "w", TERMS).await.unwrap().job_id, large);
    assert_eq!(lease(fixture, "w", TERMS).await.unwrap().job_id, small);
    assert_eq!(lease(fixture, "w", TERMS).await, None);
}

async fn no_two_jobs_of_a_table_run_at_once(fixture: &Fixture) {
    let table = table();
    let first = enqueue(fixture, &compact(table)).await.unwrap();
    let second = enqueue(fixture, &NewJob { action: "expire-snapshots", ..compact(table) }).await.unwrap();
    let job = lease(fixture, "one", TERMS).await.unwrap();
    assert_eq!(job.job_id, first);
    assert_eq!(lease(fixture, "two", TERMS).await, None);
    assert!(finish(fixture, lease_of(&job, "one"), JobOutcome::Failed("broken", None)).await);
    assert_eq!(lease(fixture, "two", TERMS).await.unwrap().job_id, second);
}

async fn a_job_of_a_worker_that_died_is_taken_over(fixture: &Fixture) {
    let job_id = enqueue(fixture, &compact(table())).await.unwrap();
    enqueue(fixture, &NewJob { priority: 99, due_ms: i64::MAX, ..compact(table()) }).await.unwrap();
    let first = lease(fixture, "one", EXPIRES_AT_ONCE).await.unwrap();
    let second = lease(fixture, "two", TERMS).await.unwrap();
    assert_eq!((second.job_id, second.attempt, second.worker.as_deref()), (job_id, 2, Some("two")));
    assert_eq!(second.started_ms, first.started_ms);
}

async fn a_job_whose_workers_die_repeatedly_fails(fixture: &Fixture) {
    let job_id = enqueue(fixture, &compact(table())).await.unwrap();
    for attempt in 1..=3 {
        assert_eq!(lease(fixture, "w", EXPIRES_AT_ONCE).await.unwrap().attempt, attempt);
    }
    assert_eq!(lease(fixture, "w", EXPIRES_AT_ONCE).await, None);
    let job = find(fixture, job_id).await;
    assert_eq!(job.state, JobState::Failed);
    assert_eq!(job.error.as_deref(), Some("its workers died 3 times, the last one was w"));
    assert!(job.finished_ms.is_some());
}

async fn an_earlier_attempt_is_refused(fixture: &Fixture) {
    let job_id = enqueue(fixture, &compact(table())).await.unwrap();
    let first = lease(fixture, "w", EXPIRES_AT_ONCE).await.unwrap();
    // The same worker after a restart: an equal name does not make the earlier attempt valid.
    let second = lease(fixture, "w", TERMS).await.unwrap();
    let before = find(fixture, job_id).await;

    let stale = lease_of(&first, "w");
    let mut tx = fixture.write().await;
    assert_eq!(jobs::lease::extend(&mut tx, stale, 60_000, (Some("{}"), None)).await.unwrap(), None);
    assert!(!jobs::lease::give_back(&mut tx, stale, 0, ("broken", None)).await.unwrap());
    assert!(!jobs::lease::finish(&mut tx, stale, JobOutcome::Succeeded("{}")).await.unwrap());
    assert!(!jobs::outputs::add_outputs(&mut tx, stale, &["a".to_owned()]).await.unwrap());
    assert!(
        !jobs::lease::finish(&mut tx, lease_of(&second, "other"), JobOutcome::Cancelled(None)).await.unwrap()
    );
    tx.commit().await.unwrap();
    assert_eq!(find(fixture, job_id).await, before);

    assert!(finish(fixture, lease_of(&second, "w"), JobOutcome::Succeeded(r#"{"files":3}"#)).await);
    let job = find(fixture, job_id).await;
    assert_eq!((job.state, job.result.as_deref()), (JobState::Succeeded, Some(r#"{"files":3}"#)));
    // A job can be completed only once.
    assert!(!finish(fixture, lease_of(&second, "w"), JobOutcome::Failed("x", None)).await);
}

async fn heartbeats_store_progress_and_return_cancellations(fixture: &Fixture) {
    let job_id = enqueue(fixture, &compact(table())).await.unwrap();
    let job = lease(fixture, "w", TERMS).await.unwrap();
    let lease = lease_of(&job, "w");
    let extend = async |progress| {
        let mut tx = fixture.write().await;
        let is_cancelled = jobs::lease::extend(&mut tx, lease, 60_000, (progress, None)).await.unwrap();
        tx.commit().await.unwrap();
        is_cancelled
    };
    assert_eq!(extend(Some(r#"{"done":1}"#)).await, Some(false));
    assert_eq!(extend(None).await, Some(false));
    assert_eq!(find(fixture, job_id).await.progress.as_deref(), Some(r#"{"done":1}"#));

    assert_eq!(cancel(fixture, job_id).await, CancelJob::Wanted);
    assert_eq!(extend(None).await, Some(true));
    assert!(finish(fixture, lease, JobOutcome::Cancelled(None)).await);
    assert_eq!(find(fixture, job_id).await.state, JobState::Cancelled);
    assert_eq!(cancel(fixture, job_id).await, CancelJob::Over);
    assert_eq!(cancel(fixture, new_id()).await, CancelJob::Missing);
}

async fn a_cancelled_job_without_a_worker_ends(fixture: &Fixture) {
    let queued = enqueue(fixture, &compact(table())).await.unwrap();
    assert_eq!(cancel(fixture, queued).await, CancelJob::Cancelled);
    let abandoned = enqueue(fixture, &compact(table())).await.unwrap();
    lease(fixture, "w", EXPIRES_AT_ONCE).await.unwrap();
    assert_eq!(cancel(fixture, abandoned).await, CancelJob::Wanted);
    assert_eq!(lease(fixture, "w", TERMS).await, None);
    for job_id in [queued, abandoned] {
        let job = find(fixture, job_id).await;
        assert_eq!((job.state, job.error), (JobState::Cancelled, None));
        assert!(job.finished_ms.is_some());
    }
}

async fn a_returned_job_waits(fixture: &Fixture) {
    let job_id = enqueue(fixture, &compact(table())).await.unwrap();
    let job = lease(fixture, "w", TERMS).await.unwrap();
    let mut tx = fixture.write().await;
    assert!(
        jobs::lease::give_back(&mut tx, lease_of(&job, "w"), i64::MAX, ("no disk left", None)).await.unwrap()
    );
    tx.commit().await.unwrap();
    assert_eq!(lease(fixture, "w", TERMS).await, None);
    let job = find(fixture, job_id).await;
    assert_eq!((job.state, job.error.as_deref()), (JobState::Queued, Some("no disk left")));
}

async fn returns_of_a_job_do_not_count_as_deaths_of_workers(fixture: &Fixture) {
    let job_id = enqueue(fixture, &compact(table())).await.unwrap();
    for _ in 0..TERMS.attempts_max {
        let job = lease(fixture, "w", TERMS).await.unwrap();
        let mut tx = fixture.write().await;
        assert!(
            jobs::lease::give_back(&mut tx, lease_of(&job, "w"), 0, ("no disk left", None)).await.unwrap()
        );
        tx.commit().await.unwrap();
    }
    // Each worker has died when the next one asks.
    for _ in 0..TERMS.attempts_max {
        assert_eq!(lease(fixture, "w", EXPIRES_AT_ONCE).await.map(|job| job.job_id), Some(job_id));
    }
    assert_eq!(lease(fixture, "w", EXPIRES_AT_ONCE).await, None);
    let job = find(fixture, job_id).await;
    let error = format!("its workers died {} times, the last one was w", TERMS.attempts_max);
    assert_eq!((job.state, job.error.as_deref()), (JobState::Failed, Some(error.as_str())));
}

async fn the_result_of_a_job_is_kept_after_any_end(fixture: &Fixture) {
    const RESULT: &str = r#"{"committed":true}"#;
    let next = async |terms| {
        let job_id = enqueue(fixture, &compact(table())).await.unwrap();
        let job = lease(fixture, "w", terms).await.unwrap();
        let mut tx = fixture.write().await;
        let lease_ms = terms.lease_ms;
        jobs::lease::extend(&mut tx, lease_of(&job, "w"), lease_ms, (None, Some(RESULT)))
            .await
            .unwrap()
            .unwrap();
        jobs::lease::extend(&mut tx, lease_of(&job, "w"), lease_ms, (Some("{}"), None))
            .await
            .unwrap()
            .unwrap();
        tx.commit().await.unwrap();
        (job_id, job)
    };
    let result = async |job_id| find(fixture, job_id).await.result;
    for outcome in [JobOutcome::Failed("x", None), JobOutcome::Cancelled(None)] {
        let (job_id, job) = next(TERMS).await;
        assert!(finish(fixture, lease_of(&job, "w"), outcome).await);
        assert_eq!(result(job_id).await.as_deref(), Some(RESULT));
    }
    let (_, job) = next(TERMS).await;
    let mut tx = fixture.write().await;
    assert!(jobs::lease::give_back(&mut tx, lease_of(&job, "w"), 0, ("x", None)).await.unwrap());
    tx.commit().await.unwrap();
    let job = lease(fixture, "w", TERMS).await.unwrap();
    assert_eq!(job.result.as_deref(), Some(RESULT));
    assert!(finish(fixture, lease_of(&job, "w"), JobOutcome::Succeeded("{}")).await);
    assert_eq!(result(job.job_id).await.as_deref(), Some("{}"));
    // A worker that died.
    let (job_id, _) = next(EXPIRES_AT_ONCE).await;
    let job = lease(fixture, "other", TERMS).await.unwrap();
    assert_eq!((job.job_id, job.attempt, job.result.as_deref()), (job_id, 2, Some(RESULT)));
}

async fn ended_jobs_are_listed_and_pruned(fixture: &Fixture) {
    let (one, other) = (table(), table());
    let mut ids = Vec::new();
    for new_job in [compact(one), compact(other), NewJob { action: "expire-snapshots", ..compact(one) }] {
        ids.push(enqueue(fixture, &new_job).await.unwrap());
    }
    let list = async |filter| {
        let jobs = jobs::list(&fixture.db, filter, 2).await.unwrap();
        jobs.iter().map(|job| job.job_id).collect::<Vec<_>>()
    };
    let all = JobFilter::default();
    assert_eq!(list(all).await, [ids[2], ids[1]]);
    assert_eq!(list(JobFilter { before: Some(ids[1]), ..all }).await, [ids[0]]);
    assert_eq!(list(JobFilter { tabular_id: Some(one), ..all }).await, [ids[2], ids[0]]);
    let job = lease(fixture, "w", TERMS).await.unwrap();
    assert_eq!(list(JobFilter { state: Some(JobState::Running), ..all }).await, [job.job_id]);
    assert_eq!(
        list(JobFilter { state: Some(JobState::Queued), tabular_id: Some(other), ..all }).await,
        [ids[1]]
    );

    let mut tx = fixture.write().await;
    assert!(jobs::outputs::add_outputs(&mut tx, lease_of(&job, "w"), &["a".to_owned()]).await.unwrap());
    assert!(jobs::lease::finish(&mut tx, lease_of(&job, "w"), JobOutcome::Failed("x", None)).await.unwrap());
    tx.commit().await.unwrap();
    // Files of the job may still exist.
    let prune = async |before_ms| {
        let mut tx = fixture.write().await;
        let pruned = jobs::prune::prune(&mut tx, before_ms, 10).await.unwrap();
        tx.commit().await.unwrap();
        pruned
    };
    assert_eq!(prune(i64::MAX).await, 0);
    let mut tx = fixture.write().await;
    jobs::outputs::forget_outputs(&mut tx, job.job_id, &["a".to_owned()]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(prune(0).await, 0);
    assert_eq!(prune(i64::MAX).await, 1);
    assert_eq!(jobs::find(&fixture.db, job.job_id).await.unwrap(), None);
}

async fn outputs_of_earlier_attempts_are_listed(fixture: &Fixture) {
    let job_id = enqueue(fixture, &compact(table())).await.unwrap();
    let first = lease(fixture, "one", EXPIRES_AT_ONCE).await.unwrap();
    let add = async |job: &JobRow, worker, paths: &[&str]| {
        let paths: Vec<_> = paths.iter().map(|path| (*path).to_owned()).collect();
        let mut tx = fixture.write().await;
        assert!(jobs::outputs::add_outputs(&mut tx, lease_of(job, worker), &paths).await.unwrap());
        tx.commit().await.unwrap();
    };
    add(&first, "one", &["b", "a", "😀"]).await;
    add(&first, "one", &["a"]).await;
    let second = lease(fixture, "two", TERMS).await.unwrap();
    add(&second, "two", &["c"]).await;
    let list =
        async |after, limit| jobs::outputs::list_outputs(&fixture.db, job_id, 2, after, limit).await.unwrap();
    assert_eq!(list("", 2).await, ["a", "b"]);
    assert_eq!(list("b", 2).await, ["😀"]);
    assert_eq!(
        jobs::outputs::list_outputs(&fixture.db, job_id, 3, "", 9).await.unwrap(),
        ["a", "b", "c", "😀"]
    );
}

async fn no_job_is_leased_twice(fixture: &Fixture) {
    let tables: Vec<_> = (0..8).map(|_| table()).collect();
    for action in ["compact", "expire-snapshots"] {
        for table in &tables {
            enqueue(fixture, &NewJob { action, ..compact(*table) }).await.unwrap();
        }
    }
    let drain = async |worker: &'static str| {
        let mut leased = Vec::new();
        loop {
            let mut tx = fixture.write().await;
            match jobs::lease::lease(&mut tx, worker, TERMS).await {
                Ok(Some(job)) => {
                    tx.commit().await.unwrap();
                    leased.push(job);
                }
                Ok(None) => return leased,
                // Both transactions saw another job of the same table.
                Err(StoreError::Serialization(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let (one, two) = join!(drain("one"), drain("two"));
    let leased: Vec<_> = one.iter().chain(&two).collect();
    let distinct: BTreeSet<_> = leased.iter().map(|job| job.tabular_id).collect();
    assert_eq!((leased.len(), distinct.len()), (8, 8));
}

async fn no_job_of_a_paused_table_is_leased(fixture: &Fixture) {
    let (paused, abandoned_table) = (table(), table());
    enqueue(fixture, &NewJob { priority: 9, ..compact(abandoned_table) }).await.unwrap();
    let abandoned = lease(fixture, "gone", EXPIRES_AT_ONCE).await.unwrap();
    let waiting = enqueue(fixture, &NewJob { priority: 9, ..compact(paused) }).await.unwrap();
    let other = enqueue(fixture, &compact(table())).await.unwrap();
    let mut tx = fixture.write().await;
    for table in [paused, abandoned_table] {
        policies::pause(&mut tx, table, "a migration", "alice").await.unwrap();
    }
    tx.commit().await.unwrap();
    // Neither the waiting job nor the one with an expired lease is leased, though both have precedence.
    assert_eq!(lease(fixture, "w", TERMS).await.unwrap().job_id, other);
    assert_eq!(lease(fixture, "w", TERMS).await, None);
    assert_eq!(find(fixture, waiting).await.state, JobState::Queued);

    let mut tx = fixture.write().await;
    for table in [paused, abandoned_table] {
        assert!(policies::resume(&mut tx, table).await.unwrap());
    }
    tx.commit().await.unwrap();
    assert_eq!(lease(fixture, "w", TERMS).await.unwrap().job_id, abandoned.job_id);
    assert_eq!(lease(fixture, "w", TERMS).await.unwrap().job_id, waiting);
}

async fn a_requested_job_replaces_a_queued_automatic_job(fixture: &Fixture) {
    let table = table();
    let first = enqueue(fixture, &NewJob { due_ms: i64::MAX, ..compact(table) }).await.unwrap();
    let new = NewJobRow {
        job_id: new_id(),
        warehouse_id: fixture.warehouse_id,
        tabular_id: table,
        table_name: "main/new.name",
        action: "compact",
        runner: Runner::Worker,
        options: "{}",
        reason: "requested",
        requested_by: "bob",
        priority: 7,
        due_ms: 1,
    };
    let take_over = async |new: &NewJobRow<'_>, from| {
        let mut tx = fixture.write().await;
        let job_id = jobs::queue::take_over(&mut tx, new, from).await.unwrap();
        tx.commit().await.unwrap();
        job_id
    };
    assert_eq!(take_over(&new, "another caller").await, None);
    assert_eq!(take_over(&NewJobRow { action: "evaluate", ..new }, "alice").await, None);
    assert_eq!(take_over(&new, "alice").await, Some(first));
    let job = lease(fixture, "w", TERMS).await.unwrap();
    assert_eq!(
        (job.job_id, job.table_name.as_str(), job.priority, job.due_ms),
        (first, "main/new.name", 7, 1)
    );
    assert_eq!(
        (job.options.as_str(), job.reason.as_str(), job.requested_by.as_str()),
        ("{}", "requested", "bob")
    );
    // By now the job is leased by a worker.
    assert_eq!(take_over(&new, "bob").await, None);
}

async fn the_last_jobs_of_an_action_are_found(fixture: &Fixture) {
    let (table, other) = (table(), table());
    let mut ids = Vec::new();
    for outcome in
        [JobOutcome::Succeeded("{}"), JobOutcome::Cancelled(None), JobOutcome::Failed("broken", None)]
    {
        ids.push(enqueue(fixture, &compact(table)).await.unwrap());
        let job = lease(fixture, "w", TERMS).await.unwrap();
        assert!(finish(fixture, lease_of(&job, "w"), outcome).await);
    }
    let last = async |table, action, state| {
        let found = jobs::find_last(&fixture.db, table, action, state).await.unwrap();
        found.map(|job| job.job_id)
    };
    assert_eq!(last(table, "compact", None).await, Some(ids[2]));
    assert_eq!(last(table, "compact", Some(JobState::Succeeded)).await, Some(ids[0]));
    assert_eq!(last(table, "compact", Some(JobState::Running)).await, None);
    assert_eq!(last(table, "evaluate", None).await, None);
    assert_eq!(last(other, "compact", None).await, None);

    let list_finished =
        async |limit| jobs::list_finished(&fixture.db, table, "compact", limit).await.unwrap();
    let jobs = [find(fixture, ids[2]).await, find(fixture, ids[0]).await];
    let finished = jobs.map(|JobRow { state, attempt, started_ms, finished_ms, .. }| FinishedJob {
        state,
        attempt,
        started_ms,
        finished_ms,
    });
    assert_eq!(list_finished(9).await, finished);
    assert_eq!(list_finished(1).await, finished[..1]);
    assert_eq!(finished[0].state, JobState::Failed);

    let evaluate = enqueue(fixture, &NewJob { action: "evaluate", ..compact(table) }).await.unwrap();
    let again = enqueue(fixture, &compact(table)).await.unwrap();
    enqueue(fixture, &compact(other)).await.unwrap();
    assert_eq!(list_finished(9).await, finished);
    lease(fixture, "w", TERMS).await.unwrap();
    let open = jobs::list_open(&fixture.db, table).await.unwrap();
    let open: BTreeSet<_> = open.iter().map(|job| (job.job_id, job.state.as_str())).collect();
    assert_eq!(open, BTreeSet::from([(evaluate, "running"), (again, "queued")]));
}

async fn a_change_is_recorded_with_the_running_job(fixture: &Fixture) {
    let table = table();
    let note_change = async |action, changed_ms| {
        let mut tx = fixture.write().await;
        let recorded = jobs::queue::note_change(&mut tx, table, action, changed_ms).await.unwrap();
        tx.commit().await.unwrap();
        recorded
    };
    let known = async |job_id| {
        let mut tx = fixture.write().await;
        jobs::queue::find_change(&mut tx, job_id).await.unwrap()
    };
    assert!(!note_change("compact", 1).await);
    let job_id = enqueue(fixture, &compact(table)).await.unwrap();
    assert!(note_change("compact", 2).await);
    assert_eq!(known(job_id).await, None);
    let first = lease(fixture, "w", EXPIRES_AT_ONCE).await.unwrap();
    assert_eq!(first.job_id, job_id);
    for changed_ms in [3, 4] {
        assert!(note_change("compact", changed_ms).await);
    }
    assert!(!note_change("evaluate", 5).await);
    assert_eq!(known(job_id).await, Some(3));
    // A new attempt sees the change.
    let second = lease(fixture, "w", TERMS).await.unwrap();
    assert_eq!(known(job_id).await, None);
    assert!(finish(fixture, lease_of(&second, "w"), JobOutcome::Cancelled(None)).await);
    assert!(!note_change("compact", 6).await);
}

async fn only_the_last_succeeded_jobs_are_kept(fixture: &Fixture) {
    let (one, other) = (table(), table());
    let mut ids = Vec::new();
    for new_job in [compact(one), NewJob { action: "evaluate", ..compact(one) }, compact(other)] {
        for outcome in [
            JobOutcome::Succeeded("{}"),
            JobOutcome::Failed("x", None),
            JobOutcome::Succeeded("{}"),
            JobOutcome::Succeeded("{}"),
        ] {
            ids.push(enqueue(fixture, &new_job).await.unwrap());
            let job = lease(fixture, "w", TERMS).await.unwrap();
            assert!(finish(fixture, lease_of(&job, "w"), outcome).await);
        }
    }
    let mut tx = fixture.write().await;
    jobs::prune::prune_succeeded(&mut tx, one, "compact", 1).await.unwrap();
    tx.commit().await.unwrap();
    for (number, job_id) in ids.into_iter().enumerate() {
        let is_kept = jobs::find(&fixture.db, job_id).await.unwrap().is_some();
        assert_eq!(is_kept, ![0, 2].contains(&number), "job {number}");
    }
}

async fn queued_jobs_of_a_table_can_be_failed(fixture: &Fixture) {
    let (one, other) = (table(), table());
    let running = enqueue(fixture, &NewJob { priority: 9, ..compact(one) }).await.unwrap();
    lease(fixture, "w", TERMS).await.unwrap();
    let queued = enqueue(fixture, &NewJob { action: "evaluate", ..compact(one) }).await.unwrap();
    let other_queued = enqueue(fixture, &compact(other)).await.unwrap();
    let mut tx = fixture.write().await;
    jobs::queue::fail_queued(&mut tx, one, "its table was dropped").await.unwrap();
    tx.commit().await.unwrap();
    let failed = find(fixture, queued).await;
    assert_eq!((failed.state, failed.error.as_deref()), (JobState::Failed, Some("its table was dropped")));
    assert!(failed.finished_ms.is_some());
    assert_eq!(find(fixture, running).await.state, JobState::Running);
    assert_eq!(find(fixture, other_queued).await.state, JobState::Queued);
}

async fn progress_of_an_unfinished_job_is_passed_to_the_next(fixture: &Fixture) {
    const PROGRESS: &str = r#"{"note":"x"}"#;
    let table = table();
    let next = async |outcome: Option<JobOutcome<'_>>, progress: Option<&str>| {
        enqueue(fixture, &compact(table)).await.unwrap();
        let job = lease(fixture, "w", TERMS).await.unwrap();
        let mut tx = fixture.write().await;
        let unfinished = jobs::lease::find_unfinished(&mut tx, &job).await.unwrap();
        jobs::lease::extend(&mut tx, lease_of(&job, "w"), 1_000, (progress, None)).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        match outcome {
            Some(outcome) => assert!(finish(fixture, lease_of(&job, "w"), outcome).await),
            None => assert_eq!(cancel(fixture, job.job_id).await, CancelJob::Wanted),
        }
        unfinished
    };
    assert_eq!(next(Some(JobOutcome::Failed("x", None)), Some(PROGRESS)).await, None);
    // Jobs that never ran do not count, nor do those of other actions or other tables.
    let queued = enqueue(fixture, &compact(table)).await.unwrap();
    assert_eq!(cancel(fixture, queued).await, CancelJob::Cancelled);
    for other in [NewJob { action: "evaluate", ..compact(table) }, compact(self::table())] {
        enqueue(fixture, &other).await.unwrap();
        let job = lease(fixture, "w", TERMS).await.unwrap();
        assert!(finish(fixture, lease_of(&job, "w"), JobOutcome::Succeeded("{}")).await);
    }
    assert_eq!(next(Some(JobOutcome::Cancelled(None)), Some(PROGRESS)).await.as_deref(), Some(PROGRESS));
    assert_eq!(next(Some(JobOutcome::Succeeded("{}")), Some(PROGRESS)).await.as_deref(), Some(PROGRESS));
    assert_eq!(next(None, Some(PROGRESS)).await, None);
}

async fn a_queued_automatic_job_is_updated(fixture: &Fixture) {
    let table = table();
    let new_job = NewJob { due_ms: 5_000, ..compact(table) };
    let job_id = enqueue(fixture, &new_job).await.unwrap();
    let new = |due_ms| NewJobRow {
        job_id: new_id(),
        warehouse_id: fixture.warehouse_id,
        tabular_id: table,
        table_name: "main.ns.t",
        action: "compact",
        runner: Runner::Worker,
        options: "{}",
        reason: "even more small files",
        requested_by: "bob",
        priority: 7,
        due_ms,
    };
    let renew = async |due_ms: i64, requested_by: &str| {
        let mut tx = fixture.write().await;
        jobs::queue::renew(&mut tx, &new(due_ms), requested_by).await.unwrap();
        tx.commit().await.unwrap();
        find(fixture, job_id).await
    };
    // A job that was requested by another caller is not changed.
    let job = renew(1_000, "bob").await;
    assert_eq!((job.reason.as_str(), job.due_ms), ("many small files", 5_000));
    // The job never becomes due later than before.
    let job = renew(9_000, "alice").await;
    assert_eq!(
        (job.reason.as_str(), job.options.as_str(), job.due_ms, job.requested_by.as_str()),
        ("even more small files", "{}", 5_000, "alice")
    );
    assert_eq!(renew(1_000, "alice").await.due_ms, 1_000);
    // A leased job is not changed either.
    lease(fixture, "w", TERMS).await.unwrap();
    assert_eq!(renew(500, "alice").await.due_ms, 1_000);
}
