//! Objects in the memory of this process, for tests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use object_store::memory::InMemory;

use super::Bucket;
use crate::error::StorageError;
use crate::place::{MEMORY_SCHEME, Place};

/// Maximum number of buckets. Locations in further ones are refused.
const BUCKETS_MAX: usize = 10_000;
/// Deadline of operations, which never wait.
const DEADLINE: Duration = Duration::from_secs(60);

/// Buckets in the memory of this process, at locations such as `memory://bucket/table/data/1.parquet`. They are
/// lost when the process ends. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryBuckets {
    by_name: Arc<Mutex<HashMap<String, Bucket>>>,
}

impl MemoryBuckets {
    /// Returns the bucket of a place, which is created if it does not exist.
    ///
    /// # Errors
    ///
    /// Fails with [`StorageError::UnsupportedScheme`] for a place of another store, and if there are too many
    /// buckets.
    pub fn of(&self, place: &Place) -> Result<Bucket, StorageError> {
        let unsupported = || StorageError::UnsupportedScheme(place.as_str().to_owned());
        let path = place.location().normal().strip_prefix(MEMORY_SCHEME).ok_or_else(unsupported)?;
        let name = path.split_once('/').map_or(path, |(name, _)| name);
        // The map is in a valid state even if a thread panicked while it had the lock.
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = by_name.get(name) {
            return Ok(bucket.clone());
        }
        if by_name.len() == BUCKETS_MAX {
            return Err(unsupported());
        }
        let location = format!("{MEMORY_SCHEME}{name}");
        let bucket = Bucket::new(Arc::new(InMemory::new()), &location, DEADLINE);
        by_name.insert(name.to_owned(), bucket.clone());
        Ok(bucket)
    }
}
