//! The true state, as far as it does not depend on the kind of workload: the stored object, the Rollout, time, and the log.
//!
//! What changes in the world goes through [`Core::happens`] or raises the count, for a round without either is how quiet is
//! told. Deliberately absent: pods, which belong to places or to nodes.

use std::fmt::Debug;

use belay_engine::{
    action::{Request, Verb},
    digest::Digest,
    invariant::Broken,
    quarantine,
    rollout::{
        Effect, Guard, Plan, RolloutStatus,
        observed::{Deployment, Hold, Kind, Pod, Template},
        revisions::{Member, Revision},
        status::Phase,
    },
};
use fastrand::Rng;
use jiff::Timestamp;

use super::config::Live;

/// How a version behaves.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) template: Template,
    pub(crate) bad: bool,
    /// Seconds until its pods are ready; `None`: never.
    pub(crate) ready_after: Option<i64>,
}

/// A workload's spec, as the API server has it or as the controller saw it.
pub(crate) trait Spec: Clone + Debug + PartialEq {
    fn generation_mut(&mut self) -> &mut i64;

    /// The content of its template.
    fn content(&self) -> usize;
}

/// A pod, and what is remembered of Belay's deleting it.
#[derive(Clone, Debug)]
pub(crate) struct SimPod<Removed> {
    pub(crate) uid: u64,
    pub(crate) content: usize,
    pub(crate) ready_at: Option<i64>,
    pub(crate) gone_at: Option<i64>,
    pub(crate) removed: Removed,
}

impl<Removed> SimPod<Removed> {
    /// Somebody deletes it: it is gone a second later, whoever deletes it again.
    pub(crate) fn delete(&mut self, now: i64) {
        self.gone_at.get_or_insert(now + 1);
    }
}

/// The workload as a watch shows it.
#[derive(Clone, Debug)]
pub(crate) struct View<S, R> {
    pub(crate) spec: S,
    pub(crate) reported: R,
    version: u64,
    labelled: bool,
}

impl<S, R> View<S, R> {
    /// What decisions look at, without what only one kind of workload has.
    pub(crate) fn deployment(&self, kind: Kind, uid: &str, template: Template) -> Deployment {
        Deployment {
            kind,
            uid: uid.to_owned(),
            resource_version: self.version.to_string(),
            generation: 0,
            observed_generation: 0,
            labelled: self.labelled,
            paused: false,
            partition: 0,
            max_unavailable: 0,
            replicas: 0,
            template,
            recreate: false,
            revision_history_limit: 10,
            total_replicas: 0,
            updated_replicas: 0,
            ready_replicas: 0,
            available_replicas: 0,
            problem: None,
        }
    }
}

pub(crate) struct Core<S, R> {
    pub(crate) rng: Rng,
    pub(crate) seconds: i64,
    /// Rises with everything that happens.
    pub(crate) count: u64,
    pub(crate) contents: Vec<Content>,
    /// How many of them somebody may write; the others are those with a stamp.
    pub(crate) bases: usize,
    pub(super) config: Option<Live>,
    pub(crate) spec: S,
    /// The spec that the controller saw.
    pub(crate) seen: S,
    pub(crate) reported: R,
    version: u64,
    pub(crate) labelled: bool,
    pub(crate) status: RolloutStatus,
    pub(crate) actions: Vec<Request>,
    pub(crate) plan: Plan,
    pub(crate) hold: Hold,
    pub(crate) deleting: bool,
    pub(crate) finished: bool,
    pub(crate) broken: Vec<Broken>,
    pub(crate) story: Vec<String>,
}

impl<S: Spec, R: Clone + PartialEq> Core<S, R> {
    /// A workload that Belay has not met yet.
    pub(crate) fn new(rng: Rng, contents: Vec<Content>, plan: Plan, hold: Hold, spec: S) -> Self
    where
        R: Default,
    {
        Self {
            config: Live::of(&rng, hold),
            rng,
            seconds: 0,
            count: 1,
            bases: contents.len(),
            contents,
            seen: spec.clone(),
            spec,
            reported: R::default(),
            version: 1,
            labelled: false,
            status: RolloutStatus::default(),
            actions: Vec::new(),
            plan,
            hold,
            deleting: false,
            finished: false,
            broken: Vec::new(),
            story: Vec::new(),
        }
    }

    pub(crate) fn time(&self) -> Timestamp {
        const START_SECOND: i64 = 1_800_000_000;
        Timestamp::from_second(START_SECOND + self.seconds).unwrap_or(Timestamp::MAX)
    }

    pub(crate) fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(0..100) < percent
    }

    pub(crate) fn happens(&mut self, what: &str) {
        self.count += 1;
        self.tell(what);
    }

    pub(crate) fn tell(&mut self, what: &str) {
        self.story.push(format!("{:>6} s  {what}", self.seconds));
    }

    pub(crate) fn breaks(&mut self, name: &'static str, detail: String) {
        self.tell(&format!("BROKEN {name}: {detail}"));
        self.broken.push(Broken { name, detail });
    }

    /// The spec changes.
    pub(crate) fn changed(&mut self, what: &str) {
        *self.spec.generation_mut() += 1;
        self.touched(what);
    }

    /// Something else of the workload changes.
    fn touched(&mut self, what: &str) {
        self.version += 1;
        self.happens(&format!("{what}: {:?}", self.spec));
    }

    pub(crate) fn view(&self) -> View<S, R> {
        View {
            spec: self.spec.clone(),
            reported: self.reported.clone(),
            version: self.version,
            labelled: self.labelled,
        }
    }

    /// The newest spec arrives at the controller, perhaps.
    pub(crate) fn see_spec(&mut self, percent: u8) {
        if self.seen != self.spec && self.chance(percent) {
            self.seen = self.spec.clone();
            self.count += 1;
        }
    }

    /// The controller writes the workload's status.
    pub(crate) fn report(&mut self, reported: R)
    where
        R: Debug,
    {
        if reported != self.reported {
            self.version += 1;
            self.happens(&format!("controller: {reported:?}"));
            self.reported = reported;
        }
    }

    /// The controller makes a pod.
    pub(crate) fn make_pod<Removed: Default>(&mut self, content: usize) -> SimPod<Removed> {
        let ready_after = self.content(content).ready_after;
        self.count += 1;
        SimPod {
            uid: self.count,
            content,
            ready_at: ready_after.map(|after| self.seconds + after),
            gone_at: None,
            removed: Removed::default(),
        }
    }

    pub(crate) fn ready<Removed>(&self, pod: &SimPod<Removed>) -> bool {
        pod.ready_at.is_some_and(|at| at <= self.seconds)
    }

    pub(crate) fn serves<Removed>(&self, pod: &SimPod<Removed>) -> bool {
        self.ready(pod) && pod.gone_at.is_none()
    }

    /// When one of these pods changes by time alone.
    pub(crate) fn next_change<'a, Removed: 'a>(
        &self,
        pods: impl Iterator<Item = &'a SimPod<Removed>>,
    ) -> Option<i64> {
        let times = pods.flat_map(|pod| [pod.ready_at, pod.gone_at]);
        times.flatten().filter(|at| *at > self.seconds).min()
    }

    /// The pod as Belay sees it.
    pub(crate) fn member<Removed>(
        &self,
        (app, place): (&str, i32),
        pod: &SimPod<Removed>,
        revision: String,
    ) -> Member {
        Member {
            pod: Pod {
                name: format!("{app}-{place}"),
                uid: pod.uid.to_string(),
                place,
                ready: self.ready(pod),
                available: self.serves(pod),
                terminating: pod.gone_at.is_some(),
            },
            revision,
        }
    }

    pub(crate) fn revisions(&self, name: fn(usize) -> String) -> Vec<Revision> {
        let contents = self.contents.iter().enumerate();
        let revision = |(index, content): (usize, &Content)| Revision {
            name: name(index),
            template: content.template.clone(),
        };
        contents.map(revision).collect()
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "contents are only ever named by their index"
    )]
    pub(crate) fn content(&self, index: usize) -> &Content {
        &self.contents[index]
    }

    pub(crate) fn index(&self, digest: &Digest) -> Option<usize> {
        self.contents
            .iter()
            .position(|content| content.template.digest == *digest)
    }

    pub(crate) fn stable(&self) -> Option<usize> {
        self.index(&self.status.stable.as_ref()?.digest)
    }

    /// The digest of the template that is asked for.
    fn asked(&self) -> &Digest {
        &self.content(self.spec.content()).template.digest
    }

    pub(crate) fn asks_for(&self, digest: &Digest) -> bool {
        self.asked() == digest
    }

    /// Somebody asks for an act on the Rollout.
    pub(crate) fn act(&mut self, verb: Verb) {
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

    /// Somebody deletes the Rollout, which is rare: not much can happen afterwards.
    pub(crate) fn perhaps_delete(&mut self) {
        if self.chance(20) {
            self.deleting = true;
            self.happens("the Rollout is deleted");
        }
    }

    /// Whether the workload still is what Belay wrote this on.
    pub(crate) fn admits(&self, effect: &Effect) -> bool {
        let fresh = |version: &str| self.version.to_string() == version;
        match effect {
            Effect::Pause {
                resource_version, ..
            }
            | Effect::Stamp {
                resource_version, ..
            }
            | Effect::RestoreTemplate {
                resource_version, ..
            }
            | Effect::LetGo {
                resource_version, ..
            } => fresh(resource_version),
            Effect::Resume {
                digest,
                resource_version,
                guard,
            } => self.asks_for(digest) && (*guard == Guard::Template || fresh(resource_version)),
            _ => true,
        }
    }

    /// The API server's side of the effects that are the same for every kind; says whether this was one.
    pub(crate) fn write(&mut self, effect: &Effect) -> bool {
        match effect {
            Effect::Adopt => {
                self.labelled = true;
                self.touched("adopted");
            }
            Effect::Finish => {
                self.finished = true;
                self.happens("finished");
            }
            Effect::Acknowledge(receipt) => {
                self.actions.retain(|act| act.uid != receipt.uid);
                self.count += 1;
            }
            other => {
                self.breaks("fits_the_kind", format!("{other:?}"));
                return false;
            }
        }
        true
    }

    /// Whether the first version that Belay found works: if not, there is nothing good to come back to.
    pub(crate) fn has_good_stable(&self) -> Result<bool, String> {
        self.status.stable.as_ref().ok_or("no stable version")?;
        let content = self.stable().map(|index| self.content(index));
        Ok(content.is_some_and(|content| content.ready_after.is_some()))
    }

    /// Whether a workload that has settled is held.
    pub(crate) fn ends_held(&self) -> Result<bool, String> {
        let waits = self.status.waiting_for.as_ref();
        match (self.status.phase, self.hold) {
            (Phase::Healthy, Hold::Admission) => Ok(false),
            (Phase::Healthy, Hold::AlwaysPaused) | (Phase::Rejected, _) => Ok(true),
            (phase, _) => Err(format!(
                "ended {phase:?}, waiting for {:?}",
                waits.map(|waiting| &waiting.message)
            )),
        }
    }

    /// Whether what is asked for ends as the phase says.
    pub(crate) fn check_asked(&self) -> Result<(), String> {
        let (status, asked) = (&self.status, self.asked());
        let stable = status.stable.as_ref().map(|stable| &stable.digest);
        if status.phase == Phase::Healthy && Some(asked) != stable {
            return Err("healthy with another template than the stable one".to_owned());
        }
        if status.phase == Phase::Rejected && quarantine::find(&status.quarantine, asked).is_none()
        {
            return Err("rejected without a quarantine".to_owned());
        }
        self.check_configured()
    }
}
