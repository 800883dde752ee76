//! Scheduling of CPU-bound work whose cost depends on what clients send: it runs off the threads that answer
//! requests, on at most as many threads as there are processors, and with bounded memory for the requests
//! that wait.
//!
//! It is not meant for file access, which waits for disks rather than for processors.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Maximum input size, in bytes, of work that is done on the calling thread: up to this size, moving the work
/// to another thread costs as much as doing it.
pub const INLINE_BYTES_MAX: usize = 64 << 10;

/// Unit of the permits of an [`Allowance`], in bytes. A single request for permits of a semaphore is limited
/// to 32 bits, so that permits cannot be counted in bytes.
const UNIT_BYTES: usize = 1 << 10;

/// Limit on the number of CPU-bound tasks that run at the same time. Clones share the limit.
#[derive(Clone)]
pub struct CpuSlots(Arc<Semaphore>);

impl CpuSlots {
    /// Creates a limit of one task per available processor.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get))))
    }

    /// Runs `work`, which processes about `bytes` bytes: on the calling thread up to [`INLINE_BYTES_MAX`],
    /// otherwise on a blocking thread as soon as one of the turns is free.
    ///
    /// If the returned future is dropped, a task that still waits is cancelled, but one that has begun runs
    /// to its end.
    ///
    /// # Panics
    ///
    /// Panics if `work` panics.
    pub async fn run<T: Send + 'static>(&self, bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
        if bytes <= INLINE_BYTES_MAX {
            return work();
        }
        // The semaphore is never closed.
        let turn = self.0.clone().acquire_owned().await.ok();
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        match done.await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime is shutting down, and the calling task with it.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

impl Default for CpuSlots {
    fn default() -> Self {
        Self::new()
    }
}

/// Memory budget shared by all requests, as back-pressure on large ones. Clones share the budget.
#[derive(Clone)]
pub struct Allowance {
    units: Arc<Semaphore>,
    units_max: usize,
}

/// Part of an [`Allowance`], released when it is dropped.
pub struct Share(Option<OwnedSemaphorePermit>);

impl Allowance {
    /// Creates a budget of `bytes` bytes, rounded down to whole KiB, at least one.
    pub fn new(bytes: usize) -> Self {
        let units_max = (bytes / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(units_max)), units_max }
    }

    /// Takes a share of `bytes` bytes, waiting until that much is free. A request larger than the whole
    /// budget takes all of it, and so is processed alone.
    pub async fn take(&self, bytes: usize) -> Share {
        if bytes == 0 {
            return Share::none();
        }
        // The semaphore is never closed.
        Share(self.units.clone().acquire_many_owned(self.units_of(bytes)).await.ok())
    }

    /// Takes a share of `bytes` bytes; returns `None` if that much is not free at the moment.
    pub fn try_take(&self, bytes: usize) -> Option<Share> {
        let permit = self.units.clone().try_acquire_many_owned(self.units_of(bytes)).ok()?;
        Some(Share(Some(permit)))
    }

    fn units_of(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT_BYTES).min(self.units_max)).unwrap_or(u32::MAX)
    }
}

impl Share {
    /// Returns an empty share, to which others can be added.
    pub fn none() -> Self {
        Self(None)
    }

    /// Adds another share of the same allowance to this one.
    pub fn add(&mut self, other: Share) {
        match (&mut self.0, other.0) {
            (Some(permit), Some(more)) => permit.merge(more),
            (own, more) => *own = more.or(own.take()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_shared_out_comes_back() {
        let allowance = Allowance::new(10 << 10);
        let mut share = allowance.take(4 << 10).await;
        share.add(allowance.try_take(6 << 10).unwrap());
        assert!(allowance.try_take(1).is_none());
        drop(share);
        let all = allowance.take(1 << 30).await;
        assert!(allowance.try_take(1).is_none());
        drop(all);
        assert!(allowance.try_take(10 << 10).is_some());
    }

    #[tokio::test]
    async fn large_work_leaves_the_thread_and_small_work_does_not() {
        let turns = CpuSlots::new();
        let here = std::thread::current().id();
        let whose = || std::thread::current().id();
        assert_eq!(turns.run(INLINE_BYTES_MAX, whose).await, here);
        assert_ne!(turns.run(INLINE_BYTES_MAX + 1, whose).await, here);
    }

    #[tokio::test]
    async fn no_more_is_done_at_once_than_there_are_processors() {
        let turns = CpuSlots::new();
        let running = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let works = (0..50).map(|_| {
            let running = running.clone();
            turns.run(usize::MAX, move || {
                let now = running.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
                std::thread::yield_now();
                running.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                now
            })
        });
        let most = futures::future::join_all(works).await.into_iter().max();
        assert!(most <= std::thread::available_parallelism().ok().map(NonZero::get), "{most:?} at once");
    }
}
