//! The kinds that the API server knows, and one object of a kind.

use std::collections::HashMap;

use belay_engine::release::observed::ObjectKey;
use kube::{
    Api, Client, Discovery,
    api::{ApiResource, DynamicObject},
    discovery::Scope,
};

use crate::Error;

/// Short words of the kinds that people ask about most; all others go by kind or plural.
const SHORT: [(&str, &str); 13] = [
    ("cm", "configmaps"),
    ("cj", "cronjobs"),
    ("deploy", "deployments"),
    ("ds", "daemonsets"),
    ("hpa", "horizontalpodautoscalers"),
    ("ing", "ingresses"),
    ("ns", "namespaces"),
    ("po", "pods"),
    ("pvc", "persistentvolumeclaims"),
    ("rs", "replicasets"),
    ("sa", "serviceaccounts"),
    ("sts", "statefulsets"),
    ("svc", "services"),
];

/// One kind of objects.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) resource: ApiResource,
    pub(super) scope: Scope,
}

impl Kind {
    pub(super) fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// Objects of this kind in `namespace`, or in the cluster.
    pub(super) fn api(&self, client: &Client, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace.filter(|_| self.is_namespaced()) {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &self.resource),
            None => Api::all_with(client.clone(), &self.resource),
        }
    }
}

/// All kinds, read once.
#[derive(Debug)]
pub(super) struct Kinds {
    /// By API version and kind.
    known: HashMap<(String, String), Kind>,
    /// In the order of the API server, the preferred version first.
    preferred: Vec<Kind>,
}

impl Kinds {
    pub(super) async fn read(client: &Client) -> Result<Self, Error> {
        let discovery = Discovery::new(client.clone()).run_aggregated().await?;
        let mut known = HashMap::new();
        let mut preferred = Vec::new();
        for group in discovery.groups() {
            for version in group.versions() {
                for (resource, capabilities) in group.versioned_resources(version) {
                    let key = (resource.api_version.clone(), resource.kind.clone());
                    let scope = capabilities.scope;
                    known.entry(key).or_insert(Kind { resource, scope });
                }
            }
            let usual = group.recommended_resources().into_iter();
            preferred.extend(usual.map(|(resource, capabilities)| Kind {
                resource,
                scope: capabilities.scope,
            }));
        }
        Ok(Self { known, preferred })
    }

    /// The kind of an object.
    pub(super) fn of(&self, api_version: &str, kind: &str) -> Option<&Kind> {
        self.known.get(&(api_version.to_owned(), kind.to_owned()))
    }

    /// The kind that people mean: kind, plural or a short word, with the group behind a dot if need be.
    pub(super) fn named(&self, word: &str) -> Option<&Kind> {
        let word = word.to_ascii_lowercase();
        let (name, group) = match word.split_once('.') {
            Some((name, group)) => (name, Some(group)),
            None => (word.as_str(), None),
        };
        let short = SHORT.iter().find(|(short, _)| *short == name);
        let name = short.map_or(name, |(_, plural)| plural);
        self.preferred.iter().find(|kind| {
            let resource = &kind.resource;
            let is_named = resource.plural == name || resource.kind.to_ascii_lowercase() == name;
            is_named && group.is_none_or(|group| resource.group == group)
        })
    }
}

/// The object of this key, if it is there.
pub(super) async fn live(
    client: &Client,
    kind: &Kind,
    key: &ObjectKey,
) -> Result<Option<DynamicObject>, kube::Error> {
    kind.api(client, key.namespace.as_deref())
        .get_opt(&key.name)
        .await
}
