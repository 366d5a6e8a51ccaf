//! The last counters of one pod, and the rules by which its increments are taken.

use jiff::{SignedDuration, Timestamp};

use super::{PodSample, Rules, Skip};
use crate::analysis::{Count, Real};

/// A process that has run this long beyond its start without a counter falling has shown that it keeps them.
const RESET_WINDOW: SignedDuration = SignedDuration::from_secs(60);

/// What is remembered of one pod.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Start of the process that counted `base`.
    started_at: Timestamp,
    /// First readiness that was seen: a pod that turns unready because it fails goes on counting.
    ready_at: Option<Timestamp>,
    /// What is counted from.
    base: Base,
}

#[derive(Clone, Debug)]
enum Base {
    /// It has counted nothing before: everything it shows is new.
    Zero,
    /// Its counters are not known: the first sample only gives the base.
    Unknown,
    /// Counters of the last sample, and its time.
    Counters {
        sampled_at: Timestamp,
        highest: Vec<Highest>,
    },
}

/// Highest counters of one series.
#[derive(Clone, Copy, Debug, Default)]
struct Highest {
    bad: Real,
    total: Real,
}

/// Increments of one pod, one per series; empty if there are none to count.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    pub(super) increments: Vec<Count>,
    pub(super) skip: Option<Skip>,
}

impl Entry {
    /// A pod at the first look. Without counters it is remembered only if they can have begun at zero since.
    pub(super) fn baseline(pod: &PodSample, began_at: Timestamp) -> Option<Self> {
        let base = match pod.sampled_at {
            Some(sampled_at) => Base::at(sampled_at, pod),
            None if pod.started_at >= began_at => Base::Zero,
            None => return None,
        };
        Some(Self::new(pod, base))
    }

    /// A pod that was not known at the last look, which was at `from`.
    pub(super) fn appeared(pod: &PodSample, from: Timestamp, began_at: Timestamp) -> Self {
        let without_counters_so_far = pod.sampled_at.is_none() && pod.started_at >= began_at;
        let base = if pod.started_at >= from || without_counters_so_far {
            Base::Zero
        } else {
            Base::Unknown
        };
        Self::new(pod, base)
    }

    fn new(pod: &PodSample, base: Base) -> Self {
        Self {
            started_at: pod.started_at,
            ready_at: pod.ready_at,
            base,
        }
    }

    pub(super) fn sampled_at(&self) -> Option<Timestamp> {
        match &self.base {
            Base::Counters { sampled_at, .. } => Some(*sampled_at),
            Base::Zero | Base::Unknown => None,
        }
    }

    /// The increments up to this sample, which becomes the base of the next ones.
    pub(super) fn take(&mut self, pod: &PodSample, rules: &Rules) -> Taken {
        self.ready_at = match (self.ready_at, pod.ready_at) {
            (Some(known), Some(now)) => Some(known.min(now)),
            (known, now) => known.or(now),
        };
        let Some(sampled_at) = pod.sampled_at else {
            return Taken::default();
        };
        let since = self.sampled_at();
        if since.is_some_and(|last| sampled_at <= last) {
            return Taken::default();
        }
        let (increments, skip) = self.difference(pod, sampled_at);
        if self.was_warm(since, pod, rules) {
            Taken { increments, skip }
        } else {
            Taken {
                increments: Vec::new(),
                skip: Some(skip.unwrap_or(Skip::Warming)),
            }
        }
    }

    fn difference(&mut self, pod: &PodSample, sampled_at: Timestamp) -> (Vec<Count>, Option<Skip>) {
        let next = Base::at(sampled_at, pod);
        match std::mem::replace(&mut self.base, next) {
            Base::Zero => {
                self.started_at = pod.started_at;
                (pod.counters.clone(), None)
            }
            Base::Unknown => {
                self.started_at = pod.started_at;
                (Vec::new(), Some(Skip::Unknown))
            }
            Base::Counters { highest, .. } if highest.len() != pod.counters.len() => {
                self.started_at = pod.started_at;
                (Vec::new(), Some(Skip::Changed))
            }
            Base::Counters { highest, .. } => self.since(&highest, pod, sampled_at),
        }
    }

    fn since(
        &mut self,
        highest: &[Highest],
        pod: &PodSample,
        sampled_at: Timestamp,
    ) -> (Vec<Count>, Option<Skip>) {
        let pairs = || highest.iter().zip(&pod.counters);
        let fell = pairs().any(|(last, now)| last.is_above(*now));
        let restarted = pod.started_at > self.started_at;
        if fell && restarted {
            self.started_at = pod.started_at;
            return (pod.counters.clone(), None);
        }
        if restarted && sampled_at.duration_since(pod.started_at) > RESET_WINDOW {
            self.started_at = pod.started_at;
        }
        let increments = pairs().map(|(last, now)| last.to(*now)).collect();
        if fell {
            let kept = pairs().map(|(last, now)| last.or_higher(*now)).collect();
            self.base = Base::Counters {
                sampled_at,
                highest: kept,
            };
        }
        (increments, fell.then_some(Skip::Fell))
    }

    /// Whether all that was counted since `since` is from a warm pod.
    fn was_warm(&self, since: Option<Timestamp>, pod: &PodSample, rules: &Rules) -> bool {
        if rules.warmup.is_zero() {
            return true;
        }
        let Ok(warmup) = SignedDuration::try_from(rules.warmup) else {
            return false;
        };
        let since = since.unwrap_or(pod.started_at);
        self.ready_at
            .and_then(|ready| ready.checked_add(warmup).ok())
            .is_some_and(|warm_from| since >= warm_from)
    }
}

impl Base {
    fn at(sampled_at: Timestamp, pod: &PodSample) -> Self {
        let highest = pod.counters.iter().map(|count| Highest::of(*count));
        Self::Counters {
            sampled_at,
            highest: highest.collect(),
        }
    }
}

impl Highest {
    fn of(count: Count) -> Self {
        Self {
            bad: Real::new(count.bad()),
            total: Real::new(count.total()),
        }
    }

    fn is_above(self, now: Count) -> bool {
        self.bad.get() > now.bad() || self.total.get() > now.total()
    }

    fn to(self, now: Count) -> Count {
        Count::new(now.bad() - self.bad.get(), now.total() - self.total.get())
    }

    fn or_higher(self, now: Count) -> Self {
        let now = Self::of(now);
        Self {
            bad: self.bad.max(now.bad),
            total: self.total.max(now.total),
        }
    }
}
