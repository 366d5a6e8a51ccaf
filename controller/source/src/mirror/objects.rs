//! Reading objects from a local copy. Every run of git holds the copy's lock, shared with other readers.

mod parse;

use std::collections::{HashMap, HashSet};

use super::Mirror;
use crate::git::{Call, Side, words};
use crate::lfs::Pointer;
use crate::text::lines;
use crate::{Oid, Repository, SourceError};
pub(super) use parse::parse_entry;
use parse::{parse_answers, parse_contents};

pub(super) const LISTING_BYTES: usize = 64 << 20;

/// What a name inside a commit leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lookup {
    Found(Found),
    /// A symbolic link leads out of the repository.
    Outside,
    /// Nothing there, or a link that leads nowhere or in a circle.
    Nothing,
}

impl Lookup {
    /// Whether it is a file or a directory.
    pub(crate) fn is_readable(&self) -> bool {
        let kind = match self {
            Self::Found(found) => Some(found.kind),
            Self::Outside | Self::Nothing => None,
        };
        matches!(kind, Some(ObjectKind::File | ObjectKind::Directory))
    }
}

/// Git's answer to one name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Known(Lookup),
    /// Git gave up at a symbolic link; it does so at every `.` in a link's target.
    Unclear,
}

/// An object by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) id: Oid,
    pub(crate) kind: ObjectKind,
    pub(crate) bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ObjectKind {
    File,
    Directory,
    /// A commit or a tag object.
    Other,
}

/// An entry of a directory, with its path below that directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) kind: EntryKind,
    pub(crate) id: Oid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File,
    Directory,
    Link,
    Submodule,
}

impl Mirror {
    /// Follows each path from the root of the commit, through symbolic links that stay in the repository.
    pub(crate) async fn follow(
        &self,
        repository: &Repository,
        commit: &Oid,
        paths: &[String],
    ) -> Result<Vec<Lookup>, SourceError> {
        let name = Self::name(repository, commit);
        let mut names = vec![format!("{name}^{{commit}}")];
        names.extend(paths.iter().map(|path| format!("{name}:{path}")));
        let mut answers = self.check(repository, &names).await?.into_iter();
        if !matches!(answers.next(), Some(Answer::Known(Lookup::Found(_)))) {
            return Err(self.damaged(repository, "a commit is missing"));
        }
        let mut lookups = Vec::with_capacity(paths.len());
        for (answer, path) in answers.zip(paths) {
            lookups.push(match answer {
                Answer::Known(lookup) => lookup,
                Answer::Unclear => self.walk(repository, commit, path).await?,
            });
        }
        Ok(lookups)
    }

    /// Sizes of files by their ids.
    pub(crate) async fn sizes(
        &self,
        repository: &Repository,
        ids: &[Oid],
    ) -> Result<HashMap<Oid, u64>, SourceError> {
        let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let answers = self.check(repository, &names).await?;
        let sizes = answers.into_iter().map(|answer| match answer {
            Answer::Known(Lookup::Found(found)) => Ok((found.id, found.bytes)),
            _ => Err(self.damaged(repository, "a file is missing")),
        });
        sizes.collect()
    }

    async fn check(
        &self,
        repository: &Repository,
        names: &[String],
    ) -> Result<Vec<Answer>, SourceError> {
        let call = Call {
            args: words(&["cat-file", "--batch-check", "--follow-symlinks"]),
            stdin: lines(names).into_bytes(),
            stdout_bytes: LISTING_BYTES,
            timeout: self.fetch_timeout,
            ..self.call(repository, Side::Copy)
        };
        let _shared = self.shared().await?;
        let output = self.git.run(call).await?;
        parse_answers(names, &output)
            .ok_or_else(|| self.damaged(repository, "unexpected answer from git cat-file"))
    }

    /// All files, links and submodules below a directory, sorted by path.
    pub(crate) async fn list(
        &self,
        repository: &Repository,
        directory: &Oid,
    ) -> Result<Vec<Entry>, SourceError> {
        let call = Call {
            args: words(&["ls-tree", "-r", "-z", "--full-tree", directory.as_str()]),
            stdout_bytes: LISTING_BYTES,
            ..self.call(repository, Side::Copy)
        };
        let output = {
            let _shared = self.shared().await?;
            self.git.run(call).await?
        };
        let records = output
            .split(|byte| *byte == 0)
            .filter(|record| !record.is_empty());
        records
            .map(|record| {
                parse_entry(record)
                    .unwrap_or_else(|| Err(self.damaged(repository, "a directory can't be read")))
            })
            .collect()
    }

    /// Fetches, in one request, those of `wanted` that are below `directory` and not in the copy yet.
    pub(crate) async fn complete(
        &self,
        repository: &Repository,
        directory: &Oid,
        wanted: &HashSet<Oid>,
    ) -> Result<(), SourceError> {
        let args = words(&[
            "rev-list",
            "--objects",
            "--missing=print",
            "--no-object-names",
            directory.as_str(),
        ]);
        let call = Call {
            args,
            stdout_bytes: LISTING_BYTES,
            ..self.call(repository, Side::Copy)
        };
        let output = {
            let _shared = self.shared().await?;
            self.git.run(call).await?
        };
        let output = String::from_utf8_lossy(&output);
        let absent = output
            .lines()
            .filter_map(|line| Oid::parse(line.strip_prefix('?')?).ok());
        let request = lines(
            absent
                .filter(|id| wanted.contains(id))
                .map(|id| id.to_string()),
        );
        if request.is_empty() {
            return Ok(());
        }
        // Without negotiation, as git itself does it for files it misses: there is nothing in common to speak of.
        let args = words(&[
            "-c",
            "fetch.negotiationAlgorithm=noop",
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--filter=blob:none",
            "--stdin",
            "--",
            "origin",
        ]);
        self.git.count_fetch();
        let _alone = self.alone().await?;
        let call = Call {
            args,
            stdin: request.into(),
            timeout: self.fetch_timeout,
            ..self.call(repository, Side::Server)
        };
        self.git.run(call).await.map(|_| ())
    }

    /// Contents of files by their ids. `total_bytes` is what they add up to.
    pub(crate) async fn contents(
        &self,
        repository: &Repository,
        ids: &[Oid],
        total_bytes: u64,
    ) -> Result<HashMap<Oid, Vec<u8>>, SourceError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let headers = ids.len().saturating_mul(120);
        let call = Call {
            args: words(&["cat-file", "--batch"]),
            stdin: lines(ids.iter().map(Oid::as_str)).into_bytes(),
            stdout_bytes: usize::try_from(total_bytes)
                .unwrap_or(usize::MAX)
                .saturating_add(headers),
            timeout: self.fetch_timeout,
            ..self.call(repository, Side::Copy)
        };
        let _shared = self.shared().await?;
        let output = self.git.run(call).await?;
        parse_contents(ids, &output).ok_or_else(|| self.damaged(repository, "a file can't be read"))
    }

    /// What a pointer to Git LFS stands for, from the repository's server.
    pub(crate) async fn large_file(
        &self,
        repository: &Repository,
        pointer: &Pointer,
    ) -> Result<Vec<u8>, SourceError> {
        self.git
            .large_file(repository, pointer, self.fetch_timeout)
            .await
    }

    /// Author's name, e-mail address, commit time and subject, as git prints them.
    pub(crate) async fn describe(
        &self,
        repository: &Repository,
        commit: &Oid,
    ) -> Result<[String; 4], SourceError> {
        let _shared = self.shared().await?;
        let name = Self::name(repository, commit);
        let format = "--format=%an%x00%ae%x00%ct%x00%s";
        let log = [
            "log",
            "-1",
            "--no-show-signature",
            "--no-notes",
            "--encoding=UTF-8",
            format,
            &name,
            "--",
        ];
        let output = self.local(repository, &log).await?;
        let text = String::from_utf8_lossy(&output).into_owned();
        let fields: Vec<String> = text
            .trim_end_matches('\n')
            .splitn(4, '\0')
            .map(str::to_owned)
            .collect();
        fields
            .try_into()
            .map_err(|_| self.damaged(repository, "a commit can't be read"))
    }

    pub(super) fn damaged(&self, repository: &Repository, detail: &str) -> SourceError {
        tracing::debug!(directory = %self.directory.display(), detail, "damaged copy");
        SourceError::Corrupt {
            url: repository.url().to_string(),
            detail: detail.to_owned(),
        }
    }
}
