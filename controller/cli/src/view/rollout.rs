//! A Rollout: as a row, as a live view of its steps, and its history.

use std::fmt::Write as _;

use belay_api::{Rollout, rollout::Step};
use belay_engine::{
    action::Verb,
    rollout::status::{Phase, RolloutStatus, StepState, Track, Version},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{
    gates,
    signs::{Mark, line, verdict_tone},
};
use crate::{
    history,
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
        lines.extend(versions(&status, now, style));
        lines.extend(paused(&status, now, style));
        if status.candidate.is_some() {
            lines.push(String::new());
            lines.extend(steps(self, &status, now, style));
        }
        let gates = gates::lines(&status.gates, style);
        if !gates.is_empty() {
            lines.push(String::new());
            lines.extend(gates);
        }
        lines.extend(why(&status, now, style));
        lines
    }

    fn history(&self, now: Timestamp, style: Style) -> Vec<String> {
        history::rollout(self, now, style)
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

fn versions(status: &RolloutStatus, now: Timestamp, style: Style) -> Vec<String> {
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
    if let (Some(weight), Some(count)) = (status.weight_percent, status.candidate_replicas) {
        let text = format!("{} on {} of the candidate", percent(weight), pods(count));
        lines.push(field("weight", &text, style));
    }
    lines
}

fn paused(status: &RolloutStatus, now: Timestamp, style: Style) -> Option<String> {
    let paused = status.paused.as_ref()?;
    let text = format!("by {}, {} ago", paused.by, span::between(paused.at, now));
    Some(field("paused", &style.paint(Tone::Busy, &text), style))
}

fn steps(rollout: &Rollout, status: &RolloutStatus, now: Timestamp, style: Style) -> Vec<String> {
    let steps = &rollout.spec.strategy.canary.steps;
    let at = status.step.as_ref();
    let index = at.map_or(0, |step| step.index as usize);
    let trying = status.phase == Phase::Progressing;
    let failed = matches!(status.phase, Phase::RollingBack | Phase::Rejected);
    let mut lines: Vec<String> = steps
        .iter()
        .enumerate()
        .map(|(i, step)| {
            let (sign, note) = if !trying && !failed || i < index {
                (Mark::Done, String::new())
            } else if i > index {
                (Mark::Ahead, String::new())
            } else if failed {
                (Mark::Failed, String::new())
            } else {
                (
                    Mark::Now,
                    at.map(|at| progress(step, at, now)).unwrap_or_default(),
                )
            };
            line(
                sign,
                &format!("{}  {}", i + 1, describe(step)),
                &note,
                style,
            )
        })
        .collect();
    let stage = |mine: Phase, over: &[Phase]| {
        if status.phase == mine {
            Mark::Now
        } else if over.contains(&status.phase) {
            Mark::Done
        } else {
            Mark::Ahead
        }
    };
    let promotion = stage(Phase::Promoting, &[Phase::Baking]);
    lines.push(line(promotion, "   promotion", "", style));
    let bake = rollout
        .spec
        .verification
        .as_ref()
        .and_then(|verification| verification.after_promotion.as_ref());
    if let Some(after) = bake {
        let text = format!("   bake {}", after.bake);
        lines.push(line(stage(Phase::Baking, &[]), &text, "", style));
    }
    lines
}

fn describe(step: &Step) -> String {
    let mut text = match (&step.weight, &step.replicas) {
        (Some(weight), _) => format!("weight {weight} %"),
        (None, Some(IntOrString::Int(count))) => pods(*count),
        (None, Some(IntOrString::String(share))) => format!("{share} of the pods"),
        (None, None) => String::new(),
    };
    if !step.hold.get().is_zero() {
        let _ = write!(text, ", hold {}", step.hold);
    }
    if step.approval {
        text.push_str(", approval");
    }
    text
}

fn progress(step: &Step, at: &StepState, now: Timestamp) -> String {
    let Some(ready) = at.ready_at else {
        return format!("pods not ready for {}", span::between(at.entered_at, now));
    };
    let mut notes = vec![format!("ready for {}", span::between(ready, now))];
    match (
        &at.skipped_by,
        ready.checked_add(jiff::SignedDuration::try_from(step.hold.get()).unwrap_or_default()),
    ) {
        (Some(by), _) => notes.push(format!("hold skipped by {by}")),
        (None, Ok(end)) if end > now => {
            notes.push(format!("{} of the hold left", span::between(now, end)));
        }
        _ => {}
    }
    match &at.approved_by {
        Some(by) => notes.push(format!("approved by {by}")),
        None if step.approval => notes.push("needs approval".to_owned()),
        None => {}
    }
    notes.join(", ")
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

fn pods(count: i32) -> String {
    if count == 1 {
        "1 pod".to_owned()
    } else {
        format!("{count} pods")
    }
}

fn percent(weight: i32) -> String {
    format!("{weight} %")
}

#[cfg(test)]
mod tests;
