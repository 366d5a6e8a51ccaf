//! A small cluster of its own for a DaemonSet: nodes that join and leave, the controller, whose view of the spec lags, and a shell
//! that sees the DaemonSet late, lists pods as they are, and may die between any two writes.
//!
//! As in the others, a history has a chaotic and a fair part, and everything random comes from one seed. Deliberately absent: routes,
//! which a DaemonSet does not have, and nodes that are not ready, which are left out before anything is decided.

mod cluster;
mod controller;
mod oracle;
mod shell;

use belay_engine::invariant::Broken;
use fastrand::Rng;

use cluster::Cluster;
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
pub const MISTAKES: [Mistake; 5] = [
    Mistake::OutsideTheBatch,
    Mistake::AllAtOnce,
    Mistake::DoesNotWaitForTheController,
    Mistake::KeepsTheRejectedTemplate,
    Mistake::OneNodeTooMany,
];

/// Plays the history of `seed`.
pub fn play(seed: u64, mistake: Mistake) -> Outcome {
    let mut cluster = Cluster::new(Rng::with_seed(seed));
    let mut shell = Shell::new(mistake, &cluster);
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
        _ => cluster.somebody_acts(),
    }
}

/// Everybody does what is due; says whether anything happened or is still to come.
fn round(cluster: &mut Cluster, shell: &mut Shell, chaos: bool) -> bool {
    let before = cluster.count;
    cluster.see_spec(100);
    cluster.sync();
    shell.measure(cluster);
    shell.look(cluster);
    shell.pass(cluster, chaos);
    if cluster.count != before {
        return true;
    }
    cluster.check_quiet();
    match [cluster.next_seconds(), shell.next_seconds(cluster)]
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
    while cluster.nodes.len() < 2 {
        cluster.join();
    }
    for _ in 0..MAX_ROUNDS {
        if !cluster.broken.is_empty() {
            return;
        }
        if !round(cluster, shell, false) {
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
