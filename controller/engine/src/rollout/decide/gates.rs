//! What the gates say at this moment, and when they are measured next.
//!
//! The standing of this moment (`live`) is the persisted one plus the readings in memory. Decisions use the live one; it is
//! written down only when it says something new, so that a passing measurement costs no write. Readings that are lost in a
//! crash are measured again.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    super::{
        Measure,
        plan::Approval,
        reason,
        status::{Phase, RollbackReason},
    },
    clock::{after, show},
    compare,
    pass::{Pass, Why},
};
use crate::gate::{
    self, Folded, GatePolicy, GateState, Mode, Stable, Then, UnknownPolicy, Verdict, Window,
};

/// Beyond two intervals and this long a gate's last measurement is too old to go forward on.
const FRESHNESS_SLACK: Duration = Duration::from_secs(30);

/// A transition that is due within this time brings a first pass along; people need not see it earlier.
const WRITTEN_SOON: Duration = Duration::from_secs(10);

/// A gate with its standing of this moment.
pub(super) struct Live<'a> {
    pub(super) policy: &'a GatePolicy,
    pub(super) state: GateState,
}

impl Live<'_> {
    pub(super) fn enforced(&self) -> bool {
        self.policy.mode == Mode::Enforce
    }

    fn unknown_policy(&self) -> Option<(&UnknownPolicy, RollbackReason)> {
        match self.state.verdict {
            Verdict::NoData => Some((&self.policy.on_no_data, RollbackReason::NoData)),
            Verdict::Error => Some((&self.policy.on_error, RollbackReason::ProviderError)),
            Verdict::Pass | Verdict::Fail | Verdict::Continue => None,
        }
    }
}

/// Brings the standing of the present step's gates up to date, writes down what is new, and plans the next measurements.
pub(super) fn fold(pass: &mut Pass<'_>) {
    let watched = matches!(
        pass.next.phase,
        Phase::Progressing | Phase::Promoting | Phase::Baking
    );
    let Some(plan) = pass
        .plan()
        .filter(|_| watched && pass.next.candidate.is_some())
    else {
        return;
    };
    let whole = window(pass, first_ready(pass));
    let mut gates: Vec<(&GatePolicy, Window)> =
        plan.gates.iter().map(|gate| (gate, whole)).collect();
    // In a plan that was shortened, the last step is the present one.
    let last = plan.steps.len().saturating_sub(1);
    if let Some(step) = &pass.next.step
        && let Some(own) = plan.steps.get((step.index as usize).min(last))
    {
        let window = window(pass, step.ready_at);
        gates.extend(own.gates.iter().map(|gate| (gate, window)));
    }
    let mut persisted = Vec::with_capacity(gates.len());
    for (policy, window) in gates {
        let stored = pass
            .next
            .gates
            .iter()
            .find(|state| state.name == policy.name);
        let known = stored
            .cloned()
            .unwrap_or_else(|| GateState::unmeasured(policy));
        let folded = gate::fold(policy, &known, &pass.seen.readings, window);
        measure(pass, policy, &folded.state, window);
        let worth = folded.is_worth_writing(&known) && !brought_along(pass, &known, &folded);
        persisted.push(if worth { folded.state.clone() } else { known });
        pass.live.push(Live {
            policy,
            state: folded.state,
        });
    }
    pass.next.gates = persisted;
}

fn first_ready(pass: &Pass<'_>) -> Option<Timestamp> {
    pass.next
        .candidate
        .as_ref()
        .and_then(|candidate| candidate.first_ready_at)
}

fn window(pass: &Pass<'_>, ready_from: Option<Timestamp>) -> Window {
    Window {
        ready_from,
        passes_from: segment_start(pass),
        now: pass.now,
        comparing: compare::gates(pass),
        stable: match pass.next.phase {
            Phase::Promoting | Phase::Baking => Stable::MayBeGone,
            _ => Stable::Expected,
        },
    }
}

/// From when on passes count: the readiness of the present step, or the beginning of the promotion or bake.
fn segment_start(pass: &Pass<'_>) -> Option<Timestamp> {
    match pass.next.phase {
        Phase::Progressing => pass.next.step.as_ref().and_then(|step| step.ready_at),
        _ => pass.next.phase_since,
    }
}

/// A first pass is no news of its own when the end of the hold, near by, will write it down anyway.
fn brought_along(pass: &Pass<'_>, known: &GateState, folded: &Folded) -> bool {
    let first_pass = known.verdict == Verdict::Continue
        && folded.state.verdict == Verdict::Pass
        && known.failures == folded.state.failures
        && !folded.is_full();
    let near = hold_until(pass).is_some_and(|until| until <= after(pass.now, WRITTEN_SOON));
    first_pass && near && pass.next.paused.is_none()
}

/// When the present step's or bake's own time is over; a promotion ends by itself.
pub(super) fn hold_until(pass: &Pass<'_>) -> Option<Timestamp> {
    let plan = pass.plan()?;
    match pass.next.phase {
        Phase::Progressing => {
            let state = pass.next.step.as_ref()?;
            let step = plan.steps.get(state.index as usize)?;
            let approved = step.approval == Approval::NotRequired || state.approved_by.is_some();
            approved.then_some(after(state.ready_at?, step.hold))
        }
        Phase::Promoting => Some(pass.now),
        _ => Some(after(pass.next.phase_since?, plan.bake)),
    }
}

fn measure(pass: &mut Pass<'_>, policy: &GatePolicy, state: &GateState, window: Window) {
    if let Some(ready_from) = window.ready_from {
        let first = after(ready_from, policy.initial_delay);
        let next = state.measured_at.map(|last| after(last, policy.interval));
        // Not before the first even if the clock was set back since: such a measurement would not count.
        let due_at = next.map_or(first, |next| next.max(first));
        pass.measures.push(Measure {
            gate: policy.name.clone(),
            due_at,
            round: window.passes_from.map(|_| state.round(policy)),
        });
    }
}

/// Writes the live standing down as it is: evidence of what follows.
pub(super) fn write_down(pass: &mut Pass<'_>) {
    if !pass.live.is_empty() {
        pass.next.gates = pass.live.iter().map(|live| live.state.clone()).collect();
    }
}

/// Writes the live standing down and starts counting passes anew.
pub(super) fn new_segment(pass: &mut Pass<'_>) {
    write_down(pass);
    let gates = std::mem::take(&mut pass.next.gates);
    pass.next.gates = gates.into_iter().map(GateState::for_new_step).collect();
    // What was planned above belongs to the segment that ends here.
    for measure in &mut pass.measures {
        measure.round = None;
    }
}

/// Why the candidate must go, if a gate says so.
pub(super) fn against(pass: &mut Pass<'_>) -> Option<(RollbackReason, String)> {
    let deadlines: Vec<Timestamp> = pass
        .live
        .iter()
        .filter_map(|live| unknown_deadline(pass, live).or_else(|| compare::deadline(pass, live)))
        .collect();
    for deadline in deadlines {
        pass.wake(deadline);
    }
    pass.live
        .iter()
        .filter(|live| live.enforced())
        .find_map(|live| {
            failed(live)
                .or_else(|| unknown_for_too_long(pass, live))
                .or_else(|| compare::undecided_for_too_long(pass, live))
        })
        .or_else(|| compare::against_together(pass))
}

/// Whether an enforced gate has failed at this moment.
pub(super) fn failing<'a>(pass: &Pass<'a>) -> Option<&'a str> {
    pass.live
        .iter()
        .find(|live| live.enforced() && live.state.verdict == Verdict::Fail)
        .or_else(|| compare::worst_of_failing(pass))
        .map(|live| live.policy.name.as_str())
}

fn failed(live: &Live<'_>) -> Option<(RollbackReason, String)> {
    (live.state.verdict == Verdict::Fail).then(|| {
        if let Some(message) = compare::failure(live) {
            return (RollbackReason::GateFailed, message);
        }
        let message = format!(
            "Gate {} failed: {} ({} failed measurements, {} tolerated).",
            live.policy.name,
            live.state
                .message
                .as_deref()
                .unwrap_or("its bound is broken"),
            live.state.failures,
            live.policy.failure_limit,
        );
        (RollbackReason::GateFailed, message)
    })
}

/// When an unknown gate's policy rolls back. Time before this process began to act is not counted: nobody looked then.
fn unknown_deadline(pass: &Pass<'_>, live: &Live<'_>) -> Option<Timestamp> {
    let (policy, _) = live.unknown_policy()?;
    let since = live.state.unknown_since?.max(pass.seen.acting_since);
    (live.enforced() && policy.then == Then::RollBack).then(|| after(since, policy.deadline))
}

fn unknown_for_too_long(pass: &Pass<'_>, live: &Live<'_>) -> Option<(RollbackReason, String)> {
    let (policy, reason) = live.unknown_policy()?;
    let over = pass.now >= unknown_deadline(pass, live)?
        && live.state.consecutive_unknown >= policy.consecutive_limit
        && live.state.measured_at >= Some(pass.seen.acting_since);
    over.then(|| {
        let message = format!(
            "Gate {} has known nothing since {}, longer than its policy allows: {}.",
            live.policy.name,
            live.state.unknown_since.map(show).unwrap_or_default(),
            live.state.message.as_deref().unwrap_or("no answer"),
        );
        (reason, message)
    })
}

/// The first gate that keeps the change from going forward.
pub(super) fn blocking(pass: &Pass<'_>) -> Option<Why> {
    let newest_gap = segment_start(pass)
        .unwrap_or(Timestamp::MAX)
        .max(pass.seen.acting_since);
    pass.live
        .iter()
        .filter(|live| live.enforced())
        .find_map(|live| {
            let measured_at = compare::measured_at(pass, live).unwrap_or(Timestamp::MIN);
            let interval = live.policy.interval;
            let stale_at = after(
                measured_at,
                interval.saturating_mul(2).saturating_add(FRESHNESS_SLACK),
            );
            let passes = live.state.verdict == Verdict::Pass
                && measured_at >= newest_gap
                && pass.now <= stale_at;
            (!passes).then(|| Why {
                reason: reason::GATE,
                message: sentence(pass, live),
            })
        })
}

/// What a gate is waited for. From the persisted standing: the live one changes with every measurement.
fn sentence(pass: &Pass<'_>, live: &Live<'_>) -> String {
    let name = &live.policy.name;
    let stored = pass.next.gates.iter().find(|state| state.name == *name);
    let (verdict, why) = stored.map_or((Verdict::Continue, None), |state| {
        (state.verdict, state.message.as_deref())
    });
    let unknown = |policy: &UnknownPolicy| match policy.then {
        Then::Hold => "holds until that changes".to_owned(),
        Then::RollBack => format!("rolls back after {} s of this", policy.deadline.as_secs()),
    };
    match verdict {
        Verdict::NoData => format!(
            "Gate {name} has no data ({}); {}.",
            why.unwrap_or("nothing was found"),
            unknown(&live.policy.on_no_data),
        ),
        Verdict::Error => format!(
            "Gate {name} can't be measured ({}); {}.",
            why.unwrap_or("its provider fails"),
            unknown(&live.policy.on_error),
        ),
        Verdict::Pass | Verdict::Continue | Verdict::Fail
            if live.policy.method.comparison().is_some() =>
        {
            compare::waiting(pass, live)
        }
        Verdict::Continue if why.is_some() => format!(
            "Gate {name} does not pass yet: {}.",
            why.unwrap_or_default(),
        ),
        Verdict::Pass | Verdict::Continue | Verdict::Fail => format!(
            "Gate {name} must pass {} time(s), measured every {} s with the present pods.",
            live.policy.success_count.max(1),
            live.policy.interval.as_secs(),
        ),
    }
}

/// What the enforced gates say together: the worst of them.
pub(super) fn together(gates: &[GateState]) -> Option<Verdict> {
    let badness = |verdict: &Verdict| match verdict {
        Verdict::Pass => 0,
        Verdict::Continue => 1,
        Verdict::NoData => 2,
        Verdict::Error => 3,
        Verdict::Fail => 4,
    };
    gates
        .iter()
        .filter(|state| !state.dry_run)
        .map(|state| state.verdict)
        .max_by_key(badness)
}
