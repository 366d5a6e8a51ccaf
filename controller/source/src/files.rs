//! The files below a directory of a commit, within limits.
//!
//! Invariant: no file from outside the repository is ever read, and no error tells what a symbolic link points to. Links
//! inside the repository give copies of what they point to. [`FileSet::inputs`] names everything the result depends
//! on, so equal inputs in another commit mean an equal result.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::checkout::Checkout;
use crate::mirror::{Entry, EntryKind, Found, Lookup, ObjectKind};
use crate::settings::FileLimits;
use crate::{Oid, RepoPath, SourceError};

/// Links to directories inside links to directories.
const LINK_DEPTH: usize = 8;
const LINKS: usize = 256;

/// Which files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// `*.yaml`, `*.yml` and `*.json`, without hidden files and directories.
    Manifests,
    /// All files.
    Everything,
}

impl Wanted {
    fn takes(self, path: &str) -> bool {
        self == Self::Everything || is_manifest(path)
    }

    fn passes_over(self, path: &str) -> bool {
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

/// Something a result depends on: a path of the repository and what it led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    pub(crate) path: String,
    /// Nothing for a link that led nowhere.
    pub(crate) id: Option<Oid>,
}

/// Files with their paths from the root of the repository.
#[derive(Debug, Default)]
pub(crate) struct FileSet {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) inputs: Vec<Input>,
    /// Links that lead out of the repository or nowhere, as far as their files weren't wanted by name.
    pub(crate) broken_links: BTreeSet<String>,
    /// Other repositories that stand in for directories; nothing of them is read.
    pub(crate) submodules: Vec<String>,
    pub(crate) notes: Vec<String>,
}

/// Reads the files below `root`, whose directory has the id `tree`.
pub(crate) async fn collect(
    checkout: &Checkout,
    root: &RepoPath,
    tree: &Oid,
    wanted: Wanted,
    limits: FileLimits,
) -> Result<FileSet, SourceError> {
    let mut walk = Walk::new(checkout, wanted, limits);
    walk.set.inputs.push(Input {
        path: root.as_str().to_owned(),
        id: Some(tree.clone()),
    });
    let mut pending = vec![(root.clone(), tree.clone(), 0)];
    while let Some((directory, tree, depth)) = pending.pop() {
        if depth > LINK_DEPTH {
            let what = format!("the symbolic link {directory}");
            return Err(SourceError::refused(
                what,
                "links to directories are nested too deep or in a circle; remove one",
            ));
        }
        let linked = walk.directory(&directory, &tree).await?;
        pending.extend(
            linked
                .into_iter()
                .map(|(path, tree)| (path, tree, depth + 1)),
        );
    }
    walk.read().await
}

/// Reads single files, through links inside the repository.
pub(crate) async fn named(
    checkout: &Checkout,
    paths: &[RepoPath],
    limits: FileLimits,
) -> Result<FileSet, SourceError> {
    let mut walk = Walk::new(checkout, Wanted::Everything, limits);
    if paths.is_empty() {
        return Ok(walk.set);
    }
    let paths: Vec<String> = paths.iter().map(|path| path.as_str().to_owned()).collect();
    for (path, lookup) in paths.iter().zip(checkout.follow(&paths).await?) {
        let id = match lookup {
            Lookup::Found(Found {
                id,
                kind: ObjectKind::File,
                ..
            }) => id,
            Lookup::Outside => return Err(broken_link(path)),
            Lookup::Found(_) | Lookup::Nothing => {
                return Err(SourceError::PathNotFound {
                    path: path.clone(),
                    commit: checkout.commit().to_string(),
                });
            }
        };
        walk.found.insert(path.clone(), id.clone());
        walk.set.inputs.push(Input {
            path: path.clone(),
            id: Some(id),
        });
    }
    let root = checkout.tree_id(&RepoPath::default()).await?;
    let needed = walk.found.values().cloned().collect();
    let mirror = checkout.mirror();
    mirror
        .complete(checkout.repository(), &root, &needed)
        .await?;
    walk.read().await
}

struct Walk<'a> {
    checkout: &'a Checkout,
    wanted: Wanted,
    limits: FileLimits,
    found: BTreeMap<String, Oid>,
    set: FileSet,
    entries: usize,
    links: usize,
}

impl<'a> Walk<'a> {
    fn new(checkout: &'a Checkout, wanted: Wanted, limits: FileLimits) -> Self {
        Self {
            checkout,
            wanted,
            limits,
            found: BTreeMap::new(),
            set: FileSet::default(),
            entries: 0,
            links: 0,
        }
    }

    /// Takes the entries of one directory and gives the directories that links in it lead to.
    async fn directory(
        &mut self,
        directory: &RepoPath,
        tree: &Oid,
    ) -> Result<Vec<(RepoPath, Oid)>, SourceError> {
        let (mirror, repository) = (self.checkout.mirror(), self.checkout.repository());
        let entries = mirror.list(repository, tree).await?;
        self.entries = self.entries.saturating_add(entries.len());
        if self.entries > self.limits.entries {
            return Err(too_large(
                format!("the directory {directory}"),
                format!("{} files", self.limits.entries),
            ));
        }
        let mut links = Vec::new();
        let mut needed = HashSet::new();
        let mut hidden = 0_usize;
        for Entry { path, kind, id } in entries {
            let full = directory.child(&path);
            if self.wanted.passes_over(&path) {
                hidden += usize::from(is_manifest(&path));
                continue;
            }
            match kind {
                EntryKind::Submodule => {
                    self.set
                        .notes
                        .push(format!("the submodule {full} is not read"));
                    self.set.submodules.push(full);
                }
                EntryKind::Link => {
                    needed.insert(id);
                    links.push(full);
                }
                EntryKind::File if self.wanted.takes(&path) => {
                    needed.insert(id.clone());
                    self.found.insert(full, id);
                }
                EntryKind::File | EntryKind::Directory => {}
            }
        }
        if hidden > 0 {
            self.set.notes.push(format!(
                "{hidden} hidden manifest(s) below {directory} are not read"
            ));
        }
        mirror.complete(repository, tree, &needed).await?;
        self.follow(links).await
    }

    async fn follow(&mut self, links: Vec<String>) -> Result<Vec<(RepoPath, Oid)>, SourceError> {
        self.links = self.links.saturating_add(links.len());
        if self.links > LINKS {
            return Err(too_large(
                "the number of symbolic links".to_owned(),
                LINKS.to_string(),
            ));
        }
        if links.is_empty() {
            return Ok(Vec::new());
        }
        let mut directories = Vec::new();
        for (path, target) in links.iter().zip(self.checkout.follow(&links).await?) {
            let id = match target {
                Lookup::Found(Found {
                    id,
                    kind: ObjectKind::Directory,
                    ..
                }) => {
                    directories.push((RepoPath::parse(path)?, id.clone()));
                    Some(id)
                }
                Lookup::Found(Found {
                    id,
                    kind: ObjectKind::File,
                    ..
                }) => {
                    if self.wanted.takes(path) {
                        self.found.insert(path.clone(), id.clone());
                    }
                    Some(id)
                }
                Lookup::Found(_) | Lookup::Outside | Lookup::Nothing => {
                    self.broken(path)?;
                    None
                }
            };
            self.set.inputs.push(Input {
                path: path.clone(),
                id,
            });
        }
        Ok(directories)
    }

    fn broken(&mut self, path: &str) -> Result<(), SourceError> {
        if self.wanted == Wanted::Manifests && is_manifest(path) {
            return Err(broken_link(path));
        }
        self.set.broken_links.insert(path.to_owned());
        Ok(())
    }

    async fn read(mut self) -> Result<FileSet, SourceError> {
        let (mirror, repository) = (self.checkout.mirror(), self.checkout.repository());
        let ids: Vec<Oid> = self
            .found
            .values()
            .cloned()
            .collect::<HashSet<_>>()
            .into_iter()
            .collect();
        let sizes = mirror.sizes(repository, &ids).await?;
        let size_of = |id: &Oid| sizes.get(id).copied().unwrap_or(u64::MAX);
        let mut total = 0_u64;
        for (path, id) in &self.found {
            if size_of(id) > self.limits.file_bytes {
                return Err(too_large(
                    format!("the file {path}"),
                    format!("{} KiB", self.limits.file_bytes >> 10),
                ));
            }
            total = total.saturating_add(size_of(id));
        }
        if total > self.limits.total_bytes {
            return Err(too_large(
                "the files together".to_owned(),
                format!("{} KiB", self.limits.total_bytes >> 10),
            ));
        }
        let contents = mirror.contents(repository, &ids, total).await?;
        let with_content = |(path, id)| contents.get(&id).map(|content| (path, content.clone()));
        self.set.files = std::mem::take(&mut self.found)
            .into_iter()
            .filter_map(with_content)
            .collect();
        Ok(self.set)
    }
}

/// The refusal of a link, without its target: that may tell about other machines or users.
pub(crate) fn broken_link(path: &str) -> SourceError {
    SourceError::refused(
        format!("the symbolic link {path}"),
        "it leads out of the repository or nowhere; commit the file itself",
    )
}

fn too_large(what: String, limit: String) -> SourceError {
    SourceError::TooLarge { what, limit }
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
