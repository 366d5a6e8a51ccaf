//! Mistakes of the engine's about StatefulSets and their routes that the simulator must notice. Deliberately absent: mistakes
//! in what all kinds of workloads have in common, which the large simulator's mutants are for.

use belay_engine::rollout::{
    Decision, Effect, Guard, Observed, Plan,
    observed::{Deployment, Owner, Workload},
    status::Phase,
};

use super::roads::route_id;
use crate::small::Planted;

/// A mistake that the simulator must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// None: the production function as it is.
    None,
    /// A change of configuration is never a version.
    ForgetsConfiguration,
    /// One place more than the step gives.
    OnePlaceTooMany,
    /// Pods that never get ready are left alone.
    LeavesBrokenPods,
    /// What the controller has seen is not waited for.
    DoesNotWaitForTheController,
    /// Serving pods are deleted whatever the budget says.
    IgnoresTheBudget,
    /// On the way back, pods go with the write that leads requests away from them.
    TakesPlacesBeforeRoutes,
    /// The workload rolls on while the route still leads to the pair of Services.
    RollsBeforeRoutes,
    /// The share is raised before the places are the candidate's.
    RaisesBeforePlaces,
}

/// All planted mistakes.
pub const MISTAKES: [Mistake; 8] = [
    Mistake::ForgetsConfiguration,
    Mistake::OnePlaceTooMany,
    Mistake::LeavesBrokenPods,
    Mistake::DoesNotWaitForTheController,
    Mistake::IgnoresTheBudget,
    Mistake::TakesPlacesBeforeRoutes,
    Mistake::RollsBeforeRoutes,
    Mistake::RaisesBeforePlaces,
];

impl Planted for Mistake {
    fn mislead(self, workload: &mut Deployment) {
        match self {
            Self::DoesNotWaitForTheController => {
                workload.observed_generation = workload.generation;
            }
            Self::IgnoresTheBudget => workload.max_unavailable = i32::MAX,
            _ => {}
        }
    }

    fn err(self, decision: &mut Decision, observed: &Observed, plan: &Plan) {
        let is_ready = |uid: &str| {
            let mut pods = observed.sets.iter().flat_map(|set| &set.pods);
            pods.any(|pod| pod.uid == uid && pod.ready)
        };
        let phase = decision.status.phase;
        let leads = decision.effects.iter().any(|effect| {
            matches!(
                effect,
                Effect::SetRoute { .. } | Effect::SendRouteHome { .. }
            )
        });
        match self {
            Self::ForgetsConfiguration => decision
                .effects
                .retain(|effect| !(changes_stamp(effect, observed))),
            Self::OnePlaceTooMany => {
                for effect in &mut decision.effects {
                    if let Effect::MovePartition { partition, .. } = effect {
                        *partition -= 1;
                    }
                }
            }
            Self::LeavesBrokenPods => decision.effects.retain(
                |effect| !matches!(effect, Effect::RemovePod { uid, .. } if !is_ready(uid)),
            ),
            Self::TakesPlacesBeforeRoutes if phase == Phase::RollingBack && leads => {
                let sets = observed
                    .sets
                    .iter()
                    .filter(|set| set.owner == Owner::Rollout);
                let pods = sets.flat_map(|set| &set.pods);
                decision.effects.extend(pods.map(|pod| Effect::RemovePod {
                    name: pod.name.clone(),
                    uid: pod.uid.clone(),
                }));
            }
            Self::RollsBeforeRoutes if phase == Phase::Promoting && leads => {
                if let Workload::Deployment(workload) = &observed.workload {
                    decision.effects.push(Effect::Resume {
                        digest: workload.template.digest.clone(),
                        resource_version: workload.resource_version.clone(),
                        guard: Guard::Template,
                    });
                }
            }
            Self::RaisesBeforePlaces if !leads => {
                let moves = |effect: &Effect| matches!(effect, Effect::MovePartition { .. });
                let step = decision.status.step.as_ref();
                let step = step.and_then(|step| plan.steps.get(step.index as usize));
                let split = step.and_then(|step| step.split.clone());
                if let Some(split) = split.filter(|_| decision.effects.iter().any(moves)) {
                    decision.effects.push(Effect::SetRoute {
                        id: route_id(),
                        service: "db".to_owned(),
                        split,
                        resource_version: observed
                            .traffic
                            .routes
                            .first()
                            .map_or_else(String::new, |route| route.resource_version.clone()),
                    });
                }
            }
            Self::TakesPlacesBeforeRoutes
            | Self::RollsBeforeRoutes
            | Self::RaisesBeforePlaces
            | Self::None
            | Self::DoesNotWaitForTheController
            | Self::IgnoresTheBudget => {}
        }
    }
}

/// Whether a template that has a stamp gets another one.
fn changes_stamp(effect: &Effect, observed: &Observed) -> bool {
    let Workload::Deployment(workload) = &observed.workload else {
        return false;
    };
    matches!(effect, Effect::Stamp { .. }) && workload.template.stamp.is_some()
}
