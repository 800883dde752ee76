//! Sweep over all tables: tables that are not written to are evaluated again, in time and only once. A real
//! sweep takes a day of the clock, so the tests set the times of the jobs back instead.

use std::collections::BTreeSet;
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
use catalog_server::store::catalog::tabular::TabularKind;
use catalog_server::store::maintenance::jobs::{
    self, JobFilter, JobLease, JobOutcome, JobRow, LeaseTerms, Runner,
};
use catalog_server::store::maintenance::policies;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use storage::stores::Stores;

use crate::fixture::Fixture;
use catalog_server::work::CpuSlots;

on_both_databases!(
    tables_without_a_recent_evaluation_are_due,
    a_sweep_covers_all_pages,
    paused_tables_and_views_are_skipped,
);

const MINUTE_MS: i64 = 60_000;

fn schedule(fixture: &Fixture) -> Schedule {
    let clock = Clock::system();
    let files = WarehouseFiles::new(Stores::new(local_store()));
    let documents = Documents::new(files.clone(), Clock::system(), 1 << 20, 1 << 20);
    let db = fixture.db.clone();
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
    Schedule::new(Arc::new(catalog), db, clock, Maintenance { sweep_minutes: 5, ..Maintenance::default() })
}

async fn sweep(schedule: &Schedule) {
    schedule.sweep().await.unwrap();
}

async fn all_jobs(fixture: &Fixture) -> Vec<JobRow> {
    jobs::list(&fixture.db, JobFilter::default(), 10_000).await.unwrap()
}

/// Completes the next job.
async fn finish_next_job(fixture: &Fixture) -> JobRow {
    let terms = LeaseTerms { lease_ms: MINUTE_MS, attempts_max: 1 };
    let now_ms = Clock::system().now_ms();
    let mut tx = fixture.db.write(now_ms).await.unwrap();
    let job = jobs::lease::lease(&mut tx, "w", terms).await.unwrap().unwrap();
    let lease = JobLease { runner: Runner::Worker, job_id: job.job_id, worker: "w", attempt: job.attempt };
    assert!(jobs::lease::finish(&mut tx, lease, JobOutcome::Succeeded("{}")).await.unwrap());
    tx.commit().await.unwrap();
    job
}

/// Sets the times of all jobs back.
async fn set_back_times(fixture: &Fixture, by_ms: i64) {
    let sql = AssertSqlSafe(format!(
        "UPDATE maintenance_jobs SET created_ms = created_ms - {by_ms}, started_ms = started_ms - {by_ms},
         finished_ms = finished_ms - {by_ms}"
    ));
    if fixture.url.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(&fixture.url).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    } else {
        let mut connection = PgConnection::connect(&fixture.url).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

async fn tables_without_a_recent_evaluation_are_due(fixture: &Fixture) {
    let namespace_id = fixture.namespace("ns").await;
    let table = fixture.table(namespace_id, "t").await;
    let schedule = schedule(fixture);
    // The table was never evaluated.
    sweep(&schedule).await;
    let made = all_jobs(fixture).await;
    assert_eq!(made.len(), 1);
    let job = &made[0];
    assert_eq!(
        (job.tabular_id, job.action.as_str(), job.table_name.as_str()),
        (table, "evaluate", "main/ns.t")
    );
    assert_eq!(
        (job.reason.as_str(), job.requested_by.as_str()),
        ("the table was not evaluated for a long time", "maintenance")
    );
    // Not while that job is queued, however old it is, nor soon after it.
    set_back_times(fixture, 6 * MINUTE_MS).await;
    sweep(&schedule).await;
    finish_next_job(fixture).await;
    set_back_times(fixture, -2 * MINUTE_MS).await;
    sweep(&schedule).await;
    assert_eq!(all_jobs(fixture).await.len(), 1);
    // But after a long time, and regardless of the result of the previous evaluation.
    set_back_times(fixture, 2 * MINUTE_MS).await;
    sweep(&schedule).await;
    sweep(&schedule).await;
    assert_eq!(all_jobs(fixture).await.len(), 2);
    assert_ne!(finish_next_job(fixture).await.job_id, job.job_id);
}

async fn a_sweep_covers_all_pages(fixture: &Fixture) {
    let namespace_id = fixture.namespace("ns").await;
    let mut tables = BTreeSet::new();
    // More than two pages.
    for number in 0..450 {
        tables.insert(fixture.table(namespace_id, &format!("t{number}")).await);
    }
    let schedule = schedule(fixture);
    let swept =
        || async { all_jobs(fixture).await.iter().map(|job| job.tabular_id).collect::<BTreeSet<_>>() };
    assert!(swept().await.is_empty());
    sweep(&schedule).await;
    assert_eq!(swept().await, tables);
    // The next sweep begins again with the first table.
    while jobs::list(&fixture.db, JobFilter::default(), 1).await.unwrap()[0].state.as_str() == "queued" {
        finish_next_job(fixture).await;
    }
    set_back_times(fixture, 6 * MINUTE_MS).await;
    sweep(&schedule).await;
    assert_eq!(all_jobs(fixture).await.len(), 2 * tables.len());
}

async fn paused_tables_and_views_are_skipped(fixture: &Fixture) {
    let namespace_id = fixture.namespace("ns").await;
    fixture.tabular(TabularKind::View, namespace_id, "v").await;
    let paused = fixture.table(namespace_id, "paused").await;
    let other = fixture.table(namespace_id, "other").await;
    let mut tx = fixture.write().await;
    policies::pause(&mut tx, paused, "a migration", "alice").await.unwrap();
    tx.commit().await.unwrap();
    let schedule = schedule(fixture);
    sweep(&schedule).await;
    assert_eq!(all_jobs(fixture).await.iter().map(|job| job.tabular_id).collect::<Vec<_>>(), [other]);
    let mut tx = fixture.write().await;
    policies::resume(&mut tx, paused).await.unwrap();
    tx.commit().await.unwrap();
    sweep(&schedule).await;
    assert_eq!(all_jobs(fixture).await[0].tabular_id, paused);
}
