//! From a Rollout's spec, with its templates resolved, to the engine's plan.
//!
//! Invariant: a plan that exists can be carried out. Every refusal is one sentence that says what to write instead.

use std::collections::BTreeSet;

use belay_engine::{
    gate::GatePolicy,
    rollout::plan::{Approval, End, Plan, Routing, Share, Step as PlanStep},
    traffic::Split,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::Selector;
use thiserror::Error;

use super::{Cohort, RolloutSpec, Step, StepEnd, WorkloadKind};
use crate::analysis::{GateRef, GateSpec};

/// Why a spec can't be carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// No steps.
    #[error(
        "strategy.canary has no steps: give at least one step, for example {{weight: 10, hold: 5m}}"
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
    /// Nothing that a router could give.
    #[error("step {0}: with traffic, give it a weight, a match or a mirror")]
    NothingLed(usize),
    /// A blue-green switch without anything to switch.
    #[error("strategy.blueGreen switches routes, or a Service: name it in traffic.service")]
    NothingToSwitch,
    /// An A/B test without routes.
    #[error("strategy.ab tells requests apart by routes: name them in traffic.routes")]
    NothingToTell,
    /// A canary without routes.
    #[error(
        "a Service alone can't be shared by weight: name routes in traffic.routes, or use strategy.blueGreen, which switches the Service"
    )]
    NoRoutes,
    /// Something that needs a router.
    #[error("step {0}: only a router can tell requests apart or copy them; name one in traffic")]
    NeedsRouter(usize),
    /// A strategy that this kind of workload can't follow.
    #[error(
        "strategy.blueGreen and strategy.ab need all pods of two versions beside each other, and a StatefulSet's new version takes the \
         places of its pods: use strategy.canary, with traffic or without"
    )]
    InPlace,
    /// Something that a DaemonSet can't follow.
    #[error(
        "traffic, strategy.blueGreen and strategy.ab need two versions beside each other for every client, and a DaemonSet has one pod \
         on each node: leave traffic out, use strategy.canary, and let its steps say how many nodes"
    )]
    ByNodes,
    /// First nodes of something that has no pod for each node.
    #[error("only a DaemonSet goes from node to node: leave strategy.canary.firstNodes out")]
    NotByNodes,
    /// A selector that can't be read.
    #[error(
        "strategy.canary.firstNodes is no selector of labels: operators are In and NotIn with values, Exists and DoesNotExist without"
    )]
    FirstNodes,
    /// Something that one of the routers can't do.
    #[error("step {step}: {why}; take it out of the step, or that route out of traffic.routes")]
    Router {
        /// Number of the step, from one.
        step: usize,
        /// What can't be done.
        why: String,
    },
    /// Affinity where nothing is shared.
    #[error(
        "traffic.affinity keeps clients on one version while a share grows, and blueGreen has none: take one of the two out"
    )]
    NothingShared,
    /// Affinity by a route that can't.
    #[error(
        "{0} can't keep clients by a cookie; take traffic.affinity out, or that route out of traffic.routes"
    )]
    NoAffinity(&'static str),
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
        let steps = self.strategy.steps();
        if steps.is_empty() {
            return Err(PlanError::NoSteps);
        }
        let routing = self.routing();
        self.can_be_led()?;
        let verification = self.verification.clone().unwrap_or_default();
        let gates = policies(&verification.gates, templates);
        let planned = steps
            .iter()
            .enumerate()
            .map(|(i, step)| plan_step(i + 1, step, routing.as_ref(), templates))
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
            routing,
            doubts: Vec::new(),
        })
    }
}

impl RolloutSpec {
    /// Labels of the nodes that a DaemonSet's new version goes to first; refuses what only other kinds can do.
    pub fn first_nodes(&self) -> Result<Option<Selector>, PlanError> {
        let strategy = &self.strategy;
        let first = strategy
            .canary
            .as_ref()
            .and_then(|canary| canary.first_nodes.clone());
        let led = self.traffic.is_some() || strategy.blue_green.is_some() || strategy.ab.is_some();
        match (self.workload_ref.kind, first) {
            (WorkloadKind::DaemonSet, _) if led => Err(PlanError::ByNodes),
            (WorkloadKind::DaemonSet, first) => first
                .map(|first| Selector::try_from(first).map_err(|_| PlanError::FirstNodes))
                .transpose(),
            (_, Some(_)) => Err(PlanError::NotByNodes),
            (_, None) => Ok(None),
        }
    }

    /// Whether there is something that gives or switches the share.
    fn can_be_led(&self) -> Result<(), PlanError> {
        self.first_nodes()?;
        let in_place = match self.workload_ref.kind {
            WorkloadKind::Deployment => false,
            WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => true,
        };
        if in_place && (self.strategy.blue_green.is_some() || self.strategy.ab.is_some()) {
            return Err(PlanError::InPlace);
        }
        if self.strategy.ab.is_some()
            && self
                .traffic
                .as_ref()
                .is_none_or(|traffic| traffic.routes.is_empty())
        {
            return Err(PlanError::NothingToTell);
        }
        match (&self.traffic, &self.strategy.blue_green) {
            (None, Some(_)) => Err(PlanError::NothingToSwitch),
            (Some(traffic), None) if traffic.routes.is_empty() => Err(PlanError::NoRoutes),
            (Some(traffic), switch) if traffic.affinity.is_some() => {
                let mut kinds = traffic.routes.iter().map(|route| route.kind);
                match (switch, kinds.find(|kind| !kind.keeps_sessions())) {
                    (Some(_), _) => Err(PlanError::NothingShared),
                    (None, Some(kind)) => Err(PlanError::NoAffinity(kind.as_str())),
                    (None, None) => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

fn plan_step(
    number: usize,
    step: &Step,
    routing: Option<&Routing>,
    templates: &impl Templates,
) -> Result<PlanStep, PlanError> {
    let share = match routing {
        Some(_) => led_share(number, step)?,
        None => share(number, step)?,
    };
    Ok(PlanStep {
        share,
        split: routing
            .map(|routing| split(number, step, routing))
            .transpose()?,
        hold: step.hold.get(),
        end: match step.end {
            StepEnd::Time => End::Time,
            StepEnd::Evidence => End::Evidence,
        },
        approval: if step.approval {
            Approval::Required
        } else {
            Approval::NotRequired
        },
        gates: policies(&step.gates, templates),
    })
}

/// The share of a step that pods give.
fn share(number: usize, step: &Step) -> Result<Share, PlanError> {
    if !step.cohorts.is_empty() || step.mirror.is_some() {
        return Err(PlanError::NeedsRouter(number));
    }
    match (&step.weight, &step.replicas) {
        (Some(weight @ 1..=50), None) => Ok(Share::WeightPercent(*weight)),
        (Some(weight), None) => Err(PlanError::WeightTooHigh {
            step: number,
            weight: *weight,
        }),
        (None, Some(replicas)) => parse_replicas(replicas).ok_or(PlanError::Replicas(number)),
        _ => Err(PlanError::Share(number)),
    }
}

/// The pods of a step whose share routes give.
fn led_share(number: usize, step: &Step) -> Result<Share, PlanError> {
    match &step.replicas {
        Some(replicas) => parse_replicas(replicas).ok_or(PlanError::Replicas(number)),
        None => Ok(Share::WeightPercent(step.weight.unwrap_or_default())),
    }
}

/// How the routes divide in a step.
fn split(number: usize, step: &Step, routing: &Routing) -> Result<Split, PlanError> {
    let split = Split {
        canary_percent: step.weight.unwrap_or_default().min(100),
        cohorts: step.cohorts.iter().map(Cohort::condition).collect(),
        mirror_percent: step.mirror,
        sessions: None,
    };
    // The preview of a blue-green switch says so.
    if !split.reaches_candidate() && step.weight.is_none() {
        return Err(PlanError::NothingLed(number));
    }
    let lacking = routing
        .routes
        .iter()
        .find_map(|route| route.kind.lacks(&split));
    match lacking {
        Some(why) => Err(PlanError::Router { step: number, why }),
        None => Ok(split.canonical()),
    }
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
            let led = |step: &PlanStep| step.split.as_ref().map(|split| split.canary_percent);
            let falls = match (before.share, after.share) {
                _ if led(after) < led(before) => true,
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

#[cfg(test)]
mod tests;
