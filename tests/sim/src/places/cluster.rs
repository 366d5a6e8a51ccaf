//! The true state: a StatefulSet, its pods and revisions, and the Rollout's status.

use std::collections::{BTreeMap, BTreeSet};

use belay_engine::{
    action::{Request, Verb},
    digest::Digest,
    gate::{GatePolicy, Method, Mode, Then, UnknownPolicy},
    invariant::Broken,
    rollout::{
        Plan, RolloutStatus,
        observed::{Hold, Template},
        plan::{Approval, End, Routing, Share, Step},
        revisions::HELD,
    },
    traffic::{Affinity, Split},
};
use fastrand::Rng;
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;

use super::roads::{Roads, route_id};

/// How a version behaves.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) template: Template,
    pub(super) bad: bool,
    /// Seconds until its pods are ready; `None`: never.
    pub(super) ready_after: Option<i64>,
}

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

#[derive(Clone, Debug)]
pub(super) struct SimPod {
    pub(super) uid: u64,
    pub(super) content: usize,
    pub(super) ready_at: Option<i64>,
    pub(super) gone_at: Option<i64>,
    /// Deleted by Belay: what comes in its place is the controller's word on what belongs there.
    pub(super) removed: bool,
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
    pub(super) management: Management,
    pub(super) labelled: bool,
    pub(super) pods: BTreeMap<i32, SimPod>,
    /// Places whose pod Belay deleted, until the controller fills them.
    pub(super) emptied: BTreeSet<i32>,
    pub(super) roads: Roads,
    pub(super) status: RolloutStatus,
    pub(super) actions: Vec<Request>,
    pub(super) plan: Plan,
    pub(super) hold: Hold,
    pub(super) deleting: bool,
    pub(super) finished: bool,
    pub(super) broken: Vec<Broken>,
    pub(super) story: Vec<String>,
}

const START_SECOND: i64 = 1_800_000_000;

impl Cluster {
    pub(super) fn new(mut rng: Rng) -> Self {
        let contents = (0..6)
            .map(|index| Content {
                template: Template::new(Digest::of(&json!(index)), None, format!("db:{index}")),
                bad: index > 0 && rng.u8(0..3) == 0,
                ready_after: (index == 0 || rng.u8(0..5) > 0).then(|| rng.i64(0..6)),
            })
            .collect();
        let routing = routing(&mut rng);
        let plan = plan(&mut rng, routing);
        let spec = Spec {
            generation: 1,
            replicas: rng.i32(2..=6),
            partition: 0,
            content: 0,
        };
        let hold = if rng.u8(0..4) == 0 {
            Hold::AlwaysPaused
        } else {
            Hold::Admission
        };
        Self {
            seconds: 0,
            count: 1,
            contents,
            seen: spec.clone(),
            spec,
            version: 1,
            reported: Reported::default(),
            management: if rng.bool() {
                Management::Ordered
            } else {
                Management::Parallel
            },
            labelled: false,
            pods: BTreeMap::new(),
            emptied: BTreeSet::new(),
            roads: Roads::new(),
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

    pub(super) const fn replicas(&self) -> i32 {
        self.spec.replicas
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

    /// Something else of the StatefulSet changes.
    pub(super) fn touched(&mut self, what: &str) {
        self.version += 1;
        let spec = self.spec.clone();
        self.happens(&format!("{what}: {spec:?}"));
    }

    pub(super) fn scale(&mut self, replicas: i32) {
        self.spec.replicas = replicas;
        self.changed("scaled");
    }

    pub(super) fn ready(&self, pod: &SimPod) -> bool {
        pod.ready_at.is_some_and(|at| at <= self.seconds)
    }

    pub(super) fn content(&self, index: usize) -> &Content {
        self.contents.get(index).unwrap_or_else(|| unreachable())
    }

    pub(super) fn somebody_acts(&mut self) {
        match self.rng.u8(0..10) {
            0..=3 => {
                let content = self.rng.usize(0..self.contents.len());
                if content != self.spec.content {
                    self.spec.content = content;
                    // The admission policy.
                    if self.hold == Hold::Admission && self.labelled {
                        self.spec.partition = HELD;
                    }
                    // What somebody wants anew is no longer what Belay deleted pods for.
                    self.emptied.clear();
                    self.pods.values_mut().for_each(|pod| pod.removed = false);
                    self.changed("applied");
                }
            }
            4 | 5 => {
                let replicas = self.rng.i32(1..=6);
                self.scale(replicas);
            }
            6 => self.act(Verb::Abort),
            7 => self.act(Verb::Promote),
            8 => {
                let place = self.rng.i32(0..6);
                let due = self.seconds + 1;
                if let Some(pod) = self.pods.get_mut(&place) {
                    pod.gone_at.get_or_insert(due);
                    self.happens(&format!("somebody deletes pod {place}"));
                }
            }
            _ => {
                if self.chance(20) {
                    self.deleting = true;
                    self.happens("the Rollout is deleted");
                }
            }
        }
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

/// Contents are only ever named by their index.
#[expect(clippy::panic, reason = "a mistake of the simulator itself")]
fn unreachable() -> ! {
    panic!("no such content")
}

/// A time of the simulation.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START_SECOND + seconds).unwrap_or(Timestamp::MAX)
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

/// A plan of up to three steps with one gate.
pub(crate) fn plan(rng: &mut Rng, routing: Option<Routing>) -> Plan {
    let unknown = UnknownPolicy {
        then: Then::Hold,
        consecutive_limit: 2,
        deadline: Duration::from_mins(1),
    };
    let errors = GatePolicy {
        name: "errors".to_owned(),
        interval: Duration::from_secs(3),
        initial_delay: Duration::ZERO,
        success_count: 1,
        failure_limit: 0,
        on_no_data: unknown,
        on_error: unknown,
        mode: Mode::Enforce,
        method: Method::Readings,
    };
    let mut percents: Vec<u8> = (0..rng.usize(1..=3)).map(|_| rng.u8(1..=100)).collect();
    percents.sort_unstable();
    let mirror = (rng.u8(0..6) == 0).then(|| rng.u8(1..=100));
    Plan {
        steps: percents
            .into_iter()
            .map(|percent| Step {
                end: End::Time,
                share: Share::ReplicasPercent(percent),
                split: routing.as_ref().map(|_| Split {
                    mirror_percent: mirror,
                    ..Split::share(if rng.u8(0..6) == 0 { 0 } else { percent })
                }),
                hold: Duration::from_secs(rng.u64(0..10)),
                approval: Approval::NotRequired,
                gates: Vec::new(),
            })
            .collect(),
        gates: vec![errors],
        bake: Duration::from_secs(rng.u64(0..20)),
        progress_deadline: Duration::from_secs(rng.u64(60..120)),
        routing,
        doubts: Vec::new(),
    }
}
