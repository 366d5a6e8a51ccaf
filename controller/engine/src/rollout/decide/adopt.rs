//! First sight of a workload: there is nothing to verify its template against, so what it runs is the stable version.
//!
//! The same when the recorded stable version's ReplicaSet is gone, for example because the workload was made anew.

use super::{
    super::{
        Guard,
        observed::{Deployment, ReplicaSet},
        reason,
        status::{Phase, Version},
    },
    clear,
    lookup::{active, is_of, version_of},
    pass::Pass,
};

pub(super) fn go(pass: &mut Pass<'_>, deployment: &Deployment) {
    // A candidate of the time before has nothing left to run beside.
    clear::remove_all(pass);
    if deployment.observed_generation != deployment.generation {
        return wait(pass, "its controller takes up its newest spec");
    }
    if !deployment.paused {
        return match pass.seen.native_of(&deployment.template.digest) {
            Some(set) => record(pass, set),
            None => wait(pass, "its controller knows its template"),
        };
    }
    let runs = pass
        .seen
        .native()
        .filter(|set| active(set))
        .max_by_key(|set| (set.desired, &set.name));
    match runs {
        Some(set) => record(pass, set),
        None if deployment.replicas == 0
            && let Some(set) = pass.seen.native_of(&deployment.template.digest) =>
        {
            record(pass, set);
        }
        None if pass.quarantined(&deployment.template.digest) => earlier(pass),
        None if deployment.total_replicas == 0 => {
            // The hold caught the very first template: nothing runs, so there is nothing to protect.
            pass.resume(deployment, Guard::Unchanged);
            wait(pass, "it is let go with its first template");
        }
        None => wait(pass, "its ReplicaSets are seen"),
    }
}

/// Nothing runs, the stable version's template is gone with its ReplicaSet, and what is asked for was rejected.
fn earlier(pass: &mut Pass<'_>) {
    if !use_earlier_verified(pass) {
        let message = "Nothing runs and the only template left was rejected; apply another one, or ask for a retry.";
        pass.stall(reason::STABLE_LOST, message.to_owned());
    }
}

/// Puts the newest verified version whose ReplicaSet, the only source of its template, still exists in the place of a
/// stable version whose ReplicaSet is gone; says whether there is one.
pub(super) fn use_earlier_verified(pass: &mut Pass<'_>) -> bool {
    let exists = |version: &&Version| pass.seen.native().any(|set| is_of(set, version));
    let Some(found) = pass.next.verified.iter().rev().find(exists).cloned() else {
        return false;
    };
    let message = format!(
        "The ReplicaSet of the stable version is gone; {} was verified before and takes its place.",
        found.version,
    );
    pass.warning(reason::BASELINE_CHANGED, message);
    pass.next
        .verified
        .retain(|version| version.digest != found.digest);
    pass.next.stable = Some(found);
    true
}

fn record(pass: &mut Pass<'_>, set: &ReplicaSet) {
    let found = version_of(set);
    pass.normal(
        reason::ADOPTED,
        format!("{} is taken as the stable version.", found.version),
    );
    remember(pass, &found);
}

/// Makes `found` the stable version; the one before stays among the verified.
pub(super) fn remember(pass: &mut Pass<'_>, found: &Version) {
    if let Some(old) = pass.next.stable.replace(found.clone())
        && !pass.quarantined(&old.digest)
    {
        let verified = &mut pass.next.verified;
        verified.retain(|version| version.digest != old.digest);
        if old.digest != found.digest {
            verified.push(old);
        }
        if verified.len() > MAX_VERIFIED {
            verified.remove(0);
        }
    }
    pass.next
        .verified
        .retain(|version| version.digest != found.digest);
}

/// Versions before the stable one that are remembered as verified.
const MAX_VERIFIED: usize = 10;

fn wait(pass: &mut Pass<'_>, until: &str) {
    if pass.next.phase != Phase::Pending {
        pass.enter(Phase::Pending);
    }
    let message = format!("The workload's first version is recorded once {until}.");
    pass.wait(reason::DEPLOYMENT_CONTROLLER, message);
}
