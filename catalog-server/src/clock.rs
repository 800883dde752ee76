//! Clock of the process. It is the only caller of the system's clock; all other code receives the time from
//! it, so that tests can set it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// Source of the current time: the system's clock, or a fixed one set by a test. Clones of a fixed clock
/// share its time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// Returns the system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Returns a clock that shows `now_ms` until [`Clock::set`] changes it.
    pub fn fixed(now_ms: i64) -> Self {
        Self(Source::Fixed(Arc::new(AtomicI64::new(now_ms))))
    }

    /// Sets the time of a fixed clock; does nothing for the system's clock.
    pub fn set(&self, now_ms: i64) {
        if let Source::Fixed(time) = &self.0 {
            time.store(now_ms, Ordering::SeqCst);
        }
    }

    /// Returns the current time in milliseconds since 1970-01-01T00:00:00Z.
    #[expect(clippy::disallowed_methods, reason = "the one caller of the system's clock")]
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Source::System => jiff::Timestamp::now().as_millisecond(),
            Source::Fixed(time) => time.load(Ordering::SeqCst),
        }
    }
}

/// Measurement of an elapsed time, for logs and metrics only: no decision depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts the measurement.
    #[expect(clippy::disallowed_methods, reason = "the one caller of the monotonic clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
