//! Copies of configuration that are gone while pods of a living version need them.
//!
//! Decided after everything else: a copy that can't be made keeps no candidate from being taken back.

use super::{
    super::{Effect, copies::LostCopy, observed::Config, reason},
    conditions,
    pass::{Pass, Why},
};
use crate::condition::Truth;

/// Has lost copies made again where their content is still held, and tells of them until they are there.
pub(super) fn keep(pass: &mut Pass<'_>) {
    let Config::Live(live) = &pass.seen.config else {
        return;
    };
    for lost in &live.lost {
        if let Some(held_by) = &lost.held_by {
            pass.effect(Effect::RemakeCopy {
                kind: lost.kind,
                name: lost.name.clone(),
                hash: lost.hash.clone(),
                from: held_by.clone(),
            });
        }
    }
    tell(pass, &live.lost);
}

fn tell(pass: &mut Pass<'_>, lost: &[LostCopy]) {
    let kind = reason::CONFIG_LOST;
    let mut present = pass.before.conditions.iter();
    let known = present.find(|condition| condition.kind == kind);
    let why = sentence(lost).map(|message| Why {
        reason: reason::CONFIG_LOST,
        message,
    });
    match (&why, known) {
        (Some(why), known) if known.is_none_or(|known| known.message != why.message) => {
            pass.warning(kind, why.message.clone());
        }
        (None, Some(_)) => {
            let message =
                "Every version's pods have the configuration that they were verified with again.";
            pass.normal(reason::CONFIG_RESTORED, message.to_owned());
        }
        _ => {}
    }
    conditions::put(pass, kind, why.as_ref(), Truth::True);
}

fn sentence(lost: &[LostCopy]) -> Option<String> {
    let told = |held: bool| -> Vec<String> {
        let lost = lost.iter().filter(|lost| lost.held_by.is_some() == held);
        lost.map(LostCopy::told).collect()
    };
    let (held, nowhere) = (told(true), told(false));
    let mut sentences = Vec::new();
    if !held.is_empty() {
        let names = held.join(", ");
        sentences.push(format!(
            "{names}, which pods of a running version read, was deleted and is being made again with the same content."
        ));
    }
    if !nowhere.is_empty() {
        let names = nowhere.join(", ");
        let objects: Vec<String> = lost
            .iter()
            .filter(|lost| lost.held_by.is_none())
            .map(|lost| format!("{} {}", lost.kind.name(), lost.name))
            .collect();
        sentences.push(format!(
            "{names}, which pods of a running version read, was deleted, and no object has its content any more: pods of that version \
             that are made now don't start. Apply {} with the content of that version for a moment, and it is made again.",
            objects.join(", ")
        ));
    }
    (!sentences.is_empty()).then(|| sentences.join(" "))
}
