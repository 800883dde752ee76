//! Files in the warehouse: durable writes, bounded reads, deletion, and the cache of metadata documents.
//!
//! It decides nothing: whether a location may be touched is settled before it is asked.

pub mod documents;
mod local;
pub mod manifests;
mod turns;

use std::path::PathBuf;

use bytes::Bytes;

/// What a cache takes for an entry beside key and value: counters, places in queues, the hash table.
const ENTRY_BYTES: usize = 320;

/// Reads and writes whole files by their location. Only local files (`file:`) so far.
#[derive(Clone, Debug, Default)]
pub struct Files;

/// What there is to see of a file without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// It is there.
    Present(Stamp),
    /// It is known not to be there.
    Gone,
    /// Nobody can tell without much effort.
    Unknown,
}

/// What changes when a file is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    size_bytes: u64,
    modified: std::time::SystemTime,
}

/// Why a file could not be read, written or deleted.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
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
    #[error("`{0}` is not a local file; this server stores tables on local files (`file:`) only")]
    UnsupportedScheme(String),
    /// The file system refused.
    #[error("cannot {action} `{location}`: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// Where.
        location: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Files {
    /// Reads the file at `location`, of at most `limit_bytes`.
    pub async fn read(&self, location: &str, limit_bytes: usize) -> Result<Bytes, FileError> {
        self.read_as(location, limit_bytes, |content| content).await
    }

    /// Reads the file at `location` as [`Files::read`] does and makes something of it, both away from the request threads.
    pub async fn read_as<T: Send + 'static>(
        &self,
        location: &str,
        limit_bytes: usize,
        make: impl FnOnce(Bytes) -> T + Send + 'static,
    ) -> Result<T, FileError> {
        let path = local_path(location)?;
        let location = location.to_owned();
        blocking(move || local::read(&path, &location, limit_bytes).map(make)).await
    }

    /// Whether a file that was there is known to be gone.
    ///
    /// Only where asking costs next to nothing: on local files, a microsecond for the kernel.
    pub fn is_gone(&self, location: &str) -> bool {
        local_path(location).is_ok_and(|path| local::is_gone(&path))
    }

    /// What is at a location, as far as asking costs next to nothing.
    pub fn state(&self, location: &str) -> FileState {
        local_path(location).map_or(FileState::Unknown, |path| local::state(&path))
    }

    /// Writes a new file and makes it survive a power cut before it returns.
    ///
    /// A file that is already there is an error and stays as it was.
    pub async fn write_new(&self, location: &str, content: Bytes) -> Result<(), FileError> {
        let path = local_path(location)?;
        let location = location.to_owned();
        blocking(move || local::write_new(&path, &location, &content)).await
    }

    /// Deletes a file; one that is already gone is no error.
    pub async fn delete(&self, location: &str) -> Result<(), FileError> {
        let path = local_path(location)?;
        let location = location.to_owned();
        blocking(move || local::delete(&path, &location)).await
    }

    /// Deletes up to `files_max` files below the folder `prefix`, and folders that this empties.
    ///
    /// Returns how many files went; fewer than `files_max` means that none is left.
    pub async fn delete_below(&self, prefix: &str, files_max: usize) -> Result<usize, FileError> {
        let path = local_path(prefix)?;
        let location = prefix.to_owned();
        blocking(move || local::delete_below(&path, &location, files_max)).await
    }

    /// Creates the folders of a new table, where folders are things of their own.
    ///
    /// Object stores have none, so some engines (`DuckDB`) expect them to be there already.
    pub async fn create_table_folders(&self, table_location: &str) -> Result<(), FileError> {
        let path = local_path(table_location)?;
        let location = table_location.to_owned();
        blocking(move || local::create_table_folders(&path, &location)).await
    }

    /// Creates the folder at `location` and checks that files can be written there.
    pub async fn prepare_folder(&self, location: &str) -> Result<(), FileError> {
        let path = local_path(location)?;
        let location = location.to_owned();
        blocking(move || local::prepare_folder(&path, &location)).await
    }
}

/// The path that a `file:` location or an absolute path names. Percent signs stand for themselves, as in
/// Hadoop's file systems.
fn local_path(location: &str) -> Result<PathBuf, FileError> {
    let path = match location.strip_prefix("file:") {
        Some(rest) => match rest.strip_prefix("//") {
            Some(authority_and_path) => {
                authority_and_path.strip_prefix("localhost").unwrap_or(authority_and_path)
            }
            None => rest,
        },
        None => location,
    };
    if path.starts_with('/') {
        Ok(PathBuf::from(path))
    } else {
        Err(FileError::UnsupportedScheme(location.to_owned()))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(FileError::Io {
            action: "finish work on",
            location: "a file".to_owned(),
            source: std::io::Error::other(error),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_to_three_slashes_name_the_same_file() {
        for location in
            ["file:/tmp/a b%20c", "file:///tmp/a b%20c", "file://localhost/tmp/a b%20c", "/tmp/a b%20c"]
        {
            assert_eq!(local_path(location).unwrap(), PathBuf::from("/tmp/a b%20c"), "{location}");
        }
    }

    #[test]
    fn other_schemes_and_relative_paths_are_refused() {
        for location in ["s3://bucket/x", "tmp/x", "", "file:tmp", "file://host/x"] {
            assert!(matches!(local_path(location), Err(FileError::UnsupportedScheme(_))), "{location}");
        }
    }

    #[tokio::test]
    async fn a_written_file_reads_back_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let location = format!("file://{}/a/b/x.json", folder.path().display());
        let files = Files;
        files.write_new(&location, Bytes::from_static(b"one")).await.unwrap();
        let second = files.write_new(&location, Bytes::from_static(b"two")).await;
        assert!(matches!(second, Err(FileError::AlreadyExists(_))));
        assert_eq!(files.read(&location, 3).await.unwrap(), Bytes::from_static(b"one"));
        assert!(matches!(files.read(&location, 2).await, Err(FileError::TooLarge { .. })));
    }

    #[tokio::test]
    async fn deleting_below_a_folder_is_bounded_resumable_and_stays_below() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| format!("file://{}/{name}", folder.path().display());
        let files = Files;
        for name in ["t/data/1", "t/data/x/2", "t/metadata/3", "t2/keep"] {
            files.write_new(&at(name), Bytes::from_static(b"x")).await.unwrap();
        }
        std::os::unix::fs::symlink(folder.path().join("t2"), folder.path().join("t/link")).unwrap();
        assert_eq!(files.delete_below(&at("t/"), 2).await.unwrap(), 2);
        // Two files and the link itself are left; what the link points at is not ours.
        assert_eq!(files.delete_below(&at("t/"), 10).await.unwrap(), 2);
        assert_eq!(files.delete_below(&at("t/"), 10).await.unwrap(), 0);
        assert!(!folder.path().join("t").exists());
        assert!(folder.path().join("t2/keep").exists());
    }
}
