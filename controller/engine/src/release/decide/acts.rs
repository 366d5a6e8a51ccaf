//! What people asked for. Each act gets exactly one receipt, in the same status that carries it out.

use super::{
    expiry, failing,
    pass::{Pass, brief},
    promotion,
};
use crate::{
    action::{Outcome, Receipt, Request, Verb},
    release::{
        Effect,
        status::{FailureReason, Phase},
    },
    rollout::status::Paused,
};

/// Receipts kept.
const RECEIPTS: usize = 10;

/// Copies receipts to Actions that still wait for one.
pub(super) fn acknowledge(pass: &mut Pass<'_>) {
    for request in &pass.observed.actions {
        if let Some(receipt) = pass
            .status
            .actions
            .iter()
            .find(|r| r.uid == request.uid)
            .cloned()
        {
            pass.effect(Effect::Acknowledge(receipt));
        }
    }
}

/// Takes up the acts that have no receipt yet.
pub(super) fn take_up(pass: &mut Pass<'_>) {
    for request in &pass.observed.actions {
        if pass
            .status
            .actions
            .iter()
            .any(|receipt| receipt.uid == request.uid)
        {
            continue;
        }
        let (outcome, message) = match version_fits(pass, request).and_then(|()| act(pass, request))
        {
            Ok(done) => (Outcome::Accepted, done),
            Err(why) => (Outcome::Refused, why),
        };
        let receipt = Receipt {
            uid: request.uid.clone(),
            name: request.name.clone(),
            verb: request.verb,
            actor: request.actor.clone(),
            outcome,
            message,
            at: pass.now,
        };
        tell(pass, &receipt);
        pass.status.actions.push(receipt.clone());
        let excess = pass.status.actions.len().saturating_sub(RECEIPTS);
        pass.status.actions.drain(..excess);
        pass.effect(Effect::Acknowledge(receipt));
    }
}

fn tell(pass: &mut Pass<'_>, receipt: &Receipt) {
    let (reason, done) = match receipt.outcome {
        Outcome::Accepted => ("ActionAccepted", "accepted"),
        Outcome::Refused => ("ActionRefused", "refused"),
    };
    let message = format!(
        "{} by {} {done}: {}",
        receipt.verb.rbac_verb(),
        receipt.actor,
        receipt.message
    );
    match receipt.outcome {
        Outcome::Accepted => pass.normal(reason, message),
        Outcome::Refused => pass.warning(reason, message),
    }
}

/// An act for a version (revision or digest, or the beginning of either's commit) must meet that version.
fn version_fits(pass: &Pass<'_>, request: &Request) -> Result<(), String> {
    // What may be promoted is more than what runs here or is asked for.
    let version = request.version.as_deref();
    let Some(version) = version.filter(|_| request.verb != Verb::Promote) else {
        return Ok(());
    };
    let contents = [
        pass.status.asked.as_ref(),
        pass.status.target.as_ref().map(|target| &target.content),
    ];
    let fits = contents.into_iter().flatten().any(|content| {
        let commit = content.revision.rsplit(':').next().unwrap_or_default();
        content.revision == version
            || content.digest.as_str() == version
            || content.digest.short() == version
            || (version.len() >= 7 && commit.starts_with(version))
    });
    if fits {
        Ok(())
    } else {
        Err(format!(
            "the act is for {version}, which this Release neither runs nor is asked for; look at it again and repeat the act without a version or with the present one"
        ))
    }
}

fn act(pass: &mut Pass<'_>, request: &Request) -> Result<String, String> {
    match request.verb {
        Verb::Pause => pause(pass, request),
        Verb::Resume => resume(pass),
        Verb::Retry => retry(pass, request),
        Verb::Abort => abort(pass, request),
        Verb::Undo => undo(pass, request),
        Verb::Promote => promotion::promote(pass, request),
        Verb::Approve => approve(pass, request),
        Verb::Skip => Err(format!(
            "a Release has no steps to {}; act on its Rollout instead",
            request.verb.rbac_verb()
        )),
    }
}

/// The only thing of a Release that waits for an approval is the pruning of many objects.
fn approve(pass: &mut Pass<'_>, request: &Request) -> Result<String, String> {
    let (now, actor) = (pass.now, request.actor.clone());
    let Some(large) = pass.status.large_prune.as_mut() else {
        return Err(
            "nothing of this Release waits for an approval; to approve a step, act on its Rollout"
                .to_owned(),
        );
    };
    if let Some(by) = &large.approved_by {
        return Err(format!("already approved by {by}"));
    }
    large.approved_by = Some(actor);
    large.approved_at = Some(now);
    Ok(format!("{} objects are pruned", large.objects))
}

fn pause(pass: &mut Pass<'_>, request: &Request) -> Result<String, String> {
    if let Some(paused) = &pass.status.paused {
        return Err(format!("already paused by {}", paused.by));
    }
    pass.status.paused = Some(Paused {
        by: request.actor.clone(),
        at: pass.now,
    });
    Ok("Nothing is written until somebody resumes it; its Rollouts go on by themselves".to_owned())
}

fn resume(pass: &mut Pass<'_>) -> Result<String, String> {
    match pass.status.paused.take() {
        Some(paused) => Ok(format!("the pause by {} is over", paused.by)),
        None => Err("it is not paused".to_owned()),
    }
}

fn retry(pass: &mut Pass<'_>, request: &Request) -> Result<String, String> {
    let Some(asked) = pass.status.asked.clone() else {
        return Err("the source has not been seen yet, so there is nothing to retry".to_owned());
    };
    if expiry::again(pass, asked.clone(), &request.actor) {
        return Ok(format!(
            "the quarantine of {} is lifted; it is applied again",
            brief(&asked)
        ));
    }
    if pass.status.refused.take().is_some() {
        pass.forgive();
        return Ok(format!("{} is tried out again", brief(&asked)));
    }
    Err(format!(
        "{} is neither quarantined nor refused, so there is nothing to retry",
        brief(&asked)
    ))
}

fn abort(pass: &mut Pass<'_>, request: &Request) -> Result<String, String> {
    if !matches!(pass.status.phase, Phase::Applying | Phase::Verifying) {
        return Err(
            "nothing is being brought in; to leave a verified version, use undo".to_owned(),
        );
    }
    failing::fail(pass, FailureReason::Aborted, said(request, "aborted"));
    Ok("it is quarantined and taken back".to_owned())
}

fn undo(pass: &mut Pass<'_>, request: &Request) -> Result<String, String> {
    if !matches!(
        pass.status.phase,
        Phase::Verified | Phase::Refused | Phase::Rehearsing | Phase::Waiting
    ) {
        return Err(
            "only a verified version can be undone; while one is brought in, use abort".to_owned(),
        );
    }
    let Some(target) = pass.status.target.clone() else {
        return Err("nothing is verified yet".to_owned());
    };
    let earlier = pass.status.history.iter().rev().find(|old| {
        old.content.digest != target.content.digest
            && pass.quarantined(&old.content.digest).is_none()
    });
    let Some(earlier) = earlier.map(|old| brief(&old.content)) else {
        return Err("no earlier verified version is kept (rollback.history)".to_owned());
    };
    failing::fail(pass, FailureReason::Undone, said(request, "undone"));
    Ok(format!(
        "{} is quarantined; {earlier} comes back",
        brief(&target.content)
    ))
}

fn said(request: &Request, what: &str) -> String {
    match &request.reason {
        Some(reason) => format!("{what} by {}: {reason}", request.actor),
        None => format!("{what} by {}", request.actor),
    }
}
