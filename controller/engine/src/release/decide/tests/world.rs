//! A world that carries out a Release's effects: a cluster of object names, an inventory, kept renders, and a memory that a
//! restart takes away. Content `x` consists of the objects `common` and `own-x`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{
    action::{Request, Verb},
    digest::Digest,
    gate::Reading,
    health::Health,
    release::{
        Effect, Observed, Plan, ReleaseStatus,
        budget::Budget,
        cluster::Reached,
        composition::{Composition, Peers},
        decide::decide,
        observed::{
            Altered, Applied, Asked, Contest, Drift, Fault, Inventory, Lifecycle, ObjectHealth,
            ObjectKey, ObjectsHealth, Pending, RolloutView, Task, Trouble,
        },
        plan::{DriftMode, Promotion, Prune, Suspension},
        promotion::Looked,
        publish::Publication,
        requested::LookRequest,
        status::{Content, Phase, Workload},
    },
};

/// Digests of all content that there is, by name.
static DIGESTS: LazyLock<BTreeMap<String, Digest>> = LazyLock::new(|| {
    ('a'..='f')
        .map(|name| (name.to_string(), Digest::of(&json!(name))))
        .collect()
});

pub(super) fn content(name: &str) -> Content {
    Content::new(
        DIGESTS.get(name).cloned().unwrap(),
        format!("main@sha1:{name}"),
        None,
    )
}

pub(super) fn object(name: &str) -> ObjectKey {
    ObjectKey {
        group: String::new(),
        kind: "ConfigMap".into(),
        namespace: Some("shop".into()),
        name: name.into(),
    }
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) plan_error: Option<String>,
    pub(super) status: ReleaseStatus,
    pub(super) now: Timestamp,
    pub(super) lifecycle: Lifecycle,
    pub(super) reached: Reached,
    pub(super) asked: Asked,
    pub(super) look: LookRequest,
    pub(super) acting_since: Timestamp,
    /// Objects in the cluster.
    pub(super) cluster: BTreeSet<String>,
    pub(super) inventory: BTreeSet<String>,
    pub(super) covered: Vec<Digest>,
    pub(super) renders: Vec<Digest>,
    /// Content whose objects fail once everything is `healthy`.
    pub(super) bad: BTreeSet<String>,
    pub(super) healthy: bool,
    /// Content that is applied in waves, and what its next wave waits for.
    pub(super) waves: BTreeMap<String, String>,
    pub(super) stuck: bool,
    pub(super) workloads: Vec<Workload>,
    pub(super) rollouts: Vec<RolloutView>,
    pub(super) readings: Vec<Reading>,
    pub(super) actions: Vec<Request>,
    pub(super) log: Vec<String>,
    pub(super) finished: bool,
    pub(super) revision: u64,
    /// Content that ever passed a rehearsal.
    pub(super) accepted: BTreeSet<String>,
    pub(super) refusals: BTreeMap<String, (Fault, String)>,
    pub(super) drift: Vec<Drift>,
    pub(super) rehearsed: Option<Digest>,
    pub(super) altered: Vec<Altered>,
    pub(super) unwatched: Option<String>,
    pub(super) peers: Peers,
    pub(super) looked: Option<Looked>,
    pub(super) publication: Option<Publication>,
    /// Why the Git server takes nothing, if so.
    pub(super) push_failure: Option<String>,
    /// What somebody else publishes after everything of ours.
    pub(super) somebody_published: Option<String>,
    pub(super) generation: i64,
    pub(super) applied: Option<Applied>,
    pub(super) troubles: Vec<Trouble>,
}

impl Default for World {
    fn default() -> Self {
        let now = Timestamp::from_second(1_000_000).unwrap();
        Self {
            plan: Plan {
                promotion: Promotion::Separate,
                gates: Vec::new(),
                timeout: Duration::from_mins(15),
                prune: Prune::Delete,
                prune_budget: Budget {
                    objects: 10,
                    percent: 20,
                },
                drift: DriftMode::Correct,
                history: 3,
                quarantine_ends_after: None,
                suspension: Suspension::Active,
                composition: Composition::default(),
                doubts: Vec::new(),
            },
            plan_error: None,
            status: ReleaseStatus::default(),
            now,
            lifecycle: Lifecycle::Live,
            reached: Reached::Home,
            asked: Asked::Unknown,
            look: LookRequest::None,
            acting_since: now,
            cluster: BTreeSet::new(),
            inventory: BTreeSet::new(),
            covered: Vec::new(),
            renders: Vec::new(),
            bad: BTreeSet::new(),
            healthy: true,
            waves: BTreeMap::new(),
            stuck: false,
            workloads: Vec::new(),
            rollouts: Vec::new(),
            readings: Vec::new(),
            actions: Vec::new(),
            log: Vec::new(),
            finished: false,
            revision: 0,
            accepted: BTreeSet::new(),
            refusals: BTreeMap::new(),
            drift: Vec::new(),
            rehearsed: None,
            altered: Vec::new(),
            unwatched: None,
            peers: Peers::default(),
            looked: None,
            publication: None,
            push_failure: None,
            somebody_published: None,
            generation: 1,
            applied: None,
            troubles: Vec::new(),
        }
    }
}

impl World {
    pub(super) fn verified(name: &str) -> Self {
        let mut world = Self::default();
        world.ask(name);
        world.settle();
        assert_eq!(world.status.phase, Phase::Verified);
        world.log.clear();
        world
    }

    pub(super) fn ask(&mut self, name: &str) {
        self.asked = Asked::Content(content(name));
    }

    pub(super) fn refuse(&mut self, name: &str, fault: Fault, message: &str) {
        self.refusals.insert(name.into(), (fault, message.into()));
    }

    pub(super) fn accept(&mut self, name: &str) {
        self.refusals.remove(name);
    }

    pub(super) fn has(&self, object: &str) -> bool {
        self.cluster.contains(object)
    }

    pub(super) fn drift(&mut self, name: &str, contest: Contest) {
        self.drift = vec![Drift {
            object: object(name),
            message: "changed by kubectl-edit".into(),
            contest,
        }];
    }

    pub(super) fn act(&mut self, verb: Verb) {
        let number = self.revision;
        self.revision += 1;
        self.actions.push(Request {
            uid: format!("uid-{number}"),
            name: format!("act-{number}"),
            verb,
            actor: "jane".into(),
            version: None,
            reason: None,
            created_at: self.now,
        });
    }

    pub(super) fn after(&self, seconds: i64) -> Timestamp {
        self.now + SignedDuration::from_secs(seconds)
    }

    pub(super) fn pass_time(&mut self, seconds: i64) {
        self.now = self.after(seconds);
    }

    /// The process ends and another one starts: all memory is lost.
    pub(super) fn restart(&mut self) {
        self.rehearsed = None;
        self.looked = None;
        self.publication = None;
        self.applied = None;
        self.troubles.clear();
        self.readings.clear();
        self.acting_since = self.now;
    }

    pub(super) fn observed(&self) -> Observed {
        Observed {
            generation: self.generation,
            lifecycle: self.lifecycle,
            cluster: self.reached.clone(),
            asked: self.asked.clone(),
            look: self.look.clone(),
            rehearsed: self.rehearsed.clone(),
            applied: self.applied.clone(),
            inventory: Inventory {
                contents: self.covered.clone(),
                leftovers: self.leftovers(),
                doomed: self.doomed(),
                objects: self.inventory.len(),
            },
            renders: self.renders.clone(),
            health: self.health(),
            rollouts: self.rollouts.clone(),
            drift: self.drift.clone(),
            altered: self.altered.clone(),
            unwatched: self.unwatched.clone(),
            troubles: self.troubles.clone(),
            readings: self.readings.clone(),
            actions: self.actions.clone(),
            looked: self.looked.clone(),
            publication: self.publication.clone(),
            peers: self.peers.clone(),
            acting_since: self.acting_since,
        }
    }

    fn leftovers(&self) -> Vec<Pending> {
        if !self.stuck {
            return Vec::new();
        }
        self.inventory
            .iter()
            .map(|name| Pending {
                object: object(name),
                message: "waits for finalizer example.com/x".into(),
            })
            .collect()
    }

    fn doomed(&self) -> Vec<ObjectKey> {
        let Some(target) = &self.status.target else {
            return Vec::new();
        };
        let kept = objects(&Self::name(&target.content));
        let surplus = self.inventory.iter().filter(|name| !kept.contains(name));
        surplus.map(|name| object(name)).collect()
    }

    fn health(&self) -> Option<ObjectsHealth> {
        let digest = self.status.target.as_ref()?.content.digest.clone();
        let is_bad = self.bad.iter().any(|bad| content(bad).digest == digest);
        let health = match (self.healthy, is_bad) {
            (false, _) => Some(Health::InProgress {
                message: "on its way".into(),
            }),
            (true, true) => Some(Health::Failed {
                message: "crashes".into(),
            }),
            (true, false) => None,
        };
        let unhealthy = health
            .into_iter()
            .map(|health| ObjectHealth {
                object: object("common"),
                health,
            })
            .collect();
        Some(ObjectsHealth { digest, unhealthy })
    }

    /// One pass: decide, write the status, carry out the effects. Gives the time to wake at.
    pub(super) fn step(&mut self) -> Option<Timestamp> {
        self.step_with(|_, _| true)
    }

    /// One pass in which `works` says whether each effect is reached; the first that is not ends the pass.
    pub(super) fn step_with(
        &mut self,
        mut works: impl FnMut(&Self, &Effect) -> bool,
    ) -> Option<Timestamp> {
        let error = self.plan_error.clone();
        let plan = match &error {
            Some(why) => Err(why.as_str()),
            None => Ok(&self.plan),
        };
        let observed = self.observed();
        let decision = decide(plan, &self.status, &observed, self.now);
        let again = decide(plan, &decision.status, &observed, self.now);
        if self.actions.is_empty() {
            assert_eq!(
                again.status, decision.status,
                "a decision must be a fixed point of itself"
            );
        }
        self.status = decision.status;
        for effect in &decision.effects {
            if !works(self, effect) {
                break;
            }
            if !self.carry_out(effect) {
                break;
            }
        }
        decision.wake_at
    }

    /// Passes until nothing changes any more.
    pub(super) fn settle(&mut self) {
        for _ in 0..50 {
            let before = (self.status.clone(), self.log.len());
            self.step();
            if before == (self.status.clone(), self.log.len()) {
                return;
            }
        }
        panic!("does not settle: {:#?}\n{:?}", self.status, self.log);
    }

    fn carry_out(&mut self, effect: &Effect) -> bool {
        match effect {
            Effect::LookAt { commit } => {
                self.log.push(format!("look at {commit}"));
                self.looked = Some(Looked {
                    asked: Asked::Content(content(commit)),
                    commit: commit.clone(),
                });
            }
            Effect::Rehearse { content } => {
                let name = Self::name(content);
                self.log.push(format!("rehearse {name}"));
                self.troubles.retain(|t| t.task != Task::Rehearse);
                if let Some((fault, message)) = self.refusals.get(&name).cloned() {
                    self.trouble(Task::Rehearse, content, fault, message);
                    return false;
                }
                self.accepted.insert(name);
                self.rehearsed = Some(content.digest.clone());
            }
            Effect::RecordInventory { content } => {
                let name = Self::name(content);
                self.log.push(format!("record {name}"));
                self.inventory.extend(objects(&name));
                self.covered.push(content.digest.clone());
            }
            Effect::Apply {
                content, attempt, ..
            } => {
                let name = Self::name(content);
                self.log.push(format!("apply {name}"));
                for object in objects(&name) {
                    assert!(
                        self.inventory.contains(&object),
                        "{object} is not in the inventory"
                    );
                    self.cluster.insert(object);
                }
                self.troubles.retain(|t| t.task != Task::Apply);
                if let Some(why) = self.waves.get(&name).cloned() {
                    self.trouble(Task::Apply, content, Fault::Waiting, why);
                    return false;
                }
                self.applied = Some(Applied {
                    attempt: *attempt,
                    digest: content.digest.clone(),
                    workloads: self.workloads.clone(),
                });
            }
            Effect::StoreRender { content } => {
                let name = Self::name(content);
                self.log.push(format!("store {name}"));
                self.renders.push(content.digest.clone());
            }
            Effect::DropRenders { keep } => self.renders.retain(|digest| keep.contains(digest)),
            Effect::Prune { content, .. } => self.prune(content),
            Effect::Correct { objects, .. } => {
                for object in objects {
                    self.log.push(format!("correct {}", object.name));
                }
                self.drift.clear();
            }
            Effect::RetryRollout { name, digest, .. } => {
                self.log
                    .push(format!("retry rollout {name} of {}", digest.short()));
            }
            Effect::Publish {
                reference,
                commit,
                ours,
            } => return self.publish(reference, commit, ours.as_deref()),
            Effect::Acknowledge(receipt) => self.actions.retain(|action| action.uid != receipt.uid),
            Effect::Forgive => self.troubles.clear(),
            Effect::Abandon { policy } => {
                self.log.push(format!("abandon {policy:?}"));
                if self.stuck {
                    self.troubles.push(Trouble {
                        task: Task::Abandon,
                        digest: None,
                        fault: Fault::Passing,
                        message: "waits".into(),
                        retry_at: self.after(10),
                    });
                    return false;
                }
                self.inventory.clear();
                self.cluster.clear();
            }
            Effect::Finish => {
                if !self.finished {
                    self.log.push("finish".into());
                }
                self.finished = true;
            }
        }
        true
    }

    fn prune(&mut self, content: &Content) {
        let name = Self::name(content);
        self.log.push(format!("prune to {name}"));
        let keep: BTreeSet<String> = objects(&name).into();
        self.cluster.retain(|object| keep.contains(object));
        self.inventory = keep;
        self.covered = vec![content.digest.clone()];
    }

    pub(super) fn trouble(&mut self, task: Task, content: &Content, fault: Fault, message: String) {
        self.troubles.push(Trouble {
            task,
            digest: Some(content.digest.clone()),
            fault,
            message,
            retry_at: self.after(10),
        });
    }

    pub(super) fn name(wanted: &Content) -> String {
        let (name, _) = DIGESTS
            .iter()
            .find(|(_, digest)| **digest == wanted.digest)
            .unwrap();
        name.clone()
    }
}

pub(super) fn objects(name: &str) -> [String; 2] {
    ["common".to_owned(), format!("own-{name}")]
}
