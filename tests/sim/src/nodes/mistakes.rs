//! Mistakes of the engine's about DaemonSets that the simulator must notice. Deliberately absent: mistakes in what all kinds of
//! workloads have in common, which the large simulator's mutants are for.

use belay_engine::rollout::{
    Decision, Effect, Observed, Plan,
    observed::{Deployment, Pod, Workload},
};

use crate::small::Planted;

/// A mistake that the simulator must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// None: the production function as it is.
    None,
    /// A change of configuration is never a version.
    ForgetsConfiguration,
    /// A pod goes on the last node instead of the first.
    OutsideTheBatch,
    /// Pods are deleted whatever the budget says.
    AllAtOnce,
    /// What the controller has seen is not waited for.
    DoesNotWaitForTheController,
    /// The stable template is not written back.
    KeepsTheRejectedTemplate,
    /// One node more than the step gives.
    OneNodeTooMany,
}

/// All planted mistakes.
pub const MISTAKES: [Mistake; 6] = [
    Mistake::ForgetsConfiguration,
    Mistake::OutsideTheBatch,
    Mistake::AllAtOnce,
    Mistake::DoesNotWaitForTheController,
    Mistake::KeepsTheRejectedTemplate,
    Mistake::OneNodeTooMany,
];

impl Planted for Mistake {
    fn mislead(self, workload: &mut Deployment) {
        match self {
            Self::DoesNotWaitForTheController => {
                workload.observed_generation = workload.generation;
            }
            Self::AllAtOnce => workload.max_unavailable = i32::MAX,
            _ => {}
        }
    }

    fn err(self, decision: &mut Decision, observed: &Observed, _: &Plan) {
        let pods = || observed.sets.iter().flat_map(|set| &set.pods);
        match self {
            Self::ForgetsConfiguration => decision
                .effects
                .retain(|effect| !(changes_stamp(effect, observed))),
            Self::OutsideTheBatch => {
                let last = pods()
                    .filter(|pod| pod.available)
                    .min_by_key(|pod| pod.place);
                for effect in &mut decision.effects {
                    if let (Effect::RemovePod { uid, .. }, Some(last)) = (effect, last) {
                        uid.clone_from(&last.uid);
                    }
                }
            }
            Self::OneNodeTooMany => {
                let goes = |pod: &&Pod| {
                    let uid = pod.uid.clone();
                    decision.effects.iter().any(
                        |effect| matches!(effect, Effect::RemovePod { uid: gone, .. } if *gone == uid),
                    )
                };
                let next = pods().filter(|pod| !goes(pod)).max_by_key(|pod| pod.place);
                if let (Some(next), true) = (next, pods().any(|pod| goes(&pod))) {
                    decision.effects.push(Effect::RemovePod {
                        name: next.name.clone(),
                        uid: next.uid.clone(),
                    });
                }
            }
            Self::KeepsTheRejectedTemplate => decision
                .effects
                .retain(|effect| !matches!(effect, Effect::RestoreTemplate { .. })),
            Self::None | Self::DoesNotWaitForTheController | Self::AllAtOnce => {}
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
