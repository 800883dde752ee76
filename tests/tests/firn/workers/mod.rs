//! Maintenance workers on tables with real files: in the server's process and as separate processes, with
//! concurrent changes and failures.
//!
//! To change a table in the middle of a job, tests limit the worker to a few requests per second.

mod automatic;
mod command;
mod concurrent_changes;
mod convert;
mod duplicate_entries;
mod interruptions;
mod limits;
mod publish;
pub(crate) mod retention;
mod slow_store;

use std::time::Duration;

use serde_json::{Value, json};
use tests::http::Client;
use tests::process::Firn;
use tests::tables::{Row, Table, TableOptions, files_below, rows};

use crate::maintenance::{get, post, scope, table_identifier};

/// Number of files in each partition of [`create_fragmented_table`].
const FILES: i64 = 3;
const ROWS: i64 = 10;

/// Polls until `poll` returns a value.
pub(crate) async fn eventually<T>(what: &str, mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..3_000 {
        if let Some(value) = poll().await {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("timeout after a minute: {what}");
}

/// Creates a table with small files in this number of partitions; returns its rows as well.
async fn create_fragmented_table(
    client: &Client,
    format_version: i32,
    parts: i32,
) -> (Table, Vec<Vec<Value>>) {
    let options = TableOptions { format_version, is_partitioned: true, ..TableOptions::default() };
    let table = Table::create(client, &options).await;
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

/// Requests a compaction of a table with a policy that merges as few as two files; returns the job's id.
pub(crate) async fn request_compaction(client: &Client, table: &Table) -> String {
    let policy = json!({ "compact": { "inputs-min": 2 } });
    let new = json!({ "table": table_identifier(&table.namespace, &table.name), "action": "compact", "policy": policy });
    let job = post(client, "jobs", &new).await.expect(200).json();
    job["job-id"].as_str().unwrap().to_owned()
}

async fn job(client: &Client, id: &str) -> Value {
    get(client, &format!("jobs/{id}")).await
}

/// Waits until a job has ended, and returns it.
pub(crate) async fn wait_for_end(client: &Client, id: &str) -> Value {
    let what = format!("the end of job {id}");
    eventually(&what, async || {
        let job = job(client, id).await;
        (!["queued", "running"].contains(&job["state"].as_str().unwrap())).then_some(job)
    })
    .await
}

/// Waits until a job has succeeded, and returns it.
pub(crate) async fn wait_for_success(client: &Client, id: &str) -> Value {
    let job = wait_for_end(client, id).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    job
}

/// Returns the jobs with this action of a table, newest first.
async fn jobs(client: &Client, table: &Table, action: &str) -> Vec<Value> {
    let page = get(client, &format!("jobs?{}", scope(&table.namespace, &table.name))).await;
    let jobs = page["jobs"].as_array().unwrap().iter();
    jobs.filter(|job| job["action"] == action).cloned().collect()
}

/// Waits until a worker is in the middle of a job: it has created this number of new data files.
async fn wait_for_new_files(table: &Table, count: usize) {
    let folder = table.folder().await.join("data");
    let before = table.entries().await.len();
    eventually("a new file", async || (files_below(&folder).len() >= before + count).then_some(())).await;
}

/// Asserts that a table has these rows in this number of data files, and no unreferenced files.
async fn check_compacted(table: &Table, rows: &[Vec<Value>], files: usize) {
    assert_eq!(table.rows().await, rows);
    assert_eq!(table.data_files().await.len(), files);
    check_no_unreferenced_files(table).await;
}

/// Asserts that the table's folder contains no unreferenced files.
async fn check_no_unreferenced_files(table: &Table) {
    let files = table.unreferenced_files().await;
    assert!(files.is_empty(), "{files:?}");
}

/// Returns the error that is recorded in a job.
fn job_error(job: &Value) -> &str {
    job["error"].as_str().unwrap_or_else(|| panic!("no error: {job}"))
}

fn job_number(job: &Value, name: &str) -> i64 {
    job["result"]["numbers"][name].as_i64().unwrap_or_else(|| panic!("no {name}: {job}"))
}

/// Starts a server without workers of its own, with leases of this number of milliseconds.
async fn start_server(backend: tests::process::Backend, lease_ms: u32) -> Firn {
    let setup = tests::process::Setup::new(backend).await;
    Firn::start(setup.with("FIRN_MAINTENANCE__LEASE_MS", &lease_ms.to_string()))
}
