//! Open database: connections, schema migration, and the time of transactions. It contains no statements on
//! the catalog itself.

use std::any::Any;
use std::sync::Arc;

use sqlx::query_scalar;

use super::attachment::Attachment;
use super::error::StoreError;
use super::options::DbOptions;
use super::postgres::Postgres;
use super::schema::DbSchema;
use super::sqlite::Sqlite;
use super::target::{DbKind, PoolTarget, Target};
use super::tx::{Open, Tx};

/// Open catalog database. Clones share one set of connections.
///
/// See the [module documentation](crate::store) for an example.
#[derive(Clone)]
pub struct Db {
    backend: Arc<Backend>,
    schema: &'static DbSchema,
    attachment: Attachment,
}

/// Utilisation of the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStats {
    /// Number of open connections, for reading and writing.
    pub open: u32,
    /// Number of open connections that are not in use.
    pub idle: u32,
}

enum Backend {
    Sqlite(Box<Sqlite>),
    Postgres(Postgres),
}

impl Db {
    /// Connects to `sqlite:///path/to/firn.db`, creating the file if it does not exist, or to `postgres://…`.
    ///
    /// [`Db::migrate`] applies `schema`.
    ///
    /// # Errors
    ///
    /// Fails with [`StoreError::InUse`] if another process has the SQLite database open; with
    /// [`StoreError::Damaged`] if the SQLite file is damaged or not a database; with
    /// [`StoreError::Unsupported`] if the URL is invalid or has another scheme, the directory of the SQLite
    /// file is not usable, PostgreSQL is older than version 15, or its encoding is not UTF-8; and with
    /// [`StoreError::Database`] if the database is not reachable or refuses the connection.
    pub(in crate::store) async fn connect(
        url: &str,
        options: &DbOptions,
        schema: &'static DbSchema,
    ) -> Result<Self, StoreError> {
        let backend = match url.split_once("://") {
            Some(("sqlite", _)) => Backend::Sqlite(Box::new(Sqlite::open(url, options).await?)),
            Some(("postgres" | "postgresql", _)) => Backend::Postgres(Postgres::open(url, options).await?),
            _ => {
                return Err(StoreError::Unsupported(
                    "the database URL must start with `sqlite://` or `postgres://`".to_owned(),
                ));
            }
        };
        Ok(Self { backend: Arc::new(backend), schema, attachment: Attachment::default() })
    }

    /// Keeps `value` with the database, for [`Db::attachment`].
    pub(in crate::store) fn with_attachment<T: Any + Send + Sync>(self, value: T) -> Self {
        Self { attachment: Attachment::new(value), ..self }
    }

    /// Migrates the schema to the current version. Several processes may do so at the same time: one migrates
    /// and the others wait for it.
    ///
    /// # Errors
    ///
    /// Fails with [`StoreError::NewerSchema`], changing nothing, if a newer version of Firn has migrated the
    /// database; with [`StoreError::Migration`] if a migration that was applied before differs from that of
    /// this version; and with [`StoreError::Database`] if the database does not answer or fails a statement.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.migrate(self.schema).await,
            Backend::Postgres(postgres) => postgres.migrate(self.schema).await,
        }
    }

    /// Begins a write transaction. `now_ms` is the clock of the process, in milliseconds since 1970, which is
    /// not used on PostgreSQL: see [`Tx::at_ms`].
    ///
    /// On SQLite it waits until the previous write transaction has ended.
    ///
    /// # Errors
    ///
    /// Fails if no connection is free in time, or the database does not answer or fails a statement
    /// ([`StoreError::Database`]). On SQLite it also fails as [`Tx::commit`] does, if the time has to be
    /// recorded first.
    pub async fn write(&self, now_ms: i64) -> Result<Tx, StoreError> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => {
                let (transaction, at_ms) = sqlite.begin(now_ms).await?;
                Ok(Tx::new(Open::Sqlite(transaction), at_ms, self.attachment.clone()))
            }
            Backend::Postgres(postgres) => {
                let (transaction, at_ms) = postgres.begin().await?;
                Ok(Tx::new(Open::Postgres(transaction), at_ms, self.attachment.clone()))
            }
        }
    }

    /// Waits until every write transaction begun before now has ended, and returns the instant up to which
    /// the past is settled: an as-of read of any *earlier* instant has the same result forever. A caller that
    /// needs the instant itself waits a millisecond and settles again.
    ///
    /// Must not be called while the caller has an open [`Tx`], because it would wait for it.
    ///
    /// # Errors
    ///
    /// Fails as [`Db::write`] does.
    pub async fn settle(&self, now_ms: i64) -> Result<i64, StoreError> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.settle(now_ms).await,
            Backend::Postgres(postgres) => postgres.settle().await,
        }
    }

    /// Returns the current time by the clock that transactions use, in milliseconds since 1970: that of
    /// PostgreSQL, because the clocks of replicas differ, or `process_now_ms` with the corrections of
    /// [`Tx::at_ms`].
    ///
    /// # Errors
    ///
    /// Fails if the database does not answer or fails the query ([`StoreError::Database`]). On SQLite it
    /// fails only if the time has to be corrected, as [`Db::write`] does.
    pub async fn now_ms(&self, process_now_ms: i64) -> Result<i64, StoreError> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.now_ms(process_now_ms).await,
            Backend::Postgres(postgres) => postgres.now_ms().await,
        }
    }

    /// Converts an instant of the clock, as used by readers, to the instant of the catalog's history. The two
    /// differ on SQLite once the clock was set back.
    pub fn history_ms(&self, clock_ms: i64) -> i64 {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.timeline.history_ms(clock_ms),
            Backend::Postgres(_) => clock_ms,
        }
    }

    /// Converts an instant of the catalog's history to the time that the clock showed then, for display.
    pub fn clock_ms(&self, at_ms: i64) -> i64 {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.timeline.clock_ms(at_ms),
            Backend::Postgres(_) => at_ms,
        }
    }

    /// Returns the kind of the database.
    pub fn kind(&self) -> DbKind {
        match &*self.backend {
            Backend::Sqlite(_) => DbKind::Sqlite,
            Backend::Postgres(_) => DbKind::Postgres,
        }
    }

    /// Returns free pages of a SQLite file to the file system, a bounded number per call. PostgreSQL does so
    /// by itself.
    ///
    /// # Errors
    ///
    /// Fails if the database does not answer or fails a statement ([`StoreError::Database`]).
    pub async fn reclaim(&self) -> Result<(), StoreError> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.reclaim().await,
            Backend::Postgres(_) => Ok(()),
        }
    }

    /// Returns the path of the file of a SQLite database.
    pub fn file(&self) -> Option<&std::path::Path> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => Some(&sqlite.path),
            Backend::Postgres(_) => None,
        }
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    ///
    /// Fails if it does not answer or fails the query ([`StoreError::Database`]).
    pub async fn ping(&self) -> Result<(), StoreError> {
        fetch_optional!(self, query_scalar::<_, i32>("SELECT 1")).map(drop)
    }

    /// Returns the utilisation of the connections, for metrics.
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

    /// Waits for the statements in progress and closes the connections. Later calls fail.
    pub async fn close(&self) {
        match &*self.backend {
            Backend::Sqlite(sqlite) => {
                sqlite.read.close().await;
                // The writing connection is closed last, because then SQLite copies the write-ahead log into
                // the database file.
                sqlite.write.close().await;
            }
            Backend::Postgres(postgres) => postgres.pool.close().await,
        }
    }

    pub(in crate::store) fn target(&self) -> PoolTarget<'_> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => Target::Sqlite(&sqlite.read),
            Backend::Postgres(postgres) => Target::Postgres(&postgres.pool),
        }
    }

    /// Returns the value that is kept with the database, if it is a `T`. This neither locks nor allocates.
    pub(in crate::store) fn attachment<T: Any>(&self) -> Option<&T> {
        self.attachment.get()
    }
}

fn count(connections: usize) -> u32 {
    u32::try_from(connections).unwrap_or(u32::MAX)
}
