//! The part of a Release's spec that says what to look at.

use std::time::Duration;

use belay_api::{Release, release};
use belay_source::{GitRef, SourceError, SubmoduleMode};
use kube::ResourceExt as _;

/// What to look at.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) account: String,
    pub(super) git: release::Git,
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
            git: release.spec.source.git.clone(),
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
        self.git.verify.as_ref()
    }

    pub(super) fn interval(&self) -> Duration {
        self.git.interval.get()
    }

    pub(super) fn reference(&self) -> Result<GitRef, SourceError> {
        let reference = &self.git.reference;
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

    pub(super) fn submodules(&self) -> SubmoduleMode {
        match self.git.submodules {
            release::Submodules::Refuse => SubmoduleMode::Refuse,
            release::Submodules::Fetch => SubmoduleMode::Fetch,
        }
    }

    pub(super) fn git(&self) -> &release::Git {
        &self.git
    }
}
