//! Consistency of metadata pointers: after a commit was acknowledged, every read returns its result, from the
//! cache or from the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use catalog_server::store::catalog::names::NameInNamespace;
use catalog_server::store::catalog::tabular::RenameTabular;
use catalog_server::store::catalog::tabulars;
use tokio::task::JoinSet;

use crate::fixture::{Fixture, pointer};

on_both_databases!(
    no_reader_gets_a_version_before_the_acknowledged_one,
    a_reused_name_refers_to_the_new_table,
    a_rolled_back_commit_is_never_visible,
);

const TABLES: usize = 3;
const ROUNDS: usize = 60;

fn version(metadata_location: &str) -> u64 {
    metadata_location.rsplit_once('v').unwrap().1.parse().unwrap()
}

async fn no_reader_gets_a_version_before_the_acknowledged_one(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let mut tables = Vec::new();
    for table in 0..TABLES {
        tables.push(fixture.table(namespace_id, &table.to_string()).await);
    }
    let acknowledged: Arc<Vec<AtomicU64>> = Arc::new((0..TABLES).map(|_| AtomicU64::new(0)).collect());
    let warehouse_id = fixture.warehouse_id;
    let mut tasks = JoinSet::new();
    for worker in 0..8 {
        let (db, acknowledged, tables) = (fixture.db.clone(), acknowledged.clone(), tables.clone());
        tasks.spawn(async move {
            for round in 0..ROUNDS {
                let table = (worker + round) % TABLES;
                let least = acknowledged[table].load(Ordering::SeqCst);
                let found =
                    tabulars::find(&db, warehouse_id, "a", &table.to_string()).await.unwrap().unwrap();
                let current = version(&found.metadata_location);
                assert!(
                    current >= least,
                    "table {table}: found version {current} after {least} was acknowledged"
                );

                let mut tx = db.write(0).await.unwrap();
                let next = format!("v{}", current + 1);
                let (previous, next) = (&found.metadata_location, pointer(&next));
                if tabulars::swap_pointer(&mut tx, tables[table], previous, &next).await.unwrap() {
                    tx.commit().await.unwrap();
                    acknowledged[table].fetch_max(current + 1, Ordering::SeqCst);
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let commits: u64 = acknowledged.iter().map(|version| version.load(Ordering::SeqCst)).sum();
    assert!(commits > 0);
}

async fn a_reused_name_refers_to_the_new_table(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let first = fixture.table(namespace_id, "t").await;
    let second = fixture.table(namespace_id, "u").await;
    let found = async |name| {
        let found = tabulars::find(&fixture.db, fixture.warehouse_id, "a", name).await.unwrap();
        found.map(|tabular| tabular.tabular_id)
    };
    assert_eq!((found("t").await, found("u").await), (Some(first), Some(second)));

    let mut tx = fixture.write().await;
    assert!(tabulars::drop(&mut tx, first, None).await.unwrap());
    let place = |name| NameInNamespace { namespace_id, name };
    let renamed = tabulars::rename(&mut tx, second, place("u"), place("t")).await.unwrap();
    assert_eq!(renamed, RenameTabular::Renamed);
    assert_eq!((found("t").await, found("u").await), (Some(first), Some(second)));
    tx.commit().await.unwrap();
    assert_eq!((found("t").await, found("u").await), (Some(second), None));
}

async fn a_rolled_back_commit_is_never_visible(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let table = fixture.table(namespace_id, "t").await;
    let read_location = async || {
        let found = tabulars::find(&fixture.db, fixture.warehouse_id, "a", "t").await.unwrap();
        found.unwrap().metadata_location
    };
    let mut tx = fixture.write().await;
    assert!(tabulars::swap_pointer(&mut tx, table, "t/v0", &pointer("t/v1")).await.unwrap());
    assert_eq!(read_location().await, "t/v0");
    tx.rollback().await.unwrap();
    assert_eq!(read_location().await, "t/v0");
}
