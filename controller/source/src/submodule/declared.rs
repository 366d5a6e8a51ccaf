//! The submodules that a `.gitmodules` tells of.
//!
//! Invariant: every path stays inside the repository and no name or path could be taken for an option, or the whole file
//! is refused: only somebody with bad intent writes such a thing.

use std::collections::{BTreeMap, HashMap};

use crate::text::{has_control, one_line};
use crate::{RepoPath, SourceError};

/// Addresses as they are written, by the submodules' paths.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Declared(HashMap<String, String>);

#[derive(Default)]
struct Section {
    path: Option<String>,
    url: Option<String>,
}

impl Declared {
    /// Takes what `git config --null --list` prints apart.
    pub(super) fn parse(settings: &[u8]) -> Result<Self, SourceError> {
        let mut sections: BTreeMap<String, Section> = BTreeMap::new();
        for setting in settings.split(|byte| *byte == 0) {
            let Some((name, place, value)) = setting_of(setting)? else {
                continue;
            };
            let section = sections.entry(name).or_default();
            let slot = match place {
                Part::Path => &mut section.path,
                Part::Url => &mut section.url,
            };
            if slot.replace(value).is_some() {
                return Err(refuse("it sets a path or a url twice; keep one"));
            }
        }
        let mut addresses = HashMap::new();
        for (name, section) in sections {
            check_name(&name)?;
            let Some(path) = section.path else { continue };
            let path = check_path(&path)?;
            let address = section.url.unwrap_or_default();
            if addresses.insert(path, address).is_some() {
                return Err(refuse("it gives one path to two submodules; keep one"));
            }
        }
        Ok(Self(addresses))
    }

    /// The address of the submodule at `path`, as it is written.
    pub(super) fn address(&self, path: &str) -> Option<&str> {
        self.0
            .get(path)
            .map(String::as_str)
            .filter(|address| !address.is_empty())
    }
}

enum Part {
    Path,
    Url,
}

/// `submodule.NAME.path` or `.url`, taken apart; nothing for other settings.
fn setting_of(setting: &[u8]) -> Result<Option<(String, Part, String)>, SourceError> {
    let Ok(text) = std::str::from_utf8(setting) else {
        return Err(refuse("it is not text; save it as UTF-8"));
    };
    let (key, value) = text.split_once('\n').unwrap_or((text, ""));
    let known = key
        .strip_prefix("submodule.")
        .and_then(|rest| rest.rsplit_once('.'));
    let (name, part) = match known {
        Some((name, "path")) => (name, Part::Path),
        Some((name, "url")) => (name, Part::Url),
        _ => return Ok(None),
    };
    Ok(Some((name.to_owned(), part, value.to_owned())))
}

/// Git makes a folder of the name. Belay does not, and takes no file that would harm those who use git.
fn check_name(name: &str) -> Result<(), SourceError> {
    let is_bad = |part: &str| part == ".." || part.eq_ignore_ascii_case(".git");
    if name.is_empty()
        || name.starts_with('-')
        || has_control(name)
        || name.split(['/', '\\']).any(is_bad)
    {
        let shown = one_line(name, 100);
        return Err(refuse(&format!(
            "the name {shown:?} of a submodule holds .. or .git, or begins with -; write a plain one"
        )));
    }
    Ok(())
}

fn check_path(text: &str) -> Result<String, SourceError> {
    let path = RepoPath::parse(text)
        .ok()
        .filter(|path| !path.as_str().is_empty() && !text.starts_with('-'));
    path.map(|path| path.as_str().to_owned()).ok_or_else(|| {
        let shown = one_line(text, 100);
        refuse(&format!(
            "the path {shown:?} of a submodule is absolute, holds .. or .git, or begins with -; write a plain one"
        ))
    })
}

fn refuse(why: &str) -> SourceError {
    SourceError::SubmoduleRefused {
        what: ".gitmodules".to_owned(),
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_by_path_and_other_settings_are_passed_over() {
        let settings = b"submodule.a.b.path\nvendor/lib\0submodule.a.b.url\n../lib.git\0submodule.a.b.update\n!evil\0core.x\ny\0";
        let declared = Declared::parse(settings).unwrap();
        assert_eq!(declared.address("vendor/lib"), Some("../lib.git"));
        assert_eq!(declared.address("vendor"), None);
    }

    #[test]
    fn names_and_paths_that_could_lead_elsewhere_refuse_the_file() {
        for settings in [
            "submodule.x.path\n../x\0submodule.x.url\na\0",
            "submodule.x.path\na/../../x\0",
            "submodule.x.path\n/etc\0",
            "submodule.x.path\n-x\0",
            "submodule.x.path\na/.GIT/hooks\0",
            "submodule.x.path\n.\0",
            "submodule.x.path\n\0",
            "submodule.../../x.path\na\0",
            "submodule.-x.path\na\0",
            "submodule.a/.git.path\na\0",
            "submodule.x.path\na\0submodule.x.path\nb\0",
            "submodule.x.path\na\0submodule.y.path\na/\0",
        ] {
            let error = Declared::parse(settings.as_bytes()).unwrap_err();
            assert_eq!(error.reason(), "Refused", "{settings:?}");
        }
    }
}
