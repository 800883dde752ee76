//! Counts and a rate limit of the requests to a store.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Mutex;

use crate::error::StorageError;
use crate::file::{FileState, Listed};
use crate::place::Place;
use crate::store::{PartWritten, Store, Upload};

/// Number of requests to a store, and amount of transferred data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of requests: files and ranges read, files created, deleted, listed, or queried for their state.
    pub requests: u64,
    /// Number of bytes read.
    pub bytes_read: u64,
    /// Number of bytes written.
    pub bytes_written: u64,
}

/// Rate limit, with requests at regular intervals. Clones share it.
#[derive(Clone)]
pub struct Pace {
    now_ms: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Interval between two requests in microseconds.
    interval_us: i64,
    /// Time of the next request in microseconds. The request whose turn it is holds the lock while it waits,
    /// and the others queue for the lock, in the order in which they came.
    next_us: Arc<Mutex<i64>>,
}

/// Store whose requests are counted, and limited in rate. Clones share the counts.
#[derive(Debug, Clone)]
pub struct Metered {
    store: Arc<dyn Store>,
    counts: Arc<Counts>,
    pace: Option<Pace>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
}

struct MeteredUpload {
    upload: Box<dyn Upload>,
    counts: Arc<Counts>,
}

impl Metered {
    /// Creates a store with all counts at 0.
    pub fn new(store: Arc<dyn Store>, pace: Option<Pace>) -> Metered {
        Metered { store, counts: Arc::default(), pace }
    }

    /// Returns the same store, with the same rate limit, and with all counts at 0.
    #[must_use]
    pub fn with_new_counts(&self) -> Metered {
        Metered::new(self.store.clone(), self.pace.clone())
    }

    /// Returns the requests made so far.
    pub fn usage(&self) -> Usage {
        Usage {
            requests: self.counts.requests.load(Ordering::Relaxed),
            bytes_read: self.counts.bytes_read.load(Ordering::Relaxed),
            bytes_written: self.counts.bytes_written.load(Ordering::Relaxed),
        }
    }

    /// Counts a request, and waits until the rate limit permits it.
    async fn request(&self) {
        self.counts.requests.fetch_add(1, Ordering::Relaxed);
        if let Some(pace) = &self.pace {
            pace.wait().await;
        }
    }

    fn read(&self, read: Result<Bytes, StorageError>) -> Result<Bytes, StorageError> {
        let bytes = read?;
        self.counts.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}

impl Pace {
    /// Creates a limit of so many requests per second, at least one. `now_ms` returns the current time in
    /// milliseconds.
    pub fn new(requests_per_second: u32, now_ms: Arc<dyn Fn() -> i64 + Send + Sync>) -> Pace {
        let interval_us = 1_000_000 / i64::from(requests_per_second.max(1));
        Pace { now_ms, interval_us, next_us: Arc::default() }
    }

    async fn wait(&self) {
        let mut next_us = self.next_us.lock().await;
        let now_us = (self.now_ms)().saturating_mul(1_000);
        // A turn that is more than one interval away is from before the clock was set back.
        let latest_us = now_us.saturating_add(self.interval_us);
        let turn_us = (*next_us).clamp(now_us.saturating_sub(LATE_US), latest_us);
        if let Ok(wait_us @ 1..) = u64::try_from(turn_us.saturating_sub(now_us)) {
            tokio::time::sleep(Duration::from_micros(wait_us)).await;
        }
        *next_us = turn_us.saturating_add(self.interval_us);
    }
}

/// Maximum time in microseconds by which the intervals after a late request are shorter. Without it, each
/// timer that fires late, by a millisecond or two, would lower the rate.
const LATE_US: i64 = 5_000;

impl std::fmt::Debug for Pace {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pace").field("interval_us", &self.interval_us).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for Metered {
    async fn read(&self, place: &Place, limit_bytes: usize) -> Result<Bytes, StorageError> {
        self.request().await;
        self.read(self.store.read(place, limit_bytes).await)
    }

    async fn read_range(&self, place: &Place, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.request().await;
        self.read(self.store.read_range(place, range).await)
    }

    async fn write_new(&self, place: &Place, content: Bytes) -> Result<(), StorageError> {
        self.request().await;
        let size_bytes = content.len() as u64;
        self.store.write_new(place, content).await?;
        self.counts.bytes_written.fetch_add(size_bytes, Ordering::Relaxed);
        Ok(())
    }

    async fn create(&self, place: &Place) -> Result<Box<dyn Upload>, StorageError> {
        self.request().await;
        let upload = self.store.create(place).await?;
        Ok(Box::new(MeteredUpload { upload, counts: self.counts.clone() }))
    }

    fn part_bytes(&self, place: &Place) -> usize {
        self.store.part_bytes(place)
    }

    async fn state(&self, place: &Place) -> Result<FileState, StorageError> {
        self.request().await;
        self.store.state(place).await
    }

    fn state_in_memory(&self, place: &Place) -> FileState {
        self.store.state_in_memory(place)
    }

    async fn delete(&self, place: &Place) -> Result<(), StorageError> {
        self.request().await;
        self.store.delete(place).await
    }

    async fn delete_below(&self, place: &Place, files_max: usize) -> Result<usize, StorageError> {
        self.request().await;
        self.store.delete_below(place, files_max).await
    }

    async fn list(&self, place: &Place, files_max: usize) -> Result<Vec<Listed>, StorageError> {
        self.request().await;
        self.store.list(place, files_max).await
    }

    async fn create_folder(&self, place: &Place) -> Result<(), StorageError> {
        self.request().await;
        self.store.create_folder(place).await
    }

    async fn prepare_root(&self, place: &Place) -> Result<(), StorageError> {
        self.request().await;
        self.store.prepare_root(place).await
    }

    async fn find_below(
        &self,
        place: &Place,
        suffix: &str,
        entries_max: usize,
    ) -> Result<bool, StorageError> {
        self.request().await;
        self.store.find_below(place, suffix, entries_max).await
    }
}

#[async_trait]
impl Upload for MeteredUpload {
    fn write_part(&mut self, part: Bytes) -> PartWritten {
        let (counts, size_bytes) = (self.counts.clone(), part.len() as u64);
        let written = self.upload.write_part(part);
        Box::pin(async move {
            written.await?;
            counts.bytes_written.fetch_add(size_bytes, Ordering::Relaxed);
            Ok(())
        })
    }

    async fn finish(&mut self) -> Result<(), StorageError> {
        self.upload.finish().await
    }

    async fn abort(&mut self) {
        self.upload.abort().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use tokio::time::Instant;

    use super::*;

    const INTERVAL: Duration = Duration::from_millis(20);

    /// Returns a limit of one request per [`INTERVAL`], and its clock.
    fn pace(start_ms: i64) -> (Pace, Arc<AtomicI64>) {
        let clock = Arc::new(AtomicI64::new(start_ms));
        let read = clock.clone();
        (Pace::new(50, Arc::new(move || read.load(Ordering::Relaxed))), clock)
    }

    /// Returns the time that this number of requests takes, all of which are made at the same time.
    async fn time_of(pace: &Pace, requests: usize) -> Duration {
        let begun = Instant::now();
        futures::future::join_all((0..requests).map(|_| pace.wait())).await;
        begun.elapsed()
    }

    #[tokio::test]
    async fn requests_keep_their_distance_also_after_the_clock_was_set_back() {
        let hour_ms = 3_600_000;
        let (pace, clock) = pace(10 * hour_ms);
        // The first request does not wait, and the second one for the rest of an interval.
        assert!(time_of(&pace, 1).await < INTERVAL * 50);
        for now_ms in [10 * hour_ms, 9 * hour_ms, 0, 20 * hour_ms] {
            clock.store(now_ms, Ordering::Relaxed);
            time_of(&pace, 1).await;
            // The clock stands still, so that each request takes place in the interval after the last one.
            let took = time_of(&pace, 5).await;
            assert!(took >= INTERVAL * 4 && took < INTERVAL * 100, "{now_ms}: {took:?}");
        }
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_does_not_delay_the_others() {
        let (pace, _clock) = pace(0);
        pace.wait().await;
        let given_up = (0..1_000).map(|_| tokio::time::timeout(Duration::ZERO, pace.wait()));
        assert!(futures::future::join_all(given_up).await.iter().filter(|end| end.is_ok()).count() < 3);
        assert!(time_of(&pace, 2).await < INTERVAL * 100);
    }
}
