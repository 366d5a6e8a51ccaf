//! Following one path through symbolic links, part by part.
//!
//! Git follows links itself, and fast, but gives up at a `.` in a link's target (`./base.yaml`), which is a usual way to
//! write one. Only such paths come here, and those that may lead into a submodule. Invariant: a link that leaves the
//! repository is never followed, and a circle ends.

use super::objects::{LISTING_BYTES, parse_entry};
use super::{Entry, EntryKind, Found, Lookup, Mirror, ObjectKind};
use crate::git::{Call, Side, words};
use crate::text::has_control;
use crate::{Oid, Repository, SourceError};

/// Links on the way of one path.
const LINKS: usize = 32;
/// Size of a link's target.
const TARGET_BYTES: u64 = 4096;

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trace {
    Ends(Lookup),
    /// Into another repository.
    Crosses(Crossing),
}

/// Where a path goes on in a submodule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crossing {
    /// The submodule's path, without links.
    pub(crate) path: String,
    /// The submodule's commit.
    pub(crate) commit: Oid,
    /// What is left of the path, from the submodule's root.
    pub(crate) rest: String,
}

/// A directory on the way, with its name in the one before it.
struct Passed {
    name: String,
    tree: Oid,
}

impl Mirror {
    pub(super) async fn walk(
        &self,
        repository: &Repository,
        commit: &Oid,
        path: &str,
    ) -> Result<Lookup, SourceError> {
        Ok(match self.trace(repository, commit, path).await? {
            Trace::Ends(lookup) => lookup,
            Trace::Crosses(_) => Lookup::Nothing,
        })
    }

    /// Follows a path to its end, or to the first submodule on its way.
    pub(crate) async fn trace(
        &self,
        repository: &Repository,
        commit: &Oid,
        path: &str,
    ) -> Result<Trace, SourceError> {
        let tree = self.root(repository, commit).await?;
        let name = String::new();
        let mut passed = vec![Passed { name, tree }];
        let mut ahead = parts_in_reverse(path);
        let mut links = 0;
        while let (Some(part), Some(directory)) =
            (ahead.pop(), passed.last().map(|last| last.tree.clone()))
        {
            if part == ".." {
                passed.pop();
                continue;
            }
            match self.entry(repository, &directory, &part).await? {
                Some(Entry {
                    kind: EntryKind::Directory,
                    id,
                    ..
                }) => passed.push(Passed {
                    name: part,
                    tree: id,
                }),
                Some(Entry {
                    kind: EntryKind::Submodule,
                    id,
                    ..
                }) => return Ok(crossing(&passed, &part, id, ahead)),
                Some(Entry {
                    kind: EntryKind::File,
                    id,
                    ..
                }) if ahead.is_empty() => {
                    return Ok(Trace::Ends(Lookup::Found(Found {
                        id,
                        kind: ObjectKind::File,
                        bytes: 0,
                    })));
                }
                Some(Entry {
                    kind: EntryKind::Link,
                    id,
                    ..
                }) => {
                    links += 1;
                    let target = self.target(repository, &id).await?;
                    match target {
                        Some(target) if target.starts_with('/') => {
                            return Ok(Trace::Ends(Lookup::Outside));
                        }
                        Some(target) if links <= LINKS => ahead.extend(parts_in_reverse(&target)),
                        _ => return Ok(Trace::Ends(Lookup::Nothing)),
                    }
                }
                Some(_) | None => return Ok(Trace::Ends(Lookup::Nothing)),
            }
        }
        let found = |last: Passed| {
            Lookup::Found(Found {
                id: last.tree,
                kind: ObjectKind::Directory,
                bytes: 0,
            })
        };
        Ok(Trace::Ends(passed.pop().map_or(Lookup::Outside, found)))
    }

    pub(super) async fn root(
        &self,
        repository: &Repository,
        commit: &Oid,
    ) -> Result<Oid, SourceError> {
        let _shared = self.shared().await?;
        let name = format!("{}^{{tree}}", Self::name(repository, commit));
        let output = self
            .local(
                repository,
                &["rev-parse", "--verify", "--end-of-options", &name],
            )
            .await?;
        let text = String::from_utf8_lossy(&output).into_owned();
        Oid::parse(text.trim()).map_err(|_| self.damaged(repository, "a commit can't be read"))
    }

    pub(super) async fn entry(
        &self,
        repository: &Repository,
        directory: &Oid,
        name: &str,
    ) -> Result<Option<Entry>, SourceError> {
        let args = words(&[
            "ls-tree",
            "-z",
            "--full-tree",
            directory.as_str(),
            "--",
            name,
        ]);
        let _shared = self.shared().await?;
        let output = self
            .git
            .run(Call {
                args,
                stdout_bytes: LISTING_BYTES,
                ..self.call(repository, Side::Copy)
            })
            .await?;
        let record = output
            .split(|byte| *byte == 0)
            .find(|record| !record.is_empty());
        record.and_then(parse_entry).transpose()
    }

    /// What a link says, unless it is too long or not text.
    async fn target(
        &self,
        repository: &Repository,
        link: &Oid,
    ) -> Result<Option<String>, SourceError> {
        let ids = [link.clone()];
        let size = self
            .sizes(repository, &ids)
            .await?
            .get(link)
            .copied()
            .unwrap_or(u64::MAX);
        if size > TARGET_BYTES {
            return Ok(None);
        }
        let mut contents = self.contents(repository, &ids, size).await?;
        Ok(contents
            .remove(link)
            .and_then(|content| String::from_utf8(content).ok()))
    }
}

fn crossing(passed: &[Passed], part: &str, commit: Oid, ahead: Vec<String>) -> Trace {
    let names = passed.iter().map(|directory| directory.name.as_str());
    let parts: Vec<&str> = names
        .chain([part])
        .filter(|name| !name.is_empty())
        .collect();
    let rest: Vec<String> = ahead.into_iter().rev().collect();
    let rest = rest.join("/");
    // What a link says may hold anything, and goes into a list of lines.
    if has_control(&rest) {
        return Trace::Ends(Lookup::Nothing);
    }
    Trace::Crosses(Crossing {
        path: parts.join("/"),
        commit,
        rest,
    })
}

fn parts_in_reverse(path: &str) -> Vec<String> {
    let parts = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".");
    parts.rev().map(str::to_owned).collect()
}
