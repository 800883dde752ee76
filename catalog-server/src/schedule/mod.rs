//! Maintenance as the catalog knows it: what is wanted for which table, and who is at it. The work itself is done by workers,
//! which ask for it; nothing here reads or writes a table.

mod automatic;
pub mod explain;
pub mod finish;
pub mod jobs;
pub mod ownership;
pub mod past;
pub mod policies;
mod sweep;
mod watch;

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::Maintenance;
use crate::store::db::Db;

/// Policies and jobs: every use case is a method of it.
pub struct Schedule {
    catalog: Arc<Catalog>,
    db: Db,
    clock: Clock,
    settings: Maintenance,
}

impl Schedule {
    /// Over the tables of a catalog.
    pub fn new(catalog: Arc<Catalog>, db: Db, clock: Clock, settings: Maintenance) -> Self {
        Self { catalog, db, clock, settings }
    }
}
