//! How fast a service spends its error budget, and what of it a rollout may spend.
//!
//! The budget `B` is the share of bad events that the objective allows: 0.001 for 99.9 %. A burn rate of one spends it exactly
//! within the objective's period `P`; spending a share `f` of it within a window `W` is a burn rate of `f·P/W`. A pair of windows
//! must both exceed it: the long one so that it matters, the short one so that it is still going on.
//!
//! Source: Google's "The Site Reliability Workbook" (2018), chapter 5, "Multiwindow, Multi-Burn-Rate Alerts". The windows are
//! those of its table for 30 days.
//!
//! Invariant: what is absent is no data. No admission ever fails a change: it holds it, and a rollback doesn't ask.

use std::time::Duration;

use super::{Count, proportion};
use crate::gate::Result;

/// A change is let through again only when the budget is this much above the limit, so that it does not open and close by turns.
pub const HYSTERESIS: f64 = 0.05;

/// Error rate of the guard for low traffic.
const GUARD: f64 = 0.01;

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// Share of good events, between zero and one: 0.999.
    pub good_share: f64,
    /// Period over which it is promised.
    pub period: Duration,
}

/// A long window and a short one, and the burn rate that neither may exceed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// The long window: that much was spent.
    pub long: Duration,
    /// The short window: it is still being spent.
    pub short: Duration,
    /// Burn rate that both must exceed.
    pub burn_rate: f64,
}

/// Share of bad events in a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The share; `None` or no number if there was no traffic.
    pub bad_share: Option<f64>,
    /// Events in the window, if they are known: with few of them a single error is no burn.
    pub total: Option<f64>,
}

impl Objective {
    /// Share of bad events that is allowed.
    pub fn budget(self) -> f64 {
        1.0 - self.good_share
    }

    /// The pairs of windows for this period: 2 % of the budget in an hour, 5 % in six, 10 % in a day, 10 % in three days.
    pub fn pairs(self) -> [Pair; 4] {
        const HOUR: u64 = 3600;
        [
            (0.02, HOUR, HOUR / 12),
            (0.05, 6 * HOUR, HOUR / 2),
            (0.1, 24 * HOUR, 2 * HOUR),
            (0.1, 72 * HOUR, 6 * HOUR),
        ]
        .map(|(share, long, short)| {
            let long = Duration::from_secs(long);
            Pair {
                long,
                short: Duration::from_secs(short),
                burn_rate: share * self.period.as_secs_f64() / long.as_secs_f64(),
            }
        })
    }

    /// What the ratios of long and short windows say. One pair that exceeds its rate fails; without any number nothing is known.
    pub fn judge(self, measured: &[(Pair, Ratio, Ratio)]) -> Result {
        let budget = self.budget();
        if !(budget > 0.0 && budget < 1.0) {
            return Result::Error {
                why: "an objective must be above 0 % and below 100 %".to_owned(),
            };
        }
        let mut worst: f64 = 0.0;
        let mut absent = None;
        for (pair, long, short) in measured {
            let (Some(long_burn), Some(short_burn)) = (long.burn(budget), short.burn(budget))
            else {
                absent = absent.or(Some(pair));
                continue;
            };
            worst = worst.max(long_burn.min(short_burn));
            if long.exceeds(pair.burn_rate, budget) && short.exceeds(pair.burn_rate, budget) {
                return Result::Fail {
                    value: format!("burn rate {:.1}", long_burn.min(short_burn)),
                    why: format!(
                        "the error budget is spent {long_burn:.1} times too fast over {} and {short_burn:.1} times over {}; {:.1} is the limit",
                        window(pair.long),
                        window(pair.short),
                        pair.burn_rate
                    ),
                };
            }
        }
        match absent {
            Some(pair) => Result::NoData {
                why: format!(
                    "there is no error ratio over {} and {}; check its query, or whether there was traffic",
                    window(pair.long),
                    window(pair.short)
                ),
            },
            None if measured.is_empty() => Result::NoData {
                why: "no window was measured".to_owned(),
            },
            None => Result::Pass {
                value: format!("burn rate {worst:.1}"),
            },
        }
    }

    /// Share of the period's budget that was spent beyond the ordinary, in `elapsed` with `bad_share`, if the traffic stays as it
    /// is. `ordinary` is the share of bad events before the rollout.
    pub fn spent(self, bad_share: f64, ordinary: f64, elapsed: Duration) -> f64 {
        let excess = (bad_share - ordinary).max(0.0);
        let spent = excess / self.budget() * elapsed.as_secs_f64() / self.period.as_secs_f64();
        if spent.is_finite() { spent } else { 0.0 }
    }

    /// Whether a rollout that has spent `spent` of the budget may go on, when it may spend `most`.
    pub fn judge_spent(spent: f64, most: f64) -> Result {
        let value = format!("{:.2} % of the budget", spent * 100.0);
        if spent > most {
            Result::Fail {
                value,
                why: format!(
                    "this rollout has spent {:.2} % of the period's error budget; {:.2} % is the most it may",
                    spent * 100.0,
                    most * 100.0
                ),
            }
        } else {
            Result::Pass { value }
        }
    }

    /// Share of the budget that is left, from the share of bad events over the whole period; negative when it is overdrawn.
    pub fn remaining(self, bad_share: f64) -> Option<f64> {
        let remaining = 1.0 - bad_share / self.budget();
        remaining.is_finite().then_some(remaining)
    }
}

impl Ratio {
    fn burn(self, budget: f64) -> Option<f64> {
        let share = self
            .bad_share
            .filter(|share| share.is_finite() && *share >= 0.0)?;
        Some(share / budget)
    }

    /// Whether the burn rate is above `limit`; with known events, whether it surely is.
    fn exceeds(self, limit: f64, budget: f64) -> bool {
        let Some(burn) = self.burn(budget) else {
            return false;
        };
        let surely = match (self.bad_share, self.total) {
            (Some(share), Some(total)) => {
                let count = Count::new(share * total, total);
                proportion::interval(count, GUARD).0 > limit * budget
            }
            _ => true,
        };
        burn > limit && surely
    }
}

/// Whether changes go forward, as far as the error budget is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Admission {
    /// They do.
    #[default]
    Open,
    /// They are held until the budget has recovered.
    Frozen,
}

impl Admission {
    /// The next state with `remaining` of the budget, when `least` must be left.
    #[must_use]
    pub fn next(self, remaining: f64, least: f64) -> Self {
        let needed = match self {
            Self::Open => least,
            Self::Frozen => least + HYSTERESIS,
        };
        if remaining >= needed {
            Self::Open
        } else {
            Self::Frozen
        }
    }

    /// What it says to a change that wants to go forward. It holds, and never fails: a rollback must not wait for a budget.
    pub fn judge(self, remaining: f64, least: f64) -> Result {
        let value = format!("{:.1} % of the budget left", remaining * 100.0);
        match self {
            Self::Open => Result::Pass { value },
            Self::Frozen => Result::Frozen {
                why: format!(
                    "{value}; changes go forward again at {:.1} %",
                    (least + HYSTERESIS) * 100.0
                ),
            },
        }
    }
}

fn window(length: Duration) -> String {
    let minutes = length.as_secs() / 60;
    match minutes {
        0 => format!("{}s", length.as_secs()),
        _ if minutes.is_multiple_of(24 * 60) => format!("{}d", minutes / (24 * 60)),
        _ if minutes.is_multiple_of(60) => format!("{}h", minutes / 60),
        _ => format!("{minutes}m"),
    }
}

#[cfg(test)]
mod tests;
