//! What is asked for here when other Releases must have verified it before: the newest commit that they have, not the newest
//! that there is.
//!
//! Invariant: content that is not begun yet is asked for only as long as they stand by it. What was begun is this
//! Release's own to judge.

use jiff::SignedDuration;

use super::{
    pass::Pass,
    source::{self, available, content_is},
};
use crate::{
    action::Request,
    release::{
        Effect,
        composition::{Kinship, PeerKey, Stay, View, commit_of},
        observed::Asked,
        plan::Suspension,
        promotion::{Chosen, Override, Ripeness, Step, Upstream, merged, newer, steps},
        status::{Content, short_revision},
    },
};

pub(super) fn take_in(pass: &mut Pass<'_>, after: &[Upstream]) {
    note_newest(pass);
    let known = known(pass, after);
    let base = base(pass);
    let than = base
        .as_ref()
        .map(|base| (base.commit.as_str(), base.known_since));
    let newer: Vec<Step> = match &known {
        Ok(steps) => newer(steps, than).into_iter().cloned().collect(),
        Err(_) => Vec::new(),
    };
    let ripe = newer
        .iter()
        .find(|step| matches!(step.ripeness, Ripeness::From(at) if at <= pass.now));
    let chosen = match ripe {
        Some(step) => Some(Chosen {
            commit: step.commit.clone(),
            at: step.verified_at,
            overridden: None,
        }),
        None => base.as_ref().and_then(|base| base.chosen(pass)),
    };
    let commit = chosen
        .as_ref()
        .map(|chosen| chosen.commit.clone())
        .or_else(|| base.map(|base| base.commit));
    if let Some(promotion) = &mut pass.status.promotion {
        promotion.chosen = chosen;
    }
    pass.promotion = match known {
        Err(message) => Some(message),
        Ok(_) => waits(pass, after, &newer, commit.as_deref()),
    };
    ask(pass, commit.as_deref());
}

/// What must not be left for something older.
struct Base {
    commit: String,
    /// When it was known to be verified, as far as that is remembered.
    known_since: Option<jiff::Timestamp>,
}

impl Base {
    fn chosen(&self, pass: &Pass<'_>) -> Option<Chosen> {
        let promotion = pass.status.promotion.as_ref()?;
        let chosen = promotion.chosen.as_ref()?;
        (chosen.commit == self.commit).then(|| chosen.clone())
    }
}

/// What a person chose, or what was begun.
fn base(pass: &Pass<'_>) -> Option<Base> {
    let target = pass.status.target.as_ref();
    let begun = target.map(|target| commit_of(&target.content.revision));
    let chosen = pass.status.promotion.as_ref()?.chosen.as_ref();
    match chosen {
        Some(chosen) if chosen.overridden.is_some() || begun == Some(chosen.commit.as_str()) => {
            Some(Base {
                commit: chosen.commit.clone(),
                known_since: Some(chosen.at),
            })
        }
        _ => begun.map(|commit| Base {
            commit: commit.to_owned(),
            known_since: None,
        }),
    }
}

/// Remembers the newest revision, and whether the source answers.
fn note_newest(pass: &mut Pass<'_>) {
    let newest = match &pass.observed.asked {
        Asked::Content(content) => Some(content.revision.clone()),
        Asked::Broken { revision, .. } | Asked::Unverified { revision, .. } => {
            Some(revision.clone())
        }
        Asked::Unknown => None,
        Asked::Unavailable { since, message } => {
            source::unavailable(pass, *since, message);
            None
        }
    };
    let promotion = pass.status.promotion.get_or_insert_default();
    if newest.is_some() {
        promotion.newest = newest;
        available(pass);
    }
}

/// The commits that every Release before has verified, newest first; or why there can be none.
fn known(pass: &Pass<'_>, after: &[Upstream]) -> Result<Vec<Step>, String> {
    let mut lines = Vec::new();
    let mut tip_only = false;
    let ring = &pass.observed.peers.ring;
    if !ring.is_empty() {
        let names: Vec<String> = ring.iter().map(ToString::to_string).collect();
        return Err(format!(
            "Nothing goes on, because these Releases wait for each other: {}; take one of the references out",
            names.join(" → ")
        ));
    }
    for upstream in after {
        let key = &upstream.release;
        let shown = match pass.observed.peers.view(key) {
            View::Shown(shown) if shown.stay == Stay::Leaving => {
                return Err(format!(
                    "Nothing goes on, because Release {key} is being deleted; take it out of promotion.after, or create it anew"
                ));
            }
            View::Shown(shown) => shown,
            View::Missing => {
                return Err(format!(
                    "Nothing goes on, because Release {key} does not exist; create it, or take it out of promotion.after"
                ));
            }
            View::Hidden { reader } => {
                return Err(format!(
                    "Nothing goes on, because Release {key} does not exist or may not be read from here; create it with {reader} in its spec.readableFrom, or take it out of promotion.after"
                ));
            }
        };
        match shown.kinship {
            Kinship::SameReference => {}
            Kinship::SameRepository => tip_only = true,
            Kinship::Foreign => {
                return Err(format!(
                    "Nothing goes on, because Release {key} follows another repository; promotion.after needs one that follows the same"
                ));
            }
        }
        lines.push(steps(upstream, &shown.status));
    }
    let mut steps = merged(lines);
    if tip_only {
        // Of another reference nothing but its tip is meant.
        let tip = newest(pass).map(commit_of);
        steps.retain(|step| Some(step.commit.as_str()) == tip);
    }
    Ok(steps)
}

fn newest<'p>(pass: &'p Pass<'_>) -> Option<&'p str> {
    pass.status.promotion.as_ref()?.newest.as_deref()
}

/// What newer commits wait for, if there are any.
fn waits(
    pass: &mut Pass<'_>,
    after: &[Upstream],
    newer: &[Step],
    chosen: Option<&str>,
) -> Option<String> {
    let ahead = || {
        newer
            .iter()
            .take_while(move |step| Some(step.commit.as_str()) != chosen)
    };
    let next = ahead()
        .filter_map(|step| match step.ripeness {
            Ripeness::From(at) => Some((at, step)),
            Ripeness::Replaced | Ripeness::TakenBack => None,
        })
        .min_by_key(|(at, _)| *at);
    if let Some((at, step)) = next {
        pass.wake(at);
        return Some(format!(
            "{} goes on at {at}, if Release {} stands by it until then (verified at {}{})",
            name(pass, &step.commit),
            step.release,
            step.verified_at,
            span(after, &step.release),
        ));
    }
    let tip = newest(pass)?;
    if Some(commit_of(tip)) == chosen {
        return None;
    }
    let (key, what) = match ahead().next().map(|step| (step, step.ripeness)) {
        Some((step, Ripeness::TakenBack)) => (&step.release, "took it back"),
        Some((step, _)) => (&step.release, "replaced it too early"),
        None => {
            let key = &lacking(pass, after, commit_of(tip))?.release;
            let tip = short_revision(tip);
            return Some(format!(
                "{tip} waits until Release {key} has verified it{}",
                span(after, key)
            ));
        }
    };
    let commit = &ahead().next()?.commit;
    Some(format!(
        "{} does not go on, because Release {key} {what}; waits for newer content",
        name(pass, commit)
    ))
}

/// The first Release that has not verified `commit`, or just the first.
fn lacking<'u>(pass: &Pass<'_>, after: &'u [Upstream], commit: &str) -> Option<&'u Upstream> {
    let lacks = |upstream: &&Upstream| match pass.observed.peers.view(&upstream.release) {
        View::Shown(shown) => !shown.status.has_verified(commit),
        View::Missing | View::Hidden { .. } => true,
    };
    after.iter().find(lacks).or_else(|| after.first())
}

/// What people call a commit.
fn name(pass: &Pass<'_>, commit: &str) -> String {
    match newest(pass) {
        Some(newest) if commit_of(newest) == commit => short_revision(newest),
        _ => commit.get(..7).unwrap_or(commit).to_owned(),
    }
}

/// For how long it must stay verified there, if any time is asked for.
fn span(after: &[Upstream], key: &PeerKey) -> String {
    let upstream = after.iter().find(|upstream| &upstream.release == key);
    let span = upstream.and_then(|one| SignedDuration::try_from(one.verified_for).ok());
    match span.filter(SignedDuration::is_positive) {
        Some(span) => format!(" for {span:#}"),
        None => String::new(),
    }
}

/// What is known of what the source says at one commit.
enum Hand {
    Content(Content),
    Broken { revision: String, message: String },
    Nothing,
}

/// Asks for what the source says at `commit`; until that is known, for what is there.
fn ask(pass: &mut Pass<'_>, commit: Option<&str>) {
    let hand = commit.map_or(Hand::Nothing, |commit| at_hand(pass, commit));
    let there = pass
        .status
        .target
        .as_ref()
        .map(|target| target.content.clone());
    match (hand, there) {
        (Hand::Content(content), _) => {
            content_is(pass, &content);
            pass.status.asked_generation = Some(pass.observed.generation);
        }
        (Hand::Broken { revision, message }, there) => {
            pass.status.asked = there;
            source::refuse(pass, None, &revision, &message, true);
        }
        (Hand::Nothing, Some(there)) => content_is(pass, &there),
        (Hand::Nothing, None) => pass.status.asked = None,
    }
}

/// What the source says at `commit`, if it is known; else somebody is sent to look.
fn at_hand(pass: &mut Pass<'_>, commit: &str) -> Hand {
    let is_it = |content: &Content| commit_of(&content.revision) == commit;
    if let Asked::Content(tip) = &pass.observed.asked
        && is_it(tip)
    {
        return Hand::Content(tip.clone());
    }
    let looked = pass.observed.looked.as_ref();
    let looked = looked.filter(|looked| looked.commit == commit);
    match looked.map(|looked| &looked.asked) {
        Some(Asked::Content(content)) => return Hand::Content(content.clone()),
        Some(Asked::Broken { revision, message } | Asked::Unverified { revision, message }) => {
            return Hand::Broken {
                revision: revision.clone(),
                message: message.clone(),
            };
        }
        Some(Asked::Unavailable { since, message }) => source::unavailable(pass, *since, message),
        Some(Asked::Unknown) | None => {}
    }
    let known = pass.status.asked.as_ref().filter(|asked| is_it(asked));
    if let Some(known) = known
        && pass.status.asked_generation == Some(pass.observed.generation)
    {
        return Hand::Content(known.clone());
    }
    let is_active = pass
        .plan
        .is_ok_and(|plan| plan.suspension == Suspension::Active);
    if looked.is_none() && is_active {
        pass.effect(Effect::LookAt {
            commit: commit.to_owned(),
        });
    }
    Hand::Nothing
}

/// A person lets content go on that the Releases before have not verified, or not for long enough.
pub(super) fn promote(pass: &mut Pass<'_>, request: &Request) -> Result<String, String> {
    let after = pass
        .plan
        .map(|plan| plan.composition.after.clone())
        .unwrap_or_default();
    if after.is_empty() {
        return Err(
            "a Release without promotion.after waits for nobody; to promote a workload, act on its Rollout"
                .to_owned(),
        );
    }
    let commit = meant(pass, &after, request.version.as_deref())?;
    let there = pass
        .status
        .target
        .as_ref()
        .map(|target| &target.content.revision);
    if there.is_some_and(|revision| commit_of(revision) == commit) {
        return Err(format!("{} is here already", name(pass, &commit)));
    }
    let called = name(pass, &commit);
    let promotion = pass.status.promotion.get_or_insert_default();
    promotion.chosen = Some(Chosen {
        commit,
        at: pass.now,
        overridden: Some(Override {
            by: request.actor.clone(),
            reason: request.reason.clone(),
        }),
    });
    let names: Vec<String> = after.iter().map(|one| one.release.to_string()).collect();
    Ok(format!(
        "{called} goes on without waiting for Release {}",
        names.join(" and ")
    ))
}

/// The commit that is meant: the newest, or one that the source or the Releases before know.
fn meant(pass: &Pass<'_>, after: &[Upstream], version: Option<&str>) -> Result<String, String> {
    let newest =
        newest(pass).ok_or("the source has not been seen yet, so there is nothing to promote")?;
    let Some(version) = version else {
        return Ok(commit_of(newest).to_owned());
    };
    let wanted = commit_of(version);
    let mut commits = vec![commit_of(newest).to_owned()];
    for upstream in after {
        if let View::Shown(shown) = pass.observed.peers.view(&upstream.release) {
            commits.extend(
                steps(upstream, &shown.status)
                    .into_iter()
                    .map(|step| step.commit),
            );
        }
    }
    let fits = |commit: &&String| {
        commit.as_str() == wanted || (wanted.len() >= 7 && commit.starts_with(wanted))
    };
    commits.iter().find(fits).cloned().ok_or_else(|| {
        format!(
            "{version} is neither the newest commit of the source nor one that a Release of promotion.after has verified; repeat the act with one of those"
        )
    })
}
