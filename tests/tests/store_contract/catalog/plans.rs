//! Stored scan plans, and the keys with which their plan tasks are signed.

use catalog_server::store::catalog::plans::{self, NewPlan, Plan, PlanOutcome};
use catalog_server::store::ids::TabularId;
use tokio::join;
use uuid::Uuid;

use crate::fixture::{Fixture, new_id};

on_both_databases!(
    a_plan_is_found_as_it_was_submitted,
    a_result_is_stored_once,
    a_cancelled_plan_keeps_neither_request_nor_result,
    old_plans_are_pruned_in_bounded_steps,
    all_callers_get_the_same_key,
);

async fn submit(fixture: &Fixture) -> Uuid {
    let plan_id = new_id();
    let new = NewPlan {
        plan_id,
        tabular_id: TabularId(Uuid::from_u128(7)),
        caller: "alice",
        metadata_location: "t/v1",
        request: "{}",
    };
    let mut tx = fixture.write().await;
    plans::submit(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
    plan_id
}

async fn find(fixture: &Fixture, plan_id: Uuid) -> Option<Plan> {
    plans::find(&fixture.db, plan_id).await.unwrap()
}

async fn complete(fixture: &Fixture, plan_id: Uuid, answer: &str) -> bool {
    let mut tx = fixture.write().await;
    let is_stored = plans::complete(&mut tx, plan_id, answer).await.unwrap();
    tx.commit().await.unwrap();
    is_stored
}

async fn cancel(fixture: &Fixture, plan_id: Uuid) {
    let mut tx = fixture.write().await;
    plans::cancel(&mut tx, plan_id).await.unwrap();
    tx.commit().await.unwrap();
}

async fn a_plan_is_found_as_it_was_submitted(fixture: &Fixture) {
    let plan_id = submit(fixture).await;
    let plan = find(fixture, plan_id).await.unwrap();
    assert_eq!((plan.plan_id, plan.tabular_id), (plan_id, TabularId(Uuid::from_u128(7))));
    assert_eq!((plan.caller.as_str(), plan.metadata_location.as_str()), ("alice", "t/v1"));
    let request = plans::find_request(&fixture.db, plan.plan_id).await.unwrap();
    let answer = plans::find_answer(&fixture.db, plan.plan_id).await.unwrap();
    assert_eq!((request.as_deref(), plan.outcome, answer), (Some("{}"), PlanOutcome::Submitted, None));
    assert_eq!(find(fixture, new_id()).await, None);
}

async fn a_result_is_stored_once(fixture: &Fixture) {
    let plan_id = submit(fixture).await;
    assert!(complete(fixture, plan_id, "one").await);
    assert!(!complete(fixture, plan_id, "two").await);
    let plan = find(fixture, plan_id).await.unwrap();
    let answer = plans::find_answer(&fixture.db, plan.plan_id).await.unwrap();
    assert_eq!((plan.outcome, answer.as_deref()), (PlanOutcome::Completed, Some("one")));
    assert_eq!(plans::find_request(&fixture.db, plan_id).await.unwrap(), None, "the request is deleted");
    assert!(!complete(fixture, new_id(), "x").await);
}

async fn a_cancelled_plan_keeps_neither_request_nor_result(fixture: &Fixture) {
    let (early, late) = (submit(fixture).await, submit(fixture).await);
    cancel(fixture, early).await;
    assert!(!complete(fixture, early, "one").await);
    assert!(complete(fixture, late, "one").await);
    cancel(fixture, late).await;
    for plan_id in [early, late] {
        let plan = find(fixture, plan_id).await.unwrap();
        let answer = plans::find_answer(&fixture.db, plan.plan_id).await.unwrap();
        assert_eq!((plan.outcome, answer), (PlanOutcome::Cancelled, None));
        assert_eq!(plans::find_request(&fixture.db, plan_id).await.unwrap(), None);
    }
}

async fn old_plans_are_pruned_in_bounded_steps(fixture: &Fixture) {
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(submit(fixture).await);
    }
    let last_ms = find(fixture, ids[2]).await.unwrap().created_ms;
    let prune = async |before_ms| {
        let mut tx = fixture.write().await;
        let deleted = plans::prune(&mut tx, before_ms, 2).await.unwrap();
        tx.commit().await.unwrap();
        deleted
    };
    assert_eq!(prune(last_ms + 1).await, 2);
    assert!(find(fixture, ids[2]).await.is_some());
    assert_eq!(prune(last_ms).await, 0);
    assert_eq!(prune(last_ms + 1).await, 1);
    assert_eq!(find(fixture, ids[2]).await, None);
}

async fn all_callers_get_the_same_key(fixture: &Fixture) {
    let key = async |candidate: &[u8]| {
        let mut tx = fixture.write().await;
        let key = plans::signing_key(&mut tx, "k", candidate).await.unwrap();
        tx.commit().await.unwrap();
        key
    };
    let (one, two) = join!(key(b"one"), key(b"two"));
    assert_eq!(one, two);
    assert!(one == b"one" || one == b"two");
    assert_eq!(key(b"three").await, one);
}
