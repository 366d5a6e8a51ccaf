//! Gates that watch an error budget, on a history.
//!
//! Invariant: judged in the order of the controller: burning too fast, then what the rollout has spent, then what is left. Its share of bad events since it began is
//! the average of that over five minutes; the controller asks for exactly this time where the gate has a query of its own.

use std::time::Duration;

use belay_api::analysis::budget::Budget;
use belay_engine::{
    analysis::burn_rate::{Admission, Objective, Pair, Ratio},
    gate::Result,
};
use jiff::Timestamp;

use super::{
    history::{Grid, Series},
    replay::Look,
};

/// A budget with its history.
#[derive(Clone, Debug)]
pub(super) struct Burning {
    pub(super) grid: Grid,
    pub(super) budget: Budget,
    /// Each window with its share of bad events, and with the number of all events.
    pub(super) windows: Vec<(Duration, Option<Series>, Option<Series>)>,
    /// Share of bad events over the whole period, which is looked at less often.
    pub(super) period: Option<(Grid, Option<Series>)>,
}

impl Burning {
    /// The looks of a rollout between two points.
    pub(super) fn looks(&self, start: usize, end: usize, stride: usize) -> Vec<Look> {
        let end = end.min(self.grid.points().saturating_sub(1));
        let mut admission = Admission::Open;
        (start + 1..=end)
            .step_by(stride.max(1))
            .map(|index| {
                let result = self.judge(start, index, &mut admission);
                Look::Reading(self.grid.time(index), result)
            })
            .collect()
    }

    /// Share of bad events of the shortest window at a point.
    pub(super) fn share(&self, index: usize) -> Option<f64> {
        self.of(self.budget.windows().short)?.1.as_ref()?.get(index)
    }

    /// Number of its series.
    pub(super) fn series(&self) -> usize {
        let windows = self.windows.iter();
        windows.filter(|(_, share, _)| share.is_some()).count()
    }

    fn of(&self, window: Duration) -> Option<&(Duration, Option<Series>, Option<Series>)> {
        self.windows.iter().find(|(length, ..)| *length == window)
    }

    fn ratio(&self, window: Duration, index: usize) -> Ratio {
        let found = self.of(window);
        let at = |series: Option<&Series>| series.and_then(|one| one.get(index));
        Ratio {
            bad_share: at(found.and_then(|(_, share, _)| share.as_ref())),
            total: at(found.and_then(|(_, _, total)| total.as_ref())),
        }
    }

    fn judge(&self, start: usize, index: usize, admission: &mut Admission) -> Result {
        let objective = self.budget.objective;
        let measured: Vec<(Pair, Ratio, Ratio)> = self
            .budget
            .pairs()
            .into_iter()
            .map(|pair| {
                let (long, short) = (self.ratio(pair.long, index), self.ratio(pair.short, index));
                (pair, long, short)
            })
            .collect();
        let burning = objective.judge(&measured);
        if !matches!(burning, Result::Pass { .. }) {
            return burning;
        }
        if let Some(spent) = self.spent(start, index) {
            let judged = Objective::judge_spent(spent, self.budget.most_spent);
            if matches!(judged, Result::Fail { .. }) {
                return judged;
            }
        }
        let Some(least) = self.budget.least_remaining else {
            return burning;
        };
        let Some(remaining) = self.remaining(self.grid.time(index)) else {
            return Result::NoData {
                why: "there is no error ratio over the whole period".to_owned(),
            };
        };
        *admission = admission.next(remaining, least);
        admission.judge(remaining, least)
    }

    /// Share of the period's budget that was spent since `start` beyond the ordinary.
    fn spent(&self, start: usize, index: usize) -> Option<f64> {
        let shares: Vec<f64> = (start + 1..=index)
            .filter_map(|at| self.share(at))
            .collect();
        #[expect(
            clippy::cast_precision_loss,
            reason = "numbers of points are far below 2^52"
        )]
        let number = shares.len() as f64;
        let bad_share = (number > 0.0).then(|| shares.iter().sum::<f64>() / number)?;
        let ordinary = self
            .ratio(self.budget.windows().long, start)
            .bad_share
            .unwrap_or_default();
        let elapsed = self.grid.time(index).duration_since(self.grid.time(start));
        let elapsed = Duration::try_from(elapsed).ok()?;
        Some(self.budget.objective.spent(bad_share, ordinary, elapsed))
    }

    /// Share of the budget that is left, as the last look at the whole period shows.
    fn remaining(&self, at: Timestamp) -> Option<f64> {
        let (grid, series) = self.period.as_ref()?;
        let later = grid.index_from(at.as_millisecond().saturating_add(1));
        let last = later.unwrap_or(grid.points()).checked_sub(1)?;
        let share = series.as_ref()?.get(last)?;
        self.budget.objective.remaining(share)
    }
}

#[cfg(test)]
mod tests {
    use belay_api::analysis::BurnRate;
    use belay_engine::gate::Result as Judged;
    use serde_json::{Value, json};

    use super::{
        super::history::{Collector, Labels},
        *,
    };

    const POINTS: u32 = 100;

    fn series(grid: Grid, value: impl Fn(u32) -> f64) -> Option<Series> {
        let mut collector = Collector::new(grid);
        let values = (0..POINTS).map(|point| (i64::from(point) * 60_000, value(point)));
        collector.add(Labels::new(), values);
        collector.finish().pop()
    }

    /// A share of bad events that rises at point 50, in all windows at once.
    fn burning(spec: Value, share: f64, total: Option<f64>, of_period: f64) -> Burning {
        let grid = Grid::new(0, i64::from(POINTS - 1) * 60_000, 60_000).unwrap();
        let mut spec = spec;
        spec["objectivePercent"] = json!(99.9);
        spec["errorRatio"] = json!("r[{{window}}]");
        let burn: BurnRate = serde_json::from_value(spec).unwrap();
        let budget = Budget::new(&burn).unwrap();
        let lengths = budget
            .pairs()
            .into_iter()
            .flat_map(|pair| [pair.long, pair.short]);
        let windows = lengths.map(|length| {
            let rising = series(grid, |point| if point < 50 { 0.000_2 } else { share });
            (
                length,
                rising,
                total.and_then(|total| series(grid, |_| total)),
            )
        });
        Burning {
            grid,
            windows: windows.collect(),
            budget,
            period: Some((grid, series(grid, |_| of_period))),
        }
    }

    fn failures(burning: &Burning) -> Vec<i64> {
        let looks = burning.looks(40, 80, 1).into_iter();
        looks
            .filter_map(|look| match look {
                Look::Reading(at, Judged::Fail { .. }) => Some(at.as_second() / 60),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_budget_that_burns_is_found_when_it_does() {
        let failures = |total| failures(&burning(json!({}), 0.02, total, 0.0));
        assert_eq!(failures(None).first(), Some(&50));
        // With a few events it is not sure.
        assert_eq!(failures(Some(40.0)).first(), None);
    }

    #[test]
    fn what_a_rollout_has_spent_is_counted_from_its_own_begin() {
        // 0.5 % is five times the budget, below the limits of both pairs; of 30 days it spends 0.05 % in five minutes.
        let spec = json!({"maxBudgetPercentPerRollout": 0.05});
        let found = failures(&burning(spec, 0.005, None, 0.0));
        let (first, never) = (
            found.first().copied(),
            json!({"maxBudgetPercentPerRollout": 1}),
        );
        assert!(first > Some(50) && first < Some(60), "{found:?}");
        assert!(failures(&burning(never, 0.005, None, 0.0)).is_empty());
    }

    #[test]
    fn too_little_budget_holds() {
        let spec = json!({"minRemainingPercent": 25});
        let looks = burning(spec, 0.000_2, None, 0.000_9).looks(40, 80, 5);
        assert_eq!(looks.len(), 8);
        let held = |look: &Look| matches!(look, Look::Reading(_, Judged::Frozen { .. }));
        assert!(looks.iter().all(held), "{looks:?}");
    }
}
