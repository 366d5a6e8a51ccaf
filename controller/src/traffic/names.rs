//! Names of the Services that a route may lead to.

use super::weights::Target;

/// The user's Service and Belay's pair, all in the namespace of the Rollout and its routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The namespace.
    pub namespace: String,
    /// The user's own Service.
    pub service: String,
    /// The Service of the stable pods.
    pub stable: String,
    /// The Service of the candidate's pods.
    pub canary: String,
}

impl Names {
    /// The names that belong to the user's Service.
    pub fn new(namespace: &str, service: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            service: service.to_owned(),
            stable: format!("{service}-stable"),
            canary: format!("{service}-canary"),
        }
    }

    /// What a Service of this name is to the route.
    pub(super) fn target(&self, name: &str) -> Target {
        if name == self.service {
            Target::Home
        } else if name == self.stable {
            Target::Stable
        } else if name == self.canary {
            Target::Canary
        } else {
            Target::Other
        }
    }

    /// The name that a target has; none for others.
    pub(super) fn of(&self, target: Target) -> Option<&str> {
        match target {
            Target::Home => Some(&self.service),
            Target::Stable => Some(&self.stable),
            Target::Canary => Some(&self.canary),
            Target::Other => None,
        }
    }
}
