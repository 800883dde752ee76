//! Access of a job to the files of its table: restricted to the job's permissions, counted, and limited in rate.
//! The files themselves are in a store of the `storage` crate.

pub mod input;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use storage::error::StorageError;
use storage::file::FileState;
use storage::local::LocalStore;
use storage::metered::{Metered, Pace, Usage};
use storage::place::Place;
use storage::read_ahead::{Concurrency, ReadAhead, ReadRequest};
use storage::scope::Scope;
use storage::store::Store;
use storage::upload::Uploader;
use table_core::location::Location;
use tokio::runtime::Handle;

use crate::error::JobError;

/// Access of a job to the files of a table. All calls block the thread of the job. Clones share the counts and the
/// cache.
///
/// ```text
/// let files = JobFiles::new(store, runtime, Concurrency::default(), None).within(scope);
/// let manifest = files.read_manifest("file:///srv/warehouse/t/metadata/1-m0.avro")?;
/// files.write("file:///srv/warehouse/t/data/1.parquet", &content)?;
/// ```
#[derive(Clone)]
pub struct JobFiles {
    store: Metered,
    runtime: Handle,
    concurrency: Concurrency,
    manifests: Arc<Mutex<ManifestCache>>,
    /// Permissions of the job.
    scope: Scope,
    /// Number of files that were to be deleted but are not in the table's own folders.
    not_own: Arc<AtomicU64>,
}

/// Maximum size of a file that is read as a whole, in bytes: a manifest, or a copy of the table's metadata.
const WHOLE_BYTES_MAX: usize = 1 << 30;

/// Cache of manifests and manifest lists, which never change. A plan reads them, and the commit soon after it
/// reads them again.
#[derive(Default)]
struct ManifestCache {
    by_location: HashMap<String, Bytes>,
    bytes: usize,
}

/// Maximum size of the cached files, in bytes.
const CACHED_BYTES_MAX: usize = 64 << 20;

/// Maximum duration of one operation on a local file: transferring a part of it, or syncing a large one.
const DEADLINE: Duration = Duration::from_secs(120);
/// Maximum number of threads that wait for the file system of one root, for all jobs of this process.
const THREADS_MAX: usize = 64;

/// Returns the store of local files for jobs, which wait longer than requests do.
pub fn local_store() -> LocalStore {
    LocalStore::new(THREADS_MAX, DEADLINE)
}

/// New file that is being written.
pub struct NewFile {
    uploader: Uploader,
    location: String,
}

impl JobFiles {
    /// Creates the access to a store. `runtime` runs the requests, as many at a time as `concurrency` permits,
    /// and at most as many per second as `pace` does. No file may be accessed before [`JobFiles::within`] has
    /// set the permissions.
    pub fn new(
        store: Arc<dyn Store>,
        runtime: Handle,
        concurrency: Concurrency,
        pace: Option<Pace>,
    ) -> JobFiles {
        let (manifests, scope, not_own) = Default::default();
        JobFiles { store: Metered::new(store, pace), runtime, concurrency, manifests, scope, not_own }
    }

    /// Returns the access to the same store with the same permissions for another job, with its own counts and
    /// an empty cache.
    #[must_use]
    pub fn with_new_counts(&self) -> JobFiles {
        JobFiles {
            store: self.store.with_new_counts(),
            runtime: self.runtime.clone(),
            concurrency: self.concurrency,
            manifests: Arc::default(),
            scope: self.scope.clone(),
            not_own: Arc::default(),
        }
    }

    /// Returns the access to the same store with the permissions `scope`, with its own counts and an empty
    /// cache.
    #[must_use]
    pub fn within(&self, scope: Scope) -> JobFiles {
        JobFiles { scope, ..self.with_new_counts() }
    }

    /// Returns `true` if a location is in the table's own folders.
    pub fn owns(&self, location: &str) -> bool {
        Location::parse_file(location).is_ok_and(|location| self.scope.owns(&location))
    }

    /// Returns the number of files that were to be deleted but are not in the table's own folders. They are
    /// not deleted.
    pub fn not_own(&self) -> u64 {
        self.not_own.load(Ordering::Relaxed)
    }

    /// Returns the requests made so far.
    pub fn usage(&self) -> Usage {
        self.store.usage()
    }

    /// Reads a whole file of at most 1 GiB.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::NotAllowed`] if the job must not read the file, and with [`JobError::Storage`]
    /// if it does not exist, is larger, or cannot be read.
    pub fn read(&self, location: &str) -> Result<Bytes, JobError> {
        let place = self.place(location)?;
        let read = self.runtime.block_on(self.store.read(&place, WHOLE_BYTES_MAX));
        read.map_err(storage("read", location))
    }

    /// Reads a whole manifest or manifest list, from the cache if it was read before.
    ///
    /// # Errors
    ///
    /// Fails for the same reasons as [`JobFiles::read`].
    pub fn read_manifest(&self, location: &str) -> Result<Bytes, JobError> {
        if let Some(bytes) = self.cached(location) {
            return Ok(bytes);
        }
        let bytes = self.read(location)?;
        self.cache(location, &bytes);
        Ok(bytes)
    }

    /// Reads manifests or manifest lists like [`JobFiles::read_manifest`], in the order of `files`, while the
    /// next ones are on their way. Each of `files` is a location with the expected size in bytes.
    pub fn read_manifests<'f, F>(
        &'f self,
        files: F,
    ) -> impl Iterator<Item = Result<Bytes, JobError>> + use<'f, F>
    where
        F: IntoIterator<Item = (String, i64)>,
        F::IntoIter: 'f,
    {
        let mut cached = VecDeque::new();
        let mut missing = Vec::new();
        for (location, size_bytes) in files {
            let found = self.cached(&location);
            if found.is_none() {
                missing.push((location, size_bytes));
            }
            cached.push_back(found);
        }
        let locations: Vec<String> = missing.iter().map(|(location, _)| location.clone()).collect();
        let mut reads = self.read_ahead(missing.into_iter()).zip(locations);
        cached.into_iter().map_while(move |cached| {
            if let Some(bytes) = cached {
                return Some(Ok(bytes));
            }
            let (read, location) = reads.next()?;
            Some(read.inspect(|bytes| self.cache(&location, bytes)))
        })
    }

    /// Reads whole files in order, while the next ones are on their way.
    fn read_ahead<'f>(
        &'f self,
        files: impl Iterator<Item = (String, i64)> + 'f,
    ) -> impl Iterator<Item = Result<Bytes, JobError>> + 'f {
        let requests = files.map(|(location, size_bytes)| {
            let place = self.place(&location)?;
            let expected_bytes = u64::try_from(size_bytes).unwrap_or(0);
            Ok(ReadRequest { place, range: None, expected_bytes, limit_bytes: WHOLE_BYTES_MAX })
        });
        self.send(requests).map(|read| read?.map_err(failed))
    }

    /// Sends requests in order, as many at a time as the limits permit.
    fn send<I>(&self, requests: I) -> ReadAhead<I>
    where
        I: Iterator<Item = Result<ReadRequest, JobError>>,
    {
        ReadAhead::new(Arc::new(self.store.clone()), self.runtime.clone(), self.concurrency, requests)
    }

    /// Reads a range of bytes of a file.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::NotAllowed`] if the job must not read the file, and with [`JobError::Storage`]
    /// if it does not exist, ends before the end of the range, or cannot be read.
    pub fn read_range(&self, location: &str, range: Range<u64>) -> Result<Bytes, JobError> {
        let place = self.place(location)?;
        let read = self.runtime.block_on(self.store.read_range(&place, range));
        read.map_err(storage("read", location))
    }

    /// Reads ranges of files in order, while the next ones are on their way. An error among `ranges` is returned
    /// in its place.
    pub fn read_ranges<'f>(
        &'f self,
        ranges: impl Iterator<Item = Result<(&'f str, Range<u64>), JobError>> + 'f,
    ) -> impl Iterator<Item = Result<Bytes, JobError>> + 'f {
        let requests = ranges.map(|range| {
            let (location, range) = range?;
            let (place, range) = (self.place(location)?, Some(range));
            Ok(ReadRequest { place, range, expected_bytes: 0, limit_bytes: 0 })
        });
        self.send(requests).map(|read| read?.map_err(failed))
    }

    /// Creates a new file. It appears in the store when its first part or its end is written.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::NotAllowed`] if the file is not in the table's own folders. That a file exists
    /// already is an error of writing it.
    pub fn create(&self, location: &str) -> Result<NewFile, JobError> {
        let place = self.scope.write(location).map_err(JobError::not_allowed(location))?;
        let store = Arc::new(self.store.clone());
        let uploader = Uploader::new(store, self.runtime.clone(), self.concurrency, place);
        Ok(NewFile { uploader, location: location.to_owned() })
    }

    /// Writes a whole new file.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::NotAllowed`] if the file is not in the table's own folders, and with
    /// [`JobError::Storage`] if it exists already or cannot be written or synced.
    pub fn write(&self, location: &str, content: &[u8]) -> Result<(), JobError> {
        let mut file = self.create(location)?;
        file.write_all(content).map_err(JobError::storage("write", location))?;
        file.finish()
    }

    /// Returns the version of a file, which differs from that of a later file of the same name.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::NotAllowed`] if the job must not read the file, and with [`JobError::Storage`]
    /// if it does not exist or its version cannot be determined.
    pub fn version(&self, location: &str) -> Result<String, JobError> {
        let place = self.place(location)?;
        let state = self.runtime.block_on(self.store.state(&place));
        let unknown = match state.map_err(storage("read", location))? {
            FileState::Present(stamp) => return Ok(stamp.to_string()),
            FileState::Gone => io::Error::new(io::ErrorKind::NotFound, "no such file"),
            FileState::Unknown => io::Error::other("its state cannot be determined"),
        };
        Err(JobError::storage("read", location)(unknown))
    }

    /// Deletes a file. A missing file is not an error.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::NotAllowed`] if the file is not in the table's own folders, and with
    /// [`JobError::Storage`] if it cannot be deleted.
    pub fn delete(&self, location: &str) -> Result<(), JobError> {
        let place = self.scope.write(location).map_err(|reason| {
            self.not_own.fetch_add(1, Ordering::Relaxed);
            JobError::not_allowed(location)(reason)
        })?;
        self.runtime.block_on(self.store.delete(&place)).map_err(storage("delete", location))
    }

    /// Returns the place of a file that the job may read. May ask the catalog for the permission.
    fn place(&self, location: &str) -> Result<Place, JobError> {
        self.scope.read(location).map_err(JobError::not_allowed(location))
    }

    fn cached(&self, location: &str) -> Option<Bytes> {
        self.manifests().by_location.get(location).cloned()
    }

    fn cache(&self, location: &str, bytes: &Bytes) {
        let mut manifests = self.manifests();
        if manifests.bytes + bytes.len() <= CACHED_BYTES_MAX {
            manifests.bytes += bytes.len();
            manifests.by_location.insert(location.to_owned(), bytes.clone());
        }
    }

    /// Returns the cache, which is in a valid state even if a thread panicked while it had the lock.
    fn manifests(&self) -> std::sync::MutexGuard<'_, ManifestCache> {
        self.manifests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NewFile {
    /// Completes the file, so that it survives a power failure.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::Storage`] if the file exists already, if data cannot be written or synced, or if
    /// an earlier write failed.
    pub fn finish(self) -> Result<(), JobError> {
        self.uploader.finish().map_err(storage("write", &self.location))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.uploader.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.uploader.flush()
    }
}

impl fmt::Debug for JobFiles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("JobFiles").field(&self.usage()).finish()
    }
}

/// Converts an error of reading a file.
fn failed(error: StorageError) -> JobError {
    let location = error.location();
    JobError::storage("read", &location)(error.into_io())
}

/// Returns a function that converts an error of a store.
fn storage(action: &'static str, location: &str) -> impl FnOnce(StorageError) -> JobError {
    move |error| JobError::storage(action, location)(error.into_io())
}

#[cfg(test)]
mod tests {
    use storage::faults::{Faults, Faulty, Operation};
    use storage::scope::Reads;
    use storage::stores::Stores;
    use tokio::runtime::Runtime;

    use super::*;

    /// Delay of every operation, so that many are in flight at the same time; counts them.
    #[derive(Debug, Default)]
    struct Watch {
        now: AtomicU64,
        most: AtomicU64,
    }

    #[async_trait::async_trait]
    impl Faults for Watch {
        async fn before(&self, _: Operation, _: &Place) -> Result<(), StorageError> {
            self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(2)).await;
            self.now.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    }

    /// Store that does not answer.
    #[derive(Debug)]
    struct Silent;

    #[async_trait::async_trait]
    impl Faults for Silent {
        async fn before(&self, _: Operation, place: &Place) -> Result<(), StorageError> {
            Err(StorageError::TimedOut { action: "use", location: place.as_str().to_owned(), seconds: 1 })
        }
    }

    /// Returns files in memory, below `memory://w`.
    pub(super) fn in_memory(runtime: &Runtime, concurrency: Concurrency) -> JobFiles {
        of_store(Arc::new(Stores::new(local_store()).with_memory()), runtime, concurrency)
    }

    fn of_store(store: Arc<dyn Store>, runtime: &Runtime, concurrency: Concurrency) -> JobFiles {
        let own = Location::parse("memory://w").unwrap();
        let scope = Scope::new(Vec::new(), vec![own], Reads::Own);
        JobFiles::new(store, runtime.handle().clone(), concurrency, None).within(scope)
    }

    fn on_disk(runtime: &Runtime, folder: &tempfile::TempDir) -> JobFiles {
        let own = Location::parse(folder.path().to_str().unwrap()).unwrap();
        let scope = Scope::new(Vec::new(), vec![own], Reads::Own);
        let stores = Arc::new(Stores::new(local_store()));
        JobFiles::new(stores, runtime.handle().clone(), Concurrency::default(), None).within(scope)
    }

    #[test]
    fn a_file_is_written_once_read_in_parts_and_deleted_as_often_as_wanted() {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let location = format!("file://{}/x/y", folder.path().display());
        let files = on_disk(&runtime, &folder);
        files.write(&location, b"hello").unwrap();
        assert!(files.write(&location, b"other").is_err());
        assert_eq!(files.read(&location).unwrap(), "hello");
        assert_eq!(files.read_range(&location, 1..4).unwrap(), "ell");
        assert!(files.read_range(&location, 3..6).is_err());
        assert_eq!(files.usage(), Usage { requests: 5, bytes_read: 8, bytes_written: 5 });
        let version = files.version(&location).unwrap();
        files.delete(&location).unwrap();
        files.delete(&location).unwrap();
        assert!(files.read(&location).unwrap_err().is_missing());
        assert!(files.version(&location).unwrap_err().is_missing());
        files.write(&location, b"hello, too").unwrap();
        assert_ne!(files.version(&location).unwrap(), version);

        let other = format!("file://{}-other/x", folder.path().display());
        let not_allowed = [
            files.write(&other, b"").unwrap_err(),
            files.delete(&other).unwrap_err(),
            files.read(&other).unwrap_err(),
            files.version(&other).unwrap_err(),
        ];
        assert!(
            not_allowed.iter().all(|error| matches!(error, JobError::NotAllowed { .. })),
            "{not_allowed:?}"
        );
        assert!(files.owns(&location) && !files.owns(&other));
        assert_eq!(files.not_own(), 1);
    }

    #[test]
    fn a_large_file_is_handed_over_in_parts() {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let location = format!("{}/large", folder.path().display());
        let files = on_disk(&runtime, &folder);
        let content: Vec<u8> = (0..5_u32 << 20).map(|byte| (byte % 251) as u8).collect();
        let mut file = files.create(&location).unwrap();
        for part in content.chunks(100_001) {
            file.write_all(part).unwrap();
        }
        file.finish().unwrap();
        assert!(files.read(&location).unwrap() == content);
    }

    #[test]
    fn a_disk_that_does_not_answer_is_no_fault_of_the_file() {
        let runtime = Runtime::new().unwrap();
        let stores = Arc::new(Stores::new(local_store()).with_memory());
        let silent = Arc::new(Faulty::new(stores, Arc::new(Silent)));
        let files = of_store(silent, &runtime, Concurrency::default());
        let location = "memory://w/x";
        let mut ahead = files.read_ranges(std::iter::once(Ok((location, 0..1))));
        let errors = [
            files.version(location).unwrap_err(),
            files.read(location).unwrap_err(),
            files.open(location, 1).err().unwrap(),
            ahead.next().unwrap().unwrap_err(),
        ];
        assert!(errors.iter().all(|error| error.is_passing() && !error.is_of_files()), "{errors:?}");
        assert!(errors.iter().all(|error| error.location().is_some_and(|at| at.ends_with("/x"))));
    }

    #[test]
    fn manifests_come_in_order_and_from_the_cache_if_they_are_in_it() {
        let runtime = Runtime::new().unwrap();
        let watch = Arc::new(Watch::default());
        let stores = Arc::new(Stores::new(local_store()).with_memory());
        let faulty = Arc::new(Faulty::new(stores, watch.clone()));
        let files = of_store(faulty, &runtime, Concurrency::default());
        let at = |number: u32| format!("memory://w/{number}.avro");
        for number in 0..20 {
            files.write(&at(number), number.to_string().as_bytes()).unwrap();
        }
        let files = files.with_new_counts();
        files.read_manifest(&at(3)).unwrap();
        // A size in a manifest list may be wrong.
        let all = || (0..20).map(|number| (at(number), i64::from(number) - 5));
        for requests in [20, 20] {
            for (number, read) in files.read_manifests(all()).enumerate() {
                assert_eq!(read.unwrap(), number.to_string());
            }
            assert_eq!(files.usage().requests, requests);
        }
        assert!(watch.most.load(Ordering::SeqCst) > 1);
        // Other jobs have a cache and counts of their own.
        let other = files.with_new_counts();
        other.read_manifest(&at(3)).unwrap();
        assert_eq!((other.usage().requests, files.usage().requests), (1, 20));
    }

    #[test]
    fn a_missing_manifest_is_an_error_in_its_place() {
        let runtime = Runtime::new().unwrap();
        let files = in_memory(&runtime, Concurrency::default());
        files.write("memory://w/0.avro", b"0").unwrap();
        files.write("memory://w/2.avro", b"2").unwrap();
        let wanted = ["memory://w/0.avro", "memory://w/1.avro", "memory://w/2.avro", "memory://other/3.avro"];
        let mut read = files.read_manifests(wanted.map(|location| (location.to_owned(), 1)));
        assert_eq!(read.next().unwrap().unwrap(), "0");
        assert!(read.next().unwrap().unwrap_err().is_missing());
        assert_eq!(read.next().unwrap().unwrap(), "2");
        assert!(read.next().unwrap().unwrap_err().is_not_readable());
        assert!(read.next().is_none());
    }
}
