//! A Rollout: as a row, as a live view of its steps, and its history.

use belay_api::{Rollout, rollout::WorkloadKind};
use belay_engine::{
    action::Verb,
    rollout::status::{Phase, RolloutStatus, Track, Version},
};
use jiff::Timestamp;

use super::{gates, signs::verdict_tone, steps};
use crate::{
    history::{self, Reasons},
    output::{Entry, Style, Tone},
    span,
    subject::{Subject, age, field, title},
};

impl Subject for Rollout {
    const KIND: &'static str = "Rollout";
    const COLUMNS: &'static [&'static str] = &[
        "PHASE",
        "STEP",
        "WEIGHT",
        "VERDICT",
        "STABLE",
        "CANDIDATE",
        "AGE",
        "WAITING FOR",
    ];

    fn row(&self, now: Timestamp) -> Vec<Entry> {
        let status = self.status.clone().unwrap_or_default();
        let verdict = status.verdict.map_or_else(
            || Entry::from(""),
            |verdict| Entry::toned(format!("{verdict:?}"), verdict_tone(verdict)),
        );
        vec![
            Entry::toned(phase_text(&status), tone(status.phase)),
            status.step_text.clone().unwrap_or_default().into(),
            status
                .weight_percent
                .map(percent)
                .unwrap_or_default()
                .into(),
            verdict,
            status
                .stable
                .as_ref()
                .map(version)
                .unwrap_or_default()
                .into(),
            status
                .candidate
                .as_ref()
                .map(|c| version(&c.version))
                .unwrap_or_default()
                .into(),
            age(self, now).into(),
            waiting(&status).into(),
        ]
    }

    fn view(&self, now: Timestamp, style: Style) -> Vec<String> {
        let status = self.status.clone().unwrap_or_default();
        let phase = (phase_text(&status), tone(status.phase));
        let mut lines = vec![title(self, phase, status.phase_since, now, style)];
        lines.extend(versions(self.spec.workload_ref.kind, &status, now, style));
        lines.extend(paused(&status, now, style));
        if status.candidate.is_some() {
            lines.push(String::new());
            lines.extend(steps::lines(self, &status, now, style));
        }
        let gates = gates::lines(&status.gates, style);
        if !gates.is_empty() {
            lines.push(String::new());
            lines.extend(gates);
        }
        lines.extend(why(&status, now, style));
        lines
    }

    fn history(&self, reasons: &Reasons, now: Timestamp, style: Style) -> Vec<String> {
        history::rollout(self, reasons, now, style)
    }

    fn headline(&self) -> String {
        let status = self.status.clone().unwrap_or_default();
        let mut parts = vec![phase_text(&status)];
        parts.extend(status.step_text.as_ref().map(|step| format!("step {step}")));
        parts.extend(status.weight_percent.map(percent));
        parts.extend(status.verdict.map(|verdict| format!("verdict {verdict:?}")));
        parts.extend(
            status
                .stable
                .as_ref()
                .map(|v| format!("stable {}", version(v))),
        );
        parts.extend(
            status
                .candidate
                .as_ref()
                .map(|c| format!("candidate {}", version(&c.version))),
        );
        let waits = waiting(&status);
        if !waits.is_empty() {
            parts.push(waits);
        }
        parts.join(" · ")
    }

    fn version_for(&self, verb: Verb) -> Option<String> {
        let status = self.status.as_ref()?;
        match verb {
            Verb::Undo => status.stable.as_ref().map(|stable| stable.hash.clone()),
            Verb::Retry => status.asked.as_ref().map(|asked| asked.digest.short()),
            _ => status
                .candidate
                .as_ref()
                .map(|candidate| candidate.version.hash.clone()),
        }
    }
}

fn versions(
    kind: WorkloadKind,
    status: &RolloutStatus,
    now: Timestamp,
    style: Style,
) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(stable) = &status.stable {
        lines.push(field("stable", &long_version(stable), style));
    }
    if let Some(candidate) = &status.candidate {
        let track = match candidate.track {
            Track::Steps => "",
            Track::Fast => ", at once: it was verified before",
            Track::Forced => ", at once: a person promoted it",
            Track::Bypassed => ", past the hold: somebody un-paused the workload",
        };
        let text = format!(
            "{}  started {} ago{track}",
            long_version(&candidate.version),
            span::between(candidate.started_at, now)
        );
        lines.push(field("candidate", &text, style));
    }
    if let Some(weight) = status.weight_percent {
        // In a promotion the Deployment, and not the step, says how many pods there are.
        let pods = status
            .candidate_replicas
            .filter(|_| status.phase == Phase::Progressing)
            .map(|count| match (kind, count) {
                (WorkloadKind::DaemonSet, 1) => " on 1 node".to_owned(),
                (WorkloadKind::DaemonSet, count) => format!(" on {count} nodes"),
                _ => format!(" on {} of the candidate", steps::pods(count)),
            })
            .unwrap_or_default();
        lines.push(field(
            "weight",
            &format!("{}{pods}", percent(weight)),
            style,
        ));
    }
    lines
}

fn paused(status: &RolloutStatus, now: Timestamp, style: Style) -> Option<String> {
    let paused = status.paused.as_ref()?;
    let text = format!("by {}, {} ago", paused.by, span::between(paused.at, now));
    Some(field("paused", &style.paint(Tone::Busy, &text), style))
}

/// What is waited for, and the last rollback as long as it is what people see.
fn why(status: &RolloutStatus, now: Timestamp, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(waiting) = &status.waiting_for {
        let since = span::between(waiting.since, now);
        lines.push(String::new());
        lines.push(field(
            "waiting for",
            &format!("{} ({since})", waiting.message),
            style,
        ));
    }
    if let Some(rollback) = status
        .rollback
        .as_ref()
        .filter(|_| matches!(status.phase, Phase::RollingBack | Phase::Rejected))
    {
        let text = format!(
            "{} ({:?}, {} ago)",
            rollback.message,
            rollback.reason,
            span::between(rollback.at, now)
        );
        lines.push(field("rolled back", &style.paint(Tone::Bad, &text), style));
    }
    lines
}

fn phase_text(status: &RolloutStatus) -> String {
    if status.paused.is_some() {
        format!("{:?} (paused)", status.phase)
    } else {
        format!("{:?}", status.phase)
    }
}

const fn tone(phase: Phase) -> Tone {
    match phase {
        Phase::Healthy => Tone::Good,
        Phase::Progressing | Phase::Promoting | Phase::Baking => Tone::Busy,
        Phase::RollingBack | Phase::Rejected => Tone::Bad,
        Phase::Pending | Phase::Terminating => Tone::Plain,
    }
}

fn waiting(status: &RolloutStatus) -> String {
    status
        .waiting_for
        .as_ref()
        .map(|waiting| waiting.message.clone())
        .unwrap_or_default()
}

/// What people call a version; its hash when it has no name.
fn version(version: &Version) -> String {
    if version.version.is_empty() {
        version.hash.clone()
    } else {
        version.version.clone()
    }
}

fn long_version(version: &Version) -> String {
    if version.version.is_empty() {
        version.hash.clone()
    } else {
        format!("{} ({})", version.version, version.hash)
    }
}

fn percent(weight: i32) -> String {
    format!("{weight} %")
}

#[cfg(test)]
mod tests;
