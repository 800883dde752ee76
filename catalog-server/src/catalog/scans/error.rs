//! Errors of scan planning.

use table_core::scan::error::ScanError;

use crate::catalog::backend::BackendError;
use crate::catalog::locations::error::OwnershipError;
use crate::catalog::tabulars::error::TabularError;

/// Error of planning a scan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The scan plan does not exist or has expired.
    #[error("Plan does not exist: {0}. It may have expired; plan the scan again")]
    NoSuchPlanId(String),
    /// The plan task is not valid for the table and the caller, or has expired.
    #[error("Plan task does not exist: {0}")]
    NoSuchPlanTask(String),
    /// The manifests of the table's deletes take more memory than one scan may have, in MiB.
    #[error("the manifests of the table's deletes take more than {0} MiB of memory; compact the table")]
    TooManyDeletes(usize),
    /// The request cannot be applied to the table, or the table is damaged.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A file of the table is outside of the warehouse or in a folder of another table.
    #[error(transparent)]
    Ownership(#[from] OwnershipError),
    /// The table does not exist, or the caller may not plan scans of it.
    #[error(transparent)]
    Tabular(#[from] TabularError),
    /// The database, the file system or a file failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

from_backend!(PlanError);

impl PlanError {
    /// Creates the error of planning work that panicked or was aborted.
    pub(super) fn unexpected(error: &tokio::task::JoinError) -> Self {
        BackendError::Internal(format!("planning failed unexpectedly: {error}")).into()
    }
}
