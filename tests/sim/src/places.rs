//! A small cluster of its own for workloads whose new version takes the places of stable pods: one StatefulSet with its controller,
//! whose view of the spec lags, ordered or parallel, and a shell that may die between any two writes.
//!
//! As in the large one, a history has a chaotic and a fair part, and everything random comes from one seed. In every other one a route
//! leads the requests. Deliberately absent: lagging views of Belay's own, which the large one has.

mod cluster;
mod controller;
mod oracle;
mod roads;
mod shell;

use belay_engine::invariant::Broken;
use fastrand::Rng;

use crate::{Decide, production};
use cluster::Cluster;
pub(crate) use cluster::{at, plan};
use shell::Shell;

/// What a history showed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed, to play it again.
    pub seed: u64,
    /// Invariants that broke, in order.
    pub broken: Vec<Broken>,
    /// What happened, line by line.
    pub story: Vec<String>,
}

/// A mistake that the simulator must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// None: the production function as it is.
    None,
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
pub const MISTAKES: [Mistake; 7] = [
    Mistake::OnePlaceTooMany,
    Mistake::LeavesBrokenPods,
    Mistake::DoesNotWaitForTheController,
    Mistake::IgnoresTheBudget,
    Mistake::TakesPlacesBeforeRoutes,
    Mistake::RollsBeforeRoutes,
    Mistake::RaisesBeforePlaces,
];

const DECIDE: Decide = production;

/// Plays the history of `seed`.
pub fn play(seed: u64, mistake: Mistake) -> Outcome {
    let mut cluster = Cluster::new(Rng::with_seed(seed));
    let mut shell = Shell::new(DECIDE, mistake, cluster.time());
    let length = cluster.rng.u32(10..80);
    for _ in 0..length {
        chaos(&mut cluster, &mut shell);
        if !cluster.broken.is_empty() || cluster.finished {
            break;
        }
    }
    if cluster.broken.is_empty() {
        fair(&mut cluster, &mut shell);
    }
    Outcome {
        seed,
        broken: cluster.broken,
        story: cluster.story,
    }
}

fn chaos(cluster: &mut Cluster, shell: &mut Shell) {
    match cluster.rng.u8(0..100) {
        0..=29 => shell.pass(cluster, true),
        30..=49 => cluster.sync(),
        50..=79 => {
            for _ in 0..cluster.rng.u32(1..15) {
                round(cluster, shell, true);
            }
        }
        80..=87 => cluster.seconds += cluster.rng.i64(1..30),
        88..=90 => cluster.disturb_traffic(),
        _ => cluster.somebody_acts(),
    }
}

/// Everybody does what is due; says whether anything happened or is still to come.
fn round(cluster: &mut Cluster, shell: &mut Shell, chaos: bool) -> bool {
    let before = cluster.count;
    cluster.see_spec(100);
    cluster.sync();
    cluster.take_up();
    shell.measure(cluster);
    shell.pass(cluster, chaos);
    if cluster.count != before {
        return true;
    }
    cluster.check_quiet();
    cluster.check_shares();
    let due = cluster.roads.next_due(cluster.seconds);
    match [cluster.next_seconds(), shell.next_seconds(cluster), due]
        .into_iter()
        .flatten()
        .min()
    {
        Some(next) => {
            cluster.seconds = cluster.seconds.max(next);
            true
        }
        None => false,
    }
}

/// Rounds in which a fair world must have settled.
const MAX_ROUNDS: u32 = 3_000;

fn fair(cluster: &mut Cluster, shell: &mut Shell) {
    cluster.tell("the world is fair from here on");
    cluster.mend_traffic();
    if cluster.replicas() < 2 {
        cluster.scale(2);
    }
    for _ in 0..MAX_ROUNDS {
        if !cluster.broken.is_empty() {
            return;
        }
        if !round(cluster, shell, false) || cluster.finished {
            return cluster.check_settled();
        }
    }
    let waits = cluster.status.waiting_for.clone();
    let phase = cluster.status.phase;
    cluster.breaks(
        "eventually_settled",
        format!("{phase:?}, waiting for {waits:?}"),
    );
}
