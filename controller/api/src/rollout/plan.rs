//! From a Rollout's spec, with its templates resolved, to the engine's plan.
//!
//! Invariant: a plan that exists can be carried out. Every refusal is one sentence that says what to write instead.

use std::collections::BTreeSet;

use belay_engine::{
    gate::GatePolicy,
    rollout::plan::{Approval, Plan, Share, Step as PlanStep},
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use thiserror::Error;

use super::{RolloutSpec, Step};
use crate::analysis::{GateRef, GateSpec};

/// Why a spec can't be carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// No steps.
    #[error(
        "strategy.canary.steps is empty: give at least one step, for example {{weight: 10, hold: 5m}}"
    )]
    NoSteps,
    /// Neither or both of weight and replicas.
    #[error(
        "step {0}: give exactly one of weight (share of requests) and replicas (number of pods)"
    )]
    Share(usize),
    /// A weight that takes more pods than the workload has.
    #[error(
        "step {step}: a weight of {weight} % without a router would take more pods than the workload has; \
         say replicas: {weight}% instead, which is a share of pods, not of requests"
    )]
    WeightTooHigh {
        /// Number of the step, from one.
        step: usize,
        /// The weight asked for.
        weight: u8,
    },
    /// A number of pods that can't be read.
    #[error("step {0}: replicas must be a number of pods, or a percentage from \"1%\" to \"100%\"")]
    Replicas(usize),
    /// A share below the one before.
    #[error(
        "step {0} gives the new version a smaller share than the step before; shares only rise, and rollback is not a step"
    )]
    Falling(usize),
    /// Two gates of the same name.
    #[error(
        "gate {0} is given twice; name each template once per step and once for the whole Rollout"
    )]
    DuplicateGate(String),
}

/// Looks a template's gates up; the shell has them at hand.
pub trait Templates {
    /// Gates of the template that `reference` names; absent templates are reported before a plan is made.
    fn gates(&self, reference: &GateRef) -> &[GateSpec];
}

impl RolloutSpec {
    /// The plan of this spec.
    pub fn plan(&self, templates: &impl Templates) -> Result<Plan, PlanError> {
        let steps = &self.strategy.canary.steps;
        if steps.is_empty() {
            return Err(PlanError::NoSteps);
        }
        let verification = self.verification.clone().unwrap_or_default();
        let gates = policies(&verification.gates, templates);
        let planned = steps
            .iter()
            .enumerate()
            .map(|(i, step)| plan_step(i + 1, step, templates))
            .collect::<Result<Vec<_>, _>>()?;
        shares_rise(&planned)?;
        for step in &planned {
            names_differ(gates.iter().chain(&step.gates))?;
        }
        Ok(Plan {
            steps: planned,
            gates,
            bake: verification
                .after_promotion
                .map(|after| after.bake.get())
                .unwrap_or_default(),
            progress_deadline: self.progress_deadline.get(),
            routing: None,
            doubts: Vec::new(),
        })
    }
}

fn plan_step(
    number: usize,
    step: &Step,
    templates: &impl Templates,
) -> Result<PlanStep, PlanError> {
    let share = match (&step.weight, &step.replicas) {
        (Some(weight @ 1..=50), None) => Share::WeightPercent(*weight),
        (Some(weight), None) => {
            return Err(PlanError::WeightTooHigh {
                step: number,
                weight: *weight,
            });
        }
        (None, Some(replicas)) => parse_replicas(replicas).ok_or(PlanError::Replicas(number))?,
        _ => return Err(PlanError::Share(number)),
    };
    Ok(PlanStep {
        share,
        split: None,
        hold: step.hold.get(),
        approval: if step.approval {
            Approval::Required
        } else {
            Approval::NotRequired
        },
        gates: policies(&step.gates, templates),
    })
}

fn parse_replicas(replicas: &IntOrString) -> Option<Share> {
    match replicas {
        IntOrString::Int(pods) if *pods >= 1 => Some(Share::Replicas(*pods)),
        IntOrString::Int(_) => None,
        IntOrString::String(text) => {
            let percent: u8 = text.strip_suffix('%')?.parse().ok()?;
            (1..=100)
                .contains(&percent)
                .then_some(Share::ReplicasPercent(percent))
        }
    }
}

fn policies(references: &[GateRef], templates: &impl Templates) -> Vec<GatePolicy> {
    references
        .iter()
        .flat_map(|reference| {
            templates
                .gates(reference)
                .iter()
                .map(|gate| gate.policy(&reference.template))
        })
        .collect()
}

/// Shares of one kind must not fall; shares of different kinds can only be compared when the replicas are known.
fn shares_rise(steps: &[PlanStep]) -> Result<(), PlanError> {
    for (i, pair) in steps.windows(2).enumerate() {
        if let [before, after] = pair {
            let falls = match (before.share, after.share) {
                (Share::WeightPercent(a), Share::WeightPercent(b))
                | (Share::ReplicasPercent(a), Share::ReplicasPercent(b)) => b < a,
                (Share::Replicas(a), Share::Replicas(b)) => b < a,
                _ => false,
            };
            if falls {
                return Err(PlanError::Falling(i + 2));
            }
        }
    }
    Ok(())
}

fn names_differ<'a>(gates: impl Iterator<Item = &'a GatePolicy>) -> Result<(), PlanError> {
    let mut seen = BTreeSet::new();
    for gate in gates {
        if !seen.insert(&gate.name) {
            return Err(PlanError::DuplicateGate(gate.name.clone()));
        }
    }
    Ok(())
}
