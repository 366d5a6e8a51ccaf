//! From measurements to a standing: folds readings into a gate's state.
//!
//! Invariant: failures only ever grow within a candidate's life, and a pass counts for the present step only if it was
//! measured while the step's pods were ready. What a standing leads to is decided elsewhere.

use jiff::Timestamp;

use super::{GatePolicy, GateState, Mode, Reading, Result, Verdict, compare};

/// Readings that may wait in memory before the standing is written down even though nothing changed.
pub(crate) const MAX_PENDING: usize = 32;

/// Which readings count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Readings from before the candidate's first pods were ready say nothing about it. `None`: none counts.
    pub ready_from: Option<Timestamp>,
    /// Passes from here on count for the present step. `None`: its pods are not ready, so none counts.
    pub passes_from: Option<Timestamp>,
    /// Readings from later than this come from a clock that has been set back since.
    pub now: Timestamp,
    /// Gates that compare in the whole rollout: they share one false-rollback rate.
    pub comparing: u32,
    /// Whether there must be stable pods.
    pub stable: Stable,
}

/// Whether there must be stable pods to compare with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stable {
    /// They run beside the canary; without them nothing is known.
    #[default]
    Expected,
    /// Promotion replaces them; without them the comparison is over and what it said stands.
    MayBeGone,
}

/// A standing, and how many readings went into it beyond the persisted one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// The standing.
    pub state: GateState,
    /// Readings that the persisted standing doesn't have.
    pub pending: usize,
}

impl Folded {
    /// Whether the standing says enough beyond the persisted one to be written down. A passing measurement costs no write: it waits in
    /// memory until there is news, or until too much waits.
    pub fn is_worth_writing(&self, known: &GateState) -> bool {
        let state = &self.state;
        let news = known.verdict != state.verdict
            || known.failures != state.failures
            || known.unknown_since != state.unknown_since
            || known.dry_run != state.dry_run
            // A restart must not forget how much is needed again.
            || known.budget_frozen != state.budget_frozen
            // From here on a restart knows from when to count.
            || known.evidence.is_some() != state.evidence.is_some()
            // What a change is held for is told when it begins and when it ends; its numbers may wait.
            || (state.evidence.is_none() && known.message.is_some() != state.message.is_some());
        news || self.is_full() || (self.pending == 0 && known != state)
    }

    /// Whether so much waits in memory that it is to be written down even without news.
    pub fn is_full(&self) -> bool {
        self.pending >= MAX_PENDING
    }
}

impl GateState {
    /// The standing of a gate that was never measured.
    pub fn unmeasured(policy: &GatePolicy) -> Self {
        Self {
            name: policy.name.clone(),
            verdict: Verdict::Continue,
            passes: 0,
            failures: 0,
            consecutive_unknown: 0,
            unknown_since: None,
            measured_at: None,
            value: None,
            message: None,
            evidence: None,
            found: None,
            budget_frozen: false,
            dry_run: policy.mode == Mode::DryRun,
        }
    }

    /// Which of the measurements that count the next one is, from zero: passes in this step and failures so far, as many as are
    /// needed or tolerated. Counted again after a crash it is never higher, so that nothing is measured twice.
    pub fn round(&self, policy: &GatePolicy) -> u32 {
        let passes = self.passes.min(policy.success_count.max(1) - 1);
        passes.saturating_add(self.failures.min(policy.failure_limit))
    }

    /// The standing at the start of a new step: passes begin anew, failures stay.
    #[must_use]
    pub fn for_new_step(mut self) -> Self {
        self.passes = 0;
        if self.verdict == Verdict::Pass {
            self.verdict = Verdict::Continue;
        }
        if let Some(evidence) = &mut self.evidence {
            evidence.begin_step();
        }
        self
    }
}

/// Folds the readings of one gate that are newer than `state` into it.
pub fn fold(
    policy: &GatePolicy,
    state: &GateState,
    readings: &[Reading],
    window: Window,
) -> Folded {
    let mut folded = Folded {
        state: sane(state, window.now),
        pending: 0,
    };
    folded.state.dry_run = policy.mode == Mode::DryRun;
    let comparison = policy.method.comparison();
    match comparison {
        Some(rules) => compare::under_present_rules(rules, &mut folded.state, window),
        None => under_present_rules(policy, &mut folded.state),
    }
    for reading in readings
        .iter()
        .filter(|reading| reading.gate == policy.name)
    {
        let newer = folded
            .state
            .measured_at
            .is_none_or(|seen| reading.at > seen);
        let about_it = window.ready_from.is_some_and(|from| reading.at >= from);
        if newer && about_it && reading.at <= window.now {
            if reading.found.is_some() {
                folded.state.found.clone_from(&reading.found);
            }
            match comparison {
                Some(rules) => compare::count(rules, &mut folded.state, reading, window),
                None => count(policy, &mut folded.state, reading, window.passes_from),
            }
            folded.pending += 1;
        }
    }
    folded
}

/// A standing from the future (the clock was set back) is not comparable with new readings: only its failures stay.
fn sane(state: &GateState, now: Timestamp) -> GateState {
    let mut state = state.clone();
    if state.measured_at.is_some_and(|at| at > now) {
        state = state.for_new_step();
        state.measured_at = Some(now);
        state.unknown_since = state.unknown_since.map(|since| since.min(now));
        if let Some(evidence) = &mut state.evidence {
            evidence.not_after(now);
        }
    }
    state
}

/// The limit may have been edited since the failures were counted.
fn under_present_rules(policy: &GatePolicy, state: &mut GateState) {
    if state.failures > policy.failure_limit {
        state.verdict = Verdict::Fail;
    } else if state.verdict == Verdict::Fail {
        state.verdict = Verdict::Continue;
    }
}

fn count(
    policy: &GatePolicy,
    state: &mut GateState,
    reading: &Reading,
    passes_from: Option<Timestamp>,
) {
    state.measured_at = Some(reading.at);
    if state.failures > policy.failure_limit {
        // Failed for good: the evidence of the failure stays readable.
        return;
    }
    let verdict = match &reading.result {
        Result::Pass { value } => {
            known(state, Some(value), None);
            state.budget_frozen = false;
            if passes_from.is_some_and(|from| reading.at >= from) {
                state.passes = state.passes.saturating_add(1);
            }
            if state.passes >= policy.success_count.max(1) {
                Verdict::Pass
            } else {
                Verdict::Continue
            }
        }
        Result::Fail { value, why } => {
            known(state, Some(value), Some(why));
            state.failures = state.failures.saturating_add(1);
            Verdict::Continue
        }
        Result::Continue { why } => {
            known(state, None, Some(why));
            Verdict::Continue
        }
        Result::Frozen { why } => {
            known(state, None, Some(why));
            state.budget_frozen = true;
            Verdict::Continue
        }
        Result::NoData { why } => unknown(state, reading.at, why, Verdict::NoData),
        Result::Counted(_) | Result::Unchanged | Result::NoBaseline => {
            let why = "counted events were given for a gate that doesn't compare";
            unknown(state, reading.at, why, Verdict::Error)
        }
        Result::Error { why } => unknown(state, reading.at, why, Verdict::Error),
    };
    state.verdict = if state.failures > policy.failure_limit {
        Verdict::Fail
    } else {
        verdict
    };
}

pub(super) fn known(state: &mut GateState, value: Option<&String>, message: Option<&String>) {
    state.consecutive_unknown = 0;
    state.unknown_since = None;
    state.value = value.cloned();
    state.message = message.cloned();
}

pub(super) fn unknown(
    state: &mut GateState,
    at: Timestamp,
    why: &str,
    verdict: Verdict,
) -> Verdict {
    state.consecutive_unknown = state.consecutive_unknown.saturating_add(1);
    state.unknown_since.get_or_insert(at);
    state.value = None;
    state.message = Some(why.to_owned());
    verdict
}

#[cfg(test)]
mod tests;
