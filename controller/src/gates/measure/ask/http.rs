//! An HTTP request, with what it needs from the cluster.

use belay_api::analysis::http::CaSource;
use belay_engine::gate::Result as GateResult;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use super::{Asker, Measured};
use crate::{
    client::bounded,
    gates::{
        Gated,
        measure::Task,
        probe::http::{HttpQuestion, Known},
    },
};

impl Asker {
    pub(super) async fn http<K: Gated>(
        &self,
        task: &Task<K>,
        question: &HttpQuestion,
    ) -> Result<Measured, String> {
        let known = self.known(task, question).await?;
        // No answer is older than this, however often it is tried.
        let at = Timestamp::now();
        let result: GateResult = self.prober.ask(question, &known).await;
        Ok((at, result))
    }

    /// What `question` needs from the cluster.
    pub(super) async fn known<K: Gated>(
        &self,
        task: &Task<K>,
        question: &HttpQuestion,
    ) -> Result<Known, String> {
        let namespace = task.object.namespace.as_deref().unwrap_or_default();
        let mut known = Known {
            values: self.values(task).await?,
            secret_values: task.question.arguments.secrets.keys().cloned().collect(),
            now: Timestamp::now(),
            ..Known::default()
        };
        for key in question.secrets() {
            let value = self.secrets.value(namespace, key).await?;
            known.secrets.insert(key.clone(), value);
        }
        if let Some(source) = question.ca() {
            known.ca = Some(self.authorities(namespace, source).await?);
        }
        Ok(known)
    }

    async fn authorities(&self, namespace: &str, source: &CaSource) -> Result<String, String> {
        if let Some(key) = &source.secret_key {
            return self.secrets.value(namespace, key).await;
        }
        let key = source
            .config_map_key
            .as_ref()
            .ok_or("tls.ca names neither a ConfigMap nor a Secret")?;
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let map = bounded("reading a ConfigMap", api.get(&key.name))
            .await
            .map_err(|error| format!("ConfigMap {namespace}/{}: {error}", key.name))?;
        let value = map.data.unwrap_or_default().remove(&key.key);
        value.ok_or_else(|| format!("ConfigMap {namespace}/{} has no key {}", key.name, key.key))
    }
}
