//! The part of a Release's spec that says what to look at.

use std::time::Duration;

use belay_api::{
    Release,
    release::{self, Origin},
};
use belay_source::{GitRef, LfsMode, SourceError, SubmoduleMode};
use kube::ResourceExt as _;

use super::trouble::Trouble;

/// What to look at.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) account: String,
    pub(super) source: release::Source,
    pub(super) render: Option<release::Render>,
    pub(super) decryption: Option<release::Decryption>,
    pub(super) images: Vec<release::Image>,
    /// Whether a source without any object is taken at its word.
    pub(super) allow_empty: bool,
}

impl Request {
    pub(super) fn of(release: &Release) -> Self {
        Self {
            namespace: release.namespace().unwrap_or_default(),
            name: release.name_any(),
            account: release.spec.service_account_name.clone(),
            source: release.spec.source.clone(),
            render: release.spec.render.clone(),
            decryption: release.spec.decryption.clone(),
            images: release.spec.images.clone(),
            allow_empty: release.spec.apply.allow_empty,
        }
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) fn verify(&self) -> Option<&release::Verify> {
        self.source.git.as_ref()?.verify.as_ref()
    }

    pub(super) fn interval(&self) -> Duration {
        self.source.interval().get()
    }

    /// The source that is given.
    pub(super) fn origin(&self) -> Result<Origin<'_>, Trouble> {
        let origin = self.source.origin();
        origin.ok_or_else(|| Trouble::unavailable("spec.source: give exactly one of git and oci"))
    }

    /// The repository, for what only Git can do.
    pub(super) fn git(&self) -> Result<&release::Git, Trouble> {
        match self.origin()? {
            Origin::Git(git) => Ok(git),
            Origin::Oci(_) => Err(Trouble::unavailable(
                "the source is an OCI artifact, and this needs a Git repository",
            )),
        }
    }
}

/// What becomes of submodules of a repository.
pub(super) fn submodules(git: &release::Git) -> SubmoduleMode {
    match git.submodules {
        release::Submodules::Refuse => SubmoduleMode::Refuse,
        release::Submodules::Fetch => SubmoduleMode::Fetch,
    }
}

/// What becomes of files of a repository that are in Git LFS.
pub(super) fn lfs(git: &release::Git) -> LfsMode {
    match git.lfs {
        release::Lfs::Refuse => LfsMode::Refuse,
        release::Lfs::Fetch => LfsMode::Fetch,
    }
}

/// What a Git repository is followed by.
pub(super) fn reference(reference: &release::GitRef) -> Result<GitRef, SourceError> {
    let prefix = reference.tag_prefix.as_deref().unwrap_or_default();
    if let Some(branch) = &reference.branch {
        GitRef::branch(branch)
    } else if let Some(tag) = &reference.tag {
        GitRef::tag(tag)
    } else if let Some(range) = &reference.semver {
        GitRef::versions(range, prefix)
    } else if let Some(name) = &reference.name {
        GitRef::named(name)
    } else {
        GitRef::commit(reference.commit.as_deref().unwrap_or_default())
    }
}
