//! Releases that refer to other Releases: what one is told about another, and rings of references.
//!
//! Invariant: a Release of another namespace that does not let this one read it looks exactly like one that does not exist.
//! Left out: what follows from it, which is decided in `decide`.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    promotion::Upstream,
    publish::Publish,
    status::{ReleaseStatus, Verified},
};

/// Earlier revisions that are remembered of one verified version.
const EARLIER_REVISIONS: usize = 8;

/// A Release, by namespace and name.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct PeerKey {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a plan says about other Releases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Composition {
    /// Releases that must be verified before new content is brought in here.
    pub depends_on: Vec<PeerKey>,
    /// Releases that must have verified content before it is asked for here.
    pub after: Vec<Upstream>,
    /// Where the verified commit is published.
    pub publish: Option<Publish>,
}

/// What is observed of other Releases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// The Releases that the plan names, each once.
    pub peers: Vec<Peer>,
    /// References that lead back to this Release, which is the first and the last of it; empty when none do.
    pub ring: Vec<PeerKey>,
}

impl Peers {
    /// What is known of one of them.
    pub fn view(&self, key: &PeerKey) -> &View {
        self.peers
            .iter()
            .find(|peer| &peer.key == key)
            .map_or(&View::Missing, |peer| &peer.view)
    }
}

/// Another Release as it is seen from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Which one.
    pub key: PeerKey,
    /// How it is.
    pub view: View,
}

/// How another Release is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// There is none of this name in the namespace of the Release that asks.
    Missing,
    /// There is none of this name in another namespace, or it does not let this one read it.
    Hidden {
        /// The namespace that it must name.
        reader: String,
    },
    /// It is there.
    Shown(Box<Shown>),
}

/// A Release that may be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Generation of its spec.
    pub generation: i64,
    /// Whether it stays.
    pub stay: Stay,
    /// How its source is related to that of the Release that asks.
    pub kinship: Kinship,
    /// Its status.
    pub status: ReleaseStatus,
}

/// Whether another Release goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stay {
    /// It works.
    Active,
    /// Its spec says that nothing is written.
    Suspended,
    /// It is being deleted.
    Leaving,
}

/// How the source of another Release is related to one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kinship {
    /// The same reference of the same repository: what is pushed reaches both.
    SameReference,
    /// The same repository.
    SameRepository,
    /// Another repository: revisions say nothing about each other.
    Foreign,
}

/// The commit of a revision: `1f0c…` of `main@sha1:1f0c…`.
pub fn commit_of(revision: &str) -> &str {
    revision.rsplit(':').next().unwrap_or(revision)
}

impl Verified {
    /// All commits that are known to have had this content, newest first.
    pub fn commits(&self) -> impl Iterator<Item = &str> {
        let earlier = self.earlier_revisions.iter().rev();
        std::iter::once(&self.content.revision)
            .chain(earlier)
            .map(|revision| commit_of(revision))
    }

    /// Gives it the name of a newer commit with the same content.
    pub(super) fn rename(&mut self, content: &super::status::Content) {
        if self.content.revision != content.revision {
            self.earlier_revisions
                .push(std::mem::take(&mut self.content.revision));
            self.earlier_revisions
                .retain(|earlier| earlier != &content.revision);
            let excess = self
                .earlier_revisions
                .len()
                .saturating_sub(EARLIER_REVISIONS);
            self.earlier_revisions.drain(..excess);
        }
        self.content = content.clone();
    }
}

impl ReleaseStatus {
    /// Whether a version with this commit was verified here.
    pub fn has_verified(&self, commit: &str) -> bool {
        self.history
            .iter()
            .chain(&self.verified)
            .any(|verified| verified.commits().any(|known| known == commit))
    }
}

/// The shortest way from `start` by references back to it, with `start` at both ends; empty when there is none. `references`
/// gives what a Release refers to.
pub fn ring(start: &PeerKey, mut references: impl FnMut(&PeerKey) -> Vec<PeerKey>) -> Vec<PeerKey> {
    let mut known = BTreeSet::new();
    let mut ways = VecDeque::from([vec![start.clone()]]);
    while let Some(way) = ways.pop_front() {
        let Some(last) = way.last() else { continue };
        for next in references(last) {
            let mut longer = way.clone();
            longer.push(next.clone());
            if &next == start {
                return longer;
            }
            if known.insert(next) {
                ways.push_back(longer);
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> PeerKey {
        PeerKey {
            namespace: "shop".into(),
            name: name.into(),
        }
    }

    /// References written as `ab bc`: a refers to b, b to c.
    fn found(start: &str, edges: &str) -> String {
        let ring = ring(&key(start), |from| {
            edges
                .split(' ')
                .filter_map(|edge| edge.strip_prefix(from.name.as_str()))
                .map(key)
                .collect()
        });
        ring.iter().map(|one| one.name.as_str()).collect()
    }

    #[test]
    fn a_ring_is_told_whole_and_the_shortest_one() {
        assert_eq!(found("a", "aa"), "aa");
        assert_eq!(found("a", "ab bc cd da"), "abcda");
        assert_eq!(found("a", "ab bc cd da ca"), "abca");
    }

    #[test]
    fn what_leads_into_a_ring_is_not_part_of_it() {
        assert_eq!(found("x", "xa ab ba"), "");
        assert_eq!(found("a", "ab ac bd cd"), "");
    }
}
