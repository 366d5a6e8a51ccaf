//! Finds mistakes in the gates of templates, and in how Rollouts and Releases of the same files use them. Needs no cluster.
//!
//! Left out: what only a Prometheus knows, such as whether a metric exists. The controller says that on first use.

mod objects;

use std::{io::Write, path::PathBuf, time::Duration};

use belay_promql::{
    ScrapeInterval, Settings, Severity,
    template::{Located, lint_template, lint_use},
};
use clap::Args as ClapArgs;
use serde::Serialize;

use self::objects::{Objects, User};
use crate::{
    Error,
    args::{Format, duration},
    output::{Style, Tone},
};

/// What to lint, and what to take as given.
#[derive(Clone, Debug, ClapArgs)]
pub struct LintArgs {
    /// YAML files with templates, Rollouts and Releases among whatever else; `-` reads standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How often Prometheus scrapes. Without it 15s are assumed, and short ranges are warnings only.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub scrape_interval: Option<belay_api::Duration>,
    /// Label that names the pod in what Prometheus scrapes.
    #[arg(long, value_name = "LABEL", default_value = "pod")]
    pub pod_label: String,
    /// Take warnings for errors.
    #[arg(long)]
    pub deny_warnings: bool,
    /// A line for each finding, or all of them as JSON.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

impl LintArgs {
    fn settings(&self) -> Settings {
        Settings {
            scrape_interval: self.scrape_interval.map_or(
                ScrapeInterval::Assumed(Duration::from_secs(15)),
                |interval| ScrapeInterval::Known(interval.get()),
            ),
            pod_label: Some(self.pod_label.clone()),
        }
    }
}

/// One finding, as it is printed.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    file: String,
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gate: Option<String>,
    pub(crate) field: String,
    pub(crate) severity: &'static str,
    pub(crate) code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    pub(crate) message: String,
}

/// What the lint finds in `documents`, with its usual settings. Those that can't be read are passed over.
pub(crate) fn findings(documents: &[serde_json::Value]) -> Vec<Report> {
    let settings = Settings {
        scrape_interval: ScrapeInterval::Assumed(Duration::from_secs(15)),
        pod_label: Some("pod".to_owned()),
    };
    reports(&Objects::of(documents), &settings)
}

/// Lints the files of `args` and prints what it finds.
pub(crate) fn run(args: &LintArgs, style: Style, out: &mut dyn Write) -> Result<(), Error> {
    let objects = Objects::read(&args.files)?;
    let reports = reports(&objects, &args.settings());
    match args.output {
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &reports)?;
            writeln!(out)?;
        }
        Format::Table => print(&reports, objects.templates.len(), style, out)?,
    }
    let errors = reports
        .iter()
        .filter(|report| args.deny_warnings || report.severity == "error")
        .count();
    if errors == 0 {
        Ok(())
    } else {
        Err(Error::Findings(errors))
    }
}

fn reports(objects: &Objects, settings: &Settings) -> Vec<Report> {
    let mut reports = Vec::new();
    for template in &objects.templates {
        let found = lint_template(&template.spec, settings);
        let of = (template.file.as_str(), template.kind, template.title());
        reports.extend(found.into_iter().map(|located| report(&of, None, located)));
    }
    for User {
        file,
        kind,
        name,
        namespace,
        references,
    } in &objects.users
    {
        for reference in references {
            let Some(template) = objects.template(reference, namespace.as_deref()) else {
                continue;
            };
            // What is wrong with the template itself has been said of the template.
            let already = lint_template(&template.spec, settings);
            let found = lint_use(&template.spec, reference, settings);
            let is_known = |new: &Located| {
                already.iter().any(|old| {
                    old.gate == new.gate
                        && old.field == new.field
                        && old.finding.code == new.finding.code
                })
            };
            let news = found.into_iter().filter(|located| !is_known(located));
            let title = objects::title(namespace.as_deref(), name);
            let of = (file.as_str(), *kind, title);
            reports.extend(news.map(|located| report(&of, Some(&reference.template), located)));
        }
    }
    reports
}

fn report(of: &(&str, &'static str, String), template: Option<&str>, located: Located) -> Report {
    let Located {
        gate,
        field,
        finding,
    } = located;
    let gate = match (template, gate) {
        (Some(template), Some(gate)) => Some(format!("{template}/{gate}")),
        (Some(template), None) => Some(template.to_owned()),
        (None, gate) => gate,
    };
    Report {
        file: of.0.to_owned(),
        kind: of.1,
        name: of.2.clone(),
        gate,
        field,
        severity: match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        code: finding.code.as_str(),
        line: finding.position.map(|position| position.line),
        column: finding.position.map(|position| position.column),
        message: finding.message,
    }
}

fn print(
    reports: &[Report],
    templates: usize,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Error> {
    for report in reports {
        let gate = report
            .gate
            .as_ref()
            .map(|gate| format!(", gate {gate}"))
            .unwrap_or_default();
        let place = match (report.line, report.column) {
            (Some(line), Some(column)) => format!(" {line}:{column}"),
            _ => String::new(),
        };
        let tone = if report.severity == "error" {
            Tone::Bad
        } else {
            Tone::Busy
        };
        writeln!(
            out,
            "{}: {} {}{gate}, {}{place}: {} {}: {}",
            report.file,
            report.kind,
            report.name,
            report.field,
            style.paint(tone, report.severity),
            report.code,
            report.message
        )?;
    }
    let errors = reports
        .iter()
        .filter(|report| report.severity == "error")
        .count();
    writeln!(
        out,
        "{}, {} in {}",
        count(errors, "error"),
        count(reports.len() - errors, "warning"),
        count(templates, "template")
    )?;
    Ok(())
}

fn count(number: usize, of: &str) -> String {
    match number {
        1 => format!("1 {of}"),
        number => format!("{number} {of}s"),
    }
}

#[cfg(test)]
mod tests;
