//! Management of client connections: they are accepted up to a limit, subject to deadlines, and shut down
//! gracefully.
//!
//! `axum::serve` has neither deadlines nor a limit, so one client that opens connections and sends nothing
//! could exhaust the file descriptors of the process. This module deals with bytes and time only; requests
//! are interpreted by [`crate::api`].
//!
//! ```text
//! let acceptor = Acceptor::new(listener, router, &config.limits);
//! acceptor.run(shutdown_signal, &stop).await;
//! ```

mod activity;
mod connection;
mod counted;
mod refusal;
mod wire;

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::Api;
use crate::api::refusal::{Refusal, count_refused_connection};
use crate::config::Limits;

use activity::Deadlines;
use connection::Connection;
use counted::Counted;

/// Divisor of the process's limit of file descriptors: connections may take one part of them. The rest is for
/// the database, the files of tables and the reserve.
const DESCRIPTORS_DIVISOR: u64 = 2;
/// Maximum number of requests in flight beyond the first one of each connection, of all connections together.
/// Over HTTP/2, a few connections could otherwise carry enough requests to exhaust memory.
const FURTHER_REQUESTS_MAX: usize = 1_024;
/// Maximum number of refused connections that wait for their client to read the refusal. Further ones are
/// closed directly after it is sent.
const REFUSED_MAX: usize = 64;
/// Maximum time that a refused client may take to read the refusal.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);
/// Pause of accepting when no file descriptor is left in the process or the system, so that some connection
/// may end meanwhile.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Listener that accepts connections and counts them against the limit.
pub struct Acceptor {
    listener: TcpListener,
    api: Api,
    deadlines: Deadlines,
    drain: Duration,
    places: Arc<Semaphore>,
    refused: Arc<Semaphore>,
    /// Permits for requests that are not the only ones in flight on their connection.
    further: Arc<Semaphore>,
    connections: TaskTracker,
    /// File descriptor that is released to accept and refuse a connection when no other one is left.
    reserve: Option<File>,
}

impl Acceptor {
    /// Prepares to serve `api` on `listener`. Raises the process's soft limit of file descriptors to its
    /// hard limit.
    pub fn new(listener: TcpListener, api: Api, limits: &Limits) -> Self {
        let places = places(limits.connections);
        Self {
            listener,
            api,
            deadlines: Deadlines::new(limits),
            drain: Duration::from_millis(limits.drain_ms),
            places: Arc::new(Semaphore::new(places)),
            refused: Arc::new(Semaphore::new(REFUSED_MAX)),
            further: Arc::new(Semaphore::new(FURTHER_REQUESTS_MAX)),
            connections: TaskTracker::new(),
            reserve: reserve(),
        }
    }

    /// Accepts connections until `signal` resolves, then cancels `stop` and waits for the requests in flight,
    /// up to [`Limits::drain_ms`].
    pub async fn run(mut self, signal: impl Future<Output = ()>, stop: &CancellationToken) {
        let mut signal = std::pin::pin!(signal);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut signal => break,
            };
            match accepted {
                Ok((stream, _)) => self.admit(stream, stop),
                Err(error) if is_exhausted(&error) => self.refuse_with_reserve(&error).await,
                // The client has disconnected already.
                Err(error) => tracing::debug!(%error, "cannot accept a connection"),
            }
        }
        tracing::info!("shutting down: finishing requests in flight");
        stop.cancel();
        drop(self.listener);
        self.connections.close();
        if tokio::time::timeout(self.drain, self.connections.wait()).await.is_err() {
            tracing::warn!("some requests did not finish in time and were aborted");
        }
    }

    fn admit(&self, stream: TcpStream, stop: &CancellationToken) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return self.refuse(stream);
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot disable Nagle's algorithm");
        }
        let connection = Connection {
            api: self.api.clone(),
            deadlines: self.deadlines,
            stop: stop.clone(),
            further: Arc::clone(&self.further),
            _place: Counted::new(place),
        };
        self.connections.spawn(connection.serve(stream));
    }

    /// Refuses a connection because there are too many, without reading its request.
    fn refuse(&self, stream: TcpStream) {
        count_refused_connection(Refusal::Connections);
        tracing::debug!("a connection was refused: the limit `limits.connections` is reached");
        let Ok(permit) = Arc::clone(&self.refused).try_acquire_owned() else {
            return refusal::answer_at_once(stream, Refusal::Connections);
        };
        self.connections.spawn(async move {
            refusal::answer(stream, Refusal::Connections, REFUSAL_PATIENCE).await;
            drop(permit);
        });
    }

    /// Refuses a connection although no file descriptor is left.
    ///
    /// Without a descriptor nothing can be accepted, and the listener would report the same connection again
    /// and again. Therefore one descriptor is reserved: it is closed, which frees a descriptor to accept the
    /// connection, and reopened once the connection has been refused.
    async fn refuse_with_reserve(&mut self, error: &io::Error) {
        tracing::warn!(%error, "a connection was refused: no file descriptor is left; raise the limit of open files (`ulimit -n`)");
        drop(self.reserve.take());
        let accepted = tokio::time::timeout(EXHAUSTED_PAUSE, self.listener.accept()).await;
        if let Ok(Ok((stream, _))) = accepted {
            count_refused_connection(Refusal::Descriptors);
            refusal::answer(stream, Refusal::Descriptors, EXHAUSTED_PAUSE).await;
        } else {
            tokio::time::sleep(EXHAUSTED_PAUSE).await;
        }
        self.reserve = reserve();
    }
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

fn is_exhausted(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

/// Returns the maximum number of open connections: the configured one, or fewer if the process may not open
/// enough file descriptors.
fn places(configured: u32) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // The soft limit is low by default for programs that use `select`; this one does not.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let descriptors = if raised.is_ok() { maximum } else { current };
    let most = descriptors.map_or(u64::MAX, |descriptors| descriptors / DESCRIPTORS_DIVISOR);
    if u64::from(configured) > most {
        tracing::warn!(
            "`limits.connections` is {configured}, but the process may have {most} connections: its limit of file \
             descriptors (`ulimit -n`) is too low for more"
        );
    }
    usize::try_from(most.min(u64::from(configured))).unwrap_or(Semaphore::MAX_PERMITS).max(1)
}
