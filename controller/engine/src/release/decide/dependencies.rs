//! New content waits until the Releases that it depends on are verified.
//!
//! Invariant: only beginning waits. A rollback, a correction of drift, a retry and a deletion never ask here.

use super::pass::{Pass, brief};
use crate::release::{
    composition::{Kinship, PeerKey, Shown, Stay, View, commit_of},
    status::{Content, Phase},
};

/// Why content is not begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    cause: Cause,
    /// What is waited for, and what ends it.
    pub(super) message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// A dependency is on its way, or may be.
    NotReady,
    /// There is no such Release, or it may not be read.
    Missing,
    /// Releases that wait for each other.
    Ring,
}

impl Hold {
    /// One word for programs.
    pub(super) const fn reason(&self) -> &'static str {
        match self.cause {
            Cause::NotReady => "Dependency",
            Cause::Missing => "DependencyMissing",
            Cause::Ring => "DependencyRing",
        }
    }

    /// Whether somebody has to do something before it can end.
    pub(super) const fn is_final(&self) -> bool {
        matches!(self.cause, Cause::Missing | Cause::Ring)
    }
}

/// Why `wanted` may not be begun yet, if so: the first thing that is missing.
pub(super) fn hold(pass: &Pass<'_>, wanted: &Content) -> Option<Hold> {
    let plan = pass.plan.ok()?;
    let depends_on = &plan.composition.depends_on;
    if depends_on.is_empty() {
        return None;
    }
    let ring = &pass.observed.peers.ring;
    if !ring.is_empty() {
        let names: Vec<String> = ring.iter().map(ToString::to_string).collect();
        return Some(Hold {
            cause: Cause::Ring,
            message: format!(
                "{} waits for ever, because these Releases wait for each other: {}; take one of the references out",
                brief(wanted),
                names.join(" → ")
            ),
        });
    }
    depends_on.iter().find_map(|key| {
        let (cause, lack) = lack(pass.observed.peers.view(key), wanted)?;
        Some(Hold {
            cause,
            message: told(key, wanted, cause, &lack),
        })
    })
}

fn told(key: &PeerKey, wanted: &Content, cause: Cause, lack: &str) -> String {
    let wanted = brief(wanted);
    match cause {
        Cause::NotReady => {
            format!("{wanted} waits for Release {key}, which {lack}; goes on when it is verified")
        }
        Cause::Missing | Cause::Ring => format!("{wanted} waits for Release {key}, which {lack}"),
    }
}

/// What a dependency lacks, if anything.
fn lack(view: &View, wanted: &Content) -> Option<(Cause, String)> {
    match view {
        View::Missing => Some((
            Cause::Missing,
            "does not exist; create it, or take it out of dependsOn".to_owned(),
        )),
        View::Hidden { reader } => Some((
            Cause::Missing,
            format!(
                "does not exist or may not be read from here; create it with {reader} in its spec.readableFrom, or take it out of dependsOn"
            ),
        )),
        View::Shown(shown) => shown_lack(shown, wanted).map(|lack| (Cause::NotReady, lack)),
    }
}

fn shown_lack(shown: &Shown, wanted: &Content) -> Option<String> {
    let status = &shown.status;
    match shown.stay {
        Stay::Leaving => return Some("is being deleted".to_owned()),
        Stay::Suspended => return Some("is suspended".to_owned()),
        Stay::Active => {}
    }
    let newest = Some(shown.generation);
    if status.observed_generation != newest || status.asked_generation != newest {
        return Some("has not taken up its newest spec yet".to_owned());
    }
    if status.phase != Phase::Verified {
        return Some(format!("is {:?}", status.phase));
    }
    let Some(verified) = &status.verified else {
        return Some("has verified nothing yet".to_owned());
    };
    if shown.kinship == Kinship::SameReference && !status.has_verified(commit_of(&wanted.revision))
    {
        return Some(format!(
            "is at {} of the same source",
            brief(&verified.content)
        ));
    }
    None
}
