//! What an object needs of its own set before the API server takes it: its kind, its namespace, or the role that it binds.
//!
//! Invariant: an object that needs nothing of its set is tried out like any other, so that what it lacks is its own fault.

use std::collections::HashSet;

use belay_engine::release::observed::ObjectKey;
use serde_json::Value;

use super::{Failure, manifest::Manifest};

const RBAC: &str = "rbac.authorization.k8s.io";

/// Whether an object can be tried out by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It can.
    Alone,
    /// Only once its namespace is there, which comes with the same set.
    NeedsNamespace,
    /// Only once the role is there that it binds, which comes with the same set, as its namespace may.
    NeedsRole,
    /// Not before its kind is there, which comes with the same set.
    NeedsKind,
}

impl Standing {
    /// Whether a refusal only says that what comes with the set is not there yet.
    pub fn explains(self, refusal: &Failure) -> bool {
        let is_missing = refusal.message.ends_with("not found");
        match self {
            Self::Alone | Self::NeedsKind => false,
            Self::NeedsNamespace => is_missing && refusal.message.contains("namespaces \""),
            Self::NeedsRole => is_missing,
        }
    }
}

/// What a set brings along that others of it may need.
pub(super) struct Company<'a> {
    namespaces: HashSet<&'a str>,
    /// Kind, namespace (empty for a `ClusterRole`) and name.
    roles: HashSet<(&'a str, &'a str, &'a str)>,
}

impl<'a> Company<'a> {
    /// Of a set whose objects without a namespace come into `namespace`.
    pub(super) fn of(manifests: &'a [Manifest], namespace: &'a str) -> Self {
        let mut company = Self {
            namespaces: HashSet::new(),
            roles: HashSet::new(),
        };
        for manifest in manifests {
            let value = &manifest.value;
            let (kind, name) = (text(value, "/kind"), text(value, "/metadata/name"));
            let group = text(value, "/apiVersion").split('/').next();
            match (group, kind) {
                (Some("v1"), "Namespace") => {
                    company.namespaces.insert(name);
                }
                (Some(RBAC), "ClusterRole") => {
                    company.roles.insert((kind, "", name));
                }
                (Some(RBAC), "Role") => {
                    let own = text(value, "/metadata/namespace");
                    let place = if own.is_empty() { namespace } else { own };
                    company.roles.insert((kind, place, name));
                }
                _ => {}
            }
        }
        company
    }

    /// How an object of a known kind stands.
    pub(super) fn standing(&self, key: &ObjectKey, body: &Value) -> Standing {
        let namespace = key.namespace.as_deref().unwrap_or_default();
        let role = text(body, "/roleRef/kind");
        let place = if role == "Role" { namespace } else { "" };
        let role = (role, place, text(body, "/roleRef/name"));
        if key.group == RBAC && self.roles.contains(&role) {
            return Standing::NeedsRole;
        }
        if self.namespaces.contains(namespace) {
            return Standing::NeedsNamespace;
        }
        Standing::Alone
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}
