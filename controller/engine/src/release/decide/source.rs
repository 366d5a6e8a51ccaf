//! Takes in what the source asks for, and remembers what can't be had or rendered.

use jiff::Timestamp;

use super::{
    pass::{Pass, brief},
    promotion,
};
use crate::release::{
    observed::Asked,
    status::{Content, Refusal, SourceTrouble, short_revision},
};

pub(super) fn take_in(pass: &mut Pass<'_>) {
    match pass.plan {
        Ok(plan) if !plan.composition.after.is_empty() => {
            return promotion::take_in(pass, &plan.composition.after);
        }
        Ok(_) => pass.status.promotion = None,
        // Without a plan nobody can say what may go on.
        Err(_) if pass.status.promotion.is_some() => return,
        Err(_) => {}
    }
    match &pass.observed.asked {
        Asked::Unknown => {}
        Asked::Content(content) => {
            available(pass);
            content_is(pass, content);
            pass.status.asked_generation = Some(pass.observed.generation);
        }
        Asked::Broken { revision, message } | Asked::Unverified { revision, message } => {
            available(pass);
            refuse(pass, None, revision, message, true);
        }
        Asked::Unavailable { since, message } => unavailable(pass, *since, message),
    }
}

pub(super) fn unavailable(pass: &mut Pass<'_>, since: Timestamp, message: &str) {
    if pass.status.source.is_none() {
        pass.warning("SourceUnavailable", message);
    }
    let since = pass
        .status
        .source
        .as_ref()
        .map_or(since, |known| known.since);
    pass.status.source = Some(SourceTrouble {
        since,
        message: message.to_owned(),
    });
}

pub(super) fn available(pass: &mut Pass<'_>) {
    if pass.status.source.take().is_some() {
        pass.normal("SourceAvailable", "The source answers again");
    }
}

pub(super) fn content_is(pass: &mut Pass<'_>, content: &Content) {
    let known = pass.status.asked.as_ref();
    if known
        .is_some_and(|known| known.digest == content.digest && known.revision != content.revision)
        && let Some(entry) = pass.quarantined(&content.digest)
    {
        let message = format!(
            "{} has the same content as {}, which is quarantined: nothing changes",
            brief(content),
            short_revision(&entry.version)
        );
        pass.normal("StillQuarantined", message);
    }
    pass.status.asked = Some(content.clone());
    rename(pass, content);
    let stale = pass
        .status
        .refused
        .as_ref()
        .is_some_and(|refused| refused.digest.as_ref() != Some(&content.digest));
    if stale {
        pass.status.refused = None;
    }
}

/// A new commit with the same content: the content keeps its state and takes the newer name.
fn rename(pass: &mut Pass<'_>, content: &Content) {
    if let Some(target) = &mut pass.status.target
        && target.content.digest == content.digest
    {
        target.content = content.clone();
    }
    if let Some(verified) = &mut pass.status.verified
        && verified.content.digest == content.digest
    {
        verified.rename(content);
    }
    for verified in &mut pass.status.history {
        if verified.content.digest == content.digest {
            verified.rename(content);
        }
    }
}

/// Remembers that newer content can't be applied. The same refusal again changes nothing.
pub(super) fn refuse(
    pass: &mut Pass<'_>,
    content: Option<&Content>,
    revision: &str,
    message: &str,
    permanent: bool,
) {
    let refusal = Refusal {
        digest: content.map(|content| content.digest.clone()),
        revision: revision.to_owned(),
        message: message.to_owned(),
        since: pass.now,
        generation: pass.observed.generation,
        permanent,
    };
    let known = pass.status.refused.as_ref();
    let since = known
        .filter(|known| known.digest == refusal.digest && known.revision == refusal.revision)
        .map(|known| known.since);
    let news = known
        .is_none_or(|known| known.revision != refusal.revision || known.message != refusal.message);
    if news {
        pass.warning(
            "Refused",
            format!(
                "{} can't be applied and changes nothing: {message}",
                short_revision(revision)
            ),
        );
    }
    pass.status.refused = Some(Refusal {
        since: since.unwrap_or(pass.now),
        ..refusal
    });
}
