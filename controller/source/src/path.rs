//! Paths inside a repository.
//!
//! Invariant: a [`RepoPath`] has no `.`, no `..`, no empty part and no control character, so joining it to any folder
//! stays below that folder.

use std::fmt;

use crate::SourceError;
use crate::text::has_control;

/// A directory or file of a repository; the empty path is the root.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct RepoPath(String);

impl RepoPath {
    /// Reads `deploy/prod`, `./deploy/prod/` or, for the root, `.` or nothing.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let refuse = |why: &str| {
            Err(SourceError::refused(
                format!("the path {:?}", crate::text::one_line(text, 200)),
                why,
            ))
        };
        if text.starts_with('/') {
            return refuse("write it relative to the root of the repository, without / in front");
        }
        if has_control(text) || text.len() > 4096 {
            return refuse("it is too long or holds control characters");
        }
        let parts: Vec<&str> = text
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        if parts
            .iter()
            .any(|part| *part == ".." || part.eq_ignore_ascii_case(".git"))
        {
            return refuse("it must stay inside the repository; write it without .. and .git");
        }
        Ok(Self(parts.join("/")))
    }

    /// The path, without slashes at its ends.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Follows a relative reference from this directory; nothing when it leaves the repository.
    pub(crate) fn join(&self, reference: &str) -> Option<Self> {
        let mut parts: Vec<&str> = self.0.split('/').filter(|part| !part.is_empty()).collect();
        for part in reference.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop()?;
                }
                name => parts.push(name),
            }
        }
        Self::parse(&parts.join("/")).ok()
    }

    /// A file or directory below this one. The name comes from a directory listing.
    pub(crate) fn child(&self, name: &str) -> String {
        if self.0.is_empty() {
            name.to_owned()
        } else {
            format!("{}/{name}", self.0)
        }
    }

    /// Whether `path` is this path or below it.
    pub(crate) fn covers(&self, path: &str) -> bool {
        self.0.is_empty()
            || path == self.0
            || path
                .strip_prefix(&self.0)
                .is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_empty() { "." } else { &self.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_and_stay_inside() {
        for (text, normal) in [
            ("deploy/prod", "deploy/prod"),
            ("./a//b/", "a/b"),
            (".", ""),
            ("", ""),
        ] {
            assert_eq!(RepoPath::parse(text).unwrap().as_str(), normal);
        }
        for text in [
            "/etc",
            "..",
            "a/../b",
            "a/..",
            ".git/config",
            "a/.GIT",
            "a\nb",
        ] {
            assert!(RepoPath::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn references_are_followed_only_inside_the_repository() {
        let here = RepoPath::parse("deploy/prod").unwrap();
        assert_eq!(
            here.join("../base/x.yaml").unwrap().as_str(),
            "deploy/base/x.yaml"
        );
        assert_eq!(here.join("../..").unwrap().as_str(), "");
        assert_eq!(here.join("../../.."), None);
    }

    #[test]
    fn covering_respects_whole_parts() {
        let here = RepoPath::parse("deploy").unwrap();
        assert!(here.covers("deploy/a") && here.covers("deploy") && !here.covers("deployment/a"));
        assert!(RepoPath::default().covers("x"));
    }
}
