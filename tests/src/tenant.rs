//! A tenant with a Git repository, a service account and a Release: what a team that uses Belay has.

use std::{fmt::Debug, time::Duration};

use belay_api::{Action, Release};
use belay_engine::release::{Phase, ReleaseStatus};
use belay_lab::{GitRepo, Lab, wait_for, wait_for_object};
use k8s_openapi::api::{
    core::v1::{ConfigMap, ServiceAccount},
    rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
};
use kube::{Api, Client, api::PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    Error,
    installed::{NAME, NAMESPACE},
    told::condition,
};

/// Service account in whose name the tenant's Releases are applied.
pub const ACCOUNT: &str = "deployer";

/// A namespace that lets Belay in, with an account that may manage the usual kinds in it, and a repository.
pub struct Tenant {
    /// Administrator of the cluster.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
    /// The repository.
    pub repo: GitRepo,
}

impl Tenant {
    /// A new tenant; `name` starts its namespace's name.
    pub async fn create(lab: &Lab, name: &str) -> Result<Self, Error> {
        let namespace = lab.namespace(name).await?;
        let tenant = Self {
            client: lab.client()?,
            repo: lab.create_repo(&namespace).await?,
            namespace,
        };
        tenant
            .make::<ServiceAccount>(json!({"metadata": {"name": ACCOUNT}}))
            .await?;
        tenant
            .make::<Role>(json!({"metadata": {"name": ACCOUNT}, "rules": [
                {"apiGroups": ["", "apps", "batch", "autoscaling", "belay.dev", "networking.k8s.io"],
                 "resources": ["configmaps", "services", "deployments", "statefulsets", "daemonsets", "jobs", "horizontalpodautoscalers", "rollouts",
                     "analysistemplates", "networkpolicies"],
                 "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"]},
            ]}))
            .await?;
        let subject = |name: &str, namespace: &str| json!([{"kind": "ServiceAccount", "name": name, "namespace": namespace}]);
        let group = "rbac.authorization.k8s.io";
        tenant
            .make::<RoleBinding>(json!({"metadata": {"name": ACCOUNT},
                "roleRef": {"apiGroup": group, "kind": "Role", "name": ACCOUNT},
                "subjects": subject(ACCOUNT, &tenant.namespace)}))
            .await?;
        tenant
            .make::<RoleBinding>(json!({"metadata": {"name": "belay"},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": format!("{NAME}-tenant")},
                "subjects": subject(NAME, NAMESPACE)}))
            .await?;
        Ok(tenant)
    }

    /// Gives the tenant's account rights in the whole cluster.
    pub async fn allow_cluster(&self, rules: &Value) -> Result<(), Error> {
        let name = format!("{}-{ACCOUNT}", self.namespace);
        let role: ClusterRole =
            serde_json::from_value(json!({"metadata": {"name": name}, "rules": rules}))?;
        let binding: ClusterRoleBinding = serde_json::from_value(json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": self.namespace}],
        }))?;
        let parameters = PostParams::default();
        Api::all(self.client.clone())
            .create(&parameters, &role)
            .await?;
        Api::all(self.client.clone())
            .create(&parameters, &binding)
            .await?;
        Ok(())
    }

    /// Objects of one kind in the tenant's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates an object.
    pub async fn make<K>(&self, object: Value) -> Result<K, Error>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + Debug
            + serde::Serialize
            + DeserializeOwned,
    {
        let object: K = serde_json::from_value(object)?;
        Ok(self.api().create(&PostParams::default(), &object).await?)
    }

    /// Creates the Release `shop`, which follows `main` of the tenant's repository. `more` goes into its spec.
    pub async fn release(&self, more: &Value) -> Result<Release, Error> {
        let mut spec = json!({
            "source": {"git": {"url": self.repo.url(), "ref": {"branch": "main"}, "interval": "1s"}},
            "serviceAccountName": ACCOUNT,
        });
        merge(&mut spec, more);
        let release = json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Release", "metadata": {"name": "shop"}, "spec": spec,
        });
        self.make(release).await
    }

    /// Waits until the status of Release `shop` is as wanted.
    pub async fn wait(
        &self,
        what: &str,
        within: Duration,
        wanted: impl Fn(&ReleaseStatus) -> bool,
    ) -> Result<ReleaseStatus, Error> {
        let probe = |release: Option<&Release>| {
            let status = release.and_then(|release| release.status.clone());
            match status {
                Some(status) if wanted(&status) => Ok(status),
                Some(status) => Err(format!("not yet {what}: {}", describe(&status))),
                None => Err(format!("not yet {what}: no status")),
            }
        };
        Ok(wait_for_object(&self.api::<Release>(), "shop", within, probe).await?)
    }

    /// Waits until Release `shop` is in `phase`, and was asked for `commit` if that is given.
    pub async fn phase(
        &self,
        phase: Phase,
        commit: &str,
        within: Duration,
    ) -> Result<ReleaseStatus, Error> {
        self.wait(&format!("{phase:?} at {commit}"), within, |status| {
            let asked = status
                .asked
                .as_ref()
                .is_some_and(|asked| asked.revision.ends_with(commit));
            let refused = status
                .refused
                .as_ref()
                .is_some_and(|refused| refused.revision.ends_with(commit));
            status.phase == phase && (asked || refused)
        })
        .await
    }

    /// A person's act on Release `shop`.
    pub async fn act(&self, verb: &str) -> Result<Action, Error> {
        self.make(json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Action", "metadata": {"generateName": "act-"},
            "spec": {"target": {"kind": "Release", "name": "shop"}, "verb": verb},
        }))
        .await
    }

    /// Waits until the value of a ConfigMap is as wanted (`None`: it is not there).
    pub async fn value_is(
        &self,
        map: &str,
        wanted: Option<&str>,
        within: Duration,
    ) -> Result<(), Error> {
        let what = format!("ConfigMap {map} to be {wanted:?}");
        wait_for_value(&what, within, wanted, || self.value(map, "value")).await
    }

    /// One value of a ConfigMap, if it is there.
    pub async fn value(&self, map: &str, key: &str) -> Result<Option<String>, Error> {
        let map = self.api::<ConfigMap>().get_opt(map).await?;
        Ok(map.and_then(|map| map.data?.remove(key)))
    }
}

/// Waits until a value is as wanted (`None`: there is none).
pub(crate) async fn wait_for_value<F: Future<Output = Result<Option<String>, Error>>>(
    what: &str,
    within: Duration,
    wanted: Option<&str>,
    read: impl Fn() -> F,
) -> Result<(), Error> {
    wait_for(what, within, || async {
        let value = read().await.map_err(|error| error.to_string())?;
        if value.as_deref() == wanted {
            Ok(())
        } else {
            Err(format!("it is {value:?}"))
        }
    })
    .await?;
    Ok(())
}

fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

fn describe(status: &ReleaseStatus) -> String {
    let ready = condition(&status.conditions, "Ready");
    format!(
        "{:?}, asked {:?}, {}",
        status.phase,
        status.asked.as_ref().map(|asked| asked.revision.as_str()),
        ready.map_or("no condition", |ready| ready.message.as_str()),
    )
}

/// A Rollout of the Deployment of the same name as a file: one step, with the gate of template `gate`.
pub fn rollout(name: &str, gate: &str) -> String {
    format!(
        "apiVersion: belay.dev/v1alpha1\nkind: Rollout\nmetadata:\n  name: {name}\nspec:\n  workloadRef:\n    name: {name}\n  strategy:\n    \
         canary:\n      steps:\n      - replicas: 1\n  verification:\n    gates:\n    - template: {gate}\n"
    )
}

/// A template of one gate that asks for the value of `query`, which must not be above a half.
pub fn gate(name: &str, query: &str) -> String {
    format!(
        "apiVersion: belay.dev/v1alpha1\nkind: AnalysisTemplate\nmetadata:\n  name: {name}\nspec:\n  gates:\n  - name: value\n    \
         interval: 1s\n    prometheus:\n      query: {query:?}\n      threshold:\n        max: 0.5\n"
    )
}

/// A ConfigMap as a file.
pub fn config_map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: {value:?}\n"
    )
}

/// A Deployment as a file; its pods take `config` as an environment.
pub fn deployment(name: &str, image: &str, replicas: i32, config: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n  replicas: {replicas}\n  selector:\n    matchLabels:\n      \
         app: {name}\n  template:\n    metadata:\n      labels:\n        app: {name}\n    spec:\n      containers:\n      - name: main\n        \
         image: {image}\n        envFrom:\n        - configMapRef:\n            name: {config}\n"
    )
}
