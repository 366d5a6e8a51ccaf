//! Names of commits: object ids, branches, tags, and the list a server gives of them.
//!
//! Invariant: a [`GitRef`] that exists is safe to put into a refspec: no option, no pattern, no control character, no
//! second meaning. Left out: ranges over tags, and resolving short ids (they may mean something else tomorrow).

use std::fmt;

use crate::SourceError;
use crate::text::has_control;

/// A full object id, SHA-1 or SHA-256.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oid(Box<str>);

impl Oid {
    /// Reads 40 or 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let is_id =
            matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id {
            Ok(Self(text.to_ascii_lowercase().into()))
        } else {
            Err(SourceError::refused(
                "the commit id",
                "write all 40 (or 64) hexadecimal digits",
            ))
        }
    }

    /// The digits in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name git gives the id's hash function.
    pub(crate) fn object_format(&self) -> &'static str {
        if self.0.len() == 64 { "sha256" } else { "sha1" }
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What to follow.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GitRef(Kind);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    Branch(String),
    Tag(String),
    Commit(Oid),
}

impl GitRef {
    /// The tip of a branch, for example `main`.
    pub fn branch(name: &str) -> Result<Self, SourceError> {
        check_name("branch", name)?;
        Ok(Self(Kind::Branch(name.to_owned())))
    }

    /// The commit of a tag, for example `v1.2.3`.
    pub fn tag(name: &str) -> Result<Self, SourceError> {
        check_name("tag", name)?;
        Ok(Self(Kind::Tag(name.to_owned())))
    }

    /// One commit, by its full id.
    pub fn commit(id: &str) -> Result<Self, SourceError> {
        Ok(Self(Kind::Commit(Oid::parse(id)?)))
    }

    /// The full name on the server; a commit has none.
    pub(crate) fn full_name(&self) -> Option<String> {
        match &self.0 {
            Kind::Branch(name) => Some(format!("refs/heads/{name}")),
            Kind::Tag(name) => Some(format!("refs/tags/{name}")),
            Kind::Commit(_) => None,
        }
    }

    /// The commit, when it needs no server to tell.
    pub fn fixed_commit(&self) -> Option<&Oid> {
        match &self.0 {
            Kind::Commit(id) => Some(id),
            Kind::Branch(_) | Kind::Tag(_) => None,
        }
    }
}

impl fmt::Display for GitRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Branch(name) => write!(formatter, "branch {name:?}"),
            Kind::Tag(name) => write!(formatter, "tag {name:?}"),
            Kind::Commit(id) => write!(formatter, "commit {id}"),
        }
    }
}

/// Git's own rules for names (`git check-ref-format`), and no leading dash.
fn check_name(what: &str, name: &str) -> Result<(), SourceError> {
    let part_is_bad = |part: &str| {
        part.is_empty() || part.starts_with('.') || part.to_ascii_lowercase().ends_with(".lock")
    };
    let is_bad = name.len() > 244
        || name == "@"
        || name.starts_with('-')
        || name.ends_with('.')
        || name.contains("..")
        || name.contains("@{")
        || name.contains([' ', '~', '^', ':', '?', '*', '[', '\\'])
        || has_control(name)
        || name.split('/').any(part_is_bad);
    if is_bad {
        let instead = "it is not a name git allows; write it as `git branch` or `git tag` lists it";
        return Err(SourceError::refused(format!("the {what} name"), instead));
    }
    Ok(())
}

/// The branches and tags of a repository at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefListing {
    url: String,
    /// Sorted by name. The commit of an annotated tag stands under `name^{}`.
    refs: Vec<(Box<str>, Oid)>,
}

impl RefListing {
    /// Reads the output of `git ls-remote`.
    pub(crate) fn parse(url: &str, output: &[u8]) -> Result<Self, SourceError> {
        let malformed = || SourceError::Unexpected {
            operation: format!("listing {url}"),
            detail: "the server's answer is not a list of references".to_owned(),
        };
        let text = std::str::from_utf8(output).map_err(|_| malformed())?;
        let mut refs = Vec::new();
        for line in text.lines() {
            let (id, name) = line.split_once('\t').ok_or_else(malformed)?;
            refs.push((Box::from(name), Oid::parse(id).map_err(|_| malformed())?));
        }
        refs.sort();
        Ok(Self {
            url: url.to_owned(),
            refs,
        })
    }

    /// The commit a reference means now.
    pub fn resolve(&self, reference: &GitRef) -> Result<Oid, SourceError> {
        let Some(name) = reference.full_name() else {
            return reference
                .fixed_commit()
                .cloned()
                .ok_or_else(|| self.missing(reference));
        };
        if self.refs.is_empty() {
            return Err(SourceError::EmptyRepository {
                url: self.url.clone(),
            });
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

    #[test]
    fn names_that_could_be_options_patterns_or_revisions_are_refused() {
        for name in [
            "--upload-pack=evil",
            "-x",
            "a..b",
            "a b",
            "a:b",
            "a~1",
            "a^",
            "a*",
            "a?",
            "a[b",
            "a\\b",
            "@",
            "a@{1}",
            "",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.LOCK",
            "a.",
            "a\nb",
            "a\u{7f}",
        ] {
            assert!(
                GitRef::branch(name).is_err() && GitRef::tag(name).is_err(),
                "{name:?}"
            );
        }
        for name in ["main", "feature/x-1", "v1.2.3", "release@2", "grün"] {
            assert!(GitRef::branch(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn commits_are_named_in_full() {
        assert!(GitRef::commit(A).is_ok() && GitRef::commit(&"c".repeat(64)).is_ok());
        for id in ["abc123", "", "HEAD", &"g".repeat(40), &"a".repeat(41)] {
            assert!(GitRef::commit(id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn branches_tags_and_annotated_tags_resolve_to_commits() {
        let output = format!(
            "{A}\trefs/heads/main\n{B}\trefs/tags/v1\n{A}\trefs/tags/v1^{{}}\n{B}\trefs/tags/v2\n"
        );
        let listing = RefListing::parse("u", output.as_bytes()).unwrap();
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
        let listing = RefListing::parse("u", b"").unwrap();
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
            assert!(RefListing::parse("u", output.as_bytes()).is_err());
        }
        assert!(RefListing::parse("u", b"\xff\xfe").is_err());
    }
}
