//! Queue of clean-up tasks.

use std::collections::BTreeSet;

use catalog_server::store::maintenance::cleanup::{self, Lease, NewTask, Task};
use tokio::join;
use uuid::Uuid;

use crate::fixture::{Fixture, new_id};

on_both_databases!(
    the_longest_due_task_comes_first,
    a_leased_task_comes_back_when_its_lease_ends,
    a_worker_that_lost_its_lease_is_refused,
    a_failed_task_waits_and_says_why,
    progress_outlives_the_worker,
    no_task_is_leased_twice,
    leases_of_a_process_that_is_gone_are_taken_back,
);

async fn enqueue(fixture: &Fixture, due_ms: i64) -> Uuid {
    let task_id = new_id();
    let warehouse_id = fixture.warehouse_id;
    let mut tx = fixture.write().await;
    let new = NewTask { task_id, warehouse_id, kind: "purge", payload: r#"["s3://b/t/"]"#, due_ms };
    cleanup::enqueue(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
    task_id
}

async fn lease(fixture: &Fixture, worker: &str, lease_ms: i64) -> Option<Task> {
    let mut tx = fixture.write().await;
    let task = cleanup::lease(&mut tx, worker, lease_ms).await.unwrap();
    tx.commit().await.unwrap();
    task
}

fn held<'a>(task: &Task, worker: &'a str) -> Lease<'a> {
    Lease { task_id: task.task_id, worker, attempt: task.attempts }
}

async fn the_longest_due_task_comes_first(fixture: &Fixture) {
    let second = enqueue(fixture, 2).await;
    let first = enqueue(fixture, 1).await;
    enqueue(fixture, i64::MAX).await;
    let listed = cleanup::list(&fixture.db, None, 2).await.unwrap();
    assert_eq!(listed.iter().map(|task| task.task_id).collect::<Vec<_>>(), [second, first]);
    assert_eq!(cleanup::list(&fixture.db, Some(first), 9).await.unwrap().len(), 1);

    let task = lease(fixture, "w", 60_000).await.unwrap();
    assert_eq!((task.task_id, task.attempts, task.leased_by.as_deref()), (first, 1, Some("w")));
    assert_eq!((task.kind.as_str(), task.payload.as_str()), ("purge", r#"["s3://b/t/"]"#));
    assert_eq!(lease(fixture, "w", 60_000).await.unwrap().task_id, second);
    assert_eq!(lease(fixture, "w", 60_000).await, None);
}

async fn a_leased_task_comes_back_when_its_lease_ends(fixture: &Fixture) {
    let task_id = enqueue(fixture, 1).await;
    lease(fixture, "one", 0).await.unwrap();
    let task = lease(fixture, "two", 60_000).await.unwrap();
    assert_eq!((task.task_id, task.attempts, task.leased_by.as_deref()), (task_id, 2, Some("two")));
}

async fn a_worker_that_lost_its_lease_is_refused(fixture: &Fixture) {
    enqueue(fixture, 1).await;
    let first = lease(fixture, "w", 0).await.unwrap();
    // The same worker after a restart: an equal name does not make the earlier attempt valid.
    let second = lease(fixture, "w", 60_000).await.unwrap();
    let before = cleanup::list(&fixture.db, None, 1).await.unwrap();

    let stale = held(&first, "w");
    let mut tx = fixture.write().await;
    assert!(!cleanup::extend(&mut tx, stale, 60_000, Some("{}")).await.unwrap());
    assert!(!cleanup::fail(&mut tx, stale, 0, "broken").await.unwrap());
    assert!(!cleanup::finish(&mut tx, stale).await.unwrap());
    assert!(!cleanup::finish(&mut tx, held(&second, "other")).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(cleanup::list(&fixture.db, None, 1).await.unwrap(), before);

    let mut tx = fixture.write().await;
    assert!(cleanup::finish(&mut tx, held(&second, "w")).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(cleanup::list(&fixture.db, None, 1).await.unwrap(), []);
}

async fn a_failed_task_waits_and_says_why(fixture: &Fixture) {
    enqueue(fixture, 1).await;
    let task = lease(fixture, "w", 60_000).await.unwrap();
    let mut tx = fixture.write().await;
    assert!(cleanup::fail(&mut tx, held(&task, "w"), i64::MAX, "access denied").await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(lease(fixture, "w", 60_000).await, None);
    let listed = cleanup::list(&fixture.db, None, 1).await.unwrap();
    assert_eq!(listed[0].last_error.as_deref(), Some("access denied"));
    assert_eq!((listed[0].leased_by.as_deref(), listed[0].due_ms), (None, i64::MAX));
}

async fn progress_outlives_the_worker(fixture: &Fixture) {
    enqueue(fixture, 1).await;
    let task = lease(fixture, "one", 60_000).await.unwrap();
    let extend = async |lease_ms, progress| {
        let mut tx = fixture.write().await;
        assert!(cleanup::extend(&mut tx, held(&task, "one"), lease_ms, progress).await.unwrap());
        tx.commit().await.unwrap();
    };
    extend(60_000, Some(r#"{"deleted":3}"#)).await;
    assert_eq!(lease(fixture, "two", 60_000).await, None);
    extend(0, None).await;
    let resumed = lease(fixture, "two", 60_000).await.unwrap();
    assert_eq!(resumed.progress.as_deref(), Some(r#"{"deleted":3}"#));
}

async fn no_task_is_leased_twice(fixture: &Fixture) {
    let mut enqueued = BTreeSet::new();
    for due_ms in 0..40 {
        enqueued.insert(enqueue(fixture, due_ms).await);
    }
    let work = async |worker: &str| {
        let mut leased = Vec::new();
        while let Some(task) = lease(fixture, worker, 60_000).await {
            leased.push(task.task_id);
        }
        leased
    };
    let (a, b, c, d) = join!(work("a"), work("b"), work("c"), work("d"));
    let leased: Vec<Uuid> = [a, b, c, d].concat();
    assert_eq!(leased.len(), enqueued.len());
    assert_eq!(leased.into_iter().collect::<BTreeSet<_>>(), enqueued);
}

async fn leases_of_a_process_that_is_gone_are_taken_back(fixture: &Fixture) {
    let task_id = enqueue(fixture, 1).await;
    let later = enqueue(fixture, i64::MAX).await;
    let before = lease(fixture, "crashed", 60_000).await.unwrap();
    let mut tx = fixture.write().await;
    assert_eq!(cleanup::take_back_all(&mut tx).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(lease(fixture, "new", 60_000).await.unwrap().task_id, task_id);
    // A task that is not due yet is not leased, and the earlier attempt is no longer valid.
    assert_eq!(lease(fixture, "new", 60_000).await, None);
    let mut tx = fixture.write().await;
    assert!(!cleanup::finish(&mut tx, held(&before, "crashed")).await.unwrap());
    drop(tx);
    assert!(cleanup::list(&fixture.db, None, 9).await.unwrap().iter().any(|task| task.task_id == later));
}
