//! Nothing is on trial: keep the stable version and the hold as they should be, and see what is asked for.

use super::{
    super::{
        Guard,
        observed::{Deployment, Hold},
        reason,
        status::{Phase, RollbackReason},
    },
    adopt, begin, clear, config, in_place,
    lookup::{active, version_of},
    nodes,
    pass::Pass,
    rollback, traffic, zero,
};

pub(super) fn go(pass: &mut Pass<'_>, deployment: &Deployment) {
    pass.drop_candidate();
    traffic::retreat(pass, Some(deployment));
    let Some(set) = pass.stable_set() else {
        return adopt::go(pass, deployment);
    };
    // The hash of a re-created workload and the digest under new defaults are no news: record them silently.
    let version = pass
        .next
        .stable
        .as_ref()
        .map_or_else(String::new, |stable| stable.version.clone());
    pass.next.stable = Some(super::super::status::Version {
        version,
        ..version_of(set)
    });
    if config::idle(pass, deployment, set) == config::Course::Busy {
        return;
    }

    if pass.asks_for_stable(deployment) {
        stable(pass, deployment);
    } else if pass.quarantined(&deployment.template.digest) {
        rejected(pass, deployment);
    } else {
        wanted(pass, deployment);
    }
}

/// The stable template is asked for.
fn stable(pass: &mut Pass<'_>, deployment: &Deployment) {
    remove_strays(pass, deployment);
    let settled = settled(pass, deployment);
    let led = deployment.kind.in_place() && !in_place::may_roll(pass);
    match (pass.seen.hold, deployment.paused) {
        _ if led => {}
        (Hold::Admission, true) => pass.resume(deployment, Guard::Template),
        (Hold::AlwaysPaused, true) if !settled && !pass.others_active().is_empty() => {
            pass.resume(deployment, Guard::Template);
        }
        (Hold::AlwaysPaused, _) if settled && !deployment.is_held() => pass.pause(deployment),
        _ => {}
    }
    match pass.next.phase {
        Phase::Healthy => {}
        Phase::Pending if !settled => {
            let problem = deployment
                .problem
                .as_deref()
                .map(|why| format!(": {why}"))
                .unwrap_or_default();
            let message = format!("The pods of the first version must become available{problem}.");
            pass.wait(reason::FIRST_VERSION, message);
        }
        // Healthy is a promise that the next template is held.
        Phase::Pending if !is_held(pass, deployment) => {
            let message = "The workload is being labelled, so that its next version is held.";
            pass.wait(reason::HOLDING, message.to_owned());
        }
        _ => pass.enter(Phase::Healthy),
    }
    if settled && pass.next.phase == Phase::Healthy {
        config::sweep(pass);
    }
    if pass.next.traffic.is_some() {
        let standing = traffic::retreat(pass, Some(deployment));
        traffic::wait(pass, &standing);
    }
    if let Err(why) = &pass.plan {
        let why = why.clone();
        pass.stall(reason::SPEC_REFUSED, why);
    }
}

/// Whether a change of the template would be held.
fn is_held(pass: &Pass<'_>, deployment: &Deployment) -> bool {
    match pass.seen.hold {
        Hold::Admission => deployment.labelled,
        Hold::AlwaysPaused => deployment.labelled && deployment.is_held(),
    }
}

/// Whether the stable version, alone, has all its pods.
pub(super) fn settled(pass: &Pass<'_>, deployment: &Deployment) -> bool {
    deployment.observed_generation == deployment.generation
        && pass.others_active().is_empty()
        && pass.stable_set().is_some_and(|set| {
            // A StatefulSet that still has a pod too many does not know yet that its update is complete.
            let too_many = deployment.kind.in_place() && set.total > deployment.replicas;
            set.desired == deployment.replicas && set.available >= deployment.replicas && !too_many
        })
}

/// Quarantined content is asked for: it is held, whoever asks and how often.
fn rejected(pass: &mut Pass<'_>, deployment: &Deployment) {
    let digest = &deployment.template.digest;
    let runs = pass.seen.native_of(digest).filter(|set| active(set));
    if deployment.paused {
        if hold_baseline(pass, deployment) {
            hold_rejected(pass, deployment);
        }
    } else if pass.next.phase == Phase::Rejected && pass.next.released_generation.is_none() {
        // It was held, and somebody let it go: a deed of break-glass, respected and watched.
        if runs.is_some() {
            begin::bypassed(pass, deployment);
        } else {
            hold_rejected(pass, deployment);
        }
    } else if let Some(set) = runs {
        let why = "Quarantined content was running past the hold.".to_owned();
        rollback::begin(
            pass,
            &version_of(set),
            RollbackReason::Quarantined,
            why,
            true,
        );
    } else {
        hold(pass, deployment);
    }
}

fn hold_rejected(pass: &mut Pass<'_>, deployment: &Deployment) {
    remove_strays(pass, deployment);
    clear::take_back_others(pass, deployment);
    config::sweep(pass);
    if pass.next.phase != Phase::Rejected {
        pass.enter(Phase::Rejected);
        pass.normal(
            reason::REJECTED,
            format!(
                "{} is held back, for it was rejected before.",
                deployment.template.version
            ),
        );
    }
    let why = crate::quarantine::find(&pass.next.quarantine, &deployment.template.digest)
        .map_or_else(String::new, |entry| {
            format!(" ({})", entry.reason.trim_end_matches('.'))
        });
    let message = format!(
        "{} is quarantined{why}; new content, the stable content, or a retry ends this.{}",
        deployment.template.version,
        nodes::caution(deployment),
    );
    pass.wait(reason::QUARANTINED, message);
}

/// Content is asked for that is neither stable nor quarantined.
fn wanted(pass: &mut Pass<'_>, deployment: &Deployment) {
    let runs = pass
        .seen
        .native_of(&deployment.template.digest)
        .is_some_and(active);
    if !deployment.paused && deployment.replicas > 0 {
        if runs {
            begin::bypassed(pass, deployment);
        } else {
            hold(pass, deployment);
        }
        return;
    }
    if pass.plan.is_err() {
        remove_strays(pass, deployment);
        if let Err(why) = &pass.plan {
            let why = why.clone();
            pass.stall(reason::SPEC_REFUSED, why);
        }
    } else if deployment.replicas == 0 {
        zero::go(pass, deployment);
    } else if hold_baseline(pass, deployment) {
        begin::candidate(pass, deployment);
    }
}

/// The template changed and nothing has begun to roll: the hold is put on late.
pub(super) fn hold(pass: &mut Pass<'_>, deployment: &Deployment) {
    pass.pause(deployment);
    let message =
        "The template changed past the hold; the workload is paused before anything rolls.";
    pass.wait(reason::HOLDING, message.to_owned());
}

/// Sees to it that the stable version is what runs; says whether the pass may go on. While the workload was scaled to zero
/// and back, the paused Deployment's controller may have chosen another ReplicaSet than the stable one.
fn hold_baseline(pass: &mut Pass<'_>, deployment: &Deployment) -> bool {
    if deployment.replicas == 0 || pass.stable_desired() > 0 {
        return true;
    }
    let stable = pass.stable_set().map(|set| set.name.as_str());
    let runs = pass
        .seen
        .native()
        .filter(|set| set.desired > 0 && Some(set.name.as_str()) != stable)
        .max_by_key(|set| (set.desired, &set.name));
    match runs {
        None => {
            let message = "The stable version must be at full strength before a candidate begins.";
            pass.wait(reason::STABLE_STRENGTH, message.to_owned());
        }
        Some(set) if pass.quarantined(&set.template.digest) => {
            let why = "Quarantined content was running instead of the stable version.".to_owned();
            rollback::begin(
                pass,
                &version_of(set),
                RollbackReason::Quarantined,
                why,
                true,
            );
        }
        Some(set) if set.template.digest == deployment.template.digest => {
            begin::bypassed(pass, deployment);
        }
        Some(set) => {
            let found = version_of(set);
            let message = format!("{} runs and is taken as the stable version.", found.version);
            pass.warning(reason::BASELINE_CHANGED, message);
            adopt::remember(pass, &found);
        }
    }
    false
}

/// Removes candidates that nobody waits for: left over by a crash, or seen late.
fn remove_strays(pass: &mut Pass<'_>, deployment: &Deployment) {
    let manner = clear::patience(pass);
    if !clear::remove(pass, Some(deployment), None, manner) {
        clear::wait(pass);
    }
    clear::take_back_rejected(pass, deployment);
}
