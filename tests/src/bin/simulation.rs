//! Command that simulates maintenance under faults, and checks that no row is lost: `cargo run -p tests --bin
//! simulation -- --seeds 1000`.

use std::process::ExitCode;

use clap::Parser;
use tests::process::{self, Backend};
use tests::simulation;

/// Runs writers and maintenance workers on a catalog step by step, while disks fail, requests are lost,
/// workers are taken over, cancelled or crash, and the clock jumps. A failure prints its seed and its steps;
/// the same seed takes the same steps.
#[derive(Parser)]
struct Arguments {
    /// Database: `sqlite` or `postgres` [default: both]
    #[arg(long)]
    backend: Option<Backend>,
    /// First seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of seeds
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// Action of jobs at each operation of which each kind of event is injected, instead of random events:
    /// `compact`, `expire-snapshots` or `rewrite-manifests`
    #[arg(long)]
    sweep: Option<String>,
    /// Runs all seeds, even after a failure
    #[arg(long)]
    all: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let backends =
        arguments.backend.map_or(vec![Backend::Sqlite, Backend::Postgres], |backend| vec![backend]);
    let mut outcome = ExitCode::SUCCESS;
    for backend in backends {
        process::run(async {
            for seed in arguments.seed..arguments.seed.saturating_add(arguments.seeds) {
                let done = match &arguments.sweep {
                    Some(action) => simulation::sweep(backend, seed, action, 1).await,
                    None => simulation::run(backend, seed).await,
                };
                let Err(violation) = done else { continue };
                eprintln!("{violation}");
                outcome = ExitCode::FAILURE;
                if !arguments.all {
                    return;
                }
            }
            println!("{backend:?}: {} seeds from {}", arguments.seeds, arguments.seed);
        });
    }
    outcome
}
