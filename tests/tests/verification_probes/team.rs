//! A team's namespace: it lets Belay in, and has an account that may run Jobs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use belay_api::{
    AnalysisTemplate,
    names::{PROBE_ANNOTATION, PROBE_LABEL},
};
use belay_lab::{Lab, wait_for};
use belay_tests::{
    installed::{NAME, NAMESPACE},
    scene::{SOON, Scene},
    workload::Workload,
};
use futures::StreamExt as _;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Secret, ServiceAccount},
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, PostParams},
    core::NamespaceResourceScope,
    runtime::{WatchStreamExt as _, watcher},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// The account that may run Jobs.
pub(super) const ACCOUNT: &str = "tester";

pub(super) struct Team {
    pub(super) scene: Scene,
}

impl Team {
    /// A team that has set everything up.
    pub(super) async fn new(lab: &Lab, name: &str) -> Self {
        let team = Self::without_rights(lab, name).await;
        team.give_rights().await;
        team
    }

    /// A team whose account may do nothing yet.
    pub(super) async fn without_rights(lab: &Lab, name: &str) -> Self {
        let team = Self {
            scene: Scene::new(lab, name).await.unwrap(),
        };
        team.make::<ServiceAccount>(json!({"metadata": {"name": ACCOUNT}}))
            .await;
        team.bind(
            "belay",
            "ClusterRole",
            &format!("{NAME}-tenant"),
            (NAME, NAMESPACE),
        )
        .await;
        team
    }

    /// Lets the account do what docs/concepts/probes.md says it needs.
    pub(super) async fn give_rights(&self) {
        self.make::<Role>(json!({"metadata": {"name": ACCOUNT}, "rules": [
            {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list", "watch", "delete"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
            {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        ]}))
        .await;
        let namespace = self.scene.namespace.as_str();
        self.bind(ACCOUNT, "Role", ACCOUNT, (ACCOUNT, namespace))
            .await;
    }

    async fn bind(&self, name: &str, kind: &str, role: &str, (account, namespace): (&str, &str)) {
        self.make::<RoleBinding>(json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
        }))
        .await;
    }

    pub(super) async fn secret(&self, name: &str, data: Value) {
        self.make::<Secret>(json!({"metadata": {"name": name}, "stringData": data}))
            .await;
    }

    /// A template of one gate.
    pub(super) async fn template(&self, name: &str, args: Value, gate: Value) {
        let mut gate = gate;
        gate["name"] = json!("run");
        self.make::<AnalysisTemplate>(json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": name},
            "spec": {"args": args, "gates": [gate]},
        }))
        .await;
    }

    /// A template whose Job runs this image; `more` goes into the spec of the Job.
    pub(super) async fn smoke_test(&self, image: &str, more: &Value) {
        let mut spec =
            json!({"template": {"spec": {"containers": [{"name": "test", "image": image}]}}});
        let fields = spec.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        let job = json!({"serviceAccountName": ACCOUNT, "spec": spec});
        self.template("smoke", json!([]), json!({"interval": "1s", "job": job}))
            .await;
    }

    pub(super) async fn workload(&self, steps: Value, gates: Value) -> Workload {
        let spec =
            json!({"strategy": {"canary": {"steps": steps}}, "verification": {"gates": gates}});
        self.scene.workload_with("web", 4, spec).await.unwrap()
    }

    pub(super) async fn make<K>(&self, object: Value)
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        let object: K = serde_json::from_value(object).unwrap();
        let api: Api<K> = self.scene.api();
        api.create(&PostParams::default(), &object).await.unwrap();
    }

    /// Waits until no Job is left.
    pub(super) async fn jobs_are_gone(&self) {
        let api: Api<Job> = self.scene.api();
        wait_for("the Jobs to be deleted", SOON, || async {
            let list = api.list(&ListParams::default()).await;
            match list {
                Ok(list) if list.items.is_empty() => Ok(()),
                Ok(list) => Err(format!("{} are left", list.items.len())),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
        .unwrap();
    }
}

/// Every Job that was ever there, by what it was for, with the UIDs that it had.
pub(super) struct JobWatch {
    seen: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
    task: JoinHandle<()>,
}

impl JobWatch {
    pub(super) fn begin(scene: &Scene) -> Self {
        let api: Api<Job> = scene.api();
        let seen: Arc<Mutex<BTreeMap<String, Vec<String>>>> = Arc::default();
        let noted = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let config = watcher::Config::default().labels(PROBE_LABEL);
            let mut events = Box::pin(watcher(api, config).default_backoff().applied_objects());
            while let Some(job) = events.next().await {
                let Ok(job) = job else { continue };
                let uid = job.uid().unwrap();
                let mut noted = noted.lock().unwrap();
                let uids = noted
                    .entry(job.annotations()[PROBE_ANNOTATION].clone())
                    .or_default();
                if !uids.contains(&uid) {
                    uids.push(uid);
                }
            }
        });
        Self { seen, task }
    }

    /// What Jobs were for, each of which must have existed once only.
    pub(super) fn each_once(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        for (what, uids) in &*seen {
            assert_eq!(uids.len(), 1, "{what} ran more than once");
        }
        seen.keys().cloned().collect()
    }
}

impl Drop for JobWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
