//! Recorded responses of requests with an idempotency key.

use catalog_server::store::events::idempotency::{self, NewAnswer};
use tokio::join;

use crate::fixture::Fixture;

on_both_databases!(
    a_recorded_result_is_found_unchanged,
    a_key_belongs_to_its_caller,
    one_of_two_concurrent_results_is_recorded,
    a_rolled_back_result_frees_its_key,
    old_results_are_pruned_in_bounded_steps,
);

fn answer<'a>(caller: &'a str, key: &'a str, fingerprint: &'a str) -> NewAnswer<'a> {
    NewAnswer { caller, key, fingerprint, status: 200, body: None, metadata_location: Some("t/v1") }
}

async fn record(fixture: &Fixture, new: NewAnswer<'_>) -> bool {
    let mut tx = fixture.write().await;
    let recorded = idempotency::record(&mut tx, &new).await.unwrap();
    if recorded {
        tx.commit().await.unwrap();
    }
    recorded
}

async fn a_recorded_result_is_found_unchanged(fixture: &Fixture) {
    assert_eq!(idempotency::find(&fixture.db, "alice", "k").await.unwrap(), None);
    assert!(record(fixture, answer("alice", "k", "f1")).await);
    assert!(!record(fixture, answer("alice", "k", "f2")).await);
    let found = idempotency::find(&fixture.db, "alice", "k").await.unwrap().unwrap();
    assert_eq!((found.fingerprint.as_str(), found.status), ("f1", 200));
    assert_eq!((found.body.as_deref(), found.metadata_location.as_deref()), (None, Some("t/v1")));
}

async fn a_key_belongs_to_its_caller(fixture: &Fixture) {
    assert!(record(fixture, answer("alice", "k", "f")).await);
    assert!(record(fixture, answer("bob", "k", "f")).await);
    assert!(record(fixture, answer("alice", "K", "f")).await);
}

async fn one_of_two_concurrent_results_is_recorded(fixture: &Fixture) {
    for round in 0..20 {
        let key = format!("k{round}");
        let (one, two) =
            join!(record(fixture, answer("a", &key, "one")), record(fixture, answer("a", &key, "two")));
        assert!(one ^ two);
        let found = idempotency::find(&fixture.db, "a", &key).await.unwrap().unwrap();
        assert_eq!(found.fingerprint, if one { "one" } else { "two" });
    }
}

async fn a_rolled_back_result_frees_its_key(fixture: &Fixture) {
    let mut tx = fixture.write().await;
    assert!(idempotency::record(&mut tx, &answer("a", "k", "one")).await.unwrap());
    let (recorded, ()) =
        join!(record(fixture, answer("a", "k", "two")), async { tx.rollback().await.unwrap() });
    assert!(recorded);
}

async fn old_results_are_pruned_in_bounded_steps(fixture: &Fixture) {
    for key in ["a", "b", "c"] {
        assert!(record(fixture, answer("alice", key, "f")).await);
    }
    let mut tx = fixture.write().await;
    assert_eq!(idempotency::prune(&mut tx, 0, 9).await.unwrap(), 0);
    assert_eq!(idempotency::prune(&mut tx, i64::MAX, 2).await.unwrap(), 2);
    assert_eq!(idempotency::prune(&mut tx, i64::MAX, 2).await.unwrap(), 1);
    tx.commit().await.unwrap();
}
