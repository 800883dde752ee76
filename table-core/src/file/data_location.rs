//! Locations of new data files of a table, chosen as Java's `LocationProviders` chooses them. Existing files
//! stay where they are; the only requirement on a location is that it is unique.

use super::error::FileError;
use super::partition_path::partition_path;
use crate::expr::hash::murmur3;
use crate::expr::value::Value;
use crate::metadata::partition::PartitionSpec;
use crate::metadata::properties::{FOLDER_STORAGE_PATH, OBJECT_STORE_PATH, WRITE_DATA_PATH, switch};
use crate::metadata::table::TableMetadata;

/// Table property that spreads files over directories named by a hash, so that an object store can spread its
/// load; off by default.
const OBJECT_STORE_ENABLED: &str = "write.object-storage.enabled";
/// Table property that adds partition directories below the hash directories; on by default.
const OBJECT_STORE_PARTITIONED_PATHS: &str = "write.object-storage.partitioned-paths";
/// Table property that names a Java class which chooses the locations instead.
const LOCATION_PROVIDER: &str = "write.location-provider.impl";

/// Number of bits of the hash in a location.
const HASH_BITS: usize = 20;
/// Number of bits in a directory name, except in the last one, which takes the remaining bits.
const FOLDER_BITS: usize = 4;
/// Number of directories whose name has [`FOLDER_BITS`] bits.
const SHORT_FOLDERS: usize = 3;

/// Naming scheme for the new data files of a table, derived from the table's properties.
///
/// Files are placed below `write.data.path` (by default `data` below the table's location), either in
/// partition directories or, with `write.object-storage.enabled`, in directories named by a hash:
///
/// ```text
/// s3://bucket/table/data/day=2017-11-16/00001.parquet
/// s3://bucket/table/data/1000/0101/0000/01010101/day=2017-11-16/00001.parquet
/// ```
#[derive(Debug, Clone)]
pub struct DataLocations {
    /// Base directory, without a trailing slash.
    folder: String,
    layout: Layout,
}

#[derive(Debug, Clone)]
enum Layout {
    /// Partition directories only.
    Plain,
    /// Directories named by a hash of the path (`write.object-storage.enabled`).
    Hashed {
        /// Path between the hash and the file, which separates tables that share a base directory; empty if
        /// the base directory is below the table's location.
        context: String,
        /// `true` if there are partition directories, too.
        partitioned: bool,
    },
}

impl DataLocations {
    /// Returns the locations that the table's properties ask for.
    ///
    /// The deprecated names of `write.data.path` are accepted, as in Java before 1.11 (later versions refuse
    /// them until they are renamed).
    ///
    /// # Errors
    ///
    /// Fails with [`FileError::Unsupported`] if the table sets `write.location-provider.impl`, or if the
    /// property that names the base directory is empty.
    pub fn new(metadata: &TableMetadata) -> Result<DataLocations, FileError> {
        if let Some(class) = metadata.property(LOCATION_PROVIDER) {
            let message = format!(
                "the locations of data files are determined by the class `{class}`, which is not supported; remove the property `{LOCATION_PROVIDER}`"
            );
            return Err(FileError::unsupported(message));
        }
        let is_hashed = switch(metadata.properties(), OBJECT_STORE_ENABLED);
        let names: &[&str] = if is_hashed {
            &[WRITE_DATA_PATH, OBJECT_STORE_PATH, FOLDER_STORAGE_PATH]
        } else {
            &[WRITE_DATA_PATH, FOLDER_STORAGE_PATH]
        };
        let chosen = names.iter().find_map(|name| Some((name, metadata.property(name)?)));
        let folder = match chosen {
            Some((name, "")) => {
                return Err(FileError::unsupported(format!("the property `{name}` is empty; remove it")));
            }
            Some((_, path)) => path.trim_end_matches('/').to_owned(),
            None => format!("{}/data", metadata.location()),
        };
        if !is_hashed {
            return Ok(DataLocations { folder, layout: Layout::Plain });
        }
        let is_own = folder.starts_with(metadata.location());
        let context = if is_own { String::new() } else { context(metadata.location()) };
        let partitioned = metadata.property(OBJECT_STORE_PARTITIONED_PATHS).is_none()
            || switch(metadata.properties(), OBJECT_STORE_PARTITIONED_PATHS);
        Ok(DataLocations { folder, layout: Layout::Hashed { context, partitioned } })
    }

    /// Returns the location of a new file in a partition. `file_name` must be unique in the table and must
    /// not contain a slash.
    pub fn file(&self, spec: &PartitionSpec, partition: &[Option<Value>], file_name: &str) -> String {
        let folder = &self.folder;
        let in_partition = || {
            if spec.is_unpartitioned() {
                return file_name.to_owned();
            }
            format!("{}/{file_name}", partition_path(spec, partition))
        };
        match &self.layout {
            Layout::Plain => format!("{folder}/{}", in_partition()),
            Layout::Hashed { context, partitioned } => {
                let path = if *partitioned { in_partition() } else { file_name.to_owned() };
                let hash = hash_folders(&path);
                match (context.as_str(), *partitioned) {
                    ("", true) => format!("{folder}/{hash}/{path}"),
                    ("", false) => format!("{folder}/{hash}-{path}"),
                    (context, _) => format!("{folder}/{hash}/{context}/{path}"),
                }
            }
        }
    }
}

/// Returns the last two directories of a table's location. Java produces a `//` where there are fewer than
/// two; some stores refuse such paths, so this function does not.
fn context(location: &str) -> String {
    let path = match location.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => location.split_once(':').map_or(location, |(_, path)| path),
    };
    let mut names: Vec<&str> = path.rsplit('/').filter(|name| !name.is_empty()).take(2).collect();
    names.reverse();
    names.join("/")
}

/// Returns the last [`HASH_BITS`] bits of the Murmur3 hash of a path, split into directories, such as
/// `1000/0101/0000/01010101`.
fn hash_folders(path: &str) -> String {
    let hash = murmur3(path.as_bytes());
    let mut folders = String::with_capacity(HASH_BITS + SHORT_FOLDERS);
    for place in 0..HASH_BITS {
        if place > 0 && place % FOLDER_BITS == 0 && place / FOLDER_BITS <= SHORT_FOLDERS {
            folders.push('/');
        }
        let is_set = hash >> (HASH_BITS - 1 - place) & 1 == 1;
        folders.push(if is_set { '1' } else { '0' });
    }
    folders
}
