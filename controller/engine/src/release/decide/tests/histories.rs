//! Random histories: commits good and bad, people's acts, crashes between any two effects, failing effects, outages, time. Whatever
//! happens, the invariants hold; and when it stops happening, the Release comes to rest with nothing left over.

use std::collections::BTreeSet;

use super::world::{World, content, objects};
use crate::{
    action::Verb,
    quarantine,
    release::{
        Effect,
        cluster::{ClusterId, Reached},
        observed::{Asked, Fault},
        status::{Phase, Purpose},
    },
};

/// Small and good enough: xorshift64*.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn disturb(world: &mut World, dice: &mut Dice) {
    let name = NAMES[usize::try_from(dice.roll(6)).unwrap()];
    match dice.roll(15) {
        0..=2 => world.ask(name),
        3 => {
            world.asked = Asked::Broken {
                revision: "main@sha1:broken".into(),
                message: "not YAML".into(),
            };
        }
        4 => {
            world.asked = Asked::Unavailable {
                since: world.now,
                message: "gone".into(),
            };
        }
        5 => world.healthy = !world.healthy,
        6 => {
            if !world.bad.remove(name) {
                world.bad.insert(name.into());
            }
        }
        7 => world.restart(),
        8 => {
            let verbs = [
                Verb::Retry,
                Verb::Abort,
                Verb::Undo,
                Verb::Pause,
                Verb::Resume,
                Verb::Approve,
            ];
            world.act(verbs[usize::try_from(dice.roll(6)).unwrap()]);
        }
        9 => {
            let fault = [Fault::Content, Fault::Environment, Fault::Passing];
            world.refuse(
                name,
                fault[usize::try_from(dice.roll(3)).unwrap()],
                "refused",
            );
        }
        10 => world.accept(name),
        11 => world.reached = elsewhere(world),
        _ => world.pass_time(i64::try_from(dice.roll(300)).unwrap()),
    }
}

/// Objects that are in another cluster are there from the beginning; it goes away and comes back.
fn elsewhere(world: &World) -> Reached {
    match world.reached {
        Reached::Home => Reached::Home,
        Reached::Remote { .. } => Reached::Away {
            since: world.now,
            message: "gone".into(),
        },
        Reached::Away { .. } => answering(world),
    }
}

fn answering(world: &World) -> Reached {
    Reached::Remote {
        id: ClusterId {
            uid: None,
            address: "east".into(),
        },
        since: world.now,
    }
}

const fn is_about_objects(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Rehearse { .. }
            | Effect::RecordInventory { .. }
            | Effect::Apply { .. }
            | Effect::Prune { .. }
            | Effect::Correct { .. }
            | Effect::Abandon { .. }
    )
}

fn step(world: &mut World, dice: &mut Dice) {
    let crash = dice.roll(4) == 0;
    let at = dice.roll(5);
    let mut done = 0;
    world.step_with(|world, effect| {
        let is_away = matches!(world.reached, Reached::Away { .. });
        assert!(
            !(is_away && is_about_objects(effect)),
            "{effect:?} without a cluster"
        );
        if let Effect::Apply { content, .. } = effect {
            let target = world.status.target.as_ref().unwrap();
            assert_eq!(target.content.digest, content.digest);
            if target.purpose == Purpose::Release {
                assert!(
                    world.accepted.contains(&World::name(content)),
                    "applied without rehearsal"
                );
                assert!(
                    quarantine::find(&world.status.quarantine, &content.digest).is_none(),
                    "quarantined content is applied"
                );
            } else {
                assert!(
                    world
                        .status
                        .history
                        .iter()
                        .any(|old| old.content.digest == content.digest)
                );
            }
        }
        if let Effect::Prune { .. } = effect {
            let phase = world.status.phase;
            assert!(
                matches!(
                    phase,
                    Phase::Verified
                        | Phase::Rejected
                        | Phase::Refused
                        | Phase::Rehearsing
                        | Phase::Waiting
                ),
                "pruned while {phase:?}"
            );
        }
        done += 1;
        !(crash && done > at)
    });
    if crash {
        world.restart();
    }
    let tracked: BTreeSet<_> = world.cluster.difference(&world.inventory).collect();
    assert!(tracked.is_empty(), "orphans: {tracked:?}");
}

fn history(seed: u64) {
    let mut dice = Dice(seed | 1);
    let mut world = World::default();
    if seed.is_multiple_of(2) {
        world.reached = answering(&world);
    }
    for _ in 0..80 {
        disturb(&mut world, &mut dice);
        step(&mut world, &mut dice);
    }
    come_to_rest(&mut world);
    let resting = [
        Phase::Verified,
        Phase::Rejected,
        Phase::Refused,
        Phase::Failed,
        Phase::Pending,
    ];
    assert!(
        resting.contains(&world.status.phase),
        "{:?}",
        world.status.phase
    );
    if matches!(world.status.phase, Phase::Verified | Phase::Rejected) {
        let target = world.status.target.clone().unwrap();
        let wanted: BTreeSet<String> = objects(&World::name(&target.content)).into();
        assert_eq!(world.cluster, wanted);
        assert_eq!(world.inventory, wanted);
        assert_eq!(
            world.status.verified.as_ref().unwrap().content.digest,
            target.content.digest
        );
        assert!(world.renders.contains(&target.content.digest));
    }
}

/// The disturbances stop: the source answers with good content that nobody refuses.
fn come_to_rest(world: &mut World) {
    for name in NAMES {
        world.accept(name);
    }
    if matches!(world.reached, Reached::Away { .. }) {
        world.reached = answering(world);
    }
    world.bad.clear();
    world.healthy = true;
    if !matches!(world.asked, Asked::Content(_)) {
        world.asked = Asked::Content(content("a"));
    }
    world.act(Verb::Resume);
    for _ in 0..10 {
        world.settle();
        world.pass_time(600);
    }
    world.settle();
}

#[test]
fn random_histories_keep_the_invariants_and_come_to_rest() {
    let only = std::env::var("BELAY_RELEASE_SEED")
        .ok()
        .map(|seed| seed.parse().unwrap());
    let seeds: Vec<u64> = only.map_or_else(|| (1..=4_000).collect(), |seed| vec![seed]);
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| history(seed));
        assert!(
            outcome.is_ok(),
            "history failed; replay it with BELAY_RELEASE_SEED={seed}"
        );
    }
}
