//! Faulty variants of `decide`. A simulator that does not notice them proves nothing.
//!
//! Each is the production function with one mistake put before or after it, as it could be made in a change.

use belay_engine::{
    gate::{Reading, Result as Measured},
    quarantine,
    rollout::{
        Decision, Effect, Guard, Observed, Plan, RolloutStatus, decide,
        observed::{Owner, Workload},
        status::{Phase, Track},
    },
};
use jiff::Timestamp;

use crate::Decide;

/// A faulty variant.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// The mistake.
    pub name: &'static str,
    /// The production function with the mistake.
    pub decide: Decide,
}

type Spec<'a> = Result<&'a Plan, &'a str>;

/// All planted mistakes.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "forgets the quarantine",
        decide: forgets_the_quarantine,
    },
    Mutant {
        name: "lifts the quarantine with the rejection",
        decide: lifts_with_rejection,
    },
    Mutant {
        name: "counts no data as a pass",
        decide: counts_no_data_as_a_pass,
    },
    Mutant {
        name: "counts errors as a pass",
        decide: counts_errors_as_a_pass,
    },
    Mutant {
        name: "needs no verdict",
        decide: needs_no_verdict,
    },
    Mutant {
        name: "ignores when it began to act",
        decide: ignores_acting_since,
    },
    Mutant {
        name: "scales the stable version",
        decide: scales_stable,
    },
    Mutant {
        name: "deletes what was handed over",
        decide: deletes_handed_over,
    },
    Mutant {
        name: "forgets to un-pause",
        decide: drops_resume,
    },
    Mutant {
        name: "forgets to hand over",
        decide: drops_hand_over,
    },
    Mutant {
        name: "forgets to remove the candidate",
        decide: drops_remove,
    },
    Mutant {
        name: "forgets to restore the template",
        decide: drops_restore,
    },
    Mutant {
        name: "forgets to take back",
        decide: drops_take_back,
    },
    Mutant {
        name: "forgets to scale the candidate",
        decide: drops_scale,
    },
    Mutant {
        name: "un-pauses rejected content",
        decide: resumes_rejected,
    },
    Mutant {
        name: "un-pauses during the canary",
        decide: resumes_during_canary,
    },
    Mutant {
        name: "un-pauses whatever is asked for",
        decide: resumes_new,
    },
    Mutant {
        name: "hands over during the canary",
        decide: hands_over_early,
    },
    Mutant {
        name: "skips every other step",
        decide: skips_steps,
    },
    Mutant {
        name: "forgets approvals are needed",
        decide: approves_itself,
    },
    Mutant {
        name: "forgets its receipts",
        decide: forgets_receipts,
    },
    Mutant {
        name: "never wakes by itself",
        decide: never_wakes,
    },
    Mutant {
        name: "never measures",
        decide: never_measures,
    },
    Mutant {
        name: "forgets failures",
        decide: forgets_failures,
    },
    Mutant {
        name: "believes in pods that are not ready",
        decide: believes_in_pods,
    },
    Mutant {
        name: "finishes before it is let go",
        decide: finishes_early,
    },
    Mutant {
        name: "stays in promotion",
        decide: never_bakes,
    },
    Mutant {
        name: "writes for nothing",
        decide: writes_for_nothing,
    },
    Mutant {
        name: "takes the stable pods away",
        decide: takes_stable,
    },
    Mutant {
        name: "calls everything verified",
        decide: calls_everything_verified,
    },
    Mutant {
        name: "goes on while paused by a person",
        decide: ignores_pause,
    },
];

fn forgets_the_quarantine(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    let mut decision = decide(plan, status, seen, now);
    decision.status.quarantine.clear();
    decision
}

fn lifts_with_rejection(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    let mut decision = decide(plan, status, seen, now);
    if decision.status.phase == Phase::Rejected
        && let Workload::Deployment(deployment) = &seen.workload
    {
        quarantine::lift(&mut decision.status.quarantine, &deployment.template.digest);
    }
    decision
}

fn measuring(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
    change: impl Fn(&mut Reading),
) -> Decision {
    let mut seen = seen.clone();
    seen.readings.iter_mut().for_each(change);
    decide(plan, status, &seen, now)
}

fn pass() -> Measured {
    Measured::Pass {
        value: "0".to_owned(),
    }
}

fn counts_no_data_as_a_pass(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    measuring(plan, status, seen, now, |reading| {
        if matches!(reading.result, Measured::NoData { .. }) {
            reading.result = pass();
        }
    })
}

fn counts_errors_as_a_pass(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    measuring(plan, status, seen, now, |reading| {
        if matches!(reading.result, Measured::Error { .. }) {
            reading.result = pass();
        }
    })
}

fn needs_no_verdict(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    let ungated = plan.ok().cloned().map(|mut plan| {
        plan.gates.clear();
        plan
    });
    decide(
        ungated
            .as_ref()
            .ok_or("refused")
            .and_then(|ungated| plan.map(|_| ungated)),
        status,
        seen,
        now,
    )
}

fn ignores_acting_since(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    let mut seen = seen.clone();
    seen.acting_since = Timestamp::MIN;
    decide(plan, status, &seen, now)
}

fn scales_stable(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    let mut decision = decide(plan, status, seen, now);
    let stable = decision.status.stable.as_ref().map(|stable| &stable.hash);
    if decision.status.phase == Phase::Progressing
        && let Some(set) = seen.sets.iter().find(|set| Some(&set.hash) == stable)
    {
        decision.effects.push(Effect::ScaleCandidate {
            name: set.name.clone(),
            resource_version: set.resource_version.clone(),
            replicas: set.desired - 1,
        });
    }
    decision
}

fn deletes_handed_over(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    let mut decision = decide(plan, status, seen, now);
    let hash = decision
        .status
        .candidate
        .as_ref()
        .map(|candidate| &candidate.version.hash);
    if decision.status.phase == Phase::RollingBack
        && let Some(set) = seen.sets.iter().find(|set| Some(&set.hash) == hash)
    {
        decision.effects.insert(
            0,
            Effect::RemoveCandidate {
                name: set.name.clone(),
                uid: set.uid.clone(),
                resource_version: set.resource_version.clone(),
            },
        );
    }
    decision
}

fn without(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
    dropped: fn(&Effect) -> bool,
) -> Decision {
    let mut decision = decide(plan, status, seen, now);
    decision.effects.retain(|effect| !dropped(effect));
    decision
}

fn drops_resume(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    without(plan, status, seen, now, |effect| {
        matches!(effect, Effect::Resume { .. })
    })
}

fn drops_hand_over(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    without(plan, status, seen, now, |effect| {
        matches!(effect, Effect::HandOver { .. })
    })
}

fn drops_remove(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    without(plan, status, seen, now, |effect| {
        matches!(effect, Effect::RemoveCandidate { .. })
    })
}

fn drops_restore(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    without(plan, status, seen, now, |effect| {
        matches!(effect, Effect::RestoreTemplate { .. })
    })
}

fn drops_take_back(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    without(plan, status, seen, now, |effect| {
        matches!(effect, Effect::TakeBack { .. })
    })
}

fn drops_scale(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    without(plan, status, seen, now, |effect| {
        matches!(effect, Effect::ScaleCandidate { .. })
    })
}

fn resuming_in(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
    phase: Phase,
) -> Decision {
    let mut decision = decide(plan, status, seen, now);
    if decision.status.phase == phase
        && let Workload::Deployment(deployment) = &seen.workload
        && deployment.paused
    {
        decision.effects.push(Effect::Resume {
            digest: deployment.template.digest.clone(),
            resource_version: deployment.resource_version.clone(),
            guard: Guard::Template,
        });
    }
    decision
}

fn resumes_rejected(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    resuming_in(plan, status, seen, now, Phase::Rejected)
}

fn resumes_during_canary(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    resuming_in(plan, status, seen, now, Phase::Progressing)
}

fn resumes_new(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    resuming_in(plan, status, seen, now, Phase::RollingBack)
}

fn hands_over_early(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    let mut decision = decide(plan, status, seen, now);
    if decision.status.phase == Phase::Progressing
        && let Some(set) = seen.sets.iter().find(|set| set.owner == Owner::Rollout)
    {
        decision.effects.push(Effect::HandOver {
            name: set.name.clone(),
            resource_version: set.resource_version.clone(),
        });
    }
    decision
}

fn skips_steps(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    let mut decision = decide(plan, status, seen, now);
    let last = plan.map_or(0, |plan| plan.steps.len().saturating_sub(1));
    let index = status.step.as_ref().map(|step| step.index);
    if let Some(step) = &mut decision.status.step
        && index.is_some_and(|index| index < step.index && (step.index as usize) < last)
    {
        step.index += 1;
    }
    decision
}

fn approves_itself(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    let mut status = status.clone();
    if let Some(step) = &mut status.step {
        step.approved_by = Some("nobody".to_owned());
    }
    decide(plan, &status, seen, now)
}

fn forgets_receipts(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    let mut status = status.clone();
    status.actions.clear();
    decide(plan, &status, seen, now)
}

fn never_wakes(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    Decision {
        wake_at: None,
        ..decide(plan, status, seen, now)
    }
}

fn never_measures(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    Decision {
        measures: Vec::new(),
        ..decide(plan, status, seen, now)
    }
}

fn forgets_failures(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    let mut status = status.clone();
    status.gates.iter_mut().for_each(|gate| gate.failures = 0);
    decide(plan, &status, seen, now)
}

fn believes_in_pods(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    let mut seen = seen.clone();
    seen.sets
        .iter_mut()
        .for_each(|set| set.available = set.desired);
    decide(plan, status, &seen, now)
}

fn finishes_early(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    let mut decision = decide(plan, status, seen, now);
    if decision.status.phase == Phase::Terminating && !decision.effects.contains(&Effect::Finish) {
        decision.effects.insert(0, Effect::Finish);
    }
    decision
}

fn never_bakes(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    let mut decision = decide(plan, status, seen, now);
    if status.phase == Phase::Promoting && decision.status.phase != Phase::RollingBack {
        decision.status = status.clone();
    }
    decision
}

fn writes_for_nothing(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    let mut decision = decide(plan, status, seen, now);
    decision.status.phase_since = Some(now);
    decision
}

fn takes_stable(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    let mut decision = decide(plan, status, seen, now);
    if decision.status.phase == Phase::Progressing
        && let Some(set) = seen
            .sets
            .iter()
            .find(|set| set.owner == Owner::Deployment && set.desired > 0)
    {
        decision.effects.push(Effect::TakeBack {
            name: set.name.clone(),
            resource_version: set.resource_version.clone(),
        });
    }
    decision
}

fn calls_everything_verified(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    let mut decision = decide(plan, status, seen, now);
    if let Some(candidate) = &mut decision.status.candidate
        && candidate.track == Track::Steps
    {
        candidate.track = Track::Fast;
    }
    decision
}

fn ignores_pause(
    plan: Spec<'_>,
    status: &RolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    let mut status = status.clone();
    let paused = status.paused.take();
    let mut decision = decide(plan, &status, seen, now);
    if decision.status.candidate.is_some() && decision.status.paused.is_none() {
        decision.status.paused = paused;
    }
    decision
}
