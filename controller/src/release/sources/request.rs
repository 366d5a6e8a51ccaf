//! The part of a Release's spec that says what to look at.

use std::time::Duration;

use belay_api::{Release, release};
use belay_source::{GitRef, HelmOptions, RenderKind, RenderRequest, RepoPath, SourceError};
use kube::ResourceExt as _;

use super::{cluster::Cluster, trouble::Trouble};

/// What to look at.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    namespace: String,
    name: String,
    git: release::Git,
    render: Option<release::Render>,
}

impl Request {
    pub(super) fn of(release: &Release) -> Self {
        Self {
            namespace: release.namespace().unwrap_or_default(),
            name: release.name_any(),
            git: release.spec.source.git.clone(),
            render: release.spec.render.clone(),
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

    /// What to render, with what a chart may know of the cluster.
    pub(super) async fn rendering(&self, cluster: &Cluster) -> Result<RenderRequest, Trouble> {
        let kind = match &self.render {
            Some(render) if render.kustomize.is_some() => RenderKind::Kustomize,
            Some(render) if render.plain.is_some() => RenderKind::Plain,
            Some(release::Render {
                helm: Some(helm), ..
            }) => RenderKind::Helm(Box::new(self.chart(helm, cluster).await?)),
            _ => RenderKind::Detect,
        };
        let path = RepoPath::parse(self.git.path.as_deref().unwrap_or_default())?;
        Ok(RenderRequest { path, kind })
    }

    async fn chart(&self, helm: &release::Helm, cluster: &Cluster) -> Result<HelmOptions, Trouble> {
        let name = helm.release_name.as_ref().unwrap_or(&self.name);
        let version = match &helm.kube_version {
            Some(version) => version.clone(),
            None => cluster.version().await.map_err(Trouble::passing)?,
        };
        let options = HelmOptions::new(name, &self.namespace)
            .values_files(&helm.values_files)?
            .kube_version(version)
            .api_versions(helm.api_versions.iter().cloned());
        Ok(if helm.values.is_empty() {
            options
        } else {
            options.values(&helm.values)
        })
    }

    pub(super) fn git(&self) -> &release::Git {
        &self.git
    }
}
