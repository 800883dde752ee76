//! Stores of objects, by the `object_store` crate.

mod error;
pub mod memory;
pub mod s3;

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode,
    PutPayload,
};
use tokio::sync::{Semaphore, SemaphorePermit};

use self::error::failed;
use crate::error::StorageError;
use crate::file::{FileState, Listed, Stamp};
use crate::place::Place;
use crate::store::{PartWritten, Store, Upload};

/// Size of the parts of a multipart upload, in bytes. S3 accepts no smaller ones than 5 MiB.
const PART_BYTES: usize = 8 << 20;
/// Maximum number of requests in flight to one bucket.
const REQUESTS_MAX: usize = 256;
/// Number of objects that are deleted at the same time. One request deletes one object: several stores refuse to
/// delete many with one request if the credential is restricted to a prefix.
const DELETES: usize = 16;

/// Bucket of an object store.
#[derive(Debug, Clone)]
pub struct Bucket {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    objects: Arc<dyn ObjectStore>,
    /// Normal form of the location of the bucket with a trailing slash, such as `s3://bucket/`.
    prefix: String,
    deadline: Duration,
    requests: Semaphore,
    /// Behaviour of conditional writes.
    create: PutMode,
}

struct BucketUpload {
    bucket: Bucket,
    upload: Box<dyn MultipartUpload>,
    location: String,
}

impl Bucket {
    /// Creates the access to a bucket at `location`. An operation that takes longer than `deadline`, with its
    /// repetitions, is given up.
    fn new(objects: Arc<dyn ObjectStore>, location: &str, deadline: Duration) -> Bucket {
        let (prefix, requests) = (format!("{location}/"), Semaphore::new(REQUESTS_MAX));
        let create = PutMode::Create;
        Bucket { shared: Arc::new(Shared { objects, prefix, deadline, requests, create }) }
    }

    /// Returns the same bucket, for a store that does not refuse to write an object that exists. Names of new files
    /// are random, so that this is only a second barrier.
    #[must_use]
    fn with_unconditional_writes(self) -> Bucket {
        let Shared { objects, prefix, deadline, .. } = &*self.shared;
        let (objects, prefix, requests) = (objects.clone(), prefix.clone(), Semaphore::new(REQUESTS_MAX));
        let create = PutMode::Overwrite;
        Bucket { shared: Arc::new(Shared { objects, prefix, deadline: *deadline, requests, create }) }
    }

    /// Returns the key of a file in the bucket; the empty one for the bucket itself.
    fn key(&self, place: &Place) -> Result<Path, StorageError> {
        let location = place.location();
        let normal = location.prefix();
        let outside = || StorageError::UnsupportedScheme(place.as_str().to_owned());
        let key = normal.strip_prefix(&self.shared.prefix).ok_or_else(outside)?;
        let key = key.strip_suffix('/').unwrap_or(key);
        Path::parse(key).map_err(|error| {
            StorageError::io("look up", place.as_str(), io::Error::new(ErrorKind::InvalidInput, error))
        })
    }

    /// Carries out an operation, with a limited number at the same time, until the deadline.
    async fn run<T>(
        &self,
        action: &'static str,
        location: &str,
        operation: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, StorageError> {
        let limited = async {
            let _permit = self.permit().await;
            operation.await
        };
        let result = match tokio::time::timeout(self.shared.deadline, limited).await {
            Ok(result) => result.map_err(failed(action, location)),
            Err(_) => Err(StorageError::TimedOut {
                action,
                location: location.to_owned(),
                seconds: self.shared.deadline.as_secs(),
            }),
        };
        let outcome = match &result {
            Ok(_) => "done",
            Err(StorageError::NotFound(_) | StorageError::AlreadyExists(_)) => "refused",
            Err(_) => "failed",
        };
        let labels = [("operation", action), ("outcome", outcome)];
        metrics::counter!("firn_object_requests_total", &labels).increment(1);
        result
    }

    /// Waits until there are fewer requests in flight than the maximum. The semaphore is never closed.
    async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        self.shared.requests.acquire().await.ok()
    }

    fn listed_below(&self, key: &Path) -> futures::stream::BoxStream<'static, Result<ObjectMeta, Error>> {
        self.shared.objects.list(Some(key))
    }

    async fn write(&self, place: &Place, key: &Path, content: Bytes) -> Result<(), StorageError> {
        let mode = self.shared.create.clone();
        let write = self.shared.objects.put_opts(key, PutPayload::from(content), mode.into());
        self.run("write", place.as_str(), write).await.map(drop)
    }
}

#[async_trait]
impl Store for Bucket {
    async fn read(&self, place: &Place, limit_bytes: usize) -> Result<Bytes, StorageError> {
        let key = self.key(place)?;
        let read = async {
            let found = self.shared.objects.get(&key).await?;
            if found.meta.size > limit_bytes as u64 { Ok(None) } else { found.bytes().await.map(Some) }
        };
        let content = self.run("read", place.as_str(), read).await?;
        content.ok_or_else(|| StorageError::TooLarge { location: place.as_str().to_owned(), limit_bytes })
    }

    async fn read_range(&self, place: &Place, range: Range<u64>) -> Result<Bytes, StorageError> {
        let key = self.key(place)?;
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let length = range.end - range.start;
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let read = async { self.shared.objects.get_opts(&key, options).await?.bytes().await };
        let bytes = self.run("read", place.as_str(), read).await?;
        if (bytes.len() as u64) < length {
            return Err(StorageError::io("read", place.as_str(), ErrorKind::UnexpectedEof.into()));
        }
        Ok(bytes)
    }

    async fn write_new(&self, place: &Place, content: Bytes) -> Result<(), StorageError> {
        self.write(place, &self.key(place)?, content).await
    }

    async fn create(&self, place: &Place) -> Result<Box<dyn Upload>, StorageError> {
        let key = self.key(place)?;
        if self.state(place).await? != FileState::Gone {
            return Err(StorageError::AlreadyExists(place.as_str().to_owned()));
        }
        let upload = self.run("write", place.as_str(), self.shared.objects.put_multipart(&key)).await?;
        Ok(Box::new(BucketUpload { bucket: self.clone(), upload, location: place.as_str().to_owned() }))
    }

    fn part_bytes(&self, _: &Place) -> usize {
        PART_BYTES
    }

    async fn state(&self, place: &Place) -> Result<FileState, StorageError> {
        let key = self.key(place)?;
        match self.run("look for", place.as_str(), self.shared.objects.head(&key)).await {
            Ok(found) => Ok(FileState::Present(stamp(&found))),
            Err(StorageError::NotFound(_)) => Ok(FileState::Gone),
            Err(error) => Err(error),
        }
    }

    fn state_in_memory(&self, _: &Place) -> FileState {
        FileState::Unknown
    }

    async fn delete(&self, place: &Place) -> Result<(), StorageError> {
        let key = self.key(place)?;
        match self.run("delete", place.as_str(), self.shared.objects.delete(&key)).await {
            Err(StorageError::NotFound(_)) => Ok(()),
            deleted => deleted,
        }
    }

    async fn delete_below(&self, place: &Place, files_max: usize) -> Result<usize, StorageError> {
        let key = self.key(place)?;
        let listed = self.listed_below(&key).take(files_max).try_collect::<Vec<_>>();
        let listed = self.run("list", place.as_str(), listed).await?;
        let count = listed.len();
        let deletions = listed.into_iter().map(|object| async move {
            match self.run("delete", place.as_str(), self.shared.objects.delete(&object.location)).await {
                Err(StorageError::NotFound(_)) => Ok(()),
                deleted => deleted,
            }
        });
        futures::stream::iter(deletions).buffer_unordered(DELETES).try_collect::<()>().await?;
        Ok(count)
    }

    async fn list(&self, place: &Place, files_max: usize) -> Result<Vec<Listed>, StorageError> {
        let key = self.key(place)?;
        let listed = self.shared.objects.list_with_delimiter(Some(&key));
        let listed = self.run("list", place.as_str(), listed).await?;
        // Some stores list a folder itself as an object, even after its last file was deleted.
        let listed = listed.objects.iter().filter(|object| object.location != key);
        let listed = listed.take(files_max).filter_map(|object| {
            let name = object.location.filename()?.to_owned();
            Some(Listed { name, modified_ms: object.last_modified.timestamp_millis() })
        });
        Ok(listed.collect())
    }

    /// Does nothing: there are no folders.
    async fn create_folder(&self, _: &Place) -> Result<(), StorageError> {
        Ok(())
    }

    /// Does nothing: [`crate::check::check`] finds out what can be done in a bucket.
    async fn prepare_root(&self, place: &Place) -> Result<(), StorageError> {
        self.key(place).map(drop)
    }

    async fn find_below(
        &self,
        place: &Place,
        suffix: &str,
        entries_max: usize,
    ) -> Result<bool, StorageError> {
        let key = self.key(place)?;
        let find = async {
            let mut listed = self.listed_below(&key).take(entries_max);
            while let Some(object) = listed.try_next().await? {
                if object.location.as_ref().ends_with(suffix) {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        self.run("look for tables in", place.as_str(), find).await
    }
}

#[async_trait]
impl Upload for BucketUpload {
    fn write_part(&mut self, part: Bytes) -> PartWritten {
        let written = self.upload.put_part(PutPayload::from(part));
        let (bucket, location) = (self.bucket.clone(), self.location.clone());
        Box::pin(async move { bucket.run("write", &location, written).await })
    }

    async fn finish(&mut self) -> Result<(), StorageError> {
        self.bucket.run("write", &self.location, self.upload.complete()).await.map(drop)
    }

    async fn abort(&mut self) {
        let aborted = self.bucket.run("write", &self.location, self.upload.abort()).await;
        if let Err(error) = aborted {
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
