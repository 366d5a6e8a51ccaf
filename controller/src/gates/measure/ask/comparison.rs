//! One look at the counters of both sides, and what happened since the last one.
//!
//! Invariant: a look is counted once or not at all. What a look could not count, the next one does: its answer spans the gap.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use belay_engine::{
    analysis::ledger::{Ledger, Lessons, Role, Rules, Snapshot},
    gate::Result as GateResult,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Service;
use kube::Api;

use super::{Asker, Measured, access::Whom};
use crate::{
    client::bounded,
    gates::{
        Gated, Versions,
        counters::{Counters, Sided, Unusable},
        measure::{
            Task,
            memory::{Comparison, Known, Memory},
        },
        pods::PodWatch,
        question::ComparisonQuestion,
    },
    prometheus::{About, Data},
};

/// Time between two scrapes until looks have shown it: Prometheus's own default.
const SCRAPE_INTERVAL: Duration = Duration::from_mins(1);

/// A look at counters: whom to ask, and for what.
struct Asking<'a> {
    question: &'a ComparisonQuestion,
    whom: Whom,
    counters: Counters,
    versions: &'a Versions,
    memory: &'a Memory,
}

impl Asker {
    pub(super) async fn comparison<K: Gated>(
        &self,
        task: &Task<K>,
        question: &ComparisonQuestion,
    ) -> Result<Measured, String> {
        let versions = task
            .versions
            .as_ref()
            .ok_or("there are no two versions to compare at present")?;
        let whom = self.whom(task, &question.server).await?;
        let values = self.values_for(task, &whom, &question.queries()).await?;
        let asking = Asking {
            question,
            whom,
            counters: question.counters(&values)?,
            versions,
            memory: &task.memory,
        };
        let mut memory = task.memory.comparison.lock().await;
        if memory.pods.is_empty() {
            memory.pods = self.pod_watches(task, &asking, &values).await?;
        }
        if memory.ledger.is_none() {
            memory.ledger = Some(self.ledger(task, &asking, &memory.pods).await?);
        }
        self.look(task, &asking, &mut memory).await
    }

    /// Looks until both sides have something new to tell, or ought to have had.
    async fn look<K: Gated>(
        &self,
        task: &Task<K>,
        asking: &Asking<'_>,
        memory: &mut Comparison,
    ) -> Result<Measured, String> {
        let mut look = task.look;
        loop {
            let reached = self.snapshot(asking, &memory.pods, look.about).await;
            let snapshot = match reached {
                Ok(snapshot) => snapshot,
                Err(result) => return Ok((look.about, result)),
            };
            let scrape_interval = memory.scrape_interval().unwrap_or(SCRAPE_INTERVAL);
            let stale_after = SignedDuration::try_from(scrape_interval * 2);
            let is_fresh = stale_after.is_ok_and(|limit| Comparison::age(&snapshot) <= limit);
            if memory.has_news(&snapshot) || !is_fresh {
                memory.looked(&snapshot);
                let ledger = memory.ledger.as_mut().ok_or("counting has not begun")?;
                return Ok((look.about, ledger.observe(&snapshot).into()));
            }
            // Between two scrapes there is nothing to tell: neither data nor their absence.
            look = task.timing.look(look.about + Duration::from_millis(1));
            let pause = look.ask_at.duration_since(Timestamp::now());
            tokio::time::sleep(pause.try_into().unwrap_or_default()).await;
        }
    }

    /// A ledger whose baseline is what was counted last, or empty at the start of a trial.
    async fn ledger<K: Gated>(
        &self,
        task: &Task<K>,
        asking: &Asking<'_>,
        watches: &[Arc<PodWatch>],
    ) -> Result<Ledger, String> {
        let rules = Rules {
            warmup: asking.question.warmup,
            stale_after: SCRAPE_INTERVAL * 2,
        };
        let mut ledger = Ledger::new(rules, task.trial.started_at);
        let Some(counted_through) = task.counted_through else {
            let looks = self.history(task, asking, watches).await;
            ledger.learn(&looks);
            task.memory.know(Known::of(&looks));
            return Ok(ledger);
        };
        let query = asking.counters.query_last_known();
        let data = self.ask_at(asking, query, counted_through).await?;
        let mut sides = sides(asking, watches).await?;
        for (_, pod) in &mut sides {
            // What was sampled then is of the process that ran then.
            pod.started_at = pod.started_at.min(counted_through);
        }
        let snapshot = asking.counters.snapshot(&data, counted_through, &sides);
        match snapshot {
            Ok(snapshot) => {
                ledger.observe(&snapshot);
                Ok(ledger)
            }
            Err(Unusable::Wrong(why)) => Err(why),
            Err(Unusable::Empty) => Err(format!(
                "Prometheus has no counters of {counted_through} any more, through which events are counted; counting goes on once it can tell them"
            )),
        }
    }

    /// Looks at the stable pods from before the trial. What can't be learnt is not missed: the comparison is then more careful in
    /// its first minutes.
    async fn history<K: Gated>(
        &self,
        task: &Task<K>,
        asking: &Asking<'_>,
        watches: &[Arc<PodWatch>],
    ) -> Vec<Snapshot> {
        let lessons = Lessons::before(task.trial.started_at, asking.question.interval);
        let Some(Lessons { from, to, step }) = lessons else {
            return Vec::new();
        };
        let about = About::Range { from, to, step };
        let answered = self.ask_about(asking, asking.counters.query(), about).await;
        let sides = sides(asking, watches).await;
        let (Ok(data), Ok(mut sides)) = (answered, sides) else {
            return Vec::new();
        };
        sides.retain(|(role, _)| *role == Role::Stable);
        let looks = Arc::unwrap_or_clone(data)
            .vectors()
            .into_iter()
            .filter_map(|(at, data)| {
                let snapshot = asking.counters.snapshot(&data, at, &sides).ok()?;
                Some(snapshot.stable_only())
            });
        looks.collect()
    }

    /// The counters at `about`, or what to tell instead.
    async fn snapshot(
        &self,
        asking: &Asking<'_>,
        watches: &[Arc<PodWatch>],
        about: Timestamp,
    ) -> Result<Snapshot, GateResult> {
        let failed = |why| GateResult::Error { why };
        let query = asking.counters.query();
        let data = self.ask_at(asking, query, about).await.map_err(failed)?;
        let sides = sides(asking, watches).await.map_err(failed)?;
        let snapshot = asking.counters.snapshot(&data, about, &sides);
        match snapshot {
            Ok(snapshot) => Ok(snapshot),
            Err(Unusable::Wrong(why)) => Err(GateResult::NoData { why }),
            Err(Unusable::Empty) => Err(self.empty(asking, about).await),
        }
    }

    /// There are no counters.
    async fn empty(&self, asking: &Asking<'_>, about: Timestamp) -> GateResult {
        let query = asking.counters.query_of_all();
        let about = About::Time(about);
        let why = self
            .why_empty(&asking.whom, query, about, asking.memory)
            .await;
        GateResult::NoData { why }
    }

    /// The whole answer to `query` at `about`. One that may be incomplete is no answer: what is missing in it would be taken for
    /// events that did not happen.
    async fn ask_at(
        &self,
        asking: &Asking<'_>,
        query: String,
        about: Timestamp,
    ) -> Result<Arc<Data>, String> {
        self.ask_about(asking, query, About::Time(about)).await
    }

    async fn ask_about(
        &self,
        asking: &Asking<'_>,
        query: String,
        about: About,
    ) -> Result<Arc<Data>, String> {
        let reply = self.put(&asking.whom, query, about).await;
        reply.whole().cloned()
    }

    /// Watches on the pods of both sides.
    async fn pod_watches<K: Gated>(
        &self,
        task: &Task<K>,
        asking: &Asking<'_>,
        values: &BTreeMap<String, String>,
    ) -> Result<Vec<Arc<PodWatch>>, String> {
        let namespace = task.object.namespace.as_deref().unwrap_or_default();
        let Versions {
            label,
            canary,
            stable,
        } = asking.versions;
        let service = asking.question.service(values);
        let selectors = match service.map_err(|error| error.to_string())? {
            None => vec![format!("{label} in ({canary},{stable})")],
            Some(name) => vec![
                format!("{label}={canary}"),
                self.service_selector(namespace, &name).await?,
            ],
        };
        let watches = selectors
            .iter()
            .map(|selector| self.pods.watch(namespace, selector));
        Ok(watches.collect())
    }

    async fn service_selector(&self, namespace: &str, name: &str) -> Result<String, String> {
        let api: Api<Service> = Api::namespaced(self.client.clone(), namespace);
        let service = bounded("reading a Service", api.get_opt(name))
            .await
            .map_err(|error| format!("Service {namespace}/{name}: {error}"))?
            .ok_or_else(|| {
                format!("Service {namespace}/{name} does not exist; name another as the baseline")
            })?;
        let selector = service
            .spec
            .and_then(|spec| spec.selector)
            .unwrap_or_default();
        if selector.is_empty() {
            return Err(format!(
                "Service {namespace}/{name} selects no pods; name another as the baseline"
            ));
        }
        let labels: Vec<String> = selector
            .iter()
            .map(|(label, value)| format!("{label}={value}"))
            .collect();
        Ok(labels.join(","))
    }
}

/// The pods that are there now, with their sides.
async fn sides(asking: &Asking<'_>, watches: &[Arc<PodWatch>]) -> Result<Vec<Sided>, String> {
    let canary = Some(&asking.versions.canary);
    let mut sides = BTreeMap::new();
    for watch in watches {
        for pod in watch.pods().await? {
            let role = if pod.hash.as_ref() == canary {
                Role::Canary
            } else {
                Role::Stable
            };
            sides.insert(pod.name.clone(), (role, pod));
        }
    }
    Ok(sides.into_values().collect())
}
