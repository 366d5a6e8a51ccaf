//! What a gate asks that watches the burn rate of an error budget.

use std::{collections::BTreeMap, time::Duration};

use belay_api::analysis::{BurnRate, PrometheusGate, arguments, prometheus as api};
use belay_engine::analysis::burn_rate::{Objective, Pair};

use super::Server;

/// The hole that Belay itself fills.
const WINDOW: &str = "window";

/// Label that tells the windows apart.
pub(crate) const CLASS: &str = "belay_window";

/// Windows that page: what burns more slowly is not this change's doing, and would not show within a rollout.
const PAIRS: usize = 2;

/// Shortest window over which a rollout's own spending is taken.
const SHORTEST: Duration = Duration::from_mins(1);

const DAY: u64 = 24 * 3600;

/// An objective, and where its error ratio comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BurnRateQuestion {
    /// The Prometheus that is asked.
    pub(crate) server: Server,
    /// What is promised.
    pub(crate) objective: Objective,
    /// Share of the period's budget that a rollout may spend.
    pub(crate) most_spent: f64,
    /// Share of the budget that must be left for a change to go forward.
    pub(crate) least_remaining: Option<f64>,
    source: Source,
}

/// Where error ratios come from; texts with their holes.
#[derive(Clone, Debug, PartialEq)]
enum Source {
    /// A query with a hole for the window.
    Query(String),
    /// Recording rules of Sloth.
    Sloth { service: String, slo: String },
    /// Recording rules of Pyrra.
    Pyrra { slo: String },
}

/// The error ratios of one objective, with all holes filled but the window.
pub(crate) struct Ratios {
    source: Source,
    values: BTreeMap<String, String>,
    period: Duration,
}

impl BurnRateQuestion {
    pub(super) fn new(prometheus: &PrometheusGate, burn: &BurnRate) -> Result<Self, String> {
        let source = match burn {
            BurnRate {
                error_ratio: Some(query),
                ..
            } => Source::Query(query.clone()),
            BurnRate {
                sloth: Some(api::SlothObjective { service, slo }),
                ..
            } => Source::Sloth {
                service: service.clone(),
                slo: slo.clone(),
            },
            BurnRate {
                pyrra: Some(api::PyrraObjective { slo }),
                ..
            } => Source::Pyrra { slo: slo.clone() },
            _ => return Err("burnRate has no source: give errorRatio, sloth or pyrra".to_owned()),
        };
        if let Source::Query(query) = &source
            && !query.replace(' ', "").contains("{{window}}")
        {
            let why = "errorRatio has no {{window}}: put it where the range belongs, for example rate(requests_total[{{window}}])";
            return Err(why.to_owned());
        }
        Ok(Self {
            server: Server::new(prometheus),
            objective: Objective {
                good_share: burn.objective_percent / 100.0,
                period: Duration::from_secs(u64::from(burn.period_days) * DAY),
            },
            most_spent: burn.max_budget_percent_per_rollout / 100.0,
            least_remaining: burn.min_remaining_percent.map(|percent| percent / 100.0),
            source,
        })
    }

    /// The pairs of windows that are watched.
    pub(crate) fn pairs(&self) -> Vec<Pair> {
        self.objective.pairs().into_iter().take(PAIRS).collect()
    }

    /// The error ratios with `values` in their holes.
    pub(crate) fn ratios(&self, values: &BTreeMap<String, String>) -> Result<Ratios, String> {
        let ratios = Ratios {
            source: self.source.clone(),
            values: values.clone(),
            period: self.objective.period,
        };
        ratios.over(SHORTEST).map(|_| ratios)
    }
}

impl Ratios {
    /// The query for the windows of `pairs`, and for the time since the rollout began. Each answer carries its window's name.
    pub(crate) fn query(&self, pairs: &[Pair], since_start: Duration) -> Result<String, String> {
        let windows = pairs.iter().flat_map(|pair| [pair.long, pair.short]);
        let mut parts: Vec<String> = windows
            .map(|window| Ok(labelled(&self.over(window)?, &name(window))))
            .collect::<Result<_, String>>()?;
        parts.push(labelled(
            &self.average(since_start.max(SHORTEST))?,
            "rollout",
        ));
        Ok(parts.join(" or "))
    }

    /// The query for the share of bad events over the objective's whole period.
    pub(crate) fn whole_period(&self) -> Result<String, String> {
        match &self.source {
            Source::Pyrra { slo } => Ok(format!(
                "1 - pyrra_availability{{slo=\"{}\"}}",
                self.fill(slo, None)?
            )),
            Source::Query(_) | Source::Sloth { .. } => self.over(self.period),
        }
    }

    /// The query for the share of bad events over `window`.
    pub(crate) fn over(&self, window: Duration) -> Result<String, String> {
        let name = name(window);
        match &self.source {
            Source::Query(query) => self.fill(query, Some(&name)),
            Source::Sloth { service, slo } => Ok(format!(
                "slo:sli_error:ratio_rate{name}{{sloth_service=\"{}\",sloth_slo=\"{}\"}}",
                self.fill(service, None)?,
                self.fill(slo, None)?
            )),
            Source::Pyrra { slo } => Ok(format!(
                "{{__name__=~\".+:burnrate{name}\",slo=\"{}\"}}",
                self.fill(slo, None)?
            )),
        }
    }

    /// The same over any time: rules are there for some windows only, so the average of the shortest is taken.
    fn average(&self, window: Duration) -> Result<String, String> {
        match &self.source {
            Source::Query(_) => self.over(window),
            Source::Sloth { .. } | Source::Pyrra { .. } => {
                let shortest = self.over(Duration::from_mins(5))?;
                Ok(format!("avg_over_time({shortest}[{}])", name(window)))
            }
        }
    }

    fn fill(&self, text: &str, window: Option<&str>) -> Result<String, String> {
        let mut values = self.values.clone();
        if let Some(window) = window {
            values.insert(WINDOW.to_owned(), window.to_owned());
        }
        arguments::fill(text, &values).map_err(|error| error.to_string())
    }
}

fn labelled(query: &str, window: &str) -> String {
    // The line breaks end a comment in what people wrote.
    format!("label_replace((\n{query}\n), \"{CLASS}\", \"{window}\", \"\", \"\")")
}

/// A window as rules are named by it.
pub(crate) fn name(window: Duration) -> String {
    let seconds = window.as_secs();
    for (unit, length) in [("d", DAY), ("h", 3600), ("m", 60)] {
        if seconds.is_multiple_of(length) && seconds > 0 {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn question(burn: Value) -> Result<BurnRateQuestion, String> {
        let mut burn = burn;
        burn["objectivePercent"] = json!(99.9);
        let prometheus: PrometheusGate = serde_json::from_value(json!({"burnRate": burn})).unwrap();
        BurnRateQuestion::new(&prometheus, prometheus.burn_rate.as_ref().unwrap())
    }

    fn query(burn: Value) -> String {
        let question = question(burn).unwrap();
        let values = BTreeMap::from([("s".to_owned(), "shop".to_owned())]);
        let ratios = question.ratios(&values).unwrap();
        ratios
            .query(&question.pairs(), Duration::from_secs(90))
            .unwrap()
    }

    #[test]
    fn one_query_asks_for_all_windows() {
        let query = query(json!({"errorRatio": "r{s=\"{{s}}\"}[{{ window }}]"}));
        for part in [
            "[1h]",
            "[5m]",
            "[6h]",
            "[30m]",
            "[90s]",
            "s=\"shop\"",
            "\"rollout\"",
        ] {
            assert!(query.contains(part), "{part} is not in {query}");
        }
        assert_eq!(query.matches(" or ").count(), 4);
    }

    #[test]
    fn rules_of_sloth_and_pyrra_are_found_by_their_names() {
        let sloth = query(json!({"sloth": {"service": "{{s}}", "slo": "availability"}}));
        assert!(
            sloth.contains(
                "slo:sli_error:ratio_rate30m{sloth_service=\"shop\",sloth_slo=\"availability\"}"
            ),
            "{sloth}"
        );
        assert!(sloth.contains("avg_over_time(slo:sli_error:ratio_rate5m{sloth_service=\"shop\",sloth_slo=\"availability\"}[90s])"), "{sloth}");
        let pyrra = query(json!({"pyrra": {"slo": "{{s}}-errors"}}));
        assert!(
            pyrra.contains("{__name__=~\".+:burnrate6h\",slo=\"shop-errors\"}"),
            "{pyrra}"
        );
    }

    #[test]
    fn a_ratio_without_a_window_is_refused() {
        assert!(
            question(json!({"errorRatio": "rate(a[5m])"}))
                .unwrap_err()
                .contains("{{window}}")
        );
    }
}
