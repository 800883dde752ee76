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
pub struct Fetched {
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
pub async fn plan(firn: &Firn, table: &str, filter: Option<&Value>) -> anyhow::Result<Fetched> {
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
    let (status, answer) = first.exchange(&request).await?;
    let answer = answer.to_vec();
    ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(&answer));
    let mut files = count(&answer);
    let tasks = plan_tasks(&answer)?;
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
    Ok(Fetched { files, elapsed_ms: start.elapsed().as_secs_f64() * 1_000.0 })
}

async fn fetch(
    mut connection: Connection,
    requests: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
) -> anyhow::Result<usize> {
    let mut files = 0;
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let (status, answer) = connection.exchange(request).await?;
        ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(answer));
        files += count(answer);
    }
    Ok(files)
}

/// Returns the plan tasks of a plan.
fn plan_tasks(answer: &[u8]) -> anyhow::Result<Vec<String>> {
    let mut answer: Value = serde_json::from_slice(answer)?;
    ensure!(answer["status"] == "completed", "the plan is not complete: {}", answer["status"]);
    Ok(serde_json::from_value(answer["plan-tasks"].take())?)
}

fn count(answer: &[u8]) -> usize {
    memmem::find_iter(answer, b"{\"data-file\":").count()
}
