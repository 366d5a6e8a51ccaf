//! All repositories of a controller: one local copy and one look at the server per URL and credential identity.
//!
//! Invariant: however many subscribers a repository has, it is asked for its references once per interval (the shortest
//! of theirs), plus once after a [`SourceHub::poke`]. Subscribers hear of a look only when it changed something.

mod artifacts;
mod poll;
mod publish;

use std::collections::{BTreeSet, HashMap};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::access;
use crate::checkout::Checkout;
use crate::git::Git;
use crate::mirror::Mirror;
use crate::repository::RepositoryKey;
use crate::ssh::SshPrograms;
use crate::{
    Candidate, GitRef, Oid, RefListing, Repository, Signature, SignaturePolicy, SourceError,
    SourceSettings,
};

use poll::Poll;
pub use poll::{Observation, Subscription};
pub use publish::Publication;

/// No run takes this long.
const STALE_AFTER: Duration = Duration::from_hours(1);

/// Entry point to Git for a whole controller. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SourceHub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    git: Arc<Git>,
    settings: SourceSettings,
    mirrors_directory: PathBuf,
    mirrors: Mutex<HashMap<RepositoryKey, Arc<Mirror>>>,
    polls: Mutex<HashMap<RepositoryKey, Arc<Poll>>>,
}

/// Requests to Git servers since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestCounts {
    /// Looks at a server's references.
    pub listings: u64,
    /// Fetches of objects.
    pub fetches: u64,
}

impl SourceHub {
    /// Prepares the cache directory. Reaches no server yet.
    pub fn new(settings: SourceSettings) -> Result<Self, SourceError> {
        private_directory(&settings.cache_directory)?;
        let cache = settings
            .cache_directory
            .canonicalize()
            .map_err(SourceError::cache)?;
        let [home, scratch, mirrors_directory] =
            ["home", "scratch", "mirrors"].map(|name| cache.join(name));
        for directory in [&home, &scratch, &mirrors_directory] {
            private_directory(directory)?;
        }
        remove_stale(&scratch);
        remove_stale(Path::new(access::MEMORY));
        let ssh = SshPrograms::new(settings.ssh_program.clone(), &cache)?;
        let git = Arc::new(Git::new(&settings, home, scratch, ssh));
        let (mirrors, polls) = (Mutex::default(), Mutex::default());
        Ok(Self(Arc::new(Inner {
            git,
            settings,
            mirrors_directory,
            mirrors,
            polls,
        })))
    }

    /// Watches a repository's references, looking at least every `interval`.
    ///
    /// Must be called within a tokio runtime. The first look starts at once, unless the repository is watched already.
    pub fn subscribe(
        &self,
        repository: &Repository,
        interval: Duration,
    ) -> Result<Subscription, SourceError> {
        self.0.git.admit(repository)?;
        Ok(Subscription::join(&self.0, repository, interval))
    }

    /// Looks at a repository soon instead of at its next turn. Does nothing when nobody watches it.
    pub fn poke(&self, repository: &Repository) {
        if let Some(poll) = self.0.polls().get(&repository.key()) {
            poll.poke();
        }
    }

    /// Looks at a repository's references now, apart from all subscriptions.
    pub async fn list(&self, repository: &Repository) -> Result<RefListing, SourceError> {
        self.0.git.list(repository, &BTreeSet::new()).await
    }

    /// Brings a commit onto this machine. `reference` is what it was resolved from, or the commit itself.
    pub async fn checkout(
        &self,
        repository: &Repository,
        reference: &GitRef,
        commit: &Oid,
    ) -> Result<Checkout, SourceError> {
        let mirror = self.0.mirror(repository);
        let limits = self.0.settings.files;
        Checkout::open(
            mirror,
            repository.clone(),
            commit.clone(),
            reference.clone(),
            limits,
        )
        .await
    }

    /// The candidate whose commit is the newest; of equally new ones the last. Brings several candidates onto this machine.
    pub async fn newest(
        &self,
        repository: &Repository,
        candidates: &[Candidate],
    ) -> Result<Candidate, SourceError> {
        if let [only] = candidates {
            return Ok(only.clone());
        }
        let mut newest: Option<(i64, &Candidate)> = None;
        for candidate in candidates {
            let checkout = self
                .checkout(repository, &candidate.reference, &candidate.commit)
                .await?;
            let seconds = checkout.describe().await?.committed_at_seconds;
            if newest.is_none_or(|(known, _)| seconds >= known) {
                newest = Some((seconds, candidate));
            }
        }
        newest
            .map(|(_, candidate)| candidate.clone())
            .ok_or_else(|| SourceError::EmptyRepository {
                url: repository.url().to_string(),
            })
    }

    /// Checks the signatures that are asked for, and says whose they are. A commit that was accepted with the same keys is not checked
    /// again.
    pub async fn verify(
        &self,
        repository: &Repository,
        candidate: &Candidate,
        policy: &SignaturePolicy,
    ) -> Result<Vec<Signature>, SourceError> {
        let mirror = self.0.mirror(repository);
        let (reference, commit) = (&candidate.reference, &candidate.commit);
        mirror.ensure(repository, commit, reference).await?;
        mirror.verify(repository, candidate, policy).await
    }

    /// Requests to Git servers since the start.
    pub fn counts(&self) -> RequestCounts {
        let (listings, fetches) = self.0.git.counts();
        RequestCounts { listings, fetches }
    }
}

impl Inner {
    fn polls(&self) -> MutexGuard<'_, HashMap<RepositoryKey, Arc<Poll>>> {
        self.polls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mirror(&self, repository: &Repository) -> Arc<Mirror> {
        let key = repository.key();
        let mut mirrors = self.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Arc::new(Mirror::new(
                Arc::clone(&self.git),
                &self.mirrors_directory,
                &key,
                &self.settings,
            ))
        };
        Arc::clone(mirrors.entry(key.clone()).or_insert_with(new))
    }
}

/// Removes folders of runs that a killed process left behind. Another process may be using younger ones.
fn remove_stale(scratch: &Path) {
    for entry in std::fs::read_dir(scratch).into_iter().flatten().flatten() {
        let made = entry.metadata().and_then(|data| data.modified());
        let is_ours = entry
            .file_name()
            .to_string_lossy()
            .starts_with(access::PREFIX);
        let age = made.ok().and_then(|made| made.elapsed().ok());
        if is_ours && age.is_some_and(|age| age > STALE_AFTER) {
            // What can't be removed is tried again at the next start.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Copies of private repositories are for the controller's user alone.
fn private_directory(path: &Path) -> Result<(), SourceError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(SourceError::cache)
}
