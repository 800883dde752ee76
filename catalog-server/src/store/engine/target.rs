//! Executors of statements on either database. They contain no statement.

use std::future::Future;
use std::time::Duration;

use sqlx::{PgConnection, PgPool, SqliteConnection, SqlitePool};

use super::error::timed_out;

/// Maximum time that any answer of PostgreSQL is awaited. It is longer than
/// [`DbOptions::statement_timeout`](super::options::DbOptions::statement_timeout) plus the wait for a
/// connection, so that it only applies when the server or the network has failed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DbKind {
    /// SQLite: one file, used by one process.
    Sqlite,
    /// PostgreSQL: a server, used by any number of processes.
    Postgres,
}

/// Executor of a statement: a pool or the connection of a transaction, of either database.
pub(in crate::store) enum Target<S, P> {
    Sqlite(S),
    Postgres(P),
}

pub(in crate::store) type PoolTarget<'a> = Target<&'a SqlitePool, &'a PgPool>;
pub(in crate::store) type ConnectionTarget<'a> = Target<&'a mut SqliteConnection, &'a mut PgConnection>;

/// Awaits the answer of PostgreSQL for a limited time: a server that disappeared from the network never
/// answers, and its own timeouts have no effect then.
pub(in crate::store) async fn bounded<T>(
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(timed_out()),
    }
}
