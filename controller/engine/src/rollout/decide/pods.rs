//! The candidate's pods before promotion.

use super::{
    super::{
        Effect,
        observed::{Deployment, ReplicaSet},
        status::Candidate,
    },
    clear::{self, Manner},
    clock::after,
    in_place,
    lookup::is_of,
    pass::Pass,
};

/// How far the candidate's pods are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pods {
    /// As many as wanted are available.
    Ready,
    /// Not yet, or no more; with the cluster's reason if it gives one.
    Missing(Option<String>),
    /// The workload itself runs the candidate's content while paused: its controller chose it after a scale to zero.
    Native,
}

/// Brings the candidate to `replicas` pods.
pub(super) fn ensure(
    pass: &mut Pass<'_>,
    deployment: &Deployment,
    candidate: &Candidate,
    replicas: i32,
) -> Pods {
    let digest = &deployment.template.digest;
    if deployment.kind.in_place() {
        return in_place::ensure(pass, deployment, candidate, replicas);
    }
    clear_others(pass, deployment);
    let own = pass
        .seen
        .candidates()
        .find(|set| is_of(set, &candidate.version));
    if let Some(set) = own {
        return scale(pass, set, replicas);
    }
    if let Some(set) = pass.seen.native_of(digest) {
        if set.desired > 0 && pass.stable_desired() == 0 {
            return Pods::Native;
        }
        // An earlier revision with this very content: used again, or the Deployment would prefer it after the handover.
        // Records and stamps that disagree may name the stable pods' own ReplicaSet: it stays, and no candidate begins.
        let stable = pass.stable_set();
        if stable.is_none_or(|stable| stable.name != set.name) {
            clear::take_back(pass, set);
        }
        return Pods::Missing(None);
    }
    pass.effect(Effect::CreateCandidate {
        digest: digest.clone(),
        hash: candidate.version.hash.clone(),
        replicas,
    });
    Pods::Missing(deployment.problem.clone())
}

/// Other versions' pods that were not seen when the candidate began: half of a native rolling update, or leftovers.
fn clear_others(pass: &mut Pass<'_>, deployment: &Deployment) {
    clear::take_back_others(pass, deployment);
    let entered_at = pass
        .next
        .step
        .as_ref()
        .map_or(pass.now, |step| step.entered_at);
    let until = after(entered_at, clear::progress_deadline(pass));
    let digest = &deployment.template.digest;
    clear::remove(
        pass,
        Some(deployment),
        Some(digest),
        Manner::Gently { until },
    );
}

fn scale(pass: &mut Pass<'_>, set: &ReplicaSet, replicas: i32) -> Pods {
    if set.terminating {
        return Pods::Missing(Some(
            "its ReplicaSet is being deleted and will be made anew".to_owned(),
        ));
    }
    if set.desired != replicas {
        pass.effect(Effect::ScaleCandidate {
            name: set.name.clone(),
            resource_version: set.resource_version.clone(),
            replicas,
        });
    } else if set.available >= replicas {
        return Pods::Ready;
    }
    Pods::Missing(set.problem.clone())
}
