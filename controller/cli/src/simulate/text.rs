//! The report for people: aligned tables and small plots.

mod gate;
mod plot;
mod words;

use super::{
    past::{Happened, Judged},
    report::{PastReport, Report},
};
use crate::output::{Entry, Style, Tone, table};
use words::{counted, time, with_interval};
pub(super) use words::{percent, span};

/// The report's lines.
pub(super) fn lines(report: &Report, style: Style) -> Vec<String> {
    let mut lines = head(report, style);
    if !report.past.is_empty() {
        section(&mut lines, "Past rollouts", style);
        lines.extend(past(&report.past, style));
    }
    for gate in &report.gates {
        lines.push(String::new());
        lines.extend(gate::lines(gate, report, style));
    }
    if report.gates.iter().filter(|gate| gate.enforced).count() > 1 {
        section(&mut lines, "All gates together", style);
        lines.push(format!(
            "  false alarms {}",
            with_interval(report.false_alarms)
        ));
    }
    if !report.left_out.is_empty() {
        section(&mut lines, "Not replayed", style);
        let rows = report.left_out.iter();
        lines.extend(rows.map(|one| format!("  {}: {}", one.gate, one.why)));
    }
    if !report.limits.is_empty() {
        section(&mut lines, "Limits", style);
        for limit in &report.limits {
            let (word, tone) = if limit.holds {
                ("holds", Tone::Good)
            } else {
                ("EXCEEDED", Tone::Bad)
            };
            lines.push(format!(
                "  {}: {} of at most {}: {}",
                limit.name,
                counted(limit.found),
                percent(limit.most),
                style.paint(tone, word)
            ));
        }
    }
    for warning in &report.warnings {
        lines.push(String::new());
        lines.push(gate::warn(warning, style));
    }
    lines
}

fn head(report: &Report, style: Style) -> Vec<String> {
    let windows = &report.windows;
    let mut lines = vec![
        style.paint(Tone::Title, &report.subject),
        format!(
            "  history     {} to {}, a look every {}",
            time(report.from),
            time(report.to),
            span(report.step_seconds)
        ),
        format!(
            "  queries     {} asked, {} from the cache",
            report.asked, report.cached
        ),
        format!(
            "  windows     {} of {} without a change, one every {}; {:.0} that do not overlap",
            windows.number,
            span(windows.seconds),
            span(windows.every_seconds),
            windows.effective
        ),
    ];
    if windows.with_rollout + windows.too_few_pods > 0 {
        lines.push(format!(
            "              left out: {} with a rollout, {} with fewer than two pods",
            windows.with_rollout, windows.too_few_pods
        ));
    }
    lines.push(format!(
        "  canary      {} of the pods, drawn with seed {}",
        percent(windows.canary_share_percent / 100.0),
        report.seed
    ));
    lines
}

fn section(lines: &mut Vec<String>, title: &str, style: Style) {
    lines.push(String::new());
    lines.push(style.paint(Tone::Title, title));
}

fn past(past: &[PastReport], style: Style) -> Vec<String> {
    let fixed: Vec<String> = past.first().map_or_else(Vec::new, |one| {
        one.fixed
            .iter()
            .map(|fixed| fixed.rule.to_uppercase())
            .collect()
    });
    let mut titles = vec![
        "STARTED",
        "VERSION",
        "LASTED",
        "THEN",
        "CALLED",
        "BELAY WOULD HAVE",
        "AFTER",
        "RATIO",
    ];
    titles.extend(fixed.iter().map(String::as_str));
    let rows = past.iter().map(|one| {
        let mut row = vec![
            time(one.started).into(),
            one.version.clone().into(),
            span(one.lasted_seconds).into(),
            happened(one.happened).into(),
            one.judged.map_or("", judged).into(),
        ];
        row.extend(verdict(one));
        row.extend(one.fixed.iter().map(|fixed| {
            let after = fixed
                .failed_after_seconds
                .map(|after| format!("after {}", span(after)));
            Entry::from(after.unwrap_or_else(|| "no rollback".to_owned()))
        }));
        row
    });
    indented(table(&titles, rows.collect(), style))
}

fn verdict(one: &PastReport) -> [Entry; 3] {
    let decisive = one.rolled_back.as_ref().map_or_else(
        || one.verdicts.first(),
        |back| {
            one.verdicts
                .iter()
                .find(|verdict| verdict.gate == back.gate)
        },
    );
    let ratio = decisive.and_then(|verdict| verdict.ratio);
    let ratio = ratio.map(|ratio| format!("{ratio:.1}")).unwrap_or_default();
    let looked = one.verdicts.iter().any(|verdict| verdict.looks > 1);
    let passed = one
        .verdicts
        .iter()
        .map(|verdict| verdict.passed_after_seconds)
        .collect::<Option<Vec<f64>>>();
    let (word, tone, after) = match (&one.rolled_back, passed) {
        (Some(back), _) => ("rolled back", Tone::Bad, span(back.after_seconds)),
        (None, _) if !looked => ("seen too little", Tone::Faint, String::new()),
        (None, Some(after)) => (
            "gone on",
            Tone::Good,
            after
                .into_iter()
                .reduce(f64::max)
                .map(span)
                .unwrap_or_default(),
        ),
        (None, None) => ("held", Tone::Busy, String::new()),
    };
    [Entry::toned(word, tone), after.into(), ratio.into()]
}

fn indented(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().map(|line| format!("  {line}")).collect()
}

const fn happened(happened: Happened) -> &'static str {
    match happened {
        Happened::Replaced => "replaced the old",
        Happened::Withdrawn => "withdrawn",
        Happened::Unfinished => "unfinished",
        Happened::Unknown => "",
    }
}

const fn judged(judged: Judged) -> &'static str {
    match judged {
        Judged::Good => "good",
        Judged::Bad => "bad",
    }
}
