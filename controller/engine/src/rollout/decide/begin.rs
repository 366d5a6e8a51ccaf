//! The beginning of a candidate's life.

use super::{
    super::{
        observed::Deployment,
        reason,
        status::{Candidate, Phase, StepState, Track, Version},
    },
    clear, in_place,
    lookup::{bare_of, version_of},
    pass::Pass,
    promote, traffic,
};

/// Begins with the paused template that is asked for: step by step, or at once if it was verified before.
pub(super) fn candidate(pass: &mut Pass<'_>, deployment: &Deployment) {
    if deployment.kind.in_place() && !in_place::is_seen(pass, deployment) {
        return;
    }
    if pass.verified(deployment).is_some() {
        let version = version(pass, deployment);
        let message = format!(
            "{} was verified before and is promoted at once.",
            version.version
        );
        pass.normal(reason::ROLLOUT_STARTED, message);
        return enter(pass, version, Track::Fast);
    }
    let manner = clear::patience(pass);
    let only_stable = clear::take_back_others(pass, deployment);
    // Pods of this very content may stay, unless requests were led to them: that is ended first, and then begun anew.
    let keep = pass
        .next
        .traffic
        .is_none()
        .then_some(&deployment.template.digest);
    let no_strays = clear::remove(pass, Some(deployment), keep, manner);
    if !(only_stable && no_strays) {
        return clear::wait(pass);
    }
    if pass.next.traffic.is_some() {
        // Of the candidate before: first nothing of it is left.
        let standing = traffic::retreat(pass, Some(deployment));
        return traffic::wait(pass, &standing);
    }
    if pass.stable_desired() != deployment.replicas {
        let message = "The stable version must be at full strength before a candidate begins.";
        return pass.wait(reason::STABLE_STRENGTH, message.to_owned());
    }
    let version = version(pass, deployment);
    let stable = pass
        .next
        .stable
        .as_ref()
        .map_or("", |stable| stable.version.as_str());
    let message = format!("The canary of {} begins beside {stable}.", version.version);
    pass.normal(reason::ROLLOUT_STARTED, message);
    enter(pass, version, Track::Steps);
    pass.next.step = Some(first_step(pass));
    if let Some(routing) = pass.plan().and_then(|plan| plan.routing.as_ref()) {
        traffic::begin(pass, routing);
    }
}

/// Begins with a template that somebody let go past the hold: it rolls natively, so all that is left is to watch it.
pub(super) fn bypassed(pass: &mut Pass<'_>, deployment: &Deployment) {
    pass.drop_candidate();
    let version = version(pass, deployment);
    let message = format!(
        "{} went past the hold and rolls natively, without a canary; it is watched, and taken back if a gate fails.",
        version.version,
    );
    pass.warning(reason::HOLD_BYPASSED, message);
    enter(pass, version, Track::Bypassed);
    promote::begin(pass);
}

/// Puts `version` on trial.
pub(super) fn enter(pass: &mut Pass<'_>, version: Version, track: Track) {
    pass.drop_candidate();
    pass.next.candidate = Some(Candidate {
        version,
        started_at: pass.now,
        first_ready_at: None,
        track,
        replaces: None,
    });
    pass.enter(Phase::Progressing);
}

pub(super) fn first_step(pass: &Pass<'_>) -> StepState {
    StepState {
        index: 0,
        entered_at: pass.now,
        ready_at: None,
        unready_since: None,
        approved_by: None,
        skipped_by: None,
    }
}

/// The template that is asked for, with the hash of the ReplicaSet that holds it already, if one does.
fn version(pass: &Pass<'_>, deployment: &Deployment) -> Version {
    let found = found(pass, deployment);
    let stable = pass.next.stable.as_ref();
    let only_config_differs = stable.is_some_and(|stable| {
        stable.is_of_template(&deployment.template.bare) && stable.digest != found.digest
    });
    match &deployment.template.stamp {
        Some(stamp) if only_config_differs => Version {
            version: format!("{} with configuration {}", found.version, stamp.short()),
            ..found
        },
        _ => found,
    }
}

fn found(pass: &Pass<'_>, deployment: &Deployment) -> Version {
    let template = &deployment.template;
    let own = pass
        .seen
        .candidates()
        .find(|set| !set.terminating && set.template.digest == template.digest);
    pass.seen.native_of(&template.digest).or(own).map_or_else(
        || Version {
            digest: template.digest.clone(),
            hash: template.digest.short(),
            version: template.version.clone(),
            bare: bare_of(template),
        },
        |set| Version {
            version: template.version.clone(),
            ..version_of(set)
        },
    )
}
