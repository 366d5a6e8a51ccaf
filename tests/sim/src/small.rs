//! A small simulator for one workload whose new version takes the places of stable pods: what a StatefulSet's and a DaemonSet's
//! have in common. Each brings its own `World`; the `Core` of its state, the shell around `decide` and the course of a
//! history are here.
//!
//! As in the large one, a history has a chaotic and a fair part, everything random comes from one seed, and invariants are
//! checked after every step: what breaks first ends the history. Deliberately absent: what a workload is like, what its
//! controller does, and what is expected of it. That is in `places` and in `nodes`.

mod config;
mod core;
mod plan;
mod shell;

use belay_engine::{invariant::Broken, rollout::Effect};
use fastrand::Rng;

pub(crate) use self::{
    core::{Core, SimPod, Spec, View},
    plan::{contents, hold, plan},
    shell::{Objects, Planted, Shell},
};

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

/// One kind of workload with all that surrounds it.
pub(crate) trait World: Sized {
    /// Its spec.
    type Spec: Spec;
    /// What its controller wrote into its status.
    type Reported: Clone + PartialEq;
    /// Mistakes that this simulator must notice.
    type Mistake: Planted;

    fn new(rng: Rng) -> Self;

    fn core(&self) -> &Core<Self::Spec, Self::Reported>;

    fn core_mut(&mut self) -> &mut Core<Self::Spec, Self::Reported>;

    /// One sync of the controller, on the spec that it has seen.
    fn sync(&mut self);

    /// Everybody but Belay knows everything and does what is due.
    fn catch_up(&mut self);

    /// What Belay's watch has to tell arrives, in chaos perhaps later. A world without lagging views has nothing to do here.
    fn watch(&mut self, _chaos: bool) {}

    /// The objects as Belay sees them.
    fn objects(&self) -> Objects;

    /// The API server's side of an effect; says whether its preconditions held.
    fn write(&mut self, effect: &Effect) -> bool;

    /// Somebody other than Belay does something, which depends on `roll`, from 88 to 99.
    fn disturb(&mut self, roll: u8);

    /// What stands in the way of settling ends.
    fn mend(&mut self);

    /// When time alone changes something.
    fn next_seconds(&self) -> Option<i64>;

    /// Checks what must be true when nobody has anything to do before time goes on.
    fn check_quiet(&mut self);

    /// Whether all is as it must be when nothing changes any more.
    fn settled(&self) -> Result<(), String>;
}

/// Plays the history of `seed`.
pub(crate) fn play<W: World>(seed: u64, mistake: W::Mistake) -> Outcome {
    let mut world = W::new(Rng::with_seed(seed));
    let mut shell = Shell::new(mistake, &world);
    let length = world.core_mut().rng.u32(10..80);
    for _ in 0..length {
        chaos(&mut world, &mut shell);
        if !world.core().broken.is_empty() || world.core().finished {
            break;
        }
    }
    if world.core().broken.is_empty() {
        fair(&mut world, &mut shell);
    }
    let core = world.core_mut();
    Outcome {
        seed,
        broken: std::mem::take(&mut core.broken),
        story: std::mem::take(&mut core.story),
    }
}

fn chaos<W: World>(world: &mut W, shell: &mut Shell<W>) {
    match world.core_mut().rng.u8(0..100) {
        0..=29 => shell.pass(world, true),
        30..=49 => world.sync(),
        50..=79 => {
            for _ in 0..world.core_mut().rng.u32(1..15) {
                round(world, shell, true);
            }
        }
        80..=87 => {
            let core = world.core_mut();
            core.seconds += core.rng.i64(1..30);
        }
        roll => {
            world.core_mut().perhaps_configure();
            world.disturb(roll);
        }
    }
}

/// Everybody does what is due; says whether anything happened or is still to come.
fn round<W: World>(world: &mut W, shell: &mut Shell<W>, chaos: bool) -> bool {
    let before = world.core().count;
    world.catch_up();
    world.watch(false);
    shell.measure(world);
    shell.pass(world, chaos);
    if world.core().count != before {
        return true;
    }
    world.check_quiet();
    let next = [world.next_seconds(), shell.next_seconds(world)];
    let Some(next) = next.into_iter().flatten().min() else {
        return false;
    };
    let core = world.core_mut();
    core.seconds = core.seconds.max(next);
    true
}

/// Rounds in which a fair world must have settled.
const MAX_ROUNDS: u32 = 3_000;

fn fair<W: World>(world: &mut W, shell: &mut Shell<W>) {
    world.core_mut().tell("the world is fair from here on");
    world.mend();
    for _ in 0..MAX_ROUNDS {
        if !world.core().broken.is_empty() {
            return;
        }
        if !round(world, shell, false) {
            if let Err(why) = world.settled() {
                world.core_mut().breaks("eventually_settled", why);
            }
            return;
        }
    }
    let status = &world.core().status;
    let (phase, waits) = (status.phase, status.waiting_for.clone());
    world.core_mut().breaks(
        "eventually_settled",
        format!("{phase:?}, waiting for {waits:?}"),
    );
}
