//! Another cluster that a tenant's Releases bring their objects into: an API server with nothing behind it.

use std::{fmt::Debug, time::Duration};

use belay_lab::{Lab, wait_for};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace, Secret, ServiceAccount},
    rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    Error,
    tenant::{ACCOUNT, Tenant, wait_for_value},
};

const RBAC: &str = "rbac.authorization.k8s.io";

/// The other cluster, as far as it is one tenant's.
pub struct Abroad<'a> {
    lab: &'a Lab,
    /// Administrator of it.
    pub client: Client,
    /// The namespace, of the same name as the tenant's.
    pub namespace: String,
}

impl<'a> Abroad<'a> {
    /// Makes a namespace for `tenant` in the cluster `lab`.
    pub async fn open(lab: &'a Lab, tenant: &Tenant) -> Result<Self, Error> {
        let abroad = Self {
            lab,
            client: lab.client()?,
            namespace: tenant.namespace.clone(),
        };
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"name": abroad.namespace}}))?;
        Api::all(abroad.client.clone())
            .create(&PostParams::default(), &namespace)
            .await?;
        Ok(abroad)
    }

    /// A kubeconfig of a new account there, which may manage ConfigMaps in the namespace, and tell the cluster.
    pub async fn kubeconfig(&self, account: &str) -> Result<String, Error> {
        let name = format!("{}-{account}", self.namespace);
        let subjects =
            json!([{"kind": "ServiceAccount", "name": account, "namespace": self.namespace}]);
        let reference = |kind: &str| json!({"apiGroup": RBAC, "kind": kind, "name": name});
        let metadata = json!({"name": name});
        self.make::<ServiceAccount>(json!({"metadata": {"name": account}}))
            .await?;
        self.make::<Role>(json!({"metadata": metadata, "rules": [
            {"apiGroups": ["", "autoscaling"], "resources": ["configmaps", "horizontalpodautoscalers"],
             "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"]},
        ]}))
        .await?;
        self.make::<RoleBinding>(
            json!({"metadata": metadata, "roleRef": reference("Role"), "subjects": subjects}),
        )
        .await?;
        let role: ClusterRole = serde_json::from_value(json!({"metadata": metadata, "rules": [
            {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"]},
        ]}))?;
        let binding: ClusterRoleBinding = serde_json::from_value(
            json!({"metadata": metadata, "roleRef": reference("ClusterRole"), "subjects": subjects}),
        )?;
        let parameters = PostParams::default();
        Api::all(self.client.clone())
            .create(&parameters, &role)
            .await?;
        Api::all(self.client.clone())
            .create(&parameters, &binding)
            .await?;
        let token = self
            .lab
            .service_account_token(&self.namespace, account)
            .await?;
        let file = self.lab.kubeconfig_for_token(&name, &token)?;
        std::fs::read_to_string(&file).map_err(Error::io("read a kubeconfig"))
    }

    /// Takes an account away, and waits until its token is worth nothing.
    pub async fn revoke(&self, account: &str, token: &str, within: Duration) -> Result<(), Error> {
        let accounts = self.api::<ServiceAccount>();
        accounts.delete(account, &DeleteParams::default()).await?;
        let client = self.lab.client_for_token(token)?;
        wait_for("the token to be refused", within, || async {
            match client.apiserver_version().await {
                Err(kube::Error::Api(status)) if status.code == 401 => Ok(()),
                answer => Err(format!("{answer:?}")),
            }
        })
        .await?;
        Ok(())
    }

    /// UID of the cluster.
    pub async fn uid(&self) -> Result<Option<String>, Error> {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        Ok(namespaces.get("kube-system").await?.uid())
    }

    /// Objects of one kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates an object.
    pub async fn make<K>(&self, object: Value) -> Result<K, Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let object: K = serde_json::from_value(object)?;
        Ok(self.api().create(&PostParams::default(), &object).await?)
    }

    /// One value of a ConfigMap there, if it is there.
    pub async fn value(&self, map: &str) -> Result<Option<String>, Error> {
        let map = self.api::<ConfigMap>().get_opt(map).await?;
        Ok(map.and_then(|map| map.data?.remove("value")))
    }

    /// Waits until the value of a ConfigMap there is as wanted (`None`: it is not there).
    pub async fn value_is(
        &self,
        map: &str,
        wanted: Option<&str>,
        within: Duration,
    ) -> Result<(), Error> {
        let what = format!("ConfigMap {map} abroad to be {wanted:?}");
        wait_for_value(&what, within, wanted, || self.value(map)).await
    }
}

/// The token in a kubeconfig.
pub fn token_of(kubeconfig: &str) -> Result<String, Error> {
    let config: Value =
        serde_saphyr::from_str(kubeconfig).map_err(|error| Error::Broken(error.to_string()))?;
    let token = config
        .pointer("/users/0/user/token")
        .and_then(Value::as_str);
    token
        .map(str::to_owned)
        .ok_or_else(|| Error::Broken("a kubeconfig without a token".to_owned()))
}

impl Tenant {
    /// Keeps `kubeconfig` in the Secret `name`, which the tenant's account may read, and nothing else of its kind.
    pub async fn keep_kubeconfig(&self, name: &str, kubeconfig: &str) -> Result<(), Error> {
        self.make::<Secret>(
            json!({"metadata": {"name": name}, "stringData": {"value": kubeconfig}}),
        )
        .await?;
        let role = format!("read-{name}");
        self.make::<Role>(json!({"metadata": {"name": role}, "rules": [
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get", "list", "watch"]},
        ]}))
        .await?;
        self.make::<RoleBinding>(json!({"metadata": {"name": role},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": self.namespace}]}))
            .await?;
        Ok(())
    }

    /// Puts another kubeconfig into the Secret `name`.
    pub async fn change_kubeconfig(&self, name: &str, kubeconfig: &str) -> Result<(), Error> {
        let patch = json!({"stringData": {"value": kubeconfig}});
        let secrets = self.api::<Secret>();
        secrets
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
        Ok(())
    }
}
