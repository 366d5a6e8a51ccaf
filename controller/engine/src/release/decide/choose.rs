//! Chooses the content to bring in: the newest that is asked for, unless it is quarantined or refused.

use super::{
    dependencies,
    pass::{Pass, brief},
    source,
};
use crate::release::{
    Effect,
    observed::{Asked, Fault, Task},
    status::{Content, Phase, Purpose, Refusal, Target},
};

pub(super) fn choose(pass: &mut Pass<'_>) {
    let Some(wanted) = candidate(pass) else {
        return;
    };
    pass.held = dependencies::hold(pass, &wanted);
    if pass.held.is_some() {
        return;
    }
    if pass.observed.rehearsed.as_ref() == Some(&wanted.digest) {
        begin(pass, wanted);
    } else {
        rehearse(pass, wanted);
    }
}

/// The content that is asked for and not there yet, if it may be brought in.
fn candidate(pass: &Pass<'_>) -> Option<Content> {
    pass.plan.ok()?;
    // What goes on from other Releases is not what the source shows now.
    let is_tip = pass.status.promotion.is_none();
    let is_unusable = matches!(
        pass.observed.asked,
        Asked::Broken { .. } | Asked::Unverified { .. }
    );
    if is_tip && is_unusable {
        return None;
    }
    let asked = pass.status.asked.as_ref()?;
    let there = pass.target_digest() == Some(&asked.digest);
    let refused = pass
        .status
        .refused
        .as_ref()
        .is_some_and(|refused| is_final(refused, asked, pass.observed.generation));
    (!there && !refused && pass.quarantined(&asked.digest).is_none()).then(|| asked.clone())
}

fn is_final(refused: &Refusal, asked: &Content, generation: i64) -> bool {
    refused.permanent
        && refused.digest.as_ref() == Some(&asked.digest)
        && refused.generation == generation
}

fn begin(pass: &mut Pass<'_>, content: Content) {
    pass.status.refused = None;
    pass.normal(
        "Applying",
        format!("Applying {}{}", brief(&content), subject(&content)),
    );
    let target = Target {
        content,
        purpose: Purpose::Release,
        started_at: pass.now,
        applied_at: None,
        healthy_at: None,
        retried_by: None,
    };
    pass.begin(target, Phase::Applying);
}

fn subject(content: &Content) -> String {
    content
        .subject
        .as_ref()
        .map(|subject| format!(" ({subject})"))
        .unwrap_or_default()
}

fn rehearse(pass: &mut Pass<'_>, content: Content) {
    if let Some(trouble) = pass.trouble(Task::Rehearse, Some(&content.digest)) {
        match trouble.fault {
            Fault::Passing => {
                pass.rehearsal = Some(format!(
                    "{} can't be tried out: {}; tried again soon",
                    brief(&content),
                    trouble.message
                ));
            }
            fault => {
                let permanent = fault == Fault::Content;
                source::refuse(
                    pass,
                    Some(&content),
                    &content.revision,
                    &trouble.message,
                    permanent,
                );
                if permanent {
                    return;
                }
            }
        }
    }
    pass.rehearsal
        .get_or_insert_with(|| format!("Tries {} out by dry run", brief(&content)));
    let digest = content.digest.clone();
    pass.attempt(Task::Rehearse, Some(&digest), Effect::Rehearse { content });
}
