//! What one look at Prometheus and at the pods gave.

use jiff::Timestamp;

use crate::analysis::Count;

/// On which side of the comparison a pod stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// It runs the candidate.
    Canary,
    /// It is the baseline: it runs the stable version, or belongs to the Service that was named.
    Stable,
}

/// Raw counters of all pods at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Time at which the query was evaluated. Looks have rising times.
    pub at: Timestamp,
    /// Every live pod of both sides, whether it has counters or not.
    pub pods: Vec<PodSample>,
}

impl Snapshot {
    /// Without the pods of the candidate: proxies stand for both sides, and before a trial there is no canary.
    #[must_use]
    pub fn stable_only(&self) -> Self {
        let stable = self.pods.iter().filter(|pod| pod.role == Role::Stable);
        Self {
            at: self.at,
            pods: stable.cloned().collect(),
        }
    }
}

/// Raw counters of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSample {
    /// Name of the pod. A pod that is made anew under the same name counts as a restarted one.
    pub pod: String,
    /// Its side.
    pub role: Role,
    /// When the container that counts was last started, as Kubernetes or `process_start_time_seconds` says.
    pub started_at: Timestamp,
    /// When the pod was ready for the first time; `None` if it never was. Its warm-up begins here.
    pub ready_at: Option<Timestamp>,
    /// Time of the newest sample itself, not of the query; `None` if there is none. At a baseline after a restart of the
    /// controller, `None` must mean that there never was one: look far enough back.
    pub sampled_at: Option<Timestamp>,
    /// The raw counters, one per series and in the same order for all pods; empty if there is no sample.
    pub counters: Vec<Count>,
}
