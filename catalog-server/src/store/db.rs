//! The open database: connecting, migrating, transactions' time. No statement of the catalog's own.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{PgConnection, PgPool, SqliteConnection, SqlitePool, query_scalar};

use super::error::{StoreError, timed_out};
use super::pointer_cache::PointerCache;
use super::postgres::Postgres;
use super::sqlite::Sqlite;
use super::tx::Tx;

/// How long any answer of PostgreSQL is awaited. Longer than [`DbOptions::statement_timeout`] plus
/// the wait for a connection, so that it strikes only when the server or the network is gone.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// An open catalog database. Clones share one set of connections.
#[derive(Clone)]
pub struct Db {
    backend: Arc<Backend>,
}

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DbKind {
    /// One file, one process.
    Sqlite,
    /// A server, any number of processes.
    Postgres,
}

/// How to use the database.
#[derive(Clone, Debug)]
pub struct DbOptions {
    /// Connections kept to PostgreSQL, or for reading SQLite (which has one more, to write).
    pub connections: u32,
    /// How long a request waits for a free connection before it is refused.
    pub acquire_timeout: Duration,
    /// How long PostgreSQL works on one statement, or waits for one lock, before it gives up; how
    /// long SQLite waits for another program that has locked the file.
    pub statement_timeout: Duration,
    /// Tables and views whose pointers are kept in memory (SQLite only).
    pub pointer_cache_entries: u64,
}

impl Default for DbOptions {
    fn default() -> Self {
        Self {
            connections: 8,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            pointer_cache_entries: 100_000,
        }
    }
}

/// How busy the connections are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStats {
    /// Connections open, reading and writing.
    pub open: u32,
    /// Of these, the ones nobody uses at the moment.
    pub idle: u32,
}

pub(super) enum Backend {
    Sqlite(Box<Sqlite>),
    Postgres(Postgres),
}

/// Where a statement runs: a pool or the connection of a transaction, of either database.
pub(super) enum Target<S, P> {
    Sqlite(S),
    Postgres(P),
}

pub(super) type PoolTarget<'a> = Target<&'a SqlitePool, &'a PgPool>;
pub(super) type ConnectionTarget<'a> = Target<&'a mut SqliteConnection, &'a mut PgConnection>;

impl Db {
    /// Opens `sqlite:///path/to/firn.db`, creating the file, or `postgres://…`.
    ///
    /// The schema may be missing or old until [`Db::migrate`] has run.
    ///
    /// Fails with [`StoreError::InUse`] if another process has the SQLite file open, and with
    /// [`StoreError::Unsupported`] for another scheme or a PostgreSQL older than 15.
    pub async fn connect(url: &str, options: &DbOptions) -> Result<Self, StoreError> {
        let backend = match url.split_once("://") {
            Some(("sqlite", _)) => Backend::Sqlite(Box::new(Sqlite::open(url, options).await?)),
            Some(("postgres" | "postgresql", _)) => Backend::Postgres(Postgres::open(url, options).await?),
            _ => {
                return Err(StoreError::Unsupported(
                    "the database URL must start with `sqlite://` or `postgres://`".to_owned(),
                ));
            }
        };
        Ok(Self { backend: Arc::new(backend) })
    }

    /// Brings the schema up to date. Any number of processes may do so at once; one does the work
    /// and the others wait for it.
    ///
    /// Fails with [`StoreError::NewerSchema`], changing nothing, if a newer Firn has been here.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.migrate().await,
            Backend::Postgres(postgres) => postgres.migrate().await,
        }
    }

    /// Begins a write transaction. `now_ms` is the process' clock, of which PostgreSQL takes no
    /// notice: see [`Tx::at_ms`].
    ///
    /// On SQLite this waits until the write transaction before it has ended.
    pub async fn write(&self, now_ms: i64) -> Result<Tx, StoreError> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => {
                let (transaction, at_ms) = sqlite.begin(now_ms).await?;
                Ok(Tx::sqlite(self.clone(), transaction, at_ms))
            }
            Backend::Postgres(postgres) => {
                let (transaction, at_ms) = postgres.begin().await?;
                Ok(Tx::postgres(self.clone(), transaction, at_ms))
            }
        }
    }

    /// Waits until every write transaction begun before now has ended, and gives the instant up to
    /// which the past is now settled: a read as of any *earlier* instant gives the same answer
    /// forever. A caller that wants the instant itself waits a millisecond and settles again.
    ///
    /// Must not be called while holding a [`Tx`], which it would wait for.
    pub async fn settle(&self, now_ms: i64) -> Result<i64, StoreError> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.settle(now_ms).await,
            Backend::Postgres(postgres) => postgres.settle().await,
        }
    }

    /// The clock that transactions go by: PostgreSQL's own, since the clocks of replicas differ,
    /// or `process_now_ms`.
    pub async fn now_ms(&self, process_now_ms: i64) -> Result<i64, StoreError> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.now_ms(process_now_ms).await,
            Backend::Postgres(postgres) => postgres.now_ms().await,
        }
    }

    /// The instant of the catalog's history that a reader means by an instant of the clock. They differ on SQLite once the
    /// clock was set back.
    pub fn history_ms(&self, clock_ms: i64) -> i64 {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.timeline.history_ms(clock_ms),
            Backend::Postgres(_) => clock_ms,
        }
    }

    /// What the clock said at an instant of the catalog's history: what people are shown.
    pub fn clock_ms(&self, at_ms: i64) -> i64 {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.timeline.clock_ms(at_ms),
            Backend::Postgres(_) => at_ms,
        }
    }

    /// Which database this is.
    pub fn kind(&self) -> DbKind {
        match &*self.backend {
            Backend::Sqlite(_) => DbKind::Sqlite,
            Backend::Postgres(_) => DbKind::Postgres,
        }
    }

    /// Gives room that is free back to the file system, some of it at a time. PostgreSQL does that by itself.
    ///
    /// Fails if the database does not answer.
    pub async fn reclaim(&self) -> Result<(), StoreError> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.reclaim().await,
            Backend::Postgres(_) => Ok(()),
        }
    }

    /// The file of a SQLite database.
    pub fn file(&self) -> Option<&std::path::Path> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => Some(&sqlite.path),
            Backend::Postgres(_) => None,
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        fetch_optional!(self, query_scalar::<_, i32>("SELECT 1")).map(drop)
    }

    /// How busy the connections are, for metrics.
    pub fn pool_stats(&self) -> PoolStats {
        match &*self.backend {
            Backend::Sqlite(sqlite) => PoolStats {
                open: sqlite.read.size() + sqlite.write.size(),
                idle: count(sqlite.read.num_idle() + sqlite.write.num_idle()),
            },
            Backend::Postgres(postgres) => {
                PoolStats { open: postgres.pool.size(), idle: count(postgres.pool.num_idle()) }
            }
        }
    }

    /// Waits for the statements under way and closes the connections. Later calls fail.
    pub async fn close(&self) {
        match &*self.backend {
            Backend::Sqlite(sqlite) => {
                sqlite.read.close().await;
                // Last, so that closing it folds the write-ahead log into the database.
                sqlite.write.close().await;
            }
            Backend::Postgres(postgres) => postgres.pool.close().await,
        }
    }

    pub(super) fn target(&self) -> PoolTarget<'_> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => Target::Sqlite(&sqlite.read),
            Backend::Postgres(postgres) => Target::Postgres(&postgres.pool),
        }
    }

    /// Where pointers are remembered; only where this process is the one that moves them.
    pub(super) fn pointer_cache(&self) -> Option<&PointerCache> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => Some(&sqlite.pointers),
            Backend::Postgres(_) => None,
        }
    }
}

/// Awaits PostgreSQL's answer, but not forever: a server that vanished from the network never
/// answers, and no timeout of its own can strike.
pub(super) async fn bounded<T>(
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(timed_out()),
    }
}

fn count(connections: usize) -> u32 {
    u32::try_from(connections).unwrap_or(u32::MAX)
}
