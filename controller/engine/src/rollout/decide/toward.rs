//! Where a promotion goes: the template may have changed since it began.
//!
//! A newer template arrives paused. While pods of the stable version are left, the promotion is undone: the candidate's
//! ReplicaSet is taken back, the paused Deployment brings stable to full strength, and the newer template gets its canary.
//! When the candidate has replaced stable already, the newer template waits for the end of the bake. In neither case is
//! the user's template overwritten. See docs/decisions/0012-newer-template-during-promotion.md.

use super::{
    super::{
        Effect, Guard,
        observed::{Deployment, Kind, Owner},
        status::{Candidate, RollbackReason, Track},
    },
    begin,
    clear::{self, Manner},
    idle,
    lookup::{active, is_of},
    pass::Pass,
    promote, rollback, traffic,
};
use crate::traffic::plan::Standing;

/// What becomes of a promotion in this pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// It goes on.
    On,
    /// It goes on under a newer template that is held back.
    Held,
    /// The template that it promotes is still to be written.
    Restoring,
    /// It ended, or can't go on in this pass.
    Left,
}

pub(super) fn go(pass: &mut Pass<'_>, deployment: &Deployment, candidate: &Candidate) -> Course {
    let alone = promote::settled(pass, deployment, candidate, Course::Held);
    let standing = traffic::promote(pass, deployment, candidate, alone);
    if pass.asks_for(deployment, &candidate.version) {
        if deployment.paused && standing != Standing::Reached {
            traffic::wait(pass, &standing);
        } else {
            hand_over(pass, deployment, candidate);
        }
        return Course::On;
    }
    if candidate.replaces.as_ref() == Some(&deployment.template.digest) {
        return restore(pass, deployment, candidate);
    }
    let version = &candidate.version;
    if pass.asks_for_stable(deployment) {
        let message = format!(
            "The workload was set back to its stable template during the promotion of {}.",
            version.version
        );
        rollback::begin(pass, version, RollbackReason::Reverted, message, true);
        return Course::Left;
    }
    newer(pass, deployment, candidate)
}

/// Brings an earlier version's template back, as a person's `Undo` wants.
fn restore(pass: &mut Pass<'_>, deployment: &Deployment, candidate: &Candidate) -> Course {
    let version = &candidate.version;
    if !pass.seen.native().any(|set| set.hash == version.hash) {
        let message = format!(
            "The ReplicaSet of {} was cleaned up before its template could be brought back.",
            version.version,
        );
        rollback::begin(pass, version, RollbackReason::Reverted, message, true);
        return Course::Left;
    }
    pass.effect(Effect::RestoreTemplate {
        hash: version.hash.clone(),
        digest: version.digest.clone(),
        resource_version: deployment.resource_version.clone(),
    });
    Course::Restoring
}

fn hand_over(pass: &mut Pass<'_>, deployment: &Deployment, candidate: &Candidate) {
    let digest = &deployment.template.digest;
    if deployment.kind.in_place() {
        return let_go(pass, deployment);
    }
    clear::remove(pass, None, Some(digest), Manner::AtOnce);
    if deployment.paused && !clear::make_room(pass, deployment, &candidate.version) {
        return;
    }
    let own = pass
        .seen
        .candidates()
        .find(|set| is_of(set, &candidate.version));
    let stepped = matches!(candidate.track, Track::Steps | Track::Forced);
    match own {
        Some(set) if set.terminating => return,
        Some(set) => pass.effect(Effect::HandOver {
            name: set.name.clone(),
            resource_version: set.resource_version.clone(),
        }),
        // Made, but not seen yet, or deleted by somebody. To un-pause without it would make the Deployment controller create
        // a second ReplicaSet with the same content.
        None if stepped && deployment.paused && pass.seen.native_of(digest).is_none() => {
            return pass.effect(Effect::CreateCandidate {
                digest: digest.clone(),
                hash: candidate.version.hash.clone(),
                replicas: pass.next.candidate_replicas.unwrap_or(1),
            });
        }
        None => {}
    }
    let_go(pass, deployment);
}

fn let_go(pass: &mut Pass<'_>, deployment: &Deployment) {
    if deployment.paused {
        pass.next.released_generation = Some(deployment.generation);
        pass.resume(deployment, Guard::Template);
    }
}

fn newer(pass: &mut Pass<'_>, deployment: &Deployment, candidate: &Candidate) -> Course {
    if !deployment.paused {
        if pass
            .seen
            .native_of(&deployment.template.digest)
            .is_some_and(active)
        {
            begin::bypassed(pass, deployment);
        } else {
            idle::hold(pass, deployment);
        }
        return Course::Left;
    }
    let replaced = pass.stable_desired() == 0
        && pass.seen.sets.iter().any(|set| {
            set.owner == Owner::Deployment && is_of(set, &candidate.version) && set.desired > 0
        });
    if replaced {
        return Course::Held;
    }
    let (newer, version) = (&deployment.template.version, &candidate.version.version);
    let message = match deployment.kind {
        Kind::Deployment | Kind::StatefulSet => {
            format!("{newer} took the place of {version} during its promotion.")
        }
        Kind::DaemonSet => format!(
            "{newer} was asked for during its promotion. The stable template is written over it, for nothing else brings stable pods \
             back; apply {newer} again."
        ),
    };
    rollback::begin(
        pass,
        &candidate.version,
        RollbackReason::Superseded,
        message,
        true,
    );
    Course::Left
}
