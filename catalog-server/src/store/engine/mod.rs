//! Connections, transactions and time on either database. The engine knows no table of a subject.
//!
//! The macros run one query on the open database or transaction, whichever of the two databases it is.

/// Executes a statement and returns the number of affected rows.
macro_rules! execute {
    ($on:expr, $query:expr) => {
        match $on.target() {
            $crate::store::engine::target::Target::Sqlite(on) => {
                $query.execute(on).await.map(|done| done.rows_affected())
            }
            $crate::store::engine::target::Target::Postgres(on) => {
                $crate::store::engine::target::bounded($query.execute(on))
                    .await
                    .map(|done| done.rows_affected())
            }
        }
        .map_err($crate::store::engine::error::StoreError::from)
    };
}

/// Executes a query and returns its first row, if any.
macro_rules! fetch_optional {
    ($on:expr, $query:expr) => {
        match $on.target() {
            $crate::store::engine::target::Target::Sqlite(on) => $query.fetch_optional(on).await,
            $crate::store::engine::target::Target::Postgres(on) => {
                $crate::store::engine::target::bounded($query.fetch_optional(on)).await
            }
        }
        .map_err($crate::store::engine::error::StoreError::from)
    };
}

/// Executes a query and returns all rows.
macro_rules! fetch_all {
    ($on:expr, $query:expr) => {
        match $on.target() {
            $crate::store::engine::target::Target::Sqlite(on) => $query.fetch_all(on).await,
            $crate::store::engine::target::Target::Postgres(on) => {
                $crate::store::engine::target::bounded($query.fetch_all(on)).await
            }
        }
        .map_err($crate::store::engine::error::StoreError::from)
    };
}

mod attachment;
pub mod db;
pub mod error;
pub mod options;
pub(in crate::store) mod postgres;
pub(in crate::store) mod schema;
mod sqlite;
pub mod target;
mod timeline;
pub mod tx;
