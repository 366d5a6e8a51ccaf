//! The true state of the cluster, as its API server has it.

use std::collections::{BTreeMap, BTreeSet};

use belay_engine::{
    action::Request,
    digest::Digest,
    invariant::Broken,
    rollout::{
        Plan, RolloutStatus,
        observed::{Deployment, Group, Hold, Kind, Owner, ReplicaSet, Template},
    },
};
use fastrand::Rng;
use jiff::Timestamp;
use serde_json::json;

use crate::{config::Live, plans, traffic::Roads};

/// How a version behaves.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) template: Template,
    pub(crate) quality: Quality,
    /// Milliseconds until its pods are ready; `None`: never.
    pub(crate) ready_ms: Option<i64>,
}

/// What gates see of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quality {
    Good,
    Bad,
    /// Passes early, and fails when it runs everywhere.
    BadWhenPromoted,
}

#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) id: u64,
    pub(crate) ready_at_ms: Option<i64>,
    pub(crate) ready: bool,
}

/// A ReplicaSet: what the API shows, and what only controllers know.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    pub(crate) shown: ReplicaSet,
    pub(crate) content: usize,
    pub(crate) pods: Vec<Pod>,
    pub(crate) created: u64,
    pub(crate) revision: u64,
    /// The Deployment controller's annotations: replicas and most replicas when it last scaled the set.
    pub(crate) annotated: Option<(i32, i32)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) shown: Deployment,
    pub(crate) content: usize,
    pub(crate) max_surge: i32,
    pub(crate) max_unavailable: i32,
}

#[derive(Clone, Debug)]
pub(crate) struct Rollout {
    pub(crate) version: u64,
    pub(crate) status: RolloutStatus,
    pub(crate) deleting: bool,
    pub(crate) finished: bool,
}

/// What a history may contain beside ordinary changes, faults and acts.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, each on or off"
)]
pub(crate) struct Spice {
    /// The hold may fail: break-glass, a policy that is not in force, a workload that is made anew.
    pub(crate) bypass: bool,
    /// The workload may be scaled to zero.
    pub(crate) sleep: bool,
    /// The controller's clock may jump.
    pub(crate) clock_jumps: bool,
    /// Pods may be limited by a quota.
    pub(crate) quota: bool,
    /// Routers may lead the requests.
    pub(crate) routed: bool,
    /// Configuration goes with the version.
    pub(crate) configured: bool,
}

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) spice: Spice,
    pub(crate) clock_ms: i64,
    pub(crate) contents: Vec<Content>,
    pub(crate) workload: Option<Workload>,
    pub(crate) sets: BTreeMap<String, Set>,
    pub(crate) rollout: Rollout,
    pub(crate) actions: BTreeMap<String, Request>,
    pub(crate) config: Option<Live>,
    pub(crate) roads: Roads,
    pub(crate) plan: Result<Plan, String>,
    pub(crate) good_plan: Plan,
    pub(crate) hold: Hold,
    pub(crate) policy_in_force: bool,
    pub(crate) group: Group,
    pub(crate) prometheus_up: bool,
    pub(crate) quota: Option<i32>,
    pub(crate) counter: u64,
    /// Whether the Deployment controller has nothing to do at this state.
    pub(crate) controller_idle: bool,
    /// Acts that have had a receipt.
    pub(crate) taken_up: BTreeSet<String>,
    /// The candidate's pods when its promotion began.
    pub(crate) canary_pods: Vec<u64>,
    pub(crate) broken: Vec<Broken>,
    pub(crate) story: Option<Vec<String>>,
}

pub(crate) const CONTENTS: usize = 6;
const START_SECOND: i64 = 1_800_000_000;

impl World {
    pub(crate) fn new(mut rng: Rng, spice: Spice, record: bool) -> Self {
        let contents: Vec<Content> = (0..CONTENTS)
            .map(|index| content(&mut rng, index))
            .collect();
        let good_plan = plans::plan(&mut rng, spice.routed);
        let hold = if rng.u8(0..5) == 0 {
            Hold::AlwaysPaused
        } else {
            Hold::Admission
        };
        let replicas = rng.i32(1..=10);
        let max_surge = rng.i32(0..=3);
        let quota = (spice.quota && rng.bool()).then(|| replicas + max_surge + rng.i32(0..=3));
        let mut world = Self {
            spice,
            clock_ms: 0,
            workload: None,
            contents,
            sets: BTreeMap::new(),
            rollout: Rollout {
                version: 1,
                status: RolloutStatus::default(),
                deleting: false,
                finished: false,
            },
            actions: BTreeMap::new(),
            config: spice.configured.then_some(Live::FIRST),
            roads: Roads::new(),
            plan: Ok(good_plan.clone()),
            good_plan,
            hold,
            policy_in_force: true,
            group: Group::Alone,
            prometheus_up: true,
            quota,
            counter: 1,
            controller_idle: false,
            taken_up: BTreeSet::new(),
            canary_pods: Vec::new(),
            broken: Vec::new(),
            story: record.then(Vec::new),
            rng,
        };
        world.make_workload(0, replicas, max_surge);
        world
    }

    pub(crate) fn make_workload(&mut self, content: usize, replicas: i32, max_surge: i32) {
        let uid = self.unique("deployment");
        let max_unavailable = self.rng.i32(0..=2).max(i32::from(max_surge == 0));
        let revision_history_limit = self.rng.i32(1..=4);
        let template = self.template(content);
        let shown = Deployment {
            kind: Kind::Deployment,
            partition: 0,
            max_unavailable: 0,
            uid,
            resource_version: self.fresh_version(),
            generation: 1,
            observed_generation: 0,
            labelled: false,
            paused: false,
            replicas,
            template,
            recreate: false,
            revision_history_limit,
            total_replicas: 0,
            updated_replicas: 0,
            ready_replicas: 0,
            available_replicas: 0,
            problem: None,
        };
        self.workload = Some(Workload {
            shown,
            content,
            max_surge,
            max_unavailable,
        });
        self.controller_idle = false;
    }

    /// Adds a version that nobody has seen yet; gives its index.
    pub(crate) fn new_content(&mut self, quality: Quality) -> usize {
        let index = self.contents.len();
        self.contents.push(Content {
            template: Template::new(Digest::of(&json!(index)), None, format!("app:{index}")),
            quality,
            ready_ms: Some(1_000),
        });
        index
    }

    /// Pods of the ReplicaSet with this hash.
    pub(crate) fn pods_of(&self, hash: &str) -> Vec<u64> {
        let set = self.sets.values().find(|set| set.shown.hash == hash);
        let mut pods: Vec<u64> =
            set.map_or_else(Vec::new, |set| set.pods.iter().map(|pod| pod.id).collect());
        pods.sort_unstable();
        pods
    }

    /// The true time.
    pub(crate) fn time(&self) -> Timestamp {
        at(self.clock_ms)
    }

    pub(crate) fn template(&self, content: usize) -> Template {
        self.contents.get(content).map_or_else(
            || Template::new(Digest::of(&json!(null)), None, String::new()),
            |content| content.template.clone(),
        )
    }

    pub(crate) fn content_of(&self, digest: &Digest) -> Option<usize> {
        self.contents
            .iter()
            .position(|content| content.template.digest == *digest)
    }

    pub(crate) fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(crate) fn unique(&mut self, kind: &str) -> String {
        format!("{kind}-{}", self.count())
    }

    pub(crate) fn fresh_version(&mut self) -> String {
        self.count().to_string()
    }

    /// Records a change of the Deployment's spec.
    pub(crate) fn changed_spec(&mut self) {
        let version = self.fresh_version();
        if let Some(workload) = &mut self.workload {
            workload.shown.generation += 1;
            workload.shown.resource_version = version;
        }
        self.controller_idle = false;
    }

    /// Records a change of a ReplicaSet.
    pub(crate) fn changed_set(&mut self, name: &str) {
        let version = self.fresh_version();
        if let Some(set) = self.sets.get_mut(name) {
            set.shown.resource_version = version;
        }
        self.controller_idle = false;
    }

    pub(crate) fn add_set(&mut self, content: usize, owner: Owner, hash: &str, desired: i32) {
        let name = format!("app-{hash}");
        let uid = self.unique("set");
        let created = self.count();
        let shown = ReplicaSet {
            name: name.clone(),
            uid,
            resource_version: self.fresh_version(),
            owner,
            template: self.template(content),
            hash: hash.to_owned(),
            desired,
            total: 0,
            ready: 0,
            available: 0,
            terminating: false,
            problem: None,
            pods: Vec::new(),
        };
        let set = Set {
            shown,
            content,
            pods: Vec::new(),
            created,
            revision: 0,
            annotated: None,
        };
        self.sets.insert(name, set);
        self.controller_idle = false;
    }

    pub(crate) fn tell(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.story.is_some() {
            let line = format!("{:>8} ms  {}", self.clock_ms, line(self));
            if let Some(story) = &mut self.story {
                story.push(line);
            }
        }
    }

    pub(crate) fn breaks(&mut self, name: &'static str, detail: String) {
        self.tell(|_| format!("BROKEN {name}: {detail}"));
        self.broken.push(Broken { name, detail });
    }
}

/// A time of the simulation.
pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(START_SECOND * 1_000 + ms).unwrap_or(Timestamp::MAX)
}

fn content(rng: &mut Rng, index: usize) -> Content {
    let quality = match rng.u8(0..10) {
        0..=2 => Quality::Bad,
        3 => Quality::BadWhenPromoted,
        _ => Quality::Good,
    };
    // The first version is what runs when Belay comes: it works.
    let never = index > 0 && rng.u8(0..12) == 0;
    let ready_ms = (!never).then(|| rng.i64(0..8_000));
    let quality = if index == 0 { Quality::Good } else { quality };
    Content {
        template: Template::new(Digest::of(&json!(index)), None, format!("app:{index}")),
        quality,
        ready_ms,
    }
}
