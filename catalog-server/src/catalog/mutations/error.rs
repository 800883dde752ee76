//! Errors of recording a mutation and of repeating one.

use crate::catalog::backend::BackendError;

/// Error of recording a mutation or of looking up its response.
#[derive(Debug, thiserror::Error)]
pub enum MutationError {
    /// The idempotency key was used for a different request.
    #[error("{0}")]
    KeyReused(String),
    /// The request was executed before, and the metadata file of its recorded response was deleted since.
    #[error(
        "the request with this Idempotency-Key was carried out, but the metadata file it wrote, `{0}`, has been deleted since; load the object to see its current state"
    )]
    ResponseGone(String),
    /// A response was recorded under the same `Idempotency-Key` meanwhile. It must be returned instead.
    #[error("a request with this Idempotency-Key was answered already")]
    Replayed,
    /// The database or a file failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

from_backend!(MutationError);
