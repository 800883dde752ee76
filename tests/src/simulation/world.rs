//! State of a simulation: one catalog, its clock, its tables, and the single source of randomness that
//! determines all steps.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use catalog_server::clock::Clock;
use catalog_server::config::Config;
use catalog_server::server::Server;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value as Json, json};
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::faults::FaultyWorker;
use super::model::{KINDS, Kind, Table};
use super::reader::Reader;
use super::writer::message_beginning;
use crate::fixture::{self, local};
use crate::http::Client;
use crate::process::{Backend, Setup};

/// Namespace of all tables.
pub(super) const NAMESPACE: &str = "simulation";
/// Time at which the simulation begins, in milliseconds since 1970.
const START_MS: i64 = 1_800_000_000_000;
/// Duration of a lease in milliseconds; far longer than any job takes, because heartbeats are sent only by
/// the simulation.
pub(super) const LEASE_MS: u32 = 3_600_000;

/// Catalog that runs in this process, with everything that the simulation knows about it.
pub(super) struct World {
    pub(super) backend: Backend,
    pub(super) clock: Clock,
    pub(super) client: Client,
    pub(super) database_url: String,
    pub(super) warehouse: PathBuf,
    pub(super) states: tokio::sync::Mutex<TableStates>,
    random: Mutex<StdRng>,
    ids: Mutex<StdRng>,
    history: Mutex<Vec<String>>,
    violation: Mutex<Option<String>>,
    workers: Mutex<HashMap<String, Arc<FaultyWorker>>>,
    undeletable: Mutex<BTreeSet<String>>,
    serving: JoinHandle<()>,
}

/// Expected state of the tables, and a reader of their actual state.
pub(super) struct TableStates {
    pub(super) tables: Vec<Table>,
    pub(super) reader: Reader,
}

impl World {
    /// Starts a catalog with new data.
    pub(super) async fn open(backend: Backend, seed: u64, kind: Option<Kind>) -> (Arc<World>, Server) {
        let setup = Setup::new(backend).await;
        let clock = Clock::fixed(START_MS);
        let mut config = Config {
            data_dir: setup.data_dir.clone(),
            listen: ([127, 0, 0, 1], 0).into(),
            database_url: setup.database_url.clone(),
            database_connections: 4,
            ..Config::default()
        };
        config.maintenance.workers = 0;
        config.maintenance.lease_ms = LEASE_MS;
        config.maintenance.attempts_max = 100;
        config.retention.time_travel_minutes = 0;
        let server = Server::open(&config, clock.clone()).await.expect("a server");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let root = format!("http://{}", listener.local_addr().expect("an address"));
        let mut random = StdRng::seed_from_u64(seed);
        let ids = StdRng::seed_from_u64(random.random());
        let mut kinds = kind.map_or(KINDS.to_vec(), |kind| vec![kind]);
        // Usually one table, which then gets all events; with two, jobs of different tables can get mixed up.
        let count = if kind.is_none() && random.random_range(0..4) == 0 { 2 } else { 1 };
        let tables =
            (0..count).map(|_| Table::new(kinds.remove(random.random_range(0..kinds.len())))).collect();
        let router = server.router();
        let world = Arc::new_cyclic(|world: &std::sync::Weak<World>| {
            let router = router.layer(middleware::from_fn_with_state(world.clone(), intercept));
            World {
                backend,
                clock,
                client: Client::new(&root, "main"),
                database_url: setup.database_url(),
                warehouse: setup.data_dir.join("warehouse"),
                states: tokio::sync::Mutex::new(TableStates { tables, reader: Reader::default() }),
                random: Mutex::new(random),
                ids: Mutex::new(ids),
                history: Mutex::default(),
                violation: Mutex::default(),
                workers: Mutex::default(),
                undeletable: Mutex::default(),
                serving: tokio::spawn(serve(listener, router)),
            }
        });
        world.prepare(kind.is_some()).await;
        (world, server)
    }

    async fn prepare(&self, is_sweep: bool) {
        self.client.post("namespaces", &json!({ "namespace": [NAMESPACE] })).await.expect(200);
        // Files are merged early in two of three policies; in the third they remain for long, so that
        // equality deletes are converted instead. A sweep tests compactions, and requires files to be merged.
        let choices = if is_sweep { 2 } else { 3 };
        let (inputs_min, delete_ratio, equality_deletes_min) =
            [(2, 0.1, 10), (2, 0.1, 1), (50, 1.0, 1)][self.below(choices)];
        let policy = json!({
            "compact": {
                "inputs-min": inputs_min, "delete-ratio": delete_ratio, "settle-minutes": 0,
                "equality-deletes-min": equality_deletes_min,
            },
            "expire-snapshots": { "snapshot-age-max-ms": 3_600_000, "snapshots-min": self.below(3) + 1 },
            "rewrite-manifests": { "manifests-min": 2 },
        });
        let path = "/governance/v1/maintenance/policy?warehouse=main";
        self.client.request("PUT", path, Some(policy.to_string()), &[]).await.expect(200);
        for table in &self.states.lock().await.tables {
            let target_bytes = [None, Some(2_500), Some(6_000)][self.below(3)];
            let request = table.kind.request(target_bytes);
            self.client.post(&fixture::tables(NAMESPACE), &request).await.expect(200);
            self.record(&format!("table {} {target_bytes:?}", table.kind.name));
        }
    }

    /// Stops the catalog.
    pub(super) fn close(&self) {
        self.serving.abort();
    }

    /// Path of a table.
    pub(super) fn path(kind: Kind) -> String {
        fixture::table_path(NAMESPACE, kind.name)
    }

    /// Loads the metadata of a table.
    pub(super) async fn load(&self, kind: Kind) -> Result<Json, String> {
        Ok(self.load_response(kind).await?["metadata"].take())
    }

    /// Loads a table and returns the complete response, including the metadata location.
    pub(super) async fn load_response(&self, kind: Kind) -> Result<Json, String> {
        let reply = self.client.get(&World::path(kind)).await;
        if reply.status == 200 { Ok(reply.json()) } else { Err(format!("cannot load: {}", reply.text())) }
    }

    /// Sends a request of the maintenance API, and returns the status.
    pub(super) async fn send_maintenance_request(&self, path: &str, body: &Json) -> u16 {
        let path = format!("/governance/v1/maintenance/{path}");
        self.client.request("POST", &path, Some(body.to_string()), &[]).await.status
    }

    /// Returns a random number less than `end`.
    pub(super) fn below(&self, end: usize) -> usize {
        self.with_random(|random| random.random_range(0..end))
    }

    pub(super) fn with_random<T>(&self, choose: impl FnOnce(&mut StdRng) -> T) -> T {
        choose(&mut lock(&self.random))
    }

    /// Returns a UUID that is determined by the seed.
    pub(super) fn uuid(&self) -> Uuid {
        uuid::Builder::from_random_bytes(lock(&self.ids).random()).into_uuid()
    }

    /// Returns a positive snapshot id that is determined by the seed.
    pub(super) fn snapshot_id(&self) -> i64 {
        lock(&self.ids).random_range(1..i64::MAX)
    }

    /// Appends a step to the history, which is printed when the simulation fails. With
    /// `FIRN_SIMULATION_TRACE` it is also printed immediately.
    pub(super) fn record(&self, step: &str) {
        if std::env::var_os("FIRN_SIMULATION_TRACE").is_some() {
            eprintln!("{step}");
        }
        lock(&self.history).push(step.to_owned());
    }

    /// Returns all steps so far.
    pub(super) fn history(&self) -> Vec<String> {
        lock(&self.history).clone()
    }

    /// Records a violation that cannot be returned as an error at this point. Only the first one is reported.
    pub(super) fn record_violation(&self, what: String) {
        lock(&self.violation).get_or_insert(what);
    }

    /// Fails if a violation was recorded.
    pub(super) fn check(&self) -> Result<(), String> {
        lock(&self.violation).clone().map_or(Ok(()), Err)
    }

    /// Registers a worker by its name, which it sends as bearer token.
    pub(super) fn register_worker(&self, worker: Arc<FaultyWorker>) {
        lock(&self.workers).insert(worker.name.clone(), worker);
    }

    /// Returns the number of the next worker.
    pub(super) fn next_worker(&self) -> usize {
        lock(&self.workers).len() + 1
    }

    /// Summarises a job for the history.
    pub(super) async fn job(&self, job_id: Uuid) -> String {
        let path = format!("/governance/v1/maintenance/jobs/{job_id}");
        let job = self.client.request("GET", &path, None, &[]).await.json();
        let state = job["state"].as_str().unwrap_or_default();
        let error = job["error"].as_str().map(message_beginning).unwrap_or_default();
        // The numbers of bytes are left out: they depend on how well random names can be compressed.
        let numbers = job["result"]["numbers"].as_object().into_iter().flatten();
        let numbers = numbers.filter(|(name, _)| !name.starts_with("bytes"));
        let numbers: Vec<_> = numbers.map(|(name, number)| format!("{name} {number}")).collect();
        format!("{state} {error} {}", numbers.join(", "))
    }

    /// Records a file that could not be deleted because of a simulated fault.
    pub(super) fn add_undeletable_file(&self, location: &str) {
        lock(&self.undeletable).insert(local(location).to_owned());
    }

    /// Returns the files that could not be deleted because of simulated faults.
    pub(super) fn undeletable_files(&self) -> BTreeSet<String> {
        lock(&self.undeletable).clone()
    }

    /// Returns the files that the catalog records as outputs of jobs whose outcome is unknown.
    pub(super) async fn recorded_outputs(&self) -> BTreeSet<String> {
        const SQL: &str = "SELECT path FROM maintenance_outputs";
        let paths: Vec<String> = match self.backend {
            Backend::Sqlite => {
                let mut connection =
                    SqliteConnection::connect(&self.database_url).await.expect("a connection");
                sqlx::query_scalar(SQL).fetch_all(&mut connection).await.expect("paths")
            }
            Backend::Postgres => {
                let mut connection = PgConnection::connect(&self.database_url).await.expect("a connection");
                sqlx::query_scalar(SQL).fetch_all(&mut connection).await.expect("paths")
            }
        };
        paths.iter().map(|path| local(path).to_owned()).collect()
    }

    /// Changes the clock.
    pub(super) fn move_clock(&self, by_ms: i64) {
        self.clock.set(self.clock.now_ms() + by_ms);
    }

    /// Advances the clock so far that all leases have expired and all deferred jobs are due. PostgreSQL uses
    /// its own clock; there, the leases in the database are changed instead.
    pub(super) async fn expire_leases(&self) {
        self.move_clock(i64::from(LEASE_MS) + 1_000);
        if self.backend == Backend::Postgres {
            self.execute("UPDATE maintenance_jobs SET lease_until_ms = 0 WHERE state = 'running'").await;
        }
    }

    /// Makes all deferred jobs due on PostgreSQL, whose clock is not determined by the seed.
    pub(super) async fn make_deferred_jobs_due(&self) {
        if self.backend == Backend::Postgres {
            self.execute("UPDATE maintenance_jobs SET due_ms = 0 WHERE state = 'queued'").await;
        }
    }

    async fn execute(&self, sql: &'static str) {
        let mut connection = PgConnection::connect(&self.database_url).await.expect("a connection");
        sqlx::query(sql).execute(&mut connection).await.expect("a statement");
        connection.close().await.expect("an end");
    }
}

async fn serve(listener: TcpListener, router: Router) {
    // The server is stopped together with the simulation.
    let _ = axum::serve(listener, router).await;
}

/// Injects faults and events into the requests of workers, which are recognised by their bearer token.
/// Requests without one are passed on unchanged.
async fn intercept(State(world): State<std::sync::Weak<World>>, request: Request, next: Next) -> Response {
    let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let name = token.and_then(|token| token.strip_prefix("Bearer ")).unwrap_or_default();
    let worker = world.upgrade().and_then(|world| lock(&world.workers).get(name).cloned());
    let Some(worker) = worker else { return next.run(request).await };
    let path = request.uri().path();
    let what = match request.method().as_str() {
        "POST" if path.contains("/tables/") => "commit".to_owned(),
        "GET" if path.contains("/tables/") => "load".to_owned(),
        method => format!("{method} {}", path.rsplit('/').next().unwrap_or_default()),
    };
    if !worker.accepts_request(&what).await {
        return unavailable();
    }
    let response = next.run(request).await;
    if worker.is_response_delivered(&what).await { response } else { unavailable() }
}

fn unavailable() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "{}").into_response()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
