//! The StatefulSet between Belay and the cluster: what Belay reads of it, and what the API server makes of Belay's effects.
//!
//! Everything is as it is at that moment. Deliberately absent: routes and Services, and effects that are the same for every
//! kind of workload.

use belay_engine::rollout::{
    Effect,
    observed::{Deployment, Kind},
    revisions::{HELD, Member, Stateful},
    status::Phase,
};

use super::{cluster::Cluster, roads::revision};
use crate::small::Objects;

impl Cluster {
    pub(super) fn seen_objects(&self) -> Objects {
        let core = &self.core;
        let (spec, reported) = (&core.spec, &core.reported);
        let template = core.content(spec.content).template.clone();
        let seen = reported.observed_generation == spec.generation;
        let stateful = Stateful {
            replicas: spec.replicas,
            partition: spec.partition,
            current: reported.current.map(revision).unwrap_or_default(),
            update: reported.update.map(revision).unwrap_or_default(),
            template: seen.then(|| template.clone()),
            total: reported.total,
            ready: reported.ready,
            available: reported.ready,
            updated: reported.updated,
        };
        let revisions = core.revisions(revision);
        let members = (!stateful.is_uniform()).then(|| self.members());
        let stable = core.status.stable.as_ref();
        let stable = stable.map(|stable| stable.hash.as_str());
        Objects {
            sets: stateful.sets(&revisions, members.as_deref(), stable),
            workload: Deployment {
                generation: spec.generation,
                observed_generation: reported.observed_generation,
                paused: spec.partition > 0,
                partition: spec.partition,
                max_unavailable: 1,
                replicas: spec.replicas,
                total_replicas: reported.total,
                updated_replicas: reported.updated,
                ready_replicas: reported.ready,
                available_replicas: reported.ready,
                ..core.view().deployment(Kind::StatefulSet, "db", template)
            },
            traffic: self.seen_traffic(),
        }
    }

    fn members(&self) -> Vec<Member> {
        let pods = self.pods.iter();
        pods.map(|(place, pod)| self.core.member(("db", *place), pod, revision(pod.content)))
            .collect()
    }

    pub(super) fn apply_effect(&mut self, effect: &Effect) -> bool {
        if !self.core.admits(effect) {
            return false;
        }
        match effect {
            Effect::Pause { .. } => self.roll_from(HELD, "held"),
            Effect::MovePartition {
                digest, partition, ..
            } => {
                if !self.core.asks_for(digest) {
                    return false;
                }
                self.roll_from(*partition, "partition");
            }
            Effect::Resume { .. } => {
                self.check_rolls(self.core.spec.content);
                self.roll_from(0, "let roll");
            }
            Effect::RestoreTemplate { digest, .. } => {
                let content = self.core.index(digest).unwrap_or(0);
                self.check_rolls(content);
                self.core.spec.content = content;
                self.roll_from(0, "restored");
            }
            Effect::Stamp { stamp, .. } => {
                self.core.check_stamp(stamp.as_ref());
                let content = self.core.spec.content;
                self.core.spec.content = self.core.variant(content, stamp.as_ref());
                self.roll_from(HELD, "stamped");
            }
            Effect::RemovePod { uid, .. } => self.remove(uid),
            Effect::LetGo { resume, .. } => {
                self.core.labelled = false;
                let partition = self.core.spec.partition;
                self.roll_from(if *resume { 0 } else { partition }, "let go");
            }
            other => return self.core.write(other),
        }
        true
    }

    fn roll_from(&mut self, partition: i32, what: &str) {
        self.core.spec.partition = partition;
        self.core.changed(what);
    }

    fn remove(&mut self, uid: &str) {
        self.check_removal(uid);
        self.check_served(uid);
        let rolls_back = self.core.status.phase == Phase::RollingBack;
        for pod in self.pods.values_mut() {
            if pod.uid.to_string() == *uid {
                pod.delete(self.core.seconds);
                pod.removed = rolls_back;
            }
        }
        self.core.happens(&format!("Belay deletes {uid}"));
    }
}
