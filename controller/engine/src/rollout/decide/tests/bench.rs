//! The cluster of the tests.

use super::*;
use crate::invariant::{self, Case};

/// A cluster with one Deployment, in which every effect works at once.
pub(super) struct Bench {
    pub(super) plan: std::result::Result<Plan, String>,
    pub(super) status: RolloutStatus,
    pub(super) seen: Observed,
    pub(super) now: Timestamp,
    pub(super) versions: u64,
    pub(super) events: Vec<String>,
}

impl Bench {
    /// A workload of ten pods that runs `v1`, settled and adopted.
    pub(super) fn healthy() -> Self {
        let mut bench = Self::new();
        bench.settle();
        assert_eq!(bench.status.phase, Phase::Healthy);
        bench
    }

    pub(super) fn new() -> Self {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let deployment = Deployment {
            kind: Kind::Deployment,
            uid: "deployment".to_owned(),
            resource_version: "1".to_owned(),
            generation: 1,
            observed_generation: 1,
            labelled: false,
            paused: false,
            partition: 0,
            max_unavailable: 0,
            replicas: 10,
            template: template("v1"),
            recreate: false,
            revision_history_limit: 10,
            total_replicas: 10,
            updated_replicas: 10,
            ready_replicas: 10,
            available_replicas: 10,
            problem: None,
        };
        let mut bench = Self {
            plan: Ok(plan()),
            status: RolloutStatus::default(),
            seen: Observed {
                generation: 1,
                lifecycle: Lifecycle::Live,
                workload: Workload::Deployment(deployment),
                sets: Vec::new(),
                readings: Vec::new(),
                actions: Vec::new(),
                group: Group::Alone,
                traffic: crate::traffic::Seen::default(),
                config: Config::AsIs,
                hold: Hold::Admission,
                acting_since: start,
            },
            now: start,
            versions: 1,
            events: Vec::new(),
        };
        bench.add_set("v1", Owner::Deployment, "native1", 10);
        bench
    }

    pub(super) fn deployment(&mut self) -> &mut Deployment {
        match &mut self.seen.workload {
            Workload::Deployment(deployment) => deployment,
            other => panic!("no Deployment: {other:?}"),
        }
    }

    pub(super) fn add_set(&mut self, version: &str, owner: Owner, hash: &str, pods: i32) {
        self.seen.sets.push(ReplicaSet {
            name: format!("app-{hash}"),
            uid: format!("uid-{hash}"),
            resource_version: "1".to_owned(),
            owner,
            template: template(version),
            hash: hash.to_owned(),
            desired: pods,
            total: pods,
            ready: pods,
            available: pods,
            terminating: false,
            problem: None,
            pods: Vec::new(),
        });
    }

    pub(super) fn set(&mut self, version: &str) -> &mut ReplicaSet {
        let digest = template(version).digest;
        self.seen
            .sets
            .iter_mut()
            .find(|set| set.template.digest == digest)
            .unwrap_or_else(|| panic!("no ReplicaSet of {version}"))
    }

    pub(super) fn pods(&self, version: &str) -> i32 {
        let digest = template(version).digest;
        let set = self
            .seen
            .sets
            .iter()
            .find(|set| set.template.digest == digest);
        set.expect("a ReplicaSet of this version").desired
    }

    pub(super) fn asked(&self) -> &str {
        match &self.seen.workload {
            Workload::Deployment(deployment) => &deployment.template.version,
            other => panic!("no Deployment: {other:?}"),
        }
    }

    pub(super) fn has_set(&self, version: &str) -> bool {
        let digest = template(version).digest;
        self.seen
            .sets
            .iter()
            .any(|set| set.template.digest == digest)
    }

    /// Somebody applies a template; the admission policy pauses the Deployment with it.
    pub(super) fn apply(&mut self, version: &str) {
        let paused = self.seen.hold == Hold::Admission || self.deployment().paused;
        let deployment = self.deployment();
        deployment.template = template(version);
        deployment.paused = paused;
        self.touch();
    }

    pub(super) fn touch(&mut self) {
        self.versions += 1;
        let version = self.versions.to_string();
        let deployment = self.deployment();
        deployment.resource_version = version;
        deployment.generation += 1;
        deployment.observed_generation = deployment.generation;
    }

    pub(super) fn after(&mut self, seconds: i64) -> &mut Self {
        self.now += SignedDuration::from_secs(seconds);
        self
    }

    pub(super) fn act(&mut self, verb: Verb) -> &mut Self {
        let uid = format!(
            "act-{}",
            self.status.actions.len() + self.seen.actions.len()
        );
        self.seen.actions.push(Request {
            name: uid.clone(),
            uid,
            verb,
            actor: "sre@example.com".to_owned(),
            version: None,
            reason: None,
            created_at: self.now,
        });
        self
    }

    pub(super) fn measure(&mut self, gate: &str, result: Result) -> &mut Self {
        self.seen
            .readings
            .push(Reading::new(gate, self.now, result));
        self
    }

    pub(super) fn pass(&mut self) -> &mut Self {
        self.measure(
            "errors",
            Result::Pass {
                value: "0.1".to_owned(),
            },
        )
    }

    pub(super) fn fail(&mut self) -> &mut Self {
        self.measure(
            "errors",
            Result::Fail {
                value: "9".to_owned(),
                why: "9 is above 5".to_owned(),
            },
        )
    }

    /// Decides once, checks that the decision is a fixed point, and takes its status over.
    pub(super) fn decide(&mut self) -> Decision {
        let plan = self.plan.as_ref().map_err(String::as_str);
        let decision = decide(plan, &self.status, &self.seen, self.now);
        let again = decide(plan, &decision.status, &self.seen, self.now);
        assert_eq!(
            again.status, decision.status,
            "a decision must be a fixed point"
        );
        assert!(
            again.events.is_empty(),
            "a settled decision has no news: {:?}",
            again.events
        );
        let broken = invariant::broken(Case {
            plan,
            before: &self.status,
            observed: &self.seen,
            now: self.now,
            decision: &decision,
        });
        assert!(broken.is_empty(), "{broken:?}");
        let on_trial = |status: &RolloutStatus| status.candidate.as_ref().map(|c| c.started_at);
        if on_trial(&self.status) != on_trial(&decision.status) {
            self.seen.readings.clear();
        }
        self.status = decision.status.clone();
        self.events
            .extend(decision.events.iter().map(|event| event.reason.clone()));
        decision
    }

    /// Decides and carries the effects out until there is nothing more to do at this moment.
    pub(super) fn settle(&mut self) -> &mut Self {
        for _ in 0..30 {
            let before = self.status.clone();
            let decision = self.decide();
            if decision.effects.is_empty() && before == self.status {
                return self;
            }
            for effect in &decision.effects {
                self.carry_out(effect);
            }
            self.roll();
            self.follow_endpoints();
        }
        panic!("never settles: {:?}", self.status)
    }

    pub(super) fn carry_out(&mut self, effect: &Effect) {
        self.touch();
        match effect {
            Effect::Adopt => self.deployment().labelled = true,
            Effect::Pause { .. } => self.deployment().paused = true,
            Effect::Resume { digest, .. } => {
                assert_eq!(*digest, self.deployment().template.digest);
                self.deployment().paused = false;
            }
            Effect::CreateCandidate { hash, replicas, .. } => {
                let template = self.deployment().template.clone();
                self.add_set(&template.version, Owner::Rollout, hash, *replicas);
                self.named(&format!("app-{hash}")).template = template;
            }
            Effect::ScaleCandidate { name, replicas, .. } => {
                let set = self.named(name);
                assert_eq!(set.owner, Owner::Rollout);
                (set.desired, set.total, set.ready, set.available) =
                    (*replicas, *replicas, *replicas, *replicas);
            }
            Effect::RemoveCandidate { name, .. } => {
                assert_eq!(self.named(name).owner, Owner::Rollout);
                self.seen.sets.retain(|set| set.name != *name);
            }
            Effect::HandOver { name, .. } => self.named(name).owner = Owner::Deployment,
            Effect::TakeBack { name, .. } => self.named(name).owner = Owner::Rollout,
            Effect::RestoreTemplate { hash, .. } => {
                let template = self
                    .seen
                    .sets
                    .iter()
                    .find(|set| set.hash == *hash)
                    .unwrap()
                    .template
                    .clone();
                let deployment = self.deployment();
                deployment.template = template;
                deployment.paused = false;
            }
            Effect::MovePartition { .. } | Effect::RemovePod { .. } => {
                panic!("not for a Deployment: {effect:?}")
            }
            Effect::Acknowledge(receipt) => self
                .seen
                .actions
                .retain(|request| request.uid != receipt.uid),
            Effect::LetGo { resume, .. } => {
                let deployment = self.deployment();
                deployment.labelled = false;
                deployment.paused &= !resume;
            }
            Effect::Finish => {}
            Effect::Stamp { stamp, .. } => {
                let deployment = self.deployment();
                deployment.template = stamped(&deployment.template.version, stamp.clone());
                deployment.paused = true;
            }
            Effect::StampSet { name, stamp, .. } => {
                assert!(
                    self.deployment().paused,
                    "{effect:?} under a running workload"
                );
                let set = self.named(name);
                set.template = stamped(&set.template.version, stamp.clone());
            }
            Effect::SweepConfig { .. } => self.swept(),
            Effect::RemakeCopy { name, hash, .. } => self.remade(name, hash),
            Effect::EnsureService { .. }
            | Effect::RemoveService { .. }
            | Effect::PinService { .. }
            | Effect::UnpinService { .. }
            | Effect::SetRoute { .. }
            | Effect::SendRouteHome { .. } => self.carry_out_traffic(effect),
        }
        self.follow_endpoints();
    }

    pub(super) fn named(&mut self, name: &str) -> &mut ReplicaSet {
        self.seen
            .sets
            .iter_mut()
            .find(|set| set.name == name)
            .unwrap()
    }

    /// The Deployment controller at work, in one go: un-paused everything becomes the template's, paused the only active
    /// ReplicaSet follows the replicas.
    pub(super) fn roll(&mut self) {
        let Deployment {
            paused,
            replicas,
            template,
            ..
        } = self.deployment().clone();
        let native = |set: &&mut ReplicaSet| set.owner == Owner::Deployment;
        if !paused
            && !self
                .seen
                .sets
                .iter()
                .any(|set| set.owner == Owner::Deployment && set.template == template)
        {
            let hash = format!("native-{}", template.digest.short());
            self.add_set(&template.version, Owner::Deployment, &hash, 0);
            self.named(&format!("app-{hash}")).template = template.clone();
        }
        let active = self
            .seen
            .sets
            .iter_mut()
            .filter(native)
            .filter(|set| set.desired > 0)
            .count();
        for set in self.seen.sets.iter_mut().filter(native) {
            let pods = match (paused, set.template == template) {
                (false, true) => replicas,
                (false, false) => 0,
                (true, _) if active == 1 && set.desired > 0 => replicas,
                (true, _) => set.desired,
            };
            (set.desired, set.total, set.ready, set.available) = (pods, pods, pods, pods);
        }
        let total = self
            .seen
            .sets
            .iter_mut()
            .filter(native)
            .map(|set| set.total)
            .sum();
        let updated = self
            .seen
            .sets
            .iter_mut()
            .filter(native)
            .filter(|set| set.template == template)
            .map(|set| set.total)
            .sum();
        let deployment = self.deployment();
        deployment.total_replicas = total;
        deployment.updated_replicas = updated;
        deployment.ready_replicas = total;
        deployment.available_replicas = total;
    }

    pub(super) fn waits_for(&self) -> &str {
        self.status
            .waiting_for
            .as_ref()
            .map_or("", |waiting| waiting.reason.as_str())
    }

    pub(super) fn stable(&self) -> &str {
        self.status
            .stable
            .as_ref()
            .map_or("", |stable| stable.version.as_str())
    }

    /// Brings `version` through its whole canary and bake.
    pub(super) fn promote(&mut self, version: &str) -> &mut Self {
        self.apply(version);
        self.settle();
        for _ in 0..4 {
            self.after(121).pass().settle();
        }
        assert_eq!(
            (self.status.phase, self.stable()),
            (Phase::Healthy, version)
        );
        self
    }
}
