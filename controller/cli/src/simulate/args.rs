//! Flags of `simulate`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use jiff::{SpanRelativeTo, Timestamp};

/// Replay gates on a Prometheus's past.
#[derive(Clone, Debug, Args)]
pub struct SimulateArgs {
    /// Whose gates: `NAME` or `rollout/NAME` of a Rollout, `template/NAME` or `clustertemplate/NAME`. Of the cluster, or of the files given with --file.
    pub name: Option<String>,
    /// File with the Rollout and its templates, or with a template alone, as YAML or JSON; `-` reads standard input. May be given several times.
    #[arg(short, long = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Value of a template's argument; goes before what the Rollout says. May be given several times.
    #[arg(long = "arg", value_name = "NAME=VALUE", value_parser = argument)]
    pub arguments: Vec<(String, String)>,
    /// Name that the workload's pods begin with; the Rollout's workload when absent. Needed for a template alone, if its series have other pods as well.
    #[arg(long, value_name = "NAME")]
    pub workload: Option<String>,

    /// Which history.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Which windows are replayed.
    #[command(flatten)]
    pub windows: WindowArgs,
    /// What the gates are put to the test with.
    #[command(flatten)]
    pub trial: TrialArgs,

    /// Fail (exit code 1) if a larger share of the windows without any change is an alarm, for example 0.01.
    #[arg(long, value_name = "SHARE", value_parser = share, help_heading = "Report")]
    pub max_false_alarms: Option<f64>,
    /// Fail (exit code 1) if a larger share of faults is missed: of the largest size of --inject, and of past rollouts that --rollouts calls bad.
    #[arg(long, value_name = "SHARE", value_parser = share, help_heading = "Report")]
    pub max_missed: Option<f64>,
    /// How the report is written.
    #[arg(
        short,
        long,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        help_heading = "Report"
    )]
    pub output: ReportFormat,
}

/// Where the history comes from.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "History")]
pub struct SourceArgs {
    /// Base URL of the Prometheus (or Thanos, Mimir) to ask.
    #[arg(
        long,
        value_name = "URL",
        env = "BELAY_PROMETHEUS_URL",
        hide_env_values = true
    )]
    pub prometheus: Option<String>,
    /// File with the token to send as `Authorization: Bearer`.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Tenant to send as `X-Scope-OrgID`.
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<String>,
    /// File with certificates to trust beside those of the system, in PEM.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// File with saved answers in place of a Prometheus: a JSON list of `{"query": …, "response": …}` with responses of `/api/v1/query_range`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prometheus", "token_file", "tenant", "ca_file"])]
    pub answers: Option<PathBuf>,
    /// Write what Prometheus answered to this file, for --answers.
    #[arg(long, value_name = "FILE", conflicts_with = "answers")]
    pub save_answers: Option<PathBuf>,
    /// Folder for fetched history: a run that was ended goes on from there. In the user's cache folder when absent.
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Longest time that one question may take, for example 30s.
    #[arg(long, default_value = "60s", value_name = "SPAN", value_parser = span)]
    pub timeout: Duration,
}

/// Which windows are replayed.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Windows")]
pub struct WindowArgs {
    /// Begin of the history: a time such as 2026-11-01T00:00:00Z, or how long ago, for example 7d. One day ago when absent; with --answers, where they begin.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub from: Option<Moment>,
    /// End of the history: a time, or how long ago. Now when absent; with --answers, where they end.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub to: Option<Moment>,
    /// Time between two looks; the gate's interval when absent.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub step: Option<Duration>,
    /// Length of a window; that of the Rollout's steps when absent (15 minutes for a template alone).
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub duration: Option<Duration>,
    /// Time from the start of one window without any change to that of the next.
    #[arg(long, default_value = "10m", value_name = "SPAN", value_parser = span)]
    pub every: Duration,
    /// Share of the pods that play the canary, in percent; the weight of the Rollout's first step when absent (10 for a template alone). At least one pod.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub canary_share: Option<f64>,
    /// CSV file of past rollouts in place of those found in the history, with the columns start, end, canary (a ReplicaSet's hash, or the beginning of its pods' names)
    /// and, if known, version and outcome (good or bad).
    #[arg(long, value_name = "FILE")]
    pub rollouts: Option<PathBuf>,
}

/// What the gates are put to the test with.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Trials")]
pub struct TrialArgs {
    /// Sizes of the faults that are put in: so many times the usual share of bad requests.
    #[arg(long, value_delimiter = ',', default_value = "1.5,2,5,10", value_name = "FACTOR,…", value_parser = factor)]
    pub inject: Vec<f64>,
    /// Fixed share of bad requests to compare with.
    #[arg(long, default_value = "0.01", value_name = "SHARE", value_parser = share)]
    pub threshold: f64,
    /// Time over which the fixed rule takes its share.
    #[arg(long, default_value = "1m", value_name = "SPAN", value_parser = span)]
    pub threshold_window: Duration,
    /// Start of the random numbers: the same seed on the same history gives the same report.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub seed: u64,
}

/// How the report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For CI: one test case for each limit and each past rollout.
    Junit,
}

/// A point in time, or so long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A point in time.
    At(Timestamp),
    /// So long before now.
    Ago(Duration),
}

impl Moment {
    /// The point in time as milliseconds since 1970.
    pub(super) fn milliseconds(self, now: Timestamp) -> i64 {
        match self {
            Self::At(time) => time.as_millisecond(),
            Self::Ago(span) => {
                let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
                now.as_millisecond().saturating_sub(span)
            }
        }
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(Moment::At(time));
    }
    length(text).map(Moment::Ago).ok_or_else(|| {
        "write a time such as 2026-11-01T00:00:00Z, or how long ago, for example 7d".to_owned()
    })
}

fn span(text: &str) -> Result<Duration, String> {
    length(text)
        .filter(|span| *span >= Duration::from_millis(100))
        .ok_or_else(|| "write a span of time, for example 30s, 15m or 1d".to_owned())
}

fn length(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.parse().ok()?;
    let exact = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    exact.try_into().ok()
}

fn share(text: &str) -> Result<f64, String> {
    number(text, 0.0, 1.0).ok_or_else(|| "write a share from 0 to 1, for example 0.01".to_owned())
}

fn percent(text: &str) -> Result<f64, String> {
    number(text.trim_end_matches('%'), 0.0, 100.0)
        .ok_or_else(|| "write a percentage from 0 to 100".to_owned())
}

fn factor(text: &str) -> Result<f64, String> {
    number(text, 1.0, 1e6)
        .filter(|factor| *factor > 1.0)
        .ok_or_else(|| "write a factor above 1, for example 2".to_owned())
}

fn number(text: &str, least: f64, most: f64) -> Option<f64> {
    let number: f64 = text.trim().parse().ok()?;
    (least..=most).contains(&number).then_some(number)
}

fn argument(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_how_long_ago() {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let at = |text| moment(text).unwrap().milliseconds(now);
        assert_eq!(at("2026-11-23T11:00:00Z"), now.as_millisecond() - 3_600_000);
        assert_eq!(at("7d"), now.as_millisecond() - 7 * 86_400_000);
        assert_eq!(at("1h30m"), now.as_millisecond() - 5_400_000);
        assert!(moment("yesterday").unwrap_err().contains("7d"));
    }

    #[test]
    fn spans_and_factors_that_make_no_sense_are_refused() {
        assert!(span("0s").is_err() && span("-5m").is_err());
        assert!(factor("1").is_err() && factor("NaN").is_err() && factor("1.5").is_ok());
        assert!(share("1.5").is_err() && share("0.01").is_ok());
    }
}
