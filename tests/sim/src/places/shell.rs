//! The shell around `decide`: gathers, decides, writes the status, carries the effects out, measures, and may die anywhere.

use belay_engine::{
    digest::Digest,
    gate::{Reading, Result as Measured},
    invariant::{self, Case},
    rollout::{
        Decision, Effect, Guard, Measure, Observed,
        observed::{Config, Deployment, Group, Kind, Lifecycle, Owner, Pod, Workload},
        plan::Plan,
        revisions::{HELD, Member, Revision, Stateful},
        status::Phase,
    },
};
use jiff::Timestamp;

use super::{
    Mistake,
    cluster::Cluster,
    roads::{revision, route_id},
};
use crate::{Decide, Look};

pub(super) struct Shell {
    decide: Decide,
    mistake: Mistake,
    readings: Vec<Reading>,
    measures: Vec<Measure>,
    wake_at: Option<Timestamp>,
    acting_since: Timestamp,
    on_trial: Option<Timestamp>,
}

impl Shell {
    pub(super) const fn new(decide: Decide, mistake: Mistake, now: Timestamp) -> Self {
        Self {
            decide,
            mistake,
            readings: Vec::new(),
            measures: Vec::new(),
            wake_at: None,
            acting_since: now,
            on_trial: None,
        }
    }

    pub(super) fn pass(&mut self, cluster: &mut Cluster, chaos: bool) {
        if cluster.finished {
            return;
        }
        let started = cluster.status.candidate.as_ref().map(|c| c.started_at);
        if started != self.on_trial {
            self.on_trial = started;
            self.readings.clear();
        }
        let mut observed = self.gather(cluster);
        if let (Mistake::DoesNotWaitForTheController, Workload::Deployment(workload)) =
            (self.mistake, &mut observed.workload)
        {
            workload.observed_generation = workload.generation;
        }
        if let (Mistake::IgnoresTheBudget, Workload::Deployment(workload)) =
            (self.mistake, &mut observed.workload)
        {
            workload.max_unavailable = i32::MAX;
        }
        let (plan, now) = (cluster.plan.clone(), cluster.time());
        let before = cluster.status.clone();
        let mut decision = (self.decide)(Look {
            plan: Ok(&plan),
            status: &before,
            observed: &observed,
            now,
        });
        self.err(&mut decision, &observed, &plan);
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
            if !write(cluster, effect) {
                return;
            }
        }
    }

    /// Plants the mistake.
    fn err(&self, decision: &mut Decision, observed: &Observed, plan: &Plan) {
        let is_ready = |uid: &str| {
            let mut pods = observed.sets.iter().flat_map(|set| &set.pods);
            pods.any(|pod| pod.uid == uid && pod.ready)
        };
        let phase = decision.status.phase;
        let leads = decision.effects.iter().any(|effect| {
            matches!(
                effect,
                Effect::SetRoute { .. } | Effect::SendRouteHome { .. }
            )
        });
        match self.mistake {
            Mistake::OnePlaceTooMany => {
                for effect in &mut decision.effects {
                    if let Effect::MovePartition { partition, .. } = effect {
                        *partition -= 1;
                    }
                }
            }
            Mistake::LeavesBrokenPods => decision.effects.retain(
                |effect| !matches!(effect, Effect::RemovePod { uid, .. } if !is_ready(uid)),
            ),
            Mistake::TakesPlacesBeforeRoutes if phase == Phase::RollingBack && leads => {
                let sets = observed
                    .sets
                    .iter()
                    .filter(|set| set.owner == Owner::Rollout);
                let pods = sets.flat_map(|set| &set.pods);
                decision.effects.extend(pods.map(|pod| Effect::RemovePod {
                    name: pod.name.clone(),
                    uid: pod.uid.clone(),
                }));
            }
            Mistake::RollsBeforeRoutes if phase == Phase::Promoting && leads => {
                if let Workload::Deployment(workload) = &observed.workload {
                    decision.effects.push(Effect::Resume {
                        digest: workload.template.digest.clone(),
                        resource_version: workload.resource_version.clone(),
                        guard: Guard::Template,
                    });
                }
            }
            Mistake::RaisesBeforePlaces if !leads => {
                let moves = |effect: &Effect| matches!(effect, Effect::MovePartition { .. });
                let step = decision.status.step.as_ref();
                let step = step.and_then(|step| plan.steps.get(step.index as usize));
                let split = step.and_then(|step| step.split.clone());
                if let Some(split) = split.filter(|_| decision.effects.iter().any(moves)) {
                    decision.effects.push(Effect::SetRoute {
                        id: route_id(),
                        service: "db".to_owned(),
                        split,
                        resource_version: observed
                            .traffic
                            .routes
                            .first()
                            .map_or_else(String::new, |route| route.resource_version.clone()),
                    });
                }
            }
            Mistake::TakesPlacesBeforeRoutes
            | Mistake::RollsBeforeRoutes
            | Mistake::RaisesBeforePlaces
            | Mistake::None
            | Mistake::DoesNotWaitForTheController
            | Mistake::IgnoresTheBudget => {}
        }
    }

    fn gather(&self, cluster: &Cluster) -> Observed {
        let (spec, reported) = (&cluster.spec, &cluster.reported);
        let name = revision;
        let template = cluster.content(spec.content).template.clone();
        let seen = reported.observed_generation == spec.generation;
        let stateful = Stateful {
            replicas: spec.replicas,
            partition: spec.partition,
            current: reported.current.map(name).unwrap_or_default(),
            update: reported.update.map(name).unwrap_or_default(),
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
        let members: Vec<Member> = cluster
            .pods
            .iter()
            .map(|(place, pod)| {
                let (ready, terminating) = (cluster.ready(pod), pod.gone_at.is_some());
                Member {
                    pod: Pod {
                        name: format!("db-{place}"),
                        uid: pod.uid.to_string(),
                        place: *place,
                        ready,
                        available: ready && !terminating,
                        terminating,
                    },
                    revision: name(pod.content),
                }
            })
            .collect();
        let members = (!stateful.is_uniform()).then_some(members);
        let stable = cluster.status.stable.as_ref();
        let stable = stable.map(|stable| stable.hash.as_str());
        Observed {
            config: Config::AsIs,
            generation: 1,
            lifecycle: if cluster.deleting {
                Lifecycle::Deleting
            } else {
                Lifecycle::Live
            },
            sets: stateful.sets(&revisions, members.as_deref(), stable),
            workload: Workload::Deployment(Deployment {
                kind: Kind::StatefulSet,
                uid: "db".to_owned(),
                resource_version: cluster.version.to_string(),
                generation: spec.generation,
                observed_generation: reported.observed_generation,
                labelled: cluster.labelled,
                paused: spec.partition > 0,
                partition: spec.partition,
                max_unavailable: 1,
                replicas: spec.replicas,
                template,
                recreate: false,
                revision_history_limit: 10,
                total_replicas: reported.total,
                updated_replicas: reported.updated,
                ready_replicas: reported.ready,
                available_replicas: reported.ready,
                problem: None,
            }),
            readings: self.readings.clone(),
            actions: cluster.actions.clone(),
            group: Group::Alone,
            hold: cluster.hold,
            traffic: cluster.seen_traffic(),
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
        let due = self.measures.iter().map(|measure| measure.due_at);
        let timers = due.chain(self.wake_at).filter(|at| *at > cluster.time());
        let left = timers.min()?.duration_since(cluster.time());
        Some(cluster.seconds + left.as_secs().max(0) + i64::from(left.subsec_nanos() > 0).max(0))
    }
}

/// The API server's side of an effect; says whether its preconditions held.
fn write(cluster: &mut Cluster, effect: &Effect) -> bool {
    if let Some(written) = cluster.write_traffic(effect) {
        return written;
    }
    let fresh = |version: &str| cluster.version.to_string() == version;
    let same = |digest: &Digest| cluster.content(cluster.spec.content).template.digest == *digest;
    match effect {
        Effect::Adopt => {
            cluster.labelled = true;
            cluster.touched("adopted");
        }
        Effect::Pause { resource_version } if fresh(resource_version) => {
            cluster.spec.partition = HELD;
            cluster.changed("held");
        }
        Effect::MovePartition {
            digest, partition, ..
        } if same(digest) => {
            cluster.spec.partition = *partition;
            cluster.changed("partition");
        }
        Effect::Resume {
            digest,
            resource_version,
            guard,
        } if same(digest) && (*guard == Guard::Template || fresh(resource_version)) => {
            cluster.check_rolls(cluster.spec.content);
            cluster.spec.partition = 0;
            cluster.changed("let roll");
        }
        Effect::RestoreTemplate {
            digest,
            resource_version,
            ..
        } if fresh(resource_version) => {
            let content = cluster.index(digest.as_str()).unwrap_or(0);
            cluster.check_rolls(content);
            cluster.spec.content = content;
            cluster.spec.partition = 0;
            cluster.changed("restored");
        }
        Effect::RemovePod { uid, .. } => {
            cluster.check_removal(uid);
            cluster.check_served(uid);
            let due = cluster.seconds + 1;
            let rolls = cluster.status.phase == Phase::RollingBack;
            for pod in cluster.pods.values_mut() {
                if pod.uid.to_string() == *uid {
                    pod.gone_at.get_or_insert(due);
                    pod.removed = rolls;
                }
            }
            cluster.happens(&format!("Belay deletes {uid}"));
        }
        Effect::LetGo {
            resume,
            resource_version,
        } if fresh(resource_version) => {
            cluster.labelled = false;
            if *resume {
                cluster.spec.partition = 0;
            }
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
        other => {
            let refused = matches!(
                other,
                Effect::Pause { .. }
                    | Effect::MovePartition { .. }
                    | Effect::Resume { .. }
                    | Effect::RestoreTemplate { .. }
                    | Effect::LetGo { .. }
            );
            if !refused {
                cluster.breaks("fits_the_kind", format!("{other:?}"));
            }
            return false;
        }
    }
    true
}
