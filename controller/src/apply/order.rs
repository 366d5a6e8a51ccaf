//! In what order objects are applied: what others need comes first. Pruning goes the other way round.

/// Groups of kinds that are applied together, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rank {
    /// Namespaces and definitions of resources. The rest waits until these are in force.
    Foundation,
    /// Quotas, priorities and the like, which bound everything after them.
    Bounds,
    /// Accounts and permissions.
    Accounts,
    /// Bindings, which need both.
    Bindings,
    /// Configuration, volumes and services: what workloads look for when they start.
    Configuration,
    /// Belay's own resources, so that a workload is governed from its first version on.
    Governance,
    /// Workloads.
    Workloads,
    /// What refers to workloads, and all other kinds.
    Rest,
}

/// The rank of a kind.
pub fn rank(group: &str, kind: &str) -> Rank {
    match (group, kind) {
        ("", "Namespace") | ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            Rank::Foundation
        }
        ("", "ResourceQuota" | "LimitRange")
        | ("scheduling.k8s.io", "PriorityClass")
        | ("storage.k8s.io", "StorageClass")
        | ("networking.k8s.io", "IngressClass")
        | ("gateway.networking.k8s.io", "GatewayClass") => Rank::Bounds,
        ("", "ServiceAccount") | ("rbac.authorization.k8s.io", "ClusterRole" | "Role") => {
            Rank::Accounts
        }
        ("rbac.authorization.k8s.io", _) => Rank::Bindings,
        ("", "ConfigMap" | "Secret" | "PersistentVolume" | "PersistentVolumeClaim" | "Service") => {
            Rank::Configuration
        }
        // It may need whatever else is in the set.
        ("belay.dev", "Release") => Rank::Rest,
        ("belay.dev", _) => Rank::Governance,
        ("apps" | "batch", _) | ("", "Pod" | "ReplicationController") => Rank::Workloads,
        _ => Rank::Rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_need_comes_first() {
        let order = [
            rank("apiextensions.k8s.io", "CustomResourceDefinition"),
            rank("rbac.authorization.k8s.io", "Role"),
            rank("rbac.authorization.k8s.io", "RoleBinding"),
            rank("", "ConfigMap"),
            rank("belay.dev", "Rollout"),
            rank("apps", "Deployment"),
            rank("autoscaling", "HorizontalPodAutoscaler"),
            rank("belay.dev", "Release"),
        ];
        assert!(order.is_sorted());
    }
}
