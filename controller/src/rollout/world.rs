//! The part of the cluster that Rollouts depend on, as stores that follow watches, and what makes a Rollout be looked at.
//!
//! Invariant: a change of anything that a Rollout's observation is made of triggers that Rollout, and nothing else does. The
//! echo of our own write is not news.

use std::sync::Arc;

use belay_api::{
    Action, AnalysisTemplate, ClusterAnalysisTemplate, Release, Rollout,
    action::TargetKind,
    names::{RELEASE_UID_ANNOTATION, ROLLOUT_LABEL},
    rollout::WorkloadKind,
};
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject},
    runtime::{
        reflector::{self, ObjectRef, Store},
        watcher::Event,
    },
};
use tokio::task::JoinSet;

use super::{
    absent::Absent,
    config::Configs,
    daemon::FirstNodes,
    groups::Groups,
    held::Held,
    lever,
    project::{self, Set, Workload},
    stateful::Revisions,
    traffic::Roads,
};
use crate::{
    Context, Result,
    rollout::acts::OpenActs,
    watch::{
        Selection, Triggers, events,
        store::{Projections, Source},
    },
};

/// The stores.
#[derive(Debug)]
pub(super) struct World {
    /// Governed Deployments.
    pub(super) workloads: Projections<Workload>,
    /// Governed StatefulSets.
    pub(super) stateful: Projections<Workload>,
    /// Governed DaemonSets.
    pub(super) daemons: Projections<Workload>,
    /// DaemonSets whose Rollout names first nodes that do not exist.
    pub(super) first_nodes: FirstNodes,
    /// Revisions of StatefulSets and DaemonSets.
    pub(super) revisions: Revisions,
    /// Those whose template has just changed, in full.
    pub(super) held: Held,
    /// ReplicaSets of governed Deployments, and candidates.
    pub(super) sets: Projections<Set>,
    /// Templates of gates.
    pub(super) templates: Store<AnalysisTemplate>,
    /// Templates of gates for all namespaces.
    pub(super) cluster_templates: Store<ClusterAnalysisTemplate>,
    /// Acts of people that wait for an outcome.
    pub(super) acts: OpenActs,
    /// Releases that promote their Rollouts together.
    pub(super) groups: Groups,
    /// Rollouts whose workload does not exist or is not labelled yet.
    pub(super) absent: [Absent; 3],
    /// Routes and Services that Rollouts name.
    pub(super) roads: Arc<Roads>,
    /// ConfigMaps and Secrets that templates refer to.
    pub(super) configs: Arc<Configs>,
    /// The Rollouts themselves.
    pub(super) rollouts: Store<Rollout>,
    /// Rollouts to look at.
    pub(super) triggers: Triggers<Rollout>,
}

/// The resource of raw ReplicaSets.
pub(super) fn set_resource() -> ApiResource {
    ApiResource::erase::<ReplicaSet>(&())
}

/// Raw objects of all namespaces that Belay works in.
pub(super) fn raw(context: &Context, resource: &ApiResource) -> Api<DynamicObject> {
    match &context.settings.namespace {
        Some(namespace) => Api::namespaced_with(context.client.clone(), namespace, resource),
        None => Api::all_with(context.client.clone(), resource),
    }
}

impl World {
    /// Starts the watches as tasks of `tasks`, and gives the stores that they fill once the first lists are complete.
    pub(super) fn start(
        context: &Arc<Context>,
        rollouts: Store<Rollout>,
        triggers: Triggers<Rollout>,
        tasks: &mut JoinSet<Result<()>>,
    ) -> Arc<Self> {
        let (templates, templates_writer) = reflector::store();
        let (cluster_templates, cluster_writer) = reflector::store();
        let world = Arc::new(Self {
            workloads: Projections::new(),
            stateful: Projections::new(),
            daemons: Projections::new(),
            first_nodes: FirstNodes::default(),
            revisions: Revisions::default(),
            held: Held::default(),
            sets: Projections::new(),
            templates,
            cluster_templates,
            acts: OpenActs::new(TargetKind::Rollout),
            groups: Groups::default(),
            absent: std::array::from_fn(|_| Absent::new(triggers.clone())),
            roads: Roads::new(context, triggers.clone()),
            configs: Configs::new(context, triggers.clone()),
            rollouts,
            triggers,
        });
        let governed = || Selection::labels(ROLLOUT_LABEL);
        for (kind, name) in [
            (WorkloadKind::Deployment, "deployments"),
            (WorkloadKind::StatefulSet, "statefulsets"),
            (WorkloadKind::DaemonSet, "daemonsets"),
        ] {
            let objects = raw(context, &lever::resource(kind));
            let events = stream(context, objects, governed(), name);
            tasks.spawn(Arc::clone(&world).follow_workloads(kind, events));
        }
        tasks.spawn(Arc::clone(&world).follow_sets(stream(
            context,
            raw(context, &set_resource()),
            governed(),
            "replicasets",
        )));
        tasks.spawn(Arc::clone(&world).follow_acts(stream(
            context,
            context.watched::<Action>(),
            Selection::default(),
            "actions",
        )));
        tasks.spawn(Arc::clone(&world).follow_groups(stream(
            context,
            context.watched::<Release>(),
            Selection::default(),
            "releases",
        )));
        let events = stream(
            context,
            context.watched(),
            Selection::default(),
            "analysistemplates",
        );
        tasks.spawn(Arc::clone(&world).follow_templates(events, templates_writer));
        let events = stream(
            context,
            Api::all(context.client.clone()),
            Selection::default(),
            "clusteranalysistemplates",
        );
        tasks.spawn(Arc::clone(&world).follow_templates(events, cluster_writer));
        let (world_of, context_of) = (|| Arc::clone(&world), || Arc::clone(context));
        tasks.spawn(Absent::watch::<Deployment>(
            world_of(),
            context_of(),
            WorkloadKind::Deployment,
        ));
        tasks.spawn(Absent::watch::<StatefulSet>(
            world_of(),
            context_of(),
            WorkloadKind::StatefulSet,
        ));
        tasks.spawn(Absent::watch::<DaemonSet>(
            world_of(),
            context_of(),
            WorkloadKind::DaemonSet,
        ));
        world
    }

    /// Returns once every first list is complete. A decision before would take what is not read yet for missing.
    pub(super) async fn ready(&self) {
        self.workloads.ready().await;
        self.stateful.ready().await;
        self.daemons.ready().await;
        self.sets.ready().await;
        self.acts.ready().await;
        self.groups.ready().await;
        // The writers live in tasks that end only with this world.
        let _ = self.templates.wait_until_ready().await;
        let _ = self.cluster_templates.wait_until_ready().await;
    }

    /// Governed workloads of this kind.
    pub(super) const fn workloads_of(&self, kind: WorkloadKind) -> &Projections<Workload> {
        match kind {
            WorkloadKind::Deployment => &self.workloads,
            WorkloadKind::StatefulSet => &self.stateful,
            WorkloadKind::DaemonSet => &self.daemons,
        }
    }

    /// One governed workload.
    pub(super) fn workload(
        &self,
        kind: WorkloadKind,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Workload>> {
        self.workloads_of(kind).get(namespace, name)
    }

    /// Rollouts that wait for a workload of this kind.
    pub(super) const fn absent_of(&self, kind: WorkloadKind) -> &Absent {
        let [deployments, stateful, daemons] = &self.absent;
        match kind {
            WorkloadKind::Deployment => deployments,
            WorkloadKind::StatefulSet => stateful,
            WorkloadKind::DaemonSet => daemons,
        }
    }

    /// A Rollout waits for no workload any more.
    pub(super) fn settle_absent(&self, namespace: &str, rollout: &str) {
        for absent in &self.absent {
            absent.settle(namespace, rollout);
        }
    }

    /// Takes in a workload.
    pub(super) fn saw_workload(&self, kind: WorkloadKind, object: &DynamicObject, source: Source) {
        let namespace = object.namespace().unwrap_or_default();
        let previous = self.workload(kind, &namespace, &object.name_any());
        let workload = project::workload(kind, object, previous.as_deref());
        if kind == WorkloadKind::Deployment {
            self.held.saw(object, &workload, previous.as_deref());
        }
        let rollout = workload.rollout.clone();
        if self.workloads_of(kind).apply(workload, source) && source == Source::Watch {
            self.trigger(&namespace, rollout.as_deref());
            if let Some(previous) = previous.filter(|p| p.rollout != rollout) {
                self.trigger(&namespace, previous.rollout.as_deref());
            }
        }
    }

    /// Takes in a ReplicaSet.
    pub(super) fn saw_set(&self, object: &DynamicObject, source: Source) {
        let namespace = object.namespace().unwrap_or_default();
        let previous = self.sets.get(&namespace, &object.name_any());
        let set = project::set(object, previous.as_deref());
        let rollout = set.rollout.clone();
        if self.sets.apply(set, source) && source == Source::Watch {
            self.trigger(&namespace, rollout.as_deref());
        }
    }

    fn trigger(&self, namespace: &str, rollout: Option<&str>) {
        if let Some(rollout) = rollout {
            self.triggers.trigger(namespace, rollout);
        }
    }

    async fn follow_workloads(
        self: Arc<Self>,
        kind: WorkloadKind,
        events: impl Stream<Item = Event<DynamicObject>> + Send,
    ) -> Result<()> {
        let mut events = Box::pin(events);
        let workloads = self.workloads_of(kind);
        while let Some(event) = events.next().await {
            match event {
                Event::Init => workloads.list_begins(),
                Event::InitApply(object) | Event::Apply(object) => {
                    self.saw_workload(kind, &object, Source::Watch);
                }
                Event::Delete(object) => {
                    let namespace = object.namespace().unwrap_or_default();
                    let uid = object.uid().unwrap_or_default();
                    let name = object.name_any();
                    let gone = workloads.get(&namespace, &name);
                    workloads.delete(&namespace, &name, &uid, Source::Watch);
                    self.revisions.forget(&uid);
                    self.first_nodes.forget(&uid);
                    self.trigger(&namespace, gone.and_then(|g| g.rollout.clone()).as_deref());
                }
                Event::InitDone => {
                    for gone in workloads.list_ends() {
                        self.trigger(&gone.namespace, gone.rollout.as_deref());
                    }
                }
            }
        }
        Ok(())
    }

    async fn follow_sets(
        self: Arc<Self>,
        events: impl Stream<Item = Event<DynamicObject>> + Send,
    ) -> Result<()> {
        let mut events = Box::pin(events);
        while let Some(event) = events.next().await {
            match event {
                Event::Init => self.sets.list_begins(),
                Event::InitApply(object) | Event::Apply(object) => {
                    self.saw_set(&object, Source::Watch);
                }
                Event::Delete(object) => {
                    let namespace = object.namespace().unwrap_or_default();
                    let uid = object.uid().unwrap_or_default();
                    let name = object.name_any();
                    let gone = self.sets.get(&namespace, &name);
                    if self.sets.delete(&namespace, &name, &uid, Source::Watch) {
                        self.trigger(&namespace, gone.and_then(|g| g.rollout.clone()).as_deref());
                    }
                }
                Event::InitDone => {
                    for gone in self.sets.list_ends() {
                        self.trigger(&gone.namespace, gone.rollout.as_deref());
                    }
                }
            }
        }
        Ok(())
    }

    async fn follow_acts(
        self: Arc<Self>,
        events: impl Stream<Item = Event<Action>> + Send,
    ) -> Result<()> {
        let mut events = Box::pin(events);
        while let Some(event) = events.next().await {
            if let Some((namespace, target)) = self.acts.take_in(event) {
                self.triggers.trigger(&namespace, &target);
            }
        }
        Ok(())
    }

    async fn follow_groups(
        self: Arc<Self>,
        events: impl Stream<Item = Event<Release>> + Send,
    ) -> Result<()> {
        let mut events = Box::pin(events);
        while let Some(event) = events.next().await {
            let Some(uid) = self.groups.take_in(event) else {
                continue;
            };
            for rollout in self.rollouts.state() {
                if rollout.annotations().get(RELEASE_UID_ANNOTATION) == Some(&uid) {
                    self.triggers
                        .trigger_ref(ObjectRef::from_obj(rollout.as_ref()));
                }
            }
        }
        Ok(())
    }

    /// A changed template concerns every Rollout of its namespace, or of all: which ones name it is not indexed, for templates
    /// change rarely.
    async fn follow_templates<K>(
        self: Arc<Self>,
        events: impl Stream<Item = Event<K>> + Send,
        mut writer: reflector::store::Writer<K>,
    ) -> Result<()>
    where
        K: kube::Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    {
        let mut events = Box::pin(events);
        while let Some(event) = events.next().await {
            let event = event.modify(|template| template.managed_fields_mut().clear());
            writer.apply_watcher_event(&event);
            match &event {
                Event::Apply(template) | Event::Delete(template) => {
                    self.trigger_all(template.namespace().as_deref());
                }
                Event::InitDone => self.trigger_all(None),
                Event::Init | Event::InitApply(_) => {}
            }
        }
        Ok(())
    }

    fn trigger_all(&self, namespace: Option<&str>) {
        for rollout in self.rollouts.state() {
            if namespace.is_none() || rollout.namespace().as_deref() == namespace {
                self.triggers
                    .trigger_ref(ObjectRef::from_obj(rollout.as_ref()));
            }
        }
    }
}

fn stream<K>(
    context: &Context,
    api: Api<K>,
    selection: Selection,
    resource: &'static str,
) -> impl Stream<Item = Event<K>> + Send + use<K>
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    events(api, selection, context.server, &context.metrics, resource)
}
