//! What a gate asks, with holes that are filled when it is asked.
//!
//! Invariant: a question is the same value for the same spec, so that an unchanged gate keeps its place in the schedule.

mod comparison;

use std::{collections::BTreeMap, time::Duration};

use belay_api::analysis::{
    Detect, GateRef, GateSpec, Parameter, PrometheusGate, SecretKey,
    arguments::{self, ArgumentError},
    budget::Budget,
    http::{
        HttpAuth, HttpExpectation, HttpGate, HttpHeader, HttpMethod, HttpTls, Redirects,
        Unavailable,
    },
};
use belay_engine::analysis::threshold::Bounds;

use super::probe::{http::HttpQuestion, job::JobQuestion};
use crate::prometheus::Words;
pub(crate) use comparison::ComparisonQuestion;

/// What one gate asks, and the arguments that it is asked with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Question {
    /// The arguments.
    pub(crate) arguments: Arguments,
    /// Whom it asks, and what.
    pub(crate) kind: Kind,
}

/// Whom a gate asks, and what.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// One number of a Prometheus, kept within bounds.
    Threshold(ThresholdQuestion),
    /// An HTTP request, and what its answer must be like.
    Http(Box<HttpQuestion>),
    /// Counters of the canary against those of the stable pods.
    Comparison(Box<ComparisonQuestion>),
    /// A Job that must succeed.
    Job(JobQuestion),
    /// How fast an error budget is spent.
    BurnRate(Box<BurnRateQuestion>),
}

/// A query that gives one number, and its bounds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ThresholdQuestion {
    /// The Prometheus that is asked.
    pub(crate) server: Server,
    /// The query with its holes.
    pub(crate) query: String,
    /// The bounds of the answer.
    pub(crate) bounds: Bounds,
}

/// An error budget that is watched.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BurnRateQuestion {
    /// The Prometheus that is asked.
    pub(crate) server: Server,
    /// The budget, and where its error ratios come from.
    pub(crate) budget: Budget,
}

/// The Prometheus that a gate asks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Server {
    /// Its address; the controller's own when absent.
    pub(crate) address: Option<String>,
    /// Credentials, headers and certificates.
    pub(crate) access: Box<HttpQuestion>,
    /// Longest time that one query may take.
    pub(crate) timeout: Duration,
}

/// Where the values of a template's holes come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arguments {
    parameters: Vec<Parameter>,
    values: BTreeMap<String, String>,
    /// Arguments from fields of the object, as JSON pointers.
    pub(crate) fields: BTreeMap<String, String>,
    /// Arguments from Secrets.
    pub(crate) secrets: BTreeMap<String, SecretKey>,
}

impl Question {
    /// The question of `gate`, a gate of the template that `reference` names and whose arguments are `parameters`. An error is
    /// one sentence that says what to write.
    pub(crate) fn new(
        reference: &GateRef,
        parameters: &[Parameter],
        gate: &GateSpec,
    ) -> Result<Self, String> {
        let question = Self {
            arguments: Arguments::new(reference, parameters),
            kind: Kind::new(gate)?,
        };
        question.check()?;
        Ok(question)
    }

    /// Whether it can be asked once the late values are there.
    fn check(&self) -> Result<(), String> {
        let values = self.arguments.with_stand_ins();
        let values = values.map_err(|error| error.to_string())?;
        let secret = self.arguments.secret_names();
        match &self.kind {
            Kind::Http(question) => return question.check(&values, &secret),
            Kind::Job(question) => return question.check(&values, &secret),
            Kind::BurnRate(question) => return question.budget.ratios(&values).map(drop),
            Kind::Threshold(_) | Kind::Comparison(_) => {}
        }
        self.kind
            .texts()
            .into_iter()
            .try_for_each(|text| arguments::fill(text, &values).map(drop))
            .map_err(|error| error.to_string())
    }
}

impl Kind {
    fn new(gate: &GateSpec) -> Result<Self, String> {
        match (&gate.prometheus, &gate.http, &gate.job) {
            (Some(prometheus), None, None) => Self::of_prometheus(gate, prometheus),
            (None, Some(http), None) => Ok(Self::Http(Box::new(HttpQuestion::new(http)))),
            (None, None, Some(job)) => Ok(Self::Job(JobQuestion::new(job))),
            _ => Err("give it exactly one of prometheus, http and job".to_owned()),
        }
    }

    /// Whether it runs a Job.
    pub(crate) const fn is_job(&self) -> bool {
        matches!(self, Self::Job(_))
    }

    /// The service account in whose name it runs a Job, if it does.
    pub(crate) fn account(&self) -> Option<&str> {
        match self {
            Self::Job(question) => Some(question.account()),
            _ => None,
        }
    }

    fn of_prometheus(gate: &GateSpec, prometheus: &PrometheusGate) -> Result<Self, String> {
        if let Some(compare) = &prometheus.compare {
            let question = ComparisonQuestion::events(gate, prometheus, compare);
            return Ok(Self::Comparison(Box::new(question)));
        }
        if let Some(latency) = &prometheus.latency {
            let question = ComparisonQuestion::latency(gate, prometheus, latency)?;
            return Ok(Self::Comparison(Box::new(question)));
        }
        if let Some(burn) = &prometheus.burn_rate {
            let question = BurnRateQuestion {
                server: Server::new(prometheus),
                budget: Budget::new(burn)?,
            };
            return Ok(Self::BurnRate(Box::new(question)));
        }
        ThresholdQuestion::new(prometheus).map(Self::Threshold)
    }

    /// Every text of a question to Prometheus that may have holes.
    fn texts(&self) -> Vec<&str> {
        match self {
            Self::Threshold(question) => vec![&question.query],
            // These check their texts themselves.
            Self::Http(_) | Self::Job(_) | Self::BurnRate(_) => Vec::new(),
            Self::Comparison(question) => question.texts(),
        }
    }

    /// Whether it compares with pods of the stable version, so that only something with pods of two versions can be asked about.
    pub(crate) fn is_comparison(&self) -> bool {
        matches!(self, Self::Comparison(_))
    }
}

impl ThresholdQuestion {
    fn new(prometheus: &PrometheusGate) -> Result<Self, String> {
        let (Some(query), Some(threshold)) = (&prometheus.query, &prometheus.threshold) else {
            return Err("prometheus asks nothing: give it query and threshold, compare, latency or burnRate".to_owned());
        };
        Ok(Self {
            server: Server::new(prometheus),
            query: query.clone(),
            bounds: Bounds {
                min: threshold.min,
                max: threshold.max,
            },
        })
    }
}

impl Server {
    fn new(prometheus: &PrometheusGate) -> Self {
        let (auth, headers, tls) = (&prometheus.auth, &prometheus.headers, &prometheus.tls);
        Self {
            address: prometheus.address.clone(),
            access: Box::new(Self::speaking(auth.clone(), headers.clone(), tls.clone())),
            timeout: prometheus.timeout.get(),
        }
    }

    /// A request of which only the access is used.
    pub(crate) fn speaking(
        auth: Option<HttpAuth>,
        headers: Vec<HttpHeader>,
        tls: Option<HttpTls>,
    ) -> HttpQuestion {
        HttpQuestion::new(&HttpGate {
            url: "http://prometheus".to_owned(),
            method: HttpMethod::Get,
            query: Vec::new(),
            headers,
            auth,
            body: None,
            tls,
            timeout: belay_api::Duration::from_secs(10),
            retries: None,
            redirects: Redirects::Refuse,
            unavailable_is: Unavailable::Error,
            expect: HttpExpectation::default(),
        })
    }
}

impl Arguments {
    fn new(reference: &GateRef, parameters: &[Parameter]) -> Self {
        let mut fields = BTreeMap::new();
        let mut secrets = BTreeMap::new();
        for from in &reference.args_from {
            if let Some(pointer) = &from.field {
                fields.insert(from.name.clone(), pointer.clone());
            } else if let Some(key) = &from.secret_key {
                secrets.insert(from.name.clone(), key.clone());
            }
        }
        Self {
            parameters: parameters.to_vec(),
            values: reference.args.clone(),
            fields,
            secrets,
        }
    }

    /// The arguments that were given by value.
    pub(crate) fn given(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// The values of all holes; `late` has those of `fields` and `secrets`.
    pub(crate) fn values(
        &self,
        late: BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, ArgumentError> {
        let mut given = self.values.clone();
        given.extend(late);
        arguments::resolve(&self.parameters, &given)
    }

    /// Arguments without a value of their own that can be found out from series.
    pub(crate) fn detected(&self) -> Vec<(&str, Detect)> {
        let given = |name: &String| {
            self.values.contains_key(name)
                || self.fields.contains_key(name)
                || self.secrets.contains_key(name)
        };
        let parameters = self.parameters.iter().filter(|one| !given(&one.name));
        parameters
            .filter_map(|one| Some((one.name.as_str(), one.detect?)))
            .collect()
    }

    /// Whether a query that they fill may be quoted.
    pub(crate) fn words(&self) -> Words {
        if self.secrets.is_empty() {
            Words::Shown
        } else {
            Words::Withheld
        }
    }

    /// Names of the arguments that come from Secrets.
    pub(crate) fn secret_names(&self) -> Vec<&str> {
        self.secrets.keys().map(String::as_str).collect()
    }

    /// The values of all holes, with a word in place of each that is known only when the gate is asked.
    pub(crate) fn with_stand_ins(&self) -> Result<BTreeMap<String, String>, ArgumentError> {
        let names = self.fields.keys().chain(self.secrets.keys());
        self.values(
            names
                .map(|name| (name.clone(), "value".to_owned()))
                .collect(),
        )
    }
}
