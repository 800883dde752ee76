//! Errors of reading and writing the files of a table. For errors in the metadata that refers to these files
//! see [`crate::metadata::error::MetadataError`].

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_schema::ArrowError;
use parquet::errors::ParquetError;

/// Error of reading or writing a data file or delete file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Bytes that violate the file format or are damaged.
    #[error("{0}")]
    Malformed(String),
    /// Well-formed input of a type or shape that this crate neither reads nor writes.
    #[error("{0}")]
    Unsupported(String),
    /// Rows that do not fit the schema, for example a null in a required column or a decimal with too many
    /// digits.
    #[error("{0}")]
    Unfit(String),
    /// Failure to fetch or to store the bytes.
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

    /// Converts an error of the Parquet decoder.
    pub(crate) fn reading(error: ParquetError) -> FileError {
        match error {
            ParquetError::External(error) => FileError::Io(format!("the file cannot be read: {error}")),
            ParquetError::NYI(what) => FileError::Unsupported(format!("the file is not supported: {what}")),
            other => FileError::Malformed(format!("the file cannot be decoded: {other}")),
        }
    }

    /// Converts an error of the Parquet encoder, which fails only if its output does.
    pub(crate) fn writing(error: ParquetError) -> FileError {
        match error {
            ParquetError::External(error) => FileError::Io(format!("the file cannot be written: {error}")),
            other => FileError::Io(format!("the file cannot be written: {other}")),
        }
    }

    /// Converts an Arrow error that occurred while rows were converted to a schema.
    pub(crate) fn shaping(error: &ArrowError) -> FileError {
        FileError::Unfit(format!("the rows do not fit the schema: {error}"))
    }
}

/// Runs `decode` and turns a panic into [`FileError::Malformed`]. The decoder does not check everything it
/// relies on, so a panic means that the bytes were not produced by a Parquet writer.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> Result<T, FileError>) -> Result<T, FileError> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(FileError::malformed("the file cannot be decoded: its bytes are damaged")))
}
