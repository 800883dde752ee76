//! Errors of locations: outside of the warehouse, or owned by others.

use crate::catalog::backend::BackendError;

/// Error of a location or of the folders of a table or view.
#[derive(Debug, thiserror::Error)]
pub enum OwnershipError {
    /// The location is not in the warehouse, or belongs to another table or view.
    #[error("{0}")]
    Invalid(String),
    /// The database failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

from_backend!(OwnershipError);

/// Creates the error for a location of another owner. It does not disclose the other location, which the
/// caller may not be allowed to know.
pub(in crate::catalog) fn overlap(location: &str) -> OwnershipError {
    OwnershipError::Invalid(format!(
        "Invalid location `{location}`: it overlaps with a folder that belongs to another table or view; choose another folder, or omit the location"
    ))
}
