//! What the shell sees of routes and Services.

use super::{RouteId, Split};

/// Routes and Services of one Rollout. Empty for a Rollout without `spec.traffic` and without a remembered route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Every route that the plan or the status names, each once.
    pub routes: Vec<RouteSeen>,
    /// The Services.
    pub services: ServicesSeen,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteSeen {
    /// Which.
    pub id: RouteId,
    /// Resource version of this observation; empty if it is missing.
    pub resource_version: String,
    /// Where it leads.
    pub state: RouteState,
    /// Whether its router does what the object says.
    pub acknowledged: Acknowledgement,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RouteState {
    /// To the user's Service only: no trace of Belay, and no field owned by it.
    Home,
    /// To Belay's pair of Services, like this.
    Split(Split),
    /// Somebody rewrote a part: some of it leads to the pair, or Belay owns what is home again. Both writes mend it.
    Mixed,
    /// It does not exist.
    Missing,
    /// It can't be led, for this reason and with this remedy: it names the user's Service nowhere, the kind is not installed,
    /// its rules use what Belay can't keep. Nothing was and nothing is written to it.
    Refused(String),
}

/// What a router says about the present version of a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Acknowledgement {
    /// It does what the object says.
    Given,
    /// Not yet, or not, for this reason.
    Waiting(String),
    /// This router never says: time must do.
    NeverGiven,
}

/// The Services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServicesSeen {
    /// The user's own.
    pub user: UserService,
    /// `<service>-stable`, if it exists and is the Rollout's.
    pub stable: Option<Backend>,
    /// `<service>-canary`, if it exists and is the Rollout's.
    pub canary: Option<Backend>,
}

/// One Service of Belay's pair.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Backend {
    /// The `pod-template-hash` that it selects.
    pub hash: String,
    /// Whether, apart from the hash, it is what the user's Service asks for now: its selector, its ports.
    pub is_current: bool,
    /// Its ready endpoints, by its `EndpointSlice`s: what a router can reach. Pods get ready a moment before they are among them.
    pub ready_endpoints: i32,
}

/// The user's own Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum UserService {
    /// It does not exist.
    #[default]
    Missing,
    /// It can't be used, with the reason and what to change: headless, without a selector, a name that leaves no room for a suffix, a
    /// Service of somebody else's under one of the pair's names.
    Refused(String),
    /// It selects all pods of the workload.
    Open,
    /// It selects the pods of one version, by this `pod-template-hash`.
    Pinned(String),
}
