//! The pods of a history with their raw counters, and what one look at them gives the engine.
//!
//! Invariant: a look has nothing that the controller would not have seen at that time. What the history can't tell is taken from the counters: a pod's process began
//! when its first sample came, and began anew when a counter fell below half of what it was.

use std::{collections::BTreeSet, ops::Range};

use belay_engine::analysis::{
    Count,
    ledger::{PodSample, Role, Snapshot},
};
use jiff::{SignedDuration, Timestamp};

use super::{counters::Counters, history::Grid};

/// Pods that were there before the history begins have run for a day, for all one knows.
const BEFORE: SignedDuration = SignedDuration::from_hours(24);

/// What stands before the name of a unit of the baseline, where both sides differ by their series.
pub(super) const BASELINE: &str = "baseline ";

/// Length of the random end of a pod's name.
const RANDOM_LENGTH: usize = 5;

/// All pods that have counters in a history.
#[derive(Clone, Debug)]
pub(super) struct Pods {
    pub(super) grid: Grid,
    pub(super) pods: Vec<Pod>,
}

/// One pod's counters.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) name: String,
    /// Name of its ReplicaSet; empty if its name tells none.
    pub(super) revision: String,
    /// When it has samples, from the first to the last.
    pub(super) present: Range<usize>,
    starts: Vec<(usize, Timestamp)>,
    counters: Counters,
}

impl Pod {
    /// The counters at a point in time as those of a stable pod, if there was a sample.
    fn at(&self, index: usize) -> Option<Vec<Count>> {
        self.counters.at(index, Role::Stable, 1.0)
    }

    /// Whether its counters are of latencies.
    pub(super) fn times(&self) -> bool {
        matches!(self.counters, Counters::Buckets { .. })
    }

    fn started_at(&self, index: usize) -> Timestamp {
        let later = self.starts.partition_point(|(from, _)| *from <= index);
        let known = self.starts.get(later.saturating_sub(1));
        known.map_or(Timestamp::UNIX_EPOCH, |(_, at)| *at)
    }

    /// What one look shows of it; nothing if it was not there.
    fn sample(&self, index: usize, role: Role, slower: f64, grid: Grid) -> Option<PodSample> {
        if !self.present.contains(&index) {
            return None;
        }
        let counters = self.counters.at(index, role, slower);
        Some(PodSample {
            pod: self.name.clone(),
            role,
            started_at: self.started_at(index),
            ready_at: self.starts.first().map(|(_, at)| *at),
            sampled_at: counters.is_some().then(|| grid.time(index)),
            counters: counters.unwrap_or_default(),
        })
    }

    /// What was counted up to each of these points, by series.
    fn sum(&self, counts: impl Fn(usize) -> bool) -> Vec<Count> {
        let mut sums = vec![Count::ZERO; self.counters.width()];
        let mut last: Option<Vec<Count>> = None;
        for index in self.present.clone() {
            let Some(now) = self.at(index) else { continue };
            if let Some(last) = last.as_ref().filter(|_| counts(index)) {
                for (sum, (last, now)) in sums.iter_mut().zip(last.iter().zip(&now)) {
                    *sum = sum.plus(difference(*last, *now));
                }
            }
            last = Some(now);
        }
        sums
    }
}

/// A small fall is two replicas of Prometheus that don't agree, not a new process.
fn difference(last: Count, now: Count) -> Count {
    if now.total() < last.total() / 2.0 {
        now
    } else {
        Count::new(now.bad() - last.bad(), now.total() - last.total())
    }
}

impl Pods {
    /// Pods with their counters. Only those of `workload`, if it is known.
    pub(super) fn new(
        grid: Grid,
        counters: Vec<(String, Counters)>,
        workload: Option<&str>,
    ) -> Self {
        let wanted = |name: &str| {
            !name.is_empty() && workload.is_none_or(|workload| belongs(name, workload))
        };
        let mut pods: Vec<Pod> = counters
            .into_iter()
            .filter(|(name, _)| wanted(name))
            .filter_map(|(name, counters)| Pod::new(name, counters, grid))
            .collect();
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        Self { grid, pods }
    }

    /// Something that counts and is no pod of the workload, such as a proxy. Nothing is known of its age: it has always been there.
    pub(super) fn units(grid: Grid, counters: Vec<(String, Counters)>) -> Self {
        let mut units = Self::new(grid, counters, None);
        for unit in &mut units.pods {
            unit.revision.clear();
            unit.starts = vec![(0, Timestamp::UNIX_EPOCH)];
        }
        units
    }

    /// Number of series that each pod has.
    pub(super) fn width(&self) -> usize {
        let widths = self.pods.iter().map(|pod| pod.counters.width());
        widths.max().unwrap_or(0)
    }

    /// One look. `role` gives a pod's side by its place, nothing for pods that are on neither; `slower`: as if the canary's events took so many times as long.
    pub(super) fn look(
        &self,
        index: usize,
        slower: f64,
        role: impl Fn(usize) -> Option<Role>,
    ) -> Snapshot {
        let pods = self.pods.iter().enumerate();
        Snapshot {
            at: self.grid.time(index),
            pods: pods
                .filter_map(|(place, pod)| pod.sample(index, role(place)?, slower, self.grid))
                .collect(),
        }
    }

    /// Places of the pods that had a sample at that time.
    pub(super) fn serving(&self, index: usize) -> Vec<usize> {
        let pods = self.pods.iter().enumerate();
        pods.filter(|(_, pod)| pod.counters.all(index).is_some())
            .map(|(place, _)| place)
            .collect()
    }

    /// Places of the pods that were there at that time.
    pub(super) fn there(&self, index: usize) -> BTreeSet<usize> {
        let pods = self.pods.iter().enumerate();
        pods.filter(|(_, pod)| pod.present.contains(&index))
            .map(|(place, _)| place)
            .collect()
    }

    /// The ReplicaSets that had pods at that time.
    pub(super) fn revisions(&self, index: usize) -> BTreeSet<&str> {
        let there = self.pods.iter().filter(|pod| pod.present.contains(&index));
        there.map(|pod| pod.revision.as_str()).collect()
    }

    /// What was counted up to each of these points, by series.
    pub(super) fn sums(&self, counts: impl Fn(usize) -> bool) -> Vec<Count> {
        let mut sums = vec![Count::ZERO; self.width()];
        for pod in &self.pods {
            for (sum, own) in sums.iter_mut().zip(pod.sum(&counts)) {
                *sum = sum.plus(own);
            }
        }
        sums
    }

    /// Share of counted events of the first series in each of `parts` equal parts of the history; nothing where nothing was counted.
    pub(super) fn shares(&self, parts: usize) -> Vec<Option<f64>> {
        let points = self.grid.points();
        let mut counts = vec![Count::ZERO; parts];
        for pod in &self.pods {
            let mut last: Option<Count> = None;
            for index in pod.present.clone() {
                let now = pod.at(index).and_then(|counts| counts.first().copied());
                if let (Some(last), Some(now)) = (last, now)
                    && let Some(count) = counts.get_mut(index * parts / points.max(1))
                {
                    *count = count.plus(difference(last, now));
                }
                last = now.or(last);
            }
        }
        counts.into_iter().map(Count::rate).collect()
    }

    /// Points in time without any sample.
    pub(super) fn silent(&self) -> usize {
        let mut silent = vec![true; self.grid.points()];
        for pod in &self.pods {
            for index in pod.present.clone() {
                if let Some(silent) = silent.get_mut(index)
                    && *silent
                {
                    *silent = pod.counters.all(index).is_none();
                }
            }
        }
        silent.into_iter().filter(|silent| *silent).count()
    }
}

impl Pod {
    fn new(name: String, counters: Counters, grid: Grid) -> Option<Self> {
        let present = counters.total()?.present();
        let before = |index: usize| match index.checked_sub(1) {
            Some(before) => grid.time(before),
            None => grid.time(0).checked_sub(BEFORE).unwrap_or(Timestamp::MIN),
        };
        let mut starts = vec![(present.start, before(present.start))];
        let mut highest = 0.0_f64;
        for index in present.clone() {
            let Some(value) = counters.all(index) else {
                continue;
            };
            if value < highest / 2.0 {
                starts.push((index, before(index)));
                highest = value;
            }
            highest = highest.max(value);
        }
        Some(Self {
            revision: revision(&name).unwrap_or_default().to_owned(),
            name,
            present,
            starts,
            counters,
        })
    }
}

/// The ReplicaSet in a pod's name, which ends with five random characters.
fn revision(name: &str) -> Option<&str> {
    let (set, random) = name.rsplit_once('-')?;
    let plain = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let hash = hash(set);
    (random.len() == RANDOM_LENGTH && plain(random) && set.contains('-') && plain(hash))
        .then_some(set)
}

/// The hash at the end of a ReplicaSet's name.
pub(super) fn hash(set: &str) -> &str {
    set.rsplit_once('-').map_or(set, |(_, hash)| hash)
}

/// Whether a pod is one of the workload's: of one of its ReplicaSets, or numbered.
fn belongs(name: &str, workload: &str) -> bool {
    let Some(rest) = name
        .strip_prefix(workload)
        .and_then(|rest| rest.strip_prefix('-'))
    else {
        return false;
    };
    let numbered = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    let of_set = rest.split_once('-').is_some_and(|(hash, random)| {
        !hash.is_empty() && random.len() == RANDOM_LENGTH && !random.contains('-')
    });
    numbered || of_set
}

#[cfg(test)]
pub(super) mod tests {
    use super::{
        super::history::{Collector, Labels},
        *,
    };

    /// A pod's name, its first point, and its values of `bad` and `total`.
    type Listed<'a> = (&'a str, usize, Vec<(f64, f64)>);

    /// Series of these pods.
    pub(in crate::simulate) fn pods(grid: Grid, pods: &[Listed<'_>]) -> Pods {
        let series = |name: &str, first: usize, values: &mut dyn Iterator<Item = f64>| {
            let mut collector = Collector::new(grid);
            let labels = Labels::from([("pod".to_owned(), name.to_owned())]);
            let timed = values
                .enumerate()
                .map(|(index, value)| (grid.at(first + index), value));
            collector.add(labels, timed);
            collector.finish().pop()
        };
        let counters = pods
            .iter()
            .map(|(name, first, values)| {
                let bad = series(name, *first, &mut values.iter().map(|(bad, _)| *bad));
                let total = series(name, *first, &mut values.iter().map(|(_, total)| *total));
                let total = total.unwrap();
                ((*name).to_owned(), Counters::Pair { bad, total })
            })
            .collect();
        Pods::new(grid, counters, None)
    }

    fn grid() -> Grid {
        Grid::new(0, 90_000, 10_000).unwrap()
    }

    #[test]
    fn names_tell_workload_and_revision() {
        assert_eq!(revision("web-bcdfg12345-x7k2p"), Some("web-bcdfg12345"));
        assert_eq!(revision("web-0"), None);
        assert!(belongs("web-bcdfg-x7k2p", "web") && belongs("web-0", "web"));
        assert!(!belongs("web-admin-bcdfg-x7k2p", "web") && !belongs("website-bcdfg-x7k2p", "web"));
    }

    #[test]
    fn a_new_pod_began_after_the_look_before_its_first_sample() {
        let pods = pods(grid(), &[("web-b-aaaaa", 3, vec![(0.0, 5.0), (1.0, 9.0)])]);
        let snapshot = pods.look(3, 1.0, |_| Some(Role::Canary));
        assert_eq!(snapshot.pods[0].started_at, grid().time(2));
        assert_eq!(snapshot.pods[0].counters, [Count::new(0.0, 5.0)]);
        assert!(pods.look(2, 1.0, |_| Some(Role::Canary)).pods.is_empty());
        assert!(pods.look(5, 1.0, |_| Some(Role::Canary)).pods.is_empty());
    }

    #[test]
    fn a_counter_that_falls_far_is_a_new_process() {
        let values = vec![(1.0, 100.0), (1.0, 99.0), (0.0, 10.0), (0.0, 20.0)];
        let pods = pods(grid(), &[("web-b-aaaaa", 0, values)]);
        let started = |index| pods.pods[0].started_at(index);
        assert_eq!(started(1), started(0));
        assert_eq!(started(2), grid().time(1));
        assert_eq!(started(3), grid().time(1));
        assert!((pods.sums(|_| true)[0].total() - 20.0).abs() < 1e-9);
    }

    #[test]
    fn points_without_any_sample_are_counted() {
        let pods = pods(
            grid(),
            &[(
                "web-b-aaaaa",
                2,
                vec![(0.0, 5.0), (f64::NAN, f64::NAN), (0.0, 9.0)],
            )],
        );
        assert_eq!(pods.silent(), 10 - 2);
    }
}
