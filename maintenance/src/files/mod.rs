//! Files of tables, by their location: what is read, written and deleted goes through here, is counted, and is held to a pace.
//! Where the files are is a [`Disk`]'s business.

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

use self::source::Source;
use crate::error::JobError;

/// Where files are kept. Every call is one request.
pub trait Disk: Send + Sync {
    /// Reads a file of at most so many bytes.
    fn read(&self, place: &Place, limit_bytes: usize) -> io::Result<Bytes>;

    /// Reads a part of a file; a part beyond the end is an error.
    fn read_range(&self, place: &Place, range: Range<u64>) -> io::Result<Bytes>;

    /// Begins a new file. Fails if there is one already.
    fn create(&self, place: &Place) -> io::Result<Box<dyn Upload>>;

    /// What tells a file from a later one of its name.
    fn version(&self, place: &Place) -> io::Result<String>;

    /// Deletes a file. One that is gone may be an error of the kind [`ErrorKind::NotFound`].
    fn delete(&self, place: &Place) -> io::Result<()>;
}

/// A new file in the making. One that is dropped before its end may leave something behind.
pub trait Upload: Write + Send {
    /// Ends the file, so that it survives a power cut.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// What was asked of a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Usage {
    /// Files and parts of files that were read, files that were written and deleted.
    pub requests: u64,
    /// Bytes that were read.
    pub bytes_read: u64,
    /// Bytes that were written.
    pub bytes_written: u64,
}

/// The files that a job works on.
#[derive(Clone)]
pub struct Files {
    disk: Arc<dyn Disk>,
    counts: Arc<Counts>,
    pace: Option<Arc<Pace>>,
    kept: Arc<Mutex<Kept>>,
    /// What may be touched at all.
    scope: Scope,
    /// Files that were to be deleted and are not the table's own.
    not_own: Arc<AtomicU64>,
}

/// What a whole file may take: a manifest, or a copy of a table's metadata.
const WHOLE_BYTES_MAX: usize = 1 << 30;

/// Manifests and their lists, which never change: a plan reads them, and the commit soon after it once more.
#[derive(Default)]
struct Kept {
    by_location: HashMap<String, Bytes>,
    bytes: usize,
}

/// How much of them is kept.
const KEPT_BYTES_MAX: usize = 64 << 20;

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
}

/// Requests at even distances.
struct Pace {
    now_ms: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Microseconds from one request to the next, and when that is.
    distance_us: i64,
    next_us: AtomicI64,
}

impl Files {
    /// Files on a disk, at most so many requests in a second if that is said. None of them may be touched; see
    /// [`Files::within`].
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

    /// The same disk for another job: counted anew, nothing kept.
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

    /// The same disk for the job of a table: what the scope allows, counted anew.
    #[must_use]
    pub fn within(&self, scope: Scope) -> Files {
        Files { scope, ..self.counted_anew() }
    }

    /// Whether a location lies in the table's own folders.
    pub fn owns(&self, location: &str) -> bool {
        Location::parse_file(location).is_ok_and(|location| self.scope.owns(&location))
    }

    /// How many files were to be deleted that are not the table's own. They stay.
    pub fn not_own(&self) -> u64 {
        self.not_own.load(Ordering::Relaxed)
    }

    /// What was asked of the disk so far.
    pub fn usage(&self) -> Usage {
        Usage {
            requests: self.counts.requests.load(Ordering::Relaxed),
            bytes_read: self.counts.bytes_read.load(Ordering::Relaxed),
            bytes_written: self.counts.bytes_written.load(Ordering::Relaxed),
        }
    }

    /// Reads a whole file.
    pub fn read(&self, location: &str) -> Result<Bytes, JobError> {
        self.read_at_most(location, WHOLE_BYTES_MAX)
    }

    /// Reads a whole file. Fails if it is larger than that.
    pub fn read_at_most(&self, location: &str, limit_bytes: usize) -> Result<Bytes, JobError> {
        let place = self.scope.read(location).map_err(JobError::not_allowed(location))?;
        self.count_read(location, || self.disk.read(&place, limit_bytes))
    }

    /// Reads a whole manifest or list of manifests, unless it was read before.
    pub fn read_manifest(&self, location: &str) -> Result<Bytes, JobError> {
        // What a thread that panicked has left is as good as any other.
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

    /// Reads a part of a file.
    pub fn read_range(&self, location: &str, range: Range<u64>) -> Result<Bytes, JobError> {
        let place = self.scope.read(location).map_err(JobError::not_allowed(location))?;
        self.count_read(location, || self.disk.read_range(&place, range))
    }

    /// Opens a file of a known size for a reader that fetches what it needs. A small one is read at once.
    pub fn open(&self, location: &str, size_bytes: i64) -> Result<Source, JobError> {
        Source::open(self.clone(), location, size_bytes)
    }

    /// Begins a new file.
    pub fn create(&self, location: &str) -> Result<NewFile, JobError> {
        let place = self.scope.write(location).map_err(JobError::not_allowed(location))?;
        self.ask();
        let upload = self.disk.create(&place).map_err(JobError::storage("write", location))?;
        Ok(NewFile { upload, location: location.to_owned(), counts: self.counts.clone() })
    }

    /// Writes a whole new file.
    pub fn write(&self, location: &str, content: &[u8]) -> Result<(), JobError> {
        let mut file = self.create(location)?;
        file.write_all(content).map_err(JobError::storage("write", location))?;
        file.finish()
    }

    /// What tells a file from a later one of its name.
    pub fn version(&self, location: &str) -> Result<String, JobError> {
        let place = self.scope.read(location).map_err(JobError::not_allowed(location))?;
        self.ask();
        self.disk.version(&place).map_err(JobError::storage("read", location))
    }

    /// Deletes a file. One that is gone is no error; one that is not the table's own stays, and is an error.
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

    /// Counts a request, and waits for its turn.
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
        // The closure always gives a value.
        let Ok(next) = self.next_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, turn) else { return };
        // A clock that was set back must not hold anybody for longer than its turn.
        let wait_us = (next - now_us).clamp(0, self.distance_us);
        std::thread::sleep(Duration::from_micros(u64::try_from(wait_us).unwrap_or(0)));
    }
}

/// A new file that is being written.
pub struct NewFile {
    upload: Box<dyn Upload>,
    location: String,
    counts: Arc<Counts>,
}

impl NewFile {
    /// Ends the file, so that it survives a power cut.
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
