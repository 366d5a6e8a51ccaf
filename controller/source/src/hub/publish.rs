//! A name on the server that follows commits which were found to be good, for others to follow.
//!
//! Invariant: what somebody else put there is never lost: it is moved only if the commit comes after it. What was put there
//! by the caller may be moved anywhere. Between the look and the push nobody can come in unnoticed.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::SourceHub;
use crate::git::{Call, Extra, Side, words};
use crate::mirror::Push;
use crate::{GitRef, Oid, Repository, SourceError};

/// Looks and pushes of one call, when others write to the same name.
const ATTEMPTS: usize = 5;
const LOCAL_TIMEOUT: Duration = Duration::from_secs(30);
const SMALL_OUTPUT_BYTES: usize = 1 << 16;

/// What became of a commit that was to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publication {
    /// The name is at the commit.
    Done,
    /// Somebody else has put a commit there that comes after this one; it stays.
    Newer(Oid),
}

/// How what is there relates to the commit that is to be put there.
enum Relation {
    /// It comes before.
    Earlier,
    /// It comes after.
    Later,
    Unrelated,
}

impl SourceHub {
    /// Puts `commit` under `reference`. `ours` is what the caller put there last, which may be moved in any direction.
    pub async fn publish(
        &self,
        repository: &Repository,
        reference: &GitRef,
        commit: &Oid,
        ours: Option<&Oid>,
    ) -> Result<Publication, SourceError> {
        let name = reference.full_name().ok_or_else(|| {
            SourceError::refused(
                "publishing under something that is no name",
                "write a reference in full, for example refs/heads/env/prod",
            )
        })?;
        for _ in 0..ATTEMPTS {
            let there = self.value(repository, reference).await?;
            if there.as_ref() == Some(commit) {
                return Ok(Publication::Done);
            }
            if let Some(theirs) = there.as_ref().filter(|there| Some(*there) != ours) {
                match self.relation(repository, commit, theirs).await? {
                    Relation::Earlier => {}
                    Relation::Later => return Ok(Publication::Newer(theirs.clone())),
                    Relation::Unrelated => return Err(foreign(repository, &name, theirs)),
                }
            }
            let by_id = GitRef::commit(commit.as_str())?;
            let mirror = self.0.mirror(repository);
            mirror.ensure(repository, commit, &by_id).await?;
            let pushed = mirror.push(repository, &name, commit, there.as_ref());
            if pushed.await? == Push::Done {
                return Ok(Publication::Done);
            }
        }
        Err(SourceError::Unexpected {
            operation: format!("moving {name} of {}", repository.url()),
            detail: "others move it all the time; it is tried again by itself".to_owned(),
        })
    }

    /// Where the name is now.
    async fn value(
        &self,
        repository: &Repository,
        reference: &GitRef,
    ) -> Result<Option<Oid>, SourceError> {
        let named: BTreeSet<String> = reference
            .listed_by_name()
            .map(str::to_owned)
            .into_iter()
            .collect();
        let listing = self.0.git.list(repository, &named).await?;
        match listing.resolve(reference) {
            Ok(there) => Ok(Some(there)),
            Err(SourceError::RefNotFound { .. } | SourceError::EmptyRepository { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asked only when somebody else wrote the name: local copies have no history, so that of both commits is fetched, without
    /// trees and files where the server can leave them out.
    async fn relation(
        &self,
        repository: &Repository,
        commit: &Oid,
        theirs: &Oid,
    ) -> Result<Relation, SourceError> {
        let cache = &self.0.settings.cache_directory;
        let scratch = tempfile::tempdir_in(cache).map_err(SourceError::cache)?;
        let directory = scratch.path();
        let shown = directory.to_string_lossy();
        let format = format!("--object-format={}", commit.object_format());
        let init = [
            "init",
            "--quiet",
            "--bare",
            "--template=",
            &format,
            "--",
            &shown,
        ];
        self.local(repository, directory, &init).await?;
        let url = repository.url().as_str();
        let remote = ["config", "remote.origin.url", url];
        self.local(repository, directory, &remote).await?;
        let mut args = words(&["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"]);
        args.extend(words(&[
            "--no-recurse-submodules",
            "--filter=tree:0",
            "--",
            "origin",
        ]));
        args.push(format!("+{commit}:refs/belay/ours").into());
        args.push(format!("+{theirs}:refs/belay/theirs").into());
        self.0.git.count_fetch();
        let fetch = Call {
            operation: "fetching the history of",
            args,
            timeout: self.0.settings.fetch_timeout,
            ..call(repository, directory, Side::Server)
        };
        self.0.git.run(fetch).await?;
        let base = ["merge-base", commit.as_str(), theirs.as_str()];
        // Without a common ancestor git says nothing, and ends with a failure.
        let base = match self.local(repository, directory, &base).await {
            Ok(base) => String::from_utf8_lossy(&base).trim().to_owned(),
            Err(SourceError::Corrupt { .. }) => String::new(),
            Err(error) => return Err(error),
        };
        Ok(if base == theirs.as_str() {
            Relation::Earlier
        } else if base == commit.as_str() {
            Relation::Later
        } else {
            Relation::Unrelated
        })
    }

    async fn local(
        &self,
        repository: &Repository,
        directory: &Path,
        args: &[&str],
    ) -> Result<Vec<u8>, SourceError> {
        let call = Call {
            args: words(args),
            ..call(repository, directory, Side::Copy)
        };
        self.0.git.run(call).await
    }
}

fn call<'a>(repository: &'a Repository, directory: &'a Path, side: Side) -> Call<'a> {
    Call {
        operation: "reading the history of",
        repository,
        git_dir: Some(directory),
        side,
        args: Vec::new(),
        stdin: Vec::new(),
        timeout: LOCAL_TIMEOUT,
        stdout_bytes: SMALL_OUTPUT_BYTES,
        extra: Extra::default(),
    }
}

fn foreign(repository: &Repository, name: &str, theirs: &Oid) -> SourceError {
    let there = theirs.as_str().get(..10).unwrap_or(theirs.as_str());
    SourceError::refused(
        format!("moving {name} of {}", repository.url()),
        format!(
            "somebody else put {there} there, which is on another line of history; delete the reference, or publish under another name"
        ),
    )
}
