//! What can be wrong with an expression or a literal. All of it is the sender's to correct.

use crate::metadata::error::MetadataError;

/// An expression that cannot be used, and what would make it usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// The JSON is not that of an expression or of a single value.
    #[error("{0}")]
    Malformed(String),
    /// Well-formed, but larger or deeper than what is accepted.
    #[error("{0}")]
    TooLarge(String),
    /// A column that the schema does not have.
    #[error("{0}")]
    UnknownColumn(String),
    /// The column exists, but cannot be tested in this way or against this value.
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
