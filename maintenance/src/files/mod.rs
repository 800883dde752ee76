//! Access to the files of tables by their location. All reads, writes and deletions of a job are made here,
//! where they are restricted to the job's permissions, counted, and limited in rate. The storage itself is a
//! [`Disk`].

pub mod local;
pub mod source;

use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use storage::place::Place;
use storage::scope::Scope;
use table_core::location::Location;

use crate::error::JobError;

/// Storage of files. Every call is one request.
pub trait Disk: Send + Sync {
    /// Reads a whole file of at most `limit_bytes`.
    ///
    /// # Errors
    ///
    /// Fails if the file does not exist, is larger, or cannot be read.
    fn read(&self, place: &Place, limit_bytes: usize) -> io::Result<Bytes>;

    /// Reads a range of bytes of a file.
    ///
    /// # Errors
    ///
    /// Fails if the file does not exist, ends before the end of the range, or cannot be read.
    fn read_range(&self, place: &Place, range: Range<u64>) -> io::Result<Bytes>;

    /// Creates a new file.
    ///
    /// # Errors
    ///
    /// Fails if the file exists already, or cannot be created.
    fn create(&self, place: &Place) -> io::Result<Box<dyn Upload>>;

    /// Returns the version of a file, which differs from that of a later file of the same name.
    ///
    /// # Errors
    ///
    /// Fails if the file does not exist, or if its version cannot be determined.
    fn version(&self, place: &Place) -> io::Result<String>;

    /// Deletes a file.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be deleted. A missing file may be reported as [`ErrorKind::NotFound`].
    fn delete(&self, place: &Place) -> io::Result<()>;
}

/// New file that is being written. If it is dropped before [`Upload::finish`], an incomplete file may remain.
pub trait Upload: Write + Send {
    /// Completes the file, so that it survives a power failure.
    ///
    /// # Errors
    ///
    /// Fails if data cannot be written or synced, or if an earlier write failed.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// Number of requests to a disk, and amount of transferred data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Usage {
    /// Number of requests: files and ranges read, files created, deleted, or queried for their version.
    pub requests: u64,
    /// Number of bytes read.
    pub bytes_read: u64,
    /// Number of bytes written.
    pub bytes_written: u64,
}

/// Access of a job to the files of a table. Clones share the counts and the cache.
///
/// ```text
/// let files = Files::new(Arc::new(LocalDisk::default()), None, now_ms).within(scope);
/// let manifest = files.read_manifest("file:///srv/warehouse/t/metadata/1-m0.avro")?;
/// files.write("file:///srv/warehouse/t/data/1.parquet", &content)?;
/// ```
#[derive(Clone)]
pub struct Files {
    disk: Arc<dyn Disk>,
    counts: Arc<Counts>,
    pace: Option<Arc<Pace>>,
    kept: Arc<Mutex<Kept>>,
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
struct Kept {
    by_location: HashMap<String, Bytes>,
    bytes: usize,
}

/// Maximum size of the cached files, in bytes.
const KEPT_BYTES_MAX: usize = 64 << 20;

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
}

/// Rate limit, with requests at regular intervals.
struct Pace {
    now_ms: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Interval between two requests in microseconds; `next_us` is the time of the next request.
    distance_us: i64,
    next_us: AtomicI64,
}

impl Files {
    /// Creates the access to a disk, with at most `requests_per_second` requests if that is specified. No
    /// file may be accessed before [`Files::within`] has set the permissions.
    pub fn new(
        disk: Arc<dyn Disk>,
        requests_per_second: Option<u32>,
        now_ms: Arc<dyn Fn() -> i64 + Send + Sync>,
    ) -> Files {
        let pace = requests_per_second.map(|requests| {
            let distance_us = 1_000_000 / i64::from(requests.max(1));
            Arc::new(Pace { now_ms, distance_us, next_us: AtomicI64::new(0) })
        });
        let (counts, kept, not_own) = Default::default();
        Files { disk, counts, pace, kept, scope: Scope::default(), not_own }
    }

    /// Returns the access to the same disk with the same permissions for another job, with its own counts and
    /// an empty cache.
    #[must_use]
    pub fn counted_anew(&self) -> Files {
        Files {
            disk: self.disk.clone(),
            counts: Arc::default(),
            pace: self.pace.clone(),
            kept: Arc::default(),
            scope: self.scope.clone(),
            not_own: Arc::default(),
        }
    }

    /// Returns the access to the same disk with the permissions `scope`, with its own counts and an empty
    /// cache.
    #[must_use]
    pub fn within(&self, scope: Scope) -> Files {
        Files { scope, ..self.counted_anew() }
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
        Usage {
            requests: self.counts.requests.load(Ordering::Relaxed),
            bytes_read: self.counts.bytes_read.load(Ordering::Relaxed),
            bytes_written: self.counts.bytes_written.load(Ordering::Relaxed),
        }
    }

    /// Reads a whole file of at most 1 GiB.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::NotAllowed`] if the job must not read the file, and with [`JobError::Storage`]
    /// if it does not exist, is larger, or cannot be read.
    pub fn read(&self, location: &str) -> Result<Bytes, JobError> {
        self.read_at_most(location, WHOLE_BYTES_MAX)
    }

    /// Reads a whole file of at most `limit_bytes`.
    ///
    /// # Errors
    ///
    /// Fails for the same reasons as [`Files::read`].
    pub fn read_at_most(&self, location: &str, limit_bytes: usize) -> Result<Bytes, JobError> {
        let place = self.scope.read(location).map_err(JobError::not_allowed(location))?;
        self.count_read(location, || self.disk.read(&place, limit_bytes))
    }

    /// Reads a whole manifest or manifest list, from the cache if it was read before.
    ///
    /// # Errors
    ///
    /// Fails for the same reasons as [`Files::read`].
    pub fn read_manifest(&self, location: &str) -> Result<Bytes, JobError> {
        // The cache is in a valid state even if a thread panicked while it had the lock.
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = kept().by_location.get(location) {
            return Ok(bytes.clone());
        }
        let bytes = self.read(location)?;
        let mut kept = kept();
        if kept.bytes + bytes.len() <= KEPT_BYTES_MAX {
            kept.bytes += bytes.len();
            kept.by_location.insert(location.to_owned(), bytes.clone());
        }
        Ok(bytes)
    }

    /// Reads a range of bytes of a file.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::NotAllowed`] if the job must not read the file, and with [`JobError::Storage`]
    /// if it does not exist, ends before the end of the range, or cannot be read.
    pub fn read_range(&self, location: &str, range: Range<u64>) -> Result<Bytes, JobError> {
        let place = self.scope.read(location).map_err(JobError::not_allowed(location))?;
        self.count_read(location, || self.disk.read_range(&place, range))
    }

    /// Creates a new file.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::NotAllowed`] if the file is not in the table's own folders, and with
    /// [`JobError::Storage`] if it exists already or cannot be created.
    pub fn create(&self, location: &str) -> Result<NewFile, JobError> {
        let place = self.scope.write(location).map_err(JobError::not_allowed(location))?;
        self.ask();
        let upload = self.disk.create(&place).map_err(JobError::storage("write", location))?;
        Ok(NewFile { upload, location: location.to_owned(), counts: self.counts.clone() })
    }

    /// Writes a whole new file.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be created (see [`Files::create`]), written or synced.
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
        let place = self.scope.read(location).map_err(JobError::not_allowed(location))?;
        self.ask();
        self.disk.version(&place).map_err(JobError::storage("read", location))
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
        self.ask();
        match self.disk.delete(&place) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(JobError::storage("delete", location)(error))
            }
            _ => Ok(()),
        }
    }

    fn count_read(
        &self,
        location: &str,
        read: impl FnOnce() -> io::Result<Bytes>,
    ) -> Result<Bytes, JobError> {
        self.ask();
        let bytes = read().map_err(JobError::storage("read", location))?;
        self.counts.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes)
    }

    /// Counts a request, and waits until the rate limit permits it.
    fn ask(&self) {
        self.counts.requests.fetch_add(1, Ordering::Relaxed);
        if let Some(pace) = &self.pace {
            pace.wait();
        }
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Files").field(&self.usage()).finish()
    }
}

impl Pace {
    fn wait(&self) {
        let now_us = (self.now_ms)().saturating_mul(1_000);
        let turn = |next: i64| Some(next.max(now_us).saturating_add(self.distance_us));
        // The closure always returns a value.
        let Ok(next) = self.next_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, turn) else { return };
        // The wait is limited to one interval, in case the clock was set back.
        let wait_us = (next - now_us).clamp(0, self.distance_us);
        std::thread::sleep(Duration::from_micros(u64::try_from(wait_us).unwrap_or(0)));
    }
}

/// New file that is being written.
pub struct NewFile {
    upload: Box<dyn Upload>,
    location: String,
    counts: Arc<Counts>,
}

impl NewFile {
    /// Completes the file, so that it survives a power failure.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::Storage`] if data cannot be written or synced, or if an earlier write failed.
    pub fn finish(self) -> Result<(), JobError> {
        self.upload.finish().map_err(JobError::storage("write", &self.location))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.upload.write(bytes)?;
        self.counts.bytes_written.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.upload.flush()
    }
}
