//! Settings of the workers of a process.

use crate::budget::Budget;
use crate::client::address::CatalogAddress;
use crate::context::Environment;
use crate::files::JobFiles;

/// Settings of the workers of a process.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address of the catalog.
    pub catalog: CatalogAddress,
    /// Name of the worker, shown to users. With several workers, a number is appended.
    pub name: String,
    /// Number of workers, each of which carries out one job at a time.
    pub workers: u32,
    /// Limits on the resources of each job.
    pub budget: Budget,
    /// Nice value of the threads of jobs, from 0 to 19: greater values leave more processor time to other
    /// processes.
    pub nice: i32,
    /// Access to the files of tables.
    pub files: JobFiles,
    /// Sources of time and identifiers.
    pub environment: Environment,
}
