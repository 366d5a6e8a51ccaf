//! Statuses that may wait a moment before they are written.
//!
//! Pods become ready, and milliseconds later the first measurement of a gate is in: two changes that nobody acts on are one write.
//! Until then the status lives in memory, and decisions go on from there. Lost with the process, it is decided anew.
//!
//! On the way of a step, pods, endpoints and routers answer one after the other; what is waited for in between is written only if it
//! lasts.
//!
//! Invariant: whatever Belay does, or tells, is on record before: only a change without effects and events may wait, and only
//! as long as phase, step, version on trial, failures, receipts and rollback stay the same. Effects follow without a write where
//! nothing but that sentence differs, for they follow from the rest, which is on record.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use belay_api::Rollout;
use belay_engine::rollout::{Decision, RolloutStatus, reason};
use kube::ResourceExt as _;
use tokio::time::Instant;

/// Longest time that a status waits; shorter than people notice.
const AT_MOST: Duration = Duration::from_millis(250);
/// Longest time that the next thing to wait for is kept to ourselves: answers that come sooner make it needless.
const WORDING_AT_MOST: Duration = Duration::from_secs(2);

/// Statuses in memory, by UID of the Rollout.
#[derive(Debug, Default)]
pub(super) struct Deferred(Mutex<HashMap<String, Entry>>);

#[derive(Debug)]
struct Entry {
    /// Resource version of the Rollout that the status builds on.
    resource_version: Option<String>,
    status: RolloutStatus,
    since: Instant,
}

impl Deferred {
    /// The Rollout with its status in memory, if that builds on this very version of it.
    pub(super) fn carry_on(&self, rollout: &Arc<Rollout>) -> Arc<Rollout> {
        let all = self.lock();
        let entry = rollout.uid().and_then(|uid| all.get(&uid));
        match entry {
            Some(entry) if entry.resource_version == rollout.resource_version() => {
                let mut carried = rollout.as_ref().clone();
                carried.status = Some(entry.status.clone());
                Arc::new(carried)
            }
            _ => Arc::clone(rollout),
        }
    }

    /// Keeps the decided status in memory if it may wait; gives how long. Nothing means: write it.
    pub(super) fn keep(
        &self,
        rollout: &Rollout,
        on_record: &RolloutStatus,
        decision: &Decision,
    ) -> Option<Duration> {
        let uid = rollout.uid()?;
        if !may_wait(on_record, decision) {
            return None;
        }
        let mut all = self.lock();
        let resource_version = rollout.resource_version();
        let since = all
            .get(&uid)
            .filter(|entry| entry.resource_version == resource_version)
            .map_or_else(Instant::now, |entry| entry.since);
        let at_most = if is_wording(on_record, &decision.status) {
            WORDING_AT_MOST
        } else {
            AT_MOST
        };
        let left = at_most.saturating_sub(since.elapsed());
        if left.is_zero() {
            return None;
        }
        let status = decision.status.clone();
        all.insert(
            uid,
            Entry {
                resource_version,
                status,
                since,
            },
        );
        Some(left)
    }

    /// It is written, or as it was, or the Rollout is gone.
    pub(super) fn settle(&self, rollout_uid: &str) {
        self.lock().remove(rollout_uid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the two differ in nothing but what a step's pods and routes still wait for.
fn is_wording(on_record: &RolloutStatus, decided: &RolloutStatus) -> bool {
    let comes = |status: &RolloutStatus| {
        let waiting = status.waiting_for.as_ref();
        waiting.is_some_and(|waiting| [reason::PODS, reason::TRAFFIC].contains(&&*waiting.reason))
    };
    let rest = |status: &RolloutStatus| RolloutStatus {
        waiting_for: None,
        conditions: Vec::new(),
        ..status.clone()
    };
    comes(on_record) && comes(decided) && rest(on_record) == rest(decided)
}

fn may_wait(on_record: &RolloutStatus, decision: &Decision) -> bool {
    let decided = &decision.status;
    let version = |status: &RolloutStatus| status.candidate.as_ref().map(|c| c.version.clone());
    let step = |status: &RolloutStatus| status.step.as_ref().map(|step| step.index);
    let failures = |status: &RolloutStatus| status.gates.iter().map(|g| g.failures).sum::<u32>();
    (decision.effects.is_empty() || is_wording(on_record, decided))
        && decision.events.is_empty()
        && decided.candidate.is_some()
        && decided.phase == on_record.phase
        && decided.stable == on_record.stable
        && version(decided) == version(on_record)
        && step(decided) == step(on_record)
        && failures(decided) == failures(on_record)
        && decided.actions == on_record.actions
        && decided.paused == on_record.paused
        && decided.rollback == on_record.rollback
        && decided.quarantine == on_record.quarantine
        && decided.observed_generation == on_record.observed_generation
}

#[cfg(test)]
mod tests {
    use belay_engine::rollout::status::Waiting;
    use jiff::Timestamp;

    use super::*;

    fn waiting(reason: &str, message: &str) -> RolloutStatus {
        RolloutStatus {
            waiting_for: Some(Waiting {
                reason: reason.to_owned(),
                message: message.to_owned(),
                since: Timestamp::UNIX_EPOCH,
            }),
            ..RolloutStatus::default()
        }
    }

    #[test]
    fn only_what_pods_and_routes_wait_for_is_kept_longer() {
        let written = waiting(reason::PODS, "3 pods must become available.");
        let next = waiting(reason::TRAFFIC, "The router must acknowledge.");
        assert!(is_wording(&written, &next));
        assert!(!is_wording(
            &next,
            &waiting(reason::HOLD, "The step holds.")
        ));
        let given = RolloutStatus {
            weight_percent: Some(10),
            ..next
        };
        assert!(!is_wording(&written, &given));
    }
}
