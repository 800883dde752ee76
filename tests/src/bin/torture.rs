//! Kills servers under writers and checks what they promised:
//! `cargo run --release -p tests --bin torture -- --backend postgres`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tests::process::{self, Backend};
use tests::torture;
use tests::torture::Options;

/// Lets writers loose on servers that are killed at random, and checks that every acknowledged commit is there
/// exactly once, none is half visible, every version's file exists, and the past stays as it was.
#[derive(Parser)]
struct Arguments {
    /// `sqlite` or `postgres`; both if absent
    #[arg(long)]
    backend: Option<Backend>,
    /// Concurrent writers
    #[arg(long, default_value_t = 16)]
    writers: u32,
    /// Kills, at least
    #[arg(long, default_value_t = 50)]
    kills: u32,
    /// Seconds, at least
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Servers on one PostgreSQL
    #[arg(long, default_value_t = 2)]
    replicas: u32,
    /// Instants of the past that are read again at the end
    #[arg(long, default_value_t = 40)]
    instants: usize,
    /// Repeats an earlier run's choices
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
                    eprintln!("a promise was broken: {violation}");
                    outcome = ExitCode::FAILURE;
                }
            }
        });
    }
    outcome
}
