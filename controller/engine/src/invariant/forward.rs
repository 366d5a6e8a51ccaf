//! What must be true when a canary goes forward.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Case, same_trial};
use crate::{
    gate::{self, GatePolicy, Mode, Verdict},
    rollout::{
        observed::{Owner, Workload},
        plan::{Approval, End, Plan, Step},
        status::{Phase, StepState, Track},
    },
};

/// Steps that a decision went through: the present one as it stood before, then those passed in the same decision.
struct Passed<'a> {
    plan: &'a Plan,
    state: &'a StepState,
    steps: &'a [Step],
}

/// The steps that this decision passed, if it went forward step by step.
fn passed(case: Case<'_>) -> Option<Passed<'_>> {
    let plan = case.plan.ok()?;
    let state = case
        .before
        .step
        .as_ref()
        .filter(|_| case.before.phase == Phase::Progressing)?;
    let before = case.before.candidate.as_ref()?;
    let after = case.decision.status.candidate.as_ref()?;
    if !same_trial(before, after) || after.track != Track::Steps {
        return None;
    }
    // A plan that was shortened: its last step is the present one.
    let first = (state.index as usize).min(plan.steps.len().saturating_sub(1));
    let last = match case.decision.status.phase {
        Phase::Progressing => {
            let now = case.decision.status.step.as_ref()?;
            if now.index <= state.index {
                return None;
            }
            now.index as usize
        }
        Phase::Promoting | Phase::Baking => plan.steps.len(),
        _ => return None,
    };
    let steps = plan
        .steps
        .get(first..last)
        .filter(|steps| !steps.is_empty())?;
    Some(Passed { plan, state, steps })
}

/// After any gap no step forward, and no end of a bake, before a passing verdict that is younger than the gap.
pub(super) fn no_step_on_old_verdict(case: Case<'_>) -> Result<(), String> {
    if let Some(Passed { plan, state, steps }) = passed(case) {
        for (offset, step) in steps.iter().enumerate() {
            // A step that became ready in this very decision, or began in it, can't have a pass yet.
            let ready_at = state.ready_at.filter(|_| offset == 0);
            let since = ready_at.unwrap_or(case.now);
            for policy in plan.gates.iter().chain(&step.gates) {
                passed_since(case, policy, since)?;
            }
        }
    }
    let bakes_before =
        case.before.phase == Phase::Baking && case.before.rollback == case.decision.status.rollback;
    let promoted = case
        .before
        .candidate
        .as_ref()
        .map(|candidate| &candidate.version.digest)
        == case
            .decision
            .status
            .stable
            .as_ref()
            .map(|stable| &stable.digest);
    if let (true, true, Ok(plan), None) = (
        bakes_before,
        promoted,
        case.plan,
        &case.decision.status.candidate,
    ) {
        let since = case
            .before
            .phase_since
            .ok_or("a bake without a beginning")?;
        for policy in &plan.gates {
            passed_since(case, policy, since)?;
        }
    }
    Ok(())
}

fn passed_since(case: Case<'_>, policy: &GatePolicy, since: Timestamp) -> Result<(), String> {
    if policy.mode == Mode::DryRun {
        return Ok(());
    }
    let segment = since;
    let since = since.max(case.observed.acting_since);
    let stored = case
        .before
        .gates
        .iter()
        .find(|state| state.name == policy.name);
    let stored_at = stored.and_then(|state| state.measured_at);
    let newest = case.observed.readings.iter().rfind(|reading| {
        reading.gate == policy.name && reading.at <= case.now && Some(reading.at) > stored_at
    });
    let (at, passes) = match newest {
        Some(reading) if policy.method.comparison().is_some() => {
            let passes = compared_since(case, policy, segment, &reading.result);
            let at = match &reading.result {
                gate::Result::Unchanged => counted_through(case, policy),
                _ => Some(reading.at),
            };
            (at, passes)
        }
        Some(reading) => (
            Some(reading.at),
            matches!(reading.result, gate::Result::Pass { .. }),
        ),
        None => (
            stored_at,
            stored.is_some_and(|state| state.verdict == Verdict::Pass),
        ),
    };
    if passes && at.is_some_and(|at| at >= since) {
        return Ok(());
    }
    Err(format!(
        "went forward though gate {} had no pass since {since} (newest: {at:?}, passing: {passes})",
        policy.name
    ))
}

/// Through when events were counted: a look that found nothing newer makes no verdict younger.
fn counted_through(case: Case<'_>, policy: &GatePolicy) -> Option<Timestamp> {
    let stored = case
        .before
        .gates
        .iter()
        .find(|state| state.name == policy.name);
    let stored = stored.and_then(|state| state.evidence.as_ref());
    let readings = case
        .observed
        .readings
        .iter()
        .filter(|reading| reading.gate == policy.name);
    let counted = readings.filter_map(|reading| match &reading.result {
        gate::Result::Counted(tick) => Some(tick.to),
        _ => None,
    });
    counted
        .chain(stored.map(|evidence| evidence.counted_through))
        .max()
}

/// A comparison passes on requests of both sides that were counted in this segment; its newest look, which is younger than any
/// gap, must have found something, or be from after the promotion, when there is nothing left to compare with. What it counts
/// may have begun before the gap: nothing of it is lost.
fn compared_since(
    case: Case<'_>,
    policy: &GatePolicy,
    segment: Timestamp,
    newest: &gate::Result,
) -> bool {
    let stored = case
        .before
        .gates
        .iter()
        .find(|state| state.name == policy.name);
    let before = stored
        .and_then(|state| state.evidence.as_ref())
        .is_some_and(|evidence| evidence.step_requests.get() > 0.0);
    let now = case.observed.readings.iter().any(|reading| {
        let counted = match &reading.result {
            gate::Result::Counted(tick) if tick.from >= segment => tick.series.first(),
            _ => None,
        };
        reading.gate == policy.name
            && counted
                .is_some_and(|series| series.canary.total() > 0.0 && series.stable.total() > 0.0)
    });
    let promoted = matches!(case.before.phase, Phase::Promoting | Phase::Baking);
    match newest {
        gate::Result::Counted(_) | gate::Result::Unchanged => before || now,
        gate::Result::NoBaseline => promoted,
        _ => false,
    }
}

/// No step forward without as many available pods as the step gives.
pub(super) fn no_step_without_ready_pods(case: Case<'_>) -> Result<(), String> {
    let (Some(Passed { steps, .. }), Workload::Deployment(deployment)) =
        (passed(case), &case.observed.workload)
    else {
        return Ok(());
    };
    let digest = case
        .before
        .candidate
        .as_ref()
        .map(|candidate| &candidate.version.digest);
    let available = case
        .observed
        .sets
        .iter()
        .filter(|set| set.owner == Owner::Rollout && !set.terminating)
        .filter(|set| {
            Some(&set.template.digest) == digest
                || Some(&set.hash) == case.before.candidate.as_ref().map(|c| &c.version.hash)
        })
        .map(|set| set.available)
        .max()
        .unwrap_or(0);
    for step in steps {
        let wanted = deployment.step_pods(step);
        if available < wanted {
            return Err(format!(
                "a step of {wanted} pods was passed with {available} available"
            ));
        }
    }
    Ok(())
}

/// No step forward before its hold is over and its approval is given, nor while a person paused the Rollout.
pub(super) fn no_step_before_its_hold_and_approval(case: Case<'_>) -> Result<(), String> {
    let Some(Passed { plan, state, steps }) = passed(case) else {
        return Ok(());
    };
    if case.before.paused.is_some() && case.decision.status.paused.is_some() {
        return Err("went forward while paused by a person".to_owned());
    }
    // Acts are taken up in the same decision, so that a new receipt may stand for an approval or a skip.
    let acted = case.decision.status.actions != case.before.actions;
    for (offset, step) in steps.iter().enumerate() {
        let ready_at = if offset == 0 {
            state.ready_at.unwrap_or(case.now)
        } else {
            case.now
        };
        let over = elapsed(ready_at, case.now) >= signed(step.hold);
        let shown = step.end == End::Evidence && shown_good_enough(case, plan, step);
        if !over && state.skipped_by.is_none() && !acted && !shown {
            return Err(format!(
                "a hold of {:?} since {ready_at} was cut short",
                step.hold
            ));
        }
        let approved = step.approval == Approval::NotRequired || state.approved_by.is_some();
        if !approved && !acted {
            return Err("a step was passed without its approval".to_owned());
        }
    }
    Ok(())
}

/// Whether some gate compares, and none of those that hold throughout is short of evidence. What the step's own gates had is not in the
/// status any more.
fn shown_good_enough(case: Case<'_>, plan: &Plan, step: &Step) -> bool {
    let enforced = |policy: &&GatePolicy| policy.mode == Mode::Enforce;
    let rules = |policy: &GatePolicy| policy.method.comparison().cloned();
    let mut all = plan.gates.iter().chain(&step.gates).filter(enforced);
    let shows = |policy: &GatePolicy| {
        let states = &case.decision.status.gates;
        let state = states.iter().find(|state| state.name == policy.name);
        let evidence = state.and_then(|state| state.evidence.as_ref());
        rules(policy)
            .is_none_or(|rules| evidence.is_some_and(|evidence| evidence.reassures(&rules)))
    };
    all.any(|policy| rules(policy).is_some()) && plan.gates.iter().filter(enforced).all(shows)
}

fn elapsed(from: Timestamp, to: Timestamp) -> SignedDuration {
    to.duration_since(from)
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
