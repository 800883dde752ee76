//! SQLite backend: one file, one process, one writer. Readers never wait for the writer (write-ahead log).

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection, SqlitePool, Transaction, query, query_as, query_scalar};

use super::error::StoreError;
use super::options::DbOptions;
use super::schema::DbSchema;
use super::timeline::{Change, Correction, Timeline};

/// Size, in bytes, to which the write-ahead log is truncated once it has been copied into the database.
/// Otherwise the log would retain the size that the largest transaction needed.
const LOG_BYTES_MAX: &str = "67108864";
/// Number of free pages that remain in the file for future writes: 8 MiB.
const FREE_PAGES_MIN: i64 = 2_048;
/// Number of pages that are returned to the file system in one transaction, which takes some milliseconds.
const RECLAIM_PAGES: i64 = 1_024;
/// Maximum number of such transactions in a row.
const RECLAIMS_MAX: usize = 64;

pub(super) struct Sqlite {
    pub(super) read: SqlitePool,
    /// Pool of one connection: acquiring it takes the write lock, and its queue is first come, first served.
    pub(super) write: SqlitePool,
    /// Time of transactions. It is advanced under the write lock, so that the order of commits is the order
    /// of their times even if the clock is set back.
    pub(super) timeline: Box<Timeline>,
    /// Path of the database file.
    pub(super) path: PathBuf,
    /// Lock on the directory while the database is open. The operating system releases it with the process.
    _lock: File,
}

impl Sqlite {
    pub(super) async fn open(url: &str, options: &DbOptions) -> Result<Self, StoreError> {
        let file = SqliteConnectOptions::from_str(url)
            .map_err(|error| StoreError::Unsupported(format!("the database URL is not valid: {error}")))?
            .busy_timeout(options.statement_timeout)
            .foreign_keys(true);
        let lock = lock_directory(file.get_filename(), options)?;

        let pool = SqlitePoolOptions::new()
            .acquire_timeout(options.acquire_timeout)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None);
        let write = file
            .clone()
            .create_if_missing(true)
            // Applies to new databases only; an old one never shrinks unless the operator runs `VACUUM`.
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .journal_mode(SqliteJournalMode::Wal)
            .pragma("journal_size_limit", LOG_BYTES_MAX)
            // An acknowledged commit survives a power failure.
            .synchronous(SqliteSynchronous::Full);
        let write_pool = pool.clone().max_connections(1).before_acquire(|connection, _| {
            Box::pin(async move {
                if connection.is_in_transaction() {
                    // A dropped transaction is rolled back in the background; this waits for it.
                    connection.ping().await?;
                }
                // A failed COMMIT on a full disk ends the transaction, but sqlx does not notice and would
                // refuse to begin another one. Such a connection is closed, and a new one replaces it.
                Ok(!connection.is_in_transaction())
            })
        });
        let path = file.get_filename().to_owned();
        let damaged =
            |error: sqlx::Error| match error.as_database_error().and_then(sqlx::error::DatabaseError::code) {
                // SQLITE_CORRUPT and SQLITE_NOTADB.
                Some(code) if matches!(code.as_ref(), "11" | "26") => {
                    StoreError::Damaged { path: path.clone(), reason: error.to_string() }
                }
                _ => StoreError::from(error),
            };
        let write = write_pool.connect_with(write).await.map_err(&damaged)?;
        check_pages(&write, &path, damaged).await?;
        let read = pool.max_connections(options.connections).connect_with(file.read_only(true)).await?;

        Ok(Self { read, write, timeline: Box::default(), path, _lock: lock })
    }

    pub(super) async fn migrate(&self, schema: &DbSchema) -> Result<(), StoreError> {
        const CORRECTIONS: &str =
            "SELECT clock_ms, at_ms, until_ms FROM clock_corrections ORDER BY correction_id";
        const MARK: &str = "SELECT coalesce(max(at_ms), 0) FROM clock_marks";

        schema.sqlite.run(&self.write).await?;
        let latest_ms: i64 = query_scalar(schema.latest_ms).fetch_one(&self.write).await?;
        let corrections = query_as::<_, Correction>(CORRECTIONS).fetch_all(&self.write).await?;
        let mark_ms: i64 = query_scalar(MARK).fetch_one(&self.write).await?;
        self.timeline.restore(corrections, latest_ms, mark_ms);
        Ok(())
    }

    /// Shrinks the file if much of it is free.
    pub(super) async fn reclaim(&self) -> Result<(), StoreError> {
        const FREE: &str = "PRAGMA freelist_count";
        const MODE: &str = "PRAGMA auto_vacuum";
        const INCREMENTAL: i64 = 2;
        const RECLAIM: &str = "PRAGMA incremental_vacuum(1024)";

        if query_scalar::<_, i64>(MODE).fetch_one(&self.write).await? != INCREMENTAL {
            return Ok(());
        }
        for _ in 0..RECLAIMS_MAX {
            let free: i64 = query_scalar(FREE).fetch_one(&self.write).await?;
            if free < FREE_PAGES_MIN + RECLAIM_PAGES {
                return Ok(());
            }
            query(RECLAIM).execute(&self.write).await?;
        }
        Ok(())
    }

    pub(super) async fn begin(
        &self,
        now_ms: i64,
    ) -> Result<(Transaction<'static, sqlx::Sqlite>, i64), StoreError> {
        loop {
            let transaction = self.write.begin_with("BEGIN IMMEDIATE").await?;
            match self.timeline.due(now_ms) {
                None => return Ok((transaction, self.timeline.advance(now_ms))),
                Some(change) => self.keep_time(transaction, change).await?,
            }
        }
    }

    pub(super) async fn settle(&self, now_ms: i64) -> Result<i64, StoreError> {
        let (transaction, at_ms) = self.begin(now_ms).await?;
        transaction.rollback().await?;
        Ok(at_ms)
    }

    /// Returns the current catalog time. Waits for the write lock only if the clock has to be corrected.
    pub(super) async fn now_ms(&self, now_ms: i64) -> Result<i64, StoreError> {
        match self.timeline.due(now_ms) {
            Some(Change::Correct(_)) => self.settle(now_ms).await,
            _ => Ok(self.timeline.advance(now_ms)),
        }
    }

    /// Stores a change of the timeline, which the next start needs, and applies it.
    async fn keep_time(
        &self,
        mut transaction: Transaction<'static, sqlx::Sqlite>,
        change: Change,
    ) -> Result<(), StoreError> {
        const CORRECT: &str = "INSERT INTO clock_corrections (clock_ms, at_ms, until_ms) VALUES ($1, $2, $3)";
        const MARK: &str = "
            INSERT INTO clock_marks (mark_id, at_ms) VALUES (1, $1)
            ON CONFLICT (mark_id) DO UPDATE SET at_ms = excluded.at_ms";

        let stored = match change {
            Change::Correct(Correction { clock_ms, at_ms, until_ms }) => {
                query(CORRECT).bind(clock_ms).bind(at_ms).bind(until_ms)
            }
            Change::Mark(at_ms) => query(MARK).bind(at_ms),
        };
        stored.execute(&mut *transaction).await?;
        transaction.commit().await.map_err(StoreError::from_commit)?;
        self.timeline.apply(change);
        if let Change::Correct(Correction { clock_ms, at_ms, .. }) = change {
            let lead_ms = at_ms.saturating_sub(clock_ms);
            if lead_ms > 0 {
                tracing::warn!(
                    lead_ms,
                    "the system's clock is behind the catalog's latest change: it was ahead before, or was set back; the catalog continues from the time of its latest change"
                );
            } else {
                tracing::info!("the system's clock has caught up with the catalog's latest change");
            }
        }
        Ok(())
    }
}

/// Maximum size, in bytes, of a database that is checked completely at every start: checking takes more than
/// a second per gigabyte.
const CHECKED_BYTES_MAX: u64 = 256 << 20;

/// Checks the integrity of all pages of the database, unless it is large.
async fn check_pages(
    pool: &SqlitePool,
    path: &Path,
    damaged: impl Fn(sqlx::Error) -> StoreError,
) -> Result<(), StoreError> {
    const SIZE: &str = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
    const CHECK: &str = "PRAGMA quick_check(1)";

    let size: i64 = query_scalar(SIZE).fetch_one(pool).await.map_err(&damaged)?;
    if u64::try_from(size).unwrap_or(0) > CHECKED_BYTES_MAX {
        return Ok(());
    }
    let found: String = query_scalar(CHECK).fetch_one(pool).await.map_err(&damaged)?;
    if found == "ok" { Ok(()) } else { Err(StoreError::Damaged { path: path.to_owned(), reason: found }) }
}

/// Locks the lock file in the directory of the database, creating the directory if necessary. SQLite itself
/// would allow two processes to use the file, but each of them would answer from its own cache.
fn lock_directory(database: &Path, options: &DbOptions) -> Result<File, StoreError> {
    let directory = match database.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let opened = (options.create_directory)(directory).and_then(|()| {
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
