//! The candidate's pods before promotion.

use super::{
    super::{
        Effect,
        observed::{Deployment, ReplicaSet},
        status::Candidate,
    },
    clear::{self, Manner},
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
    clear::remove(pass, Some(deployment), Some(digest), Manner::AtOnce);
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
        clear::take_back(pass, set);
        return Pods::Missing(None);
    }
    pass.effect(Effect::CreateCandidate {
        digest: digest.clone(),
        hash: candidate.version.hash.clone(),
        replicas,
    });
    Pods::Missing(deployment.problem.clone())
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
