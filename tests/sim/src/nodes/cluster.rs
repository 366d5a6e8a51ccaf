//! The true state: a DaemonSet, its nodes with their pods, and what Belay's watch has of it; and what people do.
//!
//! A node keeps its number, and its pod goes with it. Deliberately absent: what is no different for other workloads, which is
//! in the core.

use std::collections::BTreeMap;

use belay_engine::{
    action::Verb,
    rollout::{Effect, observed::Hold},
};
use fastrand::Rng;

use super::Mistake;
use crate::small::{self, Core, Objects, View, World, contents, hold, plan};

/// The spec, as the API server has it or as the controller saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) generation: i64,
    /// Whether the update strategy is `OnDelete`.
    pub(super) held: bool,
    pub(super) content: usize,
}

impl small::Spec for Spec {
    fn generation_mut(&mut self) -> &mut i64 {
        &mut self.generation
    }

    fn content(&self) -> usize {
        self.content
    }
}

/// What the controller wrote into the status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reported {
    pub(super) observed_generation: i64,
    pub(super) desired: i32,
    pub(super) total: i32,
    pub(super) ready: i32,
    pub(super) updated: i32,
}

/// A pod. One that Belay deleted knows for which content to come in its place.
pub(super) type SimPod = small::SimPod<Option<usize>>;

/// A node that is to run the DaemonSet. The lower its number, the earlier it changes.
#[derive(Clone, Debug, Default)]
pub(super) struct SimNode {
    pub(super) pod: Option<SimPod>,
    /// Whether it ever had one: before that, nobody lacks it.
    pub(super) had_pod: bool,
    /// What Belay emptied it for, until the controller fills it.
    pub(super) emptied_for: Option<usize>,
}

pub(super) struct Cluster {
    pub(super) core: Core<Spec, Reported>,
    /// The DaemonSet as Belay's watch has it.
    pub(super) view: View<Spec, Reported>,
    pub(super) budget: i32,
    pub(super) nodes: BTreeMap<u32, SimNode>,
}

impl World for Cluster {
    type Spec = Spec;
    type Reported = Reported;
    type Mistake = Mistake;

    fn new(mut rng: Rng) -> Self {
        let contents = contents(&mut rng, "agent");
        let plan = plan(&mut rng, None);
        let hold = hold(&mut rng);
        let nodes = (0..rng.u32(1..=7))
            .map(|number| (number * 10, SimNode::default()))
            .collect();
        let budget = rng.i32(1..=2);
        let spec = Spec {
            generation: 1,
            held: false,
            content: 0,
        };
        let core = Core::new(rng, contents, plan, hold, spec);
        Self {
            view: core.view(),
            core,
            budget,
            nodes,
        }
    }

    fn core(&self) -> &Core<Spec, Reported> {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core<Spec, Reported> {
        &mut self.core
    }

    fn sync(&mut self) {
        self.sync_nodes();
    }

    fn catch_up(&mut self) {
        self.core.see_spec(100);
        self.sync_nodes();
    }

    fn watch(&mut self, chaos: bool) {
        if !chaos || self.core.chance(60) {
            self.view = self.core.view();
        }
    }

    fn objects(&self) -> Objects {
        self.seen_objects()
    }

    fn write(&mut self, effect: &Effect) -> bool {
        let written = self.apply_effect(effect);
        // The answer to a write of the DaemonSet shows it as it is now.
        if written && !matches!(effect, Effect::RemovePod { .. } | Effect::Acknowledge(_)) {
            self.view = self.core.view();
        }
        written
    }

    fn disturb(&mut self, _: u8) {
        self.somebody_acts();
    }

    fn mend(&mut self) {
        while self.nodes.len() < 2 {
            self.join();
        }
    }

    fn next_seconds(&self) -> Option<i64> {
        self.core.next_change(self.pods())
    }

    fn check_quiet(&mut self) {
        self.check_step();
    }

    fn settled(&self) -> Result<(), String> {
        self.check_settled()
    }
}

impl Cluster {
    pub(super) fn pods(&self) -> impl Iterator<Item = &SimPod> {
        self.nodes.values().filter_map(|node| node.pod.as_ref())
    }

    pub(super) fn somebody_acts(&mut self) {
        match self.core.rng.u8(0..12) {
            0..=3 => {
                let content = self.core.rng.usize(0..self.core.bases);
                let content = self.core.written(content);
                self.apply(content);
            }
            4 | 5 => self.join(),
            6 => {
                let number = self.some_node();
                self.nodes.remove(&number);
                self.core.happens(&format!("node {number} leaves"));
            }
            7 => self.core.act(Verb::Abort),
            8 => self.core.act(Verb::Promote),
            9 => {
                let number = self.some_node();
                if let Some(pod) = self.nodes.get_mut(&number).and_then(|n| n.pod.as_mut()) {
                    pod.delete(self.core.seconds);
                    self.core
                        .happens(&format!("somebody deletes the pod of node {number}"));
                }
            }
            10 => self.apply(self.core.spec.content),
            _ => self.core.perhaps_delete(),
        }
    }

    /// A whole manifest, which says that it rolls, and what the admission policy makes of it.
    fn apply(&mut self, content: usize) {
        let policy = self.core.hold == Hold::Admission && self.core.labelled;
        let changes = content != self.core.spec.content;
        let held = policy && (changes || self.core.spec.held);
        if changes || held != self.core.spec.held {
            self.core.spec.content = content;
            self.core.spec.held = held;
            self.core.changed("applied");
        }
    }

    pub(super) fn join(&mut self) {
        let number = self.core.rng.u32(0..100);
        if self.nodes.len() < 8 {
            self.nodes.entry(number).or_default();
            self.core.happens(&format!("node {number} joins"));
        }
    }

    fn some_node(&mut self) -> u32 {
        let numbers: Vec<u32> = self.nodes.keys().copied().collect();
        self.core.rng.choice(numbers).unwrap_or_default()
    }
}
