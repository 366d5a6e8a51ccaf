//! Publishes the verified commit, and says how that goes.
//!
//! Invariant: a Git server that can't be written is nothing but a condition: it fails no version and holds none.

use super::pass::{Pass, brief};
use crate::{
    condition::Truth,
    release::{
        Effect, Plan,
        composition::commit_of,
        observed::Task,
        promotion::stands_from,
        publish::{Publication, Publish, Published, State},
        status::{Verified, short_revision},
    },
};

/// Publishes what is verified, once it has been for long enough. To be called at rest.
pub(super) fn drive(pass: &mut Pass<'_>) {
    if pass
        .plan
        .is_ok_and(|plan| plan.composition.publish.is_none())
    {
        pass.status.published = None;
    }
    let Some((publish, verified)) = wanted(pass) else {
        return;
    };
    let commit = commit_of(&verified.content.revision).to_owned();
    if is_done(pass, &publish, &commit) {
        return;
    }
    if let Some(known) = known(pass, &publish, &commit) {
        return take_in(pass, &known, &verified);
    }
    let Some(at) = stands_from(&pass.status, publish.verified_for) else {
        return;
    };
    if at > pass.now {
        return pass.wake(at);
    }
    let ours = pass
        .status
        .published
        .as_ref()
        .filter(|known| known.reference == publish.reference && known.newer.is_none())
        .map(|known| known.commit.clone());
    let effect = Effect::Publish {
        reference: publish.reference,
        commit,
        ours,
    };
    pass.attempt(Task::Publish, Some(&verified.content.digest), effect);
}

/// The condition `Published`, if there is one: whether it is so, one word, and a sentence.
pub(super) fn condition(pass: &Pass<'_>) -> Option<(Truth, &'static str, String)> {
    let (publish, verified) = wanted(pass)?;
    let trouble = pass.trouble(Task::Publish, Some(&verified.content.digest));
    let commit = commit_of(&verified.content.revision);
    if let Some(trouble) = trouble.filter(|_| !is_done(pass, &publish, commit)) {
        let message = format!(
            "{} can't be published as {}, and is verified all the same: {}",
            brief(&verified.content),
            publish.reference,
            trouble.message
        );
        return Some((Truth::False, "Failing", message));
    }
    let known = pass.status.published.as_ref()?;
    let short = short_revision(&format!("sha1:{}", known.commit));
    Some(match &known.newer {
        None => (
            Truth::True,
            "Published",
            format!("{} is at {short}", known.reference),
        ),
        Some(newer) => (
            Truth::True,
            "Newer",
            format!(
                "{} is at {}, which somebody else put there and which comes after {short}",
                known.reference,
                short_revision(&format!("sha1:{newer}"))
            ),
        ),
    })
}

fn wanted(pass: &Pass<'_>) -> Option<(Publish, Verified)> {
    let plan: &Plan = pass.plan.ok()?;
    Some((
        plan.composition.publish.clone()?,
        pass.status.verified.clone()?,
    ))
}

fn is_done(pass: &Pass<'_>, publish: &Publish, commit: &str) -> bool {
    pass.status
        .published
        .as_ref()
        .is_some_and(|known| known.reference == publish.reference && known.commit == commit)
}

/// What this process does or did about what is wanted.
fn known(pass: &Pass<'_>, publish: &Publish, commit: &str) -> Option<Publication> {
    let known = pass.observed.publication.as_ref()?;
    let is_it = known.reference == publish.reference && known.commit == commit;
    is_it.then(|| known.clone())
}

fn take_in(pass: &mut Pass<'_>, known: &Publication, verified: &Verified) {
    let newer = match &known.state {
        State::Underway => return,
        State::Done => None,
        State::Newer(newer) => Some(newer.clone()),
    };
    let done = Published {
        reference: known.reference.clone(),
        commit: known.commit.clone(),
        at: pass.now,
        newer,
    };
    tell(pass, &done, verified);
    pass.status.published = Some(done);
}

fn tell(pass: &mut Pass<'_>, done: &Published, verified: &Verified) {
    let name = brief(&verified.content);
    let reference = &done.reference;
    match &done.newer {
        None => pass.normal("Published", format!("{reference} is at {name} now")),
        Some(_) => pass.normal(
            "NotPublished",
            format!("{reference} is left where somebody else put it, which is after {name}"),
        ),
    }
}
