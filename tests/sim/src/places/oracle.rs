//! What is expected of the true state.

use belay_engine::{
    quarantine,
    rollout::{
        observed::Hold,
        revisions::HELD,
        status::{Phase, Track},
    },
};

use super::cluster::{Cluster, SimPod};

impl Cluster {
    /// Nobody has anything to do before time goes on: a candidate has the places of its step and no others.
    pub(super) fn check_quiet(&mut self) {
        let status = &self.status;
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
        let content = self.index(candidate.version.digest.as_str());
        let runs = self
            .pods
            .values()
            .filter(|pod| Some(pod.content) == content);
        let runs = i32::try_from(runs.count()).unwrap_or(i32::MAX);
        // Pods that came with a scaling are being replaced one by one.
        let replaced = self.pods.values().any(|pod| pod.gone_at.is_some())
            || self.pods.values().any(|pod| !self.ready(pod));
        if runs > allowed && !replaced {
            self.breaks(
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
        let serves = |pod: &SimPod| self.ready(pod) && pod.gone_at.is_none();
        let serving = self.pods.values().filter(|pod| serves(pod)).count();
        let left = i32::try_from(serving).unwrap_or(i32::MAX) - 1;
        let patient = self.status.rollback.as_ref().is_none_or(|rollback| {
            self.time().duration_since(rollback.at).as_secs()
                < i64::try_from(self.plan.progress_deadline.as_secs()).unwrap_or(i64::MAX)
        });
        if serves(pod) && patient && left < self.spec.replicas - 1 {
            self.breaks(
                "unavailable_budget",
                format!("{left} of {} pods would serve", self.spec.replicas),
            );
        }
    }

    /// What must be true when nothing changes any more.
    pub(super) fn check_settled(&mut self) {
        if let Err(why) = self.settled() {
            self.breaks("eventually_settled", why);
        }
    }

    fn settled(&self) -> Result<(), String> {
        let status = &self.status;
        let waits = status.waiting_for.as_ref().map(|waiting| &waiting.message);
        if self.finished {
            return match self.roads.leftover() {
                _ if self.labelled => Err("the label is left behind".to_owned()),
                Some(left) => Err(left),
                None => Ok(()),
            };
        }
        let stable = status.stable.as_ref().ok_or("no stable version")?;
        let content = self.index(stable.digest.as_str());
        if content.is_none_or(|index| self.content(index).ready_after.is_none()) {
            // What Belay found as the first version does not work: there is nothing good to come back to.
            return Ok(());
        }
        let stuck = |pod: &SimPod| self.content(pod.content).ready_after.is_none();
        if status.phase == Phase::Pending && self.pods.values().any(stuck) {
            // The same of pods that were there before Belay came.
            return Ok(());
        }
        let asked = &self.content(self.spec.content).template.digest;
        let partition = match (status.phase, self.hold) {
            (Phase::Healthy, Hold::Admission) => 0,
            (Phase::Healthy, Hold::AlwaysPaused) | (Phase::Rejected, _) => HELD,
            (phase, _) => return Err(format!("ended {phase:?}, waiting for {waits:?}")),
        };
        if self.spec.partition != partition {
            return Err(format!(
                "{:?} with a partition of {}",
                status.phase, self.spec.partition
            ));
        }
        if status.phase == Phase::Healthy && *asked != stable.digest {
            return Err("healthy with another template than the stable one".to_owned());
        }
        if status.phase == Phase::Rejected && quarantine::find(&status.quarantine, asked).is_none()
        {
            return Err("rejected without a quarantine".to_owned());
        }
        if let Some(left) = self.roads.leftover() {
            return Err(left);
        }
        let other = self
            .pods
            .iter()
            .find(|(_, pod)| Some(pod.content) != content || !self.ready(pod));
        let count = i32::try_from(self.pods.len()).unwrap_or(i32::MAX);
        match other {
            Some((place, pod)) => Err(format!("pod {place} ends as {pod:?}")),
            None if count != self.spec.replicas => Err(format!("{count} pods")),
            None => Ok(()),
        }
    }

    pub(super) fn index(&self, digest: &str) -> Option<usize> {
        self.contents
            .iter()
            .position(|content| content.template.digest.as_str() == digest)
    }
}
