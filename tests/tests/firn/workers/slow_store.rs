//! Worker on a store with slow requests, such as a distant object store.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use catalog_server::clock::Clock;
use catalog_server::id;
use maintenance::budget::Budget;
use maintenance::client::Client as MaintenanceClient;
use maintenance::client::address::CatalogAddress;
use maintenance::context::Environment;
use maintenance::files::{JobFiles, local_store};
use maintenance::queue::Queue;
use maintenance::settings::Settings;
use maintenance::worker;
use storage::error::StorageError;
use storage::faults::{Faults, Faulty, Operation};
use storage::place::Place;
use storage::read_ahead::Concurrency;
use storage::stores::Stores;
use tests::process::Backend;
use tests::tables::{Row, Table, TableOptions, rows};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::{check_compacted, request_compaction, start_server, wait_for_success};

const LATENCY: Duration = Duration::from_millis(40);

/// Slow store: delays every request, and counts them.
#[derive(Default)]
struct SlowStore {
    requests: AtomicUsize,
    in_flight: AtomicUsize,
    in_flight_max: AtomicUsize,
}

#[async_trait]
impl Faults for SlowStore {
    async fn before(&self, _: Operation, _: &Place) -> Result<(), StorageError> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.in_flight_max.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(LATENCY).await;
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }
}

impl fmt::Debug for SlowStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SlowStore").finish_non_exhaustive()
    }
}

async fn a_thousand_small_files_are_compacted_with_many_requests_at_a_time(backend: Backend) {
    let firn = start_server(backend, 60_000).await;
    let table = Table::create(&firn, &TableOptions::default()).await;
    let files: Vec<Vec<Row>> = (0..1_000).map(|number| rows(number * 2..number * 2 + 2, 0)).collect();
    table.append(&files).await;
    let before = table.rows().await;
    let id = request_compaction(&firn, &table).await;

    let slow = Arc::new(SlowStore::default());
    let clock = Clock::system();
    let store = Faulty::new(Arc::new(Stores::new(local_store())), slow.clone());
    let address = CatalogAddress::new(firn.root());
    let settings = Settings {
        catalog: address.clone(),
        name: "slow".to_owned(),
        workers: 1,
        budget: Budget::default(),
        nice: 0,
        files: JobFiles::new(Arc::new(store), Handle::current(), Concurrency::default(), None),
        environment: Environment { now_ms: Arc::new(move || clock.now_ms()), uuid: Arc::new(id::random) },
    };
    let queue = Queue::new(MaintenanceClient::new(&address).unwrap(), "slow".to_owned());
    let lease = queue.lease().await.unwrap();
    let start = Instant::now();
    worker::run_with(&settings, &queue, lease, |_| std::future::pending()).await;
    let elapsed = start.elapsed();

    wait_for_success(&firn, &id).await;
    check_compacted(&table, &before, 1).await;
    let requests = u32::try_from(slow.requests.load(Ordering::SeqCst)).unwrap();
    let in_flight_max = slow.in_flight_max.load(Ordering::SeqCst);
    // The first file shows that the files have to be decoded: none of the
    // others is opened only to determine this.
    assert!((1_000..1_020).contains(&requests), "{requests}");
    // Bounded, so that the files in memory are.
    assert!((8..=40).contains(&in_flight_max), "{in_flight_max}");
    // One after the other takes more than 40 seconds.
    assert!(elapsed * 4 < LATENCY * requests, "{requests} requests took {elapsed:?}");
}

tests::on_sqlite!(a_thousand_small_files_are_compacted_with_many_requests_at_a_time,);
