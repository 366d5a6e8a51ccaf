//! A gate with its history.

use std::collections::BTreeSet;

use belay_engine::{
    analysis::{
        ledger::{Role, Rules},
        threshold::{Answer, Bounds, judge},
    },
    gate::GatePolicy,
};

use super::{
    budget::Burning,
    history::{Grid, Series},
    past::Past,
    pods::{BASELINE, Pod, Pods},
    replay::{self, Look},
    windows::Quiet,
};

/// A gate that can be replayed.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    pub(super) policy: GatePolicy,
    /// Points of the grid from one look to the next.
    pub(super) stride: usize,
    pub(super) data: Data,
}

/// What a gate looks at.
#[derive(Clone, Debug)]
pub(super) enum Data {
    /// Raw counters of pods.
    Pods {
        pods: Pods,
        rules: Rules,
        /// Whether both sides have series of their own, and the pods are whatever counts.
        sides: bool,
    },
    /// An error budget.
    Budget(Burning),
    /// A finished number.
    Numbers {
        grid: Grid,
        series: Vec<Series>,
        bounds: Bounds,
    },
}

impl Gate {
    /// Its looks in a window without any change. `slower`: as if the canary's requests took so many times as long; only a gate of latencies sees that.
    pub(super) fn quiet(&self, window: &Quiet, slower: f64) -> Vec<Look> {
        match &self.data {
            Data::Pods { pods, rules, sides } => {
                let own;
                let canary = if *sides {
                    own = drawn(pods, window);
                    &own
                } else {
                    &window.canary
                };
                if canary.is_empty() {
                    return Vec::new();
                }
                let role = |place: usize| {
                    let pod = pods.pods.get(place)?;
                    if canary.contains(&pod.name) {
                        return Some(Role::Canary);
                    }
                    let is_stable = !sides || pod.name.starts_with(BASELINE);
                    is_stable.then_some(Role::Stable)
                };
                let range = window.start..=window.end;
                replay::compare(pods, *rules, range, self.stride, slower, role)
            }
            Data::Numbers { .. } => self.numbers(window.start, window.end),
            Data::Budget(burning) => burning.looks(window.start, window.end, self.stride),
        }
    }

    /// Its looks in a rollout that happened. Counting begins before the first pod of the new version.
    pub(super) fn past(&self, past: &Past) -> Vec<Look> {
        let before = past.start.saturating_sub(1);
        match &self.data {
            Data::Pods {
                pods,
                rules,
                sides: true,
            } => {
                let role = |place: usize| {
                    let pod = pods.pods.get(place)?;
                    Some(if pod.name.starts_with(BASELINE) {
                        Role::Stable
                    } else {
                        Role::Canary
                    })
                };
                replay::compare(pods, *rules, before..=past.end, self.stride, 1.0, role)
            }
            Data::Pods { pods, rules, .. } => {
                let stable: BTreeSet<&str> = pods.revisions(before);
                let role = |place: usize| {
                    let pod = pods.pods.get(place)?;
                    if past.is_canary(&pod.name, &pod.revision) {
                        Some(Role::Canary)
                    } else {
                        stable
                            .contains(pod.revision.as_str())
                            .then_some(Role::Stable)
                    }
                };
                replay::compare(pods, *rules, before..=past.end, self.stride, 1.0, role)
            }
            Data::Numbers { .. } => self.numbers(before, past.end),
            Data::Budget(burning) => burning.looks(before, past.end, self.stride),
        }
    }

    fn numbers(&self, start: usize, end: usize) -> Vec<Look> {
        let Data::Numbers {
            grid,
            series,
            bounds,
        } = &self.data
        else {
            return Vec::new();
        };
        let end = end.min(grid.points().saturating_sub(1));
        (start + 1..=end)
            .step_by(self.stride)
            .map(|index| {
                let values = series.iter().filter_map(|one| one.get(index)).collect();
                Look::Reading(grid.time(index), judge(&Answer::Vector(values), *bounds))
            })
            .collect()
    }

    /// Its pods, if it tells pods apart.
    pub(super) fn pods(&self) -> Option<&Pods> {
        match &self.data {
            Data::Pods { pods, .. } => Some(pods),
            Data::Numbers { .. } | Data::Budget(_) => None,
        }
    }

    /// Whether both sides have series of their own.
    pub(super) const fn has_sides(&self) -> bool {
        matches!(self.data, Data::Pods { sides: true, .. })
    }

    /// Whether it looks at latencies.
    pub(super) fn times(&self) -> bool {
        self.pods().is_some_and(|pods| {
            let mut pods = pods.pods.iter();
            pods.any(Pod::times)
        })
    }

    /// Points without data.
    pub(super) fn silent(&self) -> usize {
        match &self.data {
            Data::Pods { pods, .. } => pods.silent(),
            Data::Numbers { grid, series, .. } => (0..grid.points())
                .filter(|index| series.iter().all(|one| one.get(*index).is_none()))
                .count(),
            Data::Budget(burning) => (0..burning.grid.points())
                .filter(|index| burning.share(*index).is_none())
                .count(),
        }
    }

    /// Number of its series.
    pub(super) fn series(&self) -> usize {
        match &self.data {
            Data::Pods { pods, .. } => pods.pods.len() * pods.width(),
            Data::Numbers { series, .. } => series.len(),
            Data::Budget(burning) => burning.series(),
        }
    }
}

/// The unit of the baseline that plays the canary, another one in each window; none if there are no two.
fn drawn(pods: &Pods, window: &Quiet) -> BTreeSet<String> {
    let serving = pods.serving(window.start).into_iter();
    let names = serving.filter_map(|place| Some(pods.pods.get(place)?.name.as_str()));
    let units: Vec<&str> = names.filter(|name| name.starts_with(BASELINE)).collect();
    if units.len() < 2 {
        return BTreeSet::new();
    }
    let place = usize::try_from(window.number).unwrap_or_default() % units.len();
    units
        .get(place)
        .map(|name| (*name).to_owned())
        .into_iter()
        .collect()
}
