//! The steps of a Rollout, with the promotion and the bake that follow them.

use belay_api::{Duration, Rollout, rollout::Step};
use belay_engine::rollout::status::{Candidate, Phase, RolloutStatus, StepState, Track};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::signs::{Mark, line};
use crate::{output::Style, span};

/// One line for each step, and one for what comes after them.
pub(super) fn lines(
    rollout: &Rollout,
    status: &RolloutStatus,
    now: Timestamp,
    style: Style,
) -> Vec<String> {
    let at = status.step.as_ref();
    let mut lines = Vec::new();
    for (index, step) in rollout.spec.strategy.steps().iter().enumerate() {
        let sign = step_mark(index, status);
        let note = match (sign, at) {
            (Mark::Now, Some(at)) => progress(step, at, now),
            _ => String::new(),
        };
        let text = format!("{}  {}", index + 1, describe(step));
        lines.push(line(sign, &text, &note, style));
    }
    let promotion = match status.phase {
        Phase::Promoting => Mark::Now,
        Phase::Baking => Mark::Done,
        _ => Mark::Ahead,
    };
    lines.push(line(promotion, "   promotion", "", style));
    lines.extend(bake(rollout, status, now, style));
    lines
}

/// Where a step stands. Steps that a candidate went past without stopping are not shown as passed.
fn step_mark(index: usize, status: &RolloutStatus) -> Mark {
    let present = status.step.as_ref().map_or(0, |step| step.index as usize);
    let stopped = |candidate: &Candidate| candidate.track == Track::Steps;
    let by_steps = status.candidate.as_ref().is_none_or(stopped);
    match status.phase {
        _ if index < present => Mark::Done,
        _ if !by_steps => Mark::Skipped,
        Phase::Promoting | Phase::Baking => Mark::Done,
        _ if index > present => Mark::Ahead,
        Phase::RollingBack | Phase::Rejected => Mark::Failed,
        _ => Mark::Now,
    }
}

fn bake(rollout: &Rollout, status: &RolloutStatus, now: Timestamp, style: Style) -> Option<String> {
    let verification = rollout.spec.verification.as_ref()?;
    let bake = verification.after_promotion.as_ref()?.bake;
    let (sign, note) = match (status.phase, status.phase_since) {
        (Phase::Baking, Some(since)) => (
            Mark::Now,
            remaining(since, bake, now)
                .map(|left| format!("{left} left"))
                .unwrap_or_default(),
        ),
        (Phase::Baking, None) => (Mark::Now, String::new()),
        _ => (Mark::Ahead, String::new()),
    };
    Some(line(sign, &format!("   bake {bake}"), &note, style))
}

/// What is left of `length` since `start`, if anything is.
fn remaining(start: Timestamp, length: Duration, now: Timestamp) -> Option<String> {
    let length = SignedDuration::try_from(length.get()).ok()?;
    let end = start.checked_add(length).ok()?;
    (end > now).then(|| span::between(now, end))
}

fn describe(step: &Step) -> String {
    let share = match (&step.weight, &step.replicas) {
        (Some(weight), _) => Some(format!("weight {weight} %")),
        (None, Some(IntOrString::Int(count))) => Some(pods(*count)),
        (None, Some(IntOrString::String(share))) => Some(format!("{share} of the pods")),
        (None, None) => None,
    };
    let cohorts = match step.cohorts.len() {
        0 => None,
        1 => Some("a cohort".to_owned()),
        count => Some(format!("{count} cohorts")),
    };
    let mirror = step.mirror.map(|percent| format!("mirror {percent} %"));
    let hold = Some(step.hold).filter(|hold| !hold.get().is_zero());
    let hold = hold.map(|hold| format!("hold {hold}"));
    let approval = step.approval.then(|| "approval".to_owned());
    let parts = [share, cohorts, mirror, hold, approval];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn progress(step: &Step, at: &StepState, now: Timestamp) -> String {
    let Some(ready) = at.ready_at else {
        let since = span::between(at.entered_at, now);
        return format!("pods not ready for {since}");
    };
    let mut notes = vec![format!("ready for {}", span::between(ready, now))];
    match &at.skipped_by {
        Some(by) => notes.push(format!("hold skipped by {by}")),
        None => notes.extend(
            remaining(ready, step.hold, now).map(|left| format!("{left} of the hold left")),
        ),
    }
    match &at.approved_by {
        Some(by) => notes.push(format!("approved by {by}")),
        None if step.approval => notes.push("needs approval".to_owned()),
        None => {}
    }
    notes.join(", ")
}

/// A number of pods in words.
pub(super) fn pods(count: i32) -> String {
    if count == 1 {
        "1 pod".to_owned()
    } else {
        format!("{count} pods")
    }
}
