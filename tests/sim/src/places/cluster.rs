//! The true state: a StatefulSet with its pods in their places, and the roads to them; and what people do.
//!
//! A place has one pod at most, of whatever revision. Deliberately absent: what is no different for other workloads, which is
//! in the core.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use belay_engine::{
    action::Verb,
    rollout::{Effect, observed::Hold, plan::Routing, revisions::HELD},
    traffic::Affinity,
};
use fastrand::Rng;

use super::{
    Mistake,
    roads::{Roads, route_id},
};
use crate::small::{self, Core, Objects, World, contents, hold, plan};

/// How the controller manages pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Management {
    /// One after the other, and none while one before it is not ready.
    Ordered,
    /// All at once.
    Parallel,
}

/// The spec, as the API server has it or as the controller saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) generation: i64,
    pub(super) replicas: i32,
    pub(super) partition: i32,
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
    pub(super) current: Option<usize>,
    pub(super) update: Option<usize>,
    pub(super) total: i32,
    pub(super) ready: i32,
    pub(super) updated: i32,
}

/// A pod. Of one that Belay deleted on the way back, what comes in its place is the controller's word on what belongs there.
pub(super) type SimPod = small::SimPod<bool>;

pub(super) struct Cluster {
    pub(super) core: Core<Spec, Reported>,
    pub(super) management: Management,
    pub(super) pods: BTreeMap<i32, SimPod>,
    /// Places whose pod Belay deleted, until the controller fills them.
    pub(super) emptied: BTreeSet<i32>,
    pub(super) roads: Roads,
}

impl World for Cluster {
    type Spec = Spec;
    type Reported = Reported;
    type Mistake = Mistake;

    fn new(mut rng: Rng) -> Self {
        let contents = contents(&mut rng, "db");
        let routing = routing(&mut rng);
        let plan = plan(&mut rng, routing);
        let spec = Spec {
            generation: 1,
            replicas: rng.i32(2..=6),
            partition: 0,
            content: 0,
        };
        let hold = hold(&mut rng);
        let management = if rng.bool() {
            Management::Ordered
        } else {
            Management::Parallel
        };
        Self {
            core: Core::new(rng, contents, plan, hold, spec),
            management,
            pods: BTreeMap::new(),
            emptied: BTreeSet::new(),
            roads: Roads::new(),
        }
    }

    fn core(&self) -> &Core<Spec, Reported> {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core<Spec, Reported> {
        &mut self.core
    }

    fn sync(&mut self) {
        self.sync_places();
    }

    fn catch_up(&mut self) {
        self.core.see_spec(100);
        self.sync_places();
        self.take_up();
    }

    fn objects(&self) -> Objects {
        self.seen_objects()
    }

    fn write(&mut self, effect: &Effect) -> bool {
        self.write_traffic(effect)
            .unwrap_or_else(|| self.apply_effect(effect))
    }

    fn disturb(&mut self, roll: u8) {
        if roll <= 90 {
            self.disturb_traffic();
        } else {
            self.somebody_acts();
        }
    }

    fn mend(&mut self) {
        self.mend_traffic();
        if self.core.spec.replicas < 2 {
            self.scale(2);
        }
    }

    fn next_seconds(&self) -> Option<i64> {
        let pods = self.core.next_change(self.pods.values());
        let router = self.roads.next_due(self.core.seconds);
        pods.into_iter().chain(router).min()
    }

    fn check_quiet(&mut self) {
        self.check_step();
        self.check_shares();
    }

    fn settled(&self) -> Result<(), String> {
        self.check_settled()
    }
}

impl Cluster {
    fn scale(&mut self, replicas: i32) {
        self.core.spec.replicas = replicas;
        self.core.changed("scaled");
    }

    pub(super) fn somebody_acts(&mut self) {
        match self.core.rng.u8(0..10) {
            0..=3 => {
                let content = self.core.rng.usize(0..self.core.bases);
                let content = self.core.written(content);
                if content != self.core.spec.content {
                    self.core.spec.content = content;
                    // The admission policy.
                    if self.core.hold == Hold::Admission && self.core.labelled {
                        self.core.spec.partition = HELD;
                    }
                    // What somebody wants anew is no longer what Belay deleted pods for.
                    self.emptied.clear();
                    for pod in self.pods.values_mut() {
                        pod.removed = false;
                    }
                    self.core.changed("applied");
                }
            }
            4 | 5 => {
                let replicas = self.core.rng.i32(1..=6);
                self.scale(replicas);
            }
            6 => self.core.act(Verb::Abort),
            7 => self.core.act(Verb::Promote),
            8 => {
                let place = self.core.rng.i32(0..6);
                if let Some(pod) = self.pods.get_mut(&place) {
                    pod.delete(self.core.seconds);
                    self.core.happens(&format!("somebody deletes pod {place}"));
                }
            }
            _ => self.core.perhaps_delete(),
        }
    }
}

/// In every other history a route leads the requests.
fn routing(rng: &mut Rng) -> Option<Routing> {
    rng.bool().then(|| Routing {
        service: "db".to_owned(),
        routes: vec![route_id()],
        drain: Duration::from_secs(rng.u64(0..6)),
        affinity: rng.bool().then(|| Affinity {
            cookie: "db".to_owned(),
            max_age_seconds: 60,
        }),
    })
}
