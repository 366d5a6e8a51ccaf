//! The lint of one query, for the place in which it stands.

use std::time::Duration;

use promql_parser::parser::{self, Expr};

use crate::{Code, Finding, check, position::unbalanced};

/// What a query is for: that decides what is a mistake in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// One number, compared with bounds.
    Threshold,
    /// Raw counters of the bad events, each pod's own.
    Bad,
    /// Raw counters of all events, each pod's own.
    Total,
    /// Raw counters of the buckets of a histogram, each pod's own.
    Histogram,
    /// A share of bad events over some window.
    ErrorRatio,
}

impl Role {
    /// Whether raw counters are wanted, of which Belay takes the differences itself.
    pub const fn wants_counters(self) -> bool {
        matches!(self, Self::Bad | Self::Total | Self::Histogram)
    }
}

/// Time between two scrapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScrapeInterval {
    /// As the Prometheus says.
    Known(Duration),
    /// As it usually is.
    Assumed(Duration),
    /// Not to be guessed: ranges are not judged.
    Unknown,
}

impl ScrapeInterval {
    pub(crate) const fn get(self) -> Option<Duration> {
        match self {
            Self::Known(interval) | Self::Assumed(interval) => Some(interval),
            Self::Unknown => None,
        }
    }
}

/// What the lint takes as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Time between two scrapes.
    pub scrape_interval: ScrapeInterval,
    /// Label that names the pod. Absent where counters need not be told apart by pod.
    pub pod_label: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            scrape_interval: ScrapeInterval::Assumed(Duration::from_secs(15)),
            pod_label: Some("pod".to_owned()),
        }
    }
}

/// The mistakes in `query`, worst first. Its holes must be filled.
pub fn lint(query: &str, role: Role, settings: &Settings) -> Vec<Finding> {
    let mut findings = match parse(query) {
        Ok(expression) => check::all(&expression, role, settings),
        Err(finding) => vec![finding],
    };
    tidy(&mut findings);
    findings
}

/// Sorts findings, worst first, and leaves out those that are said twice.
pub(crate) fn tidy(findings: &mut Vec<Finding>) {
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.code.cmp(&b.code)));
    findings.dedup();
}

pub(crate) fn parse(query: &str) -> Result<Expr, Finding> {
    parser::parse(query).map_err(|said| {
        let (position, message) = match unbalanced(query) {
            Some((position, message)) => (Some(position), message),
            None => (None, said),
        };
        Finding {
            position,
            ..Finding::error(Code::Syntax, format!("this is not PromQL: {message}"))
        }
    })
}
