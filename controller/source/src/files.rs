//! The files below a directory of a commit, within limits.
//!
//! Invariant: no file from outside the repository is ever read, and no error tells what a symbolic link points to. Links
//! inside the repository give copies of what they point to. [`FileSet::inputs`] names everything the result depends
//! on, so equal inputs in another commit mean an equal result.

mod owners;
mod wanted;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::checkout::{Checkout, Directory, Place};
use crate::mirror::{Entry, EntryKind, Found, Lookup, ObjectKind};
use crate::settings::FileLimits;
use crate::submodule::{self, SubmoduleMode};
use crate::{Oid, RepoPath, SourceError};
use owners::{Blob, Owners};
pub(crate) use wanted::{Wanted, is_manifest};

/// Links to directories inside links to directories.
const LINK_DEPTH: usize = 8;
const LINKS: usize = 256;

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
    /// Other repositories that stand in for directories, where nothing of them is read.
    pub(crate) submodules: Vec<String>,
    pub(crate) notes: Vec<String>,
}

/// A directory whose files are wanted.
struct Spot {
    path: RepoPath,
    tree: Oid,
    owner: usize,
    /// Links on the way to it.
    links: usize,
}

/// Reads the files below `root`, which is the directory `start`.
pub(crate) async fn collect(
    checkout: &Checkout,
    root: &RepoPath,
    start: &Directory,
    wanted: Wanted,
    limits: FileLimits,
) -> Result<FileSet, SourceError> {
    let mut walk = Walk::new(checkout, wanted, limits);
    walk.set.inputs.push(Input {
        path: root.as_str().to_owned(),
        id: Some(start.tree.clone()),
    });
    let mut pending = vec![Spot {
        path: root.clone(),
        tree: start.tree.clone(),
        owner: walk.owners.number(Some(start.owner.clone())),
        links: 0,
    }];
    while let Some(spot) = pending.pop() {
        if spot.links > LINK_DEPTH {
            let what = format!("the symbolic link {}", spot.path);
            return Err(SourceError::refused(
                what,
                "links to directories are nested too deep or in a circle; remove one",
            ));
        }
        pending.extend(walk.directory(&spot).await?);
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
    for (path, place) in paths.iter().zip(checkout.locate(&paths).await?) {
        let id = match place.lookup {
            Lookup::Found(Found {
                id,
                kind: ObjectKind::File,
                ..
            }) => id,
            Lookup::Outside => return Err(broken_link(path)),
            Lookup::Found(_) | Lookup::Nothing => {
                return Err(SourceError::PathNotFound {
                    path: path.clone(),
                    commit: checkout.label(),
                });
            }
        };
        walk.take(path, id.clone(), place.owner);
        walk.set.inputs.push(Input {
            path: path.clone(),
            id: Some(id),
        });
    }
    for (owner, needed) in owners::by_owner(walk.found.values()) {
        let owner = walk.owners.get(owner);
        let root = owner.tree_id(&RepoPath::default()).await?;
        let mirror = owner.mirror();
        mirror.complete(owner.repository(), &root, &needed).await?;
    }
    walk.read().await
}

/// What a directory holds beside the files that were noted.
#[derive(Default)]
struct Sorted {
    links: Vec<String>,
    submodules: Vec<String>,
    /// Objects to be fetched.
    needed: HashSet<Oid>,
}

struct Walk<'a> {
    checkout: &'a Checkout,
    owners: Owners,
    wanted: Wanted,
    limits: FileLimits,
    found: BTreeMap<String, Blob>,
    set: FileSet,
    entries: usize,
    links: usize,
}

impl<'a> Walk<'a> {
    fn new(checkout: &'a Checkout, wanted: Wanted, limits: FileLimits) -> Self {
        Self {
            checkout,
            owners: Owners::new(checkout),
            wanted,
            limits,
            found: BTreeMap::new(),
            set: FileSet::default(),
            entries: 0,
            links: 0,
        }
    }

    fn take(&mut self, path: &str, id: Oid, owner: Option<Checkout>) {
        let owner = self.owners.number(owner);
        self.found.insert(path.to_owned(), Blob { owner, id });
    }

    /// Notes the files among the entries of a directory.
    fn sort(&mut self, spot: &Spot, entries: Vec<Entry>) -> Sorted {
        let mut sorted = Sorted::default();
        let (directory, owner) = (&spot.path, spot.owner);
        let mut hidden = 0_usize;
        for Entry { path, kind, id } in entries {
            let full = directory.child(&path);
            if self.wanted.passes_over(&path) {
                hidden += usize::from(is_manifest(&path));
                continue;
            }
            match kind {
                EntryKind::Submodule => sorted.submodules.push(full),
                EntryKind::Link => {
                    sorted.needed.insert(id);
                    sorted.links.push(full);
                }
                EntryKind::File if self.wanted.takes(&path) => {
                    sorted.needed.insert(id.clone());
                    self.found.insert(full, Blob { owner, id });
                }
                EntryKind::File | EntryKind::Directory => {}
            }
        }
        if hidden > 0 {
            self.set.notes.push(format!(
                "{hidden} hidden manifest(s) below {directory} are not read"
            ));
        }
        sorted
    }

    /// Takes the entries of one directory and gives the directories that links and submodules in it lead to.
    async fn directory(&mut self, spot: &Spot) -> Result<Vec<Spot>, SourceError> {
        let Spot {
            path: directory,
            tree,
            owner,
            ..
        } = spot;
        let checkout = self.owners.get(*owner).clone();
        let (mirror, repository) = (checkout.mirror(), checkout.repository());
        let entries = mirror.list(repository, tree).await?;
        self.entries = self.entries.saturating_add(entries.len());
        if self.entries > self.limits.entries {
            return Err(too_large(
                format!("the directory {directory}"),
                format!("{} files", self.limits.entries),
            ));
        }
        let Sorted {
            links,
            submodules,
            needed,
        } = self.sort(spot, entries);
        mirror.complete(repository, tree, &needed).await?;
        let mut spots = self.cross(submodules, spot.links).await?;
        spots.extend(self.follow(links, spot.links + 1).await?);
        Ok(spots)
    }

    /// Goes on in submodules, where they are read. Their commits are part of the directory's id, so they are no inputs of their own.
    async fn cross(&mut self, paths: Vec<String>, links: usize) -> Result<Vec<Spot>, SourceError> {
        if self.checkout.submodule_mode() == SubmoduleMode::Refuse {
            let note = |path: &String| format!("the submodule {path} is not read");
            self.set.notes.extend(paths.iter().map(note));
            self.set.submodules.extend(paths);
            return Ok(Vec::new());
        }
        let mut spots = Vec::with_capacity(paths.len());
        if paths.is_empty() {
            return Ok(spots);
        }
        for (path, place) in paths.iter().zip(self.checkout.locate(&paths).await?) {
            let (
                Lookup::Found(Found {
                    id: tree,
                    kind: ObjectKind::Directory,
                    ..
                }),
                owner @ Some(_),
            ) = (place.lookup, place.owner)
            else {
                return Err(submodule::unknown(path));
            };
            spots.push(Spot {
                path: RepoPath::parse(path)?,
                tree,
                owner: self.owners.number(owner),
                links,
            });
        }
        Ok(spots)
    }

    /// Goes on where links lead. `count` is how many links are on the way to there.
    async fn follow(&mut self, links: Vec<String>, count: usize) -> Result<Vec<Spot>, SourceError> {
        self.links = self.links.saturating_add(links.len());
        if self.links > LINKS {
            return Err(too_large(
                "the number of symbolic links".to_owned(),
                LINKS.to_string(),
            ));
        }
        let mut directories = Vec::new();
        if links.is_empty() {
            return Ok(directories);
        }
        for (path, Place { lookup, owner }) in links.iter().zip(self.checkout.locate(&links).await?)
        {
            let id = match lookup {
                Lookup::Found(Found {
                    id,
                    kind: ObjectKind::Directory,
                    ..
                }) => {
                    directories.push(Spot {
                        path: RepoPath::parse(path)?,
                        tree: id.clone(),
                        owner: self.owners.number(owner),
                        links: count,
                    });
                    Some(id)
                }
                Lookup::Found(Found {
                    id,
                    kind: ObjectKind::File,
                    ..
                }) => {
                    if self.wanted.takes(path) {
                        self.take(path, id.clone(), owner);
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
        let blobs = owners::by_owner(self.found.values());
        let sizes = self.owners.sizes(&blobs).await?;
        let size_of = |id: &Oid| sizes.get(id).copied().unwrap_or(u64::MAX);
        let mut total = 0_u64;
        for (path, Blob { id, .. }) in &self.found {
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
        let contents = self.owners.contents(&blobs, total).await?;
        let with_content =
            |(path, Blob { id, .. })| contents.get(&id).map(|content| (path, content.clone()));
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
