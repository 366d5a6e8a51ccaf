//! One history from one seed: chaos first, then a fair world in which everything must settle.

use belay_engine::{
    action::Verb,
    invariant::Broken,
    rollout::{observed::Group, reason, status::Phase},
};
use fastrand::Rng;

use crate::{
    Decide,
    shell::Shell,
    world::{Quality, Spice, World},
};

/// Rounds in which a fair world must have settled.
const MAX_ROUNDS: u32 = 4_000;

/// What a history showed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed, to play it again.
    pub seed: u64,
    /// Invariants that broke, in order.
    pub broken: Vec<Broken>,
    /// Decisions that were made.
    pub decisions: u32,
    /// What happened, line by line, if it was recorded.
    pub story: Vec<String>,
}

/// Whether a history is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// It is not, for speed.
    Skipped,
    /// It is, to be read.
    Recorded,
}

/// Plays the history of `seed`.
pub fn play(seed: u64, decide: Decide, story: Story) -> Outcome {
    let mut rng = Rng::with_seed(seed);
    let spice = Spice {
        bypass: rng.u8(0..4) == 0,
        sleep: rng.u8(0..4) == 0,
        clock_jumps: rng.u8(0..4) == 0,
        quota: rng.u8(0..4) == 0,
        routed: rng.bool(),
        configured: rng.u8(0..3) == 0,
    };
    let length = rng.u32(10..90);
    let mut world = World::new(rng, spice, story == Story::Recorded);
    world.tell(|world| {
        format!(
            "{:?}, plan {:?}, hold {:?}",
            world.spice, world.plan, world.hold
        )
    });
    let mut shell = Shell::new(decide, &world);
    for _ in 0..length {
        chaos(&mut world, &mut shell);
        if !world.broken.is_empty() || world.rollout.finished {
            break;
        }
    }
    if world.broken.is_empty() {
        fair(&mut world, &mut shell);
    }
    Outcome {
        seed,
        broken: world.broken,
        decisions: shell.passes,
        story: world.story.unwrap_or_default(),
    }
}

fn chaos(world: &mut World, shell: &mut Shell) {
    match world.rng.u8(0..100) {
        0..=24 => {
            shell.dirty |= shell.view.arrive(world, 60);
            if shell.dirty || world.chance(10) {
                shell.pass(world, true);
            }
        }
        25..=39 => run_controllers(world),
        40..=64 => {
            // Things go well for a while, so that histories get somewhere.
            let rounds = world.rng.u32(1..12);
            for _ in 0..rounds {
                if !round(world, shell, true) {
                    break;
                }
            }
        }
        65..=74 => world.clock_ms += world.rng.i64(1..20_000),
        75..=79 => {
            shell.measure(world, true);
        }
        80..=82 => shell.restart(world),
        83 if world.spice.clock_jumps => {
            shell.ahead_ms += world.rng.i64(-400_000..400_000);
            world.tell(|_| "the controller's clock jumps".to_owned());
        }
        _ => world.somebody_acts(),
    }
}

fn run_controllers(world: &mut World) {
    let syncs = world.rng.u32(1..6);
    for _ in 0..syncs {
        world.sync_deployment();
        if world.chance(50) {
            world.tend_all();
        }
        if world.chance(50) {
            world.tend_traffic();
        }
    }
}

/// Everybody does what is due; says whether anything happened or is still to come.
fn round(world: &mut World, shell: &mut Shell, chaos: bool) -> bool {
    let moved = world.sync_deployment() | world.tend_all() | world.tend_traffic();
    let arrived = shell.view.arrive(world, 100);
    let measured = shell.measure(world, chaos);
    let woken = shell.wake_at.is_some_and(|at| at <= shell.now(world));
    if shell.dirty || arrived || woken {
        shell.pass(world, chaos);
        return true;
    }
    if moved || measured {
        return true;
    }
    // Everybody has seen everything and acted on it.
    world.check_strength();
    let timers = [
        shell.next_timer_ms(),
        world.next_pod_ms(),
        world.roads.next_due_ms(world.clock_ms),
    ];
    match timers.into_iter().flatten().min() {
        Some(next) => {
            world.clock_ms = world.clock_ms.max(next);
            true
        }
        None => false,
    }
}

/// No more faults and no more changes; people do what they are waited for.
fn fair(world: &mut World, shell: &mut Shell) {
    world.tell(|_| "the world is fair from here on".to_owned());
    world.prometheus_up = true;
    world.policy_in_force = true;
    world.group = Group::Alone;
    world.mend_traffic();
    world.plan = Ok(world.good_plan.clone());
    world.rollout.version += 1;
    if world.workload.is_none() && !world.rollout.finished {
        world.make_any();
    }
    if world
        .workload
        .as_ref()
        .is_some_and(|workload| workload.shown.replicas == 0)
    {
        world.scale_to(3);
    }
    if let (Some(quota), Some(workload)) = (&mut world.quota, &world.workload) {
        // Room for the workload itself and its surge, but not for every canary.
        *quota = (*quota).max(workload.shown.replicas + workload.max_surge + 1);
    }
    shell.dirty = true;
    settle(world, shell);
    epilogue(world, shell);
}

/// Goes on until nothing happens any more, and checks the end.
fn settle(world: &mut World, shell: &mut Shell) {
    for _ in 0..MAX_ROUNDS {
        if !world.broken.is_empty() {
            return;
        }
        if world.rollout.finished {
            return world.check_settled();
        }
        if !helped(world) && !round(world, shell, false) {
            return quiet(world, shell);
        }
    }
    let waits = world.rollout.status.waiting_for.clone();
    let phase = world.rollout.status.phase;
    let detail = format!("still {phase:?}, waiting for {waits:?}");
    world.breaks("eventually_settled", detail);
}

/// Whatever happened before: now a good version comes through with its canary's pods, and a bad one is taken back without
/// touching the stable pods.
fn epilogue(world: &mut World, shell: &mut Shell) {
    let at_rest = matches!(world.rollout.status.phase, Phase::Healthy | Phase::Rejected);
    if !at_rest || world.rollout.finished || !world.broken.is_empty() || !world.stable_works() {
        return;
    }
    world.quota = None;
    let good = world.new_content(Quality::Good);
    // Configuration that was never rejected, and stays from here on.
    world.configure(1_000);
    world.apply(good);
    settle(world, shell);
    world.check_promoted(good);
    if !world.broken.is_empty() {
        return;
    }
    let hash = world
        .rollout
        .status
        .stable
        .as_ref()
        .map(|stable| stable.hash.clone());
    let hash = hash.unwrap_or_default();
    let pods = world.pods_of(&hash);
    let bad = world.new_content(Quality::Bad);
    world.apply(bad);
    settle(world, shell);
    world.check_taken_back(&hash, &pods);
}

/// Somebody approves or resumes if that is waited for.
fn helped(world: &mut World) -> bool {
    let waits = world
        .rollout
        .status
        .waiting_for
        .as_ref()
        .map_or("", |waiting| waiting.reason.as_str());
    let verb = match waits {
        _ if !world.actions.is_empty() => return false,
        reason::APPROVAL => Verb::Approve,
        reason::PAUSED => Verb::Resume,
        _ => return false,
    };
    let candidate = world.rollout.status.candidate.as_ref();
    let version = candidate.map(|candidate| candidate.version.digest.short());
    world.ask_for(verb, version);
    true
}

/// At rest: the end is right, and another look decides and does nothing.
fn quiet(world: &mut World, shell: &mut Shell) {
    world.check_settled();
    let (version, counter) = (world.rollout.version, world.counter);
    shell.pass(world, false);
    if (version, counter) != (world.rollout.version, world.counter) {
        world.breaks("quiet_at_rest", "a write without a change".to_owned());
    }
}
