//! What can go wrong with a file of a table. Not what can be wrong with the metadata that names it: see
//! [`crate::metadata::error::MetadataError`].

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_schema::ArrowError;
use parquet::errors::ParquetError;

/// A file that cannot be read or written, and why.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The bytes are not those of a file that its format allows, or have been damaged.
    #[error("{0}")]
    Malformed(String),
    /// Well-formed, but of a type or shape that is neither read nor written here.
    #[error("{0}")]
    Unsupported(String),
    /// Rows that do not fit the schema: a null in a required column, a decimal with too many digits.
    #[error("{0}")]
    Unfit(String),
    /// The bytes could not be fetched or stored.
    #[error("{0}")]
    Io(String),
}

impl FileError {
    pub(crate) fn malformed(message: impl Into<String>) -> FileError {
        FileError::Malformed(message.into())
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> FileError {
        FileError::Unsupported(message.into())
    }

    pub(crate) fn unfit(message: impl Into<String>) -> FileError {
        FileError::Unfit(message.into())
    }

    /// An error of the decoder.
    pub(crate) fn reading(error: ParquetError) -> FileError {
        match error {
            ParquetError::External(error) => FileError::Io(format!("the file cannot be read: {error}")),
            ParquetError::NYI(what) => {
                FileError::Unsupported(format!("the file uses what cannot be read: {what}"))
            }
            other => FileError::Malformed(format!("the file cannot be decoded: {other}")),
        }
    }

    /// An error of the encoder, which only fails where its output does.
    pub(crate) fn writing(error: ParquetError) -> FileError {
        match error {
            ParquetError::External(error) => FileError::Io(format!("the file cannot be written: {error}")),
            other => FileError::Io(format!("the file cannot be written: {other}")),
        }
    }

    /// An error of Arrow while rows were given the shape of a schema.
    pub(crate) fn shaping(error: &ArrowError) -> FileError {
        FileError::Unfit(format!("the rows do not fit the schema: {error}"))
    }
}

/// Does what decodes bytes of a file, and takes a panic for what it means there: bytes that no writer wrote. The decoder
/// does not check everything that it relies on.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> Result<T, FileError>) -> Result<T, FileError> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(FileError::malformed("the file cannot be decoded: its bytes are damaged")))
}
