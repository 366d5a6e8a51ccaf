//! The Rollout is deleted: its candidate goes, the workload stays as it is and belongs to itself again.

use super::{
    super::{
        Effect,
        observed::{Deployment, Kind, Workload},
        reason,
        status::{Phase, Track},
    },
    actions,
    clear::{self, Manner},
    clock::after,
    config, in_place,
    lookup::active,
    pass::Pass,
    traffic,
};
use crate::traffic::plan::Standing;

pub(super) fn go(pass: &mut Pass<'_>) {
    if pass.next.phase != Phase::Terminating {
        pass.enter(Phase::Terminating);
    }
    actions::take_up(pass, None);
    let deployment = match &pass.seen.workload {
        Workload::Deployment(deployment) => Some(deployment),
        Workload::Missing | Workload::Refused(_) => None,
    };
    let standing = traffic::retreat(pass, deployment);
    let done = match &pass.seen.workload {
        Workload::Deployment(deployment) => {
            let restored = restored(pass, deployment, &standing);
            let cleared = cleared(pass, deployment);
            restored && cleared && back(pass, deployment)
        }
        Workload::Missing | Workload::Refused(_) => clear::remove_all(pass),
    };
    if done && pass.next.traffic.is_none() {
        match &pass.seen.workload {
            Workload::Deployment(deployment) if !config::left(pass, deployment) => {}
            Workload::Deployment(deployment) => {
                let_go(pass, deployment);
                pass.effect(Effect::Finish);
            }
            Workload::Missing | Workload::Refused(_) => pass.effect(Effect::Finish),
        }
    }
    let message = "The candidate is taken away, then the workload is let go.";
    pass.wait(reason::DELETION, message.to_owned());
}

/// A rollback after promotion that was under way is seen to its decisive write; the rest follows natively.
fn restored(pass: &mut Pass<'_>, deployment: &Deployment, standing: &Standing) -> bool {
    let digest = &deployment.template.digest;
    let bypassed = pass
        .next
        .candidate
        .as_ref()
        .is_some_and(|candidate| candidate.track == Track::Bypassed);
    // The template is all that a DaemonSet's pods can be made of, and its strategy belongs to its owner.
    let gives_back =
        deployment.kind == Kind::DaemonSet && deployment.paused && !resumes(pass, deployment);
    let rejected_runs = !pass.asks_for_stable(deployment)
        && pass.quarantined(digest)
        && pass.seen.native_of(digest).is_some_and(active);
    let rejected_runs = rejected_runs || gives_back;
    match pass.stable_set() {
        Some(_) if rejected_runs && !bypassed && *standing != Standing::Reached => false,
        Some(set) if rejected_runs && !bypassed => {
            pass.effect(Effect::RestoreTemplate {
                hash: set.hash.clone(),
                digest: set.template.digest.clone(),
                resource_version: deployment.resource_version.clone(),
            });
            false
        }
        _ => true,
    }
}

/// A pod that never gets ready would keep the workload from going back once nobody deletes it any more.
fn back(pass: &mut Pass<'_>, deployment: &Deployment) -> bool {
    let goes_back = deployment.kind.in_place()
        && !deployment.paused
        && pass.asks_for_stable(deployment)
        && pass.next.rollback.is_some();
    !goes_back || in_place::free(pass, deployment)
}

fn cleared(pass: &mut Pass<'_>, deployment: &Deployment) -> bool {
    let manner = match &pass.next.rollback {
        Some(rollback) if rollback.promoted => Manner::Gently {
            until: after(rollback.at, clear::progress_deadline(pass)),
        },
        _ => Manner::AtOnce,
    };
    let mixed = deployment.paused
        && !resumes(pass, deployment)
        && !clear::take_back_others(pass, deployment)
        && pass.stable_desired() > 0;
    clear::remove(pass, Some(deployment), None, manner) && !mixed
}

/// Un-pausing is right for the stable template, and for one that was being promoted when the Rollout was deleted.
fn resumes(pass: &Pass<'_>, deployment: &Deployment) -> bool {
    let promoted = pass.next.promotion.is_some()
        && pass
            .next
            .candidate
            .as_ref()
            .is_some_and(|candidate| pass.asks_for(deployment, &candidate.version));
    pass.asks_for_stable(deployment) || promoted
}

/// Always, even if the label seems to be gone: a label written a moment ago may not be seen yet, and left behind it would go on
/// holding a workload that nobody governs. The precondition on the version tells such a late view.
fn let_go(pass: &mut Pass<'_>, deployment: &Deployment) {
    // A strategy goes back to its owner also where no stable revision is known, whose template could be written back before.
    let unknown = deployment.kind == Kind::DaemonSet && pass.stable_set().is_none();
    pass.effect(Effect::LetGo {
        resume: deployment.paused && (unknown || resumes(pass, deployment)),
        resource_version: deployment.resource_version.clone(),
    });
}
