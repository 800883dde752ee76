//! Errors of the use cases on warehouses.

use crate::catalog::access::Forbidden;
use crate::catalog::backend::BackendError;
use crate::secrets::SecretError;

/// Error of a use case on a warehouse.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// The warehouse does not exist, or the caller may not know of it.
    #[error("Warehouse does not exist: {0}")]
    NoSuchWarehouse(String),
    /// A warehouse of this name exists already.
    #[error("Warehouse already exists: {0}")]
    AlreadyExists(String),
    /// The storage of a new warehouse does not have an ability that is needed.
    #[error("the storage of the warehouse cannot be used: {0}")]
    UnusableStorage(String),
    /// A secret cannot be encrypted or decrypted.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The name, the instant or the configured location cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// The caller may not do the operation.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The database or the file system failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

from_backend!(WarehouseError);
