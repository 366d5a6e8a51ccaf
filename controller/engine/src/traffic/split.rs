//! What a route is to do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Sessions;

/// Kinds of routes that Belay can lead.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum RouterKind {
    /// Gateway API, HTTP.
    #[serde(rename = "HTTPRoute")]
    HttpRoute,
    /// Gateway API, gRPC.
    #[serde(rename = "GRPCRoute")]
    GrpcRoute,
    /// Istio.
    VirtualService,
    /// Traefik's weighted service.
    TraefikService,
}

/// One route. It is in the namespace of its Rollout.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct RouteId {
    /// Its kind.
    pub kind: RouterKind,
    /// Its name.
    pub name: String,
}

/// How a route divides what it would send to the user's Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Split {
    /// Share of the candidate in percent, 0 to 100; the stable version gets the rest.
    pub canary_percent: u8,
    /// Requests that go to the candidate whatever the share: those that fit one of these.
    pub cohorts: Vec<Match>,
    /// Percentage of the stable version's requests that the candidate gets a copy of, its answers thrown away.
    pub mirror_percent: Option<u8>,
    /// How clients stay with the version that they were given.
    pub sessions: Option<Sessions>,
}

impl Split {
    /// A plain share.
    pub const fn share(canary_percent: u8) -> Self {
        Self {
            canary_percent,
            cohorts: Vec::new(),
            mirror_percent: None,
            sessions: None,
        }
    }

    /// The same split as routes give it back: names of headers in small letters, the conditions of a cohort in order of part and
    /// name. Splits are compared in this form.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        for cohort in &mut self.cohorts {
            for condition in &mut cohort.all {
                if condition.part == Part::Header {
                    condition.name.make_ascii_lowercase();
                }
            }
            cohort
                .all
                .sort_by(|a, b| (a.part, &a.name).cmp(&(b.part, &b.name)));
        }
        self
    }

    /// Part of all requests in percent that the candidate must be able to answer, rounded up: its share, and copies of the rest. How
    /// large cohorts are, nobody knows beforehand: they count as one percent, and a step says `replicas` for them.
    pub fn load_percent(&self) -> u8 {
        let share = u16::from(self.canary_percent.min(100));
        let copied = u16::from(self.mirror_percent.unwrap_or(0).min(100)) * (100 - share);
        let cohorts = u16::from(!self.cohorts.is_empty());
        let load = share + copied.div_ceil(100);
        u8::try_from(load.max(cohorts)).unwrap_or(100)
    }

    /// Whether the candidate gets any request.
    pub fn reaches_candidate(&self) -> bool {
        self.canary_percent > 0 || !self.cohorts.is_empty() || self.mirror_percent.is_some()
    }
}

/// A cohort: requests that meet all of these conditions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Match {
    /// At least one.
    pub all: Vec<Condition>,
}

/// One condition on a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// Where to look.
    pub part: Part,
    /// Name of the header, cookie or query parameter.
    pub name: String,
    /// What its value must be.
    pub value: Text,
}

/// Parts of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// A header; names are compared without regard to case.
    Header,
    /// A cookie.
    Cookie,
    /// A parameter of the query.
    Query,
}

/// What a text must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Text {
    /// Exactly this.
    Exact(String),
    /// All of it fits this regular expression, in the router's dialect.
    Regex(String),
}
