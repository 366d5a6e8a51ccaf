//! The shell around `decide`: gathers, decides, writes the status, carries the effects out, measures, and may die anywhere.

use belay_engine::{
    digest::Digest,
    gate::{Reading, Result as Measured},
    invariant::{self, Case},
    rollout::{
        Decision, Effect, Guard, Measure, Observed,
        nodes::{Crew, Daemon, Known},
        observed::{Config, Deployment, Group, Kind, Lifecycle, Pod, Workload},
        revisions::{Member, Revision},
        status::Phase,
    },
    traffic::Seen,
};
use jiff::Timestamp;

use super::{
    Mistake,
    cluster::{Cluster, Reported, Spec},
};
use crate::{Look, production};

/// The DaemonSet as a watch shows it.
#[derive(Clone, Debug)]
struct View {
    spec: Spec,
    reported: Reported,
    version: u64,
    labelled: bool,
}

impl View {
    fn of(cluster: &Cluster) -> Self {
        Self {
            spec: cluster.spec.clone(),
            reported: cluster.reported.clone(),
            version: cluster.version,
            labelled: cluster.labelled,
        }
    }
}

pub(super) struct Shell {
    mistake: Mistake,
    view: View,
    readings: Vec<Reading>,
    measures: Vec<Measure>,
    wake_at: Option<Timestamp>,
    acting_since: Timestamp,
    on_trial: Option<Timestamp>,
}

impl Shell {
    pub(super) fn new(mistake: Mistake, cluster: &Cluster) -> Self {
        Self {
            mistake,
            view: View::of(cluster),
            readings: Vec::new(),
            measures: Vec::new(),
            wake_at: None,
            acting_since: cluster.time(),
            on_trial: None,
        }
    }

    /// What the watch has to tell arrives.
    pub(super) fn look(&mut self, cluster: &Cluster) {
        self.view = View::of(cluster);
    }

    pub(super) fn pass(&mut self, cluster: &mut Cluster, chaos: bool) {
        if cluster.finished {
            return;
        }
        if !chaos || cluster.chance(60) {
            self.look(cluster);
        }
        let started = cluster.status.candidate.as_ref().map(|c| c.started_at);
        if started != self.on_trial {
            self.on_trial = started;
            self.readings.clear();
        }
        let mut observed = self.gather(cluster);
        if let Workload::Deployment(workload) = &mut observed.workload {
            match self.mistake {
                Mistake::DoesNotWaitForTheController => {
                    workload.observed_generation = workload.generation;
                }
                Mistake::AllAtOnce => workload.max_unavailable = i32::MAX,
                _ => {}
            }
        }
        let (plan, now) = (cluster.plan.clone(), cluster.time());
        let before = cluster.status.clone();
        let mut decision = production(Look {
            plan: Ok(&plan),
            status: &before,
            observed: &observed,
            now,
        });
        self.err(&mut decision, &observed);
        for broken in invariant::broken(Case {
            plan: Ok(&plan),
            before: &before,
            observed: &observed,
            now,
            decision: &decision,
        }) {
            cluster.breaks(broken.name, broken.detail);
        }
        self.wake_at = decision.wake_at;
        self.measures.clone_from(&decision.measures);
        if decision.status != before {
            let line = format!(
                "decided: {:?} step {:?} waits for {:?}",
                decision.status.phase,
                decision.status.step_text,
                decision.status.waiting_for.as_ref().map(|w| &w.message)
            );
            cluster.happens(&line);
            cluster.status = decision.status.clone();
        }
        for effect in &decision.effects {
            if chaos && cluster.chance(10) {
                cluster.sync();
            }
            if chaos && cluster.chance(5) {
                cluster.happens("controller of Belay: restarts");
                self.readings.clear();
                self.acting_since = now;
                return;
            }
            let written = write(cluster, effect);
            if !written {
                return;
            }
            if !matches!(effect, Effect::RemovePod { .. } | Effect::Acknowledge(_)) {
                self.look(cluster);
            }
        }
    }

    /// Plants the mistake.
    fn err(&self, decision: &mut Decision, observed: &Observed) {
        let pods = || observed.sets.iter().flat_map(|set| &set.pods);
        match self.mistake {
            Mistake::OutsideTheBatch => {
                let last = pods()
                    .filter(|pod| pod.available)
                    .min_by_key(|pod| pod.place);
                for effect in &mut decision.effects {
                    if let (Effect::RemovePod { uid, .. }, Some(last)) = (effect, last) {
                        uid.clone_from(&last.uid);
                    }
                }
            }
            Mistake::OneNodeTooMany => {
                let goes = |pod: &&Pod| {
                    let uid = pod.uid.clone();
                    decision.effects.iter().any(
                        |effect| matches!(effect, Effect::RemovePod { uid: gone, .. } if *gone == uid),
                    )
                };
                let next = pods().filter(|pod| !goes(pod)).max_by_key(|pod| pod.place);
                if let (Some(next), true) = (next, pods().any(|pod| goes(&pod))) {
                    decision.effects.push(Effect::RemovePod {
                        name: next.name.clone(),
                        uid: next.uid.clone(),
                    });
                }
            }
            Mistake::KeepsTheRejectedTemplate => decision
                .effects
                .retain(|effect| !matches!(effect, Effect::RestoreTemplate { .. })),
            Mistake::None | Mistake::DoesNotWaitForTheController | Mistake::AllAtOnce => {}
        }
    }

    fn gather(&self, cluster: &Cluster) -> Observed {
        let (spec, reported) = (&self.view.spec, &self.view.reported);
        let name = |index: usize| format!("rev{index}");
        let template = cluster.content(spec.content).template.clone();
        let seen = reported.observed_generation == spec.generation;
        let daemon = Daemon {
            held: spec.held,
            desired: reported.desired,
            template: seen.then(|| template.clone()),
            total: reported.total,
            ready: reported.ready,
            available: reported.ready,
            updated: reported.updated,
        };
        let revisions: Vec<Revision> = cluster
            .contents
            .iter()
            .enumerate()
            .map(|(index, content)| Revision {
                name: name(index),
                template: content.template.clone(),
            })
            .collect();
        let members = cluster
            .nodes
            .values()
            .rev()
            .filter_map(|node| node.pod.as_ref());
        let members = members.zip(0..).map(|(pod, place)| {
            let (ready, terminating) = (cluster.ready(pod), pod.gone_at.is_some());
            Member {
                pod: Pod {
                    name: format!("agent-{place}"),
                    uid: pod.uid.to_string(),
                    place,
                    ready,
                    available: ready && !terminating,
                    terminating,
                },
                revision: name(pod.content),
            }
        });
        let crew = (!daemon.is_uniform()).then(|| Crew {
            members: members.collect(),
            nodes_lost: 0,
        });
        let status = &cluster.status;
        let promoted = status
            .candidate
            .as_ref()
            .filter(|_| matches!(status.phase, Phase::Promoting | Phase::Baking));
        let known = Known {
            stable: status.stable.as_ref().map(|stable| stable.hash.as_str()),
            promoted: promoted.map(|candidate| candidate.version.hash.as_str()),
        };
        let mut workload = Deployment {
            kind: Kind::DaemonSet,
            uid: "agent".to_owned(),
            resource_version: self.view.version.to_string(),
            generation: spec.generation,
            observed_generation: reported.observed_generation,
            labelled: self.view.labelled,
            paused: spec.held,
            partition: 0,
            max_unavailable: cluster.budget,
            replicas: 0,
            template,
            recreate: false,
            revision_history_limit: 10,
            total_replicas: 0,
            updated_replicas: 0,
            ready_replicas: 0,
            available_replicas: 0,
            problem: None,
        };
        daemon.count(&mut workload, &revisions, crew.as_ref());
        Observed {
            config: Config::AsIs,
            generation: 1,
            lifecycle: if cluster.deleting {
                Lifecycle::Deleting
            } else {
                Lifecycle::Live
            },
            sets: daemon.sets(&revisions, crew.as_ref(), known),
            workload: Workload::Deployment(workload),
            readings: self.readings.clone(),
            actions: cluster.actions.clone(),
            group: Group::Alone,
            hold: cluster.hold,
            traffic: Seen::default(),
            acting_since: self.acting_since,
        }
    }

    /// Takes the measurements that are due.
    pub(super) fn measure(&mut self, cluster: &mut Cluster) {
        let now = cluster.time();
        let Some(candidate) = &cluster.status.candidate else {
            return;
        };
        let digest = candidate.version.digest.as_str().to_owned();
        let bad = cluster
            .index(&digest)
            .is_some_and(|index| cluster.content(index).bad);
        for measure in self.measures.iter().filter(|measure| measure.due_at <= now) {
            let result = if bad {
                Measured::Fail {
                    value: "9".to_owned(),
                    why: "9 is above 5".to_owned(),
                }
            } else {
                Measured::Pass {
                    value: "1".to_owned(),
                }
            };
            cluster.happens(&format!("measured: {result:?}"));
            self.readings.push(Reading::new(&measure.gate, now, result));
        }
        self.measures.retain(|measure| measure.due_at > now);
    }

    pub(super) fn next_seconds(&self, cluster: &Cluster) -> Option<i64> {
        if cluster.finished {
            return None;
        }
        let due = self.measures.iter().map(|measure| measure.due_at);
        let timers = due.chain(self.wake_at).filter(|at| *at > cluster.time());
        let left = timers.min()?.duration_since(cluster.time());
        Some(cluster.seconds + left.as_secs().max(0) + i64::from(left.subsec_nanos() > 0).max(0))
    }
}

/// The API server's side of an effect; says whether its preconditions held.
fn write(cluster: &mut Cluster, effect: &Effect) -> bool {
    let fresh = |version: &str| cluster.version.to_string() == version;
    let same = |digest: &Digest| cluster.content(cluster.spec.content).template.digest == *digest;
    match effect {
        Effect::Adopt => {
            cluster.labelled = true;
            cluster.touched("adopted");
        }
        Effect::Pause { resource_version } if fresh(resource_version) => {
            cluster.spec.held = true;
            cluster.changed("held");
        }
        Effect::Resume {
            digest,
            resource_version,
            guard,
        } if same(digest) && (*guard == Guard::Template || fresh(resource_version)) => {
            cluster.spec.held = false;
            cluster.changed("let roll");
        }
        Effect::RestoreTemplate {
            digest,
            resource_version,
            ..
        } if fresh(resource_version) => {
            cluster.spec.content = cluster.index(digest.as_str()).unwrap_or(0);
            cluster.spec.held = false;
            cluster.changed("restored");
        }
        Effect::RemovePod { uid, .. } => {
            let uid = uid.parse().unwrap_or_default();
            cluster.check_removal(uid);
            let due = cluster.seconds + 1;
            let candidate = cluster.status.candidate.as_ref();
            let wanted = candidate.and_then(|c| cluster.index(c.version.digest.as_str()));
            let pods = cluster.nodes.values_mut().filter_map(|n| n.pod.as_mut());
            for pod in pods.filter(|pod| pod.uid == uid) {
                pod.gone_at.get_or_insert(due);
                pod.removed_for = wanted;
            }
            cluster.happens(&format!("Belay deletes {uid}"));
        }
        Effect::LetGo {
            resume,
            resource_version,
        } if fresh(resource_version) => {
            cluster.labelled = false;
            cluster.spec.held &= !*resume;
            cluster.changed("let go");
        }
        Effect::Finish => {
            cluster.finished = true;
            cluster.happens("finished");
        }
        Effect::Acknowledge(receipt) => {
            cluster.actions.retain(|act| act.uid != receipt.uid);
            cluster.count += 1;
        }
        Effect::Pause { .. }
        | Effect::Resume { .. }
        | Effect::RestoreTemplate { .. }
        | Effect::LetGo { .. } => return false,
        other => {
            cluster.breaks("fits_the_kind", format!("{other:?}"));
            return false;
        }
    }
    true
}
