//! What a fixed threshold would have done: the rule that most people have today.
//!
//! The canary's share of bad requests over the last minute, looked at each time: one breach ends the rollout (as with a failure limit of zero in Argo Rollouts), or
//! the fifth one does (as with Flagger's usual threshold of failed checks, which are added up and never forgiven).

use std::collections::VecDeque;

use belay_engine::analysis::{Count, ledger::Tick};
use jiff::{SignedDuration, Timestamp};

use super::replay::Look;

/// Numbers of breaches that the two usual rules allow for.
pub(super) const BREACHES: [u32; 2] = [1, 5];

/// A fixed rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fixed {
    /// Share of bad requests that must not be passed.
    pub(super) threshold: f64,
    /// Time over which the share is taken.
    pub(super) window: SignedDuration,
    /// The breach that ends the rollout.
    pub(super) breaches: u32,
}

impl Fixed {
    /// When it would have ended the rollout.
    pub(super) fn failed_at<'a>(&self, ticks: impl Iterator<Item = &'a Look>) -> Option<Timestamp> {
        let mut recent: VecDeque<(Timestamp, Count)> = VecDeque::new();
        let mut breaches = 0;
        for look in ticks {
            let Look::Tick(Tick { to, series, .. }) = look else {
                continue;
            };
            recent.push_back((*to, series.first()?.canary));
            while recent
                .front()
                .is_some_and(|(at, _)| to.duration_since(*at) >= self.window)
            {
                recent.pop_front();
            }
            let count: Count = recent.iter().map(|(_, count)| *count).sum();
            if count.rate().is_some_and(|rate| rate > self.threshold) {
                breaches += 1;
                if breaches >= self.breaches {
                    return Some(*to);
                }
            }
        }
        None
    }

    /// The rule in a few words.
    pub(super) fn name(&self) -> String {
        let breaches = match self.breaches {
            1 => "one breach".to_owned(),
            number => format!("{number} breaches"),
        };
        format!(
            "fixed {} over {}s, {breaches}",
            super::text::percent(self.threshold),
            self.window.as_secs()
        )
    }
}

#[cfg(test)]
mod tests {
    use belay_engine::analysis::ledger::SeriesTick;

    use super::*;

    fn ticks(bad: &[f64]) -> Vec<Look> {
        let at = |index: usize| Timestamp::from_second(10 * i64::try_from(index).unwrap()).unwrap();
        bad.iter()
            .enumerate()
            .map(|(index, bad)| {
                let canary = Count::new(*bad, 100.0);
                Look::Tick(Tick {
                    from: at(index),
                    to: at(index + 1),
                    series: vec![SeriesTick {
                        canary,
                        ..SeriesTick::default()
                    }],
                    canary_pods: 1,
                    stable_pods: 1,
                    skipped: Vec::new(),
                })
            })
            .collect()
    }

    fn after(bad: &[f64], breaches: u32) -> Option<i64> {
        let rule = Fixed {
            threshold: 0.01,
            window: SignedDuration::from_secs(20),
            breaches,
        };
        rule.failed_at(ticks(bad).iter()).map(Timestamp::as_second)
    }

    #[test]
    fn a_breach_lasts_as_long_as_the_window() {
        assert_eq!(after(&[0.0, 3.0, 0.0, 0.0], 1), Some(20));
        assert_eq!(after(&[0.0, 3.0, 0.0, 0.0], 2), Some(30));
        assert_eq!(after(&[0.0, 3.0, 0.0, 0.0], 3), None);
    }

    #[test]
    fn the_bound_itself_is_no_breach() {
        assert_eq!(after(&[1.0, 1.0, 1.0], 1), None);
    }
}
