//! What workloads own: ReplicaSets, Jobs and pods.
//!
//! They are listed by the labels of the workloads, so that a large namespace costs no more than the Release has in it.

use std::collections::{BTreeSet, HashMap};

use belay_api::release::HealthRules;
use belay_engine::release::observed::ObjectKey;
use k8s_openapi::api::{apps::v1::ReplicaSet, batch::v1::Job, core::v1::Pod};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DynamicObject, ListParams},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::node::Node;
use crate::{Error, cluster::Cluster};

/// Most objects asked for at once.
const PAGE: u32 = 500;

/// Objects by the UID of their controller.
pub(super) struct Children {
    by_owner: HashMap<String, Vec<Node>>,
    /// What could not be read.
    pub(super) notes: Vec<String>,
}

/// Where to look, and for which labels.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    namespace: String,
    selector: Option<String>,
}

impl Children {
    /// What the workloads among `nodes` own.
    pub(super) async fn of(nodes: &[Node], cluster: &Cluster) -> Result<Self, Error> {
        let mut children = Self {
            by_owner: HashMap::new(),
            notes: Vec::new(),
        };
        let client = &cluster.client;
        for place in places(nodes, |kind| {
            matches!(
                kind,
                "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job"
            )
        }) {
            children
                .list::<ReplicaSet>(client, &place, ("apps", "ReplicaSet"))
                .await?;
            children.list::<Pod>(client, &place, ("", "Pod")).await?;
        }
        // Jobs of a CronJob have no labels in common, so all of the namespace are looked at.
        let in_namespace = |place: Place| Place {
            selector: None,
            ..place
        };
        let schedules = places(nodes, |kind| kind == "CronJob");
        for place in schedules
            .into_iter()
            .map(in_namespace)
            .collect::<BTreeSet<_>>()
        {
            children
                .list::<Job>(client, &place, ("batch", "Job"))
                .await?;
        }
        Ok(children)
    }

    async fn list<K>(
        &mut self,
        client: &Client,
        place: &Place,
        (group, kind): (&str, &str),
    ) -> Result<(), Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(client.clone(), &place.namespace);
        let mut parameters = ListParams::default().limit(PAGE);
        parameters.label_selector.clone_from(&place.selector);
        loop {
            let page = match api.list(&parameters).await {
                Ok(page) => page,
                Err(kube::Error::Api(status)) if status.is_forbidden() => {
                    self.notes.push(status.message.clone());
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            };
            for object in page.items {
                self.add(&object, group, kind)?;
            }
            match page.metadata.continue_ {
                Some(token) if !token.is_empty() => parameters = parameters.continue_token(&token),
                _ => return Ok(()),
            }
        }
    }

    fn add<K>(&mut self, object: &K, group: &str, kind: &str) -> Result<(), Error>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let owner = object
            .owner_references()
            .iter()
            .find(|owner| owner.controller == Some(true));
        let Some(owner) = owner.map(|owner| owner.uid.clone()) else {
            return Ok(());
        };
        let key = ObjectKey {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: object.namespace(),
            name: object.name_any(),
        };
        let mut value = serde_json::to_value(object)?;
        let version = K::api_version(&()).into_owned();
        if let Some(fields) = value.as_object_mut() {
            // The items of a list leave these out, and health depends on them.
            fields.insert("apiVersion".to_owned(), version.clone().into());
            fields.insert("kind".to_owned(), kind.into());
        }
        let object: DynamicObject = serde_json::from_value(value)?;
        let known = self.by_owner.entry(owner).or_default();
        // Two workloads with the same labels list the same objects.
        if known.iter().all(|node| node.uid != object.uid()) {
            let mut node = Node::of(&key, object.clone(), &HealthRules::default());
            node.api_version = version;
            node.note = pods_of(&object);
            known.push(node);
        }
        Ok(())
    }

    /// Puts what `node` owns below it, and so on.
    pub(super) fn adopt(&mut self, node: &mut Node, all: bool) {
        let owned = node.uid.as_ref().and_then(|uid| self.by_owner.remove(uid));
        let mut owned = owned.unwrap_or_default();
        owned.sort_by(|a, b| a.key.cmp(&b.key));
        for child in &mut owned {
            self.adopt(child, all);
        }
        let is_empty = |child: &Node| {
            child.key.kind == "ReplicaSet" && child.children.is_empty() && child.note.is_none()
        };
        owned.retain(|child| all || !is_empty(child));
        node.children.extend(owned);
    }
}

/// How many pods a ReplicaSet is to have; nothing if none.
fn pods_of(object: &DynamicObject) -> Option<String> {
    let wanted = object
        .data
        .pointer("/spec/replicas")
        .and_then(Value::as_u64)?;
    let ready = object
        .data
        .pointer("/status/readyReplicas")
        .and_then(Value::as_u64);
    (wanted > 0).then(|| format!("{} of {wanted} pods ready", ready.unwrap_or_default()))
}

/// Where the workloads of these kinds have their pods.
fn places(nodes: &[Node], is_meant: impl Fn(&str) -> bool) -> BTreeSet<Place> {
    let meant = nodes.iter().filter(|node| is_meant(&node.key.kind));
    meant
        .filter_map(|node| {
            let namespace = node.key.namespace.clone()?;
            let selector = node.selector.as_ref().and_then(selector);
            let known = selector.is_some() || node.key.kind == "CronJob";
            known.then_some(Place {
                namespace,
                selector,
            })
        })
        .collect()
}

fn selector(labels: &Value) -> Option<String> {
    let labels = labels.as_object().filter(|labels| !labels.is_empty())?;
    let parts = labels
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value.as_str()?)));
    Some(parts.collect::<Vec<_>>().join(","))
}
