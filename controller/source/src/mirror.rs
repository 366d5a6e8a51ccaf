//! The local copy of one repository, as one credential sees it.
//!
//! Invariant: `refs/belay/keep/<id>` exists exactly for commits whose trees are complete in the copy (their files come
//! when they are read, where the server can send them apart). Whatever changes the copy holds its lock alone; readers
//! share it. The copy is a cache: damaged, too large or deleted, it is built anew. Fetches ask for single commits
//! without history, so a rewritten branch is nothing special.

mod artifacts;
mod gitmodules;
mod lock;
mod objects;
mod push;
mod upkeep;
mod verify;
mod walk;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::RwLock;

use crate::git::{Call, Extra, Git, Side, words};
use crate::repository::RepositoryKey;
use crate::settings::SourceSettings;
use crate::{GitRef, Oid, Repository, SourceError};

pub(crate) use objects::{Entry, EntryKind, Found, Lookup, ObjectKind};
pub(crate) use push::Push;
pub(crate) use walk::{Crossing, Trace};

/// Present in a copy that was set up to its end.
const MARKER: &str = "belay-mirror";
/// Commits kept for which no new fetch is needed.
const KEPT_COMMITS: usize = 64;
const LOCAL_TIMEOUT: Duration = Duration::from_mins(1);
const SMALL_OUTPUT_BYTES: usize = 1 << 20;

/// What checks signatures.
#[derive(Debug)]
struct Programs {
    gpg: PathBuf,
    ssh_keygen: PathBuf,
}

/// A bare repository in the cache directory.
#[derive(Debug)]
pub(crate) struct Mirror {
    git: Arc<Git>,
    directory: PathBuf,
    fetch_timeout: Duration,
    limit_bytes: u64,
    programs: Programs,
    /// Orders the tasks of this process; the lock file orders processes.
    gate: RwLock<()>,
    /// Commits known to be complete, oldest first.
    kept: Mutex<VecDeque<Oid>>,
    /// Signatures that were accepted.
    accepted: verify::Accepted,
}

impl Mirror {
    pub(crate) fn new(
        git: Arc<Git>,
        cache: &Path,
        key: &RepositoryKey,
        settings: &SourceSettings,
    ) -> Self {
        Self {
            git,
            directory: cache.join(key.digest()),
            fetch_timeout: settings.fetch_timeout,
            limit_bytes: settings.repository_limit_bytes,
            programs: Programs {
                gpg: settings.gpg_program.clone(),
                ssh_keygen: settings.ssh_keygen_program.clone(),
            },
            gate: RwLock::new(()),
            kept: Mutex::default(),
            accepted: verify::Accepted::default(),
        }
    }

    /// Makes sure that the commit is in the copy. `reference` is what it was resolved from.
    pub(crate) async fn ensure(
        &self,
        repository: &Repository,
        commit: &Oid,
        reference: &GitRef,
    ) -> Result<(), SourceError> {
        if artifacts::is_registry(repository) {
            if self.has(repository, commit).await? {
                return Ok(());
            }
            return Err(self.damaged(repository, "an artifact is not in it any more"));
        }
        self.git.admit(repository)?;
        if self.remembers(commit) {
            return Ok(());
        }
        let _alone = self.alone().await?;
        if self.remembers(commit) || self.holds(repository, commit).await? {
            self.remember(commit);
            return Ok(());
        }
        let result = self.fetch_commit(repository, commit, reference).await;
        let result = match result {
            Err(SourceError::Corrupt { .. }) => {
                self.start_over(repository, commit, reference).await
            }
            Err(SourceError::Unexpected { .. }) if !self.is_healthy(repository).await => {
                self.start_over(repository, commit, reference).await
            }
            result => result,
        };
        result?;
        self.remember(commit);
        self.tidy(repository, commit, reference).await
    }

    /// Builds the copy anew after damage was seen while reading `commit`. Another reader may have done so before.
    pub(crate) async fn repair(
        &self,
        repository: &Repository,
        commit: &Oid,
        reference: &GitRef,
    ) -> Result<(), SourceError> {
        let alone = self.alone().await?;
        if self.remembers(commit) {
            tracing::warn!(url = %repository.url(), "the local copy is damaged and is built anew");
            self.wipe().await?;
        }
        drop(alone);
        self.ensure(repository, commit, reference).await
    }

    async fn start_over(
        &self,
        repository: &Repository,
        commit: &Oid,
        reference: &GitRef,
    ) -> Result<(), SourceError> {
        tracing::warn!(url = %repository.url(), "the local copy is damaged and is built anew");
        self.wipe().await?;
        self.fetch_commit(repository, commit, reference).await
    }

    async fn fetch_commit(
        &self,
        repository: &Repository,
        commit: &Oid,
        reference: &GitRef,
    ) -> Result<(), SourceError> {
        self.prepare(repository, commit).await?;
        let keep = keep_ref(commit);
        let shallow = ["--depth=1", "--filter=blob:none"];
        let by_id = self
            .fetch(repository, &shallow, &[format!("+{commit}:{keep}")])
            .await;
        match by_id {
            Err(SourceError::RefNotFound { .. }) => {}
            Err(error) => return Err(error),
            Ok(()) => return self.confirm(repository, commit, reference).await,
        }
        // Servers that give nothing by id are asked by name.
        if let Some(name) = reference.full_name() {
            self.fetch(repository, &shallow, &[format!("+{name}:refs/belay/tip")])
                .await?;
        } else {
            let everything =
                ["heads", "tags"].map(|kind| format!("+refs/{kind}/*:refs/belay/all/{kind}/*"));
            let unbounded = ["--depth=2147483647", "--filter=blob:none"];
            self.fetch(repository, &unbounded, &everything).await?;
        }
        let moved = || SourceError::Superseded {
            url: repository.url().to_string(),
            wanted: reference.to_string(),
        };
        let gone = || missing(repository, reference);
        let lost = if reference.full_name().is_some() {
            moved()
        } else {
            gone()
        };
        let present = self
            .local(
                repository,
                &["cat-file", "-e", &format!("{commit}^{{commit}}")],
            )
            .await;
        present.map_err(|_| lost)?;
        self.local(repository, &["update-ref", &keep, commit.as_str()])
            .await?;
        self.confirm(repository, commit, reference).await
    }

    async fn fetch(
        &self,
        repository: &Repository,
        options: &[&str],
        refspecs: &[String],
    ) -> Result<(), SourceError> {
        let mut args = words(&[
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
        ]);
        args.extend(words(options));
        args.extend(words(&["--", "origin"]));
        args.extend(refspecs.iter().map(Into::into));
        self.git.count_fetch();
        let call = Call {
            args,
            timeout: self.fetch_timeout,
            ..self.call(repository, Side::Server)
        };
        self.git.run(call).await.map(|_| ())
    }

    /// Refuses ids that are not commits (a tree or a tag object can be named by id too).
    async fn confirm(
        &self,
        repository: &Repository,
        commit: &Oid,
        reference: &GitRef,
    ) -> Result<(), SourceError> {
        let kind = self
            .local(repository, &["cat-file", "-t", commit.as_str()])
            .await?;
        if kind.trim_ascii() == b"commit" {
            return Ok(());
        }
        self.local(repository, &["update-ref", "-d", &keep_ref(commit)])
            .await?;
        Err(missing(repository, reference))
    }

    /// Sets the copy up when it isn't, and removes what a killed git left behind.
    async fn prepare(&self, repository: &Repository, commit: &Oid) -> Result<(), SourceError> {
        if self.directory.join(MARKER).exists() {
            upkeep::note_use(&self.directory);
            return lock::remove_leftovers(&self.directory);
        }
        self.wipe().await?;
        upkeep::sweep(&self.directory).await?;
        let format = format!("--object-format={}", commit.object_format());
        let directory = self.directory.to_string_lossy();
        let init = [
            "init",
            "--quiet",
            "--bare",
            "--template=",
            &format,
            "--",
            &directory,
        ];
        self.local(repository, &init).await?;
        self.local(
            repository,
            &["config", "remote.origin.url", repository.url().as_str()],
        )
        .await?;
        std::fs::write(self.directory.join(MARKER), repository.url().as_str())
            .map_err(SourceError::cache)
    }

    async fn holds(&self, repository: &Repository, commit: &Oid) -> Result<bool, SourceError> {
        if !self.directory.join(MARKER).exists() {
            return Ok(false);
        }
        // Whatever is wrong with the copy shows at the fetch that follows.
        Ok(self
            .local(
                repository,
                &["show-ref", "--verify", "--quiet", &keep_ref(commit)],
            )
            .await
            .is_ok())
    }

    async fn is_healthy(&self, repository: &Repository) -> bool {
        self.local(
            repository,
            &[
                "fsck",
                "--connectivity-only",
                "--no-dangling",
                "--no-progress",
            ],
        )
        .await
        .is_ok()
    }

    async fn local(&self, repository: &Repository, args: &[&str]) -> Result<Vec<u8>, SourceError> {
        self.git
            .run(Call {
                args: words(args),
                ..self.call(repository, Side::Copy)
            })
            .await
    }

    fn call<'a>(&'a self, repository: &'a Repository, side: Side) -> Call<'a> {
        Call {
            operation: match side {
                Side::Server => "fetching",
                Side::Copy => "reading the local copy of",
            },
            repository,
            git_dir: Some(&self.directory),
            side,
            args: Vec::new(),
            stdin: Vec::new(),
            timeout: LOCAL_TIMEOUT,
            stdout_bytes: SMALL_OUTPUT_BYTES,
            extra: Extra::default(),
        }
    }

    fn remembers(&self, commit: &Oid) -> bool {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(commit)
    }

    fn remember(&self, commit: &Oid) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|known| known != commit);
        kept.push_back(commit.clone());
        if kept.len() > KEPT_COMMITS {
            kept.pop_front();
        }
    }
}

/// The name under which a whole commit is kept.
pub(crate) fn keep_ref(commit: &Oid) -> String {
    format!("refs/belay/keep/{commit}")
}

fn missing(repository: &Repository, reference: &GitRef) -> SourceError {
    SourceError::RefNotFound {
        url: repository.url().to_string(),
        wanted: reference.to_string(),
    }
}
