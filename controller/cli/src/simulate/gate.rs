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
    history::{Grid, Series},
    past::Past,
    pods::{Pod, Pods},
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
    Pods { pods: Pods, rules: Rules },
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
            Data::Pods { pods, rules } => {
                let canary = &window.canary;
                let role = |place: usize| {
                    let pod = pods.pods.get(place)?;
                    Some(if canary.contains(&pod.name) {
                        Role::Canary
                    } else {
                        Role::Stable
                    })
                };
                let range = window.start..=window.end;
                replay::compare(pods, *rules, range, self.stride, slower, role)
            }
            Data::Numbers { .. } => self.numbers(window.start, window.end),
        }
    }

    /// Its looks in a rollout that happened. Counting begins before the first pod of the new version.
    pub(super) fn past(&self, past: &Past) -> Vec<Look> {
        let before = past.start.saturating_sub(1);
        match &self.data {
            Data::Pods { pods, rules } => {
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
            Data::Numbers { .. } => None,
        }
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
        }
    }

    /// Number of its series.
    pub(super) fn series(&self) -> usize {
        match &self.data {
            Data::Pods { pods, .. } => pods.pods.len() * pods.width(),
            Data::Numbers { series, .. } => series.len(),
        }
    }
}
