//! DaemonSets: what decisions look at, gathered from the DaemonSet, its revisions and its pods.
//!
//! As with StatefulSets the status tells everything at rest; otherwise the pods are listed with each pass, and what happens to them
//! changes the status, and so comes to notice. A DaemonSet does not say which revision is its template's: it is the one with that
//! content. Nodes are asked for only while pods are looked at: by label, which of them are first, and all of them when a pod has not
//! been available for a while, for it may be its node that is not ready.
//!
//! Invariant: the order of the nodes depends on nothing but their labels and names.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use belay_api::Rollout;
use belay_engine::{
    digest::CONTROLLER_REVISION_HASH,
    rollout::{
        nodes::{Crew, Daemon, Known},
        observed::Template,
        revisions::{Member, Revision},
        status::Phase,
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, ResourceExt as _,
    api::{DynamicObject, ListParams},
};
use serde_json::Value;

use super::{
    Shell,
    project::{self, Set, Workload},
    stateful::{controller_uid, revision_resource, revision_template, seen, unknown},
};
use crate::{Result, client::bounded};

/// Where the type of a DaemonSet's update strategy is.
pub(super) const STRATEGY_POINTER: &str = "/spec/updateStrategy/type";

/// The strategy that holds.
pub(super) const ON_DELETE: &str = "OnDelete";

/// The strategy that rolls.
pub(super) const ROLLING_UPDATE: &str = "RollingUpdate";

/// How long a pod may be unavailable before its node is looked at. Kubernetes itself takes longer to tell that a node is gone.
const NODE_IN_QUESTION_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// What a DaemonSet says of itself, beside what every workload does.
#[derive(Clone, Debug)]
pub(super) struct Nodes {
    /// As the engine sees it.
    pub(super) daemon: Daemon,
    /// Pods that may be unavailable while it moves; none where it surges instead.
    pub(super) max_unavailable: i32,
    /// `spec.minReadySeconds`.
    min_ready: SignedDuration,
}

impl Nodes {
    /// Of a raw DaemonSet. `template` is the spec's, if its controller has seen it.
    pub(super) fn of(data: &Value, template: Option<Template>) -> Self {
        let count = |pointer: &str| project::count(data, pointer, 0);
        let daemon = Daemon {
            held: project::text(data, STRATEGY_POINTER) == Some(ON_DELETE),
            desired: count("/status/desiredNumberScheduled"),
            template,
            total: count("/status/currentNumberScheduled"),
            ready: count("/status/numberReady"),
            available: count("/status/numberAvailable"),
            updated: count("/status/updatedNumberScheduled"),
        };
        let field =
            |name: &str| data.pointer(&format!("/spec/updateStrategy/rollingUpdate/{name}"));
        let surges = field("maxSurge").is_some_and(|surge| part(surge, daemon.desired) > 0);
        let allowed = field("maxUnavailable").map_or(1, |budget| part(budget, daemon.desired));
        Self {
            max_unavailable: if surges { 0 } else { allowed.max(1) },
            min_ready: SignedDuration::from_secs(project::number(data, "/spec/minReadySeconds", 0)),
            daemon,
        }
    }
}

/// A number of pods, or a percentage of `nodes`, rounded up; of no nodes, what it would be of some.
fn part(value: &Value, nodes: i32) -> i32 {
    let pods = match value {
        Value::String(text) => text
            .strip_suffix('%')
            .and_then(|percent| percent.parse::<i64>().ok())
            .map(|percent| (i64::from(nodes.max(1)) * percent + 99) / 100),
        value => value.as_i64(),
    };
    pods.and_then(|pods| i32::try_from(pods).ok()).unwrap_or(0)
}

/// DaemonSets, by UID, whose Rollout names first nodes and no such node runs a pod.
#[derive(Debug, Default)]
pub(super) struct FirstNodes(Mutex<BTreeSet<String>>);

impl FirstNodes {
    /// What to tell people about it.
    pub(super) fn doubt(&self, uid: &str) -> Option<String> {
        self.lock().contains(uid).then(|| {
            "strategy.canary.firstNodes fits no node that runs the DaemonSet, so the steps follow the names of the nodes.".to_owned()
        })
    }

    /// Drops what is known.
    pub(super) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn learn(&self, uid: &str, some: bool) {
        if some {
            self.forget(uid);
        } else {
            self.lock().insert(uid.to_owned());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shell {
    /// The revisions of a DaemonSet as sets, and its numbers in the workload. Nothing for another kind.
    pub(super) async fn nodes_of(
        &self,
        rollout: &Rollout,
        workload: &mut Workload,
    ) -> Result<Option<Vec<Set>>> {
        let Some(nodes) = workload.nodes.clone() else {
            return Ok(None);
        };
        let daemon = &nodes.daemon;
        let crew = if daemon.is_uniform() {
            None
        } else {
            Some(self.crew(rollout, workload, &nodes).await?)
        };
        let members = crew.iter().flat_map(|crew| &crew.members);
        let needed: BTreeSet<&str> = members.map(|member| member.revision.as_str()).collect();
        let revisions = self.daemon_revisions(workload, daemon, &needed).await?;
        daemon.count(&mut workload.view, &revisions, crew.as_ref());
        let status = rollout.status.as_ref();
        let stable = status.and_then(|status| status.stable.as_ref());
        let promoted = status
            .filter(|status| matches!(status.phase, Phase::Promoting | Phase::Baking))
            .and_then(|status| status.candidate.as_ref());
        let known = Known {
            stable: stable.map(|stable| stable.hash.as_str()),
            promoted: promoted.map(|candidate| candidate.version.hash.as_str()),
        };
        let sets = daemon.sets(&revisions, crew.as_ref(), known);
        let set = |view| Set {
            namespace: workload.namespace.clone(),
            rollout: workload.rollout.clone(),
            owner_uid: Some(workload.view.uid.clone()),
            generation: 0,
            view,
        };
        Ok(Some(sets.into_iter().map(set).collect()))
    }

    /// The revisions of a DaemonSet from the oldest to the newest, `needed` and its template's among them.
    async fn daemon_revisions(
        &self,
        workload: &Workload,
        daemon: &Daemon,
        needed: &BTreeSet<&str>,
    ) -> Result<Arc<Vec<Revision>>> {
        let uid = &workload.view.uid;
        let has = |known: &[Revision], name: &str| known.iter().any(|known| known.name == name);
        if let Some(known) = self.world.revisions.known(uid)
            && needed.iter().all(|name| has(&known, name))
            && daemon.template.as_ref().is_none_or(|template| {
                let mut known = known.iter();
                known.any(|known| known.template.digest == template.digest)
            })
        {
            return Ok(known);
        }
        let api: Api<DynamicObject> = Api::namespaced_with(
            self.context.client.clone(),
            &workload.namespace,
            &revision_resource(),
        );
        let mut parameters = ListParams::default();
        parameters.label_selector.clone_from(&workload.selector);
        let list = bounded("listing revisions", api.list(&parameters)).await?;
        let mut listed: Vec<(i64, Revision)> = list
            .iter()
            .filter(|object| controller_uid(object.owner_references()) == Some(uid))
            .filter_map(|object| {
                let name = object.labels().get(CONTROLLER_REVISION_HASH)?.clone();
                let template = revision_template(&object.data)
                    .as_ref()
                    .map_or_else(|| unknown(&name), project::template_of);
                let number = project::number(&object.data, "/revision", 0);
                Some((number, Revision { name, template }))
            })
            .collect();
        listed.sort_by_key(|(number, _)| *number);
        let mut listed: Vec<Revision> = listed.into_iter().map(|(_, revision)| revision).collect();
        // Pods of a revision that was cleaned up are still to be seen.
        for name in needed {
            if !has(&listed, name) {
                let template = unknown(name);
                let name = (*name).to_owned();
                listed.insert(0, Revision { name, template });
            }
        }
        Ok(self.world.revisions.learn(uid, listed))
    }

    /// The DaemonSet's pods on nodes that are ready.
    async fn crew(&self, rollout: &Rollout, workload: &Workload, nodes: &Nodes) -> Result<Crew> {
        let api: Api<Pod> = Api::namespaced(self.context.client.clone(), &workload.namespace);
        let mut parameters = ListParams::default();
        parameters.label_selector.clone_from(&workload.selector);
        let list = bounded("listing pods", api.list(&parameters)).await?;
        let pods: Vec<Pod> = list
            .into_iter()
            .filter(|pod| controller_uid(pod.owner_references()) == Some(&workload.view.uid))
            .collect();
        let first = self.first_nodes(rollout).await?;
        if let Some(first) = &first {
            let some = pods.iter().any(|pod| first.contains(node_of(pod)));
            self.world.first_nodes.learn(&workload.view.uid, some);
        } else {
            self.world.first_nodes.forget(&workload.view.uid);
        }
        let now = Timestamp::now();
        let ready = if pods.iter().any(|pod| in_question(pod, nodes, now)) {
            Some(self.ready_nodes().await?)
        } else {
            None
        };
        Ok(crew(
            &pods,
            nodes,
            &first.unwrap_or_default(),
            ready.as_ref(),
            now,
        ))
    }

    /// Names of the nodes that are first, if the Rollout says which ones are.
    async fn first_nodes(&self, rollout: &Rollout) -> Result<Option<BTreeSet<String>>> {
        // A selector that can't be read refuses the plan.
        let Ok(Some(selector)) = rollout.spec.first_nodes() else {
            return Ok(None);
        };
        let api: Api<Node> = Api::all(self.context.client.clone());
        let parameters = ListParams::default().labels_from(&selector).match_any();
        let list = bounded("listing the first nodes", api.list_metadata(&parameters)).await?;
        Ok(Some(list.iter().map(kube::ResourceExt::name_any).collect()))
    }

    /// Names of all nodes, and whether they are ready.
    async fn ready_nodes(&self) -> Result<BTreeMap<String, bool>> {
        let api: Api<Node> = Api::all(self.context.client.clone());
        let parameters = ListParams::default().match_any();
        let list = bounded("listing nodes", api.list(&parameters)).await?;
        let is_ready = |node: &Node| {
            let conditions = node.status.as_ref().and_then(|s| s.conditions.as_ref());
            let mut conditions = conditions.into_iter().flatten();
            conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
        };
        Ok(list
            .iter()
            .map(|node| (node.name_any(), is_ready(node)))
            .collect())
    }
}

/// The node that a pod is on, or is made for.
fn node_of(pod: &Pod) -> &str {
    let Some(spec) = &pod.spec else { return "" };
    let bound = spec.node_name.as_deref();
    let terms = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| {
            affinity
                .required_during_scheduling_ignored_during_execution
                .as_ref()
        });
    let mut fields = terms
        .into_iter()
        .flat_map(|selector| &selector.node_selector_terms)
        .flat_map(|term| term.match_fields.iter().flatten());
    let made_for = fields
        .find(|field| field.key == "metadata.name")
        .and_then(|field| field.values.as_ref()?.first())
        .map(String::as_str);
    bound.or(made_for).unwrap_or_default()
}

/// Whether a pod has not been available for so long that its node may be the reason.
fn in_question(pod: &Pod, nodes: &Nodes, now: Timestamp) -> bool {
    if seen(pod, 0, nodes.min_ready, now).available {
        return false;
    }
    let metadata = &pod.metadata;
    let made_or_ended = metadata
        .deletion_timestamp
        .as_ref()
        .or(metadata.creation_timestamp.as_ref());
    made_or_ended.is_some_and(|at| now.duration_since(at.0) >= NODE_IN_QUESTION_AFTER)
}

/// The pods in the order of their nodes: the first nodes have the highest places, and of each kind those that are first by name.
fn crew(
    pods: &[Pod],
    nodes: &Nodes,
    first: &BTreeSet<String>,
    ready: Option<&BTreeMap<String, bool>>,
    now: Timestamp,
) -> Crew {
    let counts = |pod: &&Pod| {
        let on_ready_node =
            || ready.is_none_or(|ready| ready.get(node_of(pod)).copied().unwrap_or(false));
        seen(pod, 0, nodes.min_ready, now).available || on_ready_node()
    };
    let (mut present, lost): (Vec<&Pod>, Vec<&Pod>) = pods.iter().partition(counts);
    present.sort_by_key(|pod| {
        let node = node_of(pod);
        std::cmp::Reverse((!first.contains(node), node.to_owned(), pod.name_any()))
    });
    // Nodes that exist: pods of others are about to be forgotten, and are not wanted any more.
    let nodes_lost: BTreeSet<&str> = lost
        .iter()
        .map(|pod| node_of(pod))
        .filter(|node| ready.is_some_and(|ready| ready.contains_key(*node)))
        .collect();
    let members = present.iter().zip(0..).filter_map(|(pod, place)| {
        Some(Member {
            revision: pod.labels().get(CONTROLLER_REVISION_HASH)?.clone(),
            pod: seen(pod, place, nodes.min_ready, now),
        })
    });
    Crew {
        members: members.collect(),
        nodes_lost: i32::try_from(nodes_lost.len()).unwrap_or(i32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nodes(rolling: &Value) -> Nodes {
        let data = json!({
            "spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": rolling}},
            "status": {"desiredNumberScheduled": 10},
        });
        Nodes::of(&data, None)
    }

    fn pod(node: &str, bound: bool, ready: bool, made: Timestamp) -> Pod {
        let status = if ready { "True" } else { "False" };
        let mut spec = json!({"containers": [], "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}],
        }}}});
        if bound {
            spec["nodeName"] = json!(node);
        }
        serde_json::from_value(json!({
            "metadata": {"name": format!("agent-{node}"), "uid": node, "creationTimestamp": made.to_string(),
                "labels": {"controller-revision-hash": "5f"}},
            "spec": spec,
            "status": {"conditions": [{"type": "Ready", "status": status, "lastTransitionTime": made.to_string()}]},
        }))
        .unwrap()
    }

    #[test]
    fn the_budget_is_the_rolling_updates_also_while_it_is_held() {
        assert!(nodes(&json!({})).daemon.held);
        assert_eq!(nodes(&json!({})).max_unavailable, 1);
        assert_eq!(
            nodes(&json!({"maxUnavailable": "25%", "maxSurge": 0})).max_unavailable,
            3
        );
        assert_eq!(
            nodes(&json!({"maxUnavailable": 0, "maxSurge": "10%"})).max_unavailable,
            0
        );
    }

    #[test]
    fn first_nodes_come_first_and_the_others_by_name() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let pods = ["n2", "n4", "n1", "n3"].map(|node| pod(node, node != "n4", true, now));
        let first = BTreeSet::from(["n3".to_owned(), "n4".to_owned()]);
        let crew = crew(&pods, &nodes(&json!({})), &first, None, now);
        let mut members = crew.members;
        members.sort_by_key(|member| std::cmp::Reverse(member.pod.place));
        let order: Vec<&str> = members.iter().map(|m| m.pod.name.as_str()).collect();
        assert_eq!(order, ["agent-n3", "agent-n4", "agent-n1", "agent-n2"]);
    }

    #[test]
    fn pods_that_are_unavailable_with_their_node_do_not_count() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let long_ago = now - SignedDuration::from_mins(5);
        let pods = ["n1", "n2", "n3"].map(|node| pod(node, true, node == "n1", long_ago));
        let nodes = nodes(&json!({}));
        assert!(in_question(&pods[1], &nodes, now) && !in_question(&pods[0], &nodes, now));
        let ready = BTreeMap::from([("n1".to_owned(), true), ("n2".to_owned(), false)]);
        let crew = crew(&pods, &nodes, &BTreeSet::new(), Some(&ready), now);
        assert_eq!((crew.members.len(), crew.nodes_lost), (1, 1));
    }
}
