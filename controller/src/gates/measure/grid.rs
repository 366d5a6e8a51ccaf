//! When counters are looked at: at round times that all gates of the same interval share, a moment later than the time asked
//! about, so that the samples of that time have arrived.
//!
//! Invariant: a look is about a time at or after the one that it is due at, and gates that ask the same ask it at the same moment.

use std::{
    hash::{DefaultHasher, Hash, Hasher as _},
    time::Duration,
};

use jiff::Timestamp;

use crate::gates::question::ComparisonQuestion;

/// Longest distance of two round times. Gates with a longer interval meet on a finer grid, so that a first look does not wait for
/// long.
const COARSEST: Duration = Duration::from_secs(15);

/// Part of a grid's distance over which questions are spread.
const SPREAD: f64 = 0.1;

/// Round times for one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    step_milliseconds: i64,
    /// From a round time to the moment of asking about it.
    lag: Duration,
}

/// One look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// The time that it is about.
    pub(super) about: Timestamp,
    /// When to ask.
    pub(super) ask_at: Timestamp,
}

impl Grid {
    /// The grid of a question that is asked every `interval`, and whose samples take `ingest_delay` to arrive. The same `question`
    /// has the same grid.
    fn new(interval: Duration, ingest_delay: Duration, question: &impl Hash) -> Self {
        let step = interval.clamp(Duration::from_secs(1), COARSEST);
        let mut hasher = DefaultHasher::new();
        question.hash(&mut hasher);
        // The upper bits of a hash, as a share of one.
        let share =
            f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        Self {
            step_milliseconds: i64::try_from(step.as_millis()).unwrap_or(i64::MAX),
            lag: ingest_delay + step.mul_f64(SPREAD * share),
        }
    }

    /// The grid of a comparison; `same` is equal for those that ask the same.
    pub(super) fn of(question: &ComparisonQuestion, same: &impl Hash) -> Self {
        Self::new(question.interval, question.ingest_delay, same)
    }

    /// The look that is due at `due_at`, or the newest one whose samples have arrived, whichever is later.
    pub(super) fn look(self, due_at: Timestamp, now: Timestamp) -> Look {
        let due = self.not_before(due_at);
        let newest = now
            .checked_sub(self.lag)
            .map_or(due, |arrived| self.not_after(arrived));
        let about = due.max(newest);
        Look {
            about,
            ask_at: about.checked_add(self.lag).unwrap_or(about),
        }
    }

    fn not_after(self, time: Timestamp) -> Timestamp {
        let milliseconds = time.as_millisecond();
        let round = milliseconds - milliseconds.rem_euclid(self.step_milliseconds);
        Timestamp::from_millisecond(round).unwrap_or(time)
    }

    fn not_before(self, time: Timestamp) -> Timestamp {
        // Below a millisecond there is nothing on the grid.
        let Ok(whole) = time.round(
            jiff::TimestampRound::new()
                .smallest(jiff::Unit::Millisecond)
                .mode(jiff::RoundMode::Ceil),
        ) else {
            return time;
        };
        let below = self.not_after(whole);
        if below == whole {
            return whole;
        }
        let above = below
            .as_millisecond()
            .saturating_add(self.step_milliseconds);
        Timestamp::from_millisecond(above).unwrap_or(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_secs(10);

    fn time(seconds: f64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs_f64(1_800_000_000.0 + seconds)
    }

    #[test]
    fn looks_are_about_round_times_at_or_after_the_due_one() {
        let grid = Grid::new(TEN, Duration::from_secs(2), &"question");
        let now = time(0.0);
        for (due, about) in [(3.0, 10.0), (10.0, 10.0), (10.000_1, 20.0)] {
            let look = grid.look(time(due), now);
            assert_eq!(look.about, time(about));
            let lag = look.ask_at.duration_since(look.about).as_secs_f64();
            assert!((2.0..=3.0).contains(&lag), "{lag}");
        }
    }

    #[test]
    fn a_look_that_is_overdue_is_about_the_newest_time_with_samples() {
        let grid = Grid::new(TEN, Duration::from_secs(2), &"question");
        let look = grid.look(time(0.0), time(95.0));
        assert_eq!(look.about, time(90.0));
        assert!(look.ask_at <= time(95.0));
        // Just after a round time its samples have not arrived.
        assert_eq!(grid.look(time(0.0), time(91.0)).about, time(80.0));
    }

    #[test]
    fn the_same_question_is_asked_at_the_same_moment_and_others_are_spread() {
        let ask_at = |question: u32| {
            Grid::new(TEN, TEN, &question)
                .look(time(0.0), time(0.0))
                .ask_at
        };
        assert_eq!(ask_at(1), ask_at(1));
        let moments: std::collections::BTreeSet<_> = (0..100).map(ask_at).collect();
        assert!(moments.len() > 90, "{}", moments.len());
    }
}
