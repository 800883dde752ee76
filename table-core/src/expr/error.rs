//! Errors of expressions and literals. All of them are errors of the client.

use crate::metadata::error::MetadataError;

/// Reason for which an expression cannot be used, with advice for correcting it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// The JSON is not that of an expression or of a single value.
    #[error("{0}")]
    Malformed(String),
    /// The expression is well-formed, but larger or nested deeper than the limits.
    #[error("{0}")]
    TooLarge(String),
    /// The schema has no such column.
    #[error("{0}")]
    UnknownColumn(String),
    /// The column exists, but does not support this test or this literal.
    #[error("{0}")]
    Unsupported(String),
}

impl ExpressionError {
    pub(crate) fn malformed(message: impl Into<String>) -> ExpressionError {
        ExpressionError::Malformed(message.into())
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> ExpressionError {
        ExpressionError::Unsupported(message.into())
    }
}

impl From<MetadataError> for ExpressionError {
    fn from(error: MetadataError) -> ExpressionError {
        ExpressionError::Malformed(error.to_string())
    }
}
