//! Catalog time on SQLite: the clock of the process, corrected so that it never runs backwards. History, job
//! queue and outbox take their timestamps from it.
//!
//! All stored timestamps use this time, so that orders and delays are correct even if the clock is changed.
//! It runs at the rate of the clock, with an offset that is set by a [`Correction`]. While the clock is a few
//! seconds behind the last timestamp, the time does not advance; when it is further behind, because it was
//! set back, the time continues from the last timestamp immediately.
//!
//! An instant that a reader names is one of the clock, which may have shown it more than once;
//! [`Timeline::history_ms`] uses the last occurrence.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Maximum lag of the clock behind the last timestamp, in milliseconds, before the time continues with a new
/// offset: as much as a time server adjusts at most, and less than clients wait for a response.
const LEAD_MAX_MS: i64 = 5_000;
/// Maximum lag of the stored mark behind the last timestamp, in milliseconds: the part that is lost by a
/// crash.
const MARK_INTERVAL_MS: i64 = 60_000;

/// Minimum length of a forward leap of the clock, in milliseconds. A running server writes something every
/// minute, so a longer gap means that the clock was changed or the server was stopped.
const LEAP_MS: i64 = 180_000;

/// Offset of the catalog time: from `clock_ms` of the clock on, the catalog time is `at_ms` plus the time
/// passed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
#[expect(clippy::struct_field_names, reason = "instants are in milliseconds everywhere")]
pub(super) struct Correction {
    pub(super) clock_ms: i64,
    pub(super) at_ms: i64,
    /// Last catalog time before the correction at which the clock is considered right. Later timestamps were
    /// taken while the clock was ahead.
    pub(super) until_ms: i64,
}

/// Change that has to be stored before the next timestamp is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Correct(Correction),
    /// Lower bound of all later timestamps.
    Mark(i64),
}

#[derive(Default)]
pub(super) struct Timeline {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last_ms: i64,
    mark_ms: i64,
    /// Last timestamp before the last forward leap of the clock.
    before_leap_ms: Option<i64>,
    /// Corrections, oldest first. Before the first one, the clock is used as it is.
    corrections: Vec<Correction>,
}

impl Correction {
    fn offset_ms(self) -> i64 {
        self.at_ms.saturating_sub(self.clock_ms)
    }
}

impl Timeline {
    /// Restores the stored state: no later timestamp is before `latest_ms`, `mark_ms` or a correction.
    pub(super) fn restore(&self, corrections: Vec<Correction>, latest_ms: i64, mark_ms: i64) {
        let mut state = self.state();
        let corrected_ms = corrections.iter().map(|correction| correction.at_ms).max().unwrap_or(0);
        state.last_ms = state.last_ms.max(latest_ms).max(mark_ms).max(corrected_ms);
        state.mark_ms = mark_ms;
        state.corrections = corrections;
    }

    /// Returns the change that has to be stored, if any, before a timestamp is taken when the clock shows
    /// `clock_ms`.
    pub(super) fn due(&self, clock_ms: i64) -> Option<Change> {
        let state = self.state();
        if let Some(correction) = state.correction(clock_ms) {
            return Some(Change::Correct(correction));
        }
        let now_ms = state.now_ms(clock_ms);
        (now_ms > state.mark_ms.saturating_add(MARK_INTERVAL_MS)).then_some(Change::Mark(now_ms))
    }

    /// Applies a change that was stored.
    pub(super) fn apply(&self, change: Change) {
        let mut state = self.state();
        match change {
            Change::Mark(at_ms) => state.mark_ms = state.mark_ms.max(at_ms),
            Change::Correct(correction) => {
                state.last_ms = state.last_ms.max(correction.at_ms);
                state.before_leap_ms = None;
                state.corrections.push(correction);
            }
        }
    }

    /// Returns the timestamp for `clock_ms` of the clock. Later timestamps are not before it.
    pub(super) fn advance(&self, clock_ms: i64) -> i64 {
        let mut state = self.state();
        let now_ms = state.now_ms(clock_ms);
        if state.last_ms > 0 && now_ms.saturating_sub(state.last_ms) > LEAP_MS {
            state.before_leap_ms = Some(state.last_ms);
        }
        state.last_ms = now_ms;
        now_ms
    }

    /// Returns the catalog time at which the clock showed `clock_ms`; the latest one if it did so more than
    /// once.
    pub(super) fn history_ms(&self, clock_ms: i64) -> i64 {
        let state = self.state();
        let mut found = (i64::MIN, clock_ms);
        let (mut start_ms, mut offset_ms) = (i64::MIN, 0);
        let ends = state.corrections.iter().map(|next| next.until_ms).chain([i64::MAX]);
        for (number, end_ms) in ends.enumerate() {
            if start_ms <= clock_ms {
                let at_ms = clock_ms.saturating_add(offset_ms).min(end_ms);
                // The last time at which the clock showed this instant, or came closest to it.
                found = found.max((at_ms.saturating_sub(offset_ms), at_ms));
            }
            if let Some(next) = state.corrections.get(number) {
                (start_ms, offset_ms) = (next.clock_ms, next.offset_ms());
            }
        }
        found.1
    }

    /// Returns the time that the clock showed at an instant of catalog time.
    pub(super) fn clock_ms(&self, at_ms: i64) -> i64 {
        let state = self.state();
        let correction = state.corrections.iter().rev().find(|correction| correction.at_ms <= at_ms);
        at_ms.saturating_sub(correction.map_or(0, |correction| correction.offset_ms()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn offset_ms(&self) -> i64 {
        self.corrections.last().map_or(0, |correction| correction.offset_ms())
    }

    fn now_ms(&self, clock_ms: i64) -> i64 {
        clock_ms.saturating_add(self.offset_ms()).max(self.last_ms)
    }

    fn correction(&self, clock_ms: i64) -> Option<Correction> {
        let now_ms = clock_ms.saturating_add(self.offset_ms());
        if self.last_ms.saturating_sub(now_ms) > LEAD_MAX_MS {
            // The catalog time never passed through the instants that the clock leapt over, unless the clock
            // is now set back even further than the leap.
            let until_ms = self.before_leap_ms.filter(|before| *before <= now_ms).unwrap_or(self.last_ms);
            return Some(Correction { clock_ms, at_ms: self.last_ms.saturating_add(1), until_ms });
        }
        // The clock has caught up with the last timestamp, so that it can be used without an offset again.
        (self.offset_ms() > 0 && clock_ms >= self.last_ms).then_some(Correction {
            clock_ms,
            at_ms: clock_ms,
            until_ms: self.last_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

    /// Takes a timestamp in the same way as the database does.
    fn tick(timeline: &Timeline, clock_ms: i64) -> i64 {
        while let Some(change) = timeline.due(clock_ms) {
            timeline.apply(change);
        }
        timeline.advance(clock_ms)
    }

    #[test]
    fn a_clock_that_was_ahead_for_a_day_stops_nothing() {
        let timeline = Timeline::default();
        let start_ms = 1_000 * DAY_MS;
        assert_eq!(tick(&timeline, start_ms), start_ms);
        let ahead_ms = tick(&timeline, start_ms + DAY_MS);
        assert_eq!(ahead_ms, start_ms + DAY_MS);

        let back_ms = tick(&timeline, start_ms + 10);
        assert_eq!(back_ms, ahead_ms + 1);
        assert_eq!(tick(&timeline, start_ms + 1_010), back_ms + 1_000, "time runs as the clock does");
        assert_eq!(timeline.history_ms(start_ms + 5), start_ms, "before the change");
        assert_eq!(timeline.history_ms(start_ms + 510), back_ms + 500, "after it");
        assert_eq!(timeline.clock_ms(back_ms + 500), start_ms + 510);
        assert_eq!(timeline.clock_ms(ahead_ms), ahead_ms);
    }

    #[test]
    fn a_clock_that_was_behind_is_believed_again_once_it_is_right() {
        let timeline = Timeline::default();
        let start_ms = 1_000 * DAY_MS;
        tick(&timeline, start_ms);
        assert_eq!(tick(&timeline, 0), start_ms + 1);
        assert_eq!(tick(&timeline, 60_000), start_ms + 60_001);
        let right_ms = start_ms + 61_000;
        assert_eq!(tick(&timeline, right_ms), right_ms);
        for instant_ms in [start_ms - DAY_MS, start_ms, right_ms, right_ms + DAY_MS] {
            assert_eq!(timeline.history_ms(instant_ms), instant_ms);
        }
        assert_eq!(timeline.history_ms(30_000), start_ms + 30_001);
    }

    #[test]
    fn a_clock_that_is_corrected_by_a_little_is_waited_for() {
        let timeline = Timeline::default();
        tick(&timeline, 100_000);
        assert_eq!(tick(&timeline, 100_000 - LEAD_MAX_MS), 100_000);
        assert_eq!(tick(&timeline, 100_001), 100_001);
        assert_eq!(timeline.history_ms(99_000), 99_000);
    }

    #[test]
    fn time_never_runs_backwards_nor_do_instants_of_one_clock_change_their_order() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let timeline = Timeline::default();
        let (mut clock_ms, mut last_ms) = (0_i64, 0_i64);
        for _ in 0..10_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let step = i64::try_from(random >> 40).unwrap_or(0);
            clock_ms += match random % 31 {
                0 => -step,
                1 => step,
                _ => step % 100,
            };
            let at_ms = tick(&timeline, clock_ms);
            assert!(at_ms >= last_ms);
            assert!(timeline.history_ms(clock_ms) <= at_ms);
            last_ms = at_ms;
        }
    }
}
