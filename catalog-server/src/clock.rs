//! The time, for whoever needs it. It is the one caller of the system's clock; everything else is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// Where the current time comes from: the system, or a test that sets it.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `now_ms` until [`Clock::set`] moves it.
    pub fn fixed(now_ms: i64) -> Self {
        Self(Source::Fixed(Arc::new(AtomicI64::new(now_ms))))
    }

    /// Moves a fixed clock; does nothing to the system's.
    pub fn set(&self, now_ms: i64) {
        if let Source::Fixed(time) = &self.0 {
            time.store(now_ms, Ordering::SeqCst);
        }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[expect(clippy::disallowed_methods, reason = "the one caller of the system's clock")]
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Source::System => jiff::Timestamp::now().as_millisecond(),
            Source::Fixed(time) => time.load(Ordering::SeqCst),
        }
    }
}

/// Measures how long something took; never used to decide anything.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    #[expect(clippy::disallowed_methods, reason = "the one caller of the monotonic clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
