//! What is expected of the true state.

use belay_engine::{
    quarantine,
    rollout::status::{Phase, Track},
};

use super::cluster::Cluster;

impl Cluster {
    /// Nobody has anything to do before time goes on: a candidate has the nodes of its step and no others.
    pub(super) fn check_step(&mut self) {
        let status = &self.core.status;
        let candidate = status.candidate.as_ref();
        let on_trial = candidate.filter(|candidate| candidate.track == Track::Steps);
        let (Phase::Progressing, Some(_), Some(allowed), Some(stable)) = (
            status.phase,
            on_trial,
            status.candidate_replicas,
            self.core.stable(),
        ) else {
            return;
        };
        let others = self.pods().filter(|pod| pod.content != stable).count();
        let others = i32::try_from(others).unwrap_or(i32::MAX);
        if others > allowed {
            self.core.breaks(
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
        let (pod_serves, content) = (self.core.serves(pod), pod.content);
        let used = self.nodes.values().filter(|node| node.had_pod).count();
        let missing = used - self.pods().filter(|pod| self.core.serves(pod)).count();
        let missing = i32::try_from(missing).unwrap_or(i32::MAX);
        // Of a node that its watch has not brought yet, Belay knows nothing.
        let knows_nodes = self.view.reported.desired == self.core.reported.desired;
        if pod_serves && knows_nodes && missing + 1 > self.budget {
            self.core.breaks(
                "unavailable_budget",
                format!("{} nodes would not be served", missing + 1),
            );
        }
        let phase = self.core.status.phase;
        if Some(content) == self.core.stable() && phase != Phase::Progressing {
            self.core.breaks(
                "stable_pods_go_for_a_step",
                format!("one goes in {phase:?}"),
            );
        }
    }

    /// What comes where Belay deleted a pod for a step is what it was deleted for, unless another template was asked for since.
    pub(super) fn check_made(&mut self, number: u32, content: usize, emptied_for: Option<usize>) {
        let same = emptied_for.is_some_and(|wanted| wanted == self.core.spec.content);
        if self.core.status.phase == Phase::Progressing
            && same
            && Some(content) == self.core.stable()
            && emptied_for != Some(content)
        {
            self.core.breaks(
                "comes_as_the_candidate",
                format!("node {number} was emptied for {emptied_for:?} and gets {content}"),
            );
        }
    }

    /// What must be true when nothing changes any more.
    pub(super) fn check_settled(&self) -> Result<(), String> {
        let core = &self.core;
        if core.finished {
            return match (core.labelled, core.spec.held) {
                (true, _) => Err("the label is left behind".to_owned()),
                (_, true) => Err("the strategy is not given back".to_owned()),
                (false, false) => Ok(()),
            };
        }
        if !core.has_good_stable()? {
            return Ok(());
        }
        let phase = core.status.phase;
        if core.spec.held != core.ends_held()? {
            return Err(format!("{phase:?} with {:?}", core.spec));
        }
        core.check_asked()?;
        // Held, it makes pods of the rejected template on nodes that need one: a DaemonSet has no other. Which one,
        // and with which configuration, depends on when the node joined.
        let other = self.nodes.iter().find(|(_, node)| {
            !node.pod.as_ref().is_some_and(|pod| {
                (Some(pod.content) == core.stable() && core.ready(pod))
                    || (phase == Phase::Rejected && self.got_while_rejected(pod.content))
            })
        });
        match other {
            Some((number, node)) => Err(format!("node {number} ends as {node:?}")),
            None => Ok(()),
        }
    }

    /// Whether a node may have got a pod of `content` because no other was asked for.
    fn got_while_rejected(&self, content: usize) -> bool {
        let core = &self.core;
        let digest = &core.content(content).template.digest;
        core.same_base(content, core.spec.content)
            || quarantine::find(&core.status.quarantine, digest).is_some()
    }
}
