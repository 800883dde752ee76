//! Short run of the torture test; the command `torture` runs longer.

use std::time::Duration;

use tests::process::Backend;
use tests::torture::Options;
use tests::{fixture, torture};

async fn acknowledged_changes_survive_kills_exactly_once(backend: Backend) {
    let seed = fixture::seed();
    eprintln!("acknowledged_changes_survive_kills_exactly_once: FIRN_SEED={seed}");
    let time = Duration::from_secs(6);
    let options = Options { backend, writers: 16, kills: 10, time, seed, replicas: 2, instants: 10 };
    match torture::run(&options).await {
        Ok(report) => eprintln!("{report}"),
        Err(violation) => panic!("a guarantee was violated: {violation}"),
    }
}

tests::on_both_databases!(acknowledged_changes_survive_kills_exactly_once);
