//! What is expected of the true state.

use belay_engine::{
    quarantine,
    rollout::{
        observed::Hold,
        status::{Phase, Track},
    },
};

use super::cluster::{Cluster, SimPod};

impl Cluster {
    /// Nobody has anything to do before time goes on: a candidate has the nodes of its step and no others.
    pub(super) fn check_quiet(&mut self) {
        let status = &self.status;
        let candidate = status.candidate.as_ref();
        let on_trial = candidate.filter(|candidate| candidate.track == Track::Steps);
        let (Phase::Progressing, Some(_), Some(allowed), Some(stable)) = (
            status.phase,
            on_trial,
            status.candidate_replicas,
            self.stable(),
        ) else {
            return;
        };
        let others = self.pods().filter(|pod| pod.content != stable).count();
        let others = i32::try_from(others).unwrap_or(i32::MAX);
        if others > allowed {
            self.breaks(
                "nodes_follow_the_step",
                format!("{others} nodes without the stable version in a step of {allowed}"),
            );
        }
    }

    /// Belay is about to delete a pod: on a node of the step, the first nodes first, and one that serves only within the budget.
    pub(super) fn check_removal(&mut self, uid: u64) {
        let Some(pod) = self.pods().find(|pod| pod.uid == uid) else {
            return;
        };
        let serves = |pod: &SimPod| self.ready(pod) && pod.gone_at.is_none();
        let (pod_serves, content) = (serves(pod), pod.content);
        let used = self.nodes.values().filter(|node| node.had_pod).count();
        let missing = used - self.pods().filter(|pod| serves(pod)).count();
        let missing = i32::try_from(missing).unwrap_or(i32::MAX);
        if pod_serves && missing + 1 > self.budget {
            self.breaks(
                "unavailable_budget",
                format!("{} nodes would not be served", missing + 1),
            );
        }
        let phase = self.status.phase;
        if Some(content) == self.stable() && phase != Phase::Progressing {
            self.breaks(
                "stable_pods_go_for_a_step",
                format!("one goes in {phase:?}"),
            );
        }
    }

    /// What comes where Belay deleted a pod for a step is what it was deleted for, unless another template was asked for since.
    pub(super) fn check_made(&mut self, number: u32, content: usize, emptied_for: Option<usize>) {
        let same = emptied_for.is_some_and(|wanted| wanted == self.spec.content);
        if self.status.phase == Phase::Progressing
            && same
            && Some(content) == self.stable()
            && emptied_for != Some(content)
        {
            self.breaks(
                "comes_as_the_candidate",
                format!("node {number} was emptied for {emptied_for:?} and gets {content}"),
            );
        }
    }

    fn stable(&self) -> Option<usize> {
        let stable = self.status.stable.as_ref()?;
        self.index(stable.digest.as_str())
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
        let asked = &self.content(self.spec.content).template.digest;
        if self.finished {
            return match (self.labelled, self.spec.held) {
                (true, _) => Err("the label is left behind".to_owned()),
                (_, true) => Err("the strategy is not given back".to_owned()),
                (false, false) => Ok(()),
            };
        }
        let stable = status.stable.as_ref().ok_or("no stable version")?;
        let content = self.stable();
        if content.is_none_or(|index| self.content(index).ready_after.is_none()) {
            // What Belay found as the first version does not work: there is nothing good to come back to.
            return Ok(());
        }
        let held = match (status.phase, self.hold) {
            (Phase::Healthy, Hold::Admission) => false,
            (Phase::Healthy, Hold::AlwaysPaused) | (Phase::Rejected, _) => true,
            (phase, _) => return Err(format!("ended {phase:?}, waiting for {waits:?}")),
        };
        if self.spec.held != held {
            return Err(format!("{:?} with {:?}", status.phase, self.spec));
        }
        let rejected = status.phase == Phase::Rejected;
        if !rejected && *asked != stable.digest {
            return Err("healthy with another template than the stable one".to_owned());
        }
        if rejected && quarantine::find(&status.quarantine, asked).is_none() {
            return Err("rejected without a quarantine".to_owned());
        }
        // Held, it makes pods of the rejected template on nodes that need one: a DaemonSet has no other.
        let other = self.nodes.iter().find(|(_, node)| {
            !node.pod.as_ref().is_some_and(|pod| {
                (Some(pod.content) == content && self.ready(pod))
                    || (rejected && pod.content == self.spec.content)
            })
        });
        match other {
            Some((number, node)) => Err(format!("node {number} ends as {node:?}")),
            None => Ok(()),
        }
    }
}
