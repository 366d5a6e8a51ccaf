//! What is remembered of the traffic while anything of Belay's is in it. Nothing is, when the routes are home and the Services gone.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Affinity, RouteId};

/// The routes that a candidate's rollout leads, from before its first pod until nothing of it is left in them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// The user's Service. It and the routes stay the same until they are home, whatever becomes of the spec.
    pub service: String,
    /// The routes; without any, the user's Service itself is switched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteId>,
    /// Seconds that connections have to end after a version gets no more requests.
    pub drain_seconds: u32,
    /// That clients stay with the version that they were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Where the requests are to go.
    pub aim: Aim,
    /// Since when they are to go there.
    pub aimed_at: Timestamp,
    /// When every router had acknowledged that. Not kept while both versions get requests: the step knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached_at: Option<Timestamp>,
}

impl Traffic {
    /// How long connections have to end.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(u64::from(self.drain_seconds))
    }
}

/// Where the requests are to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Aim {
    /// To the stable version alone, by the user's Service, which is pinned to it.
    Stable,
    /// To both, as the present step says, be it that the candidate gets nothing yet.
    #[default]
    Shared,
    /// To the candidate, while the workload's stable pods are replaced behind its back.
    Candidate,
    /// To the user's Service with all pods of the workload behind it, and nothing of Belay's left.
    Workload,
}
