//! What a job may take of the machine.

use std::path::PathBuf;

/// Limits of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Memory for what a job holds of a table's rows at a time, in bytes.
    pub memory_bytes: u64,
    /// Room for what does not fit into that, in bytes.
    pub spill_bytes: u64,
    /// Where that is.
    pub spill_folder: PathBuf,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { memory_bytes: 1 << 30, spill_bytes: 100 << 30, spill_folder: std::env::temp_dir() }
    }
}
