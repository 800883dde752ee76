//! Stores of objects, by the `object_store` crate. So far the memory of this process is the only one.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::TryStreamExt as _;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode,
    PutPayload,
};

use crate::error::StorageError;
use crate::file::{FileState, Listed, Stamp};
use crate::place::{MEMORY_SCHEME, Place};
use crate::store::{PartWritten, Store, Upload};

/// Maximum number of buckets. Locations in further ones are refused.
const BUCKETS_MAX: usize = 10_000;

/// Size of the parts of a multipart upload, in bytes. S3 accepts no smaller ones than 5 MiB.
const PART_BYTES: usize = 8 << 20;

/// Objects in the memory of this process, at locations such as `memory://bucket/table/data/1.parquet`. They are
/// lost when the process ends. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    buckets: Arc<Mutex<HashMap<String, Arc<dyn ObjectStore>>>>,
}

/// Object in a bucket.
struct Object {
    bucket: Arc<dyn ObjectStore>,
    key: Path,
}

struct ObjectUpload {
    upload: Box<dyn MultipartUpload>,
    location: String,
}

impl MemoryStore {
    fn object(&self, place: &Place) -> Result<Object, StorageError> {
        let normal = place.location().normal();
        let unsupported = || StorageError::UnsupportedScheme(place.as_str().to_owned());
        let path = normal.strip_prefix(MEMORY_SCHEME).ok_or_else(unsupported)?;
        let (name, key) = path.split_once('/').unwrap_or((path, ""));
        let key = Path::parse(key).map_err(|error| {
            StorageError::io("look up", place.as_str(), io::Error::new(ErrorKind::InvalidInput, error))
        })?;
        // The map is in a valid state even if a thread panicked while it had the lock.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get(name) {
            return Ok(Object { bucket: bucket.clone(), key });
        }
        if buckets.len() == BUCKETS_MAX {
            return Err(unsupported());
        }
        let bucket: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        buckets.insert(name.to_owned(), bucket.clone());
        Ok(Object { bucket, key })
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn read(&self, place: &Place, limit_bytes: usize) -> Result<Bytes, StorageError> {
        let Object { bucket, key } = self.object(place)?;
        let found = bucket.get(&key).await.map_err(failed("read", place))?;
        if found.meta.size > limit_bytes as u64 {
            return Err(StorageError::TooLarge { location: place.as_str().to_owned(), limit_bytes });
        }
        found.bytes().await.map_err(failed("read", place))
    }

    async fn read_range(&self, place: &Place, range: Range<u64>) -> Result<Bytes, StorageError> {
        let Object { bucket, key } = self.object(place)?;
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let length = range.end - range.start;
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let found = bucket.get_opts(&key, options).await.map_err(failed("read", place))?;
        let bytes = found.bytes().await.map_err(failed("read", place))?;
        if (bytes.len() as u64) < length {
            return Err(StorageError::io("read", place.as_str(), ErrorKind::UnexpectedEof.into()));
        }
        Ok(bytes)
    }

    async fn write_new(&self, place: &Place, content: Bytes) -> Result<(), StorageError> {
        let Object { bucket, key } = self.object(place)?;
        let written = bucket.put_opts(&key, PutPayload::from(content), PutMode::Create.into()).await;
        written.map_err(failed("write", place)).map(drop)
    }

    async fn create(&self, place: &Place) -> Result<Box<dyn Upload>, StorageError> {
        let Object { bucket, key } = self.object(place)?;
        if bucket.head(&key).await.is_ok() {
            return Err(StorageError::AlreadyExists(place.as_str().to_owned()));
        }
        let upload = bucket.put_multipart(&key).await.map_err(failed("write", place))?;
        Ok(Box::new(ObjectUpload { upload, location: place.as_str().to_owned() }))
    }

    fn part_bytes(&self, _: &Place) -> usize {
        PART_BYTES
    }

    async fn state(&self, place: &Place) -> Result<FileState, StorageError> {
        let Object { bucket, key } = self.object(place)?;
        match bucket.head(&key).await {
            Ok(found) => Ok(FileState::Present(stamp(&found))),
            Err(Error::NotFound { .. }) => Ok(FileState::Gone),
            Err(error) => Err(failed("look for", place)(error)),
        }
    }

    fn state_in_memory(&self, _: &Place) -> FileState {
        FileState::Unknown
    }

    async fn delete(&self, place: &Place) -> Result<(), StorageError> {
        let Object { bucket, key } = self.object(place)?;
        match bucket.delete(&key).await {
            Err(Error::NotFound { .. }) => Ok(()),
            deleted => deleted.map_err(failed("delete", place)),
        }
    }

    async fn delete_below(&self, place: &Place, files_max: usize) -> Result<usize, StorageError> {
        let Object { bucket, key } = self.object(place)?;
        let listed = bucket.list(Some(&key)).take(files_max);
        let objects: Vec<ObjectMeta> = listed.try_collect().await.map_err(failed("delete below", place))?;
        for object in &objects {
            match bucket.delete(&object.location).await {
                Err(Error::NotFound { .. }) => {}
                deleted => deleted.map_err(failed("delete below", place))?,
            }
        }
        Ok(objects.len())
    }

    async fn list(&self, place: &Place, files_max: usize) -> Result<Vec<Listed>, StorageError> {
        let Object { bucket, key } = self.object(place)?;
        let listed = bucket.list_with_delimiter(Some(&key)).await.map_err(failed("list", place))?;
        let listed = listed.objects.iter().take(files_max).filter_map(|object| {
            let name = object.location.filename()?.to_owned();
            Some(Listed { name, modified_ms: object.last_modified.timestamp_millis() })
        });
        Ok(listed.collect())
    }

    /// Does nothing: there are no folders.
    async fn create_folder(&self, _: &Place) -> Result<(), StorageError> {
        Ok(())
    }

    async fn prepare_root(&self, place: &Place) -> Result<(), StorageError> {
        self.object(place).map(drop)
    }

    async fn find_below(
        &self,
        place: &Place,
        suffix: &str,
        entries_max: usize,
    ) -> Result<bool, StorageError> {
        let Object { bucket, key } = self.object(place)?;
        let mut listed = bucket.list(Some(&key)).take(entries_max);
        while let Some(object) = listed.try_next().await.map_err(failed("look for tables in", place))? {
            if object.location.as_ref().ends_with(suffix) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[async_trait]
impl Upload for ObjectUpload {
    fn write_part(&mut self, part: Bytes) -> PartWritten {
        let written = self.upload.put_part(PutPayload::from(part));
        let location = self.location.clone();
        Box::pin(async move { written.await.map_err(|error| convert("write", &location, error)) })
    }

    async fn finish(&mut self) -> Result<(), StorageError> {
        let finished = self.upload.complete().await;
        finished.map(drop).map_err(|error| convert("write", &self.location, error))
    }

    async fn abort(&mut self) {
        if let Err(error) = self.upload.abort().await {
            tracing::warn!(location = self.location, %error, "cannot abort an incomplete upload");
        }
    }
}

fn stamp(object: &ObjectMeta) -> Stamp {
    Stamp {
        size_bytes: object.size,
        modified: (
            object.last_modified.timestamp(),
            i64::from(object.last_modified.timestamp_subsec_nanos()),
        ),
        entity_tag: object.e_tag.as_deref().map(Arc::from),
    }
}

fn failed<'a>(action: &'static str, place: &'a Place) -> impl Fn(Error) -> StorageError + use<'a> {
    move |error| convert(action, place.as_str(), error)
}

fn convert(action: &'static str, location: &str, error: Error) -> StorageError {
    let kind = match error {
        Error::NotFound { .. } => ErrorKind::NotFound,
        Error::AlreadyExists { .. } => ErrorKind::AlreadyExists,
        _ => ErrorKind::Other,
    };
    StorageError::io(action, location, io::Error::new(kind, error))
}
