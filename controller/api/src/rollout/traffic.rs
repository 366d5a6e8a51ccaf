//! Routes of a Rollout, and the cohorts of a step.

use belay_engine::{
    rollout::plan::Routing,
    traffic::{self, Match, Part, RouteId, RouterKind, Text},
};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RolloutSpec;
use crate::Duration;

/// Who leads the requests while a new version is on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// The Service of the workload's pods, to which the routes lead. For the time of a rollout Belay adds two more, with `-stable` and
    /// `-canary` after its name, and keeps this one on the stable version.
    #[schemars(length(min = 1, max = 56))]
    pub service: String,
    /// The routes that lead to the Service, in the namespace of the Rollout. Each is divided alike. A canary needs at least one; without
    /// any, `blueGreen` switches the Service itself.
    #[schemars(length(min = 1, max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteRef>,
    /// How long connections have to end between the routers' word that a version gets no more requests and the removal of its pods.
    /// Requests that take longer are to be covered by the pods' own termination.
    #[serde(default = "drain")]
    pub drain: Duration,
    /// That clients stay with the version that they were given, by a cookie, while a share of them is the new version's. Read when a new
    /// version begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
}

/// That clients stay with the version that they were given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Affinity {
    /// Name of the cookie. Its value names the version and the trial, so that it means nothing after a rollback.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9_-]+$"))]
    pub cookie: String,
    /// How long clients keep the cookie: longer than a rollout takes.
    #[serde(default = "max_age")]
    pub max_age: Duration,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteRef {
    /// Its kind.
    pub kind: RouterKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A cohort: requests that meet all of these conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.headers) || has(self.cookies) || has(self.query)").message("give at least one condition: headers, cookies or query"))]
#[serde(rename_all = "camelCase")]
pub struct Cohort {
    /// Headers; names are compared without regard to case.
    #[schemars(length(min = 1, max = 4))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Condition>,
    /// Cookies.
    #[schemars(length(min = 1, max = 4))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<Condition>,
    /// Parameters of the query.
    #[schemars(length(min = 1, max = 4))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<Condition>,
}

/// One condition on a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.exact) != has(self.regex)").message("give exactly one of exact and regex"))]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Name of the header, cookie or parameter.
    #[schemars(
        length(min = 1, max = 128),
        regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_|~-]+$")
    )]
    pub name: String,
    /// Its whole value.
    #[schemars(length(max = 1024))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// A regular expression for its whole value, in the router's dialect.
    #[schemars(length(min = 1, max = 1024))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
}

impl RolloutSpec {
    /// The routes, as the engine knows them.
    pub fn routing(&self) -> Option<Routing> {
        self.traffic.as_ref().map(|traffic| Routing {
            service: traffic.service.clone(),
            routes: traffic
                .routes
                .iter()
                .map(|route| RouteId {
                    kind: route.kind,
                    name: route.name.clone(),
                })
                .collect(),
            drain: traffic.drain.get(),
            affinity: traffic.affinity.as_ref().map(|affinity| traffic::Affinity {
                cookie: affinity.cookie.clone(),
                max_age_seconds: u32::try_from(affinity.max_age.get().as_secs())
                    .unwrap_or(u32::MAX)
                    .max(1),
            }),
        })
    }
}

impl Cohort {
    /// As the engine knows it.
    pub(super) fn condition(&self) -> Match {
        let parts = [
            (Part::Header, &self.headers),
            (Part::Cookie, &self.cookies),
            (Part::Query, &self.query),
        ];
        let all = parts.into_iter().flat_map(|(part, conditions)| {
            conditions
                .iter()
                .map(move |condition| condition.condition(part))
        });
        Match { all: all.collect() }
    }
}

impl Condition {
    fn condition(&self, part: Part) -> traffic::Condition {
        traffic::Condition {
            part,
            name: self.name.clone(),
            value: match (&self.exact, &self.regex) {
                (None, Some(regex)) => Text::Regex(regex.clone()),
                (exact, _) => Text::Exact(exact.clone().unwrap_or_default()),
            },
        }
    }
}

const fn max_age() -> Duration {
    Duration::from_secs(86_400)
}

const fn drain() -> Duration {
    Duration::from_secs(5)
}
