//! The DaemonSet between Belay and the cluster: what Belay reads of it, and what the API server makes of Belay's effects.
//!
//! The DaemonSet is as Belay's watch has it, its pods and the preconditions of writes are as they are. Deliberately absent:
//! effects that are the same for every kind of workload.

use belay_engine::{
    rollout::{
        Effect,
        nodes::{Crew, Daemon, Known},
        observed::{Deployment, Kind},
        status::Phase,
    },
    traffic::Seen,
};

use super::cluster::Cluster;
use crate::small::Objects;

impl Cluster {
    pub(super) fn seen_objects(&self) -> Objects {
        let (core, spec, reported) = (&self.core, &self.view.spec, &self.view.reported);
        let template = core.content(spec.content).template.clone();
        let seen = reported.observed_generation == spec.generation;
        let daemon = Daemon {
            held: spec.held,
            desired: reported.desired,
            template: seen.then(|| template.clone()),
            total: reported.total,
            ready: reported.ready,
            available: reported.ready,
            updated: reported.updated,
        };
        let revisions = core.revisions(revision);
        let crew = (!daemon.is_uniform()).then(|| self.crew());
        let status = &core.status;
        let promoted = status
            .candidate
            .as_ref()
            .filter(|_| matches!(status.phase, Phase::Promoting | Phase::Baking));
        let known = Known {
            stable: status.stable.as_ref().map(|stable| stable.hash.as_str()),
            promoted: promoted.map(|candidate| candidate.version.hash.as_str()),
        };
        let mut workload = Deployment {
            generation: spec.generation,
            observed_generation: reported.observed_generation,
            paused: spec.held,
            max_unavailable: self.budget,
            ..self.view.deployment(Kind::DaemonSet, "agent", template)
        };
        daemon.count(&mut workload, &revisions, crew.as_ref());
        Objects {
            sets: daemon.sets(&revisions, crew.as_ref(), known),
            workload,
            traffic: Seen::default(),
        }
    }

    /// The pods, that of the last node first.
    fn crew(&self) -> Crew {
        let nodes = self.nodes.values().rev();
        let pods = nodes.filter_map(|node| node.pod.as_ref()).zip(0..);
        Crew {
            members: pods
                .map(|(pod, place)| {
                    self.core
                        .member(("agent", place), pod, revision(pod.content))
                })
                .collect(),
            nodes_lost: 0,
        }
    }

    pub(super) fn apply_effect(&mut self, effect: &Effect) -> bool {
        if !self.core.admits(effect) {
            return false;
        }
        let core = &mut self.core;
        match effect {
            Effect::Pause { .. } => {
                core.spec.held = true;
                core.changed("held");
            }
            Effect::Resume { .. } => {
                core.spec.held = false;
                core.changed("let roll");
            }
            Effect::RestoreTemplate { digest, .. } => {
                core.spec.content = core.index(digest).unwrap_or(0);
                core.spec.held = false;
                core.changed("restored");
            }
            Effect::Stamp { stamp, .. } => {
                core.check_stamp(stamp.as_ref());
                core.spec.content = core.variant(core.spec.content, stamp.as_ref());
                core.spec.held = true;
                core.changed("stamped");
            }
            Effect::RemovePod { uid, .. } => self.remove(uid),
            Effect::LetGo { resume, .. } => {
                core.labelled = false;
                core.spec.held &= !*resume;
                core.changed("let go");
            }
            other => return core.write(other),
        }
        true
    }

    fn remove(&mut self, uid: &str) {
        let uid = uid.parse().unwrap_or_default();
        self.check_removal(uid);
        let candidate = self.core.status.candidate.as_ref();
        let wanted = candidate.and_then(|c| self.core.index(&c.version.digest));
        let now = self.core.seconds;
        let pods = self.nodes.values_mut().filter_map(|n| n.pod.as_mut());
        for pod in pods.filter(|pod| pod.uid == uid) {
            pod.delete(now);
            pod.removed = wanted;
        }
        self.core.happens(&format!("Belay deletes {uid}"));
    }
}

fn revision(content: usize) -> String {
    format!("rev{content}")
}
