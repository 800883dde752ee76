//! Upgrade: a database and files of a former release are migrated, and keep working.
//!
//! `sqlite.sql` and `postgres.sql` are dumps of a catalog that release 6 of the schema wrote, with `{root}` in place of the
//! data directory; the metadata files are beside them. The catalog has nested namespaces, a table with two versions, a dropped
//! table, a view, a maintenance policy, a running job whose cancellation was requested, a queued job, a purge that was not
//! begun yet, and one that a server had leased until the year 2100 when it ended.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tests::fixture::{commit, set_property, table_at, table_path};
use tests::process::{Backend, Firn, Setup};

const KEY: &str = "0192aaaa-0000-7000-8000-000000000001";

/// Writes the catalog of the former release.
async fn restore(backend: Backend, setup: &Setup) {
    let (dump, files) = match backend {
        Backend::Sqlite => (include_str!("sqlite.sql"), include_str!("sqlite.files.json")),
        Backend::Postgres => (include_str!("postgres.sql"), include_str!("postgres.files.json")),
    };
    let root = setup.data_dir.to_str().unwrap();
    let files: BTreeMap<String, String> = serde_json::from_str(files).unwrap();
    for (path, text) in files {
        let path = setup.data_dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace("{root}", root)).unwrap();
    }
    // Tables refer to others that the dump creates later; databases of tests are migrated from the beginning.
    let empty = match backend {
        Backend::Sqlite => "PRAGMA foreign_keys = OFF;",
        Backend::Postgres => "DROP SCHEMA public CASCADE; CREATE SCHEMA public;",
    };
    let dump = sqlx::raw_sql(AssertSqlSafe(empty.to_owned() + &dump.replace("{root}", root)));
    match backend {
        Backend::Sqlite => {
            let url = format!("{}?mode=rwc", setup.database_url());
            let mut connection = SqliteConnection::connect(&url).await.unwrap();
            dump.execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
        Backend::Postgres => {
            let mut connection = PgConnection::connect(&setup.database_url()).await.unwrap();
            dump.execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
    }
}

async fn a_catalog_of_the_former_release_keeps_working(backend: Backend) {
    let setup = Setup::new(backend).await.with("FIRN_MAINTENANCE__WORKERS", "0");
    restore(backend, &setup).await;
    let firn = Firn::start(setup);

    let path = table_path("sales", "orders");
    let loaded = firn.get(&path).await.expect(200).json();
    assert_eq!(loaded["metadata"]["properties"]["k"], "1");
    let listed = firn.get("namespaces/sales/tables").await.expect(200).json();
    assert_eq!(listed["identifiers"], json!([{ "namespace": ["sales"], "name": "orders" }]));
    firn.get("namespaces/sales/views/v").await.expect(200);
    firn.get("namespaces/sales%1Feu").await.expect(200);

    // The recorded response of a commit is returned, and the commit not repeated.
    let set = |value: &str| commit(&[], &[set_property("k", value)]).to_string();
    let body = r#"{"requirements": [], "updates": [{"action": "set-properties", "updates": {"k": "1"}}]}"#;
    let repeated = firn.send("POST", &path, Some(body.to_owned()), &[("idempotency-key", KEY)]).await;
    assert_eq!(repeated.expect(200).json()["metadata-location"], loaded["metadata-location"]);
    firn.send("POST", &path, Some(set("2")), &[]).await.expect(200);
    assert_eq!(firn.get(&path).await.json()["metadata"]["properties"]["k"], "2");

    let at = |rest: &str| format!("/governance/v1/maintenance/{rest}");
    let policy = at("policy?warehouse=main&namespace=sales&table=orders");
    let policy = firn.request("GET", &policy, None, &[]).await.expect(200).json();
    assert_eq!(policy["policy"]["compact"]["inputs-min"], 7);
    let jobs = firn.request("GET", &at("jobs"), None, &[]).await.expect(200).json();
    let state = |job: &Value| (job["action"].clone(), job["state"].clone(), job["cancel-requested"].clone());
    let of_workers = jobs["jobs"].as_array().unwrap().iter().filter(|job| job["action"] != "purge");
    let states: Vec<_> = of_workers.map(state).collect();
    assert_eq!(
        states,
        [
            (json!("compact"), json!("queued"), json!(false)),
            (json!("evaluate"), json!("running"), json!(true)),
        ]
    );
    // The lease of the running job has expired long ago, so that its cancellation is carried out.
    let lease = json!({ "worker": "other" }).to_string();
    let leased = firn.request("POST", &at("jobs/lease"), Some(lease), &[]).await.expect(200).json();
    assert_eq!(
        (leased["job"]["action"].as_str(), leased["job"]["attempt"].as_i64()),
        (Some("compact"), Some(1))
    );
    let cancelled = firn.request("GET", &at("jobs?state=cancelled"), None, &[]).await.expect(200).json();
    assert_eq!(cancelled["jobs"][0]["action"], "evaluate");
    let purged = wait_for_purge(&firn, "sales.purged", "purged-5f0c3a8e1b7d4c6f9e2a4b8d7c1e0f35").await;
    assert_eq!(purged, (1, json!({ "files-deleted": 1 })));
    let interrupted =
        wait_for_purge(&firn, "sales.interrupted", "interrupted-7d1e4b9a2c8f4e06b35d9a1c6e0f7284").await;
    assert_eq!(interrupted, (2, json!({ "files-deleted": 7 })));
}

/// Waits until the server has run the purge of a dropped table as a job, although it has no maintenance workers.
/// Returns the attempt and the numbers of the job; by then the folder is deleted, and free again.
async fn wait_for_purge(firn: &Firn, table: &str, folder: &str) -> (i64, Value) {
    let path = "/governance/v1/maintenance/jobs?state=succeeded";
    let mut tries = 0;
    let job = loop {
        let jobs = firn.request("GET", path, None, &[]).await.expect(200).json();
        let mut jobs = jobs["jobs"].as_array().unwrap().clone().into_iter();
        match jobs.find(|job| job["action"] == "purge" && job["table"] == format!("main/{table}")) {
            Some(job) => break job,
            None => tokio::time::sleep(Duration::from_millis(10)).await,
        }
        tries += 1;
        assert!(tries < 6_000, "the purge of {table} was not run");
    };
    let folder = firn.setup().data_dir.join("warehouse/sales").join(folder);
    assert!(!folder.exists());
    let name = table.strip_prefix("sales.").unwrap();
    let location = format!("file://{}", folder.display());
    firn.post("namespaces/sales/tables", &table_at(name, &location)).await.expect(200);
    (job["attempt"].as_i64().unwrap(), job["result"]["numbers"].clone())
}

tests::on_both_databases!(a_catalog_of_the_former_release_keeps_working);
