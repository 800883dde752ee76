//! Query plans of the statements whose cost must not grow with the catalog: they must find their rows
//! directly with the intended index, in its order.

use catalog_server::store::catalog::{as_of, history, locations, namespaces, tabulars};
use catalog_server::store::events::{audit, outbox};
use catalog_server::store::maintenance::{candidates, jobs};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};

use crate::fixture::Fixture;

/// Statements with the indexes that they must use. `unique` means the unique constraint of the table.
const STATEMENTS: [(&str, &str, &[&str]); 21] = [
    ("namespaces::LIST_CHILDREN", namespaces::LIST_CHILDREN, &["namespaces_by_parent"]),
    ("tabulars::FIND", tabulars::FIND, &["unique", "unique"]),
    ("history::LIST_POINTERS", history::LIST_POINTERS, &["pointer_history_by_order"]),
    ("history::LIST_FILES", history::LIST_FILES, &["pointer_history_by_order"]),
    ("history::LIST_REPLACED", history::LIST_REPLACED, &["pointer_history_by_instant"]),
    ("history::FIND_FIRST", history::FIND_FIRST, &["pointer_history_by_order"]),
    ("history::LAST_AT_PATH", history::LAST_AT_PATH, &["namespace_history_by_path"]),
    ("history::LAST_OF_NAME", history::LAST_OF_NAME, &["tabular_history_by_name"]),
    ("as_of::FIND_NAMESPACE", as_of::FIND_NAMESPACE, &["namespace_history_by_path"]),
    ("as_of::LIST_CHILDREN", as_of::LIST_CHILDREN, &["namespace_history_by_parent"]),
    ("as_of::FIND_TABULAR", as_of::FIND_TABULAR, &["tabular_history_by_name", "pointer_history_by_instant"]),
    ("as_of::LIST_TABULARS", as_of::LIST_TABULARS, &["tabular_history_by_kind"]),
    ("audit::LIST", audit::LIST, &["primary"]),
    ("audit::LIST_OF_OBJECT", audit::LIST_OF_OBJECT, &["audit_by_object"]),
    ("outbox::LIST", outbox::LIST, &["primary", "primary"]),
    ("jobs::LIST_OPEN", jobs::LIST_OPEN, &["maintenance_jobs_open"]),
    ("jobs::FIND_LAST", jobs::FIND_LAST, &["maintenance_jobs_by_action"]),
    ("jobs::lease::NEXT_OF_SERVER", jobs::lease::NEXT_OF_SERVER, &["maintenance_jobs_by_due"]),
    ("jobs::lease::LAST_BEGUN", jobs::lease::LAST_BEGUN, &["maintenance_jobs_by_action"]),
    ("jobs::LIST_FINISHED", jobs::LIST_FINISHED, &["maintenance_jobs_by_action"]),
    ("candidates::LIST", candidates::LIST, &["maintenance_jobs_open", "maintenance_jobs_by_action"]),
];

#[tokio::test]
async fn sqlite_reads_through_indexes_alone() {
    let fixture = Fixture::sqlite().await;
    let mut connection = SqliteConnection::connect(&fixture.url).await.unwrap();
    let claims = ("locations::OVERLAPPING", locations::OVERLAPPING, ["PRIMARY KEY"; 2].as_slice());
    let holders = ("locations::HOLDING", locations::HOLDING, ["PRIMARY KEY"; 1].as_slice());
    let names = ("tabulars::LIST", tabulars::LIST, ["tabulars_by_kind"].as_slice());
    for (name, sql, indexes) in STATEMENTS.into_iter().chain([claims, holders, names]) {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let rows = sqlx::raw_sql(explain).fetch_all(&mut connection).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        let plan = steps.join("\n");
        for index in indexes {
            let index = match *index {
                "unique" => "sqlite_autoindex_",
                "primary" => "PRIMARY KEY",
                name => name,
            };
            assert!(plan.contains(index), "{name} does not use {index}:\n{plan}");
        }
        // The row of a subquery, and the ancestors of a prefix, are few and have no index.
        let small = ["SCAN state", "SCAN n", "SCAN json_each", "SCAN page"];
        let scans =
            steps.iter().any(|step| step.starts_with("SCAN") && !small.iter().any(|it| step.starts_with(it)));
        assert!(!scans && !plan.contains("TEMP B-TREE"), "{name}:\n{plan}");
    }
}

#[tokio::test]
async fn postgres_reads_through_indexes_alone() {
    let fixture = Fixture::postgres().await;
    let mut connection = PgConnection::connect(&fixture.url).await.unwrap();
    // For an empty table, a scan and a sort are cheapest; they are disabled to see whether the index can be
    // used.
    let settings = "
        SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off;
        SET plan_cache_mode = force_generic_plan";
    sqlx::raw_sql(settings).execute(&mut connection).await.unwrap();
    let claims = (
        "locations::OVERLAPPING_POSTGRES",
        locations::OVERLAPPING_POSTGRES,
        ["locations_pkey"; 2].as_slice(),
    );
    let holders =
        ("locations::HOLDING_POSTGRES", locations::HOLDING_POSTGRES, ["locations_pkey"; 1].as_slice());
    let names = ("tabulars::LIST_POSTGRES", tabulars::LIST_POSTGRES, ["tabulars_by_kind"].as_slice());
    let close = ("history::CLOSE_POINTER", history::CLOSE_POINTER, ["pointer_history_current"].as_slice());
    for (name, sql, indexes) in STATEMENTS.into_iter().chain([claims, holders, names, close]) {
        let parameters = (1..=9).rev().find(|number| sql.contains(&format!("${number}"))).unwrap();
        let nulls = vec!["NULL"; parameters].join(", ");
        let explain =
            format!("PREPARE checked AS {sql}; EXPLAIN EXECUTE checked({nulls}); DEALLOCATE checked");
        let rows = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&mut connection).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        for index in indexes {
            let index = match *index {
                "unique" => "_key on ",
                "primary" => "_pkey on ",
                name => name,
            };
            assert!(plan.contains(index), "{name} does not use {index}:\n{plan}");
        }
        assert!(plan.matches("Index Cond").count() >= indexes.len(), "{name} reads a whole index:\n{plan}");
        assert!(!plan.contains("Seq Scan") && !plan.contains("Sort"), "{name}:\n{plan}");
    }
}
