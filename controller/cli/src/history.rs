//! What was verified, rejected and done before, as far as the status remembers.

mod json;

use std::{collections::BTreeMap, io::Write};

use belay_api::{Action, Rollout};
use belay_engine::{action::Receipt, quarantine};
use jiff::Timestamp;
use kube::api::ListParams;

use crate::{
    Error, Style,
    args::Format,
    cluster::Cluster,
    fetch, list,
    output::{Entry, Tone, table},
    span,
    subject::Subject,
};

/// Most acts whose reasons are read.
const ACTIONS: u32 = 500;

/// Why people acted, in their words, by the UID of the act.
pub(crate) type Reasons = BTreeMap<String, String>;

/// Prints the history of the object of that name.
pub(crate) async fn print<K: Subject>(
    cluster: &Cluster,
    name: &str,
    format: Format,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let object: K = fetch::one(cluster, name).await?;
    let reasons = reasons(cluster).await;
    if format == Format::Json {
        return list::json_object(&json::of(&object, &reasons)?, out);
    }
    let lines = object.history(&reasons, Timestamp::now(), style);
    if lines.is_empty() {
        writeln!(out, "Nothing has been verified, rejected or done yet.")?;
    }
    for line in lines {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// The reasons of acts that are still there, as far as the user may read them.
async fn reasons(cluster: &Cluster) -> Reasons {
    let parameters = ListParams::default().limit(ACTIONS);
    let listed = cluster.api::<Action>().list(&parameters).await;
    let actions = listed.into_iter().flatten();
    actions
        .filter_map(|action| Some((action.metadata.uid?, action.spec.reason?)))
        .collect()
}

/// Lines about a Rollout.
pub(crate) fn rollout(
    rollout: &Rollout,
    reasons: &Reasons,
    now: Timestamp,
    style: Style,
) -> Vec<String> {
    let status = rollout.status.clone().unwrap_or_default();
    let mut rows = Vec::new();
    let verified = status
        .verified
        .iter()
        .map(|version| (version, "verified before"));
    let stable = status.stable.iter().map(|version| (version, "stable"));
    for (version, state) in verified.chain(stable) {
        rows.push(vec![
            version.version.clone().into(),
            version.hash.clone().into(),
            Entry::toned(state, Tone::Good),
        ]);
    }
    let candidate = status.candidate.iter().map(|candidate| &candidate.version);
    for version in candidate {
        rows.push(vec![
            version.version.clone().into(),
            version.hash.clone().into(),
            Entry::toned("on trial", Tone::Busy),
        ]);
    }
    let mut lines = section(
        "VERSIONS, OLDEST FIRST",
        table(&["VERSION", "HASH", "STATE"], rows, style),
        style,
    );
    let past = (status.quarantine.as_slice(), status.actions.as_slice());
    lines.extend(common(past, reasons, now, style));
    lines
}

/// What Rollouts and Releases have in common: rejected content and acts.
pub(crate) fn common(
    (entries, receipts): (&[quarantine::Entry], &[Receipt]),
    reasons: &Reasons,
    now: Timestamp,
    style: Style,
) -> Vec<String> {
    let mut lines = section("QUARANTINE", rejected(entries, now, style), style);
    lines.extend(section("ACTS", acts(receipts, reasons, now, style), style));
    lines
}

/// Lines of the quarantined content.
fn rejected(entries: &[quarantine::Entry], now: Timestamp, style: Style) -> Vec<String> {
    let rows = entries
        .iter()
        .map(|entry| {
            vec![
                Entry::toned(entry.version.clone(), Tone::Bad),
                entry.digest.short().into(),
                format!("{} ago", span::between(entry.since, now)).into(),
                entry.reason.clone().into(),
            ]
        })
        .collect();
    table(&["VERSION", "HASH", "REJECTED", "WHY"], rows, style)
}

/// Lines of what people asked for.
fn acts(receipts: &[Receipt], reasons: &Reasons, now: Timestamp, style: Style) -> Vec<String> {
    let rows = receipts
        .iter()
        .map(|receipt| {
            vec![
                format!("{} ago", span::between(receipt.at, now)).into(),
                receipt.verb.rbac_verb().into(),
                receipt.actor.clone().into(),
                format!("{:?}", receipt.outcome).into(),
                receipt.message.clone().into(),
                reasons
                    .get(&receipt.uid)
                    .cloned()
                    .unwrap_or_default()
                    .into(),
            ]
        })
        .collect();
    table(
        &["WHEN", "ACT", "BY", "OUTCOME", "MESSAGE", "REASON"],
        rows,
        style,
    )
}

/// A table under a title; nothing without rows.
pub(crate) fn section(title: &str, table: Vec<String>, style: Style) -> Vec<String> {
    if table.len() < 2 {
        return Vec::new();
    }
    let mut lines = vec![style.paint(Tone::Title, title)];
    lines.extend(table.into_iter().map(|line| format!("  {line}")));
    lines
}
