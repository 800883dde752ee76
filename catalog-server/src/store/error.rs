//! What can go wrong in the store, told apart by what a caller does about it.

use std::io;
use std::path::PathBuf;

use sqlx::migrate::MigrateError;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed, or could not be reached: see [`StoreError::is_unavailable`].
    #[error("the database failed")]
    Database(#[source] sqlx::Error),

    /// The transaction gave way to a concurrent one and changed nothing; running it again, from its
    /// first read, may succeed.
    #[error("the transaction gave way to a concurrent one; run it again")]
    Serialization(#[source] sqlx::Error),

    /// COMMIT failed and nobody knows whether it took effect. Nothing the transaction may refer to
    /// may be deleted.
    #[error("the commit was not answered; it may or may not have taken effect")]
    OutcomeUnknown(#[source] sqlx::Error),

    /// The schema could not be brought up to date.
    #[error("the database schema could not be migrated")]
    Migration(#[source] MigrateError),

    /// A newer Firn has migrated this database.
    #[error("a newer firn has migrated this database (to version {version}); upgrade this one")]
    NewerSchema {
        /// The migration this build does not know.
        version: i64,
    },

    /// Another process has the SQLite database open.
    #[error("another firn uses the data directory `{}`; stop it first", directory.display())]
    InUse {
        /// Where the database and its lock file lie.
        directory: PathBuf,
    },

    /// The SQLite file is not what was written.
    #[error(
        "the database file `{}` is damaged ({reason}); restore a backup of it, and leave the warehouse's files as they are",
        path.display()
    )]
    Damaged {
        /// Where it is.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },

    /// The database named cannot be used, and trying again will not help.
    #[error("{0}")]
    Unsupported(String),
}

impl StoreError {
    /// Whether the database is out of reach or too busy for now: the request may be sent again.
    pub fn is_unavailable(&self) -> bool {
        match self {
            // The last two: a server that goes away in the middle of a handshake.
            Self::Database(
                sqlx::Error::Io(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::Protocol(_)
                | sqlx::Error::Tls(_),
            ) => true,
            Self::Database(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| is_unavailable_code(&code))
            }
            _ => false,
        }
    }

    /// Whether running the transaction again, from its first read, may succeed at once.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Serialization(_))
    }

    /// What a failed COMMIT means: mostly nobody knows, sometimes the server said it did nothing.
    pub(super) fn from_commit(error: sqlx::Error) -> Self {
        match Self::from(error) {
            Self::Database(error) => Self::OutcomeUnknown(error),
            definite => definite,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        match code.as_deref() {
            // Serialization failure, deadlock. And the two constraints that every statement here
            // has checked beforehand, so that only a concurrent transaction can have broken them:
            // a parent that went away (23503), a name that was taken (23505).
            Some("40001" | "40P01" | "23503" | "23505") => Self::Serialization(error),
            _ => Self::Database(error),
        }
    }
}

impl From<MigrateError> for StoreError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(version) => Self::NewerSchema { version },
            MigrateError::Execute(error) => Self::from(error),
            other => Self::Migration(other),
        }
    }
}

/// The error of an answer that did not come in time.
pub(super) fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database did not answer in time"))
}

fn is_unavailable_code(code: &str) -> bool {
    // PostgreSQL: connection exceptions, insufficient resources (too many connections, out of
    // memory or disk), shutting down, crashed, starting up, idle in transaction too long, statement
    // and lock timeouts. A read-only server is a standby that has not been promoted yet.
    if code.len() == 5 {
        return code.starts_with("08")
            || code.starts_with("53")
            || matches!(code, "57P01" | "57P02" | "57P03" | "57014" | "55P03" | "25P03" | "25006");
    }
    // SQLite: the primary result code is the low byte; 5 is SQLITE_BUSY, 6 SQLITE_LOCKED.
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6))
}
