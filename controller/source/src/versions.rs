//! The highest of some versions.

use semver::Version;

use crate::SourceError;
use crate::range::VersionRange;

/// The highest version in a range, written as for tags, among texts of which some may be no versions. A prerelease counts when the
/// range names one.
pub fn highest_version<'a>(
    range: &str,
    versions: impl IntoIterator<Item = &'a str>,
) -> Result<Option<&'a str>, SourceError> {
    let range = VersionRange::parse(range)?;
    let read = |text: &'a str| {
        let version = Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()?;
        range.contains(&version).then_some((version, text))
    };
    let found = versions.into_iter().filter_map(read);
    Ok(found.max().map(|(_, text)| text))
}

/// A version that is not in the range, and would be if the range named a prerelease: for people who wonder.
pub fn hidden_prerelease<'a>(
    range: &str,
    versions: impl IntoIterator<Item = &'a str>,
) -> Result<Option<&'a str>, SourceError> {
    let range = VersionRange::parse(range)?;
    let mut versions = versions.into_iter();
    Ok(versions.find(|text| {
        let version = Version::parse(text.strip_prefix('v').unwrap_or(text));
        version.is_ok_and(|version| range.is_near(&version))
    }))
}

/// Whether the text is one version and no range, so that nothing else can ever be meant by it.
pub fn is_exact_version(range: &str) -> bool {
    Version::parse(range.trim().trim_start_matches('v')).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_in_the_range_is_taken() {
        let versions = ["1.2.0", "v1.10.0", "2.0.0", "1.11.0-rc.1", "latest"];
        for (range, expected) in [
            ("1.x", Some("v1.10.0")),
            ("1.2.0", Some("1.2.0")),
            (">=1.11.0-0 <2.0.0", Some("1.11.0-rc.1")),
            ("^3", None),
        ] {
            assert_eq!(
                highest_version(range, versions).unwrap(),
                expected,
                "{range}"
            );
        }
        assert!(highest_version("newest", versions).is_err());
        let hidden = |range| hidden_prerelease(range, versions).unwrap();
        assert_eq!(hidden("~1.11"), Some("1.11.0-rc.1"));
        assert_eq!(hidden("^3"), None);
        assert!(is_exact_version("1.2.3") && is_exact_version("v1.2.3-rc.1"));
        assert!(!is_exact_version("1.2") && !is_exact_version("^1.2.3"));
    }
}
