//! Connections to a database: opening, migrating, and loss of a connection.

use catalog_server::store::catalog::{namespaces, warehouses};
use catalog_server::store::database;
use catalog_server::store::engine::db::Db;
use catalog_server::store::engine::error::StoreError;
use catalog_server::store::engine::options::DbOptions;
use catalog_server::store::engine::target::DbKind;
use catalog_server::store::events::audit;
use sqlx::{Connection, PgConnection, SqliteConnection};
use tests::postgres::Postgres;
use tokio::join;

use crate::fixture::{Fixture, entry, new_id};

on_both_databases!(an_open_database_answers_queries, migrating_again_changes_nothing);

async fn an_open_database_answers_queries(fixture: &Fixture) {
    fixture.db.ping().await.unwrap();
    let stats = fixture.db.pool_stats();
    assert!(stats.open >= 1 && stats.idle <= stats.open);
    let expected = if fixture.url.starts_with("sqlite:") { DbKind::Sqlite } else { DbKind::Postgres };
    assert_eq!(fixture.db.kind(), expected);
}

async fn migrating_again_changes_nothing(fixture: &Fixture) {
    fixture.namespace("a").await;
    let (one, two) = join!(fixture.db.migrate(), fixture.db.migrate());
    one.unwrap();
    two.unwrap();
    assert!(namespaces::find(&fixture.db, fixture.warehouse_id, "a").await.unwrap().is_some());
}

async fn connect(url: &str) -> Result<Db, StoreError> {
    database::open(url, &DbOptions::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_may_start_at_once() {
    let url = Postgres::shared().await.unwrap().create_empty_database().await.unwrap();
    let (one, two, three) = join!(connect(&url), connect(&url), connect(&url));
    let dbs = [one.unwrap(), two.unwrap(), three.unwrap()];
    let (one, two, three) = join!(dbs[0].migrate(), dbs[1].migrate(), dbs[2].migrate());
    for migrated in [one, two, three] {
        migrated.unwrap();
    }
    assert_eq!(warehouses::list(&dbs[2], None, 9).await.unwrap(), []);
}

const FROM_THE_FUTURE: &str = "
    INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
    VALUES (9999, 'later', TRUE, '', 0)";

#[tokio::test]
async fn a_database_of_a_newer_firn_is_refused() {
    let sqlite = Fixture::sqlite().await;
    let mut connection = SqliteConnection::connect(&sqlite.url).await.unwrap();
    let from_the_future = FROM_THE_FUTURE.replace("''", "x''");
    sqlx::raw_sql(sqlx::AssertSqlSafe(from_the_future)).execute(&mut connection).await.unwrap();
    assert!(matches!(sqlite.db.migrate().await, Err(StoreError::NewerSchema { version: 9999 })));

    let postgres = Fixture::postgres().await;
    let mut connection = PgConnection::connect(&postgres.url).await.unwrap();
    sqlx::raw_sql(FROM_THE_FUTURE).execute(&mut connection).await.unwrap();
    assert!(matches!(postgres.db.migrate().await, Err(StoreError::NewerSchema { version: 9999 })));
}

#[tokio::test]
async fn one_process_at_a_time_opens_a_sqlite_database() {
    let fixture = Fixture::sqlite().await;
    let refused = connect(&fixture.url).await.err().unwrap();
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
    assert!(refused.to_string().contains("another firn uses the data directory"));
}

#[tokio::test]
async fn a_sqlite_database_survives_its_process() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/new/firn.db", directory.path().display());
    let db = connect(&url).await.unwrap();
    db.migrate().await.unwrap();
    let mut tx = db.write(5_000).await.unwrap();
    let warehouse_id = catalog_server::store::ids::WarehouseId(new_id());
    let new = warehouses::NewWarehouse {
        warehouse_id,
        name: "w",
        location: "file:///w/",
        properties: "{}",
        storage: r#"{"type":"file"}"#,
        credential: None,
    };
    assert!(warehouses::create(&mut tx, &new).await.unwrap());
    let namespace_id = catalog_server::store::ids::NamespaceId(new_id());
    crate::fixture::create_namespace(&mut tx, warehouse_id, namespace_id, "a").await;
    tx.commit().await.unwrap();
    db.close().await;
    drop(db);

    let db = connect(&url).await.unwrap();
    db.migrate().await.unwrap();
    assert!(warehouses::find(&db, "w").await.unwrap().is_some());
    // The clock does not restart before the last written instant, even if the clock of the machine does.
    assert_eq!(db.write(0).await.unwrap().at_ms(), 5_000);
}

#[tokio::test]
async fn another_kind_of_database_is_refused() {
    for url in ["mysql://localhost/firn", "firn.db", ""] {
        assert!(matches!(connect(url).await, Err(StoreError::Unsupported(_))), "{url}");
    }
}

/// Terminates all connections of a database, as a restart of the server does.
async fn kill_connections(url: &str) {
    const SQL: &str = "
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query(SQL).execute(&mut connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_an_error_to_try_again_and_is_replaced() {
    let fixture = Fixture::postgres().await;
    kill_connections(&fixture.url).await;
    let mut lost = 0;
    while let Err(error) = fixture.db.ping().await {
        assert!(error.is_unavailable(), "{error:?}");
        lost += 1;
        assert!(lost <= DbOptions::default().connections, "every connection failed, and again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_without_an_answer_has_an_unknown_outcome() {
    let fixture = Fixture::postgres().await;
    let mut tx = fixture.write().await;
    audit::record(&mut tx, &entry(new_id(), None)).await.unwrap();
    kill_connections(&fixture.url).await;
    let unknown = tx.commit().await.unwrap_err();
    assert!(matches!(unknown, StoreError::OutcomeUnknown(_)), "{unknown:?}");
    assert!(!unknown.is_retryable() && !unknown.is_unavailable());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_is_unavailable() {
    let server = Postgres::start(&[]).await.unwrap();
    let url = server.create_database().await.unwrap();
    let options =
        DbOptions { acquire_timeout: std::time::Duration::from_millis(300), ..DbOptions::default() };
    let db = database::open(&url, &options).await.unwrap();
    db.ping().await.unwrap();
    drop(server);
    for _ in 0..2 {
        let error = db.write(0).await.err().unwrap();
        assert!(error.is_unavailable(), "{error:?}");
    }
}
