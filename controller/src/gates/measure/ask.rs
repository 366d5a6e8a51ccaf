//! Asks the question of one gate, whatever its kind, and makes a reading of the answer.
//!
//! Invariant: whatever goes wrong becomes a reading of its own (`Error`), never a pass, a failure or a missing reading.

mod access;
mod burn_rate;
mod comparison;
mod empty;
mod http;
mod job;
mod labels;
mod mounted;
mod scrapes;
#[cfg(test)]
mod tests;
mod threshold;

use std::{collections::BTreeMap, sync::Arc};

use belay_engine::gate::{Reading, Result as GateResult};
use jiff::Timestamp;
use kube::Client;

use access::Accesses;
use labels::Labels;
use mounted::Mounted;

use super::{
    Task,
    late::{self, Secrets},
};
use crate::{
    Context, Result,
    apply::Identities,
    gates::{
        Gated,
        pods::Pods,
        probe::{address::Reach, http::Prober, job::Jobs},
        question::Kind,
    },
    prometheus::Prometheus,
};

/// What questions are asked with.
pub(super) struct Asker {
    prometheus: Prometheus,
    pods: Pods,
    default_server: Option<String>,
    reach: Reach,
    accesses: Accesses,
    mounted: Mounted,
    labels: Labels,
    secrets: Secrets,
    client: Client,
    prober: Prober,
    jobs: Jobs,
}

/// A result, and when the question was really asked.
type Measured = (Timestamp, GateResult);

impl Asker {
    pub(super) fn new(context: &Arc<Context>, identities: Arc<Identities>) -> Result<Self> {
        Ok(Self {
            prometheus: Prometheus::new(context.metrics.prometheus.clone()),
            pods: Pods::new(
                context.client.clone(),
                context.server,
                Arc::clone(&context.metrics),
            ),
            default_server: context.settings.prometheus_url.clone(),
            reach: context.settings.reach,
            accesses: Accesses::default(),
            mounted: Mounted::new(context.settings.prometheus_access.clone()),
            labels: Labels::default(),
            secrets: Secrets::new(context.client.clone()),
            client: context.client.clone(),
            prober: Prober::new(context.settings.reach)?,
            jobs: Jobs::new(context.client.clone(), identities, context.term.clone()),
        })
    }

    /// The reading of `task`, which was due at `due_at`.
    pub(super) async fn ask<K: Gated>(&self, task: &Task<K>, due_at: Timestamp) -> Reading {
        let measured = match &task.question.kind {
            Kind::Threshold(question) => self.threshold(task, question, due_at).await,
            Kind::Http(question) => self.http(task, question).await,
            Kind::Comparison(question) => self.comparison(task, question).await,
            Kind::Job(question) => self.job(task, question).await,
            Kind::BurnRate(question) => self.burn_rate(task, question, due_at).await,
        };
        let (at, result) =
            measured.unwrap_or_else(|why| (Timestamp::now(), GateResult::Error { why }));
        tracing::debug!(object = %task.object, gate = task.gate, step = task.step, ?result, "measured");
        Reading {
            found: task.memory.found(),
            ..Reading::new(&task.gate, at, result)
        }
    }

    /// The values of all of a question's holes, as they are now.
    async fn values<K: Gated>(&self, task: &Task<K>) -> Result<BTreeMap<String, String>, String> {
        let arguments = &task.question.arguments;
        let mut late = late::field_values(arguments, task.fields.as_ref())?;
        let namespace = task.object.namespace.as_deref().unwrap_or_default();
        for (argument, key) in &arguments.secrets {
            let value = self.secrets.value(namespace, key).await?;
            late.insert(argument.clone(), value);
        }
        arguments.values(late).map_err(|error| error.to_string())
    }
}
