//! Why a file could not be read, written or deleted.

use std::io;

use rustix::io::Errno;
use table_core::location::LocationError;

/// What was in the way.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Nothing is at this location.
    #[error("no file at `{0}`")]
    NotFound(String),
    /// A file that must be new is there already.
    #[error("a file is already at `{0}`")]
    AlreadyExists(String),
    /// The file is larger than allowed.
    #[error("`{location}` is larger than {limit_bytes} bytes; raise `limits.metadata-bytes` to read it")]
    TooLarge {
        /// Where the file is.
        location: String,
        /// The limit it exceeds.
        limit_bytes: usize,
    },
    /// No store is configured for this kind of location.
    #[error("`{0}` is not a local file; tables are stored on local files (`file:`) only")]
    UnsupportedScheme(String),
    /// The text is no location.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// The holder may not write or delete there.
    #[error("`{0}` is not the table's own and stays")]
    NotOwn(String),
    /// The holder may not read there.
    #[error("`{0}` is not the table's own, and not free for all tables of its warehouse: it is not read")]
    NotReadable(String),
    /// A folder, a pipe, a device or a socket.
    #[error("`{0}` is not a regular file")]
    NotRegular(String),
    /// A link is on the way.
    #[error("a link leads to `{0}`; links below a warehouse's or table's folder are not followed")]
    Link(String),
    /// The file system did not answer in time.
    #[error("cannot {action} `{location}`: the file system did not answer within {seconds} s")]
    TimedOut {
        /// What was attempted.
        action: &'static str,
        /// Where.
        location: String,
        /// How long it was given.
        seconds: u64,
    },
    /// Too many earlier operations have not been answered.
    #[error(
        "cannot {action} `{location}`: {count} earlier operations on its file system are not answered yet; is a mount dead?"
    )]
    Busy {
        /// What was attempted.
        action: &'static str,
        /// Where.
        location: String,
        /// How many operations there are.
        count: usize,
    },
    /// The file system refused.
    #[error("cannot {action} `{location}`: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// Where.
        location: String,
        /// What the system said.
        source: io::Error,
    },
}

impl StorageError {
    /// For what the file system says.
    pub fn io(action: &'static str, location: &str, source: io::Error) -> StorageError {
        let location = location.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StorageError::NotFound(location),
            io::ErrorKind::AlreadyExists => StorageError::AlreadyExists(location),
            _ => StorageError::Io { action, location, source },
        }
    }

    /// The same without the location, for whoever tells it themselves.
    pub fn into_io(self) -> io::Error {
        match self {
            StorageError::NotFound(_) => io::Error::new(io::ErrorKind::NotFound, "no such file"),
            StorageError::AlreadyExists(_) => {
                io::Error::new(io::ErrorKind::AlreadyExists, "there is a file already")
            }
            StorageError::Io { source, .. } => source,
            StorageError::TooLarge { limit_bytes, .. } => {
                io::Error::other(format!("it is larger than {limit_bytes} bytes"))
            }
            StorageError::NotRegular(_) => io::Error::other("it is not a regular file"),
            StorageError::Link(_) => io::Error::other(
                "a link leads there; links below a warehouse's or table's folder are not followed",
            ),
            StorageError::TimedOut { seconds, .. } => io::Error::new(
                io::ErrorKind::TimedOut,
                format!("the file system did not answer within {seconds} s"),
            ),
            StorageError::Busy { count, .. } => io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("{count} earlier operations are not answered yet; is a mount dead?"),
            ),
            other => io::Error::other(other.to_string()),
        }
    }

    /// Whether the file system may answer later.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, StorageError::TimedOut { .. } | StorageError::Busy { .. })
    }
}

/// Whether the same may be possible later, although nobody does anything about the file: the file system did not answer, or the
/// process or the machine has no file descriptor or memory left.
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
