//! Activity of a connection, as far as its deadlines depend on it: bytes transferred, and requests in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::config::Limits;

/// Minimum number of bytes that a client has to read of its response within [`Deadlines::stall`] to count as
/// reading. A modem of 1995 was faster.
const PROGRESS_BYTES_MIN: u64 = 16 << 10;
/// Number of checks of the deadlines while the shortest one passes.
const CHECKS: u32 = 4;

/// Maximum durations of inactivity of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    /// Time until the head of a request is complete: for the first request since the connection was accepted,
    /// for later ones since their first byte.
    pub(super) head: Duration,
    /// Time between two requests.
    pub(super) idle: Duration,
    /// Time in which the client reads too little of data that is ready to be sent.
    pub(super) stall: Duration,
}

/// Deadline that has passed, for which a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// No request, or only a part of its head, was received in time.
    Head,
    /// No further request was received in time.
    Idle,
    /// The client does not read its response.
    Stalled,
}

/// Activity of a connection. It is recorded by the parts of the connection and watched by [`ConnectionActivity::watch`].
#[derive(Debug, Default)]
pub(super) struct ConnectionActivity {
    running: AtomicUsize,
    requests: AtomicU64,
    written: AtomicU64,
    is_head_begun: AtomicBool,
    is_blocked: AtomicBool,
}

/// Marker of a request in flight, until it is dropped.
pub(super) struct InFlight(Arc<ConnectionActivity>);

/// Duration of each kind of inactivity so far, in multiples of the interval between two checks.
#[derive(Default)]
struct Silence {
    requests: u64,
    written: u64,
    idle: Duration,
    head: Duration,
    stall: Duration,
    written_at_stall: u64,
}

impl Deadlines {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            head: Duration::from_millis(limits.header_ms),
            idle: Duration::from_millis(limits.idle_ms),
            stall: Duration::from_millis(limits.stall_ms),
        }
    }

    fn interval(&self) -> Duration {
        (self.head.min(self.idle).min(self.stall) / CHECKS).max(Duration::from_millis(1))
    }
}

impl ConnectionActivity {
    /// Records that the head of a request is complete.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.is_head_begun.store(false, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Returns `true` if a request is in flight.
    pub(super) fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed) > 0
    }

    /// Records bytes received. Between two requests they belong to the next one.
    pub(super) fn read(&self, bytes: usize) {
        if bytes > 0 && !self.is_running() {
            self.is_head_begun.store(true, Ordering::Relaxed);
        }
    }

    /// Records bytes accepted by the socket for sending.
    pub(super) fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
        self.is_blocked.store(false, Ordering::Relaxed);
    }

    /// Records that there is data to send, but the socket accepts none.
    pub(super) fn blocked(&self) {
        self.is_blocked.store(true, Ordering::Relaxed);
    }

    /// Resolves when a deadline has passed.
    ///
    /// `counts_heads` is for protocols in which all bytes between two requests belong to the next one
    /// (HTTP/1, but not HTTP/2).
    pub(super) async fn watch(&self, deadlines: Deadlines, counts_heads: bool) -> Overdue {
        let interval = deadlines.interval();
        let mut silence = Silence::default();
        loop {
            tokio::time::sleep(interval).await;
            if let Some(overdue) = self.find_overdue(&mut silence, interval, deadlines, counts_heads) {
                return overdue;
            }
        }
    }

    fn find_overdue(
        &self,
        silence: &mut Silence,
        interval: Duration,
        deadlines: Deadlines,
        counts_heads: bool,
    ) -> Option<Overdue> {
        let requests = self.requests.load(Ordering::Relaxed);
        let written = self.written.load(Ordering::Relaxed);
        let is_running = self.is_running();
        let has_moved = written - silence.written >= PROGRESS_BYTES_MIN;
        let is_new = requests != silence.requests;
        (silence.requests, silence.written) = (requests, written);
        silence.idle =
            if is_running || is_new || has_moved { Duration::ZERO } else { silence.idle + interval };
        let is_head = counts_heads && !is_running && !is_new && self.is_head_begun.load(Ordering::Relaxed);
        silence.head = if is_head { silence.head + interval } else { Duration::ZERO };
        if !self.is_blocked.load(Ordering::Relaxed)
            || written - silence.written_at_stall >= PROGRESS_BYTES_MIN
        {
            silence.stall = Duration::ZERO;
            silence.written_at_stall = written;
        } else {
            silence.stall += interval;
        }
        if silence.stall >= deadlines.stall {
            Some(Overdue::Stalled)
        } else if silence.head >= deadlines.head || (requests == 0 && silence.idle >= deadlines.head) {
            Some(Overdue::Head)
        } else if silence.idle >= deadlines.idle {
            Some(Overdue::Idle)
        } else {
            None
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINES: Deadlines = Deadlines {
        head: Duration::from_millis(40),
        idle: Duration::from_millis(80),
        stall: Duration::from_millis(60),
    };

    /// Returns the number of the check (every 10 ms) that finds a deadline passed, if `act` runs before each
    /// check.
    fn check(act: impl Fn(&Arc<ConnectionActivity>, u32), counts_heads: bool) -> (u32, Option<Overdue>) {
        let (activity, mut silence) = (Arc::new(ConnectionActivity::default()), Silence::default());
        for interval in 1..=40 {
            act(&activity, interval);
            let overdue =
                activity.find_overdue(&mut silence, Duration::from_millis(10), DEADLINES, counts_heads);
            if overdue.is_some() {
                return (interval, overdue);
            }
        }
        (0, None)
    }

    #[test]
    fn silence_before_a_request_is_shorter_than_after_one() {
        assert_eq!(check(|_, _| {}, true), (4, Some(Overdue::Head)));
        assert_eq!(check(|activity, _| activity.read(1), true), (4, Some(Overdue::Head)));
        assert_eq!(check(|activity, _| activity.read(1), false), (4, Some(Overdue::Head)));
        let one = |activity: &Arc<ConnectionActivity>, interval| {
            if interval == 1 {
                drop(activity.begin());
            }
        };
        assert_eq!(check(one, true), (9, Some(Overdue::Idle)));
        let begun = |activity: &Arc<ConnectionActivity>, interval| {
            one(activity, interval);
            activity.read(usize::from(interval == 3));
        };
        assert_eq!(check(begun, true), (6, Some(Overdue::Head)));
        assert_eq!(check(begun, false), (9, Some(Overdue::Idle)));
    }

    #[test]
    fn requests_under_way_and_answers_under_way_are_no_silence() {
        assert_eq!(check(|activity, _| drop(activity.begin()), true), (0, None));
        let long = |activity: &Arc<ConnectionActivity>, interval| {
            if interval == 1 {
                std::mem::forget(activity.begin());
            }
        };
        assert_eq!(check(long, true), (0, None));
        let slow = |activity: &Arc<ConnectionActivity>, interval| {
            if interval == 1 {
                drop(activity.begin());
            }
            activity.wrote(16 << 10);
            activity.blocked();
        };
        assert_eq!(check(slow, true), (0, None));
    }

    #[test]
    fn a_client_that_reads_next_to_nothing_does_not_read() {
        let trickle = |activity: &Arc<ConnectionActivity>, interval| {
            if interval == 1 {
                std::mem::forget(activity.begin());
            }
            activity.wrote(100);
            activity.blocked();
        };
        assert_eq!(check(trickle, true), (6, Some(Overdue::Stalled)));
    }
}
