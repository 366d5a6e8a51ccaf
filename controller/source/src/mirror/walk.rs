//! Following one path through symbolic links, part by part.
//!
//! Git follows links itself, and fast, but gives up at a `.` in a link's target (`./base.yaml`), which is a usual way to
//! write one. Only such paths come here. Invariant: a link that leaves the repository is never followed, and a circle
//! ends.

use super::objects::{LISTING_BYTES, parse_entry};
use super::{Entry, EntryKind, Found, Lookup, Mirror, ObjectKind};
use crate::git::{Call, Side, words};
use crate::{Oid, Repository, SourceError};

/// Links on the way of one path.
const LINKS: usize = 32;
/// Size of a link's target.
const TARGET_BYTES: u64 = 4096;

impl Mirror {
    pub(super) async fn walk(
        &self,
        repository: &Repository,
        commit: &Oid,
        path: &str,
    ) -> Result<Lookup, SourceError> {
        let mut directories = vec![self.root(repository, commit).await?];
        let mut ahead = parts_in_reverse(path);
        let mut links = 0;
        while let (Some(part), Some(directory)) = (ahead.pop(), directories.last().cloned()) {
            if part == ".." {
                directories.pop();
                continue;
            }
            match self.entry(repository, &directory, &part).await? {
                Some(Entry {
                    kind: EntryKind::Directory,
                    id,
                    ..
                }) => directories.push(id),
                Some(Entry {
                    kind: EntryKind::File,
                    id,
                    ..
                }) if ahead.is_empty() => {
                    return Ok(Lookup::Found(Found {
                        id,
                        kind: ObjectKind::File,
                        bytes: 0,
                    }));
                }
                Some(Entry {
                    kind: EntryKind::Link,
                    id,
                    ..
                }) => {
                    links += 1;
                    let target = self.target(repository, &id).await?;
                    match target {
                        Some(target) if target.starts_with('/') => return Ok(Lookup::Outside),
                        Some(target) if links <= LINKS => ahead.extend(parts_in_reverse(&target)),
                        _ => return Ok(Lookup::Nothing),
                    }
                }
                Some(_) | None => return Ok(Lookup::Nothing),
            }
        }
        let found = |id| {
            Lookup::Found(Found {
                id,
                kind: ObjectKind::Directory,
                bytes: 0,
            })
        };
        Ok(directories.pop().map_or(Lookup::Outside, found))
    }

    async fn root(&self, repository: &Repository, commit: &Oid) -> Result<Oid, SourceError> {
        let _shared = self.shared().await?;
        let name = format!("{commit}^{{tree}}");
        let output = self
            .local(
                repository,
                &["rev-parse", "--verify", "--end-of-options", &name],
            )
            .await?;
        let text = String::from_utf8_lossy(&output).into_owned();
        Oid::parse(text.trim()).map_err(|_| self.damaged(repository, "a commit can't be read"))
    }

    async fn entry(
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

fn parts_in_reverse(path: &str) -> Vec<String> {
    let parts = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".");
    parts.rev().map(str::to_owned).collect()
}
