//! The `firn` binary: starts logging and the server, or runs the command that was chosen.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use catalog_server::clock::Clock;
use catalog_server::config::{Config, Flags};
use catalog_server::server::Server;
use clap::Parser as _;
use cli::banner::StartBanner;
use cli::serve::Serve;
use cli::{Command, CommandLine};
use process::{shutdown_signal, start_logging};

mod cli;
mod process;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let done = match CommandLine::parse().command {
        Some(Command::Serve(serve)) => run(serve),
        Some(Command::Inspect(inspect)) => inspect.run(),
        Some(Command::Maintain(maintain)) => maintain.run(),
        Some(Command::Jobs(jobs)) => jobs.run(),
        Some(Command::Explain(explain)) => explain.run(),
        Some(Command::Warehouse(warehouse)) => warehouse.run(),
        None => run(Serve::default()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("firn: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(serve: Serve) -> anyhow::Result<()> {
    let flags = Flags {
        data_dir: serve.data_dir,
        listen: serve.listen,
        database_url: serve.database_url,
        new_catalog: serve.new_catalog.then_some(true),
    };
    let config = Config::load(serve.config.as_deref(), &flags)?;
    start_logging(&config.log)?;
    for ignored in &config.ignored_variables {
        tracing::warn!("{ignored}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let server = Server::open(&config, Clock::system()).await?;
        // The signal handler is installed before the banner reports readiness, because a signal may arrive
        // directly after it.
        let shutdown = shutdown_signal()?;
        let address = server.address()?;
        let mut out = std::io::stdout().lock();
        out.write_all(banner(address, &config, &server).to_string().as_bytes())?;
        out.flush()?;
        drop(out);
        server.run(shutdown).await;
        Ok(())
    });
    // Blocking threads whose results are no longer awaited would otherwise delay the exit.
    runtime.shutdown_background();
    served
}

fn banner(address: SocketAddr, config: &Config, server: &Server) -> StartBanner {
    let database = match &config.database_url {
        Some(url) if url.starts_with("postgres") => "PostgreSQL".to_owned(),
        _ => config.database_url(),
    };
    StartBanner {
        address,
        database,
        warehouse: server.warehouse().name.to_string(),
        location: server.warehouse().location.to_string(),
        workers: config.maintenance.workers,
        time_travel_minutes: config.retention.time_travel_minutes,
    }
}
