//! Logging, and the signal to stop, of every process that serves or maintains.

use std::io::IsTerminal;

use catalog_server::config::{Log, LogFormat};
use tokio::signal::unix::{SignalKind, signal};

/// Starts logging to standard error.
///
/// # Errors
///
/// Fails if `log.level` cannot be parsed.
pub fn start_logging(log: &Log) -> anyhow::Result<()> {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_new(&log.level)
        .map_err(|error| anyhow::anyhow!("`log.level` is `{}`: {error}; try `info`", log.level))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match log.format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Starts logging to standard error with the default level and format.
///
/// # Errors
///
/// Fails for the reason of [`start_logging`].
pub fn start_default_logging() -> anyhow::Result<()> {
    start_logging(&Log::default())
}

/// Returns a future that resolves at SIGTERM or SIGINT. The handlers are installed before it returns.
///
/// # Errors
///
/// Fails if the system does not install a handler.
pub fn shutdown_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
