//! Table maintenance from outside of the catalog. Jobs read tables as any engine does, write new files, and
//! commit through an Iceberg REST catalog, with requirements that protect concurrent writers. The crate
//! depends on the protocol only, not on the implementation of a catalog.
//!
//! `daemon → worker → jobs → { execute, commit } → { context, control, output_ledger, report, table } →
//! { catalog, client, files } → table_core`.

pub mod budget;
pub mod catalog;
pub mod client;
pub mod commit;
pub mod context;
pub mod control;
pub mod error;
mod execute;
pub mod files;
pub mod history;
pub mod jobs;
pub mod output_ledger;
pub mod ownership;
pub mod queue;
pub mod report;
pub mod settings;
pub mod table;
pub mod warehouses;
pub mod worker;
