//! SQL access to the catalog database, on SQLite or PostgreSQL. No other module knows its tables and
//! statements.
//!
//! The store generates no ids, reads no clock of its own and makes no policy decisions: all of these are
//! passed in by the caller.
//!
//! [`db::Db`] is the open database. A function that reads with one statement takes `&Db`; one that writes
//! takes `&mut Tx`, a write transaction begun by [`db::Db::write`]; only the function of [`commits`] is a
//! whole transaction by itself. Every function that changes a namespace, a table or a view also writes its
//! history, so that a past instant can be read through [`as_of`].
//!
//! One SQL text runs on both databases: `$1` placeholders, `ON CONFLICT`, `RETURNING`, keyset pages. Where
//! the databases need different statements, both full texts are next to each other.
//!
//! The statements whose cost must not grow with the size of the catalog are public constants, so that tests
//! can check their query plans on both databases.
//!
//! After a store function has returned an error, its transaction must be dropped, not committed: PostgreSQL
//! has already aborted it.
//!
//! ```text
//! let db = Db::connect("sqlite:///srv/firn/firn.db", &DbOptions::default()).await?;
//! db.migrate().await?;
//! let mut tx = db.write(clock.now_ms()).await?;
//! namespaces::create(&mut tx, &new).await?;
//! audit::record(&mut tx, &entry).await?;
//! tx.commit().await?;
//! ```

/// Executes a statement and returns the number of affected rows.
macro_rules! execute {
    ($on:expr, $query:expr) => {
        match $on.target() {
            $crate::store::db::Target::Sqlite(on) => {
                $query.execute(on).await.map(|done| done.rows_affected())
            }
            $crate::store::db::Target::Postgres(on) => {
                $crate::store::db::bounded($query.execute(on)).await.map(|done| done.rows_affected())
            }
        }
        .map_err($crate::store::error::StoreError::from)
    };
}

/// Executes a query and returns its first row, if any.
macro_rules! fetch_optional {
    ($on:expr, $query:expr) => {
        match $on.target() {
            $crate::store::db::Target::Sqlite(on) => $query.fetch_optional(on).await,
            $crate::store::db::Target::Postgres(on) => {
                $crate::store::db::bounded($query.fetch_optional(on)).await
            }
        }
        .map_err($crate::store::error::StoreError::from)
    };
}

/// Executes a query and returns all rows.
macro_rules! fetch_all {
    ($on:expr, $query:expr) => {
        match $on.target() {
            $crate::store::db::Target::Sqlite(on) => $query.fetch_all(on).await,
            $crate::store::db::Target::Postgres(on) => $crate::store::db::bounded($query.fetch_all(on)).await,
        }
        .map_err($crate::store::error::StoreError::from)
    };
}

pub mod as_of;
pub mod audit;
pub mod candidates;
pub mod cleanup;
pub mod commits;
pub mod cursors;
pub mod db;
pub mod error;
pub mod history;
pub mod idempotency;
pub mod ids;
pub mod jobs;
pub mod locations;
pub mod namespaces;
pub mod outbox;
pub mod plans;
mod pointer_cache;
pub mod policies;
mod postgres;
pub mod reports;
mod sqlite;
pub mod tabulars;
mod timeline;
pub mod tx;
pub mod warehouses;
