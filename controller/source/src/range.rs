//! Ranges of semantic versions, as tags carry them.
//!
//! Notation, after node-semver and Masterminds/semver, which Flux and Helm use: comparators (`=`, `!=`, `>`, `>=`, `<`, `<=`, `~`, `^`)
//! joined by spaces or commas must all hold; `||` joins alternatives; `1.2`, `1.2.x` and `*` leave parts open; `1.2 - 1.4` is a range with
//! both ends. Invariant: a prerelease matches only an alternative that names a prerelease itself, for example `>=1.0.0-0`.

use std::cmp::Ordering;
use std::fmt;

use semver::{BuildMetadata, Prerelease, Version};

use crate::SourceError;
use crate::text::{has_control, one_line};

const LENGTH: usize = 128;
const OPERATORS: [&str; 9] = ["!=", ">=", "<=", "~>", "=", ">", "<", "~", "^"];

/// A range of versions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct VersionRange {
    text: String,
    alternatives: Vec<Alternative>,
}

/// Comparisons that must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Alternative {
    bounds: Vec<Bound>,
    takes_prereleases: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Bound {
    From(Version),
    Above(Version),
    Below(Version),
    UpTo(Version),
    /// Neither from the first on nor below the second.
    Outside(Version, Version),
}

/// A version of which the last parts may be left open.
struct Partial {
    major: Option<u64>,
    minor: Option<u64>,
    patch: Option<u64>,
    pre: Prerelease,
}

impl VersionRange {
    pub(crate) fn parse(text: &str) -> Result<Self, SourceError> {
        let refuse = || {
            SourceError::refused(
                format!("the range of versions {:?}", one_line(text, LENGTH)),
                "write for example >=1.2.0 <2.0.0, ~1.4, ^2 or 1.x || 3.x",
            )
        };
        if text.trim().is_empty() || text.len() > LENGTH || has_control(text) {
            return Err(refuse());
        }
        let alternatives: Option<Vec<_>> = text.split("||").map(Alternative::parse).collect();
        Ok(Self {
            text: text.trim().to_owned(),
            alternatives: alternatives.ok_or_else(refuse)?,
        })
    }

    pub(crate) fn contains(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|alternative| {
            (version.pre.is_empty() || alternative.takes_prereleases) && alternative.holds(version)
        })
    }

    /// Whether it is a prerelease of a version in the range, but not in the range itself.
    pub(crate) fn is_near(&self, version: &Version) -> bool {
        let release = Version {
            pre: Prerelease::EMPTY,
            ..version.clone()
        };
        !version.pre.is_empty() && !self.contains(version) && self.contains(&release)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Alternative {
    fn parse(text: &str) -> Option<Self> {
        let mut alternative = Self::default();
        if let Some((from, to)) = text.split_once(" - ") {
            alternative.add(">=", from.trim())?;
            alternative.add("<=", to.trim())?;
            return Some(alternative);
        }
        let mut operator = "";
        for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
            let found = OPERATORS.into_iter().find(|known| word.starts_with(known));
            let version = word.strip_prefix(found.unwrap_or_default())?;
            match found {
                Some(_) if !operator.is_empty() => return None,
                Some(found) if version.is_empty() => operator = found,
                found => {
                    alternative.add(found.unwrap_or(operator), version)?;
                    operator = "";
                }
            }
        }
        operator.is_empty().then_some(alternative)
    }

    fn add(&mut self, operator: &str, version: &str) -> Option<()> {
        let partial = Partial::parse(version)?;
        self.takes_prereleases |= !partial.pre.is_empty();
        let (first, next) = (partial.first(), partial.next());
        let bounds = match operator {
            "" | "=" if partial.patch.is_some() => {
                vec![Bound::From(first.clone()), Bound::UpTo(first)]
            }
            "!=" if partial.patch.is_some() => {
                let mut after = first.clone();
                after.patch = after.patch.saturating_add(1);
                after.pre = lowest();
                vec![Bound::Outside(first, after)]
            }
            "!=" => vec![Bound::Outside(first, next?)],
            ">=" => vec![Bound::From(first)],
            "<" => vec![Bound::Below(first)],
            ">" if partial.patch.is_some() => vec![Bound::Above(first)],
            ">" => vec![Bound::From(next?)],
            "<=" if partial.patch.is_some() => vec![Bound::UpTo(first)],
            "<=" => next.into_iter().map(Bound::Below).collect(),
            "" | "=" | "~" | "~>" => within(first, next),
            "^" => within(first, partial.next_compatible()),
            _ => return None,
        };
        self.bounds.extend(bounds);
        Some(())
    }

    fn holds(&self, version: &Version) -> bool {
        self.bounds.iter().all(|bound| bound.holds(version))
    }
}

/// From the first on, and below the second where there is one.
fn within(first: Version, next: Option<Version>) -> Vec<Bound> {
    let below = next.map(Bound::Below);
    std::iter::once(Bound::From(first)).chain(below).collect()
}

impl Bound {
    /// Build metadata has no part in it.
    fn holds(&self, version: &Version) -> bool {
        let to = |other: &Version| version.cmp_precedence(other);
        match self {
            Self::From(first) => to(first) != Ordering::Less,
            Self::Above(last) => to(last) == Ordering::Greater,
            Self::Below(next) => to(next) == Ordering::Less,
            Self::UpTo(last) => to(last) != Ordering::Greater,
            Self::Outside(first, next) if first.patch.saturating_add(1) == next.patch => {
                to(first) != Ordering::Equal
            }
            Self::Outside(first, next) => to(first) == Ordering::Less || to(next) != Ordering::Less,
        }
    }
}

impl Partial {
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text.split_once('+').map_or(text, |(version, _)| version);
        let (core, pre) = text.split_once('-').unwrap_or((text, ""));
        let mut parts = core.split('.').map(Part::parse);
        let major = parts.next()??.number();
        let minor = parts.next().unwrap_or(Some(Part::Open))?.number();
        let patch = parts.next().unwrap_or(Some(Part::Open))?.number();
        let has_gap = (major.is_none() && minor.is_some()) || (minor.is_none() && patch.is_some());
        if parts.next().is_some() || has_gap || (patch.is_none() && !pre.is_empty()) {
            return None;
        }
        Some(Self {
            major,
            minor,
            patch,
            pre: Prerelease::new(pre).ok()?,
        })
    }

    /// The lowest version it stands for.
    fn first(&self) -> Version {
        Version {
            pre: self.pre.clone(),
            ..Version::new(
                self.major.unwrap_or_default(),
                self.minor.unwrap_or_default(),
                self.patch.unwrap_or_default(),
            )
        }
    }

    /// The lowest version beyond the part that is left open; none when everything is.
    fn next(&self) -> Option<Version> {
        match (self.major, self.minor) {
            (None, _) => None,
            (Some(major), None) => Some(start(major.saturating_add(1), 0, 0)),
            (Some(major), Some(minor)) => Some(start(major, minor.saturating_add(1), 0)),
        }
    }

    /// Beyond the leftmost part that is not zero.
    fn next_compatible(&self) -> Option<Version> {
        match (self.major?, self.minor, self.patch) {
            (0, Some(0), Some(patch)) => Some(start(0, 0, patch.saturating_add(1))),
            (0, Some(minor), _) => Some(start(0, minor.saturating_add(1), 0)),
            (major, ..) => Some(start(major.saturating_add(1), 0, 0)),
        }
    }
}

/// One part of a version.
#[derive(Clone, Copy)]
enum Part {
    Open,
    Number(u64),
}

impl Part {
    fn parse(text: &str) -> Option<Self> {
        if matches!(text, "x" | "X" | "*") {
            return Some(Self::Open);
        }
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number
            .then(|| text.parse().ok())
            .flatten()
            .map(Self::Number)
    }

    fn number(self) -> Option<u64> {
        match self {
            Self::Open => None,
            Self::Number(number) => Some(number),
        }
    }
}

/// Below all prereleases of the version.
fn start(major: u64, minor: u64, patch: u64) -> Version {
    Version {
        pre: lowest(),
        ..Version::new(major, minor, patch)
    }
}

fn lowest() -> Prerelease {
    Prerelease::new("0").unwrap_or(Prerelease::EMPTY)
}

/// The version in a tag's name, with or without `v`; missing parts are zero.
pub(crate) fn version_of(tag: &str) -> Option<Version> {
    let text = tag.strip_prefix(['v', 'V']).unwrap_or(tag);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (core, rest) = text.split_at(end);
    let (pre, build) = match rest.strip_prefix('-') {
        Some(rest) => rest.split_once('+').unwrap_or((rest, "")),
        None => ("", rest.trim_start_matches('+')),
    };
    let mut numbers = core.split('.').map(|text| Part::parse(text)?.number());
    let major = numbers.next()??;
    let minor = numbers.next().unwrap_or(Some(0))?;
    let patch = numbers.next().unwrap_or(Some(0))?;
    if numbers.next().is_some() {
        return None;
    }
    Some(Version {
        pre: Prerelease::new(pre)
            .ok()
            .filter(|_| !rest.starts_with('-') || !pre.is_empty())?,
        build: BuildMetadata::new(build).ok()?,
        ..Version::new(major, minor, patch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(range: &str, version: &str) -> bool {
        let range = VersionRange::parse(range).unwrap();
        range.contains(&version_of(version).unwrap())
    }

    #[test]
    fn ranges_hold_what_they_say() {
        for (range, inside, outside) in [
            (
                ">=1.2.0 <2.0.0",
                &["1.2.0", "v1.9.9"][..],
                &["1.1.9", "2.0.0"][..],
            ),
            (">= 1.2, < 2", &["1.2.0", "1.3"], &["1.1", "2.0.0"]),
            ("~1.4", &["1.4.0", "1.4.9"], &["1.5.0", "1.3.9"]),
            ("~1.4.2", &["1.4.2"], &["1.4.1", "1.5.0"]),
            ("~1", &["1.9.0"], &["2.0.0"]),
            ("^2", &["2.0.0", "2.9.9"], &["3.0.0", "1.9.9"]),
            ("^0.2.3", &["0.2.3", "0.2.9"], &["0.3.0"]),
            ("^0.0.3", &["0.0.3"], &["0.0.4"]),
            ("^0.0", &["0.0.9"], &["0.1.0"]),
            ("1.x || 3.x", &["1.0.0", "3.4.5"], &["2.0.0", "4.0.0"]),
            ("*", &["0.0.1", "9.9.9"], &["1.0.0-rc.1"]),
            ("1.2", &["1.2.7"], &["1.3.0"]),
            ("=1.2.3", &["1.2.3", "1.2.3+build"], &["1.2.4"]),
            ("1.2.3", &["1.2.3"], &["1.2.4"]),
            ("1.2 - 1.4", &["1.2.0", "1.4.9"], &["1.5.0", "1.1.9"]),
            (">1.2", &["1.3.0"], &["1.2.9"]),
            ("<=1.2", &["1.2.9"], &["1.3.0"]),
            (">1.0.0 !=1.2.3", &["1.2.2", "1.2.4"], &["1.2.3", "1.0.0"]),
            (">=1 !=1.2.x", &["1.1.0", "1.3.0"], &["1.2.0", "1.2.9"]),
        ] {
            for version in inside {
                assert!(contains(range, version), "{range} has {version}");
            }
            for version in outside {
                assert!(!contains(range, version), "{range} has not {version}");
            }
        }
    }

    #[test]
    fn a_prerelease_must_be_asked_for() {
        assert!(contains(">=1.0.0-0 <1.1.0-0", "1.0.0-alpha"));
        assert!(!contains(">=1.0.0 <1.1.0", "1.0.0-alpha"));
        assert!(contains(">=1.0.0-0", "1.4.0-rc.1"));
        assert!(!contains(">=1.0.0-0 <1.1.0-0", "1.1.0-alpha"));
        assert!(!contains("^1.0.0-0", "2.0.0-alpha"));
        let range = VersionRange::parse(">=1.0.0").unwrap();
        assert!(range.is_near(&version_of("1.1.0-rc.1").unwrap()));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            " ",
            "latest",
            ">=",
            ">= <2",
            "1.2.3.4",
            "x.1",
            "1.x.3",
            "1.2-rc.1",
            ">=1 || foo",
            "=>1",
            "--x",
            "1\n2",
        ] {
            let error = VersionRange::parse(text).unwrap_err().to_string();
            assert!(error.contains("write for example"), "{text:?}: {error}");
        }
    }

    #[test]
    fn tags_that_are_no_versions_have_none() {
        for tag in [
            "latest",
            "v",
            "1.2.3.4",
            "1.x",
            "release-1.2.3",
            "1.2.3-",
            "v1.2.3_4",
        ] {
            assert_eq!(version_of(tag), None, "{tag}");
        }
        assert_eq!(version_of("v1.2").unwrap(), Version::new(1, 2, 0));
    }
}
