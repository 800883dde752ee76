//! Manifests and manifest lists by their immutable location: read once, decoded once, kept while there is room.

use std::sync::Arc;

use table_core::manifest::error::ManifestError;
use table_core::manifest::file::Manifest;
use table_core::manifest::list::{self, ManifestFile};

use super::documents::DocumentError;
use super::{FileError, Files};

/// Reads and keeps manifests and manifest lists.
pub struct Manifests {
    files: Files,
    limit_bytes: usize,
    decoded: moka::future::Cache<String, Arc<Manifest>>,
    lists: moka::future::Cache<String, Arc<Vec<ManifestFile>>>,
}

impl Manifests {
    /// Keeps at most `cache_bytes` of what was decoded; files above `limit_bytes`, before or after decompression, are
    /// refused.
    pub fn new(files: Files, cache_bytes: u64, limit_bytes: usize) -> Self {
        let decoded = moka::future::Cache::builder()
            .max_capacity(cache_bytes - cache_bytes / 8)
            .weigher(|key: &String, manifest: &Arc<Manifest>| {
                u32::try_from(key.len() + manifest.held_bytes()).unwrap_or(u32::MAX)
            })
            .build();
        let lists = moka::future::Cache::builder()
            .max_capacity(cache_bytes / 8)
            .weigher(|key: &String, list: &Arc<Vec<ManifestFile>>| {
                u32::try_from(key.len() + held_bytes(list)).unwrap_or(u32::MAX)
            })
            .build();
        Self { files, limit_bytes, decoded, lists }
    }

    /// The manifest at `location`.
    pub async fn manifest(&self, location: &str) -> Result<Arc<Manifest>, DocumentError> {
        if let Some(manifest) = self.decoded.get(location).await {
            return Ok(manifest);
        }
        metrics::counter!("firn_manifest_cache_misses_total").increment(1);
        let read = self.decoded.try_get_with_by_ref(location, self.read(location, Manifest::decode));
        read.await.map_err(|error| (*error).clone())
    }

    /// The manifests of the manifest list at `location`.
    pub async fn list(&self, location: &str) -> Result<Arc<Vec<ManifestFile>>, DocumentError> {
        if let Some(list) = self.lists.get(location).await {
            return Ok(list);
        }
        let read = self.lists.try_get_with_by_ref(location, self.read(location, list::decode));
        read.await.map_err(|error| (*error).clone())
    }

    /// Bytes held by the caches, about.
    pub fn held_bytes(&self) -> u64 {
        self.decoded.weighted_size() + self.lists.weighted_size()
    }

    async fn read<T: Send + 'static>(
        &self,
        location: &str,
        decode: fn(&[u8], usize) -> Result<T, ManifestError>,
    ) -> Result<Arc<T>, DocumentError> {
        let limit_bytes = self.limit_bytes;
        let bytes = self.files.read(location, limit_bytes).await.map_err(Arc::new)?;
        let malformed = |reason: String| DocumentError::Malformed { location: location.to_owned(), reason };
        match tokio::task::spawn_blocking(move || decode(&bytes, limit_bytes)).await {
            Ok(Ok(decoded)) => Ok(Arc::new(decoded)),
            Ok(Err(ManifestError::TooLarge { .. })) => {
                Err(DocumentError::File(Arc::new(FileError::TooLarge {
                    location: location.to_owned(),
                    limit_bytes,
                })))
            }
            Ok(Err(error)) => Err(malformed(error.to_string())),
            Err(error) => Err(malformed(error.to_string())),
        }
    }
}

fn held_bytes(list: &[ManifestFile]) -> usize {
    let one = |file: &ManifestFile| {
        let summaries = file.partitions.iter().flatten();
        let bounds = summaries.map(|summary| {
            64 + summary.lower_bound.as_ref().map_or(0, Vec::len)
                + summary.upper_bound.as_ref().map_or(0, Vec::len)
        });
        size_of::<ManifestFile>() + file.path.len() + bounds.sum::<usize>()
    };
    list.iter().map(one).sum::<usize>() + 64
}
