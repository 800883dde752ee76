//! Reads that are begun before their results are needed, for callers on threads of their own. A request to an
//! object store takes as long as the transfer of some megabytes, so that one after the other would mostly wait.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::error::StorageError;
use crate::place::Place;
use crate::store::Store;

/// Maximum distance of two ranges that are read with one request, in bytes.
const GAP_BYTES_MAX: u64 = 512 << 10;
/// Maximum size of several ranges that are read with one request, in bytes. A single range may be longer.
const COALESCED_BYTES_MAX: u64 = 8 << 20;
/// Maximum size of a whole file that is read ahead although a smaller one is expected, in bytes. The expected
/// size is from a manifest, which a client wrote, and a file may be much larger.
const UNEXPECTED_BYTES_MAX: u64 = 1 << 20;

/// Limits on the requests of one caller that are in flight at the same time.
#[derive(Debug, Clone, Copy)]
pub struct Concurrency {
    /// Maximum number of reads in flight, including those that are finished but not taken. With 1, a read is
    /// begun when its result is asked for.
    pub reads_max: usize,
    /// Maximum size of these reads in bytes. A single read may be larger.
    pub bytes_max: u64,
    /// Maximum number of parts in flight of a file that is written. With 1, each part is waited for.
    pub parts_max: usize,
}

/// Read of a file or a range of it.
#[derive(Debug, Clone)]
pub struct ReadRequest {
    /// File to read.
    pub place: Place,
    /// Range of bytes to read; the whole file if `None`.
    pub range: Option<Range<u64>>,
    /// Size of the file as far as it is known, in bytes. A file that turns out to be larger than this and
    /// than 1 MiB is not read ahead, but alone when its turn comes. Not used for a range.
    pub expected_bytes: u64,
    /// Maximum size of the file in bytes. Not used for a range.
    pub limit_bytes: usize,
}

/// Iterator over the results of reads, in the order of the requests. Each request is an item of `requests`,
/// or the error that takes its place in the results. When it is dropped, the reads in flight continue to
/// their end, and their results are discarded: a store of local files counts a read that is cancelled as one
/// that the file system does not answer.
pub struct ReadAhead<I: Iterator> {
    store: Arc<dyn Store>,
    runtime: Handle,
    concurrency: Concurrency,
    requests: I,
    /// Next request, which does not fit into the limits yet.
    next: Option<I::Item>,
    started: VecDeque<Started>,
    started_bytes: u64,
    is_ended: bool,
}

/// Read in flight.
struct Started {
    request: ReadRequest,
    task: JoinHandle<Result<Bytes, StorageError>>,
}

impl Concurrency {
    /// One request at a time, on the thread of the caller.
    pub const SEQUENTIAL: Concurrency = Concurrency { reads_max: 1, bytes_max: 0, parts_max: 1 };
}

impl Default for Concurrency {
    fn default() -> Self {
        Concurrency { reads_max: 32, bytes_max: 32 << 20, parts_max: 4 }
    }
}

impl ReadRequest {
    fn size_bytes(&self) -> u64 {
        match &self.range {
            Some(range) => range.end.saturating_sub(range.start),
            None => self.expected_bytes,
        }
    }

    /// Returns the same request with the limit of a file that is read ahead.
    fn ahead(&self) -> ReadRequest {
        let bytes_max = usize::try_from(self.expected_bytes.max(UNEXPECTED_BYTES_MAX)).unwrap_or(usize::MAX);
        ReadRequest { limit_bytes: self.limit_bytes.min(bytes_max), ..self.clone() }
    }

    async fn send(self, store: Arc<dyn Store>) -> Result<Bytes, StorageError> {
        match self.range {
            Some(range) => store.read_range(&self.place, range).await,
            None => store.read(&self.place, self.limit_bytes).await,
        }
    }
}

impl<E, I: Iterator<Item = Result<ReadRequest, E>>> ReadAhead<I> {
    /// Creates the iterator. No read is begun before [`ReadAhead::start`] or the first call of `next`.
    pub fn new(store: Arc<dyn Store>, runtime: Handle, concurrency: Concurrency, requests: I) -> Self {
        let (next, started, started_bytes, is_ended) = (None, VecDeque::new(), 0, false);
        ReadAhead { store, runtime, concurrency, requests, next, started, started_bytes, is_ended }
    }

    /// Begins as many reads as the limits permit.
    pub fn start(&mut self) {
        while self.concurrency.reads_max > 1 && self.started.len() < self.concurrency.reads_max {
            match self.next.take().or_else(|| self.advance()) {
                Some(Ok(request)) if self.started.is_empty() || self.fits(&request) => self.begin(request),
                // The request does not fit yet, or an error has to wait for the results before it.
                other => {
                    self.next = other;
                    return;
                }
            }
        }
    }

    fn advance(&mut self) -> Option<I::Item> {
        if self.is_ended {
            return None;
        }
        let next = self.requests.next();
        self.is_ended = next.is_none();
        next
    }

    fn fits(&self, request: &ReadRequest) -> bool {
        self.started_bytes.saturating_add(request.size_bytes()) <= self.concurrency.bytes_max
    }

    fn begin(&mut self, request: ReadRequest) {
        self.started_bytes += request.size_bytes();
        let task = self.runtime.spawn(request.ahead().send(self.store.clone()));
        self.started.push_back(Started { request, task });
    }

    /// Waits for a read. A file that is larger than expected is read again, with the limit of its request.
    fn finish(&self, Started { request, task }: Started) -> Result<Bytes, StorageError> {
        let location = request.place.as_str();
        let read = self.runtime.block_on(task);
        match read.unwrap_or_else(|error| Err(StorageError::unfinished("read", location, error))) {
            Err(StorageError::TooLarge { limit_bytes, .. }) if limit_bytes < request.limit_bytes => {
                self.runtime.block_on(request.send(self.store.clone()))
            }
            read => read,
        }
    }
}

impl<E, I: Iterator<Item = Result<ReadRequest, E>>> Iterator for ReadAhead<I> {
    /// Bytes of the request, or the error of reading them; or the error in place of the request.
    type Item = Result<Result<Bytes, StorageError>, E>;

    fn next(&mut self) -> Option<Self::Item> {
        self.start();
        let Some(started) = self.started.pop_front() else {
            let request = self.next.take().or_else(|| self.advance())?;
            return Some(request.map(|request| self.runtime.block_on(request.send(self.store.clone()))));
        };
        let bytes = started.request.size_bytes();
        let read = self.finish(started);
        self.started_bytes -= bytes;
        // The next reads are in flight while the caller works on this one.
        self.start();
        Some(Ok(read))
    }
}

/// Joins neighbouring ranges, so that each result can be read with one request. The result is in ascending order
/// and contains all ranges.
pub fn coalesce(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted: Vec<_> = ranges.iter().filter(|range| range.start < range.end).cloned().collect();
    sorted.sort_by_key(|range| (range.start, range.end));
    let mut joined: Vec<Range<u64>> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match joined.last_mut() {
            Some(last) if range.end <= last.end => {}
            Some(last)
                if range.start < last.end
                    || (range.start - last.end <= GAP_BYTES_MAX
                        && range.end - last.start <= COALESCED_BYTES_MAX) =>
            {
                last.end = range.end;
            }
            _ => joined.push(range),
        }
    }
    joined
}
