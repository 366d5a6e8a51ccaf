//! Every step is passed: the candidate's pods become the workload's, and the rest follows natively, with the gates on.

use super::{
    super::{
        observed::{Deployment, Owner, ReplicaSet},
        reason,
        status::{Candidate, Phase, RollbackReason, Track, Watermark},
    },
    clear,
    clock::after,
    gates,
    lookup::{active, is_of},
    pass::Pass,
    rollback,
    toward::{self, Course},
};

/// Begins the promotion of the candidate.
pub(super) fn begin(pass: &mut Pass<'_>) {
    let Some(candidate) = pass.next.candidate.clone() else {
        return;
    };
    gates::new_segment(pass);
    pass.next.step = None;
    pass.next.promotion = Some(Watermark {
        score: score(pass, &candidate),
        at: pass.now,
    });
    pass.enter(Phase::Promoting);
    if candidate.track != Track::Bypassed {
        pass.normal(
            reason::PROMOTING,
            format!("{} is promoted.", candidate.version.version),
        );
    }
}

pub(super) fn go(pass: &mut Pass<'_>, deployment: &Deployment) {
    let Some(candidate) = pass.next.candidate.clone() else {
        return pass.enter(Phase::Healthy);
    };
    note_readiness(pass, &candidate);
    if let Some((why, message)) = gates::against(pass) {
        return rollback::begin(pass, &candidate.version, why, message, true);
    }
    let course = toward::go(pass, deployment, &candidate);
    if course == Course::Left {
        return;
    }
    if settled(pass, deployment, &candidate, course) {
        gates::new_segment(pass);
        pass.enter(Phase::Baking);
        if pass.plan().is_some_and(|plan| !plan.bake.is_zero()) {
            let message = format!(
                "Everything runs {}; it is watched until the bake is over.",
                candidate.version.version
            );
            pass.normal(reason::BAKING, message);
        }
        return;
    }
    if !stuck(pass, &candidate) {
        let problem = deployment
            .problem
            .as_deref()
            .map(|why| format!(" ({why})"))
            .unwrap_or_default();
        let message = format!(
            "The {} controller rolls {} out; it must go on, or is rolled back after {} s without progress{problem}.",
            deployment.kind.name(),
            candidate.version.version,
            clear::progress_deadline(pass).as_secs(),
        );
        pass.wait(reason::PROMOTION, message);
    }
}

/// A candidate that is promoted at once has its first pods only now, or even later if the workload sleeps.
pub(super) fn note_readiness(pass: &mut Pass<'_>, candidate: &Candidate) {
    let ready = pass
        .seen
        .sets
        .iter()
        .any(|set| is_of(set, &candidate.version) && set.available > 0);
    let now = pass.now;
    if let Some(candidate) = &mut pass.next.candidate
        && ready
    {
        candidate.first_ready_at.get_or_insert(now);
    }
}

/// Rises with every pod that the native rolling update moves.
fn score(pass: &Pass<'_>, candidate: &Candidate) -> i32 {
    pass.seen.sets.iter().fold(0_i32, |score, set| {
        if is_of(set, &candidate.version) {
            score.saturating_add(set.available)
        } else {
            score.saturating_sub(set.total)
        }
    })
}

/// Rolls back when nothing moved for a whole progress deadline; says whether it does. Progress is looked at once per
/// deadline, so that a large workload costs one write in that time and not one per pod.
pub(super) fn stuck(pass: &mut Pass<'_>, candidate: &Candidate) -> bool {
    let limit = clear::progress_deadline(pass);
    let present = score(pass, candidate);
    let mark = pass.next.promotion.get_or_insert(Watermark {
        score: present,
        at: pass.now,
    });
    let deadline = after(mark.at, limit);
    if pass.now < deadline {
        pass.wake(deadline);
        return false;
    }
    if present > mark.score {
        *mark = Watermark {
            score: present,
            at: pass.now,
        };
        pass.wake(after(pass.now, limit));
        return false;
    }
    let message = format!(
        "The promotion of {} made no progress for {} s.",
        candidate.version.version,
        limit.as_secs(),
    );
    rollback::begin(
        pass,
        &candidate.version,
        RollbackReason::DeadlineExceeded,
        message,
        true,
    );
    true
}

/// Whether all pods are the candidate's and available, by the ReplicaSets and, unless a newer template waits, also by the
/// Deployment controller's word.
pub(super) fn settled(
    pass: &Pass<'_>,
    deployment: &Deployment,
    candidate: &Candidate,
    course: Course,
) -> bool {
    let wanted = deployment.replicas;
    let mut sets = pass.seen.sets.iter().filter(|set| !set.terminating);
    let own = |set: &&ReplicaSet| set.owner == Owner::Deployment && is_of(set, &candidate.version);
    let whole =
        |set: &ReplicaSet| set.desired == wanted && set.total == wanted && set.available >= wanted;
    let runs = sets.clone().filter(own).any(whole);
    if sets.any(|set| active(set) && !(own(&set) && whole(set))) {
        return false;
    }
    let native = deployment.observed_generation == deployment.generation
        && !deployment.paused
        && deployment.updated_replicas == wanted
        && deployment.total_replicas == wanted
        && deployment.available_replicas >= wanted;
    match course {
        Course::On => runs && native,
        Course::Held => runs,
        Course::Restoring | Course::Left => false,
    }
}
