//! Resources that a job may use.

use std::path::PathBuf;

/// Limits on the resources of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Memory for the rows of the table that a job processes at a time, in bytes.
    pub memory_bytes: u64,
    /// Disk space for rows that do not fit into memory, in bytes.
    pub spill_bytes: u64,
    /// Folder of the files with these rows.
    pub spill_folder: PathBuf,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { memory_bytes: 1 << 30, spill_bytes: 100 << 30, spill_folder: std::env::temp_dir() }
    }
}
