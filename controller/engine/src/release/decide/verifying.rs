//! Judging what was applied: Rollouts, health, gates, and then the kept render that makes it *verified*.

use jiff::Timestamp;

use super::{
    failing, gates,
    governed::{self, Standing},
    pass::{Pass, after, brief},
    settled,
};
use crate::{
    health::Health,
    release::{
        Effect,
        observed::{ObjectHealth, Task},
        plan::{Plan, Promotion},
        status::{FailureReason, Phase, Target, Verified},
    },
    rollout::status::Phase as RolloutPhase,
};

/// What the objects and Rollouts say together.
enum State {
    Unknown,
    Waiting(String),
    Healthy,
    Failed(FailureReason, String),
}

pub(super) fn drive(pass: &mut Pass<'_>) {
    let Some(target) = pass.status.target.clone() else {
        pass.enter(Phase::Pending);
        return;
    };
    let Ok(plan) = pass.plan else {
        pass.wait(
            "Verifying",
            "The spec can't be carried out; what runs stays as it is",
        );
        return;
    };
    if target.healthy_at.is_none() {
        match look(pass, plan, &target) {
            State::Failed(reason, message) => return failing::fail(pass, reason, message),
            State::Unknown => {
                return pass.wait("Health", "Looks at the health of the applied objects");
            }
            State::Waiting(message) => {
                together(pass, plan, &target);
                return pass.wait("Health", message);
            }
            State::Healthy => healthy(pass),
        }
    } else if let Some((reason, message)) = rejected(pass, &target) {
        return failing::fail(pass, reason, message);
    }
    match gates::judge(pass, plan) {
        gates::Outcome::Failed(reason, message) => failing::fail(pass, reason, message),
        gates::Outcome::Waiting(message) => pass.wait("Gates", message),
        gates::Outcome::Passed => verified(pass, &target),
    }
}

/// A version on its way back is not judged: what is missing is said, and after the timeout it stays as it is.
pub(super) fn drive_rollback(pass: &mut Pass<'_>) {
    let Some(target) = pass.status.target.clone() else {
        return;
    };
    let applied_at = target.applied_at.unwrap_or(pass.now);
    let counted_from = pass.in_reach_from(applied_at);
    let deadline = pass.plan.ok().map(|plan| after(counted_from, plan.timeout));
    let late = deadline.is_some_and(|deadline| deadline <= pass.now);
    let missing = match health(pass, &target) {
        None => Some("Looks at the health of the objects that were brought back".to_owned()),
        Some(unhealthy) => unhealthy
            .first()
            .map(|first| describe(first, unhealthy.len())),
    };
    let missing = missing.or_else(|| {
        standings(pass).find_map(|(name, standing)| match standing {
            Standing::Verified => None,
            Standing::Starting(message)
            | Standing::Moving(message)
            | Standing::Rejected(message) => Some(format!("Rollout {name}: {message}")),
            Standing::Promotable => Some(format!("Rollout {name} waits for its Release")),
        })
    });
    match missing {
        Some(message) if !late => {
            if let Some(deadline) = deadline {
                pass.wake(deadline);
            }
            pass.wait(
                "RollingBack",
                format!("{} is brought back; {message}", brief(&target.content)),
            );
        }
        missing => {
            if let Some(message) = missing {
                pass.warning(
                    "RollbackIncomplete",
                    format!(
                        "{} was brought back but is not healthy: {message}",
                        brief(&target.content)
                    ),
                );
            }
            pass.normal(
                "RolledBack",
                format!("{} runs again", brief(&target.content)),
            );
            settled::enter(pass);
        }
    }
}

fn look(pass: &mut Pass<'_>, plan: &Plan, target: &Target) -> State {
    if let Some((reason, message)) = rejected(pass, target) {
        return State::Failed(reason, message);
    }
    let Some(unhealthy) = health(pass, target) else {
        return State::Unknown;
    };
    if let Some((object, message)) = unhealthy.iter().find_map(|object| match &object.health {
        Health::Failed { message } => Some((&object.object, message)),
        _ => None,
    }) {
        return State::Failed(
            FailureReason::Unhealthy,
            format!("{object} failed: {message}"),
        );
    }
    let starting = standings(pass).find_map(|(name, standing)| match standing {
        Standing::Starting(message) => Some(format!("Rollout {name}: {message}")),
        _ => None,
    });
    let unhealthy_objects = unhealthy
        .first()
        .map(|first| describe(first, unhealthy.len()));
    if let Some(message) = unhealthy_objects.or(starting) {
        let applied_at = target.applied_at.unwrap_or(pass.now);
        let deadline = after(pass.in_reach_from(applied_at), plan.timeout);
        if deadline <= pass.now {
            return State::Failed(
                FailureReason::DeadlineExceeded,
                format!("Not healthy in time (verification.timeout): {message}"),
            );
        }
        pass.wake(deadline);
        return State::Waiting(message);
    }
    standings(pass)
        .find_map(|(name, standing)| match standing {
            Standing::Verified => None,
            Standing::Promotable => Some(State::Waiting(format!(
                "Rollout {name} is verified and waits for the others"
            ))),
            Standing::Starting(message) | Standing::Moving(message) => {
                Some(State::Waiting(format!("Rollout {name}: {message}")))
            }
            Standing::Rejected(_) => Some(State::Waiting(format!(
                "Rollout {name} is asked to try again"
            ))),
        })
        .unwrap_or(State::Healthy)
}

/// A Rollout that rejected the applied template. One that did so before this attempt, when somebody retried the Release, is
/// asked to try again instead.
fn rejected(pass: &mut Pass<'_>, target: &Target) -> Option<(FailureReason, String)> {
    let mut retries = Vec::new();
    let mut verdict: Option<String> = None;
    for workload in &pass.status.workloads {
        let Some(rollout) = governed::rollout_of(pass, workload) else {
            continue;
        };
        let Standing::Rejected(message) = governed::standing(&rollout.status, &workload.digest)
        else {
            continue;
        };
        let entry = governed::rejected(&rollout.status, &workload.digest);
        match (&target.retried_by, entry) {
            (Some(actor), Some(entry)) if entry.since < target.started_at => {
                // While it takes a version back it would refuse.
                if rollout.status.phase == RolloutPhase::RollingBack {
                    continue;
                }
                retries.push(Effect::RetryRollout {
                    namespace: rollout.namespace.clone(),
                    name: rollout.name.clone(),
                    digest: entry.digest.clone(),
                    attempt: target.started_at,
                    actor: actor.clone(),
                });
            }
            _ => {
                verdict.get_or_insert_with(|| {
                    format!("Rollout {} rejected it: {message}", rollout.name)
                });
            }
        }
    }
    if let Some(message) = verdict {
        return Some((FailureReason::RolloutRejected, message));
    }
    for retry in retries {
        pass.effect(retry);
    }
    None
}

/// The target's unhealthy objects that are not a Rollout's business; `None` until they have been looked at.
fn health<'a>(pass: &Pass<'a>, target: &Target) -> Option<Vec<&'a ObjectHealth>> {
    let observed = pass
        .observed
        .health
        .as_ref()
        .filter(|health| health.digest == target.content.digest)?;
    let ours = |object: &&ObjectHealth| !governed::is_governed(pass, &object.object);
    Some(observed.unhealthy.iter().filter(ours).collect())
}

fn describe(first: &ObjectHealth, count: usize) -> String {
    let message = match &first.health {
        Health::Current => "",
        Health::InProgress { message } | Health::Failed { message } => message,
    };
    let object = &first.object;
    match count {
        0 | 1 => format!("{object}: {message}"),
        more => format!("{object}: {message} (and {} more objects)", more - 1),
    }
}

fn standings<'p>(pass: &'p Pass<'_>) -> impl Iterator<Item = (&'p str, Standing)> {
    pass.status.workloads.iter().filter_map(|workload| {
        let rollout = governed::rollout_of(pass, workload)?;
        let standing = governed::standing(&rollout.status, &workload.digest);
        Some((rollout.name.as_str(), standing))
    })
}

/// Gives the word for promotion once every Rollout of the Release has passed its steps.
fn together(pass: &mut Pass<'_>, plan: &Plan, target: &Target) {
    if plan.promotion != Promotion::Together
        || pass.status.promotable.as_ref() == Some(&target.content.digest)
    {
        return;
    }
    let objects_are_healthy = health(pass, target).is_some_and(|unhealthy| unhealthy.is_empty());
    let all = standings(pass).all(|(_, s)| matches!(s, Standing::Verified | Standing::Promotable));
    let any = standings(pass).any(|(_, s)| s == Standing::Promotable);
    if objects_are_healthy && all && any {
        pass.status.promotable = Some(target.content.digest.clone());
        pass.normal(
            "PromotingTogether",
            "Every Rollout has passed its steps: all promote now",
        );
    }
}

fn healthy(pass: &mut Pass<'_>) {
    let now: Timestamp = pass.now;
    if let Some(target) = &mut pass.status.target {
        target.healthy_at = Some(now);
    }
}

/// Verified, once the render is kept: a version that can't be brought back without its source is not a good one yet.
fn verified(pass: &mut Pass<'_>, target: &Target) {
    let content = target.content.clone();
    if !pass.observed.renders.contains(&content.digest) {
        if let Some(trouble) = pass.trouble(Task::Render, Some(&content.digest)) {
            pass.wait(
                "RenderNotKept",
                format!(
                    "{} is good, but its render can't be kept: {}",
                    brief(&content),
                    trouble.message
                ),
            );
        }
        pass.wait(
            "KeepingRender",
            format!("Keeps the render of {}", brief(&content)),
        );
        let digest = content.digest.clone();
        return pass.attempt(Task::Render, Some(&digest), Effect::StoreRender { content });
    }
    pass.normal("Verified", format!("{} is verified", brief(&content)));
    let earlier_revisions = pass
        .status
        .history
        .iter()
        .find(|old| old.content.digest == content.digest)
        .map(|old| old.earlier_revisions.clone())
        .unwrap_or_default();
    let verified = Verified {
        content,
        at: pass.now,
        earlier_revisions,
        started_at: Some(target.started_at),
    };
    pass.status
        .history
        .retain(|old| old.content.digest != verified.content.digest);
    pass.status.history.push(verified.clone());
    let limit = pass.plan.map_or(usize::MAX, |plan| plan.history.max(1));
    let excess = pass.status.history.len().saturating_sub(limit);
    pass.status.history.drain(..excess);
    pass.status.verified = Some(verified);
    settled::enter(pass);
}
