//! A short run of the simulation of maintenance; the command `simulation` runs longer.

use tests::process::Backend;
use tests::{fixture, simulation};

/// Seeds for each database, unless `FIRN_SEEDS` says otherwise.
const SEEDS: u64 = 10;

async fn maintenance_keeps_every_row_whatever_happens_to_it(backend: Backend) {
    let seeds = fixture::seeds(SEEDS);
    // Databases take different steps.
    let first = fixture::seed() + if backend == Backend::Sqlite { 0 } else { seeds };
    eprintln!("maintenance_keeps_every_row_whatever_happens_to_it: FIRN_SEED={first}, {seeds} seeds");
    for seed in first..first + seeds {
        if let Err(violation) = simulation::run(backend, seed).await {
            panic!("{violation}");
        }
    }
}

async fn a_seed_takes_the_same_steps_again(backend: Backend) {
    let seed = fixture::seed();
    let first = simulation::run(backend, seed).await;
    assert_eq!(first, simulation::run(backend, seed).await, "FIRN_SEED={seed}");
}

tests::on_both_databases!(
    maintenance_keeps_every_row_whatever_happens_to_it,
    a_seed_takes_the_same_steps_again,
);
