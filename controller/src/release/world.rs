//! What Releases depend on beside their sources and objects: acts of people and templates of gates.

use std::sync::Arc;

use belay_api::{Action, AnalysisTemplate, ClusterAnalysisTemplate, Release, action::TargetKind};
use futures::{Stream, StreamExt as _};
use kube::{
    Api, Resource, ResourceExt as _,
    runtime::{
        reflector::{self, ObjectRef, Store, store::Writer},
        watcher::Event,
    },
};
use tokio::task::JoinSet;

use crate::{
    Context, Result,
    rollout::acts::OpenActs,
    watch::{Selection, events},
};

/// The stores.
#[derive(Debug)]
pub(super) struct World {
    /// Acts of people that wait for an outcome.
    pub(super) acts: OpenActs,
    /// Templates of gates.
    pub(super) templates: Store<AnalysisTemplate>,
    /// Templates of gates for all namespaces.
    pub(super) cluster_templates: Store<ClusterAnalysisTemplate>,
    context: Arc<Context>,
}

impl World {
    /// Starts the watches as tasks of `tasks`.
    pub(super) fn start(context: &Arc<Context>, tasks: &mut JoinSet<Result<()>>) -> Arc<Self> {
        let (templates, templates_writer) = reflector::store();
        let (cluster_templates, cluster_writer) = reflector::store();
        let world = Arc::new(Self {
            acts: OpenActs::new(TargetKind::Release),
            templates,
            cluster_templates,
            context: Arc::clone(context),
        });
        let acts = follow(context, context.watched::<Action>(), "actions");
        tasks.spawn(Arc::clone(&world).follow_acts(acts));
        let templates = follow(context, context.watched(), "analysistemplates");
        tasks.spawn(Arc::clone(&world).follow_templates(templates, templates_writer));
        let api = Api::all(context.client.clone());
        let templates = follow(context, api, "clusteranalysistemplates");
        tasks.spawn(Arc::clone(&world).follow_templates(templates, cluster_writer));
        world
    }

    /// Returns once every first list is complete.
    pub(super) async fn ready(&self) {
        self.acts.ready().await;
        // The writers live in tasks that end only with this world.
        let _ = self.templates.wait_until_ready().await;
        let _ = self.cluster_templates.wait_until_ready().await;
        self.context.links.rollouts.ready().await;
    }

    async fn follow_acts(
        self: Arc<Self>,
        events: impl Stream<Item = Event<Action>> + Send,
    ) -> Result<()> {
        let mut events = Box::pin(events);
        while let Some(event) = events.next().await {
            if let Some((namespace, name)) = self.acts.take_in(event) {
                self.context
                    .links
                    .releases
                    .triggers
                    .trigger(&namespace, &name);
            }
        }
        Ok(())
    }

    async fn follow_templates<K>(
        self: Arc<Self>,
        events: impl Stream<Item = Event<K>> + Send,
        mut writer: Writer<K>,
    ) -> Result<()>
    where
        K: Resource<DynamicType = ()> + Clone + Send + 'static,
    {
        let mut events = Box::pin(events);
        while let Some(event) = events.next().await {
            let event = event.modify(|template| template.managed_fields_mut().clear());
            writer.apply_watcher_event(&event);
            if let Event::Apply(template) | Event::Delete(template) = &event {
                self.template_changed(template.name_any().as_str());
            }
        }
        Ok(())
    }

    /// Has the Releases that use a template of this name looked at.
    fn template_changed(&self, template: &str) {
        for release in self.context.links.releases.store.state() {
            let gates = &release.spec.verification.gates;
            if gates.iter().any(|gate| gate.template == template) {
                let user: ObjectRef<Release> = ObjectRef::from_obj(release.as_ref());
                self.context.links.releases.triggers.trigger_ref(user);
            }
        }
    }
}

fn follow<K>(
    context: &Context,
    api: Api<K>,
    resource: &'static str,
) -> impl Stream<Item = Event<K>> + Send + use<K>
where
    K: Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    events(
        api,
        Selection::default(),
        context.server,
        &context.metrics,
        resource,
    )
}
