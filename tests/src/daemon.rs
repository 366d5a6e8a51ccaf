//! A governed DaemonSet on nodes of its own, as tests change it and look at it.

use belay_api::Rollout;
use belay_engine::rollout::status::Phase;
use belay_lab::wait_for;
use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{Node, Pod},
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    Error,
    in_place::{self, Pods},
    scene::{SOON, Scene},
    workload::Workload,
};

/// A DaemonSet of the name `agent` that runs on the nodes of its test only, and its Rollout of the same name.
pub struct Agent {
    /// DaemonSets of its namespace.
    pub sets: Api<DaemonSet>,
    /// Its Rollout.
    pub rollout: Workload,
    nodes: Api<Node>,
    pods: Api<Pod>,
    pool: String,
}

impl Agent {
    /// A healthy one that runs `v1` on these nodes, each with its `tier`. `spec` is its Rollout's spec without the `workloadRef`.
    pub async fn healthy(
        scene: &Scene,
        nodes: &[(&str, &str)],
        spec: Value,
    ) -> Result<Self, Error> {
        let agent = Self {
            sets: scene.api(),
            pods: scene.api(),
            rollout: Workload::existing(&scene.client, &scene.namespace, "agent"),
            nodes: Api::all(scene.client.clone()),
            pool: scene.namespace.clone(),
        };
        for (node, tier) in nodes {
            agent.join(node, tier).await?;
        }
        let parameters = PostParams::default();
        agent
            .sets
            .create(&parameters, &serde_json::from_value(agent.manifest("v1"))?)
            .await?;
        agent.runs(&vec!["v1"; nodes.len()]).await?;
        let rollouts = agent.rollout.rollouts();
        rollouts.create(&parameters, &rollout(spec)?).await?;
        agent.rollout.settled(Phase::Healthy, "v1", SOON).await?;
        Ok(agent)
    }

    fn manifest(&self, tag: &str) -> Value {
        json!({
            "metadata": {"name": "agent"},
            "spec": {
                "updateStrategy": {"type": "RollingUpdate"},
                "selector": {"matchLabels": {"app": "agent"}},
                "template": {
                    "metadata": {"labels": {"app": "agent"}},
                    "spec": {
                        "nodeSelector": {"pool": self.pool}, "tolerations": [{"operator": "Exists"}],
                        "terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": format!("agent:{tag}")}],
                    },
                },
            },
        })
    }

    /// A node joins, which only this DaemonSet's pods tolerate.
    pub async fn join(&self, node: &str, tier: &str) -> Result<(), Error> {
        let name = format!("{}-{node}", self.pool);
        let node = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"pool": self.pool, "tier": tier}},
            "spec": {"taints": [{"key": "pool", "value": self.pool, "effect": "NoSchedule"}]},
        }))?;
        self.nodes.create(&PostParams::default(), &node).await?;
        Ok(())
    }

    /// A node leaves.
    pub async fn leave(&self, node: &str) -> Result<(), Error> {
        let name = format!("{}-{node}", self.pool);
        self.nodes.delete(&name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Asks for another version as GitOps tools do, with the whole manifest, which says that it rolls.
    pub async fn apply(&self, tag: &str) -> Result<(), Error> {
        let parameters = PatchParams::default();
        let patch = Patch::Strategic(self.manifest(tag));
        self.sets.patch("agent", &parameters, &patch).await?;
        Ok(())
    }

    /// The type of its update strategy.
    pub async fn strategy(&self) -> Result<String, Error> {
        let set = self.sets.get("agent").await?;
        let strategy = set.spec.and_then(|spec| spec.update_strategy);
        Ok(strategy
            .and_then(|strategy| strategy.type_)
            .unwrap_or_default())
    }

    /// Waits until it is held, or rolls by itself, as this type of its update strategy says.
    pub async fn strategy_is(&self, wanted: &str) -> Result<(), Error> {
        let what = format!("the update strategy {wanted}");
        let is = wait_for(&what, SOON, || async {
            let strategy = self.strategy().await.map_err(|error| error.to_string())?;
            (strategy == wanted).then_some(()).ok_or(strategy)
        });
        Ok(is.await?)
    }

    /// The tag of the image that its template asks for.
    pub async fn tag(&self) -> Result<String, Error> {
        let set = self.sets.get("agent").await?;
        let pod = set.spec.and_then(|spec| spec.template.spec);
        let image = pod.and_then(|pod| pod.containers.into_iter().next()?.image);
        Ok(image.unwrap_or_default().replace("agent:", ""))
    }

    /// Its pods that are not going away, by node.
    pub async fn pods(&self) -> Result<Pods, Error> {
        let pool = format!("{}-", self.pool);
        let node = |pod: &Pod| Some(pod.spec.as_ref()?.node_name.as_ref()?.replace(&pool, ""));
        in_place::live(&self.pods, "agent", node).await
    }

    /// Waits until its pods, in the order of their nodes, are of these versions.
    pub async fn runs(&self, tags: &[&str]) -> Result<Pods, Error> {
        in_place::runs(|| self.pods(), tags).await
    }
}

/// The Rollout `agent` with this spec, which lacks only its `workloadRef`.
pub fn rollout(spec: Value) -> Result<Rollout, Error> {
    in_place::rollout("DaemonSet", "agent", spec)
}

/// A spec with these steps, which begin on nodes of the tier `edge`, and gates.
pub fn canary(steps: &Value, gates: &[&str]) -> Value {
    let gates: Vec<Value> = gates.iter().map(|gate| json!({"template": gate})).collect();
    let first = json!({"matchLabels": {"tier": "edge"}});
    json!({"strategy": {"canary": {"steps": steps, "firstNodes": first}}, "verification": {"gates": gates}})
}
