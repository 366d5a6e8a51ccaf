//! Names of commits: object ids, branches, tags, ranges of versions.
//!
//! Invariant: a [`GitRef`] that exists is safe to put into a refspec: no option, no pattern, no control character, no
//! second meaning. Left out: resolving short ids (they may mean something else tomorrow).

mod listing;

use std::fmt;

use crate::SourceError;
use crate::range::VersionRange;
use crate::text::has_control;

pub use listing::{Candidate, RefListing};

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
    Named(String),
    Versions { range: VersionRange, prefix: String },
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

    /// Any reference by its full name, for example `refs/pull/420/head`.
    pub fn named(name: &str) -> Result<Self, SourceError> {
        check_name("reference", name)?;
        if !name.starts_with("refs/") {
            return Err(SourceError::refused(
                "the reference name",
                "write it in full, for example refs/pull/420/head",
            ));
        }
        Ok(Self(Kind::Named(name.to_owned())))
    }

    /// The highest version in a range among the tags, for example `>=1.2.0 <2.0.0`. Only tags whose names begin with `prefix`
    /// count, and the version is what follows it (and a `v`).
    pub fn versions(range: &str, prefix: &str) -> Result<Self, SourceError> {
        if !prefix.is_empty() {
            check_name("tag prefix", &format!("{prefix}1"))?;
        }
        Ok(Self(Kind::Versions {
            range: VersionRange::parse(range)?,
            prefix: prefix.to_owned(),
        }))
    }

    /// What people call it: a branch's or tag's name, or a full name. Nothing for a commit and a range.
    pub fn label(&self) -> Option<&str> {
        match &self.0 {
            Kind::Branch(name) | Kind::Tag(name) | Kind::Named(name) => Some(name),
            Kind::Commit(_) | Kind::Versions { .. } => None,
        }
    }

    /// The full name, when it must be asked for beside branches and tags.
    pub(crate) fn listed_by_name(&self) -> Option<&str> {
        match &self.0 {
            Kind::Named(name) if !is_branch_or_tag(name) => Some(name),
            _ => None,
        }
    }

    /// The full name on the server; a commit and a range have none.
    pub(crate) fn full_name(&self) -> Option<String> {
        match &self.0 {
            Kind::Branch(name) => Some(format!("refs/heads/{name}")),
            Kind::Tag(name) => Some(format!("refs/tags/{name}")),
            Kind::Named(name) => Some(name.clone()),
            Kind::Commit(_) | Kind::Versions { .. } => None,
        }
    }

    /// The name of the tag, when it is one.
    pub(crate) fn tag_name(&self) -> Option<&str> {
        match &self.0 {
            Kind::Tag(name) => Some(name),
            Kind::Named(name) => name.strip_prefix("refs/tags/"),
            Kind::Branch(_) | Kind::Commit(_) | Kind::Versions { .. } => None,
        }
    }

    /// The commit, when it needs no server to tell.
    pub fn fixed_commit(&self) -> Option<&Oid> {
        match &self.0 {
            Kind::Commit(id) => Some(id),
            _ => None,
        }
    }
}

fn is_branch_or_tag(name: &str) -> bool {
    name.starts_with("refs/heads/") || name.starts_with("refs/tags/")
}

impl fmt::Display for GitRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Branch(name) => write!(formatter, "branch {name:?}"),
            Kind::Tag(name) => write!(formatter, "tag {name:?}"),
            Kind::Commit(id) => write!(formatter, "commit {id}"),
            Kind::Named(name) => write!(formatter, "reference {name:?}"),
            Kind::Versions { range, prefix } => {
                let range = range.to_string();
                write!(
                    formatter,
                    "tag {prefix}<version> with a version in {range:?}"
                )
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

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
}
