//! What happened between two looks.

use jiff::Timestamp;

use crate::analysis::{Count, dispersion::Spread};

/// What a look adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The first look: what is counted from.
    Baseline,
    /// Increments since the last look.
    Tick(Tick),
    /// There was no scrape since the last look. Nothing is lost by it: the next tick spans both.
    Unchanged,
    /// There are no pods to compare with, as after a promotion.
    NoBaseline,
    /// Nothing can be counted now. Nothing is lost by it: the next tick spans the gap.
    NoData {
        /// What was missing, and what to check.
        why: String,
    },
}

/// Increments of all series between two looks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tick {
    /// Time of the look before.
    pub from: Timestamp,
    /// Time of this look.
    pub to: Timestamp,
    /// One entry per series: one for errors, one per bucket bound for a whole histogram.
    pub series: Vec<SeriesTick>,
    /// Canary pods that counted any event.
    pub canary_pods: u32,
    /// Stable pods that counted any event.
    pub stable_pods: u32,
    /// What was left out, and why.
    pub skipped: Vec<Skipped>,
}

/// Increments of one series.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeriesTick {
    /// Of all canary pods.
    pub canary: Count,
    /// Of all stable pods.
    pub stable: Count,
    /// How unevenly the bad events fell on the stable pods.
    pub spread: Spread,
    /// Canary pods with the most bad events, worst first; at most eight.
    pub worst_pods: Vec<PodCount>,
}

/// Increments of one pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodCount {
    /// The pod.
    pub pod: String,
    /// Its events.
    pub count: Count,
}

/// A pod whose counters were not counted in full.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Skipped {
    /// The pod.
    pub pod: String,
    /// Its side.
    pub role: super::Role,
    /// Why.
    pub skip: Skip,
}

/// Why a pod's counters were not counted in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skip {
    /// It is not warm yet.
    Warming,
    /// Its newest sample is older than two scrapes; what it counts meanwhile comes later.
    Stale,
    /// It is ready and has no counters: it is not scraped, or the series lack its name.
    NoCounters,
    /// A counter fell although the process was not restarted; the highest value stands until it is passed again.
    Fell,
    /// It was there before the first look and has its first sample now: it counts from here on.
    Unknown,
    /// Its series differ in number from what was seen before.
    Changed,
}
