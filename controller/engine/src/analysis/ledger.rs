//! The counter ledger: from raw counters of pods to what happened between two looks.
//!
//! `rate()` and `increase()` lose the first sample of a new pod, extrapolate over windows that begin before it lived, and turn a
//! switch between two Prometheus replicas into thousands of phantom requests. So the differences are taken here, per pod:
//!
//! - from the last counted sample to the present one, whatever lies between them: a missed look makes one long tick, and nothing
//!   is lost;
//! - a counter that fell is believed only if the pod's process was started anew; else the highest value stands until it is
//!   passed again;
//! - a pod whose process is younger than the last look, or which was seen without any counter, counts from zero;
//! - increments from before a pod was warm are dropped, and so are those of the tick in which it became warm;
//! - both sides advance together: while one of them has no newer sample at all, nothing is counted, so that events of a gap
//!   in scraping meet those of the other side from the same time.
//!
//! Invariant: the increments of a pod add up to its last counter minus its first base, for every sequence of looks without a
//! reset, and no increment is negative.
//!
//! The ledger lives in memory. Its store is Prometheus: after a restart the same counters are asked for at the time through
//! which the evidence counts, and observed as a baseline.

mod lessons;
mod pod;
mod snapshot;
mod tick;

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{Count, dispersion::Spread};
use pod::Entry;

pub use lessons::Lessons;
pub use snapshot::{PodSample, Role, Snapshot};
pub use tick::{Observation, PodCount, SeriesTick, Skip, Skipped, Tick};

/// Canary pods with bad events that a tick names, per series.
const NAMED_PODS: usize = 8;

/// How increments are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What a pod counts this long after its first readiness is dropped.
    pub warmup: Duration,
    /// A sample older than this, at the time of the look, is stale: two scrapes.
    pub stale_after: Duration,
}

/// Last counters of all pods of one gate.
#[derive(Clone, Debug)]
pub struct Ledger {
    rules: Rules,
    /// When the candidate's life began: a process that started since then had counted nothing before it.
    began_at: Timestamp,
    counted_through: Option<Timestamp>,
    pods: HashMap<String, Entry>,
    /// What is known of the stable pods from before, until a tick carries it on; one per series.
    history: Vec<Spread>,
    /// The stable side of the last tick, per series: a lone stable pod is held against itself.
    last_stable: Vec<Count>,
}

impl Ledger {
    /// An empty ledger for a candidate whose life began at `began_at`.
    pub fn new(rules: Rules, began_at: Timestamp) -> Self {
        Self {
            rules,
            began_at,
            counted_through: None,
            pods: HashMap::new(),
            history: Vec::new(),
            last_stable: Vec::new(),
        }
    }

    /// Learns from the looks of [`Lessons`] how much the bad events of stable pods come in clumps; pods of the other side are left
    /// out. The next tick carries it into the evidence; for evidence that has counted already it must not be given again. Fifteen
    /// minutes and more make the first ticks of a rollout as quick to judge as later ones.
    pub fn learn(&mut self, looks: &[Snapshot]) {
        let looks: Vec<Snapshot> = looks.iter().map(Snapshot::stable_only).collect();
        let Some((first, later)) = looks.split_first() else {
            return;
        };
        let mut scratch = Self::new(self.rules, first.at);
        scratch.begin(first);
        for look in later {
            let Some(from) = scratch.counted_through.filter(|from| *from < look.at) else {
                continue;
            };
            let tick = scratch.advance(look, from);
            scratch.counted_through = Some(look.at);
            add_spreads(
                &mut self.history,
                tick.series.iter().map(|series| series.spread),
            );
        }
    }

    /// Time of the last look whose increments were given out, or of the baseline.
    pub fn counted_through(&self) -> Option<Timestamp> {
        self.counted_through
    }

    /// Takes the increments since the last look. The first look is the baseline.
    pub fn observe(&mut self, snapshot: &Snapshot) -> Observation {
        let Some(from) = self.counted_through else {
            self.begin(snapshot);
            return Observation::Baseline;
        };
        if snapshot.at == from {
            return Observation::Unchanged;
        }
        if snapshot.at < from {
            // The clock was set back: what was counted in the future is not comparable with what comes.
            self.pods.clear();
            self.begin(snapshot);
            return Observation::Baseline;
        }
        if !snapshot.pods.iter().any(|pod| pod.role == Role::Stable) {
            return Observation::NoBaseline;
        }
        let sides = [(Role::Canary, "canary"), (Role::Stable, "stable")];
        let sides = sides.map(|(role, name)| self.news(snapshot, role, name));
        if let Some(why) = sides.iter().find_map(|side| match side {
            News::Missing(why) => Some(why.clone()),
            News::Fresh | News::NotYet => None,
        }) {
            return Observation::NoData { why };
        }
        if sides.contains(&News::NotYet) {
            return Observation::Unchanged;
        }
        let tick = self.advance(snapshot, from);
        self.counted_through = Some(snapshot.at);
        Observation::Tick(tick)
    }

    fn begin(&mut self, snapshot: &Snapshot) {
        for pod in &snapshot.pods {
            let entry = Entry::baseline(pod, self.began_at);
            self.pods
                .extend(entry.map(|entry| (pod.pod.clone(), entry)));
        }
        self.counted_through = Some(snapshot.at);
    }

    /// Whether one side has a sample that is newer than the last look's.
    fn news(&self, snapshot: &Snapshot, role: Role, name: &str) -> News {
        let pods = || snapshot.pods.iter().filter(|pod| pod.role == role);
        if pods().next().is_none() {
            return News::Missing(format!("there are no {name} pods"));
        }
        let Some(newest) = pods().filter_map(|pod| pod.sampled_at).max() else {
            return News::Missing(format!(
                "no {name} pod has the counters; check that these pods are scraped and that the series carry the pod's name"
            ));
        };
        if pods().any(|pod| self.is_news(pod)) {
            News::Fresh
        } else if self.rules.is_stale(newest, snapshot.at) {
            News::Missing(format!(
                "no {name} pod has been scraped since {}",
                newest.strftime("%H:%M:%S")
            ))
        } else {
            News::NotYet
        }
    }

    fn is_news(&self, pod: &PodSample) -> bool {
        match self.pods.get(&pod.pod) {
            Some(entry) => pod.sampled_at > entry.sampled_at(),
            None => pod.sampled_at.is_some(),
        }
    }

    fn advance(&mut self, snapshot: &Snapshot, from: Timestamp) -> Tick {
        let width = snapshot.pods.iter().map(|pod| pod.counters.len()).max();
        let mut sums = vec![Sums::default(); width.unwrap_or(0)];
        let mut skipped = Vec::new();
        let mut pods = [0_u32; 2];
        for pod in &snapshot.pods {
            let known = self.pods.contains_key(&pod.pod);
            if !known {
                let entry = Entry::appeared(pod, from, self.began_at);
                self.pods.insert(pod.pod.clone(), entry);
            }
            let taken = self
                .pods
                .get_mut(&pod.pod)
                .map(|entry| entry.take(pod, &self.rules))
                .unwrap_or_default();
            if let Some(skip) = taken
                .skip
                .or_else(|| self.rules.staleness(pod, snapshot.at, known))
            {
                skipped.push(Skipped {
                    pod: pod.pod.clone(),
                    role: pod.role,
                    skip,
                });
            }
            if taken.increments.iter().any(|count| count.total() > 0.0) {
                let arm = usize::from(pod.role == Role::Stable);
                if let Some(number) = pods.get_mut(arm) {
                    *number = number.saturating_add(1);
                }
            }
            for (sums, increment) in sums.iter_mut().zip(taken.increments) {
                sums.add(pod, increment);
            }
        }
        // A pod that is gone has had its last sample counted, or none will come.
        if self.pods.len() > snapshot.pods.len() {
            let live: HashSet<&str> = snapshot.pods.iter().map(|pod| pod.pod.as_str()).collect();
            self.pods.retain(|name, _| live.contains(name.as_str()));
        }
        let mut series: Vec<SeriesTick> = sums.into_iter().map(Sums::into_tick).collect();
        if pods[1] == 1 {
            for (series, last) in series.iter_mut().zip(&self.last_stable) {
                series.spread = Spread::of(&[*last, series.stable]);
            }
        }
        self.last_stable = series.iter().map(|series| series.stable).collect();
        for (series, before) in series.iter_mut().zip(std::mem::take(&mut self.history)) {
            series.spread = series.spread.plus(before);
        }
        Tick {
            from,
            to: snapshot.at,
            series,
            canary_pods: pods[0],
            stable_pods: pods[1],
            skipped,
        }
    }
}

fn add_spreads(sums: &mut Vec<Spread>, spreads: impl ExactSizeIterator<Item = Spread>) {
    if sums.len() < spreads.len() {
        sums.resize(spreads.len(), Spread::NONE);
    }
    for (sum, spread) in sums.iter_mut().zip(spreads) {
        *sum = sum.plus(spread);
    }
}

impl Rules {
    fn is_stale(&self, sampled_at: Timestamp, at: Timestamp) -> bool {
        let limit = SignedDuration::try_from(self.stale_after).unwrap_or(SignedDuration::MAX);
        at.duration_since(sampled_at) > limit
    }

    fn staleness(&self, pod: &PodSample, at: Timestamp, known: bool) -> Option<Skip> {
        match pod.sampled_at {
            Some(sampled_at) if self.is_stale(sampled_at, at) => Some(Skip::Stale),
            None if known || pod.ready_at.is_some() => Some(Skip::NoCounters),
            Some(_) | None => None,
        }
    }
}

/// Whether a side has a newer sample.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Fresh,
    /// The next scrape is not due, or just late.
    NotYet,
    /// Nothing is known, and why.
    Missing(String),
}

/// One series of one tick, while it is added up.
#[derive(Clone, Debug, Default)]
struct Sums {
    canary: Count,
    worst_pods: Vec<PodCount>,
    stable: Vec<Count>,
}

impl Sums {
    fn add(&mut self, pod: &PodSample, count: Count) {
        match pod.role {
            Role::Canary => {
                self.canary = self.canary.plus(count);
                if count.bad() > 0.0 {
                    self.worst_pods.push(PodCount {
                        pod: pod.pod.clone(),
                        count,
                    });
                }
            }
            Role::Stable => self.stable.push(count),
        }
    }

    fn into_tick(mut self) -> SeriesTick {
        self.worst_pods
            .sort_by(|a, b| b.count.bad().total_cmp(&a.count.bad()));
        self.worst_pods.truncate(NAMED_PODS);
        SeriesTick {
            canary: self.canary,
            stable: self.stable.iter().copied().sum(),
            spread: Spread::of(&self.stable),
            worst_pods: self.worst_pods,
        }
    }
}

#[cfg(test)]
mod tests;
