//! Short run of the simulation of maintenance; the command `simulation` runs longer.

use tests::process::Backend;
use tests::{fixture, simulation};

/// Number of seeds for each database, unless `FIRN_SEEDS` is set.
const SEEDS: u64 = 10;
/// Distance of the operations of a job at which events are injected.
const STRIDE: usize = 2;

async fn maintenance_keeps_every_row_under_faults(backend: Backend) {
    let seeds = fixture::seeds(SEEDS);
    // The databases use different seeds.
    let first = fixture::seed() + if backend == Backend::Sqlite { 0 } else { seeds };
    eprintln!("maintenance_keeps_every_row_under_faults: FIRN_SEED={first}, {seeds} seeds");
    for seed in first..first + seeds {
        if let Err(violation) = simulation::run(backend, seed).await {
            panic!("{violation}");
        }
    }
}

async fn a_compaction_interrupted_at_any_operation_loses_no_row(backend: Backend) {
    // Partitioned tables, so that there are several groups: of format version 3 on SQLite, of version 2 on
    // PostgreSQL.
    let seed = fixture::seed() + if backend == Backend::Sqlite { 2 } else { 1 };
    eprintln!("a_compaction_interrupted_at_any_operation_loses_no_row: seed {seed}");
    if let Err(violation) = simulation::sweep(backend, seed, "compact", STRIDE).await {
        panic!("{violation}");
    }
}

async fn a_seed_determines_all_steps(backend: Backend) {
    let seed = fixture::seed();
    let first = simulation::run(backend, seed).await;
    assert_eq!(first, simulation::run(backend, seed).await, "FIRN_SEED={seed}");
}

tests::on_both_databases!(
    maintenance_keeps_every_row_under_faults,
    a_compaction_interrupted_at_any_operation_loses_no_row,
    a_seed_determines_all_steps,
);
