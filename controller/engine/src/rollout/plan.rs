//! The validated strategy of a Rollout. A `Plan` that exists can be carried out; what can't is refused where it is made.

use std::time::Duration;

use crate::{
    gate::GatePolicy,
    shares,
    traffic::{Affinity, RouteId, Split},
};

/// The strategy of one Rollout.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// At least one step, in order.
    pub steps: Vec<Step>,
    /// Gates that hold from the first canary pod to the end of the bake.
    pub gates: Vec<GatePolicy>,
    /// How long the gates stay on after everything runs the new version.
    pub bake: Duration,
    /// How long pods may take to become ready before the candidate is rejected.
    pub progress_deadline: Duration,
    /// Who leads the requests; without it the share of requests is the share of pods.
    pub routing: Option<Routing>,
    /// What is doubtful in the gates, a sentence each. It is shown in the condition `GatesDoubtful`, and changes nothing.
    pub doubts: Vec<String>,
}

/// The routes of a Rollout.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Routing {
    /// Name of the user's Service, to which the routes lead when nothing is on trial.
    pub service: String,
    /// The routes. Without any, the user's Service itself is switched: all of it to one version or to the other.
    pub routes: Vec<RouteId>,
    /// How long connections have to end between the routers' word that a version gets no more requests and the removal of its pods.
    pub drain: Duration,
    /// That clients stay with the version that they were given.
    pub affinity: Option<Affinity>,
}

/// One step: a share, and what must be true before the next one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// How many pods run the candidate; with a router at least as many as its part of the requests needs.
    pub share: Share,
    /// How the routes divide the requests; without a router nothing.
    pub split: Option<Split>,
    /// The step's own time, counted from the readiness of its pods.
    pub hold: Duration,
    /// What ends that time.
    pub end: End,
    /// Whether a person must approve before the step ends.
    pub approval: Approval,
    /// Gates of this step alone, beside the plan's.
    pub gates: Vec<GatePolicy>,
}

impl Step {
    /// Candidate pods beside `replicas` stable ones: what the step says, and with a router at least what its part of the requests
    /// needs.
    pub fn pods(&self, replicas: i32) -> i32 {
        let said = || shares::candidate_pods(self.share, replicas);
        let Some(split) = &self.split else {
            return said();
        };
        let needed = shares::routed_pods(split.load_percent(), replicas);
        match self.share {
            Share::WeightPercent(_) => needed,
            Share::Replicas(_) | Share::ReplicasPercent(_) => said().max(needed),
        }
    }
}

/// How many pods a step gives the candidate, beside the untouched stable ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Share {
    /// Share of all requests in percent: 1 to 50 given by the number of pods behind the workload's own Service, with a router 1 to 100.
    WeightPercent(u8),
    /// This many pods.
    Replicas(i32),
    /// This many pods in percent of the workload's replicas, 1 to 100.
    ReplicasPercent(u8),
}

/// What ends a step's own time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum End {
    /// It passes.
    #[default]
    Time,
    /// It passes, or, before that, every gate that compares has shown the candidate to be good enough. A gate that is to roll back when
    /// it is undecided does so at its end.
    Evidence,
}

/// Whether a step waits for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Approval {
    /// It does not.
    NotRequired,
    /// It ends only after an `Approve` for this version and step.
    Required,
}
