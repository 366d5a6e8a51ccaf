//! One step of a canary: its pods become ready, it holds, its gates pass, somebody approves; then the next one begins.

use jiff::Timestamp;

use super::{
    super::{
        observed::Deployment,
        plan::{Approval, End, Plan, Step},
        reason,
        status::{Candidate, RollbackReason, StepState},
    },
    begin,
    clock::{after, show},
    compare, gates, nodes,
    pass::{Pass, Why},
    pods::{self, Pods},
    progress, rollback, traffic,
};
use crate::{
    shares,
    traffic::{Split, plan::Standing},
};

pub(super) fn go(pass: &mut Pass<'_>, deployment: &Deployment, candidate: &Candidate) {
    let Some(plan) = pass.plan() else { return };
    let Some(state) = pass.next.step.clone() else {
        return progress::restart_steps(pass);
    };
    let Some(step) = plan.steps.get(state.index as usize) else {
        return shortened(pass, plan);
    };
    let index = state.index as usize;

    let lead = traffic::lead(pass, plan, &state, deployment, candidate);
    let replicas = deployment.step_pods(step).max(lead.keeps);
    let replicas = replicas.max(nodes::taken(pass, deployment));
    pass.next.candidate_replicas = Some(replicas);
    let beside = if deployment.kind.in_place() {
        deployment.replicas.saturating_sub(replicas)
    } else {
        deployment.replicas
    };
    let split = traffic::split_of(pass, plan, index, candidate).or_else(|| step.split.clone());
    note_weight(pass, split.as_ref(), &lead.standing, replicas, beside);
    if !lead.may_have_pods {
        note_readiness(pass, candidate, &state, false);
        return wait_for_traffic(pass, plan, candidate, &state, &lead.standing);
    }
    let pods = pods::ensure(pass, deployment, candidate, replicas);
    if pods == Pods::Native {
        return begin::bypassed(pass, deployment);
    }
    let given = !matches!(lead.standing, Standing::Moving(_));
    note_readiness(pass, candidate, &state, pods == Pods::Ready && given);
    if let Pods::Missing(problem) = pods {
        return wait_for_pods(pass, plan, candidate, &state, replicas, problem);
    }
    if !given {
        return wait_for_traffic(pass, plan, candidate, &state, &lead.standing);
    }
    match blocked(pass, step) {
        Some(why) => pass.wait(why.reason, why.message),
        None => forward(pass, plan, index),
    }
}

/// The plan was shortened in mid-canary: its last step is the present one.
fn shortened(pass: &mut Pass<'_>, plan: &Plan) {
    let last = plan.steps.len().saturating_sub(1);
    if let Some(step) = &mut pass.next.step {
        step.index = u32::try_from(last).unwrap_or(0);
    }
}

/// The share that the candidate really has: by its pods, or, once every router has acknowledged it, by the routes.
fn note_weight(
    pass: &mut Pass<'_>,
    split: Option<&Split>,
    standing: &Standing,
    replicas: i32,
    stable: i32,
) {
    match split {
        None => pass.next.weight_percent = Some(shares::weight_percent(replicas, stable)),
        Some(split) if *standing == Standing::Reached && traffic::gives(pass, split) => {
            pass.next.weight_percent = Some(i32::from(split.canary_percent));
        }
        Some(_) => {
            pass.next.weight_percent.get_or_insert(0);
        }
    }
}

/// Records since when pods are ready or missing, which holds, gates and the deadline count from.
fn note_readiness(pass: &mut Pass<'_>, candidate: &Candidate, state: &StepState, ready: bool) {
    let now = pass.now;
    let some_ready = pass.seen.candidates().any(|set| {
        !set.terminating && set.template.digest == candidate.version.digest && set.available > 0
    });
    if let Some(candidate) = &mut pass.next.candidate
        && some_ready
    {
        candidate.first_ready_at.get_or_insert(now);
    }
    if let Some(step) = &mut pass.next.step {
        if ready {
            step.ready_at.get_or_insert(now);
            step.unready_since = None;
        } else if state.ready_at.is_some() {
            step.unready_since.get_or_insert(now);
        }
    }
}

/// The progress deadline runs whenever pods are missing, also while a person paused the Rollout: that is not their doing.
fn wait_for_pods(
    pass: &mut Pass<'_>,
    plan: &Plan,
    candidate: &Candidate,
    state: &StepState,
    replicas: i32,
    problem: Option<String>,
) {
    let deadline = deadline(pass, plan, state);
    let problem = problem.map(|why| format!(" ({why})")).unwrap_or_default();
    let version = &candidate.version.version;
    if pass.now >= deadline {
        let message = format!(
            "The pods of {version} did not become available within {} s{problem}.",
            plan.progress_deadline.as_secs(),
        );
        return rollback::begin(
            pass,
            &candidate.version,
            RollbackReason::DeadlineExceeded,
            message,
            false,
        );
    }
    pass.wake(deadline);
    let message = format!(
        "{replicas} pod(s) of {version} must become available until {}{problem}.",
        show(deadline),
    );
    pass.wait(reason::PODS, message);
}

/// When the candidate is rejected for want of ready pods, or of the requests that they are to get.
fn deadline(pass: &Pass<'_>, plan: &Plan, state: &StepState) -> Timestamp {
    let step = pass.next.step.as_ref();
    let since = step
        .and_then(|step| step.unready_since)
        .unwrap_or(state.entered_at);
    after(since, plan.progress_deadline)
}

/// The progress deadline runs for the routers, too.
fn wait_for_traffic(
    pass: &mut Pass<'_>,
    plan: &Plan,
    candidate: &Candidate,
    state: &StepState,
    standing: &Standing,
) {
    let deadline = deadline(pass, plan, state);
    if pass.now < deadline {
        pass.wake(deadline);
        return traffic::wait(pass, standing);
    }
    let why = match standing {
        Standing::Moving(why) => why.as_str(),
        Standing::Draining(_) | Standing::Reached => "connections did not end",
    };
    let message = format!(
        "{} did not get its share of the requests within {} s: {why}.",
        candidate.version.version,
        plan.progress_deadline.as_secs(),
    );
    rollback::begin(
        pass,
        &candidate.version,
        RollbackReason::DeadlineExceeded,
        message,
        false,
    );
}

/// What keeps the step with ready pods from being passed.
fn blocked(pass: &mut Pass<'_>, step: &Step) -> Option<Why> {
    let state = pass.next.step.clone()?;
    if let Some(paused) = &pass.next.paused {
        let message = format!("{} paused the Rollout; a resume ends this.", paused.by);
        return Some(Why {
            reason: reason::PAUSED,
            message,
        });
    }
    let hold_until = after(state.ready_at.unwrap_or(pass.now), step.hold);
    let shown = compare::shown_good_enough(pass);
    if pass.now < hold_until && state.skipped_by.is_none() && !shown {
        pass.wake(hold_until);
        let or = match step.end {
            End::Time => "",
            End::Evidence => {
                ", or until the gates that compare have shown the candidate to be good enough"
            }
        };
        let message = format!(
            "The step holds until {}{or}; a skip ends this.",
            show(hold_until)
        );
        return Some(Why {
            reason: reason::HOLD,
            message,
        });
    }
    if let Some(why) = gates::blocking(pass) {
        return Some(why);
    }
    if step.approval == Approval::Required && state.approved_by.is_none() {
        let message =
            "The step is passed but for a person's approval; an approve ends this.".to_owned();
        return Some(Why {
            reason: reason::APPROVAL,
            message,
        });
    }
    None
}

fn forward(pass: &mut Pass<'_>, plan: &Plan, index: usize) {
    let steps = plan.steps.len();
    let following = index.saturating_add(1);
    if plan.steps.get(following).is_none() {
        return progress::promote_with_group(pass);
    }
    gates::new_segment(pass);
    let index = u32::try_from(following).unwrap_or(u32::MAX);
    pass.next.step = Some(StepState {
        index,
        ..begin::first_step(pass)
    });
    pass.normal(
        reason::STEP_PASSED,
        format!(
            "Step {following}/{steps} is passed; step {}/{steps} begins.",
            following.saturating_add(1)
        ),
    );
}
