//! Errors of reading, writing and deleting files.

use std::io;

use rustix::io::Errno;
use table_core::location::LocationError;
use tokio::task::JoinError;

/// Error of an operation on a file, or of the permission to do it.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// There is no file at this location.
    #[error("no file at `{0}`")]
    NotFound(String),
    /// A new file cannot be created because one exists at this location.
    #[error("file `{0}` already exists")]
    AlreadyExists(String),
    /// The file is larger than the caller's limit.
    #[error("`{location}` is larger than {limit_bytes} bytes; raise `limits.metadata-bytes` to read it")]
    TooLarge {
        /// Location of the file.
        location: String,
        /// Limit that the file exceeds, in bytes.
        limit_bytes: usize,
    },
    /// The location is in none of the stores that the process has.
    #[error(
        "`{0}` is in no store of this process, which has local files (`file:`) and the buckets of its warehouses"
    )]
    UnsupportedScheme(String),
    /// The text is not a valid location.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// The scope does not permit writing or deleting at this location.
    #[error("`{0}` is outside of the table's own folders and is not deleted")]
    NotOwn(String),
    /// The scope does not permit reading at this location.
    #[error("`{0}` is in a folder of another table and is not read")]
    NotReadable(String),
    /// The file is not a regular file but a folder, pipe, device or socket.
    #[error("`{0}` is not a regular file")]
    NotRegular(String),
    /// The path to this location contains a symbolic link below the root.
    #[error("`{0}` is behind a symbolic link; links below a warehouse's or table's folder are not followed")]
    Link(String),
    /// The file system did not answer before the deadline.
    #[error("cannot {action} `{location}`: the file system did not answer within {seconds} s")]
    TimedOut {
        /// Attempted operation, as a verb, such as `read`.
        action: &'static str,
        /// Location of the file.
        location: String,
        /// Deadline in seconds.
        seconds: u64,
    },
    /// Too many earlier operations on the file system have not returned yet.
    #[error(
        "cannot {action} `{location}`: {count} earlier operations on its file system have not finished; is a mount unresponsive?"
    )]
    Busy {
        /// Attempted operation, as a verb, such as `read`.
        action: &'static str,
        /// Location of the file.
        location: String,
        /// Number of operations that have not returned yet.
        count: usize,
    },
    /// The operating system reported an error.
    #[error("cannot {action} `{location}`: {source}")]
    Io {
        /// Attempted operation, as a verb, such as `read`.
        action: &'static str,
        /// Location of the file.
        location: String,
        /// Error of the operating system.
        source: io::Error,
    },
}

impl StorageError {
    /// Converts an error of the operating system. A missing file becomes [`StorageError::NotFound`], an
    /// existing one [`StorageError::AlreadyExists`], any other error [`StorageError::Io`].
    pub fn io(action: &'static str, location: &str, source: io::Error) -> StorageError {
        let location = location.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StorageError::NotFound(location),
            io::ErrorKind::AlreadyExists => StorageError::AlreadyExists(location),
            _ => StorageError::Io { action, location, source },
        }
    }

    /// Converts the error of a task that ended without a result, as it does when the process ends. It is an
    /// error that passes ([`is_passing`]).
    pub(crate) fn unfinished(action: &'static str, location: &str, error: JoinError) -> StorageError {
        StorageError::io(action, location, io::Error::new(io::ErrorKind::ResourceBusy, error))
    }

    /// Converts the error to an [`io::Error`] whose message does not contain the location, for callers that
    /// add it themselves.
    pub fn into_io(self) -> io::Error {
        match self {
            StorageError::NotFound(_) => io::Error::new(io::ErrorKind::NotFound, "no such file"),
            StorageError::AlreadyExists(_) => {
                io::Error::new(io::ErrorKind::AlreadyExists, "a file already exists there")
            }
            StorageError::Io { source, .. } => source,
            StorageError::TooLarge { limit_bytes, .. } => {
                io::Error::other(format!("it is larger than {limit_bytes} bytes"))
            }
            StorageError::NotRegular(_) => io::Error::other("it is not a regular file"),
            StorageError::Link(_) => io::Error::other(
                "it is behind a symbolic link; links below a warehouse's or table's folder are not followed",
            ),
            StorageError::TimedOut { seconds, .. } => io::Error::new(
                io::ErrorKind::TimedOut,
                format!("the file system did not answer within {seconds} s"),
            ),
            StorageError::Busy { count, .. } => io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("{count} earlier operations have not finished; is a mount unresponsive?"),
            ),
            other => io::Error::other(other.to_string()),
        }
    }

    /// Returns the location that the error is about; the error's text for [`StorageError::Location`].
    pub fn location(&self) -> String {
        match self {
            StorageError::NotFound(location)
            | StorageError::AlreadyExists(location)
            | StorageError::UnsupportedScheme(location)
            | StorageError::NotOwn(location)
            | StorageError::NotReadable(location)
            | StorageError::NotRegular(location)
            | StorageError::Link(location)
            | StorageError::TooLarge { location, .. }
            | StorageError::TimedOut { location, .. }
            | StorageError::Busy { location, .. }
            | StorageError::Io { location, .. } => location.clone(),
            StorageError::Location(error) => error.to_string(),
        }
    }

    /// Returns `true` if the file system did not answer, but may do so later.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, StorageError::TimedOut { .. } | StorageError::Busy { .. })
    }
}

/// Returns `true` if the operation may succeed later although the file is not changed: the file system did
/// not answer, or the process or the machine ran out of file descriptors or memory.
pub fn is_passing(error: &io::Error) -> bool {
    let is_exhausted =
        matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM));
    is_exhausted
        || matches!(
            error.kind(),
            io::ErrorKind::TimedOut | io::ErrorKind::ResourceBusy | io::ErrorKind::OutOfMemory
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_finished_may_be_tried_again() {
        let task = tokio::spawn(std::future::pending::<()>());
        task.abort();
        let unfinished = StorageError::unfinished("read", "x", task.await.unwrap_err());
        assert!(is_passing(&unfinished.into_io()));
    }

    #[test]
    fn what_is_about_the_file_does_not_pass() {
        let (action, location) = ("read", "x".to_owned());
        let busy = StorageError::Busy { action, location: location.clone(), count: 1 };
        let timed_out = StorageError::TimedOut { action, location: location.clone(), seconds: 1 };
        let of_system = |errno: Errno| StorageError::io(action, &location, errno.into());
        for passing in [busy, timed_out, of_system(Errno::MFILE), of_system(Errno::NFILE)] {
            assert!(is_passing(&passing.into_io()));
        }
        for errno in [Errno::NOENT, Errno::IO, Errno::ACCESS, Errno::LOOP, Errno::STALE] {
            assert!(!is_passing(&of_system(errno).into_io()), "{errno}");
        }
    }
}
