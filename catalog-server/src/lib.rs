//! The Firn catalog: an Apache Iceberg REST service over SQLite or PostgreSQL.
//!
//! Modules to the left may use modules to the right, never the other way:
//! `server → connections → api → schedule → catalog → { storage, store } → { clock, id, work, config }`.

pub mod api;
pub mod catalog;
pub mod clock;
pub mod config;
pub mod connections;
pub mod id;
pub mod schedule;
pub mod server;
pub mod storage;
pub mod store;
pub mod work;
