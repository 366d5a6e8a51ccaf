//! The validated form of a Release's spec, as far as decisions look at it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{budget::Budget, composition::Composition};
use crate::gate::GatePolicy;

/// How a Release moves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Whether the Rollouts of the Release promote one by one or all at once.
    pub promotion: Promotion,
    /// Gates that must pass after everything is healthy.
    pub gates: Vec<GatePolicy>,
    /// How long objects that no Rollout governs may take to become healthy.
    pub timeout: Duration,
    /// What happens to objects that left the content.
    pub prune: Prune,
    /// How many objects may be pruned at once without a person's word.
    pub prune_budget: Budget,
    /// What happens when somebody changes an applied object.
    pub drift: DriftMode,
    /// Verified versions kept for going back; at least one.
    pub history: usize,
    /// How long failed content is kept out before it is tried again by itself; nothing: until a person retries it.
    pub quarantine_ends_after: Option<Duration>,
    /// Whether anything is written at all.
    pub suspension: Suspension,
    /// What other Releases have to say.
    pub composition: Composition,
    /// What is doubtful in the gates, a sentence each. It is shown in the condition `GatesDoubtful`, and changes nothing.
    pub doubts: Vec<String>,
}

/// Whether the Rollouts of a Release promote one by one or all at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Promotion {
    /// Each as soon as it is verified; those that were promoted go back when another one fails.
    #[default]
    Separate,
    /// Each waits, verified, until all the others are: one failure leaves no workload to roll back.
    Together,
}

/// What happens to objects that left the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prune {
    /// They are deleted once the content without them is verified.
    Delete,
    /// They stay, and Belay forgets them.
    Forget,
}

/// What happens when somebody changes an object that a Release applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DriftMode {
    /// It is applied again.
    #[default]
    Correct,
    /// It is reported in the condition `Drifted` and left alone.
    Report,
    /// It is left alone, and nothing is said.
    Off,
}

/// What happens to the applied objects when the Release is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They stay and run on; Belay's marks are taken off.
    #[default]
    Orphan,
    /// They are deleted, last applied first. Namespaces, definitions and volumes stay.
    Delete,
}

/// Whether anything is written at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suspension {
    /// The Release works.
    Active,
    /// The source is not looked at and nothing is written to the cluster.
    Suspended,
}
