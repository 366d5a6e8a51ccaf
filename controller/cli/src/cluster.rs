//! The way to the cluster: the same kubeconfig, context, namespace and impersonation rules as kubectl's.

use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
    core::NamespaceResourceScope,
};

use crate::{Error, args::ClusterArgs};

/// A client, and the namespace that is meant.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

impl Cluster {
    pub(crate) async fn connect(args: &ClusterArgs) -> Result<Self, Error> {
        let config = config(args).await?;
        let namespace = args
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        Ok(Self {
            client: Client::try_from(config)?,
            namespace,
        })
    }

    /// The objects of one kind in the namespace that is meant.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

async fn config(args: &ClusterArgs) -> Result<Config, Error> {
    let no_cluster = |error: kube::config::KubeconfigError| Error::NoCluster(error.to_string());
    let file = match &args.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let options = KubeConfigOptions {
        context: args.context.clone(),
        ..KubeConfigOptions::default()
    };
    let mut config = match file {
        Ok(file) => Config::from_custom_kubeconfig(file, &options)
            .await
            .map_err(no_cluster)?,
        // Inside a pod there is a service account instead of a file; kubectl does the same.
        Err(error) if args.kubeconfig.is_none() && args.context.is_none() => {
            Config::incluster().map_err(|_| no_cluster(error))?
        }
        Err(error) => return Err(no_cluster(error)),
    };
    if let Some(user) = &args.as_user {
        config.auth_info.impersonate = Some(user.clone());
        config.auth_info.impersonate_groups =
            (!args.as_groups.is_empty()).then(|| args.as_groups.clone());
    }
    Ok(config)
}
