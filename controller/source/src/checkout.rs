//! One commit of one repository, ready to be read.

use std::sync::Arc;

use crate::files::{self, FileSet, Wanted};
use crate::mirror::{Found, Lookup, Mirror, ObjectKind};
use crate::settings::FileLimits;
use crate::text::one_line;
use crate::{GitRef, Oid, RepoPath, Repository, SourceError};

/// A commit whose local copy is complete. Cheap to clone. Nothing is written to disk as files: contents are read from
/// the copy's objects.
#[derive(Debug, Clone)]
pub struct Checkout {
    mirror: Arc<Mirror>,
    repository: Repository,
    commit: Oid,
    reference: GitRef,
    limits: FileLimits,
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
        })
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
        match self.follow(&[path.as_str().to_owned()]).await?.pop() {
            Some(Lookup::Found(Found {
                id,
                kind: ObjectKind::Directory,
                ..
            })) => Ok(id),
            Some(Lookup::Outside) => Err(SourceError::refused(
                format!("the path {:?}", path.to_string()),
                "it is a symbolic link that leaves the repository; commit the directory itself",
            )),
            _ => Err(SourceError::PathNotFound {
                path: path.to_string(),
                commit: self.commit.to_string(),
            }),
        }
    }

    /// What each path leads to, through symbolic links inside the repository.
    pub(crate) async fn follow(&self, paths: &[String]) -> Result<Vec<Lookup>, SourceError> {
        let attempt = async || {
            self.mirror
                .follow(&self.repository, &self.commit, paths)
                .await
        };
        match attempt().await {
            Err(error) if self.repaired(&error).await? => attempt().await,
            result => result,
        }
    }

    /// Reads the files below a directory.
    pub(crate) async fn files(
        &self,
        directory: &RepoPath,
        wanted: Wanted,
    ) -> Result<FileSet, SourceError> {
        let tree = self.tree_id(directory).await?;
        let attempt = async || files::collect(self, directory, &tree, wanted, self.limits).await;
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

    pub(crate) fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Whether the error was a damaged copy that now is whole again.
    async fn repaired(&self, error: &SourceError) -> Result<bool, SourceError> {
        if !matches!(error, SourceError::Corrupt { .. }) {
            return Ok(false);
        }
        self.mirror
            .repair(&self.repository, &self.commit, &self.reference)
            .await?;
        Ok(true)
    }
}
