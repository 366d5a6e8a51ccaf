//! A StatefulSet as decisions look at it: one ReplicaSet for each of its revisions.
//!
//! A StatefulSet runs two revisions: below the partition the current one, which is that of its last complete rolling update, and
//! from the partition on that of its template. So with a partition above zero the current revision is what it comes back to by
//! itself, as a paused Deployment does to its one active ReplicaSet; the template's is the candidate, and Belay's to say how far
//! it goes. With the partition at zero the template's revision is the workload's own, and all others are on their way out.
//!
//! Invariant: this tells what is there. What should be done is decided elsewhere.

use super::observed::{Owner, Pod, ReplicaSet, Template};

/// A partition above every place that a StatefulSet can be scaled to: the hold. One at the number of replicas would not do, for
/// pods that are added by scaling would be of the new template.
pub const HELD: i32 = i32::MAX;

/// What a StatefulSet says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stateful {
    /// `spec.replicas`.
    pub replicas: i32,
    /// `spec.updateStrategy.rollingUpdate.partition`.
    pub partition: i32,
    /// `status.currentRevision`.
    pub current: String,
    /// `status.updateRevision`.
    pub update: String,
    /// The template of the spec, if `status.updateRevision` is its revision: the controller has seen the newest spec.
    pub template: Option<Template>,
    /// `status.replicas`.
    pub total: i32,
    /// `status.readyReplicas`.
    pub ready: i32,
    /// `status.availableReplicas`.
    pub available: i32,
    /// `status.updatedReplicas`.
    pub updated: i32,
}

/// A revision that its history keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Name of the `ControllerRevision`, and the pods' label `controller-revision-hash`.
    pub name: String,
    /// Its template.
    pub template: Template,
}

impl Revision {
    /// It as a ReplicaSet of the workload's own, without pods so far; with the template `asked` for, if it is that one's revision: the
    /// same content, but as the API server has it now.
    pub(super) fn empty(&self, asked: Option<&Template>) -> ReplicaSet {
        ReplicaSet {
            name: self.name.clone(),
            uid: self.name.clone(),
            resource_version: String::new(),
            owner: Owner::Deployment,
            template: asked.unwrap_or(&self.template).clone(),
            hash: self.name.clone(),
            desired: 0,
            total: 0,
            ready: 0,
            available: 0,
            terminating: false,
            problem: None,
            pods: Vec::new(),
        }
    }
}

/// A pod and its revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The pod.
    pub pod: Pod,
    /// Name of its revision.
    pub revision: String,
}

impl Stateful {
    /// Whether every pod is of the template's revision by the StatefulSet's own word, so that nobody has to look at the pods.
    pub fn is_uniform(&self) -> bool {
        self.template.is_some() && self.current == self.update && self.updated == self.total
    }

    /// One ReplicaSet for each revision. `members` are its pods, to be left out only if [`Stateful::is_uniform`]; `stable` is the
    /// revision that is verified.
    pub fn sets(
        &self,
        revisions: &[Revision],
        members: Option<&[Member]>,
        stable: Option<&str>,
    ) -> Vec<ReplicaSet> {
        revisions
            .iter()
            .map(|revision| {
                let asked = self.template.as_ref();
                let mut set = revision.empty(asked.filter(|_| revision.name == self.update));
                match members {
                    Some(members) => fill(&mut set, members),
                    None if revision.name == self.update => {
                        (set.total, set.ready, set.available) =
                            (self.total, self.ready, self.available);
                    }
                    None => {}
                }
                self.own(&mut set, stable);
                set
            })
            .collect()
    }

    /// Whose it is, and how many pods it is to have.
    fn own(&self, set: &mut ReplicaSet, stable: Option<&str>) {
        let native = if self.partition > 0 {
            &self.current
        } else {
            &self.update
        };
        if set.hash == *native {
            set.desired = self.replicas;
            return;
        }
        if self.partition == 0 {
            return;
        }
        let is_update = set.hash == self.update;
        set.desired = if is_update {
            self.replicas.saturating_sub(self.partition).max(0)
        } else {
            0
        };
        let runs = set.desired > 0 || set.total > 0;
        if runs && Some(set.hash.as_str()) != stable {
            set.owner = Owner::Rollout;
        }
    }
}

/// Puts the pods of its revision into a set.
pub(super) fn fill(set: &mut ReplicaSet, members: &[Member]) {
    set.pods = members
        .iter()
        .filter(|member| member.revision == set.hash)
        .map(|member| member.pod.clone())
        .collect();
    set.pods.sort_by_key(|pod| pod.place);
    let count = |wanted: fn(&Pod) -> bool| {
        i32::try_from(set.pods.iter().filter(|pod| wanted(pod)).count()).unwrap_or(i32::MAX)
    };
    let (total, ready, available) = (
        count(|_| true),
        count(|pod| pod.ready),
        count(|pod| pod.available),
    );
    (set.total, set.ready, set.available) = (total, ready, available);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::digest::Digest;

    fn revision(name: &str) -> Revision {
        Revision {
            name: name.to_owned(),
            template: Template::new(Digest::of(&json!(name)), None, name.to_owned()),
        }
    }

    fn member(place: i32, revision: &str) -> Member {
        Member {
            pod: Pod {
                name: format!("db-{place}"),
                uid: format!("{place}-{revision}"),
                place,
                ready: true,
                available: true,
                terminating: false,
            },
            revision: revision.to_owned(),
        }
    }

    fn stateful(partition: i32, current: &str, update: &str) -> Stateful {
        Stateful {
            replicas: 3,
            partition,
            current: current.to_owned(),
            update: update.to_owned(),
            template: Some(revision(update).template),
            total: 3,
            ready: 3,
            available: 3,
            updated: 3,
        }
    }

    fn shown(sets: &[ReplicaSet]) -> Vec<(&str, Owner, i32, i32)> {
        sets.iter()
            .map(|set| (set.hash.as_str(), set.owner, set.desired, set.total))
            .collect()
    }

    #[test]
    fn a_held_template_has_no_pods_and_the_current_revision_all_places() {
        let sets = stateful(HELD, "v1", "v2").sets(
            &[revision("v1"), revision("v2")],
            Some(&[member(0, "v1"), member(1, "v1"), member(2, "v1")]),
            Some("v1"),
        );
        assert_eq!(
            shown(&sets),
            [
                ("v1", Owner::Deployment, 3, 3),
                ("v2", Owner::Deployment, 0, 0)
            ]
        );
    }

    #[test]
    fn above_the_partition_the_templates_revision_is_a_candidate() {
        let members = [member(0, "v1"), member(1, "v1"), member(2, "v2")];
        let sets = stateful(2, "v1", "v2").sets(
            &[revision("v1"), revision("v2")],
            Some(&members),
            Some("v1"),
        );
        assert_eq!(
            shown(&sets),
            [
                ("v1", Owner::Deployment, 3, 2),
                ("v2", Owner::Rollout, 1, 1)
            ]
        );
        assert_eq!(sets.last().unwrap().pods.first().unwrap().place, 2);
    }

    #[test]
    fn without_a_partition_the_templates_revision_is_the_workloads_own() {
        let members = [member(0, "v1"), member(1, "v2"), member(2, "v2")];
        let sets = stateful(0, "v1", "v2").sets(
            &[revision("v1"), revision("v2")],
            Some(&members),
            Some("v1"),
        );
        assert_eq!(
            shown(&sets),
            [
                ("v1", Owner::Deployment, 0, 1),
                ("v2", Owner::Deployment, 3, 2)
            ]
        );
    }

    #[test]
    fn pods_of_a_third_revision_are_nobodys_but_the_stable_ones_are() {
        // Held with v3 after everything ran v2, while v1 is still what was verified last.
        let members = [member(0, "v2"), member(1, "v2"), member(2, "v1")];
        let revisions = [revision("v1"), revision("v2"), revision("v3")];
        let stateful = stateful(HELD, "v2", "v3");
        let sets = stateful.sets(&revisions, Some(&members), Some("v1"));
        assert_eq!(shown(&sets)[0], ("v1", Owner::Deployment, 0, 1));
        let sets = stateful.sets(&revisions, Some(&members), Some("v2"));
        assert_eq!(shown(&sets)[0], ("v1", Owner::Rollout, 0, 1));
    }

    #[test]
    fn at_rest_nobody_looks_at_the_pods() {
        let idle = stateful(0, "v1", "v1");
        assert!(idle.is_uniform());
        let sets = idle.sets(&[revision("v1"), revision("v0")], None, Some("v1"));
        assert_eq!(
            shown(&sets),
            [
                ("v1", Owner::Deployment, 3, 3),
                ("v0", Owner::Deployment, 0, 0)
            ]
        );
        assert!(!stateful(HELD, "v1", "v2").is_uniform());
    }
}
