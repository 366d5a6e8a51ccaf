//! Which files of a directory count.

/// Which files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// `*.yaml`, `*.yml` and `*.json`, without hidden files and directories.
    Manifests,
    /// All files.
    Everything,
}

impl Wanted {
    pub(super) fn takes(self, path: &str) -> bool {
        self == Self::Everything || is_manifest(path)
    }

    pub(super) fn passes_over(self, path: &str) -> bool {
        self == Self::Manifests && path.split('/').any(|part| part.starts_with('.'))
    }
}

/// Whether the name is that of a YAML or JSON file.
pub(crate) fn is_manifest(path: &str) -> bool {
    let extension = path
        .rsplit('/')
        .next()
        .and_then(|name| name.rsplit_once('.'))
        .map(|(_, extension)| extension);
    extension.is_some_and(|extension| {
        ["yaml", "yml", "json"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_known_by_their_extension() {
        for path in ["a.yaml", "x/b.YML", "c.json", "a.b.yaml"] {
            assert!(is_manifest(path), "{path}");
        }
        for path in [
            "yaml",
            "a.yaml.bak",
            "a.yaml/readme",
            "README.md",
            "a.yamlx",
        ] {
            assert!(!is_manifest(path), "{path}");
        }
    }
}
