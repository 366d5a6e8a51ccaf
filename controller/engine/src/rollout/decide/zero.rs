//! New content while the workload is scaled to zero. Nothing runs, so there is nothing to compare with and nothing to break:
//! it is accepted as the stable version, and that is reported. Except when scaling to zero took away a canary: what was on
//! trial then is not accepted by going to sleep, its canary begins anew when the replicas are back.

use super::{
    super::{
        Guard,
        observed::Deployment,
        reason,
        status::{Phase, RollbackReason},
    },
    adopt, clear,
    lookup::version_of,
    pass::Pass,
    traffic,
};

pub(super) fn go(pass: &mut Pass<'_>, deployment: &Deployment) {
    if !clear::remove_all(pass) {
        return clear::wait(pass);
    }
    if interrupted(pass, deployment) {
        if pass.next.phase != Phase::Pending {
            pass.enter(Phase::Pending);
        }
        let message = format!(
            "The workload was scaled to zero during the canary of {}; its canary begins anew when replicas are wanted again.",
            deployment.template.version,
        );
        return pass.wait(reason::SCALED_TO_ZERO, message);
    }
    if pass.next.traffic.is_some() {
        // Pods of new content are nowhere that a router of the canary before leads to, should replicas be wanted again.
        let standing = traffic::retreat(pass, Some(deployment));
        return traffic::wait(pass, &standing);
    }
    if deployment.paused {
        pass.resume(deployment, Guard::Unchanged);
    } else if deployment.observed_generation == deployment.generation
        && let Some(set) = pass.seen.native_of(&deployment.template.digest)
    {
        let found = version_of(set);
        let message = format!(
            "{} is the stable version now, unverified: no replica was running.",
            found.version
        );
        pass.normal(reason::ACCEPTED_AT_ZERO, message);
        return adopt::remember(pass, &found);
    }
    let message = "The workload has no replicas; its new template is accepted once its controller has taken it up.";
    pass.wait(reason::DEPLOYMENT_CONTROLLER, message.to_owned());
}

fn interrupted(pass: &Pass<'_>, deployment: &Deployment) -> bool {
    pass.next.rollback.as_ref().is_some_and(|rollback| {
        rollback.reason == RollbackReason::ScaledToZero
            && rollback.from.digest == deployment.template.digest
    })
}
