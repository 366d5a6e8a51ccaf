//! One test's own namespace on a stage, with the words that tests of Rollouts need.

use std::time::Duration;

use belay_api::{Action, ActionStatus, AnalysisTemplate, Rollout};
use belay_engine::{
    gate::Verdict,
    rollout::{RolloutStatus, status::Phase},
};
use belay_lab::{Lab, wait_for_object};
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{Error, told, workload::Workload};

/// Longest wait for anything that should happen soon; only a test that fails waits so long.
pub const SOON: Duration = Duration::from_mins(1);

/// A namespace and who looks at it.
pub struct Scene {
    /// An administrator.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
}

impl Scene {
    /// A fresh namespace.
    pub async fn new(lab: &Lab, prefix: &str) -> Result<Self, Error> {
        Ok(Self {
            client: lab.client()?,
            namespace: lab.namespace(prefix).await?,
        })
    }

    /// Creates a template with one gate that asks `query` each second and takes at most 0.5.
    pub async fn gate(&self, name: &str, query: &str) -> Result<(), Error> {
        let template: AnalysisTemplate = serde_json::from_value(json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": name},
            "spec": {"gates": [{"name": "value", "interval": "1s",
                "prometheus": {"query": query, "threshold": {"max": 0.5}}}]},
        }))?;
        let api: Api<AnalysisTemplate> = self.api();
        api.create(&PostParams::default(), &template).await?;
        Ok(())
    }

    /// Changes what that gate asks.
    pub async fn set_query(&self, name: &str, query: &str) -> Result<(), Error> {
        let patch = serde_json::from_value(json!([
            {"op": "replace", "path": "/spec/gates/0/prometheus/query", "value": query},
        ]))?;
        let api: Api<AnalysisTemplate> = self.api();
        api.patch(name, &PatchParams::default(), &Patch::Json::<()>(patch))
            .await?;
        Ok(())
    }

    /// A healthy workload of this image with these steps; `gates` are names of templates.
    pub async fn workload(
        &self,
        name: &str,
        replicas: i32,
        steps: &Value,
        gates: &[&str],
    ) -> Result<Workload, Error> {
        let gates: Vec<Value> = gates.iter().map(|gate| json!({"template": gate})).collect();
        let spec =
            json!({"strategy": {"canary": {"steps": steps}}, "verification": {"gates": gates}});
        self.workload_with(name, replicas, spec).await
    }

    /// A healthy workload whose Rollout has this spec.
    pub async fn workload_with(
        &self,
        name: &str,
        replicas: i32,
        spec: Value,
    ) -> Result<Workload, Error> {
        let image = format!("{name}:v1");
        let workload =
            Workload::create(&self.client, &self.namespace, name, replicas, &image, spec).await?;
        workload.settled(Phase::Healthy, "v1", SOON).await?;
        Ok(workload)
    }

    /// Has a person act on a Rollout, and gives what came of it.
    pub async fn act(&self, rollout: &str, verb: &str) -> Result<ActionStatus, Error> {
        let action = self.make_action(&self.client, rollout, verb).await?;
        let api: Api<Action> = self.api();
        let name = action.name_any();
        let settled = wait_for_object(&api, &name, SOON, |action: Option<&Action>| {
            let status = action.and_then(|action| action.status.clone());
            status
                .filter(|status| status.outcome.is_some())
                .ok_or_else(|| "it has no outcome".to_owned())
        });
        Ok(settled.await?)
    }

    /// Creates an Action with `client`, for its caller to see whether that is allowed.
    pub async fn make_action(
        &self,
        client: &Client,
        rollout: &str,
        verb: &str,
    ) -> Result<Action, Error> {
        let action = serde_json::from_value(json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Action", "metadata": {"generateName": "act-"},
            "spec": {"target": {"kind": "Rollout", "name": rollout}, "verb": verb},
        }))?;
        let api: Api<Action> = Api::namespaced(client.clone(), &self.namespace);
        Ok(api.create(&PostParams::default(), &action).await?)
    }

    /// An API of the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

impl Workload {
    /// Waits until the status fulfils `check`, whose `Err` is the state seen.
    pub async fn status_when<T>(
        &self,
        mut check: impl FnMut(&RolloutStatus) -> Result<T, String>,
    ) -> Result<T, Error> {
        let rollouts = self.rollouts();
        let when = wait_for_object(&rollouts, &self.name, SOON, |rollout: Option<&Rollout>| {
            let status = rollout.and_then(|rollout| rollout.status.as_ref());
            check(status.ok_or("it has no status")?)
        });
        Ok(when.await?)
    }

    /// Waits until a gate has this verdict, and gives what it says.
    pub async fn gate_says(&self, verdict: Verdict) -> Result<String, Error> {
        self.status_when(|status| told::words(&status.gates, verdict))
            .await
    }

    /// Waits until the Rollout waits for this reason.
    pub async fn waits_for(&self, reason: &str) -> Result<RolloutStatus, Error> {
        self.status_when(|status| match &status.waiting_for {
            Some(waiting) if waiting.reason == reason => Ok(status.clone()),
            other => Err(format!("{:?}, waiting for {other:?}", status.phase)),
        })
        .await
    }

    /// Waits until the Rollout is in this phase.
    pub async fn is_in(&self, phase: Phase) -> Result<RolloutStatus, Error> {
        self.status_when(|status| {
            if status.phase == phase {
                Ok(status.clone())
            } else {
                Err(format!(
                    "{:?}, waiting for {:?}",
                    status.phase, status.waiting_for
                ))
            }
        })
        .await
    }

    /// The status at this moment.
    pub async fn status(&self) -> Result<RolloutStatus, Error> {
        let rollout = self.rollouts().get(&self.name).await?;
        Ok(rollout.status.unwrap_or_default())
    }

    /// A patch of the Deployment.
    pub async fn patch(&self, patch: Value) -> Result<(), Error> {
        self.deployments()
            .patch(&self.name, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        Ok(())
    }
}
