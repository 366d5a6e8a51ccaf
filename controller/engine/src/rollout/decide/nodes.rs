//! DaemonSets: candidates that take the places of stable pods node by node, with nothing that would keep a pod stable.
//!
//! Held, a DaemonSet keeps its pods but makes new ones of its template. So a step goes forward by deleting stable pods, the highest
//! places first, as many as the workload's own budget of unavailable pods allows; and there is no way back but the stable template,
//! written back, which the workload's own controller then rolls to. Nodes that come to run the template's revision without being asked
//! (they joined, or lost their pod) count as the candidate's. So do those of a version that a newer one takes the place of: they can't
//! be stable again without taking the newer template away from who wrote it.
//!
//! Invariant: a stable pod is deleted only for a step that is to have its node, only while its controller has seen the template that
//! comes in its place, and only while no more pods are unavailable than the workload allows.

use super::{
    super::{
        observed::{Deployment, Kind, Pod},
        status::{Candidate, Rollback, RollbackReason},
    },
    config, in_place,
    lookup::is_of,
    pass::Pass,
    pods::Pods,
};
use crate::digest::Digest;

/// Nodes that run no stable pod any more, or are about to: whatever comes there is of the template. None for other kinds.
pub(super) fn taken(pass: &Pass<'_>, deployment: &Deployment) -> i32 {
    if deployment.kind != Kind::DaemonSet {
        return 0;
    }
    let staying = pass.stable_set().map_or(0, |set| {
        let leaving = set.pods.iter().filter(|pod| pod.terminating).count();
        let leaving = i32::try_from(leaving).unwrap_or(i32::MAX);
        set.total.saturating_sub(leaving)
    });
    // Pods are listed, and may be newer than the number of nodes.
    let stable = pass.stable_set().map(|set| set.name.as_str());
    let others = pass
        .seen
        .sets
        .iter()
        .filter(|set| Some(set.name.as_str()) != stable);
    let others = others.fold(0_i32, |sum, set| sum.saturating_add(set.total));
    deployment.replicas.saturating_sub(staying).max(others)
}

/// Brings the candidate to `pods` nodes, which are at least those that are taken.
pub(super) fn ensure(
    pass: &mut Pass<'_>,
    deployment: &Deployment,
    candidate: &Candidate,
    pods: i32,
) -> Pods {
    let own = pass
        .seen
        .sets
        .iter()
        .find(|set| is_of(set, &candidate.version));
    let missing = || {
        let problem = own.and_then(|set| set.problem.clone());
        Pods::Missing(problem.or_else(|| deployment.problem.clone()))
    };
    if deployment.observed_generation != deployment.generation {
        return missing();
    }
    let stable = pass.stable_set();
    let others = pass.seen.candidates();
    let mut going: Vec<&Pod> = others
        .filter(|set| !is_of(set, &candidate.version))
        .flat_map(|set| &set.pods)
        .collect();
    let more = pods.saturating_sub(taken(pass, deployment)).max(0);
    let mut staying: Vec<&Pod> = stable
        .iter()
        .flat_map(|set| &set.pods)
        .filter(|pod| !pod.terminating)
        .collect();
    staying.sort_by_key(|pod| std::cmp::Reverse(pod.place));
    going.extend(staying.into_iter().take(usize::try_from(more).unwrap_or(0)));
    let settled = going.is_empty();
    in_place::take_away(pass, deployment, going);
    let available = own.map_or(0, |set| set.available);
    if settled && available >= pods {
        Pods::Ready
    } else {
        missing()
    }
}

/// Takes away the candidates' pods except those of `keep`, if what comes in their place is stable; says whether there are none, or
/// nothing can be done about them: of a held template they would only come back.
pub(super) fn remove(pass: &mut Pass<'_>, deployment: &Deployment, keep: Option<&Digest>) -> bool {
    if !deployment.paused || !pass.asks_for_stable(deployment) {
        return true;
    }
    let going: Vec<&Pod> = pass
        .seen
        .candidates()
        .filter(|set| Some(&set.template.digest) != keep)
        .flat_map(|set| &set.pods)
        .collect();
    if going.is_empty() {
        return true;
    }
    if deployment.observed_generation == deployment.generation {
        in_place::take_away(pass, deployment, going);
    }
    false
}

/// Whether the held template has to make room for the stable one. A newer one does not if it can take over the nodes by its own steps:
/// after a canary, whose nodes are few.
pub(super) fn must_go_back(pass: &Pass<'_>, deployment: &Deployment, rollback: &Rollback) -> bool {
    if taken(pass, deployment) == 0 {
        return false;
    }
    let rejected =
        pass.quarantined(&deployment.template.digest) || config::will_be_rejected(pass, deployment);
    let same = pass.asks_for(deployment, &rollback.from);
    match rollback.reason {
        RollbackReason::ScaledToZero => rejected || rollback.promoted,
        _ => rejected || same || rollback.promoted,
    }
}

/// What to know of a DaemonSet's held template, as a sentence.
pub(super) const fn caution(deployment: &Deployment) -> &'static str {
    match deployment.kind {
        Kind::DaemonSet => {
            " Until then, nodes that join or lose their pod get it all the same, for a DaemonSet makes pods of its template only."
        }
        Kind::Deployment | Kind::StatefulSet => "",
    }
}

/// DaemonSets that can't be moved are refused with what to change.
pub(super) fn governable(deployment: &Deployment) -> Result<(), String> {
    if deployment.max_unavailable < 1 {
        return Err("The DaemonSet's rolling update adds pods before it takes others away (maxSurge), and a new version takes the places \
                    of pods; set spec.updateStrategy.rollingUpdate.maxSurge to 0 and maxUnavailable to at least 1."
            .to_owned());
    }
    if deployment.revision_history_limit < 1 {
        return Err(
            "The DaemonSet keeps no old revision (spec.revisionHistoryLimit is 0), and going back needs one; set it to at least 1."
                .to_owned(),
        );
    }
    Ok(())
}
