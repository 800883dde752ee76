//! System clock on SQLite, where it is the clock of the catalog: it may have been ahead or be set back,
//! without anything having to wait. On PostgreSQL, the clock of the database server is used, regardless of
//! that of the process.

use std::path::Path;
use std::sync::Arc;

use catalog_server::catalog::Catalog;
use catalog_server::catalog::assembly::CatalogParts;
use catalog_server::clock::Clock;
use catalog_server::config::{Maintenance, Planning, Retention};
use catalog_server::schedule::Schedule;
use catalog_server::secrets::SecretKeys;
use catalog_server::storage::documents::Documents;
use catalog_server::storage::manifests::Manifests;
use catalog_server::storage::{WarehouseFiles, local_store};
use catalog_server::store::catalog::{as_of, tabulars};
use catalog_server::store::engine::db::Db;
use catalog_server::store::events::audit::{self, NewAuditEntry};
use catalog_server::store::ids::{TabularId, WarehouseId};
use catalog_server::store::maintenance::jobs::{self, JobFilter, JobRow, LeaseTerms, NewJobRow, Runner};
use catalog_server::work::CpuSlots;
use storage::stores::Stores;

use crate::fixture::{Fixture, entry, new_id, pointer};

const START_MS: i64 = 1_800_000_000_000;
const SECOND_MS: i64 = 1_000;
const DAY_MS: i64 = 86_400 * SECOND_MS;
const TERMS: LeaseTerms = LeaseTerms { lease_ms: 60 * SECOND_MS, attempts_max: 3 };

/// Commits to the table at a time of the clock.
async fn commit(db: &Db, table: TabularId, clock_ms: i64, previous: &str, next: &str) {
    let mut tx = db.write(clock_ms).await.unwrap();
    assert!(tabulars::swap_pointer(&mut tx, table, previous, &pointer(next)).await.unwrap());
    let entry = NewAuditEntry { action: "commit-table", ..entry(new_id(), Some(table.0)) };
    audit::record(&mut tx, &entry).await.unwrap();
    tx.commit().await.unwrap();
}

/// Returns the metadata location of the table at the time when the clock showed `clock_ms`.
async fn location_at(db: &Db, warehouse_id: WarehouseId, clock_ms: i64) -> String {
    let at_ms = db.history_ms(clock_ms);
    as_of::find_tabular(db, warehouse_id, "a", "t", at_ms).await.unwrap().unwrap().metadata_location
}

async fn lease(db: &Db, clock_ms: i64) -> Option<JobRow> {
    let mut tx = db.write(clock_ms).await.unwrap();
    let job = jobs::lease::lease(&mut tx, "w", TERMS).await.unwrap();
    tx.commit().await.unwrap();
    job
}

async fn enqueue(fixture: &Fixture, table: TabularId, clock_ms: i64) {
    let mut tx = fixture.db.write(clock_ms).await.unwrap();
    let new = NewJobRow {
        job_id: new_id(),
        warehouse_id: fixture.warehouse_id,
        tabular_id: table,
        table_name: "main/a.t",
        action: "compact",
        runner: Runner::Worker,
        options: "{}",
        reason: "a test",
        requested_by: "maintenance",
        priority: 0,
        due_ms: tx.at_ms() + 10 * SECOND_MS,
    };
    assert!(jobs::queue::enqueue(&mut tx, &new).await.unwrap());
    tx.commit().await.unwrap();
}

fn schedule(db: &Db, clock: &Clock) -> Schedule {
    let files = WarehouseFiles::new(Stores::new(local_store()));
    let documents = Documents::new(files.clone(), clock.clone(), 1 << 20, 1 << 20);
    let catalog = Catalog::new(CatalogParts {
        db: db.clone(),
        clock: clock.clone(),
        manifests: Manifests::new(files.clone(), 1 << 20, 1 << 20),
        files,
        secrets: SecretKeys::new(None, Path::new("/nonexistent")),
        documents,
        turns: CpuSlots::new(),
        planning: Planning::default(),
        retention: Retention::default(),
    });
    Schedule::new(Arc::new(catalog), db.clone(), clock.clone(), Maintenance::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_ahead_blocks_neither_time_travel_nor_the_queue() {
    let mut fixture = Fixture::sqlite().await;
    let table = fixture.table(fixture.namespace("a").await, "t").await;
    commit(&fixture.db, table, START_MS, "t/v0", "t/v1").await;
    let clock = Clock::fixed(START_MS);
    schedule(&fixture.db, &clock).begin_watch().await.unwrap();

    let ahead_ms = START_MS + DAY_MS;
    commit(&fixture.db, table, ahead_ms, "t/v1", "t/v2").await;
    enqueue(&fixture, table, ahead_ms).await;

    for restarted in [false, true] {
        if restarted {
            fixture = fixture.reopened().await;
        }
        let db = &fixture.db;
        let round_ms = START_MS + if restarted { 100 } else { 10 } * SECOND_MS;
        let (previous, next) = if restarted { ("t/v3", "t/v4") } else { ("t/v2", "t/v3") };
        commit(db, table, round_ms, previous, next).await;
        let after_ms = round_ms + SECOND_MS;
        assert!(db.settle(after_ms + 1).await.unwrap() > db.history_ms(after_ms));
        assert_eq!(location_at(db, fixture.warehouse_id, START_MS + SECOND_MS).await, "t/v1");
        assert_eq!(location_at(db, fixture.warehouse_id, after_ms).await, next);
        assert_eq!(db.clock_ms(db.history_ms(after_ms)), after_ms);

        // Changes are noticed as early as usual.
        clock.set(round_ms + 6 * SECOND_MS);
        let schedule = schedule(db, &clock);
        assert!(!schedule.notice_changes().await.unwrap());
        let evaluate = jobs::list(db, JobFilter::default(), 9).await.unwrap();
        let evaluate = evaluate.iter().find(|job| job.action == "evaluate").expect("the change was noticed");
        assert!(db.clock_ms(evaluate.due_ms) <= round_ms + 60 * SECOND_MS, "{evaluate:?}");
    }
    // A job queued while the clock was ahead is due after the intended delay, and its lease expires when the
    // worker is silent.
    let leased_ms = START_MS + 120 * SECOND_MS;
    let db = &fixture.db;
    assert_eq!(
        lease(db, leased_ms).await.map(|job| (job.action, job.attempt)),
        Some(("compact".to_owned(), 1))
    );
    let again = lease(db, leased_ms + TERMS.lease_ms).await.expect("the job of the expired lease");
    assert_eq!((again.action.as_str(), again.attempt), ("compact", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_set_back_hides_no_history() {
    let fixture = Fixture::sqlite().await;
    let table = fixture.table(fixture.namespace("a").await, "t").await;
    let db = &fixture.db;
    commit(db, table, START_MS, "t/v0", "t/v1").await;
    commit(db, table, START_MS + DAY_MS, "t/v1", "t/v2").await;
    // For a moment, the clock shows 1970.
    commit(db, table, 0, "t/v2", "t/v3").await;
    commit(db, table, START_MS + DAY_MS + SECOND_MS, "t/v3", "t/v4").await;
    for (clock_ms, expected) in [
        (START_MS + SECOND_MS, "t/v1"),
        (START_MS + DAY_MS - 1, "t/v1"),
        (START_MS + DAY_MS + 2 * SECOND_MS, "t/v4"),
    ] {
        assert_eq!(location_at(db, fixture.warehouse_id, clock_ms).await, expected, "{clock_ms}");
    }
}
