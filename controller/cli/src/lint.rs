//! Finds mistakes in files of Belay's objects: what the API server would not take (schemas and rules), what Belay would refuse (plans
//! and sources), and what gates get wrong. Needs no cluster.
//!
//! Left out: what only a Prometheus knows, such as whether a metric exists (the controller says that on first use), and what only
//! the cluster knows, such as a template that is in none of the files.

mod objects;
mod plans;
mod rules;
mod schema;

use std::{io::Write, path::PathBuf, time::Duration};

use belay_promql::{
    ScrapeInterval, Settings, Severity,
    template::{Located, lint_template, lint_use},
};
use clap::Args as ClapArgs;
use serde::Serialize;

use self::{
    objects::{Objects, User},
    schema::{Wrong, WrongKind},
};
use crate::{
    Error,
    args::{Format, duration},
    files::{self, Document},
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
    /// Line of the file.
    #[serde(rename = "fileLine", skip_serializing_if = "Option::is_none")]
    file_line: Option<usize>,
    pub(crate) kind: String,
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gate: Option<String>,
    pub(crate) field: String,
    pub(crate) severity: &'static str,
    pub(crate) code: &'static str,
    /// Line of the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    pub(crate) message: String,
}

/// What the lint finds in the gates of `documents`, with its usual settings. Those that can't be read are passed over.
pub(crate) fn findings(documents: &[serde_json::Value]) -> Vec<Report> {
    let settings = Settings {
        scrape_interval: ScrapeInterval::Assumed(Duration::from_secs(15)),
        pod_label: Some("pod".to_owned()),
    };
    let documents: Vec<Document> = documents.iter().cloned().map(Document::loose).collect();
    of_gates(&Objects::of(&documents).0, &documents, &settings)
}

/// Lints the files of `args` and prints what it finds.
pub(crate) fn run(args: &LintArgs, style: Style, out: &mut dyn Write) -> Result<(), Error> {
    let documents = files::read(&args.files)?;
    let reports = all(&documents, &args.settings());
    match args.output {
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &reports)?;
            writeln!(out)?;
        }
        Format::Table => print(&reports, &documents, style, out)?,
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

/// Everything that is found, in the order of the files.
fn all(documents: &[Document], settings: &Settings) -> Vec<Report> {
    let mut reports = Vec::new();
    let mut sound = Vec::new();
    for document in documents.iter().filter(|document| document.is_belays()) {
        let found = schema::check(&document.value);
        // What the schema does not fit can't be read as its kind either.
        if found.iter().all(|wrong| wrong.kind != WrongKind::Schema) {
            sound.push(document.clone());
        }
        reports.extend(found.into_iter().map(|wrong| of_schema(document, wrong)));
    }
    let (objects, failed) = Objects::of(&sound);
    for (document, message) in failed
        .iter()
        .filter_map(|(index, why)| Some((sound.get(*index)?, why)))
    {
        reports.push(plain(document, "schema", "", message.clone()));
    }
    for user in &objects.users {
        let Some(document) = sound.get(user.index) else {
            continue;
        };
        let refusals = plans::refusals(user, &objects).into_iter();
        reports.extend(
            refusals.map(|refusal| plain(document, refusal.code, refusal.pointer, refusal.message)),
        );
    }
    reports.extend(of_gates(&objects, &sound, settings));
    let order = |report: &Report| {
        let file = documents
            .iter()
            .position(|document| document.file == report.file);
        (file, report.file_line)
    };
    reports.sort_by_key(order);
    reports
}

fn of_schema(document: &Document, wrong: Wrong) -> Report {
    let (code, severity) = match wrong.kind {
        WrongKind::Schema => ("schema", "error"),
        WrongKind::Rule => ("rule", "error"),
        WrongKind::NotEvaluated => ("rule-not-evaluated", "warning"),
    };
    Report {
        severity,
        ..plain(document, code, &wrong.pointer, wrong.message)
    }
}

/// An error about a field of `document`.
fn plain(document: &Document, code: &'static str, pointer: &str, message: String) -> Report {
    Report {
        file: document.file.clone(),
        file_line: document.line(pointer),
        kind: document.kind().to_owned(),
        name: objects::title(document.namespace(), document.name()),
        gate: None,
        field: dotted(pointer),
        severity: "error",
        code,
        line: None,
        column: None,
        message,
    }
}

/// `/spec/steps/0/weight` as people write it: `spec.steps[0].weight`.
fn dotted(pointer: &str) -> String {
    let mut text = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            text.extend(["[", &part, "]"]);
        } else {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(&part);
        }
    }
    if text.is_empty() {
        "the object".to_owned()
    } else {
        text
    }
}

/// What is wrong with gates: with those of templates, and with how they are used.
fn of_gates(objects: &Objects, documents: &[Document], settings: &Settings) -> Vec<Report> {
    let mut reports = Vec::new();
    for template in &objects.templates {
        let found = lint_template(&template.spec, settings);
        let of = Subject {
            document: documents.get(template.index),
            file: &template.file,
            kind: template.kind,
            title: template.title(),
        };
        reports.extend(found.into_iter().map(|located| report(&of, None, located)));
    }
    for User {
        index,
        file,
        kind,
        name,
        namespace,
        references,
        ..
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
            let of = Subject {
                document: documents.get(*index),
                file,
                kind,
                title: objects::title(namespace.as_deref(), name),
            };
            reports.extend(news.map(|located| report(&of, Some(&reference.template), located)));
        }
    }
    reports
}

/// What a finding about a gate is about.
struct Subject<'a> {
    document: Option<&'a Document>,
    file: &'a str,
    kind: &'a str,
    title: String,
}

impl Subject<'_> {
    /// The line of a field of a template's gate.
    fn line(&self, gate: Option<&str>, field: &str) -> Option<usize> {
        let document = self.document?;
        let gates = document
            .value
            .pointer("/spec/gates")
            .and_then(serde_json::Value::as_array);
        let is_it = |found: &serde_json::Value| {
            found.get("name").and_then(serde_json::Value::as_str) == gate
        };
        let index = gates.and_then(|gates| gates.iter().position(is_it));
        let pointer = match index.filter(|_| gate.is_some()) {
            Some(index) => format!("/spec/gates/{index}/{}", field.replace('.', "/")),
            None => "/spec/verification".to_owned(),
        };
        document.line(&pointer)
    }
}

fn report(of: &Subject<'_>, template: Option<&str>, located: Located) -> Report {
    let Located {
        gate,
        field,
        finding,
    } = located;
    let file_line = of.line(gate.as_deref().filter(|_| template.is_none()), &field);
    let gate = match (template, gate) {
        (Some(template), Some(gate)) => Some(format!("{template}/{gate}")),
        (Some(template), None) => Some(template.to_owned()),
        (None, gate) => gate,
    };
    Report {
        file: of.file.to_owned(),
        file_line,
        kind: of.kind.to_owned(),
        name: of.title.clone(),
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
    documents: &[Document],
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
            "{}{}: {} {}{gate}, {}{place}: {} {}: {}",
            report.file,
            report
                .file_line
                .map(|line| format!(":{line}"))
                .unwrap_or_default(),
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
        count(
            documents
                .iter()
                .filter(|document| document.is_belays())
                .count(),
            "object"
        )
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
