//! Workers at work on tables whose files are really there: in the server's process and beside it, and whatever gets in their way.
//!
//! A worker that is to be met in the middle of a job is held to a few requests in a second.

mod alone;
mod command;
mod convert;
mod ends;
mod meanwhile;
pub(crate) mod past;
mod publish;
mod repeated;
mod room;

use std::time::Duration;

use serde_json::{Value, json};
use tests::http::Client;
use tests::process::Firn;
use tests::tables::{Form, Row, Table, files_below, rows};

use crate::maintenance::{get, post, scope, table};

/// Files in each partition of [`scattered`].
const FILES: i64 = 3;
const ROWS: i64 = 10;

/// Asks until there is something to be told.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..3_000 {
        if let Some(told) = ask().await {
            return told;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} did not come about within a minute");
}

/// A table with small files in so many partitions, and its rows.
async fn scattered(client: &Client, format_version: i32, parts: i32) -> (Table, Vec<Vec<Value>>) {
    let form = Form { format_version, is_partitioned: true, ..Form::default() };
    let table = Table::create(client, &form).await;
    let file = |part: i32, file: i64| {
        let first = (i64::from(part) * FILES + file) * ROWS;
        rows(first..first + ROWS, part)
    };
    let files: Vec<Vec<Row>> =
        (0..parts).flat_map(|part| (0..FILES).map(move |number| file(part, number))).collect();
    table.append(&files).await;
    let rows = table.rows().await;
    assert_eq!(i64::try_from(rows.len()).unwrap(), i64::from(parts) * FILES * ROWS);
    (table, rows)
}

/// Asks for a compaction of a table, whatever it is worth; gives the job's id.
pub(crate) async fn compact(client: &Client, of: &Table) -> String {
    let policy = json!({ "compact": { "inputs-min": 2 } });
    let new = json!({ "table": table(&of.namespace, &of.name), "action": "compact", "policy": policy });
    let job = post(client, "jobs", &new).await.expect(200).json();
    job["job-id"].as_str().unwrap().to_owned()
}

async fn job(client: &Client, id: &str) -> Value {
    get(client, &format!("jobs/{id}")).await
}

/// Waits until a job has ended, and gives it.
pub(crate) async fn ended(client: &Client, id: &str) -> Value {
    let what = format!("the end of job {id}");
    eventually(&what, async || {
        let job = job(client, id).await;
        (!["queued", "running"].contains(&job["state"].as_str().unwrap())).then_some(job)
    })
    .await
}

/// Waits until a job has ended well, and gives it.
pub(crate) async fn done(client: &Client, id: &str) -> Value {
    let job = ended(client, id).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    job
}

/// The jobs of an action of a table, newest first.
async fn jobs(client: &Client, of: &Table, action: &str) -> Vec<Value> {
    let page = get(client, &format!("jobs?{}", scope(&of.namespace, &of.name))).await;
    let jobs = page["jobs"].as_array().unwrap().iter();
    jobs.filter(|job| job["action"] == action).cloned().collect()
}

/// Waits until a worker is in the middle of a job: it has begun so many new data files of a table.
async fn begun(table: &Table, count: usize) {
    let folder = table.folder().await.join("data");
    let before = table.entries().await.len();
    eventually("a new file", async || (files_below(&folder).len() >= before + count).then_some(())).await;
}

/// Fails unless a table has these rows, each partition is in one file, and there is no file too many.
async fn check_compacted(table: &Table, rows: &[Vec<Value>], files: usize) {
    assert_eq!(table.rows().await, rows);
    assert_eq!(table.data_files().await.len(), files);
    check_tidy(table).await;
}

/// Fails if there is a file that the table does not lead to.
async fn check_tidy(table: &Table) {
    let strays = table.strays().await;
    assert!(strays.is_empty(), "{strays:?}");
}

/// What a job's history says went wrong.
fn error_of(job: &Value) -> &str {
    job["error"].as_str().unwrap_or_else(|| panic!("no error: {job}"))
}

fn number(job: &Value, name: &str) -> i64 {
    job["result"]["numbers"][name].as_i64().unwrap_or_else(|| panic!("no {name}: {job}"))
}

/// A server whose workers are not its own, with a lease of so many milliseconds.
async fn catalog(backend: tests::process::Backend, lease_ms: u32) -> Firn {
    let setup = tests::process::Setup::new(backend).await;
    Firn::start(setup.with("FIRN_MAINTENANCE__LEASE_MS", &lease_ms.to_string()))
}
