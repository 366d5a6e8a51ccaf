//! The rules themselves.

use belay_engine::action::Verb;

use super::{Role, Rule};

const BELAY: &str = "belay.dev";
/// Name of the policy that holds governed workloads, and of its binding.
const HOLD_POLICY: &str = "hold.rollouts.belay.dev";
/// Name of the policy that leads pods to their version's configuration, and of its binding.
const CONFIG_POLICY: &str = "config.rollouts.belay.dev";
const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

pub(super) fn roles() -> Vec<Role> {
    vec![
        controller(),
        config(),
        config_secrets(),
        traffic(),
        gateway_api(),
        istio(),
        traefik(),
        cluster(),
        lease(),
        tenant(),
        viewer(),
        operator(),
        admin(),
        break_glass(),
    ]
}

fn rule(
    group: &'static str,
    resources: &[&'static str],
    verbs: &[&'static str],
    why: &'static str,
) -> Rule {
    Rule {
        group,
        resources: resources.to_vec(),
        names: Vec::new(),
        verbs: verbs.to_vec(),
        why,
    }
}

fn controller() -> Role {
    Role {
        name: "controller",
        purpose: "The controller, in every namespace, or in the one under `controller.namespace`.",
        rules: vec![
            rule(
                BELAY,
                &["rollouts", "releases", "analysistemplates", "actions"],
                &READ,
                "what it is asked to do",
            ),
            rule(
                BELAY,
                &["rollouts", "releases"],
                &["patch"],
                "its finalizer, so that a deleted object lets go of its workload in good order",
            ),
            rule(
                BELAY,
                &["rollouts/finalizers", "releases/finalizers"],
                &["update"],
                "to own candidates and renders where owner references are checked",
            ),
            rule(
                BELAY,
                &["rollouts/status", "releases/status", "actions/status"],
                &["patch"],
                "the state of each object, and what became of each act",
            ),
            rule(
                "apps",
                &["deployments"],
                &["get", "list", "watch", "patch"],
                "to hold, resume and restore governed workloads",
            ),
            rule(
                "apps",
                &["statefulsets"],
                &["get", "list", "watch", "patch"],
                "to hold governed StatefulSets by their partition, move it step by step, and restore their template",
            ),
            rule(
                "apps",
                &["daemonsets"],
                &["get", "list", "watch", "patch"],
                "to hold governed DaemonSets by their update strategy, let them go, and restore their template",
            ),
            rule(
                "apps",
                &["controllerrevisions"],
                &["get", "list"],
                "the templates of a StatefulSet's or DaemonSet's versions",
            ),
            rule(
                "apps",
                &["deployments/finalizers"],
                &["update"],
                "to hand a verified ReplicaSet over to its Deployment where owner references are checked",
            ),
            rule(
                "apps",
                &["replicasets"],
                &["get", "list", "watch", "create", "patch", "delete"],
                "candidates beside the stable version",
            ),
            rule(
                "",
                &["pods"],
                &["list", "watch"],
                "why the pods of a candidate don't get ready; ages and restarts of pods whose counters are compared",
            ),
            rule(
                "",
                &["pods"],
                &["delete"],
                "pods of a StatefulSet's rejected version, so that its controller makes them anew of the stable one; pods of a DaemonSet on the nodes of a step",
            ),
            rule(
                "",
                &["services"],
                &["get"],
                "which pods a gate compares with, where it names a Service",
            ),
            rule(
                "events.k8s.io",
                &["events"],
                &["create"],
                "what happened, for people",
            ),
        ],
    }
}

fn config() -> Role {
    Role {
        name: "config",
        purpose: "The controller, where configuration goes with versions (`config.enabled`), in every namespace, or in the one under \
                  `controller.namespace`.",
        rules: vec![rule(
            "",
            &["configmaps"],
            &["get", "list", "watch", "create", "delete"],
            "to notice that one changed that a governed workload reads, and to keep a copy for each version; only its own copies are deleted",
        )],
    }
}

fn config_secrets() -> Role {
    Role {
        name: "config-secrets",
        purpose: "The controller, in the namespaces under `config.secretNamespaces`, and in those whose owners bind this role to Belay's \
                  service account.",
        rules: vec![rule(
            "",
            &["secrets"],
            &["get", "list", "watch", "create", "delete"],
            "the same for Secrets, where a Rollout asks for it; only its own copies are deleted",
        )],
    }
}

fn traffic() -> Role {
    Role {
        name: "traffic",
        purpose: "The controller, where Rollouts divide requests (`traffic.enabled`), in every namespace, or in the one under \
                  `controller.namespace`.",
        rules: vec![
            rule(
                "",
                &["services"],
                &["get", "list", "watch", "create", "patch", "delete"],
                "a Service for each version while a candidate is on trial; the user's own is kept on the stable version meanwhile",
            ),
            rule(
                "discovery.k8s.io",
                &["endpointslices"],
                &["list", "watch"],
                "whether the Services of the versions have ready endpoints before requests are led there",
            ),
        ],
    }
}

fn gateway_api() -> Role {
    route(
        "gateway-api",
        "The same for routes of the Gateway API (`traffic.gatewayApi`).",
        "gateway.networking.k8s.io",
        &["httproutes", "grpcroutes"],
    )
}

fn istio() -> Role {
    route(
        "istio",
        "The same for routes of Istio (`traffic.istio`).",
        "networking.istio.io",
        &["virtualservices"],
    )
}

fn traefik() -> Role {
    route(
        "traefik",
        "The same for weighted services of Traefik (`traffic.traefik`).",
        "traefik.io",
        &["traefikservices"],
    )
}

fn route(
    name: &'static str,
    purpose: &'static str,
    group: &'static str,
    resources: &[&'static str],
) -> Role {
    let why = "to divide requests between two versions while a candidate is on trial";
    Role {
        name,
        purpose,
        rules: vec![rule(
            group,
            resources,
            &["get", "list", "watch", "patch"],
            why,
        )],
    }
}

fn cluster() -> Role {
    Role {
        name: "cluster",
        purpose: "The controller, for what belongs to no namespace.",
        rules: vec![
            rule(
                BELAY,
                &["clusteranalysistemplates"],
                &READ,
                "gates that are shared by all namespaces",
            ),
            rule(
                BELAY,
                &["clusteranalysistemplates"],
                &["create", "patch"],
                "the templates that come with Belay",
            ),
            rule(
                "",
                &["nodes"],
                &["list"],
                "which nodes get a DaemonSet's new version first, and whether a pod's node is ready",
            ),
            rule(
                "admissionregistration.k8s.io",
                &[
                    "mutatingadmissionpolicies",
                    "mutatingadmissionpolicybindings",
                ],
                &["list", "watch"],
                "whether the policies are in force that hold governed workloads and lead pods to their version's configuration",
            )
            .named(&[HOLD_POLICY, CONFIG_POLICY]),
        ],
    }
}

fn lease() -> Role {
    Role {
        name: "lease",
        purpose: "The controller, in its own namespace.",
        rules: vec![rule(
            "coordination.k8s.io",
            &["leases"],
            &["get", "create", "update"],
            "to agree with the other replicas on which one acts",
        )],
    }
}

fn tenant() -> Role {
    Role {
        name: "tenant",
        purpose: "The controller, in the namespaces that let it in: those under `tenants.namespaces`, and those whose owners bind \
                  this role to Belay's service account. Kubernetes' own `admin` role may do so, because it holds the same rights.",
        rules: vec![
            rule(
                "",
                &["serviceaccounts"],
                &["impersonate"],
                "Releases are applied with the rights of their own service account, never with Belay's",
            ),
            rule(
                "",
                &["secrets"],
                &["get", "list", "watch", "create", "delete"],
                "credentials and keys that Releases and gates name; verified renders, to roll back to",
            ),
            rule(
                "",
                &["configmaps"],
                &["get", "list", "create", "update", "delete"],
                "inventories of what a Release has applied; only parts of inventories are listed and deleted",
            ),
            rule(
                BELAY,
                &["actions"],
                &["create"],
                "a retried Release asks its Rollouts to try again, on record like anybody",
            ),
            rule(
                BELAY,
                &["rollouts"],
                &["retry"],
                "a retried Release asks its Rollouts to try again, on record like anybody",
            ),
        ],
    }
}

fn viewer() -> Role {
    Role {
        name: "viewer",
        purpose: "Whoever may look. Part of Kubernetes' `view`, `edit` and `admin` roles.",
        rules: vec![rule(
            BELAY,
            &resources(),
            &READ,
            "to see where changes stand",
        )],
    }
}

fn operator() -> Role {
    Role {
        name: "operator",
        purpose: "Whoever approves, promotes and rolls back. Bind it per namespace; for less, write a role with some of the verbs.",
        rules: vec![
            rule(BELAY, &resources(), &READ, "to see where changes stand"),
            rule(
                BELAY,
                &["actions"],
                &["create"],
                "to ask for an act; each is a record and can't be changed",
            ),
            rule(
                BELAY,
                &["rollouts", "releases"],
                &Verb::ALL.map(Verb::rbac_verb),
                "to be granted it: one verb for each act",
            ),
        ],
    }
}

fn admin() -> Role {
    let mut rules = operator().rules;
    rules.push(rule(
        BELAY,
        &["rollouts", "releases", "analysistemplates"],
        &WRITE,
        "to set up how workloads change",
    ));
    Role {
        name: "admin",
        purpose: "Whoever sets up rollouts and releases in a namespace. Part of Kubernetes' `admin` role.",
        rules,
    }
}

fn break_glass() -> Role {
    Role {
        name: "break-glass",
        purpose: "For emergencies: whoever has it may un-pause a governed workload past Belay. Part of no other role.",
        rules: vec![rule(
            BELAY,
            &["rollouts"],
            &["break-glass"],
            "to be exempt from the policy that keeps governed workloads on hold",
        )],
    }
}

/// Every resource that is defined, by its plural name.
fn resources() -> Vec<&'static str> {
    vec![
        "rollouts",
        "releases",
        "analysistemplates",
        "clusteranalysistemplates",
        "actions",
    ]
}
