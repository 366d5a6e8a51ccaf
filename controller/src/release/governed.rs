//! Which workloads a Rollout governs.

use std::collections::HashSet;

use belay_api::rollout::{WorkloadKind, WorkloadRef};
use kube::ResourceExt as _;

use super::Shell;
use crate::apply::{Prepared, Target};

/// Governed workloads: kind, namespace and name.
pub(super) type Governed = HashSet<(WorkloadKind, String, String)>;

impl Shell {
    /// Workloads of a set that a Rollout of the set or of the cluster governs. In another cluster none is governed from here.
    pub(super) fn governed(&self, target: &Target, set: &[Prepared]) -> Governed {
        if target.is_remote() {
            return Governed::new();
        }
        let live = self.context.links.rollouts.store.state();
        let in_cluster = live.iter().map(|rollout| {
            let workload = &rollout.spec.workload_ref;
            let namespace = rollout.namespace().unwrap_or_default();
            (workload.kind, namespace, workload.name.clone())
        });
        set.iter().filter_map(in_set).chain(in_cluster).collect()
    }
}

/// What this object governs, if it is a Rollout.
fn in_set(object: &Prepared) -> Option<(WorkloadKind, String, String)> {
    if object.key.group != "belay.dev" || object.key.kind != "Rollout" {
        return None;
    }
    let workload = object.body.pointer("/spec/workloadRef")?.clone();
    let workload: WorkloadRef = serde_json::from_value(workload).ok()?;
    Some((workload.kind, object.key.namespace.clone()?, workload.name))
}
