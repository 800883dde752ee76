//! Command that kills servers under concurrent writers and verifies the guarantees afterwards: `cargo run
//! --release -p tests --bin torture -- --backend postgres`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tests::process::{self, Backend};
use tests::torture;
use tests::torture::Options;

/// Runs concurrent writers on servers that are killed at random, and checks that each acknowledged commit is
/// visible exactly once, none is partially visible, the metadata file of each version exists, and past states
/// do not change.
#[derive(Parser)]
struct Arguments {
    /// Database: `sqlite` or `postgres` [default: both]
    #[arg(long)]
    backend: Option<Backend>,
    /// Number of concurrent writers
    #[arg(long, default_value_t = 16)]
    writers: u32,
    /// Minimum number of kills
    #[arg(long, default_value_t = 50)]
    kills: u32,
    /// Minimum duration in seconds
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Number of servers on one PostgreSQL database
    #[arg(long, default_value_t = 2)]
    replicas: u32,
    /// Number of past instants that are read again at the end
    #[arg(long, default_value_t = 40)]
    instants: usize,
    /// Seed of an earlier run whose choices are repeated
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let backends =
        arguments.backend.map_or(vec![Backend::Sqlite, Backend::Postgres], |backend| vec![backend]);
    let mut outcome = ExitCode::SUCCESS;
    for backend in backends {
        let options = Options {
            backend,
            writers: arguments.writers,
            kills: arguments.kills,
            time: Duration::from_secs(arguments.seconds),
            seed,
            replicas: arguments.replicas,
            instants: arguments.instants,
        };
        println!("{backend:?}, seed {seed}");
        process::run(async {
            match torture::run(&options).await {
                Ok(report) => println!("{report}"),
                Err(violation) => {
                    eprintln!("a guarantee was violated: {violation}");
                    outcome = ExitCode::FAILURE;
                }
            }
        });
    }
    outcome
}
