//! The validated form of one gate's rules.

use std::time::Duration;

use crate::analysis::evidence;

/// Whether a gate's verdict counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The verdict gates the change.
    Enforce,
    /// The verdict is shown and never acted on.
    DryRun,
}

/// What happens when nothing is known for longer than the policy's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Then {
    /// Keep holding, and say so.
    Hold,
    /// Roll back: the operator of this service prefers the old version to an unwatched new one.
    RollBack,
}

/// What to do while a gate has no data, or its provider fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnknownPolicy {
    /// What happens after the deadline.
    pub then: Then,
    /// Consecutive unknown measurements that must have been seen before `then` applies.
    pub consecutive_limit: u32,
    /// How long the gate must have been unknown without a break before `then` applies.
    pub deadline: Duration,
}

/// How a gate comes to its verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// Each measurement passes or fails on its own, and they are counted: thresholds, burn rates, probes.
    #[default]
    Readings,
    /// Counted events of canary and stable pods are weighed together over the candidate's whole life.
    Compare(evidence::Policy),
}

impl Method {
    /// The rules of a comparison, if it is one.
    pub fn comparison(&self) -> Option<&evidence::Policy> {
        match self {
            Self::Readings => None,
            Self::Compare(policy) => Some(policy),
        }
    }
}

/// The rules of one gate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatePolicy {
    /// Name, unique within a Rollout or Release.
    pub name: String,
    /// Time between two measurements.
    pub interval: Duration,
    /// Time from the readiness of the first canary pods to the first measurement.
    pub initial_delay: Duration,
    /// Passing measurements that each step needs.
    pub success_count: u32,
    /// Failed measurements that are tolerated over the candidate's whole life; one more rejects it.
    pub failure_limit: u32,
    /// What to do while the query has no data.
    pub on_no_data: UnknownPolicy,
    /// What to do while the provider fails.
    pub on_error: UnknownPolicy,
    /// Whether the verdict counts.
    pub mode: Mode,
    /// How the verdict comes about. A comparison does not use `success_count` and `failure_limit`.
    pub method: Method,
}
