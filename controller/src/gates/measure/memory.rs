//! What is remembered from one look of a gate to the next.
//!
//! Invariant: it belongs to one trial and one question, and is dropped with either. Nothing of it is missed after a restart: the
//! counters are in Prometheus, and what they added up to is on record.

use std::{
    sync::{
        self, Arc, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use belay_engine::analysis::{
    Count,
    burn_rate::Admission,
    ledger::{Ledger, PodSample, Role, Snapshot},
};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::gates::pods::PodWatch;

/// What is remembered of one gate.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// State of a comparison. One look at a time holds it.
    pub(super) comparison: Mutex<Comparison>,
    /// State of a burn rate.
    pub(super) budget: Mutex<Budget>,
    known: OnceLock<Known>,
    /// What is doubtful in its ranges.
    doubts: OnceLock<Vec<String>>,
    /// How often it was tried to find that out.
    tries: AtomicU32,
    /// What was found out about the series.
    found: sync::Mutex<Option<String>>,
    /// Why there are no series, and when that was found out.
    empty: sync::Mutex<Option<(Instant, String)>>,
}

/// State of a burn rate.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// Share of bad events before the trial.
    pub(super) ordinary: Option<f64>,
    /// Share of the budget that is left, and when it was asked.
    pub(super) remaining: Option<(Timestamp, f64)>,
    /// Whether it lets changes through; what is on record until it was judged once.
    pub(super) admission: Option<Admission>,
}

/// Ordinary traffic of the baseline, from before a trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Known {
    /// Events in a second.
    pub(crate) per_second: f64,
    /// Share of the bad ones, of the first series.
    pub(crate) bad_share: f64,
}

impl Known {
    /// What `looks` show; nothing without traffic.
    pub(super) fn of(looks: &[Snapshot]) -> Option<Self> {
        let (first, last) = (looks.first()?, looks.last()?);
        let seconds = last.at.duration_since(first.at).as_secs_f64();
        let grown = |pod: &PodSample| {
            let before = first.pods.iter().find(|before| before.pod == pod.pod)?;
            let (before, after) = (before.counters.first()?, pod.counters.first()?);
            Some(Count::new(
                after.bad() - before.bad(),
                after.total() - before.total(),
            ))
        };
        let grown: Vec<Count> = last.pods.iter().filter_map(grown).collect();
        let all: Count = grown.iter().copied().sum();
        Some(Self {
            per_second: all.total() / seconds,
            bad_share: all.rate()?,
        })
        .filter(|known| known.per_second.is_finite())
    }
}

impl Memory {
    /// Keeps what is known of the ordinary traffic.
    pub(super) fn know(&self, known: Option<Known>) {
        if let Some(known) = known {
            let _ = self.known.set(known);
        }
    }

    /// What is known of the ordinary traffic.
    pub(super) fn known(&self) -> Option<Known> {
        self.known.get().copied()
    }

    /// Keeps what is doubtful in its ranges, which may be nothing.
    pub(super) fn doubt(&self, doubts: Vec<String>) {
        let _ = self.doubts.set(doubts);
    }

    /// What is doubtful in its ranges, once that was found out.
    pub(super) fn doubts(&self) -> Option<&[String]> {
        self.doubts.get().map(Vec::as_slice)
    }

    /// How often it was tried before to find out what is doubtful; counts one more.
    pub(super) fn tried_scrapes(&self) -> u32 {
        self.tries.fetch_add(1, Ordering::Relaxed)
    }

    /// Keeps what was found out about the series.
    pub(super) fn find(&self, found: String) {
        *lock(&self.found) = Some(found);
    }

    /// What was found out about the series.
    pub(super) fn found(&self) -> Option<String> {
        lock(&self.found).clone()
    }

    /// Why there are no series, and when that was found out.
    pub(super) fn empty(&self) -> sync::MutexGuard<'_, Option<(Instant, String)>> {
        lock(&self.empty)
    }
}

fn lock<T>(mutex: &sync::Mutex<T>) -> sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// State of a comparison.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// Last counters of all pods; none before the first look.
    pub(super) ledger: Option<Ledger>,
    /// Watches on the pods of both sides.
    pub(super) pods: Vec<Arc<PodWatch>>,
    newest: Newest,
    scrape_interval: Option<Duration>,
}

/// Newest samples of both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Newest {
    canary: Option<Timestamp>,
    stable: Option<Timestamp>,
}

impl Comparison {
    /// Time between two samples of a pod, as far as looks have shown it: never shorter than it is.
    pub(super) fn scrape_interval(&self) -> Option<Duration> {
        self.scrape_interval
    }

    /// Whether both sides have samples that the last look did not have. Also `true` for a side without any sample: that is for
    /// the ledger to tell.
    pub(super) fn has_news(&self, snapshot: &Snapshot) -> bool {
        let newest = Newest::of(snapshot);
        let is_news =
            |now: Option<Timestamp>, before: Option<Timestamp>| now.is_none() || now > before;
        is_news(newest.canary, self.newest.canary) && is_news(newest.stable, self.newest.stable)
    }

    /// Age of the older of both sides' newest samples.
    pub(super) fn age(snapshot: &Snapshot) -> SignedDuration {
        let newest = Newest::of(snapshot);
        let oldest = [newest.canary, newest.stable].into_iter().flatten().min();
        oldest.map_or(SignedDuration::MAX, |sampled_at| {
            snapshot.at.duration_since(sampled_at)
        })
    }

    /// Remembers the samples of a look.
    pub(super) fn looked(&mut self, snapshot: &Snapshot) {
        let newest = Newest::of(snapshot);
        if let (Some(before), Some(now)) = (self.newest.stable, newest.stable)
            && let Ok(between) = Duration::try_from(now.duration_since(before))
            && !between.is_zero()
        {
            let shortest = self
                .scrape_interval
                .map_or(between, |known| known.min(between));
            self.scrape_interval = Some(shortest);
        }
        self.newest = newest;
    }
}

impl Newest {
    fn of(snapshot: &Snapshot) -> Self {
        let of = |role| {
            let pods = snapshot
                .pods
                .iter()
                .filter(|pod: &&PodSample| pod.role == role);
            pods.filter_map(|pod| pod.sampled_at).max()
        };
        Self {
            canary: of(Role::Canary),
            stable: of(Role::Stable),
        }
    }
}
