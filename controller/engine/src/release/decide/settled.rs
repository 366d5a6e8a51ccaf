//! At rest: the target is verified. What is not in it is pruned, old renders are dropped, drift is put right.

use super::{
    expiry,
    pass::{Pass, brief},
    publish,
};
use crate::release::{
    Effect,
    budget::{Budget, LargePrune},
    observed::{Contest, Task},
    plan::{DriftMode, Prune},
    status::{Content, Phase, short_revision},
};

/// Enters the phase of rest that fits what the source asks for.
pub(super) fn enter(pass: &mut Pass<'_>) {
    let phase = phase(pass);
    if phase == Phase::Rejected && pass.status.phase != Phase::Rejected {
        pass.warning("Rejected", rejection(pass));
    }
    pass.enter(phase);
}

fn phase(pass: &Pass<'_>) -> Phase {
    if pass.status.refused.is_some() {
        return Phase::Refused;
    }
    let asked = pass.status.asked.as_ref();
    match asked.filter(|asked| pass.target_digest() != Some(&asked.digest)) {
        None => Phase::Verified,
        Some(other) if pass.quarantined(&other.digest).is_some() => Phase::Rejected,
        Some(_) if pass.held.is_some() => Phase::Waiting,
        Some(_) => Phase::Rehearsing,
    }
}

/// Without a verified target there is nothing to tidy up.
pub(super) fn unverified(pass: &mut Pass<'_>) {
    let failed = pass.status.phase == Phase::Failed;
    if let Some(refused) = pass.status.refused.clone() {
        if !failed {
            pass.enter(Phase::Refused);
        }
        pass.wait("Refused", refusal(&refused.revision, &refused.message));
    } else if !failed {
        pass.enter(if pass.held.is_some() {
            Phase::Waiting
        } else if pass.rehearsal.is_some() {
            Phase::Rehearsing
        } else {
            Phase::Pending
        });
    }
    if failed {
        let why = pass
            .status
            .rollback
            .as_ref()
            .map(|rollback| rollback.message.clone())
            .unwrap_or_default();
        pass.wait("Failed", format!("{why}; nothing was verified before, so its objects stay; waits for new content or a retry"));
    }
    wait_for_others(pass);
    if let Some(message) = pass.rehearsal.take() {
        pass.wait("Rehearsing", message);
    }
    match &pass.status.source {
        Some(source) => {
            let message = format!("The source can't be had: {}", source.message);
            pass.wait("Source", message);
        }
        None => pass.wait("Source", "Waits for the first content of the source"),
    }
}

pub(super) fn drive(pass: &mut Pass<'_>) {
    let Some(target) = pass.status.target.clone() else {
        return unverified(pass);
    };
    enter(pass);
    match pass.status.phase {
        Phase::Rejected => {
            let message = rejection(pass);
            pass.wait("Rejected", message);
        }
        Phase::Refused => {
            if let Some(refused) = pass.status.refused.clone() {
                pass.wait("Refused", refusal(&refused.revision, &refused.message));
            }
        }
        _ => {
            wait_for_others(pass);
            if let Some(message) = pass.rehearsal.take() {
                pass.wait("Rehearsing", message);
            }
        }
    }
    prune(pass, &target.content);
    renders(pass, &target.content);
    drift(pass, &target.content);
    // Last: what fails ends the pass, and nothing waits for Git.
    publish::drive(pass);
}

/// Newer content that waits for other Releases says so.
fn wait_for_others(pass: &mut Pass<'_>) {
    if let Some(held) = pass.held.clone() {
        pass.wait(held.reason(), held.message);
    }
    if pass.rehearsal.is_none()
        && let Some(message) = pass.promotion.take()
    {
        pass.wait("Promotion", message);
    }
}

fn rejection(pass: &Pass<'_>) -> String {
    let asked = pass.status.asked.as_ref();
    let entry = asked.and_then(|asked| pass.quarantined(&asked.digest));
    let why = entry.map(|entry| entry.reason.clone()).unwrap_or_default();
    let runs = pass
        .status
        .target
        .as_ref()
        .map(|t| brief(&t.content))
        .unwrap_or_default();
    let asks = asked.map(brief).unwrap_or_default();
    let end = entry.and_then(|entry| expiry::ends_at(pass, entry));
    let end = end.map(|at| format!(", or until {}", at.strftime("%Y-%m-%d %H:%M UTC")));
    format!(
        "{asks} is quarantined ({why}); {runs} runs; waits for new content or a retry{}",
        end.unwrap_or_default()
    )
}

fn refusal(revision: &str, message: &str) -> String {
    format!(
        "{} can't be applied and changed nothing: {message}",
        short_revision(revision)
    )
}

fn prune(pass: &mut Pass<'_>, content: &Content) {
    let inventory = &pass.observed.inventory;
    let tidy = inventory
        .contents
        .iter()
        .all(|digest| digest == &content.digest)
        && inventory.leftovers.is_empty();
    let Ok(plan) = pass.plan else { return };
    if tidy {
        pass.status.large_prune = None;
        return;
    }
    if plan.prune == Prune::Delete && needs_word(pass, plan.prune_budget, content) {
        return;
    }
    if let Some(leftover) = inventory.leftovers.first() {
        let message = format!(
            "{} is to be pruned and is still there: {}",
            leftover.object, leftover.message
        );
        pass.wait("Pruning", message);
    }
    let effect = Effect::Prune {
        content: content.clone(),
        prune: plan.prune,
    };
    pass.attempt(Task::Prune, Some(&content.digest), effect);
}

/// Whether more objects would go than may without a person's word, and nobody has given it for these.
fn needs_word(pass: &mut Pass<'_>, budget: Budget, content: &Content) -> bool {
    let inventory = &pass.observed.inventory;
    let (count, all) = (inventory.doomed.len(), inventory.objects);
    let known = pass.status.large_prune.as_ref();
    if count <= budget.of(all) || known.is_some_and(|large| large.approves(&content.digest, count))
    {
        return false;
    }
    let large = LargePrune::of(&content.digest, &inventory.doomed);
    let message = format!(
        "{count} of {all} objects left the source, more than apply.pruneBudget lets go without a person's word: {}; they stay \
         until somebody approves this or the source has them again",
        large.named()
    );
    if known.is_none_or(|known| known.objects != count || known.digest != content.digest) {
        pass.warning("PruneHeld", message.clone());
        pass.status.large_prune = Some(large);
    }
    pass.wait("PruneApproval", message);
    true
}

fn renders(pass: &mut Pass<'_>, content: &Content) {
    let digest = &content.digest;
    if !pass.observed.renders.contains(digest) {
        let effect = Effect::StoreRender {
            content: content.clone(),
        };
        pass.attempt(Task::Render, Some(digest), effect);
    }
    let keep: Vec<_> = pass
        .status
        .history
        .iter()
        .map(|verified| verified.content.digest.clone())
        .collect();
    if pass
        .observed
        .renders
        .iter()
        .any(|kept| !keep.contains(kept))
    {
        pass.attempt(Task::Render, None, Effect::DropRenders { keep });
    }
}

/// Objects that somebody changed are applied again, unless the spec only wants to know, or somebody fights back.
fn drift(pass: &mut Pass<'_>, content: &Content) {
    if pass.plan.is_ok_and(|plan| plan.drift != DriftMode::Correct) {
        return;
    }
    let mut objects = Vec::new();
    for drift in &pass.observed.drift {
        match drift.contest {
            Contest::Fought { until } if until > pass.now => pass.wake(until),
            _ => objects.push(drift.object.clone()),
        }
    }
    if !objects.is_empty() {
        let effect = Effect::Correct {
            content: content.clone(),
            objects,
        };
        pass.attempt(Task::Correct, Some(&content.digest), effect);
    }
}
