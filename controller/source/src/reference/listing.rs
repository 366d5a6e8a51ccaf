//! The list of references that a server gives.
//!
//! Invariant: an answer that is no list is an error, never an empty list; a reference that was not looked for is not called missing.

use std::collections::BTreeSet;

use super::{GitRef, Kind, Oid, is_branch_or_tag};
use crate::SourceError;
use crate::range::version_of;

/// Tags of one version that differ in build metadata only.
const CANDIDATES: usize = 16;

/// One meaning of a reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// What it was resolved from; of a range the tag.
    pub reference: GitRef,
    /// The commit.
    pub commit: Oid,
    /// The tag object between them, where the tag is an annotated one.
    pub tag: Option<Oid>,
}

impl Candidate {
    /// A commit by its id alone.
    pub fn of_commit(commit: Oid) -> Self {
        Self {
            reference: GitRef(Kind::Commit(commit.clone())),
            commit,
            tag: None,
        }
    }
}

/// The branches and tags of a repository at one moment, and those references that were asked for by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefListing {
    url: String,
    /// Sorted by name. The commit of an annotated tag stands under `name^{}`.
    refs: Vec<(Box<str>, Oid)>,
    /// What was asked for beside branches and tags.
    named: BTreeSet<String>,
}

impl RefListing {
    /// Reads the output of `git ls-remote`.
    pub(crate) fn parse(
        url: &str,
        output: &[u8],
        named: &BTreeSet<String>,
    ) -> Result<Self, SourceError> {
        let malformed = || SourceError::Unexpected {
            operation: format!("listing {url}"),
            detail: "the server's answer is not a list of references".to_owned(),
        };
        let text = std::str::from_utf8(output).map_err(|_| malformed())?;
        let mut refs = Vec::new();
        for line in text.lines() {
            let (id, name) = line.split_once('\t').ok_or_else(malformed)?;
            let id = Oid::parse(id).map_err(|_| malformed())?;
            let plain = name.strip_suffix("^{}").unwrap_or(name);
            if is_branch_or_tag(plain) || named.contains(plain) {
                refs.push((Box::from(name), id));
            }
        }
        refs.sort();
        Ok(Self {
            url: url.to_owned(),
            refs,
            named: named.clone(),
        })
    }

    /// Whether the reference was looked for: whether it is missing can be told.
    pub fn covers(&self, reference: &GitRef) -> bool {
        reference
            .listed_by_name()
            .is_none_or(|name| self.named.contains(name))
    }

    /// What a reference may mean now: one commit, or those of all tags that carry the highest version of a range, when they
    /// differ in build metadata, which has no order. Sorted by name.
    pub fn candidates(&self, reference: &GitRef) -> Result<Vec<Candidate>, SourceError> {
        let Kind::Versions { range, prefix } = &reference.0 else {
            return Ok(vec![self.candidate(reference.clone())?]);
        };
        if self.refs.is_empty() {
            return Err(self.empty());
        }
        let tags = self.refs.iter().filter_map(|(name, _)| {
            let tag = name.strip_prefix("refs/tags/")?;
            let version = version_of(tag.strip_prefix(prefix.as_str())?)?;
            Some((tag, version))
        });
        let (inside, others): (Vec<_>, Vec<_>) = tags.partition(|(_, found)| range.contains(found));
        let highest = inside
            .iter()
            .map(|(_, version)| version)
            .max_by(|one, other| one.cmp_precedence(other));
        let Some(highest) = highest else {
            let hidden = others.iter().find(|(_, version)| range.is_near(version));
            let mut wanted = reference.to_string();
            if let Some((tag, _)) = hidden {
                wanted = format!(
                    "{wanted} (prereleases such as {:?} count when the range names one, for example >=1.0.0-0)",
                    crate::text::one_line(tag, 64)
                );
            }
            return Err(SourceError::RefNotFound {
                url: self.url.clone(),
                wanted,
            });
        };
        let best = inside
            .iter()
            .filter(|(_, version)| version.cmp_precedence(highest).is_eq());
        best.take(CANDIDATES)
            .map(|(tag, _)| self.candidate(GitRef::tag(tag)?))
            .collect()
    }

    fn candidate(&self, reference: GitRef) -> Result<Candidate, SourceError> {
        let commit = self.resolve(&reference)?;
        let tag = reference
            .full_name()
            .filter(|name| self.find(&format!("{name}^{{}}")).is_some())
            .and_then(|name| self.find(&name).cloned());
        Ok(Candidate {
            reference,
            commit,
            tag,
        })
    }

    /// The commit a branch, tag, commit or full name means now. A range has [`RefListing::candidates`] instead.
    pub fn resolve(&self, reference: &GitRef) -> Result<Oid, SourceError> {
        let Some(name) = reference.full_name() else {
            return reference
                .fixed_commit()
                .cloned()
                .ok_or_else(|| self.missing(reference));
        };
        if self.refs.is_empty() {
            return Err(self.empty());
        }
        let peeled = format!("{name}^{{}}");
        self.find(&peeled)
            .or_else(|| self.find(&name))
            .cloned()
            .ok_or_else(|| self.missing(reference))
    }

    /// Number of branches and tags.
    pub fn len(&self) -> usize {
        self.refs
            .iter()
            .filter(|(name, _)| !name.ends_with("^{}"))
            .count()
    }

    /// Whether the repository has neither branch nor tag.
    pub fn is_empty(&self) -> bool {
        self.refs.is_empty()
    }

    fn find(&self, name: &str) -> Option<&Oid> {
        let index = self
            .refs
            .binary_search_by(|(candidate, _)| candidate.as_ref().cmp(name))
            .ok()?;
        self.refs.get(index).map(|(_, id)| id)
    }

    fn empty(&self) -> SourceError {
        SourceError::EmptyRepository {
            url: self.url.clone(),
        }
    }

    fn missing(&self, reference: &GitRef) -> SourceError {
        SourceError::RefNotFound {
            url: self.url.clone(),
            wanted: reference.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn listing(output: &[u8]) -> Result<RefListing, SourceError> {
        RefListing::parse("u", output, &BTreeSet::new())
    }

    fn names(output: &str, range: &str, prefix: &str) -> Result<Vec<String>, SourceError> {
        let found = listing(output.as_bytes())?.candidates(&GitRef::versions(range, prefix)?)?;
        Ok(found
            .iter()
            .map(|tag| tag.reference.label().unwrap_or_default().to_owned())
            .collect())
    }

    #[test]
    fn branches_tags_and_annotated_tags_resolve_to_commits() {
        let output = format!(
            "{A}\trefs/heads/main\n{B}\trefs/tags/v1\n{A}\trefs/tags/v1^{{}}\n{B}\trefs/tags/v2\n"
        );
        let listing = listing(output.as_bytes()).unwrap();
        assert_eq!(
            listing
                .resolve(&GitRef::branch("main").unwrap())
                .unwrap()
                .as_str(),
            A
        );
        assert_eq!(
            listing
                .resolve(&GitRef::tag("v1").unwrap())
                .unwrap()
                .as_str(),
            A
        );
        assert_eq!(
            listing
                .resolve(&GitRef::tag("v2").unwrap())
                .unwrap()
                .as_str(),
            B
        );
        assert_eq!(listing.len(), 3);
        let error = listing.resolve(&GitRef::branch("v1").unwrap()).unwrap_err();
        assert_eq!(error.reason(), "RefNotFound");
    }

    #[test]
    fn an_empty_repository_is_its_own_error() {
        let listing = listing(b"").unwrap();
        assert_eq!(
            listing
                .resolve(&GitRef::branch("main").unwrap())
                .unwrap_err()
                .reason(),
            "EmptyRepository"
        );
    }

    #[test]
    fn a_malformed_answer_is_an_error_not_an_empty_list() {
        for output in ["<html>", "zz\trefs/heads/main", "\u{fffd}"] {
            assert!(listing(output.as_bytes()).is_err());
        }
        assert!(listing(b"\xff\xfe").is_err());
    }

    #[test]
    fn the_highest_version_of_a_range_is_taken_among_the_tags() {
        let tags = [
            "v1.2.0",
            "v1.10.0",
            "v1.9.0",
            "v2.0.0-rc.1",
            "latest",
            "shop-3.1.0",
            "shop-3.0.0",
        ];
        let lines = tags.map(|tag| format!("{A}\trefs/tags/{tag}\n"));
        let output = lines.concat();
        assert_eq!(names(&output, ">=1.0.0", "").unwrap(), ["v1.10.0"]);
        assert_eq!(names(&output, "<1.10", "").unwrap(), ["v1.9.0"]);
        assert_eq!(names(&output, ">=1.0.0-0", "").unwrap(), ["v2.0.0-rc.1"]);
        assert_eq!(names(&output, "*", "shop-").unwrap(), ["shop-3.1.0"]);
        // A range that only a prerelease would fit says so.
        let error = names(&output, "^2", "").unwrap_err();
        assert_eq!(error.reason(), "RefNotFound");
        assert!(error.to_string().contains("v2.0.0-rc.1"), "{error}");
        assert!(
            names("", "*", "")
                .unwrap_err()
                .to_string()
                .contains("empty")
        );
    }

    #[test]
    fn tags_that_differ_in_build_metadata_are_all_candidates() {
        let output =
            format!("{A}\trefs/tags/v1.0.0+a\n{B}\trefs/tags/v1.0.0+b\n{B}\trefs/tags/v0.9.0\n");
        assert_eq!(names(&output, "*", "").unwrap(), ["v1.0.0+a", "v1.0.0+b"]);
    }

    #[test]
    fn other_references_are_listed_when_they_are_asked_for() {
        let output = format!(
            "{A}\tHEAD\n{A}\trefs/heads/main\n{B}\trefs/pull/7/head\n{B}\trefs/pull/8/head\n"
        );
        let pull = GitRef::named("refs/pull/7/head").unwrap();
        let without = listing(output.as_bytes()).unwrap();
        assert!(!without.covers(&pull) && without.len() == 1);
        let asked = BTreeSet::from(["refs/pull/7/head".to_owned()]);
        let with = RefListing::parse("u", output.as_bytes(), &asked).unwrap();
        assert!(with.covers(&pull) && with.len() == 2);
        assert_eq!(with.resolve(&pull).unwrap().as_str(), B);
        // A branch by its full name needs no asking.
        let main = GitRef::named("refs/heads/main").unwrap();
        assert_eq!(without.resolve(&main).unwrap().as_str(), A);
        for name in ["pull/7/head", "refs/pull/*", "HEAD", "refs/../x"] {
            assert!(GitRef::named(name).is_err(), "{name}");
        }
    }
}
