//! What happened to a Release before: verified versions, rollbacks, rejected content and acts.

use belay_api::Release;
use belay_engine::release::status::{ReleaseStatus, Verified};
use jiff::Timestamp;

use super::revision;
use crate::{
    history::{self, Reasons},
    output::{Entry, Style, Tone, table},
    span,
};

pub(super) fn lines(
    release: &Release,
    reasons: &Reasons,
    now: Timestamp,
    style: Style,
) -> Vec<String> {
    let status = release.status.clone().unwrap_or_default();
    let titles = [
        "REVISION", "CONTENT", "VERIFIED", "TOOK", "STOOD", "SUBJECT",
    ];
    let verified = table(&titles, verified(&status, now), style);
    let mut lines = history::section("VERIFIED, OLDEST FIRST", verified, style);
    let titles = ["REVISION", "BACK TO", "WHEN", "REASON", "EVIDENCE"];
    let rollback = table(&titles, rollback(&status, now), style);
    lines.extend(history::section("LAST ROLLBACK", rollback, style));
    let past = (status.quarantine.as_slice(), status.actions.as_slice());
    lines.extend(history::common(past, reasons, now, style));
    lines
}

/// Each version with the time that its verification took, and how long it was the last verified one.
fn verified(status: &ReleaseStatus, now: Timestamp) -> Vec<Vec<Entry>> {
    let ends = status.history.iter().skip(1).map(|next| Some(next.at));
    let ends = ends.chain(std::iter::once(None));
    let row = |(verified, end): (&Verified, Option<Timestamp>)| {
        let content = &verified.content;
        let took = verified
            .started_at
            .map(|begun| span::between(begun, verified.at));
        let stood = match end {
            Some(end) => span::between(verified.at, end),
            None => format!("{} so far", span::between(verified.at, now)),
        };
        vec![
            revision(content).into(),
            content.digest.short().into(),
            Entry::toned(
                format!("{} ago", span::between(verified.at, now)),
                Tone::Good,
            ),
            took.unwrap_or_default().into(),
            stood.into(),
            content.subject.clone().unwrap_or_default().into(),
        ]
    };
    status.history.iter().zip(ends).map(row).collect()
}

fn rollback(status: &ReleaseStatus, now: Timestamp) -> Vec<Vec<Entry>> {
    let rows = status.rollback.iter().map(|rollback| {
        vec![
            Entry::toned(revision(&rollback.from), Tone::Bad),
            rollback
                .to
                .as_ref()
                .map_or_else(|| "nothing".to_owned(), revision)
                .into(),
            format!("{} ago", span::between(rollback.at, now)).into(),
            format!("{:?}", rollback.reason).into(),
            rollback.message.clone().into(),
        ]
    });
    rows.collect()
}
