//! A server whose warehouse is not in the local file system: all that it does with files it does through the
//! stores. The store is in the memory of this process, so the server runs in it, too.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use catalog_server::clock::Clock;
use catalog_server::config::Config;
use catalog_server::server::Server;
use catalog_server::storage::local_store;
use serde_json::{Value, json};
use storage::file::FileState;
use storage::files::Files;
use storage::scope::{Reads, Scope};
use storage::stores::Stores;
use table_core::location::Location;
use tests::fixture::{commit, namespace_path, set_property, table, table_path, tables};
use tests::http::Client;
use tests::process::{Backend, Setup};
use tests::tables::files_below;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const WAREHOUSE: &str = "memory://bucket/warehouse";
/// Limit of a file that is read; more than any file of this test has.
const LIMIT_BYTES: usize = 1 << 20;

/// Server in this process.
struct RunningServer {
    client: Client,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl RunningServer {
    async fn start(setup: &Setup, stores: &Stores) -> Self {
        let mut config = Config {
            data_dir: setup.data_dir.clone(),
            listen: ([127, 0, 0, 1], 0).into(),
            database_url: setup.database_url.clone(),
            ..Config::default()
        };
        config.warehouse.location = Some(WAREHOUSE.to_owned());
        config.maintenance.workers = 0;
        let server = Server::open_with(&config, Clock::system(), stores.clone()).await.unwrap();
        let client = Client::new(&format!("http://{}", server.address().unwrap()), "main");
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.run(stop.clone().cancelled_owned()));
        Self { client, stop, serving }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}

/// Everything in the warehouse.
fn files(stores: &Stores) -> Files {
    let root = Location::parse(WAREHOUSE).unwrap();
    Files::new(Arc::new(stores.clone()), Scope::new(vec![root.clone()], vec![root], Reads::BelowRoots))
}

fn metadata_location(loaded: &Value) -> &str {
    loaded["metadata-location"].as_str().unwrap()
}

/// Waits until a file is deleted. The purge runs after its request was answered.
async fn wait_until_deleted(files: &Files, location: &str) {
    for _ in 0..6_000 {
        if files.state(location).await == FileState::Gone {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{location} is still there");
}

/// Checks that the data directory has no file but those of the database.
fn check_disk(data_dir: &Path) {
    for file in files_below(data_dir) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.starts_with("firn.db") || name == "firn.lock", "{} was written", file.display());
    }
    assert!(!data_dir.join("warehouse").exists());
}

async fn a_warehouse_in_memory_never_touches_the_disk(backend: Backend) {
    let (setup, stores) = (Setup::new(backend).await, Stores::new(local_store()).with_memory());
    let files = files(&stores);
    let server = RunningServer::start(&setup, &stores).await;
    let client = &server.client;
    client.post("namespaces", &json!({ "namespace": ["ns"] })).await.expect(200);
    let namespace = client.get(&namespace_path("ns")).await.expect(200).json();
    let location = namespace["properties"]["location"].as_str().unwrap();
    assert!(location.starts_with(&format!("{WAREHOUSE}/")), "{location}");

    let created = client.post(&tables("ns"), &table("t")).await.expect(200).json();
    client.post(&tables("ns"), &table("other")).await.expect(200);
    let change = commit(&[], &[set_property("color", "blue")]);
    let committed = client.post(&table_path("ns", "t"), &change).await.expect(200).json();
    let listed = client.get(&tables("ns")).await.expect(200).json();
    let names: Vec<_> =
        listed["identifiers"].as_array().unwrap().iter().map(|identifier| &identifier["name"]).collect();
    assert_eq!(names, ["other", "t"]);
    server.stop().await;

    // Another server has nothing in its caches.
    let server = RunningServer::start(&setup, &stores).await;
    let client = &server.client;
    let loaded = client.get(&table_path("ns", "t")).await.expect(200).json();
    assert_eq!(loaded["metadata"], committed["metadata"]);
    assert_eq!(loaded["metadata"]["properties"]["color"], "blue");
    let written = files.read(metadata_location(&loaded), LIMIT_BYTES).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), loaded["metadata"]);
    let planned = client.post(&format!("{}/plan", table_path("ns", "t")), &json!({})).await.expect(200);
    assert_eq!(planned.json()["status"], "completed");

    let other = client.get(&table_path("ns", "other")).await.expect(200).json();
    client.delete(&format!("{}?purgeRequested=true", table_path("ns", "t"))).await.expect(204);
    assert_eq!(client.head(&table_path("ns", "t")).await, 404);
    for purged in [&created, &committed] {
        wait_until_deleted(&files, metadata_location(purged)).await;
    }
    assert!(matches!(files.state(metadata_location(&other)).await, FileState::Present(_)));
    server.stop().await;
    check_disk(&setup.data_dir);
}

async fn a_server_without_such_a_store_refuses_the_warehouse(backend: Backend) {
    let setup = Setup::new(backend).await;
    let mut config = Config { data_dir: setup.data_dir.clone(), ..Config::default() };
    config.listen = ([127, 0, 0, 1], 0).into();
    config.warehouse.location = Some(WAREHOUSE.to_owned());
    let refused = Server::open(&config, Clock::system()).await.err().unwrap();
    assert!(format!("{refused:#}").contains(WAREHOUSE), "{refused:#}");
}

tests::on_both_databases!(a_warehouse_in_memory_never_touches_the_disk);
tests::on_sqlite!(a_server_without_such_a_store_refuses_the_warehouse);
