//! SQLite: one file, one process, one writer. Reads never wait for the writer (write-ahead log).

use std::fs::{File, TryLockError};
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqlitePool, Transaction, query_scalar};

use crate::folders;

use super::db::DbOptions;
use super::error::StoreError;
use super::history::FOREVER_MS;
use super::pointer_cache::PointerCache;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

pub(super) struct Sqlite {
    pub(super) read: SqlitePool,
    /// A pool of one: acquiring it is the write lock, and its queue is first come, first served.
    pub(super) write: SqlitePool,
    pub(super) pointers: PointerCache,
    /// The time of the latest write transaction. Advanced under the write lock, so that the order
    /// of commits is the order of their times even if the clock is set back.
    last_at_ms: AtomicI64,
    /// Held locked for as long as the database is open; the system releases it with the process.
    _lock: File,
}

impl Sqlite {
    pub(super) async fn open(url: &str, options: &DbOptions) -> Result<Self, StoreError> {
        let file = SqliteConnectOptions::from_str(url)
            .map_err(|error| StoreError::Unsupported(format!("the database URL is not valid: {error}")))?
            .busy_timeout(options.statement_timeout)
            .foreign_keys(true);
        let lock = lock_directory(file.get_filename())?;

        let pool = SqlitePoolOptions::new()
            .acquire_timeout(options.acquire_timeout)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None);
        let write = file
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A commit that was answered survives a power cut.
            .synchronous(SqliteSynchronous::Full);
        let write_pool = pool.clone().max_connections(1).before_acquire(|connection, _| {
            Box::pin(async move {
                if connection.is_in_transaction() {
                    // A dropped transaction is undone in the background; this waits for it.
                    connection.ping().await?;
                }
                // A COMMIT on a full disk ends the transaction, but sqlx never learns of it and would refuse to
                // begin another one: such a connection is closed, and a new one takes its place.
                Ok(!connection.is_in_transaction())
            })
        });
        let write = write_pool.connect_with(write).await?;
        let read = pool.max_connections(options.connections).connect_with(file.read_only(true)).await?;

        Ok(Self {
            read,
            write,
            pointers: PointerCache::new(options.pointer_cache_entries),
            last_at_ms: AtomicI64::new(0),
            _lock: lock,
        })
    }

    pub(super) async fn migrate(&self) -> Result<(), StoreError> {
        // Both constants cover an index, so that this stays quick over a long history.
        const LATEST: &str = "
            SELECT coalesce(max(at_ms), 0) FROM (
                SELECT max(max(valid_from_ms), coalesce(max(valid_to_ms) FILTER (WHERE valid_to_ms < $1), 0))
                    AS at_ms FROM namespace_history
                UNION ALL
                SELECT max(max(valid_from_ms), coalesce(max(valid_to_ms) FILTER (WHERE valid_to_ms < $1), 0))
                    FROM tabular_history
                UNION ALL
                SELECT max(max(valid_from_ms), coalesce(max(valid_to_ms) FILTER (WHERE valid_to_ms < $1), 0))
                    FROM pointer_history)";

        MIGRATIONS.run(&self.write).await?;
        let latest: i64 = query_scalar(LATEST).bind(FOREVER_MS).fetch_one(&self.write).await?;
        self.advance(latest);
        Ok(())
    }

    pub(super) async fn begin(
        &self,
        now_ms: i64,
    ) -> Result<(Transaction<'static, sqlx::Sqlite>, i64), StoreError> {
        let transaction = self.write.begin_with("BEGIN IMMEDIATE").await?;
        Ok((transaction, self.advance(now_ms)))
    }

    pub(super) async fn settle(&self, now_ms: i64) -> Result<i64, StoreError> {
        let _write_lock = self.write.acquire().await?;
        Ok(self.advance(now_ms))
    }

    /// `now_ms`, or the latest time seen if the clock has gone back behind it.
    pub(super) fn advance(&self, now_ms: i64) -> i64 {
        self.last_at_ms.fetch_max(now_ms, Ordering::SeqCst).max(now_ms)
    }
}

/// Takes the lock file beside the database, creating the directory if need be. SQLite itself would
/// let two processes share the file, but each would answer from its own cache.
fn lock_directory(database: &Path) -> Result<File, StoreError> {
    let directory = match database.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let opened = folders::create(directory).and_then(|()| {
        File::options().create(true).truncate(false).write(true).open(directory.join("firn.lock"))
    });
    let file = opened.map_err(|error| {
        StoreError::Unsupported(format!(
            "the data directory `{}` cannot be used: {error}",
            directory.display()
        ))
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { directory: directory.to_owned() }),
        Err(TryLockError::Error(error)) => Err(StoreError::Unsupported(format!(
            "the data directory `{}` cannot be locked: {error}",
            directory.display()
        ))),
    }
}
