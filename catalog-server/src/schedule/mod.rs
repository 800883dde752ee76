//! Scheduling of table maintenance: policies, pauses, and the queue of maintenance jobs. The jobs are
//! executed by workers, which lease them from here; this module neither reads nor writes the files of tables.

mod automatic_job;
pub mod error;
pub mod explain;
pub mod finish;
pub mod job;
pub mod jobs;
pub mod leases;
pub mod outcome;
pub mod ownership;
pub mod past;
pub mod policies;
mod sweep;
mod watch;

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::Maintenance;
use crate::store::engine::db::Db;

/// Scheduler of maintenance for the tables of a catalog. Every use case of policies, pauses and jobs is a
/// method.
pub struct Schedule {
    catalog: Arc<Catalog>,
    db: Db,
    clock: Clock,
    settings: Maintenance,
}

impl Schedule {
    /// Creates a scheduler for the tables of a catalog.
    pub fn new(catalog: Arc<Catalog>, db: Db, clock: Clock, settings: Maintenance) -> Self {
        Self { catalog, db, clock, settings }
    }
}
