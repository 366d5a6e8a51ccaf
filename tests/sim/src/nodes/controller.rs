//! The DaemonSet controller, as far as it matters. One call is one sync on the spec that it has seen.
//!
//! Written after Kubernetes 1.36: every node gets a pod of the template; with `RollingUpdate`, pods of other templates that are not
//! available go at once, and others as long as no more than `maxUnavailable` nodes lack an available pod.

use super::cluster::{Cluster, Reported, SimPod};

impl Cluster {
    /// One sync.
    pub(super) fn sync_nodes(&mut self) {
        self.core.see_spec(60);
        let seconds = self.core.seconds;
        let numbers: Vec<u32> = self.nodes.keys().copied().collect();
        for number in numbers {
            let Some(node) = self.nodes.get_mut(&number) else {
                continue;
            };
            let gone = |pod: &mut SimPod| pod.gone_at.is_some_and(|at| at <= seconds);
            if let Some(pod) = node.pod.take_if(gone) {
                node.emptied_for = pod.removed;
                self.core
                    .happens(&format!("the pod of node {number} is gone"));
            } else if node.pod.is_none() {
                self.make(number);
            }
        }
        if !self.core.seen.held {
            self.roll();
        }
        self.report();
    }

    fn make(&mut self, number: u32) {
        let content = self.core.seen.content;
        let pod = self.core.make_pod(content);
        let node = self.nodes.entry(number).or_default();
        node.pod = Some(pod);
        node.had_pod = true;
        let emptied_for = node.emptied_for.take();
        self.check_made(number, content, emptied_for);
        self.core
            .tell(&format!("node {number} gets a pod of {content}"));
    }

    fn roll(&mut self) {
        let content = self.core.seen.content;
        let mut unavailable = 0;
        let mut at_once = Vec::new();
        let mut in_turn = Vec::new();
        for (number, node) in &self.nodes {
            match &node.pod {
                Some(pod) if pod.gone_at.is_some() => unavailable += 1,
                Some(pod) if pod.content == content => {
                    unavailable += i32::from(!self.core.serves(pod));
                }
                Some(pod) if !self.core.serves(pod) => {
                    at_once.push(*number);
                    unavailable += 1;
                }
                Some(_) => in_turn.push(*number),
                None => unavailable += 1,
            }
        }
        let room = usize::try_from(self.budget - unavailable).unwrap_or(0);
        for number in at_once.into_iter().chain(in_turn.into_iter().take(room)) {
            if let Some(pod) = self.nodes.get_mut(&number).and_then(|n| n.pod.as_mut()) {
                pod.delete(self.core.seconds);
            }
            self.core
                .happens(&format!("the pod of node {number} is updated"));
        }
    }

    fn report(&mut self) {
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let content = self.core.seen.content;
        self.core.report(Reported {
            observed_generation: self.core.seen.generation,
            desired: number(self.nodes.len()),
            total: number(self.pods().count()),
            ready: number(self.pods().filter(|pod| self.core.ready(pod)).count()),
            updated: number(self.pods().filter(|pod| pod.content == content).count()),
        });
    }
}
