//! Who leads the requests while something is on trial, and when pods may go for all that.
//!
//! Every phase says where the requests are to go; the planner makes the writes of one stage, and remembers in the status what the next
//! decision needs. Without `spec.traffic` nothing here does anything.
//!
//! Invariant: pods that requests come to by Belay's doing are not taken away, and the workload does not roll away from them, before
//! every router has acknowledged that they are left and connections had time to end, or the progress deadline is over.

use std::time::Duration;

use super::{
    super::{
        observed::{Deployment, Owner, ReplicaSet},
        plan::{Plan, Routing},
        reason,
        status::{Candidate, StepState},
    },
    clear,
    lookup::{active, is_of},
    pass::Pass,
};
use crate::traffic::{
    Aim, Sessions, Split, Traffic, UserService,
    plan::{Given, Goal, Hashes, Journey, Order, Standing},
};

/// Begins to lead what the plan names. It stays the same until it is home, whatever becomes of the spec.
pub(super) fn begin(pass: &mut Pass<'_>, routing: &Routing) {
    pass.next.traffic = Some(Traffic {
        service: routing.service.clone(),
        routes: routing.routes.clone(),
        drain_seconds: u32::try_from(routing.drain.as_secs()).unwrap_or(u32::MAX),
        affinity: routing.affinity.clone(),
        aim: Aim::Shared,
        aimed_at: pass.now,
        reached_at: None,
    });
}

/// How far the requests of a step are, and what that means for its pods.
pub(super) struct Lead {
    /// How far.
    pub(super) standing: Standing,
    /// Whether the candidate may have pods: the user's Service would send requests to them before.
    pub(super) may_have_pods: bool,
    /// Pods that it has now and must not lose, for requests come to them.
    pub(super) keeps: i32,
}

/// Leads the requests of a canary as its present step says, as far as its pods can carry them.
pub(super) fn lead(
    pass: &mut Pass<'_>,
    plan: &Plan,
    state: &StepState,
    deployment: &Deployment,
    candidate: &Candidate,
) -> Lead {
    let index = state.index as usize;
    let said = plan.steps.get(index).and_then(|step| step.split.as_ref());
    match (said, &plan.routing) {
        (Some(_), Some(routing)) if pass.next.traffic.is_none() => begin(pass, routing),
        _ => {}
    }
    let wanted = split_of(pass, plan, index, candidate);
    let (Some(wanted), Some(_), Some(step)) = (wanted, &pass.next.traffic, plan.steps.get(index))
    else {
        // No router any more, or none yet: the share is that of the pods behind the user's Service.
        let standing = toward(pass, &Goal::Workload, deployment.replicas, false);
        return Lead {
            standing,
            may_have_pods: true,
            keeps: 0,
        };
    };
    let earlier = index
        .checked_sub(1)
        .and_then(|before| split_of(pass, plan, before, candidate));
    let own = own(pass, candidate);
    let given = own.map_or(NOTHING, |set| percent_to(pass, &set.hash));
    let pods = Pods {
        available: own.map_or(0, |set| set.available),
        desired: own.map_or(0, |set| set.desired),
        running: running(pass, deployment),
        deployment,
        wanted: deployment.step_pods(step),
        given: given.least,
    };
    let ready = state.ready_at.is_some();
    let (goal, canary_pods) = pods.goal(&wanted, earlier.as_ref(), ready);
    let shared = matches!(goal, Goal::Shared(_));
    let standing = toward(pass, &goal, canary_pods, ready && shared);
    let at_most = match &goal {
        Goal::Shared(split) => split.load_percent(),
        _ => 0,
    };
    let falls = given.most > at_most || !is_acknowledged(pass) || standing != Standing::Reached;
    Lead {
        may_have_pods: has_pods(deployment, own) || !matches!(standing, Standing::Moving(_)),
        keeps: if falls { pods.desired } else { 0 },
        standing,
    }
}

/// How a step divides the requests of this trial.
pub(super) fn split_of(
    pass: &Pass<'_>,
    plan: &Plan,
    index: usize,
    candidate: &Candidate,
) -> Option<Split> {
    let said = |index: usize| plan.steps.get(index)?.split.as_ref();
    let split = said(index)?.clone();
    let affinity = pass.next.traffic.as_ref()?.affinity.as_ref();
    Some(match affinity {
        None => split,
        Some(affinity) => {
            let trial = Sessions::trial(&candidate.version.hash, candidate.started_at);
            affinity.keep(split, trial, index.checked_sub(1).and_then(said))
        }
    })
}

/// Whether all routes, or the switched Service, divide like this.
pub(super) fn gives(pass: &Pass<'_>, split: &Split) -> bool {
    pass.next.traffic.as_ref().is_some_and(|memory| {
        let journey = Journey {
            memory,
            seen: &pass.seen.traffic,
            now: pass.now,
        };
        journey.divides_like(split)
    })
}

const NOTHING: Given = Given { least: 0, most: 0 };

/// The pods of both versions, and what the candidate's are given.
#[derive(Clone, Copy)]
struct Pods<'a> {
    deployment: &'a Deployment,
    available: i32,
    desired: i32,
    /// Pods that show what the workload has of its replicas by itself.
    running: i32,
    wanted: i32,
    given: u8,
}

impl Pods<'_> {
    /// The share that the pods can carry now, and the ready endpoints that it takes.
    fn goal(self, wanted: &Split, earlier: Option<&Split>, ready: bool) -> (Goal, i32) {
        if self.desired >= self.wanted && self.available >= self.wanted {
            return (Goal::Shared(wanted.clone()), self.needs(wanted));
        }
        let kept = if ready { Some(wanted) } else { earlier };
        match kept.filter(|split| self.available >= self.needs(split)) {
            Some(split) => (Goal::Shared(split.clone()), self.needs(split)),
            None => (Goal::Prepared, 0),
        }
    }

    /// Pods that this share needs. One that is given already is kept by half of those that it is raised onto: one pod that restarts is
    /// no reason to turn everything around. Nor need a candidate have what a workload that was scaled has not got itself yet.
    fn needs(self, split: &Split) -> i32 {
        let Deployment { kind, replicas, .. } = *self.deployment;
        if self.given < split.load_percent() {
            return kind.routed_pods(split, replicas);
        }
        let replicas = replicas.min(self.running.max(1));
        let half = (kind.routed_pods(split, replicas) + 1) / 2;
        if kind.in_place() { half.max(1) } else { half }
    }
}

/// Available pods of the workload without a candidate: the stable ones, or, where a candidate takes places of them, all.
fn running(pass: &Pass<'_>, deployment: &Deployment) -> i32 {
    let stable = pass.stable_set().map(|set| set.name.as_str());
    let counts = |set: &&ReplicaSet| deployment.kind.in_place() || Some(&*set.name) == stable;
    let sets = pass.seen.sets.iter().filter(counts);
    sets.fold(0, |sum, set| sum.saturating_add(set.available))
}

/// Whether the candidate runs already. A revision is there before any pod of it.
fn has_pods(deployment: &Deployment, own: Option<&ReplicaSet>) -> bool {
    own.is_some_and(|set| !deployment.kind.in_place() || active(set))
}

/// Leads the requests of a promotion. With every pod that the workload wants, the candidate takes them all while stable goes;
/// otherwise they go by the workload's own Service, behind which all pods are.
pub(super) fn promote(
    pass: &mut Pass<'_>,
    deployment: &Deployment,
    candidate: &Candidate,
    settled: bool,
) -> Standing {
    let replicas = deployment.replicas;
    let own = pass
        .seen
        .sets
        .iter()
        .filter(|set| is_of(set, &candidate.version) && !set.terminating)
        .max_by_key(|set| set.available);
    let whole = own.is_some_and(|set| {
        set.available.saturating_mul(2) >= replicas && set.desired >= replicas && replicas > 0
    });
    let alone = whole && gives(pass, &Split::share(100));
    let asked = pass.asks_for(deployment, &candidate.version);
    let aims = pass.next.traffic.as_ref().map(|traffic| traffic.aim);
    let whole_way = matches!(aims, Some(Aim::Shared | Aim::Candidate));
    if alone && asked && whole_way && !settled {
        toward(pass, &Goal::Candidate, 0, false)
    } else {
        toward(pass, &Goal::Workload, 0, false)
    }
}

/// Leads the requests away from whatever is not stable: to the stable pods alone while they are enough and others are still there,
/// else to all that the workload has.
pub(super) fn retreat(pass: &mut Pass<'_>, deployment: Option<&Deployment>) -> Standing {
    let stable = pass.stable_set();
    let enough = stable.zip(deployment).is_some_and(|(set, deployment)| {
        if deployment.kind.in_place() {
            // Where a candidate took most places, the stable pods that are left can't carry everything.
            return deployment.paused && set.available.saturating_mul(2) >= deployment.replicas;
        }
        let pinned = matches!(
            &pass.seen.traffic.services.user,
            UserService::Pinned(hash) if *hash == set.hash
        );
        set.available >= deployment.replicas || pinned && set.desired >= deployment.replicas
    });
    let alone = pass.others_active().is_empty() && pass.seen.candidates().next().is_some();
    let goal = if enough && alone {
        Goal::Stable
    } else {
        Goal::Workload
    };
    toward(pass, &goal, 0, false)
}

/// States what is waited for on the way of the requests.
pub(super) fn wait(pass: &mut Pass<'_>, standing: &Standing) {
    let message = match standing {
        Standing::Moving(why) => {
            let mut why = why.clone();
            why.get_mut(..1).map(str::make_ascii_uppercase);
            format!("{why}.")
        }
        Standing::Draining(until) => format!(
            "Connections to what the routes have left may last until {}.",
            super::clock::show(*until)
        ),
        Standing::Reached => "What led the requests is being taken away.".to_owned(),
    };
    pass.wait(reason::TRAFFIC, message);
}

/// Whether requests come to a set of pods no more, so that they may go. Wakes when time alone will do.
pub(super) fn may_lose(pass: &mut Pass<'_>, set: &ReplicaSet) -> bool {
    let Some(memory) = &pass.next.traffic else {
        return true;
    };
    let journey = Journey {
        memory,
        seen: &pass.seen.traffic,
        now: pass.now,
    };
    match journey.may_lose(&set.hash) {
        Ok(()) => true,
        Err(until) => {
            if let Some(until) = until {
                pass.wake(until);
            }
            false
        }
    }
}

fn toward(pass: &mut Pass<'_>, goal: &Goal, canary_pods: i32, reached_before: bool) -> Standing {
    let Some(memory) = pass.next.traffic.clone() else {
        return Standing::Reached;
    };
    let candidate = pass.next.candidate.clone();
    let canary = candidate.as_ref().map(|candidate| {
        own(pass, candidate).map_or(candidate.version.hash.as_str(), |set| set.hash.as_str())
    });
    let order = Order {
        goal,
        hashes: Hashes {
            stable: pass.stable_set().map(|set| set.hash.as_str()),
            canary,
        },
        canary_pods,
        reached_before,
        patience: patience(pass),
    };
    let journey = Journey {
        memory: &memory,
        seen: &pass.seen.traffic,
        now: pass.now,
    };
    let leg = journey.toward(order);
    pass.next.traffic = leg.memory;
    for effect in leg.effects {
        pass.effect(effect);
    }
    if let Some(at) = leg.wake_at {
        pass.wake(at);
    }
    leg.standing
}

fn patience(pass: &Pass<'_>) -> Duration {
    clear::progress_deadline(pass)
}

fn is_acknowledged(pass: &Pass<'_>) -> bool {
    pass.next.traffic.as_ref().is_none_or(|memory| {
        let journey = Journey {
            memory,
            seen: &pass.seen.traffic,
            now: pass.now,
        };
        journey.acknowledged()
    })
}

fn percent_to(pass: &Pass<'_>, hash: &str) -> Given {
    pass.next.traffic.as_ref().map_or(NOTHING, |memory| {
        let journey = Journey {
            memory,
            seen: &pass.seen.traffic,
            now: pass.now,
        };
        journey.percent_to(hash)
    })
}

/// The candidate's ReplicaSet: the Rollout's, or after the handover the workload's.
fn own<'a>(pass: &Pass<'a>, candidate: &Candidate) -> Option<&'a ReplicaSet> {
    pass.seen
        .sets
        .iter()
        .filter(|set| !set.terminating && is_of(set, &candidate.version))
        .max_by_key(|set| (set.owner == Owner::Rollout, set.desired))
}
