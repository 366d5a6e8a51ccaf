//! Which looks at the stable pods from before a trial a ledger learns from.
//!
//! Invariant: who replays a trial on a history looks at the same times as who lived through it.

use std::time::Duration;

use jiff::Timestamp;

/// Looks that are learnt from: half an hour at the usual interval.
const LOOKS: u32 = 120;

/// Shortest time between two looks.
const SHORTEST_STEP: Duration = Duration::from_secs(1);

/// Times of looks, equally far apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lessons {
    /// The first look.
    pub from: Timestamp,
    /// The last look: the begin of the trial.
    pub to: Timestamp,
    /// Time between two looks: that of those that will follow.
    pub step: Duration,
}

impl Lessons {
    /// The looks before a trial that began at `began_at` and whose gate looks every `interval`; nothing at the begin of time.
    pub fn before(began_at: Timestamp, interval: Duration) -> Option<Self> {
        let step = interval.max(SHORTEST_STEP);
        let from = began_at.checked_sub(step * LOOKS).ok()?;
        Some(Self {
            from,
            to: began_at,
            step,
        })
    }

    /// The times, in order.
    pub fn times(self) -> impl Iterator<Item = Timestamp> {
        (0..=LOOKS).filter_map(move |look| self.from.checked_add(self.step * look).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_lie_an_interval_apart_and_end_where_the_trial_begins() {
        let began_at = Timestamp::from_second(1_000_000).unwrap();
        let lessons = Lessons::before(began_at, Duration::from_secs(15)).unwrap();
        let times: Vec<_> = lessons.times().collect();
        assert_eq!(
            (times.first(), times.last()),
            (Some(&lessons.from), Some(&began_at))
        );
        assert_eq!(times.len(), 121);
        assert!(Lessons::before(Timestamp::MIN, Duration::from_secs(15)).is_none());
    }
}
