//! Command that fuzzes a server of its own: `cargo run -p tests --bin fuzz -- --seconds 60`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tests::fuzz;
use tests::process::{self, Backend, Firn};

/// Sends invalid requests to its own server, and fails if the server does not refuse them properly
#[derive(Parser)]
struct Options {
    /// Duration in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Database: `sqlite` or `postgres`
    #[arg(long, default_value = "sqlite")]
    backend: Backend,
    /// Seed of an earlier run to repeat
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut outcome = ExitCode::SUCCESS;
    process::run(async {
        let firn = Firn::new(options.backend).await;
        let seed = options.seed.unwrap_or_else(rand::random);
        println!("seed {seed}");
        let mut random = rand::SeedableRng::seed_from_u64(seed);
        match fuzz::run(&firn, &mut random, Duration::from_secs(options.seconds)).await {
            Ok(counts) => println!("{counts:#?}"),
            Err(violation) => {
                eprintln!("{violation}\nrepeat with --seed {seed}");
                outcome = ExitCode::FAILURE;
            }
        }
    });
    outcome
}
