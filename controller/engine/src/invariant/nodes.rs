//! What a candidate may do that goes from node to node.

use super::{Case, effects::stable_set};
use crate::rollout::{
    Effect, Observed,
    observed::{Kind, Pod, Workload},
    status::Phase,
};

/// Whether the workload moves node by node, by stable pods that Belay deletes.
pub(super) fn is_by_nodes(observed: &Observed) -> bool {
    matches!(&observed.workload, Workload::Deployment(workload) if workload.kind == Kind::DaemonSet)
}

/// Stable pods go only for the present step, the first nodes first, no more than the step is to have, no more at once than the workload
/// allows, and only while it is held with a template that its controller has seen.
pub(super) fn nodes_follow_the_step(case: Case<'_>) -> Result<(), String> {
    let (Workload::Deployment(workload), true) =
        (&case.observed.workload, is_by_nodes(case.observed))
    else {
        return Ok(());
    };
    let status = &case.decision.status;
    let removed: Vec<&str> = case
        .decision
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::RemovePod { uid, .. } => Some(uid.as_str()),
            _ => None,
        })
        .collect();
    let goes = |pod: &&Pod| removed.contains(&pod.uid.as_str());
    if removed.is_empty() {
        return Ok(());
    }
    if workload.observed_generation != workload.generation || !workload.paused {
        return Err(format!(
            "deletes {removed:?} before its controller has seen it held"
        ));
    }
    let all = || case.observed.sets.iter().flat_map(|set| &set.pods);
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let serve = all().filter(|pod| pod.available && !goes(pod)).count();
    let taken_from_service = all().filter(|pod| pod.available).any(|pod| goes(&pod));
    let unavailable = workload.replicas.saturating_sub(number(serve));
    if taken_from_service
        && status.phase == Phase::Progressing
        && unavailable > workload.max_unavailable
    {
        return Err(format!("{unavailable} pods would be unavailable"));
    }
    let Some(stable) = stable_set(status, case.observed) else {
        return Ok(());
    };
    let mut staying: Vec<&Pod> = stable.pods.iter().filter(|pod| !pod.terminating).collect();
    staying.sort_by_key(|pod| std::cmp::Reverse(pod.place));
    let step = case.plan.ok().zip(status.step.as_ref());
    let step = step.and_then(|(plan, state)| plan.steps.get(state.index as usize));
    let progressing = status.phase == Phase::Progressing;
    let allowed = step.filter(|_| progressing);
    let allowed = allowed.map_or(0, |step| workload.step_pods(step));
    let others = all().count() - stable.pods.len();
    let taken = workload
        .replicas
        .saturating_sub(number(staying.len()))
        .max(number(others));
    let more = usize::try_from(allowed - taken).unwrap_or(0);
    if let Some(pod) = staying.iter().skip(more).find(|pod| goes(pod)) {
        return Err(format!(
            "stable {pod:?} goes in {:?}, {taken} of {} nodes taken, step {step:?}",
            status.phase, workload.replicas
        ));
    }
    Ok(())
}
