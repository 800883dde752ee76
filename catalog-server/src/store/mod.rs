//! The catalog's SQL, on SQLite or PostgreSQL: the only module that knows tables and statements.
//! It makes no ids, reads no clock of its own and decides no policy.
//!
//! [`db::Db`] is the open database. A function that reads with one statement takes `&Db`; one that
//! writes takes `&mut Tx`, a write transaction begun by [`db::Db::write`]; only [`commits`] is a whole
//! transaction by itself. Every function that changes a namespace, a table or a view also writes its
//! history, so that a past instant can be read back through [`as_of`].
//!
//! One SQL text runs on both databases: `$1` placeholders, `ON CONFLICT`, `RETURNING`, keyset
//! pages. Where the two must differ, both full statements stand side by side.
//!
//! The statements whose cost must not grow with the catalog are public constants, so that the
//! contract suite can ask both databases how they would run them.
//!
//! After a store function returned an error, its transaction must be dropped, not committed:
//! PostgreSQL has already abandoned it.

/// Runs a statement and gives the number of rows it changed.
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

/// Runs a query and gives its first row, if any.
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

/// Runs a query and gives all its rows.
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
pub mod upkeep;
pub mod warehouses;
