//! Keeps tables fast, from outside: reads them as any engine does, writes new files, and commits through an Iceberg REST
//! catalog with the requirements that keep writers safe. It knows no catalog from within.
//!
//! `once → jobs → { execute, table } → { client, files } → table_core`.

pub mod budget;
pub mod catalog;
pub mod client;
pub mod daemon;
pub mod error;
mod execute;
pub mod files;
pub mod history;
pub mod host;
pub mod jobs;
pub mod once;
pub mod ownership;
pub mod queue;
pub mod table;
pub mod worker;
