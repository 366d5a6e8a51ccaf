//! Gates of Rollouts and Releases: from the templates that they name to questions, and from answers to readings.
//!
//! What readings lead to is the engine's to decide.

pub(crate) mod counters;
mod lint;
pub(crate) mod measure;
pub(crate) mod outlook;
pub(crate) mod pods;
pub(crate) mod probe;
pub(crate) mod question;
pub(crate) mod resolve;

use std::fmt::Write as _;

use belay_api::{Release, Rollout, analysis::GateRef, rollout::plan::Templates};
use belay_engine::{
    digest::Digest,
    gate::GateState,
    release,
    rollout::{self, RolloutStatus, status::Phase},
};
use jiff::Timestamp;
use kube::Resource;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// One trial of one version: readings are about it and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trial {
    digest: Digest,
    started_at: Timestamp,
}

impl Trial {
    /// The trial that the status of a Rollout is about.
    pub(crate) fn of(status: &RolloutStatus) -> Option<Self> {
        status.candidate.as_ref().map(|candidate| Self {
            digest: candidate.version.digest.clone(),
            started_at: candidate.started_at,
        })
    }

    /// A word for it that fits into a label.
    pub(crate) fn label(&self) -> String {
        let text = format!("{} {}", self.digest, self.started_at);
        let hash = Sha256::digest(text.as_bytes());
        hash.iter().take(8).fold(String::new(), |mut word, byte| {
            let _ = write!(word, "{byte:02x}");
            word
        })
    }
}

/// A resource whose changes are judged by gates.
pub(crate) trait Gated:
    Resource<DynamicType = ()> + Serialize + Send + Sync + 'static
{
    /// What its spec becomes.
    type Plan;

    /// Whether pods of its old and its new version run side by side while it is judged.
    const HAS_TWO_VERSIONS: bool;

    /// The plan of its spec, or why there is none, for people.
    fn plan(&self, templates: &impl Templates) -> Result<Self::Plan, String>;

    /// Notes in the plan what is doubtful in its gates.
    fn doubt(plan: &mut Self::Plan, doubts: Vec<String>);

    /// The templates that it names.
    fn references(&self) -> Vec<&GateRef>;

    /// The trial that its status is about.
    fn trial(&self) -> Option<Trial>;

    /// The part of its trial that passes are counted for: a step, the promotion, the bake.
    fn segment(&self) -> String;

    /// The step that its trial is in, from zero, if it moves in steps.
    fn step(&self) -> Option<u32>;

    /// The two versions whose pods run side by side.
    fn versions(&self) -> Option<Versions>;

    /// The standings of its gates, as they are on record.
    fn standings(&self) -> &[GateState];

    /// Name of the workload whose pods are judged, if it is one.
    fn workload(&self) -> Option<&str>;
}

/// Hashes of the pod templates of two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    /// Label that tells them apart on pods.
    pub(crate) label: &'static str,
    /// Of the candidate.
    pub(crate) canary: String,
    /// Of the stable version.
    pub(crate) stable: String,
}

impl Gated for Rollout {
    type Plan = rollout::Plan;

    const HAS_TWO_VERSIONS: bool = true;

    fn plan(&self, templates: &impl Templates) -> Result<Self::Plan, String> {
        let plan = self.spec.plan(templates);
        plan.map_err(|error| error.to_string())
    }

    fn doubt(plan: &mut Self::Plan, doubts: Vec<String>) {
        plan.doubts = doubts;
    }

    fn references(&self) -> Vec<&GateRef> {
        let throughout = self
            .spec
            .verification
            .iter()
            .flat_map(|verification| &verification.gates);
        throughout.chain(self.spec.strategy.step_gates()).collect()
    }

    fn trial(&self) -> Option<Trial> {
        self.status.as_ref().and_then(Trial::of)
    }

    fn segment(&self) -> String {
        let status = self.status.as_ref();
        match status.map(|status| (status.phase, status.step.as_ref())) {
            Some((Phase::Progressing, Some(step))) => format!("step-{}", step.index),
            Some((phase, _)) => format!("{phase:?}").to_lowercase(),
            None => String::new(),
        }
    }

    fn step(&self) -> Option<u32> {
        let step = self.status.as_ref()?.step.as_ref()?;
        Some(step.index)
    }

    fn versions(&self) -> Option<Versions> {
        let status = self.status.as_ref()?;
        Some(Versions {
            label: self.spec.workload_ref.kind.hash_label(),
            canary: status.candidate.as_ref()?.version.hash.clone(),
            stable: status.stable.as_ref()?.hash.clone(),
        })
    }

    fn standings(&self) -> &[GateState] {
        self.status.as_ref().map_or(&[], |status| &status.gates)
    }

    fn workload(&self) -> Option<&str> {
        Some(&self.spec.workload_ref.name)
    }
}

impl Gated for Release {
    type Plan = release::Plan;

    const HAS_TWO_VERSIONS: bool = false;

    fn plan(&self, templates: &impl Templates) -> Result<Self::Plan, String> {
        let plan = self.spec.plan(templates);
        let mut plan = plan.map_err(|error| error.to_string())?;
        plan.composition = self.composition();
        Ok(plan)
    }

    fn doubt(plan: &mut Self::Plan, doubts: Vec<String>) {
        plan.doubts = doubts;
    }

    fn references(&self) -> Vec<&GateRef> {
        self.spec.verification.gates.iter().collect()
    }

    fn trial(&self) -> Option<Trial> {
        let status = self.status.as_ref()?;
        if status.phase != release::Phase::Verifying {
            return None;
        }
        let target = status.target.as_ref()?;
        // Before everything is healthy there is nothing to measure.
        target.healthy_at?;
        Some(Trial {
            digest: target.content.digest.clone(),
            started_at: target.started_at,
        })
    }

    fn segment(&self) -> String {
        "release".to_owned()
    }

    fn step(&self) -> Option<u32> {
        None
    }

    fn versions(&self) -> Option<Versions> {
        None
    }

    fn standings(&self) -> &[GateState] {
        self.status.as_ref().map_or(&[], |status| &status.gates)
    }

    fn workload(&self) -> Option<&str> {
        None
    }
}
