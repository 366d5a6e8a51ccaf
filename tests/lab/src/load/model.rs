//! Who serves how much: the pods, their behaviour and the dealing of requests. No clock and no network, so that it can be tested.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, LogNormal, Poisson};
use tokio::sync::watch;

use super::life::Life;
use super::metrics::{Metrics, PodLabels, PodSeries};
use super::tag::{Behaviour, tag_of};

/// Requests a second of a workload when nobody said otherwise.
const DEFAULT_RATE: f64 = 100.0;
/// Spread of latencies: two thirds lie within a factor of 1.3.
const LATENCY_SPREAD: f64 = 0.25;

/// A namespace and a name in it.
pub(super) type Key = (String, String);

/// What the load has to know of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodFacts {
    pub(super) key: Key,
    pub(super) workload: String,
    pub(super) image: String,
    /// The template's hash, which tells versions of one workload apart whatever their images.
    pub(super) revision: String,
    pub(super) address: Option<IpAddr>,
    pub(super) life: Life,
}

#[derive(Debug)]
pub(super) struct Pod {
    pub(super) facts: PodFacts,
    /// What open connections follow.
    pub(super) life: watch::Sender<Life>,
    /// Namespace and image: what changes of the behaviour are known by.
    pub(super) image: Key,
    by_tag: Behaviour,
    pub(super) labels: PodLabels,
    /// The page on which the pod's series are.
    pub(super) metrics: Arc<Metrics>,
    pub(super) series: PodSeries,
}

/// Requests that were dealt out, whatever any metric says of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// All requests.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) pods: BTreeMap<Key, Pod>,
    pub(super) addresses: BTreeMap<IpAddr, Key>,
    /// Addresses of pods that served and do so no more.
    pub(super) ended: BTreeSet<IpAddr>,
    changed: BTreeMap<Key, Behaviour>,
    rates: BTreeMap<Key, f64>,
    pub(super) served: BTreeMap<Key, Served>,
    /// The page on which all pods are; none when each has its own.
    shared: Option<Arc<Metrics>>,
    pub(super) random: StdRng,
}

impl Default for Model {
    fn default() -> Self {
        Self::with(Some(Arc::default()))
    }
}

impl Model {
    /// A model of pods that show their metrics themselves.
    pub(super) fn of_servers() -> Self {
        Self::with(None)
    }

    fn with(shared: Option<Arc<Metrics>>) -> Self {
        Self {
            pods: BTreeMap::new(),
            addresses: BTreeMap::new(),
            ended: BTreeSet::new(),
            changed: BTreeMap::new(),
            rates: BTreeMap::new(),
            served: BTreeMap::new(),
            shared,
            // Always the same seed: what differs between two runs is the machine's timing.
            random: StdRng::seed_from_u64(1),
        }
    }

    /// A pod is there or has changed.
    pub(super) fn apply(&mut self, facts: PodFacts) {
        let same =
            |pod: &Pod| pod.facts.workload == facts.workload && pod.facts.image == facts.image;
        if !self.pods.get(&facts.key).is_some_and(same) {
            self.remove(&facts.key);
            self.add(&facts);
        }
        if let Some(address) = facts.address {
            self.addresses.insert(address, facts.key.clone());
        }
        self.live(&facts);
        if let Some(pod) = self.pods.get_mut(&facts.key) {
            pod.facts = facts;
        }
    }

    fn add(&mut self, facts: &PodFacts) {
        let (namespace, pod) = facts.key.clone();
        let labels = PodLabels {
            namespace,
            pod,
            service: facts.workload.clone(),
            version: tag_of(&facts.image).to_owned(),
        };
        let metrics = self.shared.clone().unwrap_or_default();
        let pod = Pod {
            facts: facts.clone(),
            life: watch::Sender::new(facts.life),
            image: (labels.namespace.clone(), facts.image.clone()),
            by_tag: Behaviour::of_image(&facts.image),
            series: metrics.add(&labels),
            labels,
            metrics,
        };
        self.pods.insert(facts.key.clone(), pod);
    }

    /// A pod is gone.
    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(pod) = self.pods.remove(key) {
            pod.metrics.remove(&pod.labels);
            self.end(&pod);
        }
    }

    /// Only these pods are there.
    pub(super) fn retain(&mut self, keys: &BTreeSet<Key>) {
        let gone: Vec<Key> = self
            .pods
            .keys()
            .filter(|key| !keys.contains(*key))
            .cloned()
            .collect();
        for key in gone {
            self.remove(&key);
        }
    }

    pub(super) fn change(
        &mut self,
        namespace: &str,
        image: &str,
        change: impl FnOnce(&mut Behaviour),
    ) {
        let key = (namespace.to_owned(), image.to_owned());
        change(
            self.changed
                .entry(key)
                .or_insert_with(|| Behaviour::of_image(image)),
        );
    }

    pub(super) fn reset(&mut self, namespace: &str, image: &str) {
        self.changed
            .remove(&(namespace.to_owned(), image.to_owned()));
    }

    pub(super) fn set_rate(&mut self, namespace: &str, workload: &str, rate: f64) {
        self.rates
            .insert((namespace.to_owned(), workload.to_owned()), rate);
    }

    /// The counters of a pod begin at zero again.
    pub(super) fn restart(&mut self, key: &Key) {
        if let Some(pod) = self.pods.get_mut(key) {
            pod.metrics.remove(&pod.labels);
            pod.series = pod.metrics.add(&pod.labels);
        }
    }

    /// A pod goes on serving and shows no metrics any more.
    pub(super) fn silence(&mut self, key: &Key) {
        if let Some(pod) = self.pods.get(key) {
            pod.metrics.remove(&pod.labels);
        }
    }

    pub(super) fn served(&self, namespace: &str, image: &str) -> Served {
        let key = (namespace.to_owned(), image.to_owned());
        self.served.get(&key).copied().unwrap_or_default()
    }

    /// All pods' series; nothing when each shows its own.
    pub(super) fn metrics_text(&self) -> String {
        let page = self.shared.as_ref();
        page.map(|page| page.text()).unwrap_or_default()
    }

    /// What requests to this pod meet.
    pub(super) fn behaviour(&self, pod: &Pod) -> Behaviour {
        self.changed.get(&pod.image).copied().unwrap_or(pod.by_tag)
    }

    pub(super) fn native_metrics(&self) -> Vec<u8> {
        let page = self.shared.as_ref();
        page.map(|page| page.native()).unwrap_or_default()
    }

    /// Deals out the requests of this much time: for each workload a random number of them, each to a random one of its ready pods.
    pub(super) fn deal(&mut self, elapsed: Duration) {
        let mut workloads: BTreeMap<(&str, &str), Vec<(&Pod, Behaviour)>> = BTreeMap::new();
        for pod in self.pods.values() {
            if pod.facts.life != Life::Ready {
                continue;
            }
            let behaviour = self.behaviour(pod);
            let workload = (pod.labels.namespace.as_str(), pod.facts.workload.as_str());
            workloads
                .entry(workload)
                .or_default()
                .push((pod, behaviour));
        }
        for ((namespace, workload), pods) in workloads {
            let rate = self
                .rates
                .get(&(namespace.to_owned(), workload.to_owned()))
                .copied()
                .unwrap_or(DEFAULT_RATE);
            for _ in 0..arrivals(rate * elapsed.as_secs_f64(), &mut self.random) {
                if let Some((pod, behaviour)) = pods.get(self.random.random_range(..pods.len())) {
                    let succeeded = self.random.random::<f64>() >= behaviour.error_share;
                    let served = self.served.entry(pod.image.clone()).or_default();
                    served.requests += 1;
                    served.failed += u64::from(!succeeded);
                    pod.series
                        .count(succeeded, latency(behaviour.latency, &mut self.random));
                }
            }
        }
    }
}

/// How many requests arrive where `expected` do on average.
fn arrivals(expected: f64, random: &mut StdRng) -> u64 {
    let sample = Poisson::new(expected).map_or(0.0, |poisson| poisson.sample(random));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a Poisson sample is a whole number, not negative"
    )]
    let count = sample as u64;
    count
}

pub(super) fn latency(middle: Duration, random: &mut StdRng) -> Duration {
    let factor = LogNormal::new(0.0, LATENCY_SPREAD).map_or(1.0, |spread| spread.sample(random));
    middle.mul_f64(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pod(name: &str, image: &str, ready: bool) -> PodFacts {
        PodFacts {
            key: ("shop".into(), name.into()),
            workload: "web".into(),
            image: image.into(),
            revision: String::new(),
            address: None,
            life: if ready { Life::Ready } else { Life::Down },
        }
    }

    #[test]
    fn what_was_served_is_known_whatever_the_metrics_say() {
        let mut model = Model::default();
        for name in ["a", "b"] {
            model.apply(pod(name, "web:v1", true));
        }
        model.deal(SECOND);
        // Given a pod that begins anew, and one that shows nothing.
        model.restart(&("shop".into(), "a".into()));
        model.silence(&("shop".into(), "b".into()));
        assert_eq!(requests(&model, "a", "200"), Some(0));
        assert_eq!(requests(&model, "b", "200"), None);
        // When traffic goes on, then both serve.
        let before = model.served("shop", "web:v1").requests;
        model.deal(SECOND);
        let after = model.served("shop", "web:v1").requests;
        let shown = requests(&model, "a", "200").unwrap();
        assert!(before > 0 && shown > 0 && after - before > shown);
        assert_eq!(requests(&model, "b", "200"), None);
    }

    /// The value of the request counter of a pod.
    fn requests(model: &Model, pod: &str, code: &str) -> Option<u64> {
        let text = model.metrics_text();
        let mut lines = text
            .lines()
            .filter(|line| line.starts_with("http_requests_total{"));
        let line = lines.find(|line| {
            line.contains(&format!("pod=\"{pod}\"")) && line.contains(&format!("code=\"{code}\""))
        })?;
        line.rsplit(' ').next()?.parse().ok()
    }

    #[test]
    fn requests_are_split_among_ready_pods_only() {
        let mut model = Model::default();
        for (name, ready) in [("a", true), ("b", true), ("c", false)] {
            model.apply(pod(name, "web:v1", ready));
        }
        for _ in 0..100 {
            model.deal(SECOND);
        }
        let (a, b) = (
            requests(&model, "a", "200").unwrap(),
            requests(&model, "b", "200").unwrap(),
        );
        assert!((9_000..11_000).contains(&(a + b)), "{a} + {b}");
        assert!(a.abs_diff(b) < 1_000, "{a} and {b}");
        assert_eq!(requests(&model, "c", "200"), Some(0));
        assert_eq!(requests(&model, "a", "500"), Some(0));
    }

    #[test]
    fn a_version_goes_bad_and_recovers_in_its_namespace_only() {
        let mut model = Model::default();
        model.apply(pod("a", "web:v1", true));
        model.apply(PodFacts {
            key: ("other".into(), "z".into()),
            ..pod("z", "web:v1", true)
        });
        model.change("shop", "web:v1", |behaviour| behaviour.error_share = 1.0);
        model.deal(SECOND);
        let failed = requests(&model, "a", "500").unwrap();
        assert!(failed > 0 && requests(&model, "a", "200") == Some(0));
        assert_eq!(requests(&model, "z", "500"), Some(0));

        model.reset("shop", "web:v1");
        model.deal(SECOND);
        assert_eq!(requests(&model, "a", "500"), Some(failed));
        assert!(requests(&model, "a", "200").unwrap() > 0);
    }

    #[test]
    fn the_share_of_errors_and_the_latency_are_those_of_the_tag() {
        let mut model = Model::default();
        model.apply(pod("a", "web:v2-err5-lat300", true));
        model.set_rate("shop", "web", 20_000.0);
        model.deal(SECOND);
        let (good, bad) = (
            requests(&model, "a", "200").unwrap(),
            requests(&model, "a", "500").unwrap(),
        );
        let percent = 100 * bad / (good + bad);
        assert!((4..=5).contains(&percent), "{bad} of {} failed", good + bad);
        let text = model.metrics_text();
        let bucket = |bound: &str| {
            text.lines()
                .find(|line| line.contains(&format!("le=\"{bound}\"")))
                .and_then(|line| line.rsplit(' ').next())
        };
        assert_eq!(bucket("0.05"), Some("0"), "nearly none is that fast");
        assert_eq!(bucket("2.5"), bucket("+Inf"), "none is that slow");
    }

    #[test]
    fn the_series_of_a_pod_that_is_gone_are_gone() {
        let mut model = Model::default();
        model.apply(pod("a", "web:v1", true));
        model.apply(pod("b", "web:v1", true));
        model.retain(&BTreeSet::from([("shop".into(), "b".into())]));
        assert!(!model.metrics_text().contains("pod=\"a\""));
        assert!(model.metrics_text().contains("pod=\"b\""));
    }
}
