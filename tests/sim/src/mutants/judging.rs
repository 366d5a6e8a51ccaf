//! Mistakes in what is believed: measurements, pods, times, approvals.

use belay_engine::{
    gate::{Reading, Result as Measured},
    rollout::Decision,
};
use jiff::Timestamp;

use crate::{Look, production};

fn measuring(look: Look<'_>, change: impl Fn(&mut Reading)) -> Decision {
    let mut seen = look.observed.clone();
    seen.readings.iter_mut().for_each(change);
    production(Look {
        observed: &seen,
        ..look
    })
}

fn pass() -> Measured {
    Measured::Pass {
        value: "0".to_owned(),
    }
}

pub(super) fn counts_no_data_as_a_pass(look: Look<'_>) -> Decision {
    measuring(look, |reading| {
        if matches!(reading.result, Measured::NoData { .. }) {
            reading.result = pass();
        }
    })
}

pub(super) fn counts_errors_as_a_pass(look: Look<'_>) -> Decision {
    measuring(look, |reading| {
        if matches!(reading.result, Measured::Error { .. }) {
            reading.result = pass();
        }
    })
}

pub(super) fn needs_no_verdict(look: Look<'_>) -> Decision {
    let Ok(plan) = look.plan else {
        return production(look);
    };
    let mut ungated = plan.clone();
    ungated.gates.clear();
    production(Look {
        plan: Ok(&ungated),
        ..look
    })
}

pub(super) fn ignores_acting_since(look: Look<'_>) -> Decision {
    let mut seen = look.observed.clone();
    seen.acting_since = Timestamp::MIN;
    production(Look {
        observed: &seen,
        ..look
    })
}

pub(super) fn believes_in_pods(look: Look<'_>) -> Decision {
    let mut seen = look.observed.clone();
    seen.sets
        .iter_mut()
        .for_each(|set| set.available = set.desired);
    production(Look {
        observed: &seen,
        ..look
    })
}

pub(super) fn forgets_failures(look: Look<'_>) -> Decision {
    let mut status = look.status.clone();
    status.gates.iter_mut().for_each(|gate| gate.failures = 0);
    production(Look {
        status: &status,
        ..look
    })
}

pub(super) fn approves_itself(look: Look<'_>) -> Decision {
    let mut status = look.status.clone();
    if let Some(step) = &mut status.step {
        step.approved_by = Some("nobody".to_owned());
    }
    production(Look {
        status: &status,
        ..look
    })
}

pub(super) fn ignores_pause(look: Look<'_>) -> Decision {
    let mut status = look.status.clone();
    let paused = status.paused.take();
    let mut decision = production(Look {
        status: &status,
        ..look
    });
    if decision.status.candidate.is_some() && decision.status.paused.is_none() {
        decision.status.paused = paused;
    }
    decision
}

pub(super) fn never_measures(look: Look<'_>) -> Decision {
    Decision {
        measures: Vec::new(),
        ..production(look)
    }
}

pub(super) fn never_wakes(look: Look<'_>) -> Decision {
    Decision {
        wake_at: None,
        ..production(look)
    }
}

pub(super) fn skips_steps(look: Look<'_>) -> Decision {
    let mut decision = production(look);
    let last = look
        .plan
        .map_or(0, |plan| plan.steps.len().saturating_sub(1));
    let index = look.status.step.as_ref().map(|step| step.index);
    if let Some(step) = &mut decision.status.step
        && index.is_some_and(|index| index < step.index && (step.index as usize) < last)
    {
        step.index += 1;
    }
    decision
}
