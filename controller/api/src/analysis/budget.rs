//! What a gate that watches an error budget asks: queries for the shares of bad events, made from its spec.
//!
//! Invariant: whoever asks at present and whoever asks a history ask the same.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use belay_engine::analysis::burn_rate::{Objective, Pair};

use super::{
    arguments,
    prometheus::{BurnRate, PyrraObjective, SlothObjective},
};

/// The hole that Belay itself fills.
pub const WINDOW: &str = "window";

/// What is put behind a window's name where the number of all its events is meant.
const ALL: &str = " total";

/// Label that tells the windows apart.
pub const CLASS: &str = "belay_window";

/// Windows that page: what burns more slowly is not this change's doing, and would not show within a rollout.
const PAIRS: usize = 2;

/// Period whose windows Pyrra takes and stretches to those of other periods.
const PYRRA_PERIOD: Duration = Duration::from_secs(28 * DAY);

/// Shortest window of recording rules.
const SHORTEST_RULE: Duration = Duration::from_mins(5);

/// Shortest window over which a rollout's own spending is taken.
const SHORTEST: Duration = Duration::from_mins(1);

const DAY: u64 = 24 * 3600;

/// An objective, what may be spent of its budget, and where its error ratio comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// What is promised.
    pub objective: Objective,
    /// Share of the period's budget that a rollout may spend.
    pub most_spent: f64,
    /// Share of the budget that must be left for a change to go forward.
    pub least_remaining: Option<f64>,
    source: Source,
    /// Query for the number of all events, with a hole for the window.
    total: Option<String>,
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
#[derive(Clone, Debug)]
pub struct Ratios {
    source: Source,
    total: Option<String>,
    values: BTreeMap<String, String>,
    period: Duration,
}

impl Budget {
    /// What `burn` says. An error is one sentence that says what to write.
    pub fn new(burn: &BurnRate) -> Result<Self, String> {
        let source = match burn {
            BurnRate {
                error_ratio: Some(query),
                ..
            } => Source::Query(query.clone()),
            BurnRate {
                sloth: Some(SlothObjective { service, slo }),
                ..
            } => Source::Sloth {
                service: service.clone(),
                slo: slo.clone(),
            },
            BurnRate {
                pyrra: Some(PyrraObjective { slo }),
                ..
            } => Source::Pyrra { slo: slo.clone() },
            _ => return Err("burnRate has no source: give errorRatio, sloth or pyrra".to_owned()),
        };
        if let Source::Query(query) = &source {
            has_window("errorRatio", query)?;
        }
        if let Some(total) = &burn.total {
            has_window("total", total)?;
        }
        Ok(Self {
            objective: Objective {
                good_share: burn.objective_percent / 100.0,
                period: Duration::from_secs(u64::from(burn.period_days) * DAY),
            },
            most_spent: burn.max_budget_percent_per_rollout / 100.0,
            least_remaining: burn.min_remaining_percent.map(|percent| percent / 100.0),
            source,
            total: burn.total.clone(),
        })
    }

    /// The texts of its own queries that may have holes.
    pub fn texts(&self) -> Vec<&str> {
        let ratio = match &self.source {
            Source::Query(query) => Some(query.as_str()),
            Source::Sloth { .. } | Source::Pyrra { .. } => None,
        };
        ratio.into_iter().chain(self.total.as_deref()).collect()
    }

    /// The pairs of windows that are watched.
    pub fn pairs(&self) -> Vec<Pair> {
        let pairs = self.objective.pairs().into_iter().take(PAIRS);
        match &self.source {
            Source::Query(_) | Source::Sloth { .. } => pairs.collect(),
            Source::Pyrra { .. } => pairs
                .map(|pair| pyrra_pair(pair, self.objective.period))
                .collect(),
        }
    }

    /// The windows of the first pair: the long one before a rollout shows its ordinary share of bad events.
    pub fn windows(&self) -> Pair {
        let [first, ..] = self.objective.pairs();
        self.pairs().into_iter().next().unwrap_or(first)
    }

    /// Whether shares are recorded, so that asking for that of the whole period costs next to nothing.
    pub fn is_recorded(&self) -> bool {
        !matches!(self.source, Source::Query(_))
    }

    /// The error ratios with `values` in their holes.
    pub fn ratios(&self, values: &BTreeMap<String, String>) -> Result<Ratios, String> {
        let ratios = Ratios {
            source: self.source.clone(),
            total: self.total.clone(),
            values: values.clone(),
            period: self.objective.period,
        };
        ratios.over(SHORTEST)?;
        ratios.total(SHORTEST).map(|_| ratios)
    }
}

impl Ratios {
    /// The query for the windows of `pairs` (for all events as well, where they can be had), and for the time since the rollout
    /// began. Each answer carries its window's name.
    pub fn query(&self, pairs: &[Pair], since_start: Duration) -> Result<String, String> {
        let mut parts = Vec::new();
        for window in pairs.iter().flat_map(|pair| [pair.long, pair.short]) {
            parts.push(labelled(&self.over(window)?, &name(window)));
            let total = self.total(window)?;
            parts.extend(total.map(|total| labelled(&total, &name_of_all(window))));
        }
        parts.push(labelled(
            &self.average(since_start.max(SHORTEST))?,
            "rollout",
        ));
        Ok(parts.join(" or "))
    }

    /// The query for the share of bad events over the objective's whole period.
    pub fn whole_period(&self) -> Result<String, String> {
        match &self.source {
            Source::Pyrra { slo } => Ok(format!(
                "1 - pyrra_availability{{slo=\"{}\"}}",
                self.fill(slo, None)?
            )),
            Source::Query(_) | Source::Sloth { .. } => self.over(self.period),
        }
    }

    /// The query for the share of bad events over `window`.
    pub fn over(&self, window: Duration) -> Result<String, String> {
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

    /// The query for the number of all events in `window`, if there is one. Sloth has no rules for it.
    pub fn total(&self, window: Duration) -> Result<Option<String>, String> {
        let name = name(window);
        match (&self.total, &self.source) {
            (Some(total), _) => self.fill(total, Some(&name)).map(Some),
            (None, Source::Pyrra { slo }) => Ok(Some(format!(
                "sum(avg_over_time(pyrra_requests:rate5m{{slo=\"{}\"}}[{name}])) * {}",
                self.fill(slo, None)?,
                window.as_secs()
            ))),
            (None, Source::Query(_) | Source::Sloth { .. }) => Ok(None),
        }
    }

    /// The same over any time: rules are there for some windows only, so the average of the shortest is taken.
    fn average(&self, window: Duration) -> Result<String, String> {
        match &self.source {
            Source::Query(_) => self.over(window),
            Source::Sloth { .. } => self.average_of(SHORTEST_RULE, window),
            Source::Pyrra { .. } => self.average_of(stretched(SHORTEST_RULE, self.period), window),
        }
    }

    fn average_of(&self, rule: Duration, window: Duration) -> Result<String, String> {
        let shortest = self.over(rule)?;
        Ok(format!("avg_over_time({shortest}[{}])", name(window)))
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

fn has_window(field: &str, query: &str) -> Result<(), String> {
    if query.replace(' ', "").contains("{{window}}") {
        return Ok(());
    }
    Err(format!(
        "{field} has no {{{{window}}}}: put it where the range belongs, for example rate(requests_total[{{{{window}}}}])"
    ))
}

/// The name under which the number of all events of a window is answered.
pub fn name_of_all(window: Duration) -> String {
    format!("{}{ALL}", name(window))
}

/// The windows that Pyrra has in the place of `pair`, with the burn rate that spends the same share of the budget in them.
fn pyrra_pair(pair: Pair, period: Duration) -> Pair {
    let long = stretched(pair.long, period);
    Pair {
        long,
        short: stretched(pair.short, period),
        burn_rate: pair.burn_rate * pair.long.as_secs_f64() / long.as_secs_f64(),
    }
}

/// A window of Pyrra's for `period`, in whole minutes.
fn stretched(window: Duration, period: Duration) -> Duration {
    let seconds = window.as_secs_f64() * period.as_secs_f64() / PYRRA_PERIOD.as_secs_f64();
    Duration::from_mins(1).mul_f64((seconds / 60.0).round().max(1.0))
}

/// A window as Prometheus writes it, and as rules are therefore named by it: `1h4m`, and `4w` for 28 days.
pub fn name(window: Duration) -> String {
    const WEEK: u64 = 7 * DAY;
    let mut rest = window.as_secs();
    let mut name = String::new();
    for (unit, length) in [
        ("y", 365 * DAY),
        ("w", WEEK),
        ("d", DAY),
        ("h", 3600),
        ("m", 60),
        ("s", 1),
    ] {
        // Years and weeks are written only where nothing else is.
        if length >= WEEK && !rest.is_multiple_of(length) {
            continue;
        }
        let count = rest / length;
        if count > 0 {
            // Writing to a text does not fail.
            let _ = write!(name, "{count}{unit}");
            rest -= count * length;
        }
    }
    if name.is_empty() {
        "0s".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn question(burn: Value) -> Result<Budget, String> {
        let mut burn = burn;
        burn["objectivePercent"] = json!(99.9);
        Budget::new(&serde_json::from_value(burn).unwrap())
    }

    fn ratios(question: &Budget) -> Ratios {
        let values = BTreeMap::from([("s".to_owned(), "shop".to_owned())]);
        question.ratios(&values).unwrap()
    }

    fn query(burn: Value) -> String {
        let question = question(burn).unwrap();
        let ratios = ratios(&question);
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
            "[1m30s]",
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
        assert!(sloth.contains("avg_over_time(slo:sli_error:ratio_rate5m{sloth_service=\"shop\",sloth_slo=\"availability\"}[1m30s])"), "{sloth}");
        let pyrra = query(json!({"pyrra": {"slo": "{{s}}-errors"}}));
        assert!(
            pyrra.contains("{__name__=~\".+:burnrate6h26m\",slo=\"shop-errors\"}"),
            "{pyrra}"
        );
    }

    #[test]
    fn windows_are_named_as_prometheus_writes_them() {
        for (seconds, written) in [
            (0, "0s"),
            (90, "1m30s"),
            (3600, "1h"),
            (30 * DAY, "30d"),
            (28 * DAY, "4w"),
            (7 * DAY, "1w"),
            (365 * DAY, "1y"),
            (366 * DAY, "366d"),
            (8 * DAY + 60, "8d1m"),
        ] {
            assert_eq!(name(Duration::from_secs(seconds)), written);
        }
    }

    #[test]
    fn windows_of_pyrra_are_those_of_28_days_stretched_and_spend_the_same_share() {
        for (days, windows) in [
            (28, ["1h", "5m", "6h", "30m"]),
            (30, ["1h4m", "5m", "6h26m", "32m"]),
            (14, ["30m", "3m", "3h", "15m"]),
            (7, ["15m", "1m", "1h30m", "8m"]),
        ] {
            let question =
                question(json!({"pyrra": {"slo": "errors"}, "periodDays": days})).unwrap();
            let pairs = question.pairs();
            let named: Vec<String> = pairs
                .iter()
                .flat_map(|pair| [name(pair.long), name(pair.short)])
                .collect();
            assert_eq!(named, windows);
            for (pair, share) in pairs.iter().zip([0.02, 0.05]) {
                let period = question.objective.period.as_secs_f64();
                let spent = pair.burn_rate * pair.long.as_secs_f64() / period;
                assert!((spent - share).abs() < 1e-9, "{spent} in {pair:?}");
            }
        }
    }

    #[test]
    fn the_whole_period_is_named_as_sloth_names_it() {
        let sloth = json!({"service": "{{s}}", "slo": "availability"});
        for (days, window) in [(30, "30d"), (28, "4w")] {
            let question = question(json!({"sloth": sloth, "periodDays": days})).unwrap();
            let query = ratios(&question).whole_period().unwrap();
            assert!(
                query.starts_with(&format!("slo:sli_error:ratio_rate{window}{{")),
                "{query}"
            );
        }
    }

    #[test]
    fn all_events_are_asked_for_with_each_window_where_they_can_be_had() {
        let own = query(json!({
            "errorRatio": "r[{{window}}]", "total": "sum(increase(a{s=\"{{s}}\"}[{{window}}]))",
        }));
        for part in [
            "sum(increase(a{s=\"shop\"}[6h]))",
            "\"6h total\"",
            "\"30m total\"",
        ] {
            assert!(own.contains(part), "{part} is not in {own}");
        }
        let pyrra = query(json!({"pyrra": {"slo": "{{s}}-errors"}}));
        let of_pyrra = "sum(avg_over_time(pyrra_requests:rate5m{slo=\"shop-errors\"}[5m])) * 300";
        assert!(pyrra.contains(of_pyrra), "{pyrra}");
        let sloth = query(json!({"sloth": {"service": "{{s}}", "slo": "availability"}}));
        assert!(!sloth.contains("total"), "{sloth}");
        let why = question(json!({"errorRatio": "r[{{window}}]", "total": "sum(a)"})).unwrap_err();
        assert!(why.starts_with("total has no {{window}}"), "{why}");
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
