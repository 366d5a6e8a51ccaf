//! Assembles one observation. At rest it comes from memory and watches alone and costs no request.

use std::{collections::HashSet, time::Duration};

use belay_api::Release;
use belay_engine::release::{
    Observed, Phase,
    cluster::Reached,
    observed::{Lifecycle, RolloutView},
    promotion::Looked,
    status::Workload,
};
use jiff::Timestamp;
use kube::{ResourceExt as _, runtime::reflector::ObjectRef};

use super::{
    Shell,
    look::{altered, kind},
    memory::Memory,
    owner,
    sources::{Finding, look_request},
};
use crate::{
    Error, Result,
    apply::{
        Identity, Inventory, Target, inventory, renders,
        watches::{self, Interest, Place, State},
    },
    gates::Gated as _,
};

/// How long to wait before trying a namespace again that does not let Belay in.
const LOCKED_OUT: Duration = Duration::from_secs(15);

/// One observation, and what goes with it.
pub(super) struct Gathered {
    /// The observation.
    pub(super) observed: Observed,
    /// When to look again at what can't be watched.
    pub(super) look_again: Option<Duration>,
    /// Why nothing can be done in this namespace, if so. A Release that is deleted then goes without its objects.
    pub(super) locked_out: Option<String>,
}

impl Shell {
    /// The observation for one decision about `release`.
    pub(super) async fn gather(
        &self,
        release: &Release,
        memory: &mut Memory,
        cluster: Reached,
    ) -> Result<Gathered> {
        let status = release.status.clone().unwrap_or_default();
        let locked_out = match self.load(release, memory).await {
            Ok(()) => None,
            Err(Error::Kube(kube::Error::Api(said))) if said.is_forbidden() => {
                Some(locked_out(&said))
            }
            Err(error) => return Err(error),
        };
        let is_away = matches!(cluster, Reached::Away { .. });
        if !is_away {
            self.watch(release, memory).await?;
            self.settle_written(memory);
        }
        let target = status.target.as_ref();
        let digest = target.map(|target| target.content.digest.clone());
        let waits = is_waiting(status.phase) && target.is_some_and(|t| t.applied_at.is_some())
            || target.is_some_and(|t| {
                memory.applied.as_ref().is_some_and(|applied| {
                    applied.attempt == t.started_at && is_coming(status.phase)
                })
            });
        let (health, look_again) = match &digest {
            Some(digest) if waits && !is_away => self.look(release, memory, digest).await?,
            _ => (None, None),
        };
        let drift = match &digest {
            Some(digest) if is_at_rest(status.phase) && !is_away => {
                self.excuse_ignored(release, memory, digest).await?;
                self.drift(release, memory, digest)
            }
            _ => Vec::new(),
        };
        let (looked, publication) = (self.looked(release, memory), memory.publication());
        let workloads: &[Workload] = memory
            .applied
            .as_ref()
            .filter(|applied| Some(applied.attempt) == target.map(|target| target.started_at))
            .map_or(&status.workloads, |applied| &applied.workloads);
        let finding = self.finding(release);
        let observed = Observed {
            generation: release.metadata.generation.unwrap_or_default(),
            lifecycle: lifecycle(release),
            acting_since: self.acting_since(&cluster),
            cluster,
            look: look_request(release, &finding),
            asked: finding.asked,
            looked,
            publication,
            rehearsed: memory.rehearsed.clone(),
            applied: memory.applied.clone(),
            inventory: stored(memory)
                .view(digest.as_ref(), |key| self.lets_prune(release, memory, key)),
            renders: memory.renders.clone().unwrap_or_default(),
            health,
            rollouts: self.rollouts_of(release, workloads),
            drift,
            altered: digest.iter().flat_map(|d| altered(memory, d)).collect(),
            unwatched: self.unwatched(memory),
            troubles: memory.troubles(),
            readings: release
                .trial()
                .map(|trial| {
                    let uid = release.uid().unwrap_or_default();
                    self.measurements.on_record(&uid, &status.gates);
                    self.measurements.readings(&uid, &trial, &status.gates)
                })
                .unwrap_or_default(),
            actions: self.world.acts.on(
                &release.namespace().unwrap_or_default(),
                &release.name_any(),
            ),
            peers: self.peers(release),
        };
        Ok(Gathered {
            observed,
            look_again: look_again.or_else(|| locked_out.as_ref().map(|_| LOCKED_OUT)),
            locked_out,
        })
    }

    /// What Belay keeps for the Release is read once.
    async fn load(&self, release: &Release, memory: &mut Memory) -> Result<()> {
        let owner = owner(release);
        if memory.inventory.is_none() {
            memory.inventory = Some(inventory::load(&self.context.client, &owner).await?);
        }
        if memory.renders.is_none() {
            memory.renders = Some(renders::kept(&self.context.client, &owner).await?);
        }
        Ok(())
    }

    /// Sees to it that the inventory's objects are watched.
    async fn watch(&self, release: &Release, memory: &mut Memory) -> Result<()> {
        let target = memory.target()?;
        if memory.places.is_none() {
            memory.places = Some(places(&target, stored(memory)).await?);
        }
        let phase = release.status.as_ref().map(|status| status.phase);
        let interest = if phase.is_some_and(|phase| !is_at_rest(phase)) {
            Interest::Everything
        } else {
            Interest::Drift
        };
        let places = memory.places.clone().unwrap_or_default();
        let uid = release.uid().unwrap_or_default();
        let release = ObjectRef::from_obj(release);
        self.watches
            .subscribe(&uid, &release, interest, (&target, &places));
        Ok(())
    }

    /// Since when what is seen counts: since this process acts, in a cluster that answers.
    fn acting_since(&self, cluster: &Reached) -> Timestamp {
        let acting = self.context.term.since();
        match cluster {
            Reached::Remote { since, .. } => acting.max(*since),
            Reached::Home | Reached::Away { .. } => acting,
        }
    }

    /// Why changes of some objects would not be seen: the account may not watch their kind.
    fn unwatched(&self, memory: &Memory) -> Option<String> {
        let refused =
            memory
                .places
                .iter()
                .flatten()
                .filter_map(|place| match self.watches.state(place) {
                    State::Refused(why) => Some((place.resource.plural.clone(), why)),
                    State::Starting | State::Following => None,
                });
        let (plural, why) = refused.min()?;
        Some(format!(
            "Changes of {plural} are not seen, for the service account may not watch them ({why}); allow it get, list and watch"
        ))
    }

    fn finding(&self, release: &Release) -> Finding {
        if release.spec.suspend || release.metadata.deletion_timestamp.is_some() {
            self.sources.forget(&release.uid().unwrap_or_default());
            return Finding::default();
        }
        // A paused Release still shows what its source asks for.
        self.sources.finding(release)
    }

    /// What the source asks for at the commit that was chosen, if one was.
    fn looked(&self, release: &Release, memory: &mut Memory) -> Option<Looked> {
        let uid = release.uid().unwrap_or_default();
        if release.spec.promotion.after.is_empty() {
            if memory.looks_at.take().is_some() {
                self.sources.forget_pinned(&uid);
            }
            return None;
        }
        if release.spec.suspend || release.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let commit = memory.looks_at.clone()?;
        Some(Looked {
            asked: self.sources.asked_at(release, &commit),
            commit,
        })
    }

    fn rollouts_of(&self, release: &Release, workloads: &[Workload]) -> Vec<RolloutView> {
        let names = workloads
            .iter()
            .map(|known| (known.namespace.clone(), known.name.clone()));
        self.context
            .links
            .follow(ObjectRef::from_obj(release), names.collect());
        if workloads.is_empty() {
            return Vec::new();
        }
        let live = self.context.links.rollouts.store.state();
        let mut views: Vec<RolloutView> = live
            .iter()
            .filter_map(|rollout| {
                let namespace = rollout.namespace()?;
                let reference = &rollout.spec.workload_ref;
                let is_ours = workloads.iter().any(|known| {
                    known.kind == reference.kind
                        && known.namespace == namespace
                        && known.name == reference.name
                });
                is_ours.then(|| RolloutView {
                    name: rollout.name_any(),
                    kind: reference.kind,
                    workload: reference.name.clone(),
                    status: rollout.status.clone().unwrap_or_default(),
                    namespace,
                })
            })
            .collect();
        views.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        views
    }
}

async fn places(target: &Target, inventory: &Inventory) -> Result<HashSet<Place>> {
    let mut places = HashSet::new();
    for (key, entry) in &inventory.objects {
        // A kind that is gone took its objects with it.
        if let Some(kind) = kind(target, key, entry).await? {
            places.insert(watches::place(&target.via, &kind.resource, key));
        }
    }
    Ok(places)
}

fn locked_out(said: &kube::core::Status) -> String {
    format!(
        "this namespace does not let Belay in: bind the chart's tenant role to Belay's service account in it, or name it under \
         tenants.namespaces of the chart ({})",
        said.message
    )
}

/// The account in whose name everything is done.
pub(super) fn identity(release: &Release) -> Identity {
    Identity {
        namespace: release.namespace().unwrap_or_default(),
        name: release.spec.service_account_name.clone(),
    }
}

/// The inventory; empty before it is read.
pub(super) fn stored(memory: &Memory) -> &Inventory {
    static EMPTY: std::sync::LazyLock<Inventory> = std::sync::LazyLock::new(Inventory::default);
    memory
        .inventory
        .as_ref()
        .map_or(&EMPTY, |stored| &stored.inventory)
}

fn lifecycle(release: &Release) -> Lifecycle {
    match &release.metadata.deletion_timestamp {
        None => Lifecycle::Live,
        Some(since) => Lifecycle::Deleting {
            since: since.0,
            policy: release.spec.deletion_policy,
        },
    }
}

const fn is_waiting(phase: Phase) -> bool {
    matches!(phase, Phase::Verifying | Phase::RollingBack)
}

const fn is_coming(phase: Phase) -> bool {
    matches!(phase, Phase::Applying | Phase::RollingBack)
}

const fn is_at_rest(phase: Phase) -> bool {
    matches!(
        phase,
        Phase::Verified | Phase::Rejected | Phase::Refused | Phase::Rehearsing | Phase::Waiting
    )
}
