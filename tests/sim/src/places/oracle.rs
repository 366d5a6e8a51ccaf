//! What is expected of the true state.

use belay_engine::rollout::{
    revisions::HELD,
    status::{Phase, Track},
};

use super::cluster::{Cluster, SimPod};

impl Cluster {
    /// Nobody has anything to do before time goes on: a candidate has the places of its step and no others.
    pub(super) fn check_step(&mut self) {
        let status = &self.core.status;
        let stepping = status.phase == Phase::Progressing
            && status
                .candidate
                .as_ref()
                .is_some_and(|candidate| candidate.track == Track::Steps);
        let (Some(candidate), Some(allowed), true) =
            (&status.candidate, status.candidate_replicas, stepping)
        else {
            return;
        };
        let content = self.core.index(&candidate.version.digest);
        let runs = self
            .pods
            .values()
            .filter(|pod| Some(pod.content) == content);
        let runs = i32::try_from(runs.count()).unwrap_or(i32::MAX);
        // Pods that came with a scaling are being replaced one by one.
        let replaced = self.pods.values().any(|pod| pod.gone_at.is_some())
            || self.pods.values().any(|pod| !self.core.ready(pod));
        if runs > allowed && !replaced {
            self.core.breaks(
                "places_follow_the_step",
                format!("{runs} pods of the candidate in a step of {allowed}"),
            );
        }
    }

    /// Belay is about to delete a pod: one that serves only within the budget, unless a rollback has lasted too long.
    pub(super) fn check_removal(&mut self, uid: &str) {
        let Some(pod) = self.pods.values().find(|pod| pod.uid.to_string() == uid) else {
            return;
        };
        let serving = self
            .pods
            .values()
            .filter(|pod| self.core.serves(pod))
            .count();
        let left = i32::try_from(serving).unwrap_or(i32::MAX) - 1;
        let patient = self.core.status.rollback.as_ref().is_none_or(|rollback| {
            self.core.time().duration_since(rollback.at).as_secs()
                < i64::try_from(self.core.plan.progress_deadline.as_secs()).unwrap_or(i64::MAX)
        });
        if self.core.serves(pod) && patient && left < self.core.spec.replicas - 1 {
            self.core.breaks(
                "unavailable_budget",
                format!("{left} of {} pods would serve", self.core.spec.replicas),
            );
        }
    }

    /// What must be true when nothing changes any more.
    pub(super) fn check_settled(&self) -> Result<(), String> {
        let core = &self.core;
        if core.finished {
            return match self.roads.leftover() {
                _ if core.labelled => Err("the label is left behind".to_owned()),
                Some(left) => Err(left),
                None => Ok(()),
            };
        }
        if !core.has_good_stable()? {
            return Ok(());
        }
        let phase = core.status.phase;
        let stuck = |pod: &SimPod| core.content(pod.content).ready_after.is_none();
        if phase == Phase::Pending && self.pods.values().any(stuck) {
            // The same of pods that were there before Belay came.
            return Ok(());
        }
        let partition = if core.ends_held()? { HELD } else { 0 };
        if core.spec.partition != partition {
            return Err(format!(
                "{phase:?} with a partition of {}",
                core.spec.partition
            ));
        }
        core.check_asked()?;
        if let Some(left) = self.roads.leftover() {
            return Err(left);
        }
        let mut pods = self.pods.iter();
        let other = pods.find(|(_, pod)| Some(pod.content) != core.stable() || !core.ready(pod));
        let count = i32::try_from(self.pods.len()).unwrap_or(i32::MAX);
        match other {
            Some((place, pod)) => Err(format!("pod {place} ends as {pod:?}")),
            None if count != core.spec.replicas => Err(format!("{count} pods")),
            None => Ok(()),
        }
    }
}
