//! Candidates that take the places of stable pods.
//!
//! How far a candidate goes is one number, the partition. What was there before it, or must not be there any more, is pods that
//! Belay deletes: their controller then makes them anew, of the revision that belongs at their place. Pods that serve nothing are
//! deleted at once, for one that never gets ready keeps an ordered StatefulSet from touching any other; pods that serve go one by
//! one, as far as the workload's own budget of unavailable pods allows.
//!
//! Where routes lead requests to a candidate, its serving pods are no longer those that go first: in mid-canary others of it take over
//! before, and on the way back the routes leave before.
//!
//! Invariant: no pod is deleted before its controller has seen the partition and the template that decide what comes in its place;
//! and pods of the stable version are never deleted.

use super::{
    super::{
        Effect,
        observed::{Deployment, Kind, Pod, ReplicaSet},
        reason,
        status::{Candidate, Phase},
    },
    clear,
    clock::after,
    lookup::is_of,
    nodes,
    pass::Pass,
    pods::Pods,
    traffic,
};
use crate::digest::Digest;

/// Whether the workload's controller has seen its newest spec; states that it is waited for if not.
pub(super) fn is_seen(pass: &mut Pass<'_>, deployment: &Deployment) -> bool {
    let known = pass
        .seen
        .sets
        .iter()
        .any(|set| set.template.digest == deployment.template.digest);
    if known && deployment.observed_generation == deployment.generation {
        return true;
    }
    let message = format!(
        "The {} controller must take up the newest template before a candidate begins.",
        deployment.kind.name()
    );
    pass.wait(reason::DEPLOYMENT_CONTROLLER, message);
    false
}

/// Brings the candidate to the `pods` highest places.
pub(super) fn ensure(
    pass: &mut Pass<'_>,
    deployment: &Deployment,
    candidate: &Candidate,
    pods: i32,
) -> Pods {
    if deployment.kind == Kind::DaemonSet {
        return nodes::ensure(pass, deployment, candidate, pods);
    }
    let native = pass.seen.native_of(&deployment.template.digest);
    if native.is_some_and(|set| set.desired > 0) && pass.stable_desired() == 0 {
        return Pods::Native;
    }
    let partition = deployment.replicas.saturating_sub(pods);
    if deployment.partition != partition {
        pass.effect(Effect::MovePartition {
            digest: deployment.template.digest.clone(),
            resource_version: deployment.resource_version.clone(),
            partition,
        });
        return Pods::Missing(deployment.problem.clone());
    }
    if deployment.observed_generation != deployment.generation {
        return Pods::Missing(deployment.problem.clone());
    }
    let own = pass
        .seen
        .sets
        .iter()
        .find(|set| is_of(set, &candidate.version));
    let available = own.map_or(0, |set| {
        set.pods
            .iter()
            .filter(|pod| pod.available && pod.place >= partition)
            .count()
    });
    let ready = i32::try_from(available).is_ok_and(|available| available >= pods);
    // Pods of other versions, and the candidate's own where it was before its workload was scaled up. From the partition on the
    // workload's controller replaces them by itself.
    let seen = pass.seen;
    let mut others = Vec::new();
    for set in seen.candidates() {
        let free = if is_of(set, &candidate.version) {
            ready || pass.next.traffic.is_none()
        } else {
            traffic::may_lose(pass, set)
        };
        others.extend(losable(set, free, partition));
    }
    take_away(pass, deployment, others);
    if ready {
        Pods::Ready
    } else {
        Pods::Missing(own.and_then(|set| set.problem.clone()))
    }
}

/// Takes away the pods of all revisions that are neither the workload's own nor `keep`; says whether there are none left.
pub(super) fn remove(pass: &mut Pass<'_>, deployment: &Deployment, keep: Option<&Digest>) -> bool {
    if deployment.kind == Kind::DaemonSet {
        return nodes::remove(pass, deployment, keep);
    }
    // Nothing is on trial: held only in part, pods that are added later would be of this template.
    let part = deployment.paused && !deployment.is_held();
    if part && keep.is_none() && !pass.asks_for_stable(deployment) {
        pass.pause(deployment);
        return false;
    }
    let going: Vec<&ReplicaSet> = pass
        .seen
        .candidates()
        .filter(|set| Some(&set.template.digest) != keep)
        .collect();
    if going.is_empty() {
        return true;
    }
    if deployment.observed_generation == deployment.generation {
        // With the stable template, what comes in their place is stable wherever the partition is; and a pod that never gets ready
        // would keep an ordered StatefulSet from replacing it.
        let partition = if pass.asks_for_stable(deployment) {
            i32::MAX
        } else {
            deployment.partition
        };
        let mut pods = Vec::new();
        for set in going {
            let free = traffic::may_lose(pass, set);
            pods.extend(losable(set, free, partition));
        }
        take_away(pass, deployment, pods);
    }
    false
}

/// Pods below the partition that may be deleted: all if the set is `free` of requests, else those that get none.
fn losable(set: &ReplicaSet, free: bool, partition: i32) -> impl Iterator<Item = &Pod> {
    let below = set.pods.iter().filter(move |pod| pod.place < partition);
    below.filter(move |pod| free || !pod.ready)
}

/// Whether the workload may roll by itself to the stable template that it has: not while routes are led and pods of the candidate are
/// left, for its controller asks nobody before it takes them.
pub(super) fn may_roll(pass: &Pass<'_>) -> bool {
    pass.next.traffic.is_none() || pass.seen.candidates().next().is_none()
}

/// Deletes what keeps the workload from going back by itself to the stable template: pods of other versions that are not available. Says whether there
/// are none.
pub(super) fn free(pass: &mut Pass<'_>, deployment: &Deployment) -> bool {
    if !pass.asks_for_stable(deployment) {
        return false;
    }
    if deployment.kind == Kind::DaemonSet {
        // Its own controller replaces pods that serve nothing first.
        return true;
    }
    let stable = pass.stable_set().map(|set| set.name.as_str());
    let ready = deployment.observed_generation == deployment.generation;
    let broken: Vec<&Pod> = pass
        .seen
        .sets
        .iter()
        .filter(|set| Some(set.name.as_str()) != stable)
        .flat_map(|set| &set.pods)
        .filter(|pod| !pod.available)
        .collect();
    for pod in broken.iter().filter(|pod| ready && !pod.terminating) {
        delete(pass, pod);
    }
    broken.is_empty() && ready
}

/// Whether the stable version has all its pods back after a rollback, or had a progress deadline's time for it.
pub(super) fn is_back(pass: &mut Pass<'_>, deployment: &Deployment) -> bool {
    if deployment.kind == Kind::DaemonSet {
        // A newer version may have taken over its nodes.
        return true;
    }
    let whole = pass
        .stable_set()
        .is_some_and(|set| set.available >= deployment.replicas);
    whole || is_over(pass)
}

/// Whether a rollback has had its time.
fn is_over(pass: &mut Pass<'_>) -> bool {
    let Some(rollback) = pass
        .next
        .rollback
        .as_ref()
        .filter(|_| pass.next.phase == Phase::RollingBack)
    else {
        return false;
    };
    let until = after(rollback.at, clear::progress_deadline(pass));
    pass.wake(until);
    pass.now >= until
}

/// Deletes these pods: those that serve nothing at once, others within the workload's own budget, the highest places first.
pub(super) fn take_away(pass: &mut Pass<'_>, deployment: &Deployment, mut pods: Vec<&Pod>) {
    let available: i32 = pass
        .seen
        .sets
        .iter()
        .fold(0, |sum, set| sum.saturating_add(set.available));
    let missing = deployment.replicas.saturating_sub(available).max(0);
    let room = if is_over(pass) {
        deployment.replicas
    } else {
        deployment.max_unavailable.saturating_sub(missing).max(0)
    };
    pods.sort_by_key(|pod| std::cmp::Reverse(pod.place));
    let (serving, broken): (Vec<&Pod>, Vec<&Pod>) = pods
        .into_iter()
        .filter(|pod| !pod.terminating)
        .partition(|pod| pod.available);
    let room = usize::try_from(room).unwrap_or(0);
    for pod in broken.into_iter().chain(serving.into_iter().take(room)) {
        delete(pass, pod);
    }
}

fn delete(pass: &mut Pass<'_>, pod: &Pod) {
    pass.effect(Effect::RemovePod {
        name: pod.name.clone(),
        uid: pod.uid.clone(),
    });
}
