//! Configuration goes with the version: the stamp on the workload's template is brought up to the ConfigMaps and Secrets as they are.
//!
//! Another stamp is another template, so all that is said of versions holds for configuration: it is held, gets its canary, its gates,
//! its quarantine. What is special is here. Changes are gathered for a moment, since they seldom come alone. A stable version that
//! has no stamp yet gets one without a release, and one that shall have none loses it likewise: its ReplicaSet and the workload are
//! changed in step, while the workload is paused, and no pod restarts. A StatefulSet or DaemonSet has no second template that could be
//! changed in step: its first stamp comes with its next template. And what was taken back after its promotion is not asked for
//! again with the template that Belay itself wrote back.
//!
//! Invariant: copies exist before a template names them, and a ReplicaSet's template is changed only under a paused workload.

use std::time::Duration;

use super::{
    super::{
        Effect,
        observed::{Config, Deployment, Kind, LiveConfig, ReplicaSet, Workload},
        reason,
    },
    clock::after,
    lookup::active,
    pass::Pass,
};
use crate::config::{STAMP_ANNOTATION, Stamp, digest_with};

/// How long changes are gathered, so that a template and several objects that are applied one after another are one version.
const GATHERED_FOR: Duration = Duration::from_secs(2);

/// Whether the phase may go on in this pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// It may.
    On,
    /// First the template gets its stamp.
    Busy,
}

/// While nothing is on trial, beside the stable version's ReplicaSet `set`.
pub(super) fn idle(pass: &mut Pass<'_>, deployment: &Deployment, set: &ReplicaSet) -> Course {
    let at_rest = pass.asks_for_stable(deployment) || pass.quarantined(&deployment.template.digest);
    let live = match &pass.seen.config {
        Config::AsIs => return Course::On,
        Config::Live(live) => live,
        Config::Unavailable(why) => {
            pass.wait(reason::CONFIG, why.clone());
            return if at_rest { Course::On } else { Course::Busy };
        }
    };
    if let Some(course) = keeps_unstamped(pass, deployment, set) {
        return course;
    }
    let (present, wanted) = (&deployment.template.stamp, &live.stamp);
    if present == wanted {
        pass.next.config_set_aside = None;
        return Course::On;
    }
    let native = pass.seen.native_of(&deployment.template.digest);
    let passed_by =
        !deployment.paused && !pass.asks_for_stable(deployment) && native.is_some_and(active);
    if passed_by || is_set_aside(pass, deployment, live) {
        return Course::On;
    }
    let same = set.template.bare == deployment.template.bare;
    let changes_kind = present.is_none() != wanted.is_none();
    let rejected = is_quarantined(pass, deployment, live);
    let stable = same && set.template.stamp == *present;
    if rejected && stable && deployment.kind == Kind::DaemonSet {
        // Whatever pod it makes is of its template: what was rejected is not noted there.
        return Course::On;
    }
    if stable && changes_kind && !rejected && !deployment.kind.in_place() {
        return in_step(pass, deployment, set, wanted.as_ref());
    }
    let nothing_new = rejected || (same && set.template.stamp == *wanted);
    if !nothing_new && gathering(pass, live) {
        let message =
            "The configuration changed; it is part of the next version once it no longer changes.";
        pass.wait(reason::CONFIG, message.to_owned());
        return if at_rest { Course::On } else { Course::Busy };
    }
    stamp(pass, deployment, wanted.as_ref());
    Course::Busy
}

/// Before a phase that has a version on trial, or takes one back: a stamp that was lost, because a whole template was written without
/// it, is put back.
pub(super) fn lost(pass: &mut Pass<'_>, deployment: &Deployment) -> Course {
    if let Some(course) = while_held(pass, deployment) {
        return course;
    }
    match &pass.seen.config {
        Config::Live(LiveConfig {
            stamp: Some(wanted),
            ..
        }) if deployment.template.stamp.is_none() && deployment.paused => {
            stamp(pass, deployment, Some(wanted));
            Course::Busy
        }
        _ => Course::On,
    }
}

/// During a canary: newer configuration takes the candidate's place, as a newer template does. Decided after everything else, so
/// that a stamp that can't be written keeps no candidate from being taken back.
pub(super) fn newer(pass: &mut Pass<'_>, deployment: &Deployment) {
    if while_held(pass, deployment).is_some() {
        return;
    }
    let Config::Live(live) = &pass.seen.config else {
        return;
    };
    if deployment.paused && deployment.template.stamp != live.stamp && !gathering(pass, live) {
        stamp(pass, deployment, live.stamp.as_ref());
    }
}

/// The Rollout is deleted: pods that are made from now on read what they find. Says whether nothing has a stamp any more.
pub(super) fn left(pass: &mut Pass<'_>, deployment: &Deployment) -> bool {
    let sets: Vec<&ReplicaSet> = pass
        .seen
        .native()
        .filter(|set| active(set) && set.template.stamp.is_some())
        .collect();
    let unstamped = sets.is_empty() && deployment.template.stamp.is_none();
    if unstamped {
        return true;
    }
    if deployment.kind.in_place() {
        let message = format!(
            "Pods of the {} go on reading the configuration that was verified; take the annotation {STAMP_ANNOTATION} off its \
             pod template to have them restarted with the ConfigMaps and Secrets as they are.",
            deployment.kind.name()
        );
        pass.normal(reason::CONFIG, message);
        return true;
    }
    if !deployment.paused {
        pass.pause(deployment);
    } else if sets.is_empty() {
        stamp(pass, deployment, None);
    }
    if deployment.paused {
        for set in sets {
            stamp_set(pass, set, None);
        }
    }
    false
}

/// A stable version without a stamp whose pods give their places to the next one: it stays without, for another template would restart
/// them. A tool that goes back to it leaves the stamp of the version in between on the template; that is taken off.
fn keeps_unstamped(
    pass: &mut Pass<'_>,
    deployment: &Deployment,
    stable: &ReplicaSet,
) -> Option<Course> {
    let same = stable.template.bare == deployment.template.bare;
    if !same || stable.template.stamp.is_some() || !deployment.kind.in_place() {
        return None;
    }
    if deployment.template.stamp.is_none() {
        return Some(Course::On);
    }
    stamp(pass, deployment, None);
    Some(Course::Busy)
}

/// The same while another version is on trial.
fn while_held(pass: &mut Pass<'_>, deployment: &Deployment) -> Option<Course> {
    let goes_with_version = matches!(pass.seen.config, Config::Live(_));
    let stable = pass
        .stable_set()
        .filter(|_| goes_with_version && deployment.paused)?;
    keeps_unstamped(pass, deployment, stable)
}

/// Copies that nothing refers to are removed.
pub(super) fn sweep(pass: &mut Pass<'_>) {
    if let Config::Live(live) = &pass.seen.config
        && !live.unused.is_empty()
    {
        pass.effect(Effect::SweepConfig {
            copies: live.unused.clone(),
        });
    }
}

/// A version is taken back whose template Belay replaces: its configuration is not asked for with the template that takes its place.
pub(super) fn set_aside(pass: &mut Pass<'_>) {
    if let Workload::Deployment(deployment) = &pass.seen.workload {
        pass.next
            .config_set_aside
            .clone_from(&deployment.template.stamp);
    }
}

/// Whether the workload's template is one that Belay wrote back, and all that differs was taken back with the other one. Where the two
/// together are quarantined, that is shown instead.
fn is_set_aside(pass: &Pass<'_>, deployment: &Deployment, live: &LiveConfig) -> bool {
    let (Some(present), Some(wanted), Some(aside)) = (
        &deployment.template.stamp,
        &live.stamp,
        &pass.next.config_set_aside,
    ) else {
        return false;
    };
    pass.asks_for_stable(deployment)
        && wanted.adds_to(present, aside)
        && !is_quarantined(pass, deployment, live)
}

/// Whether the workload's template, once it has the stamp of the configuration as it is, is one that was rejected.
pub(super) fn will_be_rejected(pass: &Pass<'_>, deployment: &Deployment) -> bool {
    match &pass.seen.config {
        Config::Live(live) => is_quarantined(pass, deployment, live),
        Config::AsIs | Config::Unavailable(_) => false,
    }
}

/// Whether the workload's template was rejected with the configuration as it is.
fn is_quarantined(pass: &Pass<'_>, deployment: &Deployment, live: &LiveConfig) -> bool {
    pass.quarantined(&digest_with(&deployment.template.bare, live.stamp.as_ref()))
}

/// The stable version gets its first stamp, or loses its last one: no release, for its content stays.
fn in_step(
    pass: &mut Pass<'_>,
    deployment: &Deployment,
    set: &ReplicaSet,
    wanted: Option<&Stamp>,
) -> Course {
    if !pass.others_active().is_empty() {
        return Course::On;
    }
    if deployment.paused {
        stamp_set(pass, set, wanted);
    } else {
        pass.pause(deployment);
    }
    let message = "The configuration of the stable version is being noted on its template.";
    pass.wait(reason::CONFIG, message.to_owned());
    Course::Busy
}

fn gathering(pass: &mut Pass<'_>, live: &LiveConfig) -> bool {
    let until = after(live.changed_at, GATHERED_FOR);
    pass.wake(until);
    pass.now < until
}

fn stamp(pass: &mut Pass<'_>, deployment: &Deployment, stamp: Option<&Stamp>) {
    pass.effect(Effect::Stamp {
        stamp: stamp.cloned(),
        resource_version: deployment.resource_version.clone(),
    });
    let message =
        "The configuration is being noted on the template, which makes it part of the version.";
    pass.wait(reason::CONFIG, message.to_owned());
}

fn stamp_set(pass: &mut Pass<'_>, set: &ReplicaSet, stamp: Option<&Stamp>) {
    pass.effect(Effect::StampSet {
        name: set.name.clone(),
        stamp: stamp.cloned(),
        resource_version: set.resource_version.clone(),
    });
}
