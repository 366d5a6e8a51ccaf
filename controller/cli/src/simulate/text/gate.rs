//! One gate of the report.

use super::{
    indented,
    plot::{bar, marks, plot},
    words::{counted, interval, middle, percent, short, span},
};
use crate::{
    output::{Entry, Style, Tone, table},
    simulate::{
        interval::Share,
        report::{FaultReport, GateReport, Report},
    },
};

/// The lines of one gate.
pub(super) fn lines(gate: &GateReport, report: &Report, style: Style) -> Vec<String> {
    let dry = if gate.enforced { "" } else { " (dry run)" };
    let mut lines = vec![
        format!(
            "{}{dry}  {}",
            style.paint(Tone::Title, &format!("Gate {}", gate.name)),
            gate.method
        ),
        facts(gate),
    ];
    if let Some((plot, most)) = plot(&gate.course, style) {
        let begin = report.past.iter().map(|past| past.started);
        lines.push(format!("  {plot}  0 to {}", short(most)));
        lines.extend(
            marks(begin, report, gate.course.len()).map(|marks| format!("  {marks}  rollouts")),
        );
    }
    lines.push(String::new());
    lines.extend(indented(alarms(gate, style)));
    if !gate.faults.is_empty() {
        lines.push(String::new());
        lines.extend(indented(faults(&gate.faults, style)));
    }
    lines.extend(suggestion(gate));
    lines.extend(gate.warnings.iter().map(|warning| warn(warning, style)));
    lines
}

fn facts(gate: &GateReport) -> String {
    let mut facts = Vec::new();
    facts.extend(gate.pods.map(|pods| format!("{pods} pods")));
    facts.push(format!("{} series", gate.series));
    facts.extend(
        gate.requests_per_second
            .map(|rate| format!("{} requests/s", short(rate))),
    );
    facts.extend(
        gate.usual_share
            .map(|share| format!("{} bad", percent(share))),
    );
    facts.extend(
        gate.dispersion
            .map(|clumps| format!("clumps of {clumps:.1}")),
    );
    facts.push(format!("no data for {}", span(gate.no_data_seconds)));
    format!("  {}", facts.join(", "))
}

fn alarms(gate: &GateReport, style: Style) -> Vec<String> {
    let row = |name: &str, share: Share| {
        vec![
            Entry::from(name),
            counted(share).into(),
            percent(share.value).into(),
            interval(share).into(),
        ]
    };
    let mut rows = vec![row("this gate", gate.false_alarms)];
    rows.extend(
        gate.fixed
            .iter()
            .map(|fixed| row(&fixed.rule, fixed.false_alarms)),
    );
    let titles = ["NO CHANGE AT ALL", "FALSE ALARMS", "SHARE", "95 % INTERVAL"];
    table(&titles, rows, style)
}

fn faults(faults: &[FaultReport], style: Style) -> Vec<String> {
    let fixed: Vec<String> = faults.first().map_or_else(Vec::new, |one| {
        one.fixed
            .iter()
            .map(|fixed| fixed.rule.to_uppercase())
            .collect()
    });
    let mut titles = vec![
        "FAULT",
        "BAD",
        "FOUND",
        "",
        "DELAY p50/p95",
        "PLANNED",
        "SPOILT p50/p95",
    ];
    titles.extend(fixed.iter().map(String::as_str));
    let rows = faults.iter().map(|fault| {
        let mut row: Vec<Entry> = vec![
            format!("{} times", fault.size).into(),
            fault.bad_share.map(percent).unwrap_or_default().into(),
            percent(fault.found.value).into(),
            bar(fault.found.value, style).into(),
            middle(fault.delay_seconds, span).into(),
            fault.planned_seconds.map(span).unwrap_or_default().into(),
            middle(fault.harmed, |count| format!("{count:.0}")).into(),
        ];
        row.extend(fault.fixed.iter().map(|fixed| {
            Entry::from(match fixed.delay_seconds.p50 {
                Some(delay) => format!("{}, p50 {}", percent(fixed.found.value), span(delay)),
                None => percent(fixed.found.value),
            })
        }));
        row
    });
    table(&titles, rows.collect(), style)
}

fn suggestion(gate: &GateReport) -> Option<String> {
    let one = gate.suggestion.as_ref()?;
    let sure = if one.shown {
        "which the interval bears out"
    } else {
        "though the history is too short to bear it out"
    };
    Some(format!(
        "  maxRelativeIncrease {} (now {}) is the smallest with false alarms within the rate: {}, {sure}",
        one.max_relative_increase,
        one.present,
        counted(one.false_alarms)
    ))
}

/// A warning.
pub(super) fn warn(warning: &str, style: Style) -> String {
    format!("  {} {warning}", style.paint(Tone::Busy, "warning:"))
}
