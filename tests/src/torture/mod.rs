//! Torture test: writers on servers that are killed at random. Acknowledged changes must be visible exactly
//! once, refused changes must not be visible, and past states must not change.

mod check;
mod ledger;
mod writer;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use catalog_server::clock::{Clock, Stopwatch};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tokio::sync::watch;

use crate::fixture;
use crate::http::Client;
use crate::process::{Backend, Firn, Setup};

use ledger::Ledger;

/// Namespace of all tables of the test.
const NAMESPACE: &str = "torture";
/// Name of the table that all writers append to.
const SHARED_TABLE: &str = "hot";
/// Names of two tables that are changed only together.
const PAIR: [&str; 2] = ["left", "right"];

/// Parameters of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Database of the servers.
    pub backend: Backend,
    /// Number of concurrent writers.
    pub writers: u32,
    /// Minimum number of kills.
    pub kills: u32,
    /// Minimum duration.
    pub time: Duration,
    /// Seed of the random choices. The same seed repeats the choices, but not the timing.
    pub seed: u64,
    /// Number of servers on one PostgreSQL database; on SQLite there is always one.
    pub replicas: u32,
    /// Maximum number of past instants that are read again at the end.
    pub instants: usize,
}

/// Statistics of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Rows of a table: description and count.
    pub lines: Vec<(String, u64)>,
}

/// State shared by the writers, the killer and the observer.
struct SharedState {
    clients: RwLock<Vec<Client>>,
    ledger: Mutex<Ledger>,
    clock: Clock,
    stop: watch::Sender<bool>,
}

impl SharedState {
    fn client(&self, random: &mut StdRng) -> Client {
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        clients[random.random_range(0..clients.len())].clone()
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in &self.lines {
            writeln!(formatter, "{count:>9}  {what}")?;
        }
        Ok(())
    }
}

/// Runs writers, kills servers, and verifies the guarantees at the end.
///
/// # Errors
///
/// Fails with a description of the violated guarantee: a lost, duplicated or partial change, an inconsistent
/// or changed past state, a missing or unreadable metadata file, an unexpected response, or a panic of a
/// server.
pub async fn run(options: &Options) -> Result<Report, String> {
    let mut servers = start(options).await;
    let clients = servers.iter().map(|server| (**server).clone()).collect();
    prepare(&servers[0]).await;
    let shared = Arc::new(SharedState {
        clients: RwLock::new(clients),
        ledger: Mutex::default(),
        clock: Clock::system(),
        stop: watch::Sender::new(false),
    });

    let spawn = |number| tokio::spawn(writer::write(shared.clone(), number, options.seed));
    let writers: Vec<_> = (0..options.writers).map(spawn).collect();
    let observer = tokio::spawn(check::observe(shared.clone(), options.seed, options.instants));
    let kills = kill(options, &shared, &mut servers).await;
    shared.stop.send_replace(true);
    for writer in writers {
        writer.await.map_err(|error| format!("a writer failed: {error}"))??;
    }
    let observations = observer.await.map_err(|error| format!("the observer failed: {error}"))??;

    // After the restart, requests that the last kills interrupted are either completed or rolled back.
    for server in &mut servers {
        server.restart();
    }
    let mut report = Report { lines: vec![("kills".to_owned(), u64::from(kills))] };
    let ledger = std::mem::take(&mut *shared.ledger());
    report.lines.extend(ledger.counts());
    for server in &servers {
        report.lines.extend(check::check(server, &ledger, &observations).await?);
        if let Some(line) = server.setup().log().lines().find(|line| line.contains("panicked")) {
            return Err(format!("a server panicked: {line}"));
        }
    }
    Ok(report)
}

async fn start(options: &Options) -> Vec<Firn> {
    let setup = Setup::new(options.backend).await;
    let mut servers = vec![Firn::start(setup.clone())];
    if options.backend == Backend::Postgres {
        for number in 1..options.replicas {
            // Replicas share the database and the warehouse; each has its own data directory otherwise.
            let warehouse = setup.data_dir.join("warehouse");
            let replica = Setup {
                data_dir: setup.data_dir.with_file_name(format!("replica-{number}")),
                ..setup.clone()
            };
            servers.push(Firn::start(replica.with("FIRN_WAREHOUSE__LOCATION", &warehouse.to_string_lossy())));
        }
    }
    servers
}

async fn prepare(client: &Client) {
    client.post("namespaces", &json!({ "namespace": [NAMESPACE] })).await.expect(200);
    for name in [SHARED_TABLE, PAIR[0], PAIR[1]] {
        // The metadata log retains all versions, so that the whole chain can be checked.
        let properties = json!({ "write.metadata.previous-versions-max": "1000000" });
        let body = json!({ "name": name, "schema": fixture::schema(), "properties": properties });
        client.post(&fixture::tables(NAMESPACE), &body).await.expect(200);
    }
}

/// Kills and restarts random servers at random moments until the required number of kills and duration are
/// reached; returns the number of kills.
async fn kill(options: &Options, shared: &SharedState, servers: &mut [Firn]) -> u32 {
    let mut random = StdRng::seed_from_u64(options.seed ^ 0xD1E);
    let stopwatch = Stopwatch::start();
    let mut kills = 0;
    while kills < options.kills || stopwatch.elapsed() < options.time {
        // The random delay is intended: a kill may hit any moment of any request.
        tokio::time::sleep(Duration::from_millis(random.random_range(1..400))).await;
        let number = random.random_range(0..servers.len());
        tokio::task::block_in_place(|| servers[number].restart());
        let client = (*servers[number]).clone();
        shared.clients.write().unwrap_or_else(PoisonError::into_inner)[number] = client;
        kills += 1;
    }
    kills
}
