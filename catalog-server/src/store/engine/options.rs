//! Options of the database connections. They do not contain the URL of the database.

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

/// Options of the database connections.
#[derive(Clone, Debug)]
pub struct DbOptions {
    /// Maximum number of connections to PostgreSQL, or of reading connections to SQLite, which has one more
    /// for writing.
    pub connections: u32,
    /// Maximum time that a request waits for a free connection before it is refused.
    pub acquire_timeout: Duration,
    /// Maximum time that PostgreSQL spends on one statement or waits for one lock; maximum time that SQLite
    /// waits for another program that has locked the file.
    pub statement_timeout: Duration,
    /// Function that creates the directory of a SQLite database with its missing parents. The default one
    /// does not ensure that the directory survives a power failure.
    pub create_directory: fn(&Path) -> io::Result<()>,
}

impl Default for DbOptions {
    fn default() -> Self {
        Self {
            connections: 8,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            create_directory: |directory| fs::create_dir_all(directory),
        }
    }
}
