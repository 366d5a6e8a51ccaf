//! A shop in a namespace of its own, and a route from the gateway to it.

use std::time::Duration;

use belay_lab::{
    GATEWAY_NAME, GATEWAY_NAMESPACE, Lab, RunningTraffic, Tally, Traffic, wait_for, wait_for_object,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::ListParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::Error;

/// Longest wait for anything that should happen soon; only a test that fails waits so long.
pub const SOON: Duration = Duration::from_mins(2);
/// A request that takes longer is lost. Far longer than any, for a busy machine is not what is tested.
const PATIENCE: Duration = Duration::from_secs(30);
/// The shop's pods are given so long to end.
const GRACE_SECONDS: u32 = 10;

/// A namespace and a host name that lead to each other.
pub struct Shop<'a> {
    /// The lab.
    pub lab: &'a Lab,
    /// An administrator.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
}

impl<'a> Shop<'a> {
    /// A fresh namespace.
    pub async fn open(lab: &'a Lab, prefix: &str) -> Result<Self, Error> {
        Ok(Self {
            lab,
            client: lab.client()?,
            namespace: lab.namespace(prefix).await?,
        })
    }

    /// The host name of its routes.
    pub fn host(&self) -> String {
        format!("{}.example", self.namespace)
    }

    /// Creates or changes one object of this namespace.
    pub async fn apply(&self, mut object: Value) -> Result<(), Error> {
        if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
            metadata.insert("namespace".to_owned(), json!(self.namespace));
        }
        Ok(self.lab.apply(&object.to_string()).await?)
    }

    /// Creates or changes a Deployment and waits until all its pods are of this image and ready.
    pub async fn deployment(&self, name: &str, image: &str, replicas: i32) -> Result<(), Error> {
        self.apply(deployment(name, image, replicas)).await?;
        self.rolled_out(name, replicas).await
    }

    /// Waits until a Deployment has done what it was last asked for.
    pub async fn rolled_out(&self, name: &str, replicas: i32) -> Result<(), Error> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let done = |object: Option<&Deployment>| {
            let object = object.ok_or("it does not exist")?;
            let status = object.status.as_ref().ok_or("it has no status")?;
            let done = status.observed_generation == object.metadata.generation
                && status.updated_replicas == Some(replicas)
                && status.ready_replicas == Some(replicas)
                && status.replicas == Some(replicas);
            done.then_some(()).ok_or_else(|| format!("{status:?}"))
        };
        Ok(wait_for_object(&api, name, SOON, done).await?)
    }

    /// Creates a Service of the pods with this label `app`.
    pub async fn service(&self, name: &str, app: &str) -> Result<(), Error> {
        self.apply(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": app}, "ports": [{"port": 80, "targetPort": 8080}]},
        }))
        .await
    }

    /// Creates or changes an `HTTPRoute` from the gateway to these Services by weight.
    pub async fn http_route(&self, name: &str, weights: &[(&str, u32)]) -> Result<(), Error> {
        let backends = weights.iter();
        let backends: Vec<Value> = backends
            .map(|(service, weight)| json!({"name": service, "port": 80, "weight": weight}))
            .collect();
        self.apply(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": name},
            "spec": {
                "parentRefs": [{"name": GATEWAY_NAME, "namespace": GATEWAY_NAMESPACE}],
                "hostnames": [self.host()],
                "rules": [{"backendRefs": backends}],
            },
        }))
        .await
    }

    /// Traffic for this shop through the gateway, to be changed and started.
    pub fn traffic(&self) -> Result<Traffic, Error> {
        let traffic = Traffic::to(self.lab.gateway_url()?).timeout(PATIENCE);
        Ok(traffic.host(&self.host())?)
    }

    /// Waits until requests are answered by pods: a route is in force a moment after its creation.
    pub async fn answers(&self) -> Result<(), Error> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let (url, host) = (self.lab.gateway_url()?, self.host());
        let answered = wait_for("an answer through the gateway", SOON, || async {
            let request = client.get(&url).header("host", &host).timeout(PATIENCE);
            let answer = request.send().await.map_err(|error| error.to_string())?;
            let status = answer.status();
            status
                .is_success()
                .then_some(())
                .ok_or_else(|| status.to_string())
        });
        Ok(answered.await?)
    }

    /// The pods of a workload that are not being deleted.
    pub async fn pods(&self, app: &str) -> Result<Vec<Pod>, Error> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let selected = ListParams::default().labels(&format!("app={app}"));
        let mut pods = api.list(&selected).await?.items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(pods)
    }
}

/// Waits for so many answers from now on, and tells what became of the requests meanwhile.
pub async fn from_now_on(traffic: &RunningTraffic, answers: u64) -> Result<Tally, Error> {
    let begun = Instant::now();
    let what = format!("{answers} answers");
    let counted = wait_for(&what, SOON, || async {
        let tally = traffic.tally_of_last(begun.elapsed());
        if tally.answered >= answers {
            Ok(tally)
        } else {
            Err(format!("{tally:?}"))
        }
    });
    Ok(counted.await?)
}

/// Waits until the last answers' share of a version is within two points of `percent`: a weight is in force a moment after its change.
pub async fn share_becomes(
    traffic: &RunningTraffic,
    version: &str,
    percent: f64,
) -> Result<(), Error> {
    let what = format!("a share of {percent} % for {version}");
    let near = wait_for(&what, SOON, || async {
        let tally = traffic.tally_of_last(Duration::from_secs(2));
        let share = tally.share(version) * 100.0;
        let near = tally.ended > 0 && (share - percent).abs() <= 2.0;
        near.then_some(()).ok_or_else(|| format!("{share:.1} %"))
    });
    Ok(near.await?)
}

fn deployment(name: &str, image: &str, replicas: i32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": GRACE_SECONDS,
                    "containers": [{"name": "main", "image": image, "ports": [{"containerPort": 8080}]}],
                },
            },
        },
    })
}
