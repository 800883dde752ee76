//! Cache of manifests and manifest lists by their immutable location: each is read and decoded once and
//! cached while there is room.

use std::sync::Arc;

use storage::error::StorageError;
use table_core::manifest::error::ManifestError;
use table_core::manifest::file::Manifest;
use table_core::manifest::list::{self, ManifestFile};

use super::documents::DocumentError;
use super::turns::Turns;
use super::{ENTRY_BYTES, WarehouseFiles};

/// Cache of decoded manifests and manifest lists.
pub struct Manifests {
    files: WarehouseFiles,
    limit_bytes: usize,
    decoded: Cache<Manifest>,
    lists: Cache<Vec<ManifestFile>>,
    turns: Turns,
}

type Cache<T> = moka::future::Cache<String, Arc<T>>;
type Decode<T> = fn(&[u8], usize) -> Result<T, ManifestError>;

impl Manifests {
    /// Creates a cache of at most `cache_bytes` of decoded files. Files larger than `limit_bytes`, before or
    /// after decompression, are rejected.
    pub fn new(files: WarehouseFiles, cache_bytes: u64, limit_bytes: usize) -> Self {
        let decoded = moka::future::Cache::builder()
            .max_capacity(cache_bytes - cache_bytes / 8)
            .weigher(|key: &String, manifest: &Arc<Manifest>| {
                u32::try_from(ENTRY_BYTES + key.len() + manifest.memory_bytes()).unwrap_or(u32::MAX)
            })
            .build();
        let lists = moka::future::Cache::builder()
            .max_capacity(cache_bytes / 8)
            .weigher(|key: &String, list: &Arc<Vec<ManifestFile>>| {
                u32::try_from(ENTRY_BYTES + key.len() + memory_bytes(list)).unwrap_or(u32::MAX)
            })
            .build();
        Self { files, limit_bytes, decoded, lists, turns: Turns::per_core() }
    }

    /// Returns the manifest at `location`.
    ///
    /// # Errors
    ///
    /// Fails if the file does not exist, may not be read or is too large ([`DocumentError::File`]), or if it
    /// is not a valid manifest ([`DocumentError::Malformed`]).
    pub async fn manifest(&self, location: &str) -> Result<Arc<Manifest>, DocumentError> {
        if let Some(manifest) = self.decoded.get(location).await {
            return Ok(manifest);
        }
        metrics::counter!("firn_manifest_cache_misses_total").increment(1);
        self.find(&self.decoded, location, Manifest::decode).await
    }

    /// Returns the manifest file entries of the manifest list at `location`.
    ///
    /// # Errors
    ///
    /// Fails if the file does not exist, may not be read or is too large ([`DocumentError::File`]), or if it
    /// is not a valid manifest list ([`DocumentError::Malformed`]).
    pub async fn list(&self, location: &str) -> Result<Arc<Vec<ManifestFile>>, DocumentError> {
        if let Some(list) = self.lists.get(location).await {
            return Ok(list);
        }
        self.find(&self.lists, location, list::decode).await
    }

    /// Returns the approximate memory used by the caches, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.decoded.weighted_size() + self.lists.weighted_size()
    }

    async fn find<T: Send + Sync + 'static>(
        &self,
        cache: &Cache<T>,
        location: &str,
        decode: Decode<T>,
    ) -> Result<Arc<T>, DocumentError> {
        let read = cache.try_get_with_by_ref(location, self.read(location, decode));
        let found = read.await.map_err(|error| (*error).clone())?;
        // The cache only evicts after 64 entries or 300 ms, and manifests are large and numerous.
        cache.run_pending_tasks().await;
        Ok(found)
    }

    async fn read<T: Send + 'static>(
        &self,
        location: &str,
        decode: Decode<T>,
    ) -> Result<Arc<T>, DocumentError> {
        // Decoding may take memory up to the limit, even for a small file.
        let _turn = self.turns.take().await;
        let limit_bytes = self.limit_bytes;
        let decoded = self.files.read_as(location, limit_bytes, move |bytes| decode(&bytes, limit_bytes));
        match decoded.await.map_err(Arc::new)? {
            Ok(decoded) => Ok(Arc::new(decoded)),
            Err(ManifestError::TooLarge { .. }) => {
                Err(DocumentError::File(Arc::new(StorageError::TooLarge {
                    location: location.to_owned(),
                    limit_bytes,
                })))
            }
            Err(error) => {
                Err(DocumentError::Malformed { location: location.to_owned(), reason: error.to_string() })
            }
        }
    }
}

fn memory_bytes(list: &Vec<ManifestFile>) -> usize {
    let spare = (list.capacity() - list.len()) * size_of::<ManifestFile>();
    spare + list.iter().map(ManifestFile::memory_bytes).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use storage::stores::Stores;

    use super::super::local_store;
    use super::*;

    /// Returns a manifest without entries.
    fn empty_manifest() -> Vec<u8> {
        let field = |id: i32, name: &str, kind: &str| {
            format!("{{\"name\":\"{name}\",\"field-id\":{id},\"type\":{kind}}}")
        };
        let record = |name: &str, fields: &[String]| {
            format!("{{\"type\":\"record\",\"name\":\"{name}\",\"fields\":[{}]}}", fields.join(","))
        };
        let text = "\"string\"";
        let file = [
            field(100, "p", text),
            field(101, "f", text),
            field(103, "n", "\"long\""),
            field(104, "s", "\"long\""),
        ];
        let schema = record("e", &[field(0, "status", "\"int\""), field(2, "d", &record("r2", &file))]);
        let mut header = b"Obj\x01\x02\x16avro.schema".to_vec();
        // Length as a zigzag varint: doubled, seven bits per byte.
        let length = 2 * u16::try_from(schema.len()).unwrap();
        header.extend([length & 0x7f | 0x80, length >> 7].map(|byte| u8::try_from(byte).unwrap()));
        header.extend_from_slice(schema.as_bytes());
        header.extend_from_slice(&[0; 1 + 16]);
        header
    }

    #[tokio::test]
    async fn room_is_made_before_the_next_manifest_comes() {
        let folder = tempfile::tempdir().unwrap();
        let root = table_core::location::Location::parse(folder.path().to_str().unwrap()).unwrap();
        let files = WarehouseFiles::new(Stores::new(local_store()));
        files.add_root(&root);
        let manifests = Manifests::new(files, 8 << 10, 1 << 20);
        let weight = |path: &str, manifest: &Manifest| ENTRY_BYTES + path.len() + manifest.memory_bytes();
        let mut read = 0;
        for number in 0..50 {
            let path = folder.path().join(format!("{number}.avro"));
            std::fs::write(&path, empty_manifest()).unwrap();
            let path = path.to_str().unwrap();
            read += weight(path, &manifests.manifest(path).await.unwrap());
            let held =
                manifests.decoded.iter().map(|(path, manifest)| weight(&path, &manifest)).sum::<usize>();
            assert!(held <= 7 << 10, "{held} bytes are held after manifest {number}");
        }
        assert!(read > 16 << 10, "{read} bytes might have been held without making room");
    }
}
