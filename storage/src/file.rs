//! State of stored files: existence, version and modification time. Content is read by a [`crate::store::Store`].

use std::fmt;
use std::sync::Arc;

/// State of a file, determined without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    /// The file exists.
    Present(Stamp),
    /// The file does not exist.
    Gone,
    /// The state could not be determined.
    Unknown,
}

/// Version of a file, which changes when the file is replaced or written to: size, modification time, and the
/// entity tag (`ETag`) if the store has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    pub(crate) size_bytes: u64,
    /// Time of the last modification since 1970: seconds, and nanoseconds of the second.
    pub(crate) modified: (i64, i64),
    pub(crate) entity_tag: Option<Arc<str>>,
}

/// File in a listed folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Name of the file, without its folder.
    pub name: String,
    /// Time of the last modification, in milliseconds since 1970.
    pub modified_ms: i64,
}

impl fmt::Display for Stamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanoseconds) = self.modified;
        write!(formatter, "{} bytes of {seconds}.{nanoseconds:09}", self.size_bytes)?;
        match &self.entity_tag {
            Some(tag) => write!(formatter, " {tag}"),
            None => Ok(()),
        }
    }
}
