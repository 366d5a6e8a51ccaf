//! A Release: as a row, as a live view of where its content stands, and its history.

mod past;

use belay_api::Release;
use belay_engine::{
    action::Verb,
    release::{
        composition::commit_of,
        status::{Content, Phase, Purpose, ReleaseStatus, Target},
    },
};
use jiff::Timestamp;

use super::{
    gates,
    signs::{Mark, line, verdict_tone},
};
use crate::{
    gitops::elsewhere,
    history::Reasons,
    output::{Entry, Style, Tone},
    span,
    subject::{Subject, age, field, title},
};

/// Letters of a commit that are enough for people.
const SHORT_COMMIT: usize = 10;

impl Subject for Release {
    const KIND: &'static str = "Release";
    const COLUMNS: &'static [&'static str] = &[
        "PHASE",
        "REVISION",
        "VERIFIED",
        "VERDICT",
        "AGE",
        "WAITING FOR",
    ];

    fn row(&self, now: Timestamp) -> Vec<Entry> {
        let status = self.status.clone().unwrap_or_default();
        let verdict = status.verdict.map_or_else(
            || Entry::from(""),
            |verdict| Entry::toned(format!("{verdict:?}"), verdict_tone(verdict)),
        );
        let verified = status.verified.as_ref();
        vec![
            Entry::toned(phase_text(&status), tone(status.phase)),
            status
                .asked
                .as_ref()
                .map(revision)
                .unwrap_or_default()
                .into(),
            verified
                .map(|v| revision(&v.content))
                .unwrap_or_default()
                .into(),
            verdict,
            age(self, now).into(),
            waiting(&status).into(),
        ]
    }

    fn view(&self, now: Timestamp, style: Style) -> Vec<String> {
        let status = self.status.clone().unwrap_or_default();
        let phase = (phase_text(&status), tone(status.phase));
        let mut lines = vec![title(self, phase, status.phase_since, now, style)];
        lines.extend(contents(&status, now, style));
        if let Some(place) = elsewhere(self) {
            lines.push(field("objects", &place, style));
        }
        if let Some(target) = status.target.as_ref().filter(|_| {
            matches!(
                status.phase,
                Phase::Applying | Phase::Verifying | Phase::RollingBack
            )
        }) {
            lines.push(String::new());
            lines.extend(stages(target, &status, now, style));
        }
        let gates = gates::lines(&status.gates, style);
        if !gates.is_empty() {
            lines.push(String::new());
            lines.extend(gates);
        }
        let why = why(&status, now, style);
        if !why.is_empty() {
            lines.push(String::new());
            lines.extend(why);
        }
        lines
    }

    fn history(&self, reasons: &Reasons, now: Timestamp, style: Style) -> Vec<String> {
        past::lines(self, reasons, now, style)
    }

    fn headline(&self) -> String {
        let status = self.status.clone().unwrap_or_default();
        let mut parts = vec![phase_text(&status)];
        parts.extend(
            status
                .asked
                .as_ref()
                .map(|asked| format!("asked {}", revision(asked))),
        );
        parts.extend(
            status
                .verified
                .as_ref()
                .map(|verified| format!("verified {}", revision(&verified.content))),
        );
        let waits = waiting(&status);
        if !waits.is_empty() {
            parts.push(waits);
        }
        parts.join(" · ")
    }

    fn version_for(&self, verb: Verb) -> Option<String> {
        let status = self.status.as_ref()?;
        let content = match verb {
            Verb::Retry => status.asked.as_ref(),
            // What is promoted is newer than what is asked for.
            Verb::Promote => return newest_commit(status),
            _ => status.target.as_ref().map(|target| &target.content),
        };
        content.map(|content| content.digest.short())
    }
}

/// The newest commit that the source of a Release with `promotion.after` shows.
fn newest_commit(status: &ReleaseStatus) -> Option<String> {
    let newest = status.promotion.as_ref()?.newest.as_deref()?;
    Some(commit_of(newest).to_owned())
}

fn contents(status: &ReleaseStatus, now: Timestamp, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(asked) = &status.asked {
        lines.push(field("asked for", &long(asked), style));
    }
    if let Some(target) = &status.target {
        let why = match target.purpose {
            Purpose::Release => "",
            Purpose::Rollback => ", to go back to it",
        };
        let begun = span::between(target.started_at, now);
        let text = format!("{}  begun {begun} ago{why}", long(&target.content));
        lines.push(field("running", &text, style));
    }
    if let Some(verified) = &status.verified {
        let when = span::between(verified.at, now);
        let text = format!("{}  {when} ago", long(&verified.content));
        lines.push(field("verified", &text, style));
    }
    if !status.workloads.is_empty() {
        let names: Vec<String> = status
            .workloads
            .iter()
            .map(|workload| format!("{}/{}", workload.namespace, workload.name))
            .collect();
        lines.push(field("workloads", &names.join(", "), style));
    }
    if let Some(paused) = &status.paused {
        let text = format!("by {}, {} ago", paused.by, span::between(paused.at, now));
        lines.push(field("paused", &style.paint(Tone::Busy, &text), style));
    }
    lines
}

fn stages(target: &Target, status: &ReleaseStatus, now: Timestamp, style: Style) -> Vec<String> {
    let ago = |at: Timestamp| format!("{} ago", span::between(at, now));
    let mark = |done: bool, before: bool| match (done, before) {
        (true, _) => Mark::Done,
        (false, true) => Mark::Now,
        (false, false) => Mark::Ahead,
    };
    let (applied, healthy) = (target.applied_at, target.healthy_at);
    let mut lines = vec![
        line(
            mark(applied.is_some(), true),
            "applied",
            &applied.map(ago).unwrap_or_default(),
            style,
        ),
        line(
            mark(healthy.is_some(), applied.is_some()),
            "healthy, Rollouts passed",
            &healthy.map(ago).unwrap_or_default(),
            style,
        ),
    ];
    if !status.gates.is_empty() {
        lines.push(line(mark(false, healthy.is_some()), "gates", "", style));
    }
    lines
}

/// What is waited for, and what went wrong as long as it is what people see.
fn why(status: &ReleaseStatus, now: Timestamp, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    let mut tell = |label: &str, text: &str, since: Timestamp, tone: Tone| {
        let text = format!("{text} ({})", span::between(since, now));
        lines.push(field(label, &style.paint(tone, &text), style));
    };
    if let Some(waiting) = &status.waiting_for {
        tell("waiting for", &waiting.message, waiting.since, Tone::Plain);
    }
    if let Some(refused) = &status.refused {
        let text = format!("{}: {}", short(&refused.revision), refused.message);
        tell("refused", &text, refused.since, Tone::Bad);
    }
    if let Some(trouble) = &status.source {
        tell("source", &trouble.message, trouble.since, Tone::Bad);
    }
    if let Some(rollback) = status.rollback.as_ref().filter(|_| {
        matches!(
            status.phase,
            Phase::RollingBack | Phase::Rejected | Phase::Failed
        )
    }) {
        let text = format!("{} ({:?})", rollback.message, rollback.reason);
        tell("rolled back", &text, rollback.at, Tone::Bad);
    }
    lines
}

fn phase_text(status: &ReleaseStatus) -> String {
    if status.paused.is_some() {
        format!("{:?} (paused)", status.phase)
    } else {
        format!("{:?}", status.phase)
    }
}

const fn tone(phase: Phase) -> Tone {
    match phase {
        Phase::Verified => Tone::Good,
        Phase::Waiting | Phase::Rehearsing | Phase::Applying | Phase::Verifying => Tone::Busy,
        Phase::RollingBack | Phase::Rejected | Phase::Refused | Phase::Failed => Tone::Bad,
        Phase::Pending | Phase::Terminating => Tone::Plain,
    }
}

fn waiting(status: &ReleaseStatus) -> String {
    status
        .waiting_for
        .as_ref()
        .map(|waiting| waiting.message.clone())
        .unwrap_or_default()
}

fn revision(content: &Content) -> String {
    short(&content.revision)
}

/// A revision with its commit cut short: `main@sha1:1f0c2b…` stays recognisable.
fn short(revision: &str) -> String {
    match revision.rsplit_once(':') {
        Some((name, commit)) => {
            let commit: String = commit.chars().take(SHORT_COMMIT).collect();
            format!("{name}:{commit}")
        }
        None => revision.to_owned(),
    }
}

fn long(content: &Content) -> String {
    match &content.subject {
        Some(subject) => format!("{} {subject:?}", revision(content)),
        None => revision(content),
    }
}

#[cfg(test)]
mod tests;
