//! One commit of one repository, or one artifact of a registry, ready to be read.

mod locate;

use std::pin::Pin;
use std::sync::Arc;

pub(crate) use locate::{Directory, Place};

use crate::files::{self, FileSet, Wanted};
use crate::lfs::LfsMode;
use crate::mirror::Mirror;
use crate::settings::FileLimits;
use crate::submodule::{SubmoduleMode, Submodules};
use crate::text::one_line;
use crate::url::Transport;
use crate::{GitRef, Oid, RepoPath, Repository, SourceError, SourceHub};

/// A commit whose local copy is complete. Cheap to clone. Nothing is written to disk as files: contents are read from
/// the copy's objects.
#[derive(Debug, Clone)]
pub struct Checkout {
    mirror: Arc<Mirror>,
    repository: Repository,
    commit: Oid,
    reference: GitRef,
    limits: FileLimits,
    /// None: they are not read.
    submodules: Option<Submodules>,
    lfs: LfsMode,
}

/// Who made a commit, when, and what for. Foreign text: shortened and without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// The commit's id.
    pub id: Oid,
    /// The author's name.
    pub author_name: String,
    /// The author's e-mail address.
    pub author_email: String,
    /// When it was committed, in seconds since 1970. The committer says so; it proves nothing.
    pub committed_at_seconds: i64,
    /// The first line of the message.
    pub subject: String,
}

impl Checkout {
    pub(crate) async fn open(
        mirror: Arc<Mirror>,
        repository: Repository,
        commit: Oid,
        reference: GitRef,
        limits: FileLimits,
    ) -> Result<Self, SourceError> {
        mirror.ensure(&repository, &commit, &reference).await?;
        Ok(Self {
            mirror,
            repository,
            commit,
            reference,
            limits,
            submodules: None,
            lfs: LfsMode::Refuse,
        })
    }

    /// As it is, with submodules read or not. Those on the way to what is read are fetched when it is.
    #[must_use]
    pub fn through_submodules(mut self, mode: SubmoduleMode, hub: &SourceHub) -> Self {
        self.submodules = match mode {
            SubmoduleMode::Refuse => None,
            SubmoduleMode::Fetch => Some(Submodules::new(hub.clone())),
        };
        self
    }

    /// As it is, with these submodules.
    pub(crate) fn with(mut self, submodules: Submodules) -> Self {
        self.submodules = Some(submodules);
        self
    }

    /// As it is, with files in Git LFS fetched where they are read, or refused.
    #[must_use]
    pub fn through_lfs(mut self, mode: LfsMode) -> Self {
        self.lfs = mode;
        self
    }

    pub(crate) fn lfs_mode(&self) -> LfsMode {
        self.lfs
    }

    pub(crate) fn limits(&self) -> FileLimits {
        self.limits
    }

    pub(crate) fn submodule_mode(&self) -> SubmoduleMode {
        match self.submodules {
            None => SubmoduleMode::Refuse,
            Some(_) => SubmoduleMode::Fetch,
        }
    }

    /// The commit's id.
    pub fn commit(&self) -> &Oid {
        &self.commit
    }

    /// The repository it is from.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Author, time and subject of the commit.
    pub async fn describe(&self) -> Result<CommitInfo, SourceError> {
        let attempt = async || self.mirror.describe(&self.repository, &self.commit).await;
        let [name, email, seconds, subject] = match attempt().await {
            Err(error) if self.repaired(&error).await? => attempt().await?,
            result => result?,
        };
        Ok(CommitInfo {
            id: self.commit.clone(),
            author_name: one_line(&name, 128),
            author_email: one_line(&email, 128),
            committed_at_seconds: seconds.parse().unwrap_or_default(),
            subject: one_line(&subject, 256),
        })
    }

    /// Git's id of a directory's content: equal for two commits exactly when nothing below the path differs.
    pub async fn tree_id(&self, path: &RepoPath) -> Result<Oid, SourceError> {
        Ok(self.directory(path).await?.tree)
    }

    /// Reads the files below a directory.
    pub(crate) async fn files(
        &self,
        directory: &RepoPath,
        wanted: Wanted,
    ) -> Result<FileSet, SourceError> {
        let start = self.directory(directory).await?;
        let attempt = async || files::collect(self, directory, &start, wanted, self.limits).await;
        match attempt().await {
            Err(error) if self.repaired(&error).await? => attempt().await,
            result => result,
        }
    }

    /// Reads single files.
    pub(crate) async fn named_files(&self, paths: &[RepoPath]) -> Result<FileSet, SourceError> {
        let attempt = async || files::named(self, paths, self.limits).await;
        match attempt().await {
            Err(error) if self.repaired(&error).await? => attempt().await,
            result => result,
        }
    }

    /// What it is called in messages.
    pub(crate) fn label(&self) -> String {
        match self.repository.url().transport() {
            Transport::Registry => format!("the artifact sha256:{}", self.commit),
            _ => format!("commit {}", self.commit),
        }
    }

    pub(crate) fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Whether the error was a damaged copy, of this repository or one of its submodules, that now is whole again.
    fn repaired<'a>(
        &'a self,
        error: &'a SourceError,
    ) -> Pin<Box<dyn Future<Output = Result<bool, SourceError>> + Send + 'a>> {
        Box::pin(async move {
            let SourceError::Corrupt { url, .. } = error else {
                return Ok(false);
            };
            if url == self.repository.url().as_str() {
                self.mirror
                    .repair(&self.repository, &self.commit, &self.reference)
                    .await?;
                return Ok(true);
            }
            let opened = match &self.submodules {
                Some(submodules) => submodules.opened().await,
                None => Vec::new(),
            };
            for submodule in opened {
                if submodule.repaired(error).await? {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }
}
