//! What a gate asks of a history, and from where it is answered.

use std::time::Duration;

use belay_api::analysis::budget::{Budget, Ratios};
use belay_promql::ScrapeInterval;
use jiff::Timestamp;

use super::{
    args::SourceArgs,
    budget::Burning,
    counters::{self, Counters},
    error::SimulateError,
    gate::{Data, Gate},
    history::{Grid, Series, saved::Saved, server::Server},
    input::{Asked, Subject},
    pods::{BASELINE, Pods},
    progress::Progress,
    question::{CounterKind, Counting, Question},
};

const HOUR_MILLISECONDS: i64 = 60 * 60 * 1000;
/// The whole period is looked at as often as in the controller.
const PERIOD_STEP_MILLISECONDS: i64 = 5 * 60 * 1000;
const TEN_MINUTES_MILLISECONDS: i64 = 10 * 60 * 1000;

/// Where the history comes from.
#[derive(Debug)]
pub(super) enum Source {
    Server(Box<Server>),
    Saved(Saved),
}

/// A gate with what the source warns of, or why it can't be replayed.
type Answered = Result<(Gate, Vec<String>), String>;

impl Source {
    /// What `args` name; else the Prometheus that the gates name themselves.
    pub(super) fn open(
        args: &SourceArgs,
        subject: &Subject,
        now: Timestamp,
    ) -> Result<Self, SimulateError> {
        if let Some(path) = &args.answers {
            return Ok(Self::Saved(Saved::open(path)?));
        }
        let own = || subject.gates.iter().find_map(Asked::address);
        let address = args
            .prometheus
            .as_deref()
            .or_else(own)
            .ok_or(SimulateError::NoSource)?;
        let server = Server::open(address, args, now.as_millisecond())?;
        Ok(Self::Server(Box::new(server)))
    }

    /// Begin, end and step of saved answers, in milliseconds.
    pub(super) fn extent(&self) -> Result<Option<(i64, i64, i64)>, SimulateError> {
        match self {
            Self::Server(_) => Ok(None),
            Self::Saved(saved) => saved.extent(),
        }
    }

    /// Questions asked, and questions answered from the cache.
    pub(super) fn counts(&self) -> (usize, usize) {
        match self {
            Self::Server(server) => server.counts(),
            Self::Saved(_) => (0, 0),
        }
    }

    /// Everything that is to be saved is on disk.
    pub(super) fn finish(&self) -> Result<(), SimulateError> {
        match self {
            Self::Server(server) => server.finish(),
            Self::Saved(_) => Ok(()),
        }
    }

    async fn range(
        &self,
        query: &str,
        grid: Grid,
        progress: &Progress,
    ) -> Result<(Vec<Series>, Vec<String>), SimulateError> {
        match self {
            Self::Server(server) => server.range(query, grid, progress).await,
            Self::Saved(saved) => Ok((saved.range(query, grid)?, Vec::new())),
        }
    }

    /// A question that one can do without: nothing if there is no answer.
    async fn perhaps(
        &self,
        query: &str,
        grid: Grid,
        progress: &Progress,
    ) -> Result<Vec<Series>, SimulateError> {
        match self.range(query, grid, progress).await {
            Err(SimulateError::NotSaved(_)) => Ok(Vec::new()),
            other => other.map(|(series, _)| series),
        }
    }

    /// Fetches what a gate asks.
    pub(super) async fn gate(
        &self,
        asked: &Asked,
        subject: &Subject,
        grid: Grid,
        progress: &Progress,
    ) -> Result<Answered, SimulateError> {
        let question = match asked.question()? {
            Ok(question) => question,
            Err(why) => return Ok(Err(why)),
        };
        let (data, warnings) = match question {
            Question::Number { query, bounds } => {
                let (series, warnings) = self.range(&query, grid, progress).await?;
                let data = Data::Numbers {
                    grid,
                    series,
                    bounds,
                };
                (data, warnings)
            }
            Question::Counters(counters) => {
                let (list, warnings) = self.counters(&counters, grid, progress).await?;
                let sides = matches!(counters.kind, CounterKind::Sides { .. });
                let pods = if sides {
                    Pods::units(grid, list)
                } else {
                    Pods::new(grid, list, subject.workload.as_deref())
                };
                let rules = counters.rules;
                (Data::Pods { pods, rules, sides }, warnings)
            }
            Question::Budget(budget, ratios) => {
                match self.budget(budget, &ratios, grid, progress).await? {
                    Ok((burning, warnings)) => (Data::Budget(burning), warnings),
                    Err(why) => return Ok(Err(why)),
                }
            }
        };
        let policy = asked.policy();
        let interval = i64::try_from(policy.interval.as_millis()).unwrap_or(i64::MAX);
        let gate = Gate {
            stride: grid.steps(interval),
            policy,
            data,
        };
        Ok(Ok((gate, warnings)))
    }

    async fn counters(
        &self,
        asked: &Counting,
        grid: Grid,
        progress: &Progress,
    ) -> Result<(Vec<(String, Counters)>, Vec<String>), SimulateError> {
        let label = asked.pod_label.as_str();
        // The line breaks end a comment in what people wrote.
        let by = |labels: &str, query: &str| format!("sum by ({labels}) (\n{}\n)", query.trim());
        match &asked.kind {
            CounterKind::Pair { bad, total } => {
                self.pairs([&by(label, bad), &by(label, total)], label, grid, progress)
                    .await
            }
            CounterKind::Sides { canary, baseline } => {
                let [own, other] =
                    [canary, baseline].map(|of| [by(label, &of.bad), by(label, &of.total)]);
                let own = own.each_ref().map(String::as_str);
                let other = other.each_ref().map(String::as_str);
                let (mut units, mut warnings) = self.pairs(own, label, grid, progress).await?;
                let (others, more) = self.pairs(other, label, grid, progress).await?;
                let named = |(unit, counters)| (format!("{BASELINE}{unit}"), counters);
                units.extend(others.into_iter().map(named));
                warnings.extend(more);
                Ok((units, warnings))
            }
            CounterKind::Histogram { buckets, measure } => {
                let query = by(&format!("{label}, le"), buckets);
                let (series, warnings) = self.range(&query, grid, progress).await?;
                Ok((
                    counters::histograms(series, label, buckets, *measure)?,
                    warnings,
                ))
            }
        }
    }

    async fn pairs(
        &self,
        [bad, total]: [&str; 2],
        label: &str,
        grid: Grid,
        progress: &Progress,
    ) -> Result<(Vec<(String, Counters)>, Vec<String>), SimulateError> {
        let (bad, mut warnings) = self.range(bad, grid, progress).await?;
        let (total, more) = self.range(total, grid, progress).await?;
        warnings.extend(more);
        Ok((counters::pairs(bad, total, label), warnings))
    }

    /// A budget with its history, or why it can't be replayed.
    async fn budget(
        &self,
        budget: Budget,
        ratios: &Ratios,
        grid: Grid,
        progress: &Progress,
    ) -> Result<Result<(Burning, Vec<String>), String>, SimulateError> {
        let mut warnings = Vec::new();
        let mut windows = Vec::new();
        let lengths = budget
            .pairs()
            .into_iter()
            .flat_map(|pair| [pair.long, pair.short]);
        for length in lengths {
            let query = ratios.over(length).map_err(SimulateError::Other)?;
            let (mut series, said) = self.range(&query, grid, progress).await?;
            warnings.extend(said);
            if series.len() > 1 {
                return Ok(Err(format!(
                    "its error ratio gives {} series where one is meant; aggregate both of its parts, for example with sum(…)",
                    series.len()
                )));
            }
            let total = match ratios.total(length).map_err(SimulateError::Other)? {
                Some(total) => self.perhaps(&total, grid, progress).await?.pop(),
                None => None,
            };
            windows.push((length, series.pop(), total));
        }
        let period = match budget.least_remaining {
            Some(_) => {
                let step = grid.step().max(PERIOD_STEP_MILLISECONDS);
                let coarse = Grid::new(grid.start() - step, grid.end(), step).unwrap_or(grid);
                let query = ratios.whole_period().map_err(SimulateError::Other)?;
                let (mut series, said) = self.range(&query, coarse, progress).await?;
                warnings.extend(said);
                Some((coarse, series.pop()))
            }
            None => None,
        };
        let burning = Burning {
            grid,
            budget,
            windows,
            period,
        };
        Ok(Ok((burning, warnings)))
    }

    /// Replicas of each ReplicaSet of the workload, where kube-state-metrics tells them.
    pub(super) async fn replica_sets(
        &self,
        subject: &Subject,
        grid: Grid,
        progress: &Progress,
    ) -> Result<Vec<Series>, SimulateError> {
        let (Some(namespace), Some(workload)) = (&subject.namespace, &subject.workload) else {
            return Ok(Vec::new());
        };
        let workload = workload.replace('.', "[.]");
        let query = format!(
            "sum by (replicaset) (kube_replicaset_status_replicas{{namespace=\"{namespace}\",replicaset=~\"{workload}-[^-]+\"}})"
        );
        self.perhaps(&query, grid, progress).await
    }

    /// What is doubtful in the gates' queries, given how often this Prometheus scrapes.
    pub(super) async fn doubts(
        &self,
        subject: &Subject,
        grid: Grid,
        progress: &Progress,
    ) -> Result<Vec<String>, SimulateError> {
        let end = grid.end();
        let last_hour = Grid::new(end - HOUR_MILLISECONDS, end, TEN_MINUTES_MILLISECONDS)?;
        let query = "quantile(0.5, count_over_time(up[10m]))";
        let counts = self.perhaps(query, last_hour, progress).await?;
        let scrapes = counts
            .first()
            .and_then(|one| one.get(last_hour.points() - 1))
            .filter(|number| *number > 0.0);
        let interval = scrapes.map(|number| Duration::from_secs_f64(600.0 / number));
        let interval = interval.map_or(ScrapeInterval::Unknown, ScrapeInterval::Known);
        Ok(subject
            .gates
            .iter()
            .flat_map(|asked| asked.doubts(interval))
            .collect())
    }
}
