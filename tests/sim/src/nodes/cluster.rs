//! The true state: a DaemonSet, its nodes with their pods, and the Rollout's status.

use std::collections::BTreeMap;

use belay_engine::{
    action::{Request, Verb},
    digest::Digest,
    invariant::Broken,
    rollout::{
        Plan, RolloutStatus,
        observed::{Hold, Template},
    },
};
use fastrand::Rng;
use jiff::Timestamp;
use serde_json::json;

use crate::places::{at, plan};

/// How a version behaves.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) template: Template,
    pub(super) bad: bool,
    /// Seconds until its pods are ready; `None`: never.
    pub(super) ready_after: Option<i64>,
}

/// The spec, as the API server has it or as the controller saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) generation: i64,
    /// Whether the update strategy is `OnDelete`.
    pub(super) held: bool,
    pub(super) content: usize,
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

#[derive(Clone, Debug)]
pub(super) struct SimPod {
    pub(super) uid: u64,
    pub(super) content: usize,
    pub(super) ready_at: Option<i64>,
    pub(super) gone_at: Option<i64>,
    /// Deleted by Belay for this content to come in its place.
    pub(super) removed_for: Option<usize>,
}

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
    pub(super) rng: Rng,
    pub(super) seconds: i64,
    /// Rises with everything that happens.
    pub(super) count: u64,
    pub(super) contents: Vec<Content>,
    pub(super) spec: Spec,
    pub(super) version: u64,
    pub(super) seen: Spec,
    pub(super) reported: Reported,
    pub(super) budget: i32,
    pub(super) labelled: bool,
    pub(super) nodes: BTreeMap<u32, SimNode>,
    pub(super) status: RolloutStatus,
    pub(super) actions: Vec<Request>,
    pub(super) plan: Plan,
    pub(super) hold: Hold,
    pub(super) deleting: bool,
    pub(super) finished: bool,
    pub(super) broken: Vec<Broken>,
    pub(super) story: Vec<String>,
}

impl Cluster {
    pub(super) fn new(mut rng: Rng) -> Self {
        let contents = (0..6)
            .map(|index| Content {
                template: Template::new(Digest::of(&json!(index)), None, format!("agent:{index}")),
                bad: index > 0 && rng.u8(0..3) == 0,
                ready_after: (index == 0 || rng.u8(0..5) > 0).then(|| rng.i64(0..6)),
            })
            .collect();
        let plan = plan(&mut rng, None);
        let spec = Spec {
            generation: 1,
            held: false,
            content: 0,
        };
        let hold = if rng.u8(0..4) == 0 {
            Hold::AlwaysPaused
        } else {
            Hold::Admission
        };
        let nodes = (0..rng.u32(1..=7))
            .map(|number| (number * 10, SimNode::default()))
            .collect();
        Self {
            seconds: 0,
            count: 1,
            contents,
            seen: spec.clone(),
            spec,
            version: 1,
            reported: Reported::default(),
            budget: rng.i32(1..=2),
            labelled: false,
            nodes,
            status: RolloutStatus::default(),
            actions: Vec::new(),
            plan,
            hold,
            deleting: false,
            finished: false,
            broken: Vec::new(),
            story: Vec::new(),
            rng,
        }
    }

    pub(super) fn time(&self) -> Timestamp {
        at(self.seconds)
    }

    pub(super) fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(0..100) < percent
    }

    pub(super) fn happens(&mut self, what: &str) {
        self.count += 1;
        self.tell(what);
    }

    pub(super) fn tell(&mut self, what: &str) {
        self.story.push(format!("{:>6} s  {what}", self.seconds));
    }

    pub(super) fn breaks(&mut self, name: &'static str, detail: String) {
        self.tell(&format!("BROKEN {name}: {detail}"));
        self.broken.push(Broken { name, detail });
    }

    /// The spec changes.
    pub(super) fn changed(&mut self, what: &str) {
        self.spec.generation += 1;
        self.touched(what);
    }

    /// Something else of the DaemonSet changes.
    pub(super) fn touched(&mut self, what: &str) {
        self.version += 1;
        let spec = self.spec.clone();
        self.happens(&format!("{what}: {spec:?}"));
    }

    pub(super) fn ready(&self, pod: &SimPod) -> bool {
        pod.ready_at.is_some_and(|at| at <= self.seconds)
    }

    pub(super) fn pods(&self) -> impl Iterator<Item = &SimPod> {
        self.nodes.values().filter_map(|node| node.pod.as_ref())
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "contents are only ever named by their index"
    )]
    pub(super) fn content(&self, index: usize) -> &Content {
        &self.contents[index]
    }

    pub(super) fn index(&self, digest: &str) -> Option<usize> {
        self.contents
            .iter()
            .position(|content| content.template.digest.as_str() == digest)
    }

    pub(super) fn somebody_acts(&mut self) {
        match self.rng.u8(0..12) {
            0..=3 => {
                let content = self.rng.usize(0..self.contents.len());
                self.apply(content);
            }
            4 | 5 => self.join(),
            6 => {
                let number = self.some_node();
                self.nodes.remove(&number);
                self.happens(&format!("node {number} leaves"));
            }
            7 => self.act(Verb::Abort),
            8 => self.act(Verb::Promote),
            9 => {
                let number = self.some_node();
                let due = self.seconds + 1;
                if let Some(pod) = self.nodes.get_mut(&number).and_then(|n| n.pod.as_mut()) {
                    pod.gone_at.get_or_insert(due);
                    self.happens(&format!("somebody deletes the pod of node {number}"));
                }
            }
            10 => self.apply(self.spec.content),
            _ => {
                if self.chance(20) {
                    self.deleting = true;
                    self.happens("the Rollout is deleted");
                }
            }
        }
    }

    /// A whole manifest, which says that it rolls, and what the admission policy makes of it.
    fn apply(&mut self, content: usize) {
        let policy = self.hold == Hold::Admission && self.labelled;
        let changes = content != self.spec.content;
        let held = policy && (changes || self.spec.held);
        if changes || held != self.spec.held {
            self.spec.content = content;
            self.spec.held = held;
            self.changed("applied");
        }
    }

    pub(super) fn join(&mut self) {
        let number = self.rng.u32(0..100);
        if self.nodes.len() < 8 {
            self.nodes.entry(number).or_default();
            self.happens(&format!("node {number} joins"));
        }
    }

    fn some_node(&mut self) -> u32 {
        let numbers: Vec<u32> = self.nodes.keys().copied().collect();
        self.rng.choice(numbers).unwrap_or_default()
    }

    fn act(&mut self, verb: Verb) {
        let uid = format!("act-{}", self.count);
        let created_at = self.time();
        self.actions.push(Request {
            uid: uid.clone(),
            name: uid,
            created_at,
            verb,
            actor: "sre".to_owned(),
            version: None,
            reason: None,
        });
        self.happens(&format!("{verb:?}"));
    }
}
