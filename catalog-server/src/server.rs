//! Assembly of the server: opens the database, starts the background work, serves connections, and stops all
//! of them in order. No other module wires the parts together.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use maintenance::budget::Budget;
use maintenance::client::address::{CatalogAddress, Route};
use maintenance::context::Environment;
use maintenance::files::JobFiles;
use maintenance::settings::Settings;
use maintenance::worker::daemon;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use storage::local::folders;
use storage::metered::Pace;
use storage::read_ahead::Concurrency;
use storage::stores::Stores;
use table_core::location::Location;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{self, Api};
use crate::authn::Authenticator;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::catalog::{Catalog, assembly};
use crate::clock::Clock;
use crate::config::{Config, Limits, Maintenance};
use crate::connections::Acceptor;
use crate::id;
use crate::schedule::Schedule;
use crate::secrets::SecretKeys;
use crate::storage::documents::Documents;
use crate::storage::manifests::Manifests;
use crate::storage::{WarehouseFiles, local_store};
use crate::store::database;
use crate::store::engine::db::Db;
use crate::store::engine::options::DbOptions;
use crate::store::engine::target::DbKind;
use crate::work::{Allowance, CpuSlots};

/// Server that has opened its database and warehouse and is bound to its port, but does not answer requests
/// yet.
///
/// [`Server::run`] answers them:
///
/// ```text
/// let server = Server::open(&config, Clock::system()).await?;
/// println!("listening on {}", server.address()?);
/// server.run(shutdown_signal).await;
/// ```
pub struct Server {
    listener: TcpListener,
    api: Api,
    catalog: Arc<Catalog>,
    schedule: Arc<Schedule>,
    db: Db,
    stores: Stores,
    warehouse: Warehouse,
    limits: Limits,
    maintenance: Maintenance,
    stop: CancellationToken,
    changes: TaskTracker,
    prometheus: PrometheusHandle,
}

impl Server {
    /// Opens and migrates the database, prepares the warehouse, and binds the port. Files are in the local file
    /// system.
    ///
    /// # Errors
    ///
    /// Fails for the reasons of [`Server::open_with`].
    pub async fn open(config: &Config, clock: Clock) -> anyhow::Result<Self> {
        Self::open_with(config, clock, Stores::new(local_store())).await
    }

    /// Opens a server whose warehouse is in one of `stores`.
    ///
    /// # Errors
    ///
    /// Fails if the data directory cannot be created; if the database cannot be opened or migrated; if the
    /// default location of the warehouse contains characters that clients would interpret as parts of a URI;
    /// if the warehouse contains the SQLite file itself; if the database is an empty SQLite file although the
    /// warehouse contains tables, unless [`Config::new_catalog`] is set; if the warehouse cannot be created;
    /// or if the port cannot be bound.
    pub async fn open_with(config: &Config, clock: Clock, stores: Stores) -> anyhow::Result<Self> {
        folders::create(&config.data_dir)
            .with_context(|| format!("cannot create the data directory `{}`", config.data_dir.display()))?;
        let data_dir = std::path::absolute(&config.data_dir)?;
        let prometheus = measure();

        let options = DbOptions {
            connections: config.database_connections,
            create_directory: folders::create,
            ..DbOptions::default()
        };
        let db = database::open(&config.database_url(), &options).await?;
        db.migrate().await?;

        let (files, turns) = (WarehouseFiles::new(stores.clone()), CpuSlots::new());
        let catalog = Arc::new(new_catalog(config, &clock, &db, &files, &turns));
        let default_location = default_location(config, &data_dir)?;
        check_new(config, &db, &files, &catalog, &default_location).await?;
        let warehouse = catalog.warehouses.ensure(&config.warehouse, &default_location).await?;

        catalog.locations.respell_claims().await?;
        let schedule =
            Arc::new(Schedule::new(catalog.clone(), db.clone(), clock.clone(), config.maintenance.clone()));
        // The change feed must exist before the first change is committed.
        schedule.begin_watch().await?;

        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("cannot listen on `{}`; is another firn running?", config.listen))?;
        let stop = CancellationToken::new();
        let changes = TaskTracker::new();
        let api = api::service(api::Parts {
            authenticator: Authenticator::local(),
            clock: clock.clone(),
            catalog: catalog.clone(),
            schedule: schedule.clone(),
            limits: config.limits.clone(),
            retention: config.retention.clone(),
            prometheus: prometheus.clone(),
            draining: stop.clone(),
            changes: changes.clone(),
            turns,
            bodies: Allowance::new(config.limits.bodies_bytes),
            default_warehouse: warehouse.name.clone(),
            in_flight: metrics::gauge!("firn_http_requests_in_flight"),
            endpoints: Vec::new(),
        });
        Ok(Self {
            listener,
            api,
            catalog,
            schedule,
            db,
            stores,
            warehouse,
            limits: config.limits.clone(),
            maintenance: config.maintenance.clone(),
            stop,
            changes,
            prometheus,
        })
    }

    /// Returns the address it listens on, including the actual port if port 0 was configured.
    ///
    /// # Errors
    ///
    /// Fails if the operating system cannot return the address of the socket.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Returns the warehouse named by the configuration.
    pub fn warehouse(&self) -> &Warehouse {
        &self.warehouse
    }

    /// Returns the router that answers requests, for callers that serve it themselves instead of calling
    /// [`Server::run`].
    pub fn router(&self) -> Router {
        self.api.clone().into_router()
    }

    /// Serves requests until `signal` resolves, then waits for the requests and background work in flight, up
    /// to [`Limits::drain_ms`] each, and closes the database.
    pub async fn run(self, signal: impl Future<Output = ()>) {
        let settings =
            self.address().map(|address| daemon_settings(address, &self.maintenance, &self.stores));
        let background = TaskTracker::new();
        let (purges, housekeeping) = (self.catalog.purges.clone(), self.catalog.housekeeping.clone());
        let (stop_purges, stop_housekeeping) = (self.stop.clone(), self.stop.clone());
        background.spawn(async move { purges.run(stop_purges).await });
        background.spawn(async move { housekeeping.run(stop_housekeeping).await });
        let (watch, sweep, schedule) = (self.schedule.clone(), self.schedule.clone(), self.schedule);
        let (stop_watch, stop_sweep, stop_schedule) =
            (self.stop.clone(), self.stop.clone(), self.stop.clone());
        background.spawn(async move { watch.run_watch(stop_watch).await });
        background.spawn(async move { sweep.run_sweep(stop_sweep).await });
        background.spawn(async move { schedule.run_housekeeping(stop_schedule).await });
        background.spawn(upkeep(self.prometheus, self.stop.clone()));
        background.close();

        let signal = maintain_until(signal, settings, Duration::from_millis(self.limits.drain_ms / 2));
        Acceptor::new(self.listener, self.api, &self.limits).run(signal, &self.stop).await;

        let patience = Duration::from_millis(self.limits.drain_ms);
        self.changes.close();
        let rest = async {
            self.changes.wait().await;
            background.wait().await;
        };
        if tokio::time::timeout(patience, rest).await.is_err() {
            tracing::warn!(
                "some background work did not finish in time and was aborted; it is resumed at the next start"
            );
        }
        self.db.close().await;
        tracing::info!("stopped");
    }
}

/// Creates the catalog with its caches, which read through `files` and share `turns`.
fn new_catalog(config: &Config, clock: &Clock, db: &Db, files: &WarehouseFiles, turns: &CpuSlots) -> Catalog {
    let document_bytes = config.limits.metadata_bytes;
    let documents = Documents::new(files.clone(), clock.clone(), config.cache.metadata_bytes, document_bytes);
    let manifests = Manifests::new(files.clone(), config.cache.manifest_bytes, document_bytes);
    Catalog::new(assembly::CatalogParts {
        db: db.clone(),
        clock: clock.clone(),
        files: files.clone(),
        secrets: SecretKeys::new(config.secrets.key_file.as_deref(), &config.data_dir),
        documents,
        manifests,
        turns: turns.clone(),
        planning: config.planning.clone(),
        retention: config.retention.clone(),
    })
}

/// Returns the location of the warehouse if none is configured. Fails if clients would parse a part of the
/// path as something else, such as a query or fragment.
fn default_location(config: &Config, data_dir: &Path) -> anyhow::Result<String> {
    let location = format!("file://{}/warehouse", data_dir.display());
    if config.warehouse.location.is_none()
        && (data_dir.to_str().is_none() || Location::parse(&location).is_err())
    {
        anyhow::bail!(
            "the data directory `{}` cannot contain a warehouse: clients would misinterpret its path; \
             choose one without `?`, `#`, backslashes and control characters, plain or encoded, or set `warehouse.location`",
            data_dir.display()
        );
    }
    Ok(location)
}

/// Validates that an empty database is not used where tables exist already: then the SQLite file was probably
/// lost, and the operator has to restore it or confirm the loss. Also refuses a warehouse that contains the
/// database file.
async fn check_new(
    config: &Config,
    db: &Db,
    files: &WarehouseFiles,
    catalog: &Catalog,
    default_location: &str,
) -> anyhow::Result<()> {
    let location = config.warehouse.location.as_deref().unwrap_or(default_location);
    let Ok(root) = Location::parse(location) else { return Ok(()) };
    if db.kind() == DbKind::Sqlite && files.contains(&root, db.file()).await {
        anyhow::bail!(
            "the warehouse `{location}` contains the catalog's database, which a \
             table could overwrite; choose another folder for one of them"
        );
    }
    let is_lost = db.kind() == DbKind::Sqlite
        && !config.new_catalog
        && catalog.warehouses.are_empty().await?
        && files.has_tables(&root).await?;
    if is_lost {
        anyhow::bail!(
            "the database is empty, but there are tables in the warehouse \
             `{location}`: was the SQLite file lost? Restore a backup of it, or start with an empty catalog with `--new-catalog` and register the tables"
        );
    }
    Ok(())
}

/// Installs the metrics recorder. A process has a single global recorder, which belongs to its first server;
/// a second server in the same process records nothing.
fn measure() -> PrometheusHandle {
    PrometheusBuilder::new().install_recorder().unwrap_or_else(|error| {
        tracing::warn!(%error, "metrics are already recorded by another server in this process; this one records none");
        PrometheusBuilder::new().build_recorder().handle()
    })
}

/// Runs the embedded maintenance workers until `signal` resolves, then stops them and resolves once they have
/// ended or `patience` has passed. They are clients of the server's own API, so the server has to answer
/// requests until then.
async fn maintain_until(
    signal: impl Future<Output = ()>,
    settings: anyhow::Result<Settings>,
    patience: Duration,
) {
    let stop = CancellationToken::new();
    let workers = match settings {
        Ok(settings) => tokio::spawn(daemon::run(settings, stop.clone())),
        Err(error) => {
            tracing::error!(%error, "maintenance cannot be started in this server");
            return signal.await;
        }
    };
    signal.await;
    stop.cancel();
    match tokio::time::timeout(patience, workers).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::error!(%error, "maintenance stopped in this server"),
        Ok(Err(error)) => tracing::error!(%error, "maintenance failed unexpectedly"),
        Err(_) => tracing::warn!("a maintenance job did not stop in time; another worker continues it"),
    }
}

/// Returns the settings of the embedded maintenance workers.
fn daemon_settings(mut address: SocketAddr, settings: &Maintenance, stores: &Stores) -> Settings {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        });
    }
    let clock = Clock::system();
    let environment = Environment { now_ms: Arc::new(move || clock.now_ms()), uuid: Arc::new(id::random) };
    let requests = Some(settings.requests_per_second).filter(|requests| *requests > 0);
    let pace = requests.map(|requests| Pace::new(requests, environment.now_ms.clone()));
    let stores = stores.with_local(maintenance::files::local_store());
    let defaults = Budget::default();
    Settings {
        // A proxy does not lead back to this process.
        catalog: CatalogAddress { route: Route::Direct, ..CatalogAddress::new(format!("http://{address}")) },
        name: format!("embedded-{}", id::random()),
        workers: settings.workers,
        budget: Budget {
            memory_bytes: settings.memory_bytes,
            spill_bytes: settings.spill_bytes,
            spill_folder: settings.spill_dir.clone().unwrap_or(defaults.spill_folder),
        },
        nice: i32::try_from(settings.nice).unwrap_or(0),
        files: JobFiles::new(Arc::new(stores), Handle::current(), Concurrency::default(), pace),
        environment,
    }
}

/// Drains metrics regularly, so that the memory of histograms stays bounded between scrapes.
async fn upkeep(prometheus: PrometheusHandle, stop: CancellationToken) {
    while !stop.is_cancelled() {
        prometheus.run_upkeep();
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
        }
    }
}
