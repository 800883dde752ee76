//! Client of server-side scan planning: requests a plan, then fetches its plan tasks over a few connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use memchr::memmem;
use serde_json::{Value, json};
use tests::fixture;
use tests::process::Firn;
use tokio::time::Instant;

use super::super::load::{self, Connection};
use super::table::NAMESPACE;

/// Number of connections that fetch plan tasks concurrently: the same as Java's client uses on a small
/// machine.
const CONNECTIONS: usize = 4;

/// Result of a complete plan.
#[derive(Clone, Copy)]
pub struct PlanResult {
    /// Number of files in the plan.
    pub files: usize,
    /// Duration in milliseconds.
    pub elapsed_ms: f64,
}

/// Plans a scan of a table, with a filter in the JSON form of the REST protocol.
///
/// # Errors
///
/// Fails if a connection breaks, a request is refused, or the plan is not completed.
pub async fn plan(firn: &Firn, table: &str, filter: Option<&Value>) -> anyhow::Result<PlanResult> {
    let address = load::address(firn.root())?;
    let path = format!("/v1/main/{}", fixture::table_path(NAMESPACE, table));
    let body = filter.map_or(json!({}), |filter| json!({ "filter": filter })).to_string();
    let request = load::post(&format!("{path}/plan"), &body);
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(address).await?);
    }

    let start = Instant::now();
    let first = connections.first_mut().context("a connection")?;
    let (status, response) = first.exchange(&request).await?;
    let response = response.to_vec();
    ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(&response));
    let mut files = count(&response);
    let tasks = plan_tasks(&response)?;
    let requests: Arc<Vec<_>> = Arc::new(
        tasks
            .iter()
            .map(|task| load::post(&format!("{path}/tasks"), &json!({ "plan-task": task }).to_string()))
            .collect(),
    );
    let next = Arc::new(AtomicUsize::new(0));
    let fetchers: Vec<_> = connections
        .into_iter()
        .map(|connection| tokio::spawn(fetch(connection, requests.clone(), next.clone())))
        .collect();
    for fetcher in fetchers {
        files += fetcher.await??;
    }
    Ok(PlanResult { files, elapsed_ms: start.elapsed().as_secs_f64() * 1_000.0 })
}

async fn fetch(
    mut connection: Connection,
    requests: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
) -> anyhow::Result<usize> {
    let mut files = 0;
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let (status, response) = connection.exchange(request).await?;
        ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(response));
        files += count(response);
    }
    Ok(files)
}

/// Returns the plan tasks of a plan.
fn plan_tasks(response: &[u8]) -> anyhow::Result<Vec<String>> {
    let mut response: Value = serde_json::from_slice(response)?;
    ensure!(response["status"] == "completed", "the plan is not complete: {}", response["status"]);
    Ok(serde_json::from_value(response["plan-tasks"].take())?)
}

fn count(response: &[u8]) -> usize {
    memmem::find_iter(response, b"{\"data-file\":").count()
}
