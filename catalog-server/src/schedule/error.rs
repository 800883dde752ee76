//! Errors of the use cases on maintenance.

use crate::catalog::access::Forbidden;
use crate::catalog::backend::BackendError;
use crate::catalog::locations::error::OwnershipError;
use crate::catalog::names::NameError;
use crate::catalog::namespaces::error::NamespaceError;
use crate::catalog::tabulars::error::TabularError;
use crate::catalog::warehouses::error::WarehouseError;

/// Error of a use case on policies, pauses or jobs.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// The object itself has no maintenance policy.
    #[error(
        "No maintenance policy is set for the {0} itself; the applicable policy of a table shows its effective settings"
    )]
    NoSuchPolicy(String),
    /// The maintenance job does not exist or was deleted after its retention time.
    #[error("Maintenance job does not exist: {0}")]
    NoSuchJob(String),
    /// The state of a job does not permit the operation.
    #[error("{0}")]
    Conflict(String),
    /// The request is well-formed but cannot be executed.
    #[error("{0}")]
    Invalid(String),
    /// A stored name cannot be used.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The caller may not do the operation, or the warehouse is a read-only view.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The warehouse does not exist or cannot be used.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// The namespace does not exist or cannot be used.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The table does not exist or cannot be used.
    #[error(transparent)]
    Tabular(#[from] TabularError),
    /// The folders of the table cannot be determined.
    #[error(transparent)]
    Ownership(#[from] OwnershipError),
    /// The database or a file failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

from_backend!(ScheduleError);

impl ScheduleError {
    /// Returns `true` if the operation may succeed at once when it is repeated.
    pub(super) fn is_lost_race(&self) -> bool {
        matches!(self, Self::Backend(error) if error.is_lost_race())
    }

    /// Returns `true` if the database failed, so that other tables would fail as well.
    pub(super) fn is_database_failure(&self) -> bool {
        let (Self::Backend(backend)
        | Self::Warehouse(WarehouseError::Backend(backend))
        | Self::Namespace(NamespaceError::Backend(backend))) = self
        else {
            return false;
        };
        matches!(backend, BackendError::Store(_) | BackendError::OutcomeUnknown(_))
    }
}
