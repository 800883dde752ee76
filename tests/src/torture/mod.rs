//! Writers on servers that are killed at random: what was acknowledged must be there exactly once, what was
//! refused must not, and the past must stay as it was.

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

/// The namespace that all of it happens in.
const NAMESPACE: &str = "torture";
/// The table that all writers append to.
const HOT: &str = "hot";
/// Two tables that only change together.
const PAIR: [&str; 2] = ["left", "right"];

/// How much, on what.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which database.
    pub backend: Backend,
    /// Concurrent writers.
    pub writers: u32,
    /// Kills, at least.
    pub kills: u32,
    /// How long, at least.
    pub time: Duration,
    /// Repeats the same random choices; not the same timing.
    pub seed: u64,
    /// Servers on one database; one on SQLite.
    pub replicas: u32,
    /// Instants of the past that are read again at the end.
    pub instants: usize,
}

/// What happened.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Lines of a table: what, and how often.
    pub lines: Vec<(String, u64)>,
}

/// What the writers, the killer and the observer share.
struct Arena {
    clients: RwLock<Vec<Client>>,
    ledger: Mutex<Ledger>,
    clock: Clock,
    stop: watch::Sender<bool>,
}

impl Arena {
    fn client(&self, random: &mut StdRng) -> Client {
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        clients[random.random_range(0..clients.len())].clone()
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
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

/// Runs it. An error explains the promise that was broken.
pub async fn run(options: &Options) -> Result<Report, String> {
    let mut servers = start(options).await;
    let clients = servers.iter().map(|server| (**server).clone()).collect();
    prepare(&servers[0]).await;
    let arena = Arc::new(Arena {
        clients: RwLock::new(clients),
        ledger: Mutex::default(),
        clock: Clock::system(),
        stop: watch::Sender::new(false),
    });

    let spawn = |number| tokio::spawn(writer::write(arena.clone(), number, options.seed));
    let writers: Vec<_> = (0..options.writers).map(spawn).collect();
    let observer = tokio::spawn(check::observe(arena.clone(), options.seed, options.instants));
    let kills = kill(options, &arena, &mut servers).await;
    arena.stop.send_replace(true);
    for writer in writers {
        writer.await.map_err(|error| format!("a writer failed: {error}"))??;
    }
    let observations = observer.await.map_err(|error| format!("the observer failed: {error}"))??;

    // What was going on when the servers were killed last has ended or will be undone.
    for server in &mut servers {
        server.restart();
    }
    let mut report = Report { lines: vec![("kills".to_owned(), u64::from(kills))] };
    let ledger = std::mem::take(&mut *arena.ledger());
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
            // Replicas share the database and the warehouse; the rest of the data directory is their own.
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
    for name in [HOT, PAIR[0], PAIR[1]] {
        // Every version stays in the log, so that the whole chain can be checked.
        let properties = json!({ "write.metadata.previous-versions-max": "1000000" });
        let body = json!({ "name": name, "schema": fixture::schema(), "properties": properties });
        client.post(&fixture::tables(NAMESPACE), &body).await.expect(200);
    }
}

/// Kills one server after another, at random moments, until there was enough of it.
async fn kill(options: &Options, arena: &Arena, servers: &mut [Firn]) -> u32 {
    let mut random = StdRng::seed_from_u64(options.seed ^ 0xD1E);
    let stopwatch = Stopwatch::start();
    let mut kills = 0;
    while kills < options.kills || stopwatch.elapsed() < options.time {
        // The randomness is the point: any moment of any request.
        tokio::time::sleep(Duration::from_millis(random.random_range(1..400))).await;
        let number = random.random_range(0..servers.len());
        tokio::task::block_in_place(|| servers[number].restart());
        let client = (*servers[number]).clone();
        arena.clients.write().unwrap_or_else(PoisonError::into_inner)[number] = client;
        kills += 1;
    }
    kills
}
