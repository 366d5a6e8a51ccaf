//! Taking up what people asked for: every act gets exactly one receipt, in the status, before anything is done.

use std::time::Duration;

use super::{
    super::{
        Effect,
        observed::{Deployment, Lifecycle},
        plan::Approval,
        reason,
        status::{Paused, Phase, RollbackReason, StepState, Track, Version},
    },
    begin,
    clock::after,
    config, gates,
    lookup::version_of,
    pass::Pass,
    promote, rollback,
};
use crate::{
    action::{Outcome, Receipt, Request, Verb},
    digest::Digest,
    quarantine::{self, Cause, Entry},
};

/// Receipts that are kept. Acts beyond this number wait until earlier ones have been acknowledged.
const MAX_RECEIPTS: usize = 10;

/// Creation times are cut to seconds and come from another clock.
const CLOCK_SLACK: Duration = Duration::from_secs(2);

/// What was done, or why not.
type Answer = Result<String, String>;

/// Takes up the acts without a receipt. Without a workload to act on all are refused.
pub(super) fn take_up(pass: &mut Pass<'_>, deployment: Option<&Deployment>) {
    for request in &pass.seen.actions {
        if pass
            .next
            .actions
            .iter()
            .any(|receipt| receipt.uid == request.uid)
        {
            continue;
        }
        if open(pass) >= MAX_RECEIPTS {
            break;
        }
        let answer = match deployment {
            _ if pass.seen.lifecycle == Lifecycle::Deleting => {
                Err("The Rollout is being deleted.".to_owned())
            }
            None => Err("The workload is missing or can't be governed.".to_owned()),
            Some(deployment) => {
                meant(pass, request).and_then(|()| answer(pass, deployment, request))
            }
        };
        file(pass, request, answer);
    }
}

/// Copies receipts into the acts that don't have them yet.
pub(super) fn acknowledge(pass: &mut Pass<'_>) {
    for receipt in pass.next.actions.clone() {
        if pass
            .seen
            .actions
            .iter()
            .any(|request| request.uid == receipt.uid)
        {
            pass.effect(Effect::Acknowledge(receipt));
        }
    }
}

/// Receipts that have not been acknowledged yet: as long as their acts are seen, they must not be forgotten.
fn open(pass: &Pass<'_>) -> usize {
    let seen = |receipt: &&Receipt| {
        pass.seen
            .actions
            .iter()
            .any(|request| request.uid == receipt.uid)
    };
    pass.next.actions.iter().filter(seen).count()
}

fn file(pass: &mut Pass<'_>, request: &Request, answer: Answer) {
    let (outcome, message) = match answer {
        Ok(message) => (Outcome::Accepted, message),
        Err(message) => (Outcome::Refused, message),
    };
    let verb = request.verb.rbac_verb();
    let text = format!("{verb} by {}: {message}", request.actor);
    match outcome {
        Outcome::Accepted => pass.normal(reason::ACTION_ACCEPTED, text),
        Outcome::Refused => pass.warning(reason::ACTION_REFUSED, text),
    }
    pass.next.actions.push(Receipt {
        uid: request.uid.clone(),
        name: request.name.clone(),
        verb: request.verb,
        actor: request.actor.clone(),
        outcome,
        message,
        at: pass.now,
    });
    if pass.next.actions.len() > MAX_RECEIPTS {
        let done = |receipt: &Receipt| {
            !pass
                .seen
                .actions
                .iter()
                .any(|request| request.uid == receipt.uid)
        };
        if let Some(oldest) = pass.next.actions.iter().position(done) {
            pass.next.actions.remove(oldest);
        }
    }
}

/// Refuses an act that was meant for another version or step than the one it would hit.
fn meant(pass: &Pass<'_>, request: &Request) -> Result<(), String> {
    let Some(wanted) = &request.version else {
        return in_time(pass, request);
    };
    let target = match request.verb {
        // It is looked for among the quarantined ones, see `retry`.
        Verb::Retry => return Ok(()),
        Verb::Undo => pass.next.stable.clone(),
        _ => pass
            .next
            .candidate
            .as_ref()
            .map(|candidate| candidate.version.clone()),
    };
    let Some(target) = target else {
        return Err(format!(
            "It was meant for {wanted}, and no version is on trial."
        ));
    };
    let names = [
        target.digest.as_str(),
        &target.digest.short(),
        &target.hash,
        &target.version,
    ];
    if names.contains(&wanted.as_str()) {
        Ok(())
    } else {
        Err(format!(
            "It was meant for {wanted}, but the version at hand is {} ({}).",
            target.version,
            target.digest.short()
        ))
    }
}

/// An act without a version is about what its author could see: not about what began after it was written.
fn in_time(pass: &Pass<'_>, request: &Request) -> Result<(), String> {
    let candidate = pass
        .next
        .candidate
        .as_ref()
        .map(|candidate| candidate.started_at);
    let step = pass.next.step.as_ref().map(|step| step.entered_at);
    let begun = match request.verb {
        Verb::Approve | Verb::Skip => step.or(candidate),
        Verb::Promote | Verb::Pause | Verb::Abort => candidate,
        Verb::Resume | Verb::Retry | Verb::Undo => None,
    };
    match begun {
        Some(begun) if after(request.created_at, CLOCK_SLACK) < begun => Err(
            "What is at hand began after it was asked for; name the version to insist.".to_owned(),
        ),
        _ => Ok(()),
    }
}

fn answer(pass: &mut Pass<'_>, deployment: &Deployment, request: &Request) -> Answer {
    match request.verb {
        Verb::Approve => approve(pass, &request.actor),
        Verb::Promote => promote_now(pass),
        Verb::Skip => skip(pass, &request.actor),
        Verb::Pause => pause(pass, &request.actor),
        Verb::Resume => resume(pass),
        Verb::Abort => abort(pass, request),
        Verb::Retry => retry(pass, deployment, request),
        Verb::Undo => undo(pass, deployment, &request.actor),
    }
}

fn on_trial(pass: &Pass<'_>) -> Result<Version, String> {
    let trial = matches!(
        pass.next.phase,
        Phase::Progressing | Phase::Promoting | Phase::Baking
    );
    pass.next
        .candidate
        .as_ref()
        .filter(|_| trial)
        .map(|candidate| candidate.version.clone())
        .ok_or_else(|| "No version is on trial.".to_owned())
}

fn present_step<'p>(pass: &'p mut Pass<'_>) -> Result<&'p mut StepState, String> {
    let stepping = pass.next.phase == Phase::Progressing;
    pass.next
        .step
        .as_mut()
        .filter(|_| stepping)
        .ok_or_else(|| "No canary is at one of its steps.".to_owned())
}

fn approve(pass: &mut Pass<'_>, actor: &str) -> Answer {
    let plan = pass.plan();
    let step = present_step(pass)?;
    let required = plan
        .and_then(|plan| plan.steps.get(step.index as usize))
        .is_some_and(|step| step.approval == Approval::Required);
    let number = step.index.saturating_add(1);
    if !required {
        return Err(format!("Step {number} needs no approval."));
    }
    if let Some(by) = &step.approved_by {
        return Err(format!("Step {number} was approved by {by} already."));
    }
    step.approved_by = Some(actor.to_owned());
    Ok(format!("Step {number} is approved."))
}

fn skip(pass: &mut Pass<'_>, actor: &str) -> Answer {
    if pass.next.phase == Phase::Baking {
        if pass.next.bake_skipped_by.is_some() {
            return Err("The bake is being ended already.".to_owned());
        }
        pass.next.bake_skipped_by = Some(actor.to_owned());
        return Ok("The bake ends once its gates pass.".to_owned());
    }
    let step = present_step(pass)?;
    let number = step.index.saturating_add(1);
    if step.skipped_by.is_some() {
        return Err(format!("The hold of step {number} is over already."));
    }
    step.skipped_by = Some(actor.to_owned());
    Ok(format!(
        "The hold of step {number} is over; its gates must still pass."
    ))
}

fn promote_now(pass: &mut Pass<'_>) -> Answer {
    if pass.next.phase != Phase::Progressing {
        return Err("No canary is under way.".to_owned());
    }
    if let Err(why) = &pass.plan {
        return Err(format!("The Rollout can't go forward: {why}"));
    }
    if let Some(paused) = &pass.next.paused {
        return Err(format!(
            "{} paused the Rollout; resume it first.",
            paused.by
        ));
    }
    if let Some(gate) = gates::failing(pass) {
        return Err(format!("Gate {gate} fails."));
    }
    match &mut pass.next.candidate {
        Some(candidate) if candidate.track != Track::Forced => {
            candidate.track = Track::Forced;
            Ok(format!(
                "{} is promoted without its remaining steps.",
                candidate.version.version
            ))
        }
        _ => Err("It is being promoted already.".to_owned()),
    }
}

fn pause(pass: &mut Pass<'_>, actor: &str) -> Answer {
    let version = on_trial(pass)?;
    if let Some(paused) = &pass.next.paused {
        return Err(format!("{} paused the Rollout already.", paused.by));
    }
    pass.next.paused = Some(Paused {
        by: actor.to_owned(),
        at: pass.now,
    });
    Ok(match pass.next.phase {
        Phase::Promoting => {
            "The native rolling update goes on, but it does not end before a resume.".to_owned()
        }
        _ => format!(
            "{} goes no further before a resume; its gates stay on.",
            version.version
        ),
    })
}

fn resume(pass: &mut Pass<'_>) -> Answer {
    match pass.next.paused.take() {
        Some(_) => Ok("The Rollout goes on.".to_owned()),
        None => Err("The Rollout is not paused.".to_owned()),
    }
}

fn abort(pass: &mut Pass<'_>, request: &Request) -> Answer {
    let version = on_trial(pass)?;
    let why = request
        .reason
        .as_deref()
        .map(|why| format!(": {why}"))
        .unwrap_or_default();
    let message = format!("{} aborted it{why}.", request.actor);
    let promoted = pass.next.phase != Phase::Progressing;
    rollback::begin(pass, &version, RollbackReason::Aborted, message, promoted);
    Ok(format!(
        "{} is rolled back and quarantined.",
        version.version
    ))
}

fn retry(pass: &mut Pass<'_>, deployment: &Deployment, request: &Request) -> Answer {
    match &request.version {
        Some(wanted) => retry_named(pass, deployment, wanted),
        None => retry_asked_for(pass, deployment),
    }
}

fn retry_asked_for(pass: &mut Pass<'_>, deployment: &Deployment) -> Answer {
    let asked = &deployment.template;
    // Pending: nothing runs, and the only template left was rejected.
    if !matches!(pass.next.phase, Phase::Rejected | Phase::Pending) {
        return Err("Nothing that is asked for is rejected.".to_owned());
    }
    if quarantine::lift(&mut pass.next.quarantine, &asked.digest) {
        Ok(format!(
            "The quarantine of {} is lifted; it begins anew.",
            asked.version
        ))
    } else {
        Err(format!("{} is not quarantined.", asked.version))
    }
}

/// A version that is named is tried again whether or not it is asked for at this moment: who applies it and asks for the retry
/// need not care which of the two is seen first.
fn retry_named(pass: &mut Pass<'_>, deployment: &Deployment, wanted: &str) -> Answer {
    if pass.next.phase == Phase::RollingBack {
        return Err("A version is being taken back; retry it when that is done.".to_owned());
    }
    let asked = &deployment.template.digest;
    let fits = |digest: &Digest, version: &str| {
        wanted == digest.as_str() || wanted == digest.short() || wanted == version
    };
    let named = |entry: &&Entry| fits(&entry.digest, &entry.version);
    let mut found: Vec<Entry> = pass.next.quarantine.iter().filter(named).cloned().collect();
    if found.iter().any(|entry| &entry.digest == asked) {
        found.retain(|entry| &entry.digest == asked);
    }
    match found.as_slice() {
        [] if fits(asked, &deployment.template.version) => {
            Err("Nothing that is asked for is rejected.".to_owned())
        }
        [] => Err(format!(
            "It was meant for {wanted}, which is not quarantined; the version at hand is {} ({}).",
            deployment.template.version,
            asked.short()
        )),
        [entry] => {
            quarantine::lift(&mut pass.next.quarantine, &entry.digest);
            let version = &entry.version;
            Ok(if &entry.digest == asked {
                format!("The quarantine of {version} is lifted; it begins anew.")
            } else {
                format!("The quarantine of {version} is lifted; it begins when it is asked for.")
            })
        }
        several => Err(format!(
            "{wanted} names {} quarantined versions; name one by its digest: {}.",
            several.len(),
            several
                .iter()
                .map(|entry| entry.digest.short())
                .collect::<Vec<_>>()
                .join(", ")
        )),
    }
}

fn undo(pass: &mut Pass<'_>, deployment: &Deployment, actor: &str) -> Answer {
    let at_rest = match pass.next.phase {
        Phase::Healthy => pass.asks_for_stable(deployment),
        Phase::Rejected => pass.quarantined(&deployment.template.digest),
        _ => false,
    };
    let (true, Some(stable)) = (at_rest, pass.next.stable.clone()) else {
        return Err("A change is under way; abort it instead.".to_owned());
    };
    if let Err(why) = &pass.plan {
        return Err(format!("The Rollout can't go anywhere: {why}"));
    }
    let Some(target) = pass.next.verified.last().cloned() else {
        return Err("No earlier verified version is known.".to_owned());
    };
    let Some(set) = pass
        .seen
        .native()
        .find(|set| super::lookup::is_of(set, &target))
    else {
        return Err(format!(
            "The ReplicaSet of {} is gone, and with it its template.",
            target.version
        ));
    };
    let entry = Entry {
        digest: stable.digest,
        version: stable.version.clone(),
        reason: format!("{actor} undid it."),
        since: pass.now,
        cause: Cause::Person,
        bare: stable.bare,
    };
    quarantine::add(&mut pass.next.quarantine, entry);
    config::set_aside(pass);
    begin::enter(
        pass,
        Version {
            version: target.version,
            ..version_of(set)
        },
        Track::Fast,
    );
    if let Some(candidate) = &mut pass.next.candidate {
        candidate.replaces = Some(deployment.template.digest.clone());
    }
    promote::begin(pass);
    Ok(format!("{} is taken back.", stable.version))
}
