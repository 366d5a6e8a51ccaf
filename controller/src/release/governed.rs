//! Which Deployments a Rollout governs.

use std::collections::HashSet;

use kube::ResourceExt as _;

use super::Shell;
use crate::apply::Prepared;

/// Governed Deployments: (namespace, name).
pub(super) type Governed = HashSet<(String, String)>;

impl Shell {
    /// Deployments of a set that a Rollout of the set or of the cluster governs.
    pub(super) fn governed(&self, set: &[Prepared]) -> Governed {
        let in_set = set.iter().filter_map(|object| {
            let is_rollout = object.key.group == "belay.dev" && object.key.kind == "Rollout";
            let workload = object.body.pointer("/spec/workloadRef/name")?.as_str()?;
            let namespace = object.key.namespace.clone()?;
            is_rollout.then(|| (namespace, workload.to_owned()))
        });
        let live = self.context.links.rollouts.store.state();
        let in_cluster = live.iter().map(|rollout| {
            let namespace = rollout.namespace().unwrap_or_default();
            (namespace, rollout.spec.workload_ref.name.clone())
        });
        in_set.chain(in_cluster).collect()
    }
}
