//! Where a new data file of a table goes, as Java's `LocationProviders` decides it. Files that exist stay where they are;
//! nothing follows from a location but its uniqueness.

use super::error::FileError;
use super::partition_path::partition_path;
use crate::expr::hash::murmur3;
use crate::expr::value::Value;
use crate::metadata::partition::PartitionSpec;
use crate::metadata::properties::{FOLDER_STORAGE_PATH, OBJECT_STORE_PATH, WRITE_DATA_PATH, switch};
use crate::metadata::table::TableMetadata;

/// Whether files are spread over folders that are named by a hash, so that an object store can spread its load.
const OBJECT_STORE_ENABLED: &str = "write.object-storage.enabled";
/// Whether there are folders of partitions below those; they are unless this says otherwise.
const OBJECT_STORE_PARTITIONED_PATHS: &str = "write.object-storage.partitioned-paths";
/// A Java class that decides instead.
const LOCATION_PROVIDER: &str = "write.location-provider.impl";

/// How many bits of the hash there are in a location.
const HASH_BITS: usize = 20;
/// How many bits make the name of a folder, but for the last, which takes what is left.
const FOLDER_BITS: usize = 4;
/// How many folders there are of that length.
const SHORT_FOLDERS: usize = 3;

/// Where the new data files of a table go.
#[derive(Debug, Clone)]
pub struct DataLocations {
    /// Without a slash at the end.
    folder: String,
    layout: Layout,
}

#[derive(Debug, Clone)]
enum Layout {
    /// Folders of partitions.
    Plain,
    /// Folders of a hash.
    Hashed {
        /// What is between the hash and the file, so that the tables that share a folder can be told apart; empty if the
        /// folder is the table's.
        context: String,
        /// Whether there are folders of partitions, too.
        partitioned: bool,
    },
}

impl DataLocations {
    /// The locations that a table's properties ask for.
    ///
    /// The old names of `write.data.path` are understood, as in Java before 1.11, which refuses them until they are
    /// renamed. Fails if the table leaves the choice to a class of its own, and if its path is empty.
    pub fn new(metadata: &TableMetadata) -> Result<DataLocations, FileError> {
        if let Some(class) = metadata.property(LOCATION_PROVIDER) {
            let message = format!(
                "only the class `{class}` knows where files of the table go; remove the property `{LOCATION_PROVIDER}`"
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

    /// The location of a new file of a partition. `file_name` must be unique in the table, and contain no slash.
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

/// The last two folders of a table's location. Java leaves a `//` where there are fewer; such paths are refused by some
/// stores, so there is none here.
fn context(location: &str) -> String {
    let path = match location.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => location.split_once(':').map_or(location, |(_, path)| path),
    };
    let mut names: Vec<&str> = path.rsplit('/').filter(|name| !name.is_empty()).take(2).collect();
    names.reverse();
    names.join("/")
}

/// The last bits of the hash of a path, such as `1000/0101/0000/01010101`.
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
