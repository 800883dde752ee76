//! Errors of the use cases on namespaces.

use crate::catalog::access::Forbidden;
use crate::catalog::backend::BackendError;
use crate::catalog::locations::error::OwnershipError;
use crate::catalog::mutations::error::MutationError;
use crate::catalog::names::{NameError, Namespace};
use crate::catalog::warehouses::error::WarehouseError;

/// Error of a use case on a namespace.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The namespace does not exist, or the caller may not know of it.
    #[error("Namespace does not exist: {0}")]
    NoSuchNamespace(Namespace),
    /// A namespace of this name already exists.
    #[error("Namespace already exists: {0}")]
    NamespaceExists(Namespace),
    /// The namespace to be dropped contains tables, views or namespaces.
    #[error("Namespace is not empty: {0}. Drop its tables, views and child namespaces first")]
    NamespaceNotEmpty(Namespace),
    /// The properties cannot be stored.
    #[error("{0}")]
    Invalid(String),
    /// A property is both set and removed.
    #[error("property `{0}` is both set and removed; list it in only one of `updates` and `removals`")]
    Contradiction(String),
    /// Others changed the properties meanwhile.
    #[error("properties of `{0}` were changed concurrently too many times; try again")]
    ChangedMeanwhile(Namespace),
    /// The name of a parent cannot be used.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The location of the namespace cannot be used.
    #[error(transparent)]
    Ownership(#[from] OwnershipError),
    /// The caller may not do the operation on the namespace.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The caller may not do the operation on the warehouse.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// The change could not be recorded.
    #[error(transparent)]
    Mutation(#[from] MutationError),
    /// The database failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

from_backend!(NamespaceError);

impl NamespaceError {
    /// Returns `true` if the change may succeed at once when it is computed again, starting with its first
    /// read.
    pub(in crate::catalog) fn is_lost_race(&self) -> bool {
        match self {
            Self::ChangedMeanwhile(_) => true,
            Self::Backend(error) | Self::Mutation(MutationError::Backend(error)) => error.is_lost_race(),
            _ => false,
        }
    }
}
