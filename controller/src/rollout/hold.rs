//! How the hold is kept in this cluster: by Belay's admission policy where the API server has that API and the policy is in
//! force, else by keeping workloads held. And whether the policy is in force that leads pods to their version's configuration.
//!
//! Policies and their bindings are watched, by name: taking one away is noticed at once. Where the API itself is missing,
//! it is asked for again now and then, for an API server can be upgraded.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use belay_engine::rollout::observed::Hold;
use futures::StreamExt as _;
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject},
    core::PartialObjectMeta,
    runtime::{reflector::ObjectRef, watcher::Event},
};
use tokio::sync::watch;

use super::world::World;
use crate::{
    Context, Result,
    client::bounded,
    watch::{Selection, events},
};

/// Name of the policy that holds, and of its binding in the chart.
const HOLD_POLICY: &str = "hold.rollouts.belay.dev";

/// Name of the policy that leads pods to their configuration, and of its binding.
const CONFIG_POLICY: &str = "config.rollouts.belay.dev";

/// Time between two looks at whether the API server has learnt of the API.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

const GROUP: &str = "admissionregistration.k8s.io";
const KINDS: [(&str, &str); 2] = [
    ("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
    (
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
    ),
];

/// What is watched: the policies, then their bindings.
const PARTS: [(&str, usize); 4] = [
    (HOLD_POLICY, 0),
    (HOLD_POLICY, 1),
    (CONFIG_POLICY, 0),
    (CONFIG_POLICY, 1),
];

/// What is known of the policies.
#[derive(Debug, Default)]
pub(super) struct HoldState {
    present: [AtomicBool; PARTS.len()],
    listed: [AtomicBool; PARTS.len()],
    known: watch::Sender<bool>,
}

impl HoldState {
    /// How the hold is kept now.
    pub(super) fn get(&self) -> Hold {
        if self.in_force(HOLD_POLICY) {
            Hold::Admission
        } else {
            Hold::AlwaysPaused
        }
    }

    /// Whether pods are led to their version's configuration. Without the hold by admission, stamping a template could let it roll.
    pub(super) fn leads_to_config(&self) -> bool {
        self.in_force(HOLD_POLICY) && self.in_force(CONFIG_POLICY)
    }

    fn in_force(&self, policy: &str) -> bool {
        PARTS
            .iter()
            .zip(&self.present)
            .filter(|((of, _), _)| *of == policy)
            .all(|(_, present)| present.load(Ordering::Acquire))
    }

    /// Returns once it is known.
    pub(super) async fn ready(&self) {
        let _ = self.known.subscribe().wait_for(|known| *known).await;
    }

    fn set(&self, part: usize, present: bool, world: &World) {
        let before = (self.get(), self.leads_to_config());
        if let Some(flag) = self.present.get(part) {
            flag.store(present, Ordering::Release);
        }
        if (self.get(), self.leads_to_config()) != before && *self.known.borrow() {
            let leads_to_config = self.leads_to_config();
            tracing::info!(hold = ?self.get(), leads_to_config, "other policies are in force from now on");
            for rollout in world.rollouts.state() {
                world
                    .triggers
                    .trigger_ref(ObjectRef::from_obj(rollout.as_ref()));
            }
        }
    }

    /// The first list of a part is complete.
    fn learnt(&self, part: usize) {
        if let Some(flag) = self.listed.get(part) {
            flag.store(true, Ordering::Release);
        }
        if self.listed.iter().all(|flag| flag.load(Ordering::Acquire)) {
            self.known.send_replace(true);
        }
    }

    /// Follows the policy and its binding.
    pub(super) async fn follow(
        self: Arc<Self>,
        world: Arc<World>,
        context: Arc<Context>,
    ) -> Result<()> {
        while !served(&context).await {
            if !self.known.send_replace(true) {
                tracing::info!(
                    "the API server has no MutatingAdmissionPolicy: governed workloads stay held while idle too"
                );
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        let parts = (0..PARTS.len()).map(|part| self.follow_part(part, &world, &context));
        futures::future::join_all(parts).await;
        Ok(())
    }

    async fn follow_part(&self, part: usize, world: &World, context: &Context) {
        let Some((policy, kind)) = PARTS.get(part) else {
            return;
        };
        let Some(resource) = KINDS
            .get(*kind)
            .map(|(kind, plural)| resource(kind, plural))
        else {
            return;
        };
        let api: Api<PartialObjectMeta<DynamicObject>> =
            Api::all_with(context.client.clone(), &resource);
        let selection = Selection {
            labels: None,
            fields: Some(format!("metadata.name={policy}")),
        };
        let (server, metrics) = (context.server, &context.metrics);
        let mut events = Box::pin(events(api, selection, server, metrics, "admissionpolicies"));
        let mut listed = false;
        while let Some(event) = events.next().await {
            match event {
                Event::Init => listed = false,
                Event::InitApply(object) => listed |= object.name_any() == *policy,
                Event::InitDone => {
                    self.set(part, listed, world);
                    self.learnt(part);
                }
                Event::Apply(_) => self.set(part, true, world),
                Event::Delete(_) => self.set(part, false, world),
            }
        }
    }
}

async fn served(context: &Context) -> bool {
    let version = format!("{GROUP}/v1");
    let list = context.client.list_api_group_resources(&version);
    match bounded("asking which admission policies there are", list).await {
        Ok(list) => KINDS
            .iter()
            .all(|(_, plural)| list.resources.iter().any(|r| r.name == *plural)),
        Err(error) => {
            tracing::warn!(%error, "it is not known whether the API server has MutatingAdmissionPolicy");
            false
        }
    }
}

fn resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: GROUP.to_owned(),
        version: "v1".to_owned(),
        api_version: format!("{GROUP}/v1"),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}
