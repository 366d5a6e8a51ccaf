//! The readable side of a status: what is waited for, conditions, and the columns of `kubectl get`.

use super::{
    super::{
        reason,
        status::{Phase, Waiting},
    },
    gates,
    pass::{Pass, Why},
};
use crate::condition::{self, Condition, Truth};

/// Fills in everything that follows from the rest of the decision.
pub(super) fn finish(pass: &mut Pass<'_>) {
    pass.next.waiting_for = pass.waiting.as_ref().map(|why| {
        let present = pass.before.waiting_for.as_ref();
        let since = present
            .filter(|waiting| waiting.reason == why.reason)
            .map_or(pass.now, |waiting| waiting.since);
        Waiting {
            reason: why.reason.to_owned(),
            message: why.message.clone(),
            since,
        }
    });
    pass.next.verdict = gates::together(&pass.next.gates);
    columns(pass);
    conditions(pass);
}

fn columns(pass: &mut Pass<'_>) {
    let steps = pass.plan().map(|plan| plan.steps.len());
    if let Some(steps) = steps {
        pass.next.step_text = pass.next.step.as_ref().map(|step| {
            format!(
                "{}/{steps}",
                (step.index as usize).saturating_add(1).min(steps)
            )
        });
    }
    if pass.next.step.is_none() {
        pass.next.step_text = None;
    }
    if pass.next.candidate.is_none() {
        pass.next.candidate_replicas = None;
        pass.next.weight_percent = None;
    } else if pass.next.phase == Phase::Baking {
        pass.next.weight_percent = Some(100);
    }
}

fn conditions(pass: &mut Pass<'_>) {
    let waiting = pass.waiting.clone().unwrap_or_else(|| Why {
        reason: reason::VERIFIED,
        message: pass
            .next
            .stable
            .as_ref()
            .map_or_else(String::new, |stable| {
                format!("{} runs, verified.", stable.version)
            }),
    });
    let rejected = (pass.next.phase == Phase::Rejected).then(|| waiting.clone());
    let stalled = pass.stalled.clone().or(rejected);
    let ready = pass.next.phase == Phase::Healthy && pass.waiting.is_none() && stalled.is_none();
    put(
        pass,
        "Ready",
        Some(&waiting),
        if ready { Truth::True } else { Truth::False },
    );
    let reconciling = (!ready && stalled.is_none()).then_some(&waiting);
    put(pass, "Reconciling", reconciling, Truth::True);
    put(pass, "Stalled", stalled.as_ref(), Truth::True);
    doubts(pass);
}

/// Tells once of queries that look wrong, and shows it as long as they do.
fn doubts(pass: &mut Pass<'_>) {
    let told = pass
        .plan()
        .and_then(|plan| condition::doubts_told(&plan.doubts));
    let why = told.map(|message| Why {
        reason: "Lint",
        message,
    });
    put(pass, reason::GATES_DOUBTFUL, why.as_ref(), Truth::True);
    let Some(Why { message, .. }) = why else {
        return;
    };
    let known =
        pass.before.conditions.iter().any(|condition| {
            condition.kind == reason::GATES_DOUBTFUL && condition.message == message
        });
    if !known {
        pass.warning(reason::GATES_DOUBTFUL, message);
    }
}

pub(super) fn put(pass: &mut Pass<'_>, kind: &str, why: Option<&Why>, status: Truth) {
    let Some(why) = why else {
        condition::clear(&mut pass.next.conditions, kind);
        return;
    };
    let next = Condition {
        kind: kind.to_owned(),
        status,
        reason: why.reason.to_owned(),
        message: why.message.clone(),
        last_transition_time: pass.now,
        observed_generation: pass.seen.generation,
    };
    condition::set(&mut pass.next.conditions, next);
}
