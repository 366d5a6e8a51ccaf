//! Requests that come over the network: which pod they are for, and what is to become of them.

use std::net::IpAddr;
use std::time::Duration;

use rand::RngExt;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::LoadHandle;
use super::life::Life;
use super::model::{Key, Model, Pod, PodFacts, latency};

/// How long a connection waits for its pod to become ready for the first time. The servers learn of pods by a watch, like the gateway,
/// and may be told later than it.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection's pod.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(super) key: Key,
    /// Follows the pod; `Down` is the end.
    pub(crate) life: watch::Receiver<Life>,
}

/// What is known of an address.
enum Standing {
    Serves(Visit),
    /// No pod has served there so far.
    NotYet,
    /// The pod that served there does so no more.
    Ended,
}

/// What becomes of one request.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) succeeds: bool,
    pub(crate) latency: Duration,
    pub(crate) pod: String,
    /// The image's tag.
    pub(crate) version: String,
    pub(crate) revision: String,
}

impl LoadHandle {
    /// The pod that serves at this address; none when there is none within a moment.
    pub(crate) async fn visit(&self, address: IpAddr) -> Option<Visit> {
        let deadline = Instant::now() + PATIENCE;
        let mut changes = self.changed.subscribe();
        loop {
            changes.borrow_and_update();
            let standing = self.model().at(address);
            match standing {
                Standing::Serves(visit) => return Some(visit),
                Standing::Ended => return None,
                Standing::NotYet => timeout_at(deadline, changes.changed()).await.ok()?.ok()?,
            }
        }
    }

    /// Draws what becomes of a request to this pod; nothing when the pod is gone.
    pub(crate) fn outcome(&self, visit: &Visit) -> Option<Outcome> {
        self.model().outcome(&visit.key)
    }

    /// Counts a request that was answered.
    pub(crate) fn count(&self, visit: &Visit, outcome: &Outcome, took: Duration) {
        self.model().count(&visit.key, outcome.succeeds, took);
    }

    /// The metrics of one pod.
    pub(crate) fn metrics_of(&self, visit: &Visit) -> String {
        let pod = self
            .model()
            .pods
            .get(&visit.key)
            .map(|pod| pod.metrics.clone());
        pod.map(|metrics| metrics.text()).unwrap_or_default()
    }
}

impl Model {
    fn at(&self, address: IpAddr) -> Standing {
        let key = self.addresses.get(&address);
        match key.and_then(|key| self.pods.get(key)) {
            Some(pod) if pod.facts.life.serves() => Standing::Serves(Visit {
                key: pod.facts.key.clone(),
                life: pod.life.subscribe(),
            }),
            _ if self.ended.contains(&address) => Standing::Ended,
            _ => Standing::NotYet,
        }
    }

    /// Tells a pod's connections how it is now, before its facts are replaced.
    pub(super) fn live(&mut self, facts: &PodFacts) {
        let Some(pod) = self.pods.get(&facts.key) else {
            return;
        };
        let before = pod.life.send_replace(facts.life);
        if let Some(address) = facts.address {
            if facts.life.serves() {
                self.ended.remove(&address);
            } else if before.serves() {
                self.ended.insert(address);
            }
        }
    }

    /// Ends a pod's connections and its address.
    pub(super) fn end(&mut self, pod: &Pod) {
        pod.life.send_replace(Life::Down);
        self.addresses.retain(|_, owner| *owner != pod.facts.key);
        self.ended.extend(pod.facts.address);
    }

    fn outcome(&mut self, key: &Key) -> Option<Outcome> {
        let pod = self.pods.get(key)?;
        let behaviour = self.behaviour(pod);
        Some(Outcome {
            succeeds: self.random.random::<f64>() >= behaviour.error_share,
            latency: latency(behaviour.latency, &mut self.random),
            pod: pod.labels.pod.clone(),
            version: pod.labels.version.clone(),
            revision: pod.facts.revision.clone(),
        })
    }

    fn count(&mut self, key: &Key, succeeded: bool, took: Duration) {
        if let Some(pod) = self.pods.get(key) {
            let served = self.served.entry(pod.image.clone()).or_default();
            served.requests += 1;
            served.failed += u64::from(!succeeded);
            pod.series.count(succeeded, took);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::model::PodFacts;
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 244, 0, 7));

    fn pod(name: &str, life: Life) -> PodFacts {
        PodFacts {
            key: ("shop".into(), name.into()),
            workload: "web".into(),
            image: "shop/web:v1-err100-lat300".into(),
            revision: "abc".into(),
            address: Some(ADDRESS),
            life,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_waits_for_its_pod_to_become_ready_and_no_longer() {
        let load = LoadHandle::of_servers();
        load.apply(pod("a", Life::Down));
        assert!(load.visit(ADDRESS).await.is_none());
        let late = load.clone();
        tokio::spawn(async move {
            tokio::time::sleep(PATIENCE / 2).await;
            late.apply(pod("a", Life::Ready));
        });
        assert_eq!(load.visit(ADDRESS).await.unwrap().key.1, "a");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_ends_with_its_pod_and_is_the_next_ones_that_gets_it() {
        let load = LoadHandle::of_servers();
        load.apply(pod("a", Life::Ready));
        let first = load.visit(ADDRESS).await.unwrap();
        load.model().remove(&first.key);
        assert_eq!(*first.life.borrow(), Life::Down);
        let before = Instant::now();
        assert!(load.visit(ADDRESS).await.is_none());
        assert_eq!(before.elapsed(), Duration::ZERO, "nothing was waited for");
        load.apply(pod("b", Life::Ready));
        assert_eq!(load.visit(ADDRESS).await.unwrap().key.1, "b");
    }

    #[tokio::test(start_paused = true)]
    async fn answers_are_as_the_tag_says_and_counted_on_the_pods_own_page() {
        let load = LoadHandle::of_servers();
        load.apply(pod("a", Life::Ready));
        let visit = load.visit(ADDRESS).await.unwrap();
        let outcome = load.outcome(&visit).unwrap();
        assert!(!outcome.succeeds && outcome.latency > Duration::from_millis(100));
        assert_eq!((&*outcome.pod, &*outcome.revision), ("a", "abc"));
        load.count(&visit, &outcome, outcome.latency);
        let page = load.metrics_of(&visit);
        assert!(page.contains("code=\"500\"} 1\n"), "{page}");
        assert_eq!(load.served("shop", "shop/web:v1-err100-lat300").failed, 1);
    }
}
