//! Firn catalog server: an Apache Iceberg REST catalog over SQLite or PostgreSQL.
//!
//! `ARCHITECTURE.md` shows which modules a module may use.
//!
//! [`server::Server`] is the entry point:
//!
//! ```text
//! let config = Config::load(file, &Flags::default())?;
//! let server = Server::open(&config, Clock::system()).await?;
//! server.run(shutdown_signal).await;
//! ```

#[macro_use]
mod retry;
#[macro_use]
pub mod catalog;

pub mod api;
pub mod authn;
pub mod authz;
pub mod clock;
pub mod config;
pub mod connections;
pub mod id;
pub mod planning_mode;
pub mod request;
pub mod schedule;
pub mod secrets;
pub mod server;
pub mod storage;
pub mod store;
pub mod work;
