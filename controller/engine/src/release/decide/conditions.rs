//! Conditions in the sense of kstatus, so that `kubectl wait`, Flux and Argo CD understand a Release.

use super::{
    cluster::{self, Barred},
    dependencies::Hold,
    pass::{Pass, brief},
    publish,
};
use crate::{
    condition::{self, Condition, Truth},
    release::{
        observed::{Altered, Asked, Contest},
        plan::DriftMode,
        status::{Phase, Signature, SignedObject},
    },
    rollout::reason::GATES_DOUBTFUL,
};

const SOURCE_VERIFIED: &str = "SourceVerified";

pub(super) fn set(pass: &mut Pass<'_>) {
    let (ready, reason, message) = ready(pass);
    put(pass, "Ready", ready, reason, &message);
    match pass.status.phase {
        _ if pass.plan.is_err() => stalled(pass, "SpecRefused", &message),
        _ if matches!(pass.barred, Some(Barred::Elsewhere(_))) => stalled(pass, reason, &message),
        Phase::Waiting if pass.held.as_ref().is_some_and(Hold::is_final) => {
            stalled(pass, reason, &message);
        }
        Phase::Pending
        | Phase::Waiting
        | Phase::Rehearsing
        | Phase::Applying
        | Phase::Verifying
        | Phase::RollingBack => {
            put(pass, "Reconciling", Truth::True, reason, &message);
            condition::clear(&mut pass.status.conditions, "Stalled");
        }
        Phase::Rejected | Phase::Refused | Phase::Failed => stalled(pass, reason, &message),
        Phase::Verified | Phase::Terminating => {
            condition::clear(&mut pass.status.conditions, "Reconciling");
            condition::clear(&mut pass.status.conditions, "Stalled");
        }
    }
    source(pass);
    signature(pass);
    if let Some((status, reason, message)) = cluster::condition(pass) {
        put(pass, cluster::REACHABLE, status, reason, &message);
    }
    drift(pass);
    doubts(pass);
    match publish::condition(pass) {
        Some((status, reason, message)) => put(pass, "Published", status, reason, &message),
        None => condition::clear(&mut pass.status.conditions, "Published"),
    }
}

/// Tells once of queries that look wrong, and shows it as long as they do.
fn doubts(pass: &mut Pass<'_>) {
    let told = pass
        .plan
        .ok()
        .and_then(|plan| condition::doubts_told(&plan.doubts));
    let Some(message) = told else {
        return condition::clear(&mut pass.status.conditions, GATES_DOUBTFUL);
    };
    let known = pass
        .before
        .conditions
        .iter()
        .any(|condition| condition.kind == GATES_DOUBTFUL && condition.message == message);
    if !known {
        pass.warning(GATES_DOUBTFUL, message.clone());
    }
    put(pass, GATES_DOUBTFUL, Truth::True, "Lint", &message);
}

fn ready(pass: &mut Pass<'_>) -> (Truth, &'static str, String) {
    if let Err(why) = pass.plan {
        let message = format!("The spec can't be carried out, and what runs stays as it is: {why}");
        pass.wait("SpecRefused", message.clone());
        return (Truth::False, "SpecRefused", message);
    }
    if let Some(barred) = pass.barred.clone() {
        // How the objects are is not known, or not what the spec is about.
        let status = match &barred {
            Barred::Away(_) => Truth::Unknown,
            Barred::Elsewhere(_) => Truth::False,
        };
        return (status, barred.reason(), barred.message().to_owned());
    }
    let waits = pass.waits().map(str::to_owned);
    let target = pass
        .status
        .target
        .as_ref()
        .map(|target| brief(&target.content));
    let runs = format!("{} runs and is verified", target.unwrap_or_default());
    let word = match pass.status.phase {
        Phase::Verified => {
            let message = waits.map_or_else(|| runs.clone(), |waits| format!("{runs}; {waits}"));
            return (Truth::True, "Verified", message);
        }
        Phase::Pending => "Pending",
        Phase::Waiting => "Waiting",
        Phase::Rehearsing => "Rehearsing",
        Phase::Applying => "Applying",
        Phase::Verifying => "Verifying",
        Phase::RollingBack => "RollingBack",
        Phase::Rejected => "Rejected",
        Phase::Refused => "Refused",
        Phase::Failed => "Failed",
        Phase::Terminating => "Terminating",
    };
    (Truth::False, word, waits.unwrap_or_default())
}

fn stalled(pass: &mut Pass<'_>, reason: &str, message: &str) {
    put(pass, "Stalled", Truth::True, reason, message);
    condition::clear(&mut pass.status.conditions, "Reconciling");
}

fn source(pass: &mut Pass<'_>) {
    if let Some(trouble) = pass.status.source.clone() {
        let message = format!(
            "The source can't be had since {}; the last state runs on: {}",
            trouble.since, trouble.message
        );
        put(
            pass,
            "SourceAvailable",
            Truth::False,
            "Unavailable",
            &message,
        );
    } else if pass.status.asked.is_some()
        || pass.status.refused.is_some()
        || pass.status.promotion.is_some()
    {
        put(
            pass,
            "SourceAvailable",
            Truth::True,
            "Available",
            "The source answers",
        );
    }
}

/// `SourceVerified` is there only while signatures are asked for. What is not known yet changes nothing about it.
fn signature(pass: &mut Pass<'_>) {
    match &pass.observed.asked {
        Asked::Content(content) if content.signatures.is_empty() => {
            condition::clear(&mut pass.status.conditions, SOURCE_VERIFIED);
        }
        Asked::Content(content) => {
            let message = format!("{}: {}", brief(content), signers(&content.signatures));
            put(pass, SOURCE_VERIFIED, Truth::True, "Signed", &message);
        }
        Asked::Unverified { message, .. } => {
            put(
                pass,
                SOURCE_VERIFIED,
                Truth::False,
                "SignatureRefused",
                message,
            );
        }
        Asked::Unknown | Asked::Broken { .. } | Asked::Unavailable { .. } => {}
    }
}

fn signers(signatures: &[Signature]) -> String {
    let each = signatures.iter().map(|signature| {
        let object = match signature.object {
            SignedObject::Commit => "commit",
            SignedObject::Tag => "tag",
        };
        format!(
            "{object} signed by {} (key {})",
            signature.signer, signature.key
        )
    });
    each.collect::<Vec<_>>().join(", ")
}

/// `Drifted` is there only while there is something that Belay does not put right at once, or can't see.
fn drift(pass: &mut Pass<'_>) {
    if pass.plan.is_ok_and(|plan| plan.drift == DriftMode::Off) {
        return condition::clear(&mut pass.status.conditions, "Drifted");
    }
    let report = pass.plan.is_ok_and(|plan| plan.drift == DriftMode::Report);
    let mut shown = pass
        .observed
        .drift
        .iter()
        .filter(|drift| report || drift.contest != Contest::Quiet);
    let Some(first) = shown.next() else {
        return match (&pass.observed.unwatched, altered(&pass.observed.altered)) {
            (Some(why), _) => put(pass, "Drifted", Truth::Unknown, "NotWatched", why),
            (None, Some(what)) => put(pass, "Drifted", Truth::True, "Altered", &what),
            (None, None) => condition::clear(&mut pass.status.conditions, "Drifted"),
        };
    };
    let others = match shown.count() {
        0 => String::new(),
        more => format!(" (and {more} more objects)"),
    };
    let reason = if first.contest == Contest::Quiet {
        "Reported"
    } else {
        "Fought"
    };
    let message = format!("{}: {}{others}", first.object, first.message);
    put(pass, "Drifted", Truth::True, reason, &message);
}

/// What the cluster changes of what is applied.
fn altered(objects: &[Altered]) -> Option<String> {
    let (first, others) = objects.split_first()?;
    let others = match others.len() {
        0 => String::new(),
        more => format!(" (and values of {more} more objects)"),
    };
    Some(format!(
        "{}: a policy or webhook of the cluster changes what the source sets: {}{others}; applying it again would not help",
        first.object,
        first.pointers.join(", ")
    ))
}

fn put(pass: &mut Pass<'_>, kind: &str, status: Truth, reason: &str, message: &str) {
    let next = Condition {
        kind: kind.to_owned(),
        status,
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: pass.now,
        observed_generation: pass.observed.generation,
    };
    condition::set(&mut pass.status.conditions, next);
}
