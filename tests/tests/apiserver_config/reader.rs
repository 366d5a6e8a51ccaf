//! A workload whose pods read a ConfigMap in every way there is, and what they read.

use std::collections::BTreeMap;

use belay_api::names::CONFIG_COPY_LABEL;
use belay_engine::{
    config::STAMP_ANNOTATION,
    rollout::{RolloutStatus, status::Phase},
};
use belay_lab::{wait_for, wait_for_object};
use belay_tests::{
    scene::{SOON, Scene},
    workload::Workload,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod},
};
use kube::{
    ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// A scene with a workload that reads the ConfigMap `settings`.
pub(crate) struct Reader {
    pub(crate) scene: Scene,
    pub(crate) web: Workload,
}

/// The pod template as it would lie in Git.
pub(crate) fn template(name: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "volumes": [
                {"name": "files", "configMap": {"name": "settings"}},
                {"name": "all", "projected": {"sources": [{"configMap": {"name": "settings"}}]}},
                {"name": "extra", "configMap": {"name": "never-there", "optional": true}},
            ],
            "initContainers": [{"name": "first", "image": "first:1", "envFrom": [{"configMapRef": {"name": "settings"}}]}],
            "containers": [{"name": "main", "image": format!("{name}:v1"),
                "env": [{"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "key"}}}],
                "envFrom": [{"configMapRef": {"name": "settings"}}]}],
        },
    })
}

pub(crate) fn deployment(name: &str, replicas: i32, template: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": template,
        },
    })
}

impl Reader {
    /// A healthy workload whose configuration says `one`.
    pub(crate) async fn new(
        lab: &belay_lab::Lab,
        prefix: &str,
        replicas: i32,
        steps: &Value,
    ) -> Self {
        let scene = Scene::new(lab, prefix).await.unwrap();
        scene.gate("gate", "vector(0)").await.unwrap();
        let reader = Self {
            web: Workload::existing(&scene.client, &scene.namespace, "web"),
            scene,
        };
        reader.configure("one").await;
        let spec = json!({"strategy": {"canary": {"steps": steps}}, "verification": {"gates": [{"template": "gate"}]}});
        reader.govern("web", replicas, &template("web"), spec).await;
        reader
    }

    /// Makes a Deployment and its Rollout, and waits until its configuration is noted.
    pub(crate) async fn govern(
        &self,
        name: &str,
        replicas: i32,
        template: &Value,
        mut spec: Value,
    ) {
        let web = Workload::existing(&self.scene.client, &self.scene.namespace, name);
        let deployment = serde_json::from_value(deployment(name, replicas, template)).unwrap();
        let made = PostParams::default();
        web.deployments().create(&made, &deployment).await.unwrap();
        spec["workloadRef"] = json!({"name": name});
        let rollout = json!({"apiVersion": "belay.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": name}, "spec": spec});
        let rollout = serde_json::from_value(rollout).unwrap();
        web.rollouts().create(&made, &rollout).await.unwrap();
        web.settled(Phase::Healthy, "v1", SOON).await.unwrap();
        noted(&web).await;
    }

    /// Sets what the ConfigMap says.
    pub(crate) async fn configure(&self, value: &str) {
        let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"key": value}});
        let apply = PatchParams::apply("kustomize-controller").force();
        let api = self.scene.api::<ConfigMap>();
        api.patch("settings", &apply, &Patch::Apply(settings))
            .await
            .unwrap();
    }

    /// Applies the Deployment as it lies in Git, as Flux does.
    pub(crate) async fn apply(&self, replicas: i32) {
        let whole = deployment("web", replicas, &template("web"));
        let apply = PatchParams::apply("kustomize-controller").force();
        self.web
            .deployments()
            .patch("web", &apply, &Patch::Apply(whole))
            .await
            .unwrap();
    }

    /// Waits until live pods read this, by number. Each pod must read the same by every way.
    pub(crate) async fn read(&self, name: &str, expected: &[(&str, usize)]) {
        let expected: BTreeMap<String, usize> = expected
            .iter()
            .map(|(value, pods)| ((*value).to_owned(), *pods))
            .collect();
        wait_for(
            "the pods to read their version's configuration",
            SOON,
            || async {
                let mut found = BTreeMap::new();
                for pod in self.pods(name).await {
                    *found.entry(self.value(&pod).await).or_insert(0) += 1;
                }
                if found == expected {
                    Ok(())
                } else {
                    Err(format!("{found:?}, not {expected:?}"))
                }
            },
        )
        .await
        .unwrap();
    }

    pub(crate) async fn pods(&self, name: &str) -> Vec<Pod> {
        let list = ListParams::default().labels(&format!("app={name}"));
        let pods = self.scene.api::<Pod>().list(&list).await.unwrap();
        pods.into_iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .collect()
    }

    /// What a pod reads: the value in the ConfigMap that all its references name.
    async fn value(&self, pod: &Pod) -> String {
        let names = names(pod);
        let [name] = names.as_slice() else {
            panic!("{} reads several: {names:?}", pod.name_any());
        };
        let map = self.scene.api::<ConfigMap>().get_opt(name).await.unwrap();
        let data = map.and_then(|map| map.data).unwrap_or_default();
        let value = data.get("key").cloned().unwrap_or_default();
        let live = if name == "settings" { "live " } else { "" };
        format!("{live}{value}")
    }

    /// Names of all copies in the namespace.
    pub(crate) async fn copies(&self) -> Vec<String> {
        let list = ListParams::default().labels(CONFIG_COPY_LABEL);
        let copies = self.scene.api::<ConfigMap>().list(&list).await.unwrap();
        copies.into_iter().map(|copy| copy.name_any()).collect()
    }

    /// Waits for the canary's only step to hold.
    pub(crate) async fn on_trial(&self) -> RolloutStatus {
        self.web.waits_for("Hold").await.unwrap()
    }

    /// Ends all but `keep` pods of the version with this value, so that others are made in their place.
    pub(crate) async fn replace_a_pod(&self) {
        let pods = self.pods("web").await;
        let stable = self.web.status().await.unwrap().stable.unwrap().hash;
        let pod = pods
            .iter()
            .find(|pod| pod.labels().get("pod-template-hash") == Some(&stable))
            .unwrap();
        let name = pod.name_any();
        let api = self.scene.api::<Pod>();
        api.delete(&name, &kube::api::DeleteParams::default())
            .await
            .unwrap();
        wait_for_object(&api, &name, SOON, |pod: Option<&Pod>| {
            pod.map_or(Ok(()), |_| Err("it is still there".to_owned()))
        })
        .await
        .unwrap();
    }
}

/// Waits until the Deployment's template has a stamp and rolls by itself again.
pub(crate) async fn noted(web: &Workload) {
    wait_for_object(
        &web.deployments(),
        &web.name,
        SOON,
        |d: Option<&Deployment>| {
            let spec = d.and_then(|d| d.spec.as_ref()).ok_or("no Deployment")?;
            match (stamp(spec), spec.paused.unwrap_or_default()) {
                (Some(_), false) => Ok(()),
                other => Err(format!("stamp and pause: {other:?}")),
            }
        },
    )
    .await
    .unwrap();
}

fn stamp(spec: &k8s_openapi::api::apps::v1::DeploymentSpec) -> Option<String> {
    let metadata = spec.template.metadata.as_ref()?;
    metadata
        .annotations
        .as_ref()?
        .get(STAMP_ANNOTATION)
        .cloned()
}

/// Names of ConfigMaps that a pod refers to, each once, without the cluster's own and those of the test that don't exist.
fn names(pod: &Pod) -> Vec<String> {
    let spec = serde_json::to_value(&pod.spec).unwrap();
    let mut references = belay_engine::config::references(&json!({ "spec": spec }));
    references.retain(|reference| {
        reference.kind == belay_engine::config::ConfigKind::ConfigMap
            && !["kube-root-ca.crt", "never-there"].contains(&reference.name.as_str())
    });
    references
        .into_iter()
        .map(|reference| reference.name)
        .collect()
}
