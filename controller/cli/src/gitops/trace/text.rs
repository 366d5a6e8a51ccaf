//! A trace as people read it.

use std::io::Write;

use belay_engine::release::status::short_revision;
use jiff::Timestamp;

use super::{Link, Trace};
use crate::{
    Error,
    output::{Style, Tone},
    span,
    subject::field,
};

pub(super) fn print(
    trace: &Trace,
    now: Timestamp,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let mut chain = trace.chain.iter();
    if let Some(first) = chain.next() {
        writeln!(out, "{}", style.paint(Tone::Title, &name(first)))?;
    }
    for above in chain {
        writeln!(out, "{}", field("owned by", &name(above), style))?;
    }
    if let Some(release) = &trace.release {
        let text = format!(
            "Release {}/{}, {}",
            release.namespace, release.name, release.phase
        );
        writeln!(out, "{}", field("applied by", &text, style))?;
    }
    for rollout in &trace.rollouts {
        let text = format!(
            "Rollout {}/{}, {}",
            rollout.namespace, rollout.name, rollout.state
        );
        writeln!(out, "{}", field("moved by", &text, style))?;
    }
    version(trace, now, style, out)?;
    for act in &trace.acts {
        let reason = act
            .reason
            .as_ref()
            .map(|why| format!(": {why}"))
            .unwrap_or_default();
        let verb = act.verb.rbac_verb();
        let text = format!(
            "{verb} on {} by {}, {}{reason}",
            act.on,
            act.actor,
            ago(act.at, now)
        );
        writeln!(out, "{}", field("act", &text, style))?;
    }
    for note in &trace.notes {
        writeln!(
            out,
            "# {}",
            note.split_whitespace().collect::<Vec<_>>().join(" ")
        )?;
    }
    Ok(())
}

fn version(trace: &Trace, now: Timestamp, style: Style, out: &mut dyn Write) -> Result<(), Error> {
    let Some(version) = &trace.version else {
        return Ok(());
    };
    let revision = short_revision(&version.revision);
    writeln!(
        out,
        "{}",
        field(
            "version",
            &format!("{revision}, content {}", version.content),
            style
        )
    )?;
    match (&trace.commit, &version.subject) {
        (Some(commit), _) => {
            let when = commit.committed_at.map(|at| format!(", {}", ago(at, now)));
            let text = format!(
                "{} {:?} by {} <{}>{}",
                commit.id,
                commit.subject,
                commit.author,
                commit.email,
                when.unwrap_or_default()
            );
            writeln!(out, "{}", field("commit", &text, style))?;
        }
        (None, Some(subject)) => {
            let id = version.revision.rsplit(':').next().unwrap_or_default();
            writeln!(
                out,
                "{}",
                field("commit", &format!("{id} {subject:?}"), style)
            )?;
        }
        (None, None) => {}
    }
    if let Some(at) = version.applied_at {
        writeln!(out, "{}", field("applied", &ago(at, now), style))?;
    }
    let verified = version
        .verified_at
        .map_or_else(|| "not yet".to_owned(), |at| ago(at, now));
    writeln!(out, "{}", field("verified", &verified, style))?;
    Ok(())
}

fn name(link: &Link) -> String {
    match &link.namespace {
        Some(namespace) => format!("{} {namespace}/{}", link.kind, link.name),
        None => format!("{} {}", link.kind, link.name),
    }
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span::between(at, now))
}
