//! Transactions: atomicity, and their instants.

use std::time::Duration;

use catalog_server::store::catalog::as_of::{self, PageAsOf};
use catalog_server::store::catalog::tabular::TabularKind;
use catalog_server::store::catalog::tabulars;
use catalog_server::store::catalog::{history, locations, namespaces};
use catalog_server::store::events::{audit, outbox};
use catalog_server::store::ids::{NamespaceId, TabularId};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::fixture::{Fixture, create_namespace, create_tabular, entry, new_id, pointer};

on_both_databases!(
    a_dropped_transaction_leaves_nothing,
    time_never_goes_back,
    settling_waits_for_earlier_writers,
    a_read_of_the_settled_past_can_be_repeated,
);

/// Time after all others that are used, in milliseconds; one less than the time that means "for ever".
const LATE_MS: i64 = i64::MAX - 1;

async fn a_dropped_transaction_leaves_nothing(fixture: &Fixture) {
    let namespace_id = fixture.namespace("kept").await;
    let table = fixture.table(namespace_id, "t").await;
    let mut tx = fixture.write().await;
    create_namespace(&mut tx, fixture.warehouse_id, NamespaceId(new_id()), "undone").await;
    create_tabular(&mut tx, TabularKind::View, namespace_id, "v").await;
    assert!(tabulars::swap_pointer(&mut tx, table, "t/v0", &pointer("t/v1")).await.unwrap());
    assert!(namespaces::replace_properties(&mut tx, namespace_id, "{}", "[]").await.unwrap());
    locations::claim(&mut tx, fixture.warehouse_id, &["s3://b/"], table.0).await.unwrap();
    audit::record(&mut tx, &entry(new_id(), None)).await.unwrap();
    drop(tx);

    // On SQLite, this waits until the transaction is rolled back; on PostgreSQL it is invisible anyway.
    fixture.namespace("after").await;
    let db = &fixture.db;
    for page in [
        namespaces::list_children(db, fixture.warehouse_id, None, None, 9).await.unwrap(),
        as_of::list_children(db, fixture.warehouse_id, None, page(LATE_MS)).await.unwrap(),
    ] {
        let found: Vec<_> =
            page.iter().map(|entry| (entry.path.as_str(), entry.properties.as_str())).collect();
        assert_eq!(found, [("after", "{}"), ("kept", "{}")]);
    }
    assert_eq!(
        tabulars::list(db, namespace_id, TabularKind::View, None, 9).await.unwrap(),
        Vec::<String>::new()
    );
    assert_eq!(history::list_pointers(db, table, None, 9).await.unwrap().len(), 1);
    assert_eq!(locations::list(db, table.0).await.unwrap(), Vec::<String>::new());
    assert_eq!(outbox::list(db, None, i64::MAX, 9).await.unwrap(), []);
}

fn page(at_ms: i64) -> PageAsOf<'static> {
    PageAsOf { after: None, limit: 1000, at_ms }
}

async fn time_never_goes_back(fixture: &Fixture) {
    let mut last_ms = 0;
    for now_ms in [5_000_000, 4_000_000, 5_000_000, 5_000_001, 0] {
        let tx = fixture.db.write(now_ms).await.unwrap();
        assert!(tx.at_ms() >= last_ms);
        last_ms = tx.at_ms();
        tx.rollback().await.unwrap();
        assert!(fixture.db.now_ms(now_ms).await.unwrap() >= last_ms);
        assert!(fixture.db.settle(now_ms).await.unwrap() >= last_ms);
    }
}

async fn settling_waits_for_earlier_writers(fixture: &Fixture) {
    let tx = fixture.write().await;
    let at_ms = tx.at_ms();
    let mut settling = Box::pin(fixture.db.settle(0));
    assert!(timeout(Duration::from_millis(100), &mut settling).await.is_err());
    tx.commit().await.unwrap();
    assert!(settling.await.unwrap() >= at_ms);
}

async fn a_read_of_the_settled_past_can_be_repeated(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let mut writers = JoinSet::new();
    for writer in 0..3 {
        let db = fixture.db.clone();
        writers.spawn(async move {
            for round in 0..30 {
                let mut tx = db.write(1_000_000 + round).await.unwrap();
                let name = format!("{writer}-{round}");
                create_tabular(&mut tx, TabularKind::Table, namespace_id, &name).await;
                tokio::task::yield_now().await;
                tx.commit().await.unwrap();
            }
        });
    }
    let names_at = async |at_ms| {
        as_of::list_tabulars(&fixture.db, namespace_id, TabularKind::Table, page(at_ms)).await.unwrap()
    };
    let mut listings = Vec::new();
    while !writers.is_empty() {
        while let Some(done) = writers.try_join_next() {
            done.unwrap();
        }
        let settled_ms = fixture.db.settle(0).await.unwrap() - 1;
        listings.push((settled_ms, names_at(settled_ms).await));
    }
    for (at_ms, names) in listings {
        assert_eq!(names_at(at_ms).await, names, "as of {at_ms}");
    }
    assert_eq!(names_at(LATE_MS).await.len(), 90);
}

/// Two transactions on one table, of which the later one was begun first: on PostgreSQL, the one that was
/// begun first changes the table last.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_waited_gets_a_later_time() {
    let fixture = Fixture::postgres().await;
    let namespace_id = fixture.namespace("a").await;
    let table: TabularId = fixture.table(namespace_id, "t").await;

    let mut early = fixture.write().await;
    let early_ms = early.at_ms();
    while fixture.db.now_ms(0).await.unwrap() <= early_ms {}
    let mut late = fixture.write().await;
    assert!(tabulars::swap_pointer(&mut late, table, "t/v0", &pointer("t/v1")).await.unwrap());
    let late_ms = late.at_ms();
    assert!(late_ms > early_ms);
    late.commit().await.unwrap();
    assert!(tabulars::swap_pointer(&mut early, table, "t/v1", &pointer("t/v2")).await.unwrap());
    assert_eq!(early.at_ms(), late_ms);
    early.commit().await.unwrap();

    let pointers = history::list_pointers(&fixture.db, table, None, 9).await.unwrap();
    let intervals: Vec<_> =
        pointers.iter().map(|entry| (entry.metadata_location.as_str(), entry.valid_from_ms)).collect();
    assert_eq!(intervals[..2], [("t/v2", late_ms), ("t/v1", late_ms)]);
    let tabular = as_of::find_tabular(&fixture.db, fixture.warehouse_id, "a", "t", late_ms).await.unwrap();
    assert_eq!(tabular.unwrap().metadata_location, "t/v2");
}
