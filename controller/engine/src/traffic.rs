//! Who gets which requests: routes, Services and pods, decided together by one planner.
//!
//! A router's route leads to the user's own Service ("home") or to a pair of Services of Belay's, one by the stable version's
//! hash and one by the candidate's. While a router is used, the user's Service is pinned to the stable version, so that whoever
//! calls it directly stays there, and so that a route that is sent home leads to stable pods only.
//!
//! Invariants (named predicates in `invariant`): a share is raised only onto enough ready pods; pods go only after the routes have
//! left them, the routers have acknowledged it, and connections had time to drain; the two never happen in one pass.
//!
//! Deliberately absent: what a route looks like. The shell reads and writes the objects of each router, and this module knows
//! the split that they stand for.

pub mod capability;
pub mod memory;
pub mod plan;
pub mod seen;
pub mod sessions;
pub mod split;

pub use memory::{Aim, Traffic};
pub use seen::{Acknowledgement, Backend, RouteSeen, RouteState, Seen, ServicesSeen, UserService};
pub use sessions::{Affinity, Sessions};
pub use split::{Condition, Match, Part, RouteId, RouterKind, Split, Text};
