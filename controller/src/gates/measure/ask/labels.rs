//! Which labels have the pod's name and its namespace: every way to install Prometheus has its own.
//!
//! Invariant: a label is found only where its value is one of this workload. What was found once stays for as long as the process
//! lives, so that a gate does not change what it counts in the middle of a trial; what was not found is looked for again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use belay_api::analysis::{Detect, arguments, budget::WINDOW};
use belay_promql::selector::selectors;
use jiff::Timestamp;

use super::{Asker, access::Whom};
use crate::{
    gates::{Gated, measure::Task},
    prometheus::{About, Data, data::Series},
};

/// Labels that may have the pod's name, the likeliest first.
const POD: [&str; 6] = [
    "pod",
    "kubernetes_pod_name",
    "exported_pod",
    "pod_name",
    "k8s_pod_name",
    "kubernetes_pod",
];

/// The same for its namespace.
const NAMESPACE: [&str; 5] = [
    "namespace",
    "kubernetes_namespace",
    "exported_namespace",
    "namespace_name",
    "k8s_namespace_name",
];

/// What is remembered at the same time.
const KEPT: usize = 1024;

/// How long to wait before looking again.
const AGAIN: Duration = Duration::from_mins(1);

/// Labels that were found, by whom was asked for what.
#[derive(Default)]
pub(super) struct Labels(Mutex<HashMap<Key, (Instant, Option<Found>)>>);

/// Which series are meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    server: String,
    access: [u8; 32],
    metrics: String,
    namespace: String,
    workload: String,
}

/// Labels that were found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    pod: &'static str,
    namespace: Option<&'static str>,
}

type Values = BTreeMap<String, String>;

impl Asker {
    /// The values of all holes of `texts`, those included that have to be found out from the series of `whom`.
    pub(super) async fn values_for<K: Gated>(
        &self,
        task: &Task<K>,
        whom: &Whom,
        texts: &[&str],
    ) -> Result<Values, String> {
        let mut values = self.values(task).await?;
        let wanted = task.question.arguments.detected();
        let (Some(workload), false) = (&task.workload, wanted.is_empty()) else {
            return Ok(values);
        };
        let Some(metrics) = metrics(texts, &values) else {
            return Ok(values);
        };
        let key = Key {
            server: whom.server().to_owned(),
            access: whom.access_id(),
            metrics,
            namespace: task.object.namespace.clone().unwrap_or_default(),
            workload: workload.clone(),
        };
        let Some(found) = self.found(whom, key).await else {
            return Ok(values);
        };
        let mut told = Vec::new();
        for (argument, what) in wanted {
            let label = match what {
                Detect::PodLabel => Some(found.pod),
                Detect::NamespaceLabel => found.namespace,
            };
            if let Some(label) = label {
                values.insert(argument.to_owned(), label.to_owned());
                told.push(format!("{argument} is {label}"));
            }
        }
        task.memory
            .find(format!("{}, as the series show", told.join(", ")));
        Ok(values)
    }

    async fn found(&self, whom: &Whom, key: Key) -> Option<Found> {
        let known = self.labels.lock().get(&key).cloned();
        match known {
            Some((_, Some(found))) => return Some(found),
            Some((since, None)) if since.elapsed() < AGAIN => return None,
            _ => {}
        }
        let about = About::Now {
            not_before: Timestamp::now(),
        };
        let reply = self.put(whom, query(&key), about).await;
        let Ok(Data::Vector(series)) = reply.whole().map(AsRef::as_ref) else {
            return None;
        };
        let found = find(series, &key.workload, &key.namespace);
        let mut labels = self.labels.lock();
        if labels.len() >= KEPT {
            labels.clear();
        }
        labels.insert(key, (Instant::now(), found.clone()));
        found
    }
}

impl Labels {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, (Instant, Option<Found>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A regular expression for the names of all metrics in `texts`.
fn metrics(texts: &[&str], values: &Values) -> Option<String> {
    let mut values = values.clone();
    values
        .entry(WINDOW.to_owned())
        .or_insert_with(|| "5m".to_owned());
    let mut names = Vec::new();
    for text in texts {
        let text = arguments::fill(text, &values).ok()?;
        for name in selectors(&text).into_iter().filter_map(|one| one.names) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    (!names.is_empty()).then(|| names.join("|"))
}

/// Asks for the labels of this workload's series, each combination once.
fn query(key: &Key) -> String {
    let workload = key.workload.replace('.', "[.]");
    let with = POD.map(|label| {
        format!(
            "{{__name__=~\"{}\",{label}=~\"{workload}-.+\"}}",
            key.metrics
        )
    });
    let by = [&POD[..], &NAMESPACE[..]].concat().join(", ");
    format!("group by ({by}) ({})", with.join(" or "))
}

/// The labels whose values are a pod's of `workload` and `namespace`. Series of the right namespace go before others.
fn find(series: &[Series], workload: &str, namespace: &str) -> Option<Found> {
    let is_pod = |one: &Series, label: &str| {
        let name = one
            .metric
            .get(label)
            .and_then(|name| name.strip_prefix(workload));
        name.is_some_and(|rest| rest.starts_with('-'))
    };
    let place = |one: &Series| {
        let mut labels = NAMESPACE.into_iter();
        labels.find(|label| {
            one.metric
                .get(*label)
                .is_some_and(|value| value == namespace)
        })
    };
    let found = POD.into_iter().flat_map(|pod| {
        let of_pod = series.iter().filter(move |one| is_pod(one, pod));
        of_pod.map(move |one| Found {
            pod,
            namespace: place(one),
        })
    });
    // The first of those that are equally good.
    found.reduce(|best, next| match (best.namespace, next.namespace) {
        (None, Some(_)) => next,
        _ => best,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn series(labels: &[(&str, &str)]) -> Series {
        let metric: BTreeMap<_, _> = labels.iter().copied().collect();
        serde_json::from_value(json!({"metric": metric, "value": [1, "1"]})).unwrap()
    }

    fn found(all: &[&[(&str, &str)]]) -> Option<(&'static str, Option<&'static str>)> {
        let all: Vec<Series> = all.iter().map(|labels| series(labels)).collect();
        find(&all, "web", "shop").map(|found| (found.pod, found.namespace))
    }

    #[test]
    fn labels_of_all_usual_installations_are_found() {
        let operator = [("pod", "web-5d-abcde"), ("namespace", "shop")];
        assert_eq!(found(&[&operator]), Some(("pod", Some("namespace"))));
        let relabelled = [
            ("kubernetes_pod_name", "web-5d-abcde"),
            ("kubernetes_namespace", "shop"),
        ];
        assert_eq!(
            found(&[&relabelled]),
            Some(("kubernetes_pod_name", Some("kubernetes_namespace")))
        );
        // An exporter's own pod is none of the workload.
        let exported = [
            ("pod", "exporter-1"),
            ("namespace", "monitoring"),
            ("exported_pod", "web-5d-abcde"),
            ("exported_namespace", "shop"),
        ];
        assert_eq!(
            found(&[&exported]),
            Some(("exported_pod", Some("exported_namespace")))
        );
    }

    #[test]
    fn another_namespace_and_a_longer_name_do_not_mislead() {
        let elsewhere = [("pod", "web-1-aaaaa"), ("namespace", "staging")];
        let here = [
            ("kubernetes_pod_name", "web-5d-abcde"),
            ("kubernetes_namespace", "shop"),
        ];
        assert_eq!(
            found(&[&elsewhere, &here]),
            Some(("kubernetes_pod_name", Some("kubernetes_namespace")))
        );
        assert_eq!(found(&[&elsewhere]), Some(("pod", None)));
        assert_eq!(
            found(&[&[("pod", "website-5d-abcde"), ("namespace", "shop")]]),
            None
        );
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn all_metrics_of_a_gate_are_looked_at() {
        let values = Values::from([("l".to_owned(), "pod".to_owned())]);
        let texts = [
            r#"sum by ({{l}}) (a_total{code="5"}) or b_total"#,
            r#"{__name__=~"c|d"}[{{window}}]"#,
        ];
        assert_eq!(
            metrics(&texts, &values).as_deref(),
            Some("a_total|b_total|c|d")
        );
        assert_eq!(metrics(&["{{unknown}}"], &values), None);
    }
}
