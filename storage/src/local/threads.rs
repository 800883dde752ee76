//! Threads that wait for file systems, so that callers wait no longer than a deadline.
//!
//! A file system may never answer, for example on a dead network mount or a defective device. An operation
//! that exceeds its deadline is abandoned: its caller gets an error, while its thread continues to wait for
//! the file system. The number of threads is bounded. They end with the process, which does not wait for
//! them.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::StorageError;

/// Time after which a thread without work ends.
const IDLE: Duration = Duration::from_secs(10);

/// Bounded pool of threads. Clones share the threads.
///
/// ```text
/// let threads = Threads::new(64, Duration::from_secs(120));
/// let place = scope.read("file:///srv/warehouse/t/1.parquet")?;
/// let (local_files, of_work) = (LocalFiles::default(), place.clone());
/// let about = About { action: "read", location: place.as_str() };
/// let bytes = threads.run(about, move || local_files.read(&of_work, limit_bytes)).await?;
/// ```
#[derive(Debug, Clone)]
pub struct Threads {
    shared: Arc<Shared>,
}

/// Description of an operation, for the error message if it is abandoned.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Verb for the operation, such as `read`.
    pub action: &'static str,
    /// Location of the file.
    pub location: &'a str,
}

#[derive(Debug)]
struct Shared {
    threads_max: usize,
    deadline: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Work>,
    threads: usize,
    /// Threads without work. The one that had work last gets the next, so that few threads do most of the work: an
    /// allocator keeps memory for each thread that allocated the result of a read.
    idle: Vec<Arc<Condvar>>,
    /// Number of operations that were abandoned by their callers but have not returned.
    given_up: usize,
}

type Work = Box<dyn FnOnce() + Send>;

/// State of an operation: running or queued, finished, or abandoned by its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Going,
    Ended,
    GivenUp,
}

impl Threads {
    /// Creates a pool of at most `threads_max` threads, at least one. An operation is abandoned after
    /// `deadline`.
    pub fn new(threads_max: usize, deadline: Duration) -> Threads {
        let shared = Shared { threads_max: threads_max.max(1), deadline, state: Mutex::default() };
        Threads { shared: Arc::new(shared) }
    }

    /// Runs an operation on one of the threads, and waits for it without blocking the current thread. The
    /// operation is also abandoned if the future is dropped. It counts as unanswered then, so that a caller
    /// who does not need the result any more should rather let the future come to its end on a task of its
    /// own.
    ///
    /// # Errors
    ///
    /// Fails with [`StorageError::TimedOut`] if the operation exceeds the deadline, with
    /// [`StorageError::Busy`] if as many operations as there may be threads were abandoned and have not
    /// returned, and with [`StorageError::Io`] if no thread can be started or if the operation panics.
    /// Otherwise fails with the error of the operation.
    pub async fn run<T: Send + 'static>(
        &self,
        about: About<'_>,
        work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let pending = self.submit(about, move || drop(sender.send(work())))?;
        match tokio::time::timeout(self.shared.deadline, receiver).await {
            Ok(answer) => {
                pending.end();
                answer.unwrap_or_else(|_| Err(panicked(about)))
            }
            Err(_) => Err(self.timed_out(about)),
        }
    }

    fn submit(
        &self,
        about: About<'_>,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<Pending, StorageError> {
        let mut state = self.shared.lock();
        if state.given_up >= self.shared.threads_max {
            let (action, location) = (about.action, about.location.to_owned());
            return Err(StorageError::Busy { action, location, count: state.given_up });
        }
        let pending = Pending { fate: Arc::new(Mutex::new(Fate::Going)), shared: self.shared.clone() };
        let (shared, fate) = (self.shared.clone(), pending.fate.clone());
        let work = Box::new(move || {
            // An operation whose caller does not wait any more is not started.
            let is_wanted = *lock(&fate) == Fate::Going;
            if is_wanted {
                // A panic drops the sender of the result, by which the waiting caller notices it.
                drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)));
            }
            let before = std::mem::replace(&mut *lock(&fate), Fate::Ended);
            if before == Fate::GivenUp {
                shared.lock().given_up -= 1;
            }
        });
        state.queue.push_back(work);
        if let Some(idle) = state.idle.pop() {
            drop(state);
            idle.notify_one();
            return Ok(pending);
        }
        if state.threads >= self.shared.threads_max {
            return Ok(pending);
        }
        state.threads += 1;
        drop(state);
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new().name("firn-files".to_owned()).spawn(move || shared.serve());
        if let Err(error) = thread {
            let mut state = self.shared.lock();
            state.threads -= 1;
            // Other threads do the work, if there are any. Otherwise the operation fails here; dropping
            // `pending` marks it as abandoned, so that the next thread skips it.
            if state.threads == 0 {
                return Err(StorageError::io(about.action, about.location, error));
            }
        }
        Ok(pending)
    }

    fn timed_out(&self, about: About<'_>) -> StorageError {
        let seconds = self.shared.deadline.as_secs();
        StorageError::TimedOut { action: about.action, location: about.location.to_owned(), seconds }
    }
}

/// Caller's side of an operation. Dropping it before the end abandons the operation.
struct Pending {
    fate: Arc<Mutex<Fate>>,
    shared: Arc<Shared>,
}

impl Pending {
    /// Marks the operation as finished. Its result has arrived, so that it must not count as abandoned, even
    /// if its thread has not noted the end yet.
    fn end(&self) {
        *lock(&self.fate) = Fate::Ended;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut fate = lock(&self.fate);
        if *fate == Fate::Going {
            *fate = Fate::GivenUp;
            self.shared.lock().given_up += 1;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Runs operations until there has been no work for [`IDLE`].
    fn serve(&self) {
        let work = Arc::new(Condvar::new());
        let mut state = self.lock();
        loop {
            if let Some(operation) = state.queue.pop_front() {
                drop(state);
                operation();
                state = self.lock();
                continue;
            }
            state.idle.push(work.clone());
            let waited = work.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
            // The thread is not in the list any more if it was chosen for an operation.
            state.idle.retain(|idle| !Arc::ptr_eq(idle, &work));
            if waited.1.timed_out() && state.queue.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("State")
            .field("queue", &self.queue.len())
            .field("threads", &self.threads)
            .field("given_up", &self.given_up)
            .finish_non_exhaustive()
    }
}

fn panicked(about: About<'_>) -> StorageError {
    StorageError::io(about.action, about.location, std::io::Error::other("the operation failed unexpectedly"))
}

/// Locks a mutex. Its value is in a valid state even if a thread panicked while it had the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const ABOUT: About<'_> = About { action: "read", location: "x" };

    #[tokio::test]
    async fn what_hangs_is_given_up_and_takes_no_more_threads_than_allowed() {
        let threads = Threads::new(2, Duration::from_millis(50));
        let (release, hang) = mpsc::channel::<()>();
        let hang = Arc::new(Mutex::new(hang));
        let hanging = || {
            let hang = hang.clone();
            move || {
                assert!(lock(&hang).recv().is_err());
                Ok(())
            }
        };
        for _ in 0..2 {
            let given_up = threads.run(ABOUT, hanging()).await;
            assert!(matches!(given_up, Err(StorageError::TimedOut { .. })));
        }
        assert!(matches!(threads.run(ABOUT, || Ok(1)).await, Err(StorageError::Busy { count: 2, .. })));
        // Another pool, for another file system, is not affected.
        assert_eq!(Threads::new(1, Duration::from_secs(60)).run(ABOUT, || Ok(1)).await.unwrap(), 1);
        drop(release);
        let mut attempts = 0;
        while threads.run(ABOUT, || Ok(1)).await.is_err() {
            attempts += 1;
            assert!(attempts < 1_000_000, "threads that hung do not work again");
            std::thread::yield_now();
        }
        let state = threads.shared.lock();
        assert!(state.threads <= 2, "{state:?}");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_its_operation_alone() {
        let threads = Threads::new(1, Duration::from_secs(60));
        let panicking = || -> Result<(), StorageError> { std::panic::panic_any("expected") };
        assert!(matches!(threads.run(ABOUT, panicking).await, Err(StorageError::Io { .. })));
        assert_eq!(threads.run(ABOUT, || Ok(1)).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn many_at_once_all_get_their_turn() {
        let threads = Threads::new(3, Duration::from_secs(60));
        let all = (0..100).map(|number| {
            let threads = threads.clone();
            tokio::spawn(async move { threads.run(ABOUT, move || Ok(number)).await.unwrap() })
        });
        let mut sum = 0;
        for one in all.collect::<Vec<_>>() {
            sum += one.await.unwrap();
        }
        assert_eq!(sum, (0..100).sum::<i32>());
        assert_eq!(threads.shared.lock().given_up, 0);
    }
}
