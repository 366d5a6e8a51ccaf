//! A DaemonSet as decisions look at it: one ReplicaSet for each of its revisions, and a pod for each node.
//!
//! A DaemonSet has no partition. With the update strategy `OnDelete` it keeps the pods that it has, so that is its hold; but every pod
//! that it makes is of its template, whatever came to the node that it is for. So while it is held, the stable revision counts as what
//! it runs by itself, and pods of the template's revision are the candidate's, also those that nobody asked for. With
//! `RollingUpdate` the template's revision is the workload's own, and all others are on their way out.
//!
//! Nodes have an order, which is the shell's to make: the highest places are the first to change. Nodes that are not ready are left out
//! of an observation with their pods: nothing on them gets ready or goes, and that is no version's doing.
//!
//! Invariant: this tells what is there. What should be done is decided elsewhere.

use super::{
    observed::{Deployment, Owner, ReplicaSet, Template},
    revisions::{Member, Revision, fill},
};

/// What a DaemonSet says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Whether `spec.updateStrategy.type` is `OnDelete`.
    pub held: bool,
    /// `status.desiredNumberScheduled`.
    pub desired: i32,
    /// The template of the spec, if its controller has seen the newest spec.
    pub template: Option<Template>,
    /// `status.currentNumberScheduled`.
    pub total: i32,
    /// `status.numberReady`.
    pub ready: i32,
    /// `status.numberAvailable`.
    pub available: i32,
    /// `status.updatedNumberScheduled`.
    pub updated: i32,
}

/// Its pods, one by one, on nodes that are ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crew {
    /// The pods.
    pub members: Vec<Member>,
    /// Nodes that are to run it and are not ready.
    pub nodes_lost: i32,
}

/// What is known of its versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known<'a> {
    /// The revision that is verified.
    pub stable: Option<&'a str>,
    /// The revision that is being promoted, or that bakes.
    pub promoted: Option<&'a str>,
}

impl Daemon {
    /// Whether it rolls by itself and every node runs an available pod of the template's revision, so that nobody has to look at the
    /// pods.
    pub const fn is_uniform(&self) -> bool {
        self.template.is_some()
            && !self.held
            && self.updated == self.desired
            && self.total == self.desired
            && self.available == self.desired
    }

    /// The newest revision of the template; `revisions` are from the oldest to the newest.
    fn update<'a>(&self, revisions: &'a [Revision]) -> Option<&'a str> {
        let template = self.template.as_ref()?;
        let same = |revision: &&Revision| revision.template.digest == template.digest;
        revisions
            .iter()
            .rfind(same)
            .map(|revision| revision.name.as_str())
    }

    /// Puts the numbers of nodes and pods into `view`.
    pub fn count(&self, view: &mut Deployment, revisions: &[Revision], crew: Option<&Crew>) {
        (view.replicas, view.total_replicas) = (self.desired, self.total);
        (view.ready_replicas, view.available_replicas) = (self.ready, self.available);
        view.updated_replicas = self.updated;
        let Some(crew) = crew else { return };
        let update = self.update(revisions);
        let number = |wanted: &dyn Fn(&Member) -> bool| {
            let pods = crew.members.iter().filter(|member| wanted(member));
            i32::try_from(pods.count()).unwrap_or(i32::MAX)
        };
        view.replicas = self.desired.saturating_sub(crew.nodes_lost).max(0);
        view.total_replicas = number(&|_| true);
        view.ready_replicas = number(&|member| member.pod.ready);
        view.available_replicas = number(&|member| member.pod.available);
        view.updated_replicas = number(&|member| Some(member.revision.as_str()) == update);
    }

    /// One ReplicaSet for each revision. `crew` is to be left out only if [`Daemon::is_uniform`].
    pub fn sets(
        &self,
        revisions: &[Revision],
        crew: Option<&Crew>,
        known: Known<'_>,
    ) -> Vec<ReplicaSet> {
        let update = self.update(revisions);
        let lost = crew.map_or(0, |crew| crew.nodes_lost);
        let wanted = self.desired.saturating_sub(lost).max(0);
        let mut sets: Vec<ReplicaSet> = revisions
            .iter()
            .map(|revision| {
                let is_update = Some(revision.name.as_str()) == update;
                let asked = self.template.as_ref().filter(|_| is_update);
                let mut set = revision.empty(asked);
                match crew {
                    Some(crew) => fill(&mut set, &crew.members),
                    None if is_update => {
                        (set.total, set.ready, set.available) =
                            (self.total, self.ready, self.available);
                    }
                    None => {}
                }
                set
            })
            .collect();
        let native = self.native(&sets, update, known);
        for set in &mut sets {
            let name = Some(set.hash.as_str());
            if name == native.as_deref() {
                set.desired = wanted;
            } else if self.held {
                set.desired = set.total;
                if set.total > 0 && name != known.stable && native.is_some() {
                    set.owner = Owner::Rollout;
                }
            }
        }
        sets
    }

    /// The revision that counts as the workload's own.
    fn native(
        &self,
        sets: &[ReplicaSet],
        update: Option<&str>,
        known: Known<'_>,
    ) -> Option<String> {
        let has = |name: &&str| sets.iter().any(|set| set.hash == **name);
        let runs = |name: &str| sets.iter().any(|set| set.hash == name && set.total > 0);
        if !self.held {
            return update.map(str::to_owned);
        }
        let stable = known.stable.filter(has);
        let replaced = known
            .promoted
            .filter(|promoted| runs(promoted) && !stable.is_some_and(runs));
        replaced.or(stable).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests;
