//! Errors of the store, classified by how a caller should react.

use std::io;
use std::path::PathBuf;

use sqlx::migrate::MigrateError;

/// Reason for which the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed or was not reachable: see [`StoreError::is_unavailable`].
    #[error("the database failed")]
    Database(#[source] sqlx::Error),

    /// The transaction was rolled back in favour of a concurrent one and changed nothing. Running it again,
    /// from its first read, may succeed.
    #[error("the transaction conflicts with a concurrent one; run it again")]
    Serialization(#[source] sqlx::Error),

    /// COMMIT failed, and it is not known whether it took effect. Nothing that the transaction may refer to
    /// may be deleted.
    #[error("the commit was not confirmed; its outcome is unknown")]
    OutcomeUnknown(#[source] sqlx::Error),

    /// The schema could not be migrated to the current version.
    #[error("the database schema could not be migrated")]
    Migration(#[source] MigrateError),

    /// The database was migrated by a newer version of Firn.
    #[error("a newer release of firn has migrated this database (to version {version}); upgrade this server")]
    NewerSchema {
        /// Number of the migration that this version does not know.
        version: i64,
    },

    /// Another process has the SQLite database open.
    #[error("another firn uses the data directory `{}`; stop it first", directory.display())]
    InUse {
        /// Directory of the database and its lock file.
        directory: PathBuf,
    },

    /// The SQLite file is damaged, or not a database.
    #[error(
        "the database file `{}` is damaged ({reason}); restore a backup of it, and do not change the files of the warehouse",
        path.display()
    )]
    Damaged {
        /// Path of the file.
        path: PathBuf,
        /// Message of SQLite.
        reason: String,
    },

    /// The database cannot be used with these settings; a retry does not help.
    #[error("{0}")]
    Unsupported(String),
}

impl StoreError {
    /// Returns `true` if the database is temporarily unreachable or overloaded, so that the request may be
    /// repeated.
    pub fn is_unavailable(&self) -> bool {
        match self {
            // The last two occur if the server disconnects during the handshake.
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

    /// Returns `true` if running the transaction again, from its first read, may succeed immediately.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Serialization(_))
    }

    /// Converts the error of a COMMIT: its outcome is unknown, unless the server reported that it has rolled
    /// back.
    pub(in crate::store) fn from_commit(error: sqlx::Error) -> Self {
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
            // Serialization failure and deadlock. The other two constraints are checked by all statements
            // beforehand, so that only a concurrent transaction can have violated them: a parent row that was
            // deleted (23503), or a unique name that was taken (23505).
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

/// Returns the error for an answer that did not arrive in time.
pub(in crate::store) fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database did not answer in time"))
}

fn is_unavailable_code(code: &str) -> bool {
    // PostgreSQL: connection exceptions (08), insufficient resources such as too many connections or out of
    // memory or disk (53), shutdown, crash, start-up, idle in transaction for too long, statement and lock
    // timeouts. A read-only server (25006) is a standby that has not been promoted yet.
    if code.len() == 5 {
        return code.starts_with("08")
            || code.starts_with("53")
            || matches!(code, "57P01" | "57P02" | "57P03" | "57014" | "55P03" | "25P03" | "25006");
    }
    // SQLite: the primary result code is the low byte; 5 is SQLITE_BUSY, 6 is SQLITE_LOCKED.
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6))
}
