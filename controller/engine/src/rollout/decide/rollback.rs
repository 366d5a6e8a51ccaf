//! Back to the stable version. Before promotion that means to delete the candidate; after it, to let the workload go back
//! natively, or, when somebody's other template holds it paused, to take the candidate's ReplicaSet back.

use super::{
    super::{
        Effect, Guard,
        observed::{Deployment, Kind, ReplicaSet},
        reason,
        status::{Phase, Rollback, RollbackReason, Version},
    },
    adopt,
    clear::{self, Manner},
    clock::after,
    config, gates, idle, in_place,
    lookup::{active, is_of},
    nodes,
    pass::Pass,
    traffic,
};
use crate::{
    quarantine::{self, Cause, Entry},
    traffic::plan::Standing,
};

/// Begins a rollback from `from`. `promoted`: the workload may run it natively already.
pub(super) fn begin(
    pass: &mut Pass<'_>,
    from: &Version,
    why: RollbackReason,
    message: String,
    promoted: bool,
) {
    gates::write_down(pass);
    if promoted {
        config::set_aside(pass);
    }
    if pass
        .next
        .candidate
        .as_ref()
        .is_some_and(|candidate| candidate.replaces.is_some())
    {
        // The way back from the stable version failed: it stays the stable one.
        lift_stable(pass);
    }
    if rejects(why) {
        let entry = Entry {
            digest: from.digest.clone(),
            version: from.version.clone(),
            reason: message.clone(),
            since: pass.now,
            cause: if why == RollbackReason::Aborted {
                Cause::Person
            } else {
                Cause::Failure
            },
            bare: from.bare.clone(),
        };
        if !pass.quarantined(&from.digest) {
            quarantine::add(&mut pass.next.quarantine, entry);
        }
        pass.next
            .verified
            .retain(|version| version.digest != from.digest);
    }
    let text = format!("{} is taken back: {message}", from.version);
    if rejects(why) {
        pass.warning(reason::ROLLBACK_STARTED, text);
    } else {
        pass.normal(reason::ROLLBACK_STARTED, text);
    }
    let at = pass.now;
    pass.next.rollback = Some(Rollback {
        from: from.clone(),
        reason: why,
        message,
        at,
        promoted,
    });
    pass.next.promotion = None;
    pass.next.paused = None;
    pass.enter(Phase::RollingBack);
}

fn lift_stable(pass: &mut Pass<'_>) {
    if let Some(stable) = pass
        .next
        .stable
        .as_ref()
        .map(|stable| stable.digest.clone())
    {
        quarantine::lift(&mut pass.next.quarantine, &stable);
    }
}

/// Whether the content itself is to blame.
const fn rejects(why: RollbackReason) -> bool {
    match why {
        RollbackReason::GateFailed
        | RollbackReason::NoData
        | RollbackReason::ProviderError
        | RollbackReason::DeadlineExceeded
        | RollbackReason::Aborted
        | RollbackReason::Quarantined => true,
        RollbackReason::Reverted | RollbackReason::Superseded | RollbackReason::ScaledToZero => {
            false
        }
    }
}

pub(super) fn go(pass: &mut Pass<'_>, deployment: &Deployment) {
    let Some(rollback) = pass.next.rollback.clone() else {
        return pass.enter(Phase::Healthy);
    };
    if pass.stable_set().is_none() && deployment.paused {
        // Nothing to go back to: what runs is looked at anew.
        traffic::retreat(pass, Some(deployment));
        clear::remove_all(pass);
        return finish(pass, deployment, &rollback);
    }
    let standing = traffic::retreat(pass, Some(deployment));
    let natively = natively(pass, deployment, &rollback, &standing);
    let manner = if rollback.promoted {
        Manner::Gently {
            until: after(rollback.at, clear::progress_deadline(pass)),
        }
    } else {
        Manner::AtOnce
    };
    let mut removed = clear::remove(pass, Some(deployment), None, manner);
    if deployment.kind.in_place() {
        removed &= in_place::is_back(pass, deployment);
        if !deployment.paused {
            in_place::free(pass, deployment);
        }
    }
    match natively {
        Natively::Elsewhere => finish(pass, deployment, &rollback),
        Natively::Back if removed && leaves_nothing(pass, deployment, &rollback) => {
            finish(pass, deployment, &rollback);
        }
        Natively::Back | Natively::OnTheWay => {
            let message = format!(
                "{} is being taken back until only the stable version runs.",
                rollback.from.version
            );
            pass.wait(reason::ROLLBACK, message);
        }
    }
}

/// Takes back what is left of a version that was never verified; says whether nothing is. As the newest revision it would
/// push the stable one out of a short history after the next promotion.
fn leaves_nothing(pass: &mut Pass<'_>, deployment: &Deployment, rollback: &Rollback) -> bool {
    let from = &rollback.from;
    let verified = pass
        .next
        .verified
        .iter()
        .any(|version| version.digest == from.digest);
    let rolls_to_it = !deployment.paused && pass.asks_for(deployment, from);
    if !rollback.promoted || verified || rolls_to_it || deployment.kind.in_place() {
        return true;
    }
    let stable = pass.stable_set().map(|set| set.name.as_str());
    let left: Vec<&ReplicaSet> = pass
        .seen
        .native()
        .filter(|set| is_of(set, from) && Some(set.name.as_str()) != stable)
        .collect();
    for set in &left {
        clear::take_back(pass, set);
    }
    left.is_empty()
}

/// How far the workload itself is on its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Natively {
    Back,
    OnTheWay,
    /// Somebody let it go to yet another template, which is looked at anew.
    Elsewhere,
}

fn natively(
    pass: &mut Pass<'_>,
    deployment: &Deployment,
    rollback: &Rollback,
    standing: &Standing,
) -> Natively {
    let led = *standing == Standing::Reached;
    if pass.asks_for_stable(deployment) {
        let free = if deployment.kind.in_place() {
            in_place::may_roll(pass)
        } else {
            led || pass.others_active().is_empty()
        };
        if deployment.paused && free {
            pass.resume(deployment, Guard::Template);
        }
        return on_the_way_until(idle::settled(pass, deployment));
    }
    if deployment.paused {
        return held(pass, deployment, rollback, led);
    }
    if pass.asks_for(deployment, &rollback.from) {
        if rollback.promoted {
            restore_stable(pass, deployment, led);
            return Natively::OnTheWay;
        }
        // Un-paused by somebody while its canary is being removed: respected, and looked at anew.
        return Natively::Back;
    }
    if pass
        .seen
        .native_of(&deployment.template.digest)
        .is_some_and(active)
    {
        return Natively::Elsewhere;
    }
    idle::hold(pass, deployment);
    Natively::OnTheWay
}

/// The workload is paused with a template that is not the stable one, which stays as it is if that can be.
fn held(pass: &mut Pass<'_>, deployment: &Deployment, rollback: &Rollback, led: bool) -> Natively {
    if deployment.kind == Kind::DaemonSet {
        if nodes::must_go_back(pass, deployment, rollback) {
            restore_stable(pass, deployment, led);
            return Natively::OnTheWay;
        }
        return Natively::Back;
    }
    let stable = pass.stable_desired();
    if clear::take_back_others(pass, deployment) {
        // At zero the Deployment controller may choose another ReplicaSet: then what runs is looked at anew.
        return on_the_way_until(stable == deployment.replicas || stable == 0);
    }
    if stable == 0 && !rollback.promoted {
        // Another version woke in stable's place: that is looked at anew, and nobody's template is touched.
        return Natively::Back;
    }
    if stable == 0 {
        restore_stable(pass, deployment, led);
    }
    Natively::OnTheWay
}

const fn on_the_way_until(back: bool) -> Natively {
    if back {
        Natively::Back
    } else {
        Natively::OnTheWay
    }
}

/// Writes the stable template back, once no route leads to what goes then: `led`.
fn restore_stable(pass: &mut Pass<'_>, deployment: &Deployment, led: bool) {
    if let Some(set) = pass.stable_set() {
        if !led {
            return;
        }
        pass.effect(Effect::RestoreTemplate {
            hash: set.hash.clone(),
            digest: set.template.digest.clone(),
            resource_version: deployment.resource_version.clone(),
        });
    } else if !adopt::use_earlier_verified(pass) {
        let message = "The stable version's ReplicaSet is gone, so its template can't be brought back; apply a template that works.";
        pass.stall(reason::STABLE_LOST, message.to_owned());
    }
}

fn finish(pass: &mut Pass<'_>, deployment: &Deployment, rollback: &Rollback) {
    let asked = &deployment.template;
    let from = &rollback.from.version;
    pass.drop_candidate();
    if !pass.asks_for_stable(deployment) && pass.quarantined(&asked.digest) {
        pass.enter(Phase::Rejected);
        let message = format!(
            "{} is rejected and held back; the stable version runs.",
            asked.version
        );
        pass.normal(reason::REJECTED, message);
    } else {
        if pass.asks_for_stable(deployment) {
            pass.next.released_generation = None;
        }
        pass.enter(Phase::Healthy);
        pass.normal(
            reason::ROLLED_BACK,
            format!("{from} is taken back; the stable version runs."),
        );
    }
}
