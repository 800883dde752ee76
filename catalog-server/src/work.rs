//! Work in proportion to what clients send: away from the threads that answer requests, on as many threads as there are
//! processors, and with a bound on how much of it waits.
//!
//! Not for files, which wait for disks rather than for processors.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Work on so many bytes is done where it comes up: going to another thread and back costs as much as reading them.
pub const INLINE_BYTES_MAX: usize = 64 << 10;

/// What permits are counted in. A semaphore has room for 32 bits of them in one request.
const UNIT_BYTES: usize = 1 << 10;

/// Turns at the processors. Cloning shares them.
#[derive(Clone)]
pub struct Turns(Arc<Semaphore>);

impl Turns {
    /// As many turns as there are processors.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get))))
    }

    /// Does `work` that reads about so many bytes: at once if these are few, else on another thread when it has a turn.
    ///
    /// A caller that goes away gives its place up, but not work that has begun. Panics if the work does.
    pub async fn run<T: Send + 'static>(&self, bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
        if bytes <= INLINE_BYTES_MAX {
            return work();
        }
        // Nobody closes the semaphore.
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
                // The runtime is shutting down, and whoever waits with it.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self::new()
    }
}

/// Memory that is shared out among requests. Cloning shares it.
#[derive(Clone)]
pub struct Allowance {
    units: Arc<Semaphore>,
    units_max: usize,
}

/// A part of an [`Allowance`], given back when it is dropped.
pub struct Share(Option<OwnedSemaphorePermit>);

impl Allowance {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        let units_max = (bytes / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(units_max)), units_max }
    }

    /// A part, when there is room for it. What is more than everything gets all of it, alone.
    pub async fn take(&self, bytes: usize) -> Share {
        if bytes == 0 {
            return Share::none();
        }
        // Nobody closes the semaphore.
        Share(self.units.clone().acquire_many_owned(self.units_of(bytes)).await.ok())
    }

    /// A part; `None` if there is no room for it now.
    pub fn try_take(&self, bytes: usize) -> Option<Share> {
        let permit = self.units.clone().try_acquire_many_owned(self.units_of(bytes)).ok()?;
        Some(Share(Some(permit)))
    }

    fn units_of(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT_BYTES).min(self.units_max)).unwrap_or(u32::MAX)
    }
}

impl Share {
    /// A part of nothing, to begin with.
    pub fn none() -> Self {
        Self(None)
    }

    /// Adds another part of the same allowance.
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
        let turns = Turns::new();
        let here = std::thread::current().id();
        let whose = || std::thread::current().id();
        assert_eq!(turns.run(INLINE_BYTES_MAX, whose).await, here);
        assert_ne!(turns.run(INLINE_BYTES_MAX + 1, whose).await, here);
    }

    #[tokio::test]
    async fn no_more_is_done_at_once_than_there_are_processors() {
        let turns = Turns::new();
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
