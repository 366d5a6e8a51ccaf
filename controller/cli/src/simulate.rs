//! `kubectl belay simulate`: gates on the past of a Prometheus, before they are switched on.
//!
//! Three questions are answered. What would the gates have done in the rollouts that happened? How often would they have rolled back although nothing had changed
//! (some stable pods play the canary)? And how soon would they have found faults of several sizes (put into the counts of that canary)?
//!
//! Invariant: gates are judged by the controller's own evaluator (`belay-engine`), with the clock of the history; the same history, arguments and seed give the
//! same report. Nothing is written to the cluster.

mod args;
mod ask;
mod budget;
mod counters;
mod error;
mod examine;
mod fixed;
mod gate;
mod history;
mod inject;
mod input;
mod interval;
mod junit;
mod past;
mod pods;
mod progress;
mod question;
mod replay;
mod report;
mod text;
mod trial;
mod windows;

use std::{io::Write, time::Duration};

use jiff::{SignedDuration, Timestamp};

use args::ReportFormat;
pub(crate) use args::SimulateArgs;
use ask::Source;
pub(crate) use error::SimulateError;
use gate::Gate;
use history::Grid;
use input::Subject;
use past::Past;
use pods::Pods;
use progress::Progress;
use report::{LeftOut, Report, WindowsReport};
use trial::Setup;
use windows::{Layout, Windows};

use crate::{Error, Style, args::ClusterArgs};

/// One day.
const USUAL_HISTORY_MILLISECONDS: i64 = 24 * 60 * 60 * 1000;

/// Does what `args` ask for and prints the report to `out`. An exceeded limit is an error, told after the report.
pub(crate) async fn run(
    args: &SimulateArgs,
    cluster: &ClusterArgs,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let failed = |error: SimulateError| Error::Simulation(Box::new(error));
    let report = simulate(args, cluster, Timestamp::now())
        .await
        .map_err(failed)?;
    let written = match args.output {
        ReportFormat::Text => text::lines(&report, style)
            .iter()
            .try_for_each(|line| writeln!(out, "{line}")),
        ReportFormat::Json => serde_json::to_string_pretty(&report)
            .map_err(std::io::Error::other)
            .and_then(|json| writeln!(out, "{json}")),
        ReportFormat::Junit => junit::xml(&report).and_then(|xml| out.write_all(&xml)),
    };
    written.map_err(|error| failed(SimulateError::Other(format!("output: {error}"))))?;
    if report.holds() {
        Ok(())
    } else {
        let exceeded = report.limits.iter().filter(|limit| !limit.holds);
        let names: Vec<&str> = exceeded.map(|limit| limit.name.as_str()).collect();
        Err(Error::LimitExceeded(names.join(", ")))
    }
}

/// Fetches, replays, and sums up.
async fn simulate(
    args: &SimulateArgs,
    cluster: &ClusterArgs,
    now: Timestamp,
) -> Result<Report, SimulateError> {
    let subject = input::load(args, cluster).await?;
    let source = Source::open(&args.source, &subject, now)?;
    let grid = grid(args, &subject, &source, now)?;
    let progress = Progress::stderr();
    let mut gates = Vec::new();
    let mut left_out = Vec::new();
    let mut warnings = Vec::new();
    for asked in &subject.gates {
        match source.gate(asked, &subject, grid, &progress).await? {
            Ok((gate, said)) => {
                gates.push(gate);
                warnings.extend(said);
            }
            Err(why) => left_out.push(LeftOut {
                gate: asked.name.clone(),
                why,
            }),
        }
    }
    if gates.is_empty() {
        let why: Vec<String> = left_out
            .iter()
            .map(|one| format!("{}: {}", one.gate, one.why))
            .collect();
        return Err(SimulateError::NoGate(why.join("; ")));
    }
    let past = past_rollouts(args, &subject, &source, grid, &gates, &progress).await?;
    warnings.extend(source.doubts(&subject, grid, &progress).await?);
    warnings.sort();
    warnings.dedup();
    source.finish()?;
    Ok(examined(
        args, &subject, &source, grid, &gates, &past, left_out, warnings,
    ))
}

/// The points in time: `--from` to `--to`, by the shortest interval of the gates.
fn grid(
    args: &SimulateArgs,
    subject: &Subject,
    source: &Source,
    now: Timestamp,
) -> Result<Grid, SimulateError> {
    let extent = source.extent()?;
    let end = extent.map_or(now.as_millisecond(), |(_, end, _)| end);
    let to = args.windows.to.map_or(end, |to| to.milliseconds(now));
    let from = match (args.windows.from, extent) {
        (Some(from), _) => from.milliseconds(now),
        (None, Some((start, _, _))) => start,
        (None, None) => to - USUAL_HISTORY_MILLISECONDS,
    };
    let intervals = subject.gates.iter().map(|asked| asked.spec.interval.get());
    let shortest = intervals.min().unwrap_or(Duration::from_secs(10));
    let step = match (args.windows.step, extent) {
        (Some(step), _) => milliseconds(step),
        // Saved answers have the points that they have.
        (None, Some((_, _, step))) => step.max(milliseconds(shortest)),
        (None, None) => milliseconds(shortest),
    };
    Grid::new(from, to, step)
}

fn milliseconds(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Rollouts of the file, else those that the cluster's own metrics tell of, else those that pods' names tell of.
async fn past_rollouts(
    args: &SimulateArgs,
    subject: &Subject,
    source: &Source,
    grid: Grid,
    gates: &[Gate],
    progress: &Progress,
) -> Result<Vec<Past>, SimulateError> {
    if let Some(path) = &args.windows.rollouts {
        return past::of_file(path, grid);
    }
    let sets = source.replica_sets(subject, grid, progress).await?;
    if !sets.is_empty() {
        return Ok(past::of_replica_sets(&sets, grid));
    }
    Ok(widest(gates).map(past::of_pods).unwrap_or_default())
}

/// The pods of the gate that sees most of them. What proxies count is of no pods.
fn widest(gates: &[Gate]) -> Option<&Pods> {
    let apart = gates.iter().filter(|gate| !gate.has_sides());
    let pods = apart.filter_map(Gate::pods);
    pods.max_by_key(|pods| pods.pods.len())
}

#[expect(
    clippy::too_many_arguments,
    reason = "everything that a report is made from, each used once"
)]
fn examined(
    args: &SimulateArgs,
    subject: &Subject,
    source: &Source,
    grid: Grid,
    gates: &[Gate],
    past: &[Past],
    left_out: Vec<LeftOut>,
    warnings: Vec<String>,
) -> Report {
    let duration = args.windows.duration.unwrap_or(subject.duration);
    let canary_share = args.windows.canary_share.unwrap_or(subject.canary_share);
    let layout = Layout {
        grid,
        every: grid.steps(milliseconds(args.windows.every)),
        length: grid.steps(milliseconds(duration)),
        canary_share,
        seed: args.trial.seed,
    };
    let windows = Windows::new(layout, widest(gates), past);
    let comparing = subject
        .gates
        .iter()
        .filter(|asked| asked.shares_rate())
        .count();
    let window = SignedDuration::try_from(args.trial.threshold_window).unwrap_or_default();
    let setup = Setup {
        sizes: args.trial.inject.clone(),
        fixed: Setup::rules(args.trial.threshold, window),
        seed: args.trial.seed,
        comparing: u32::try_from(comparing).unwrap_or(u32::MAX),
    };
    let examined: Vec<_> = gates
        .iter()
        .map(|gate| examine::gate(gate, grid, &windows, &setup))
        .collect();
    let past: Vec<_> = past
        .iter()
        .map(|past| examine::past(past, gates, grid, &setup))
        .collect();
    let false_alarms = examine::together(&examined, &windows, setup.comparing);
    let (max_false_alarms, max_missed) = (args.max_false_alarms, args.max_missed);
    let limits = examine::limits(max_false_alarms, max_missed, false_alarms, &examined, &past);
    let (asked, cached) = source.counts();
    Report {
        subject: subject.title.clone(),
        from: grid.time(0),
        to: grid.time(grid.points() - 1),
        step_seconds: SignedDuration::from_millis(grid.step()).as_secs_f64(),
        seed: args.trial.seed,
        asked,
        cached,
        windows: WindowsReport {
            seconds: duration.as_secs_f64(),
            every_seconds: args.windows.every.as_secs_f64(),
            canary_share_percent: canary_share,
            number: windows.quiet.len(),
            effective: windows.effective(),
            with_rollout: windows.with_rollout,
            too_few_pods: windows.too_few_pods,
        },
        gates: examined.into_iter().map(|one| one.report).collect(),
        false_alarms,
        past,
        left_out,
        limits,
        warnings,
    }
}
