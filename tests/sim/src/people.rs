//! Everybody else: people, GitOps tools, autoscalers, nodes and outages.

use belay_engine::{
    action::{Request, Verb},
    rollout::observed::{Group, Hold},
};

use crate::{
    plans,
    world::{CONTENTS, World},
};

const VERBS: [Verb; 8] = [
    Verb::Approve,
    Verb::Promote,
    Verb::Skip,
    Verb::Pause,
    Verb::Resume,
    Verb::Abort,
    Verb::Retry,
    Verb::Undo,
];

impl World {
    pub(crate) fn chance(&mut self, percent: u8) -> bool {
        percent >= 100 || self.rng.u8(0..100) < percent
    }

    /// The world moves on a little, at a moment that is bad for the controller.
    pub(crate) fn stir(&mut self) {
        if self.chance(15) {
            self.sync_deployment();
        }
        if self.chance(10) {
            self.tend_all();
        }
        if self.chance(4) {
            self.somebody_acts();
        }
    }

    pub(crate) fn somebody_acts(&mut self) {
        match self.rng.u8(0..100) {
            0..=9 if self.config.is_some() => self.configure_any(),
            0..=29 => self.apply_any(),
            30..=37 => self.apply_known(),
            38..=49 => self.scale_to_any(),
            50..=57 => self.lose_any_pods(),
            58..=79 => self.ask(),
            80..=84 => self.edit_plan(),
            85..=86 => self.prometheus_up = !self.prometheus_up,
            89..=91 => self.regroup(),
            87..=88 if self.spice.routed => self.disturb_traffic(),
            92..=93 if self.chance(30) => {
                self.rollout.deleting = true;
                self.rollout.version += 1;
                self.tell(|_| "somebody: deletes the Rollout".to_owned());
            }
            94..=99 if self.spice.bypass => self.go_past_the_hold(),
            _ => {}
        }
    }

    fn apply_any(&mut self) {
        let content = self.rng.usize(0..CONTENTS);
        self.apply(content);
    }

    /// Applies content with a history: the stable one, or one that was rejected.
    fn apply_known(&mut self) {
        let status = &self.rollout.status;
        let known: Vec<_> = status
            .stable
            .iter()
            .map(|stable| stable.digest.clone())
            .chain(status.quarantine.iter().map(|entry| entry.digest.clone()))
            .chain(status.verified.iter().map(|version| version.digest.clone()))
            .collect();
        if let Some(content) = self
            .rng
            .choice(known)
            .and_then(|digest| self.content_of(&digest))
        {
            self.apply(content);
        }
    }

    /// Somebody applies a template; the admission policy pauses the labelled workload with every change.
    pub(crate) fn apply(&mut self, content: usize) {
        let content = self.as_applied(content);
        let template = self.template(content);
        let held = self.hold == Hold::Admission && self.policy_in_force;
        let Some(workload) = &mut self.workload else {
            return;
        };
        if workload.content == content {
            return;
        }
        workload.content = content;
        workload.shown.template = template;
        workload.shown.paused |= held && workload.shown.labelled;
        self.tell(|world| {
            let content = world.contents.get(content);
            format!("somebody: applies {content:?}")
        });
        self.changed_spec();
    }

    /// What becomes of a template that is applied: most tools leave the stamp that they don't know, and some take it away.
    fn as_applied(&mut self, content: usize) -> usize {
        let workload = self.workload.as_ref();
        let stamp = workload.and_then(|workload| workload.shown.template.stamp.clone());
        match stamp {
            Some(stamp) if self.chance(80) => self.variant(content, Some(&stamp)),
            _ => content,
        }
    }

    fn scale_to_any(&mut self) {
        let least = i32::from(!self.spice.sleep);
        let replicas = if self.spice.sleep && self.rng.bool() {
            0
        } else {
            self.rng.i32(least..=10)
        };
        self.scale_to(replicas);
    }

    pub(crate) fn scale_to(&mut self, replicas: i32) {
        let Some(workload) = &mut self.workload else {
            return;
        };
        workload.shown.replicas = replicas;
        self.tell(|_| format!("somebody: scales to {replicas}"));
        self.changed_spec();
    }

    fn lose_any_pods(&mut self) {
        let names: Vec<String> = self.sets.keys().cloned().collect();
        if let Some(name) = self.rng.choice(names) {
            self.tell(|_| format!("a node with pods of {name} is lost"));
            self.lose_pods(&name);
        }
    }

    fn ask(&mut self) {
        let verb = self.rng.choice(VERBS).unwrap_or(Verb::Resume);
        self.ask_for(verb, None);
    }

    pub(crate) fn ask_for(&mut self, verb: Verb, version: Option<String>) {
        let uid = self.unique("act");
        self.tell(|_| format!("somebody: asks to {}", verb.rbac_verb()));
        let request = Request {
            uid: uid.clone(),
            name: uid.clone(),
            verb,
            actor: "sre".to_owned(),
            version,
            reason: None,
            created_at: self.time(),
        };
        self.actions.insert(uid, request);
    }

    fn edit_plan(&mut self) {
        self.plan = match self.rng.u8(0..3) {
            0 => Err("a template of a gate is missing".to_owned()),
            1 => Ok(plans::plan(&mut self.rng, self.spice.routed)),
            _ => Ok(self.good_plan.clone()),
        };
        self.rollout.version += 1;
        self.tell(|world| format!("somebody: edits the plan: {:?}", world.plan));
    }

    fn regroup(&mut self) {
        self.group = match self.rng.u8(0..3) {
            0 => Group::Waiting {
                message: "another Rollout is not verified yet".to_owned(),
            },
            1 => Group::Go,
            _ => Group::Alone,
        };
    }

    fn go_past_the_hold(&mut self) {
        match self.rng.u8(0..5) {
            0 => self.policy_in_force = !self.policy_in_force,
            1 => {
                self.tell(|_| "somebody: resumes the workload by break-glass".to_owned());
                self.pause(false);
            }
            2 => {
                self.tell(|_| "somebody: pauses the workload".to_owned());
                self.pause(true);
            }
            3 => {
                if let Some(workload) = &mut self.workload {
                    workload.shown.labelled = false;
                }
                self.changed_spec();
            }
            _ => self.make_anew(),
        }
    }

    /// The workload is deleted with its ReplicaSets, and perhaps made anew.
    fn make_anew(&mut self) {
        self.tell(|_| "somebody: deletes the workload".to_owned());
        self.workload = None;
        self.sets
            .retain(|_, set| set.shown.owner == belay_engine::rollout::observed::Owner::Rollout);
        if self.rng.bool() {
            self.make_any();
        }
    }

    pub(crate) fn make_any(&mut self) {
        let content = self.rng.usize(0..CONTENTS);
        let replicas = self.rng.i32(1..=10);
        let surge = self.rng.i32(0..=3);
        self.tell(|_| format!("somebody: makes the workload anew with {content}"));
        self.make_workload(content, replicas, surge);
    }
}
