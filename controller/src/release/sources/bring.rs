//! What one revision means: fetched, checked and rendered.

use std::sync::Arc;

use belay_api::release::{Git, Origin, VerifyMode};
use belay_source::{Candidate, Checkout, GitRef, Oid, RenderError, Rendered, Signature};

use super::{
    Request, Tools,
    request::{lfs, submodules},
    trouble::Trouble,
};

/// What one commit or artifact means.
pub(super) struct Brought {
    pub(super) rendered: Arc<Rendered>,
    pub(super) signatures: Vec<Signature>,
}

impl Tools {
    /// The objects of one commit, once its signatures are accepted.
    pub(super) async fn render(
        &self,
        request: &Request,
        candidate: &Candidate,
    ) -> Result<Brought, Trouble> {
        let (checkout, signatures) = match request.origin()? {
            Origin::Git(git) => self.commit(request, git, candidate).await?,
            Origin::Oci(oci) => {
                let artifact = self.artifact(request, oci, &candidate.commit).await?;
                (artifact, Vec::new())
            }
        };
        let contents = self.inputs.follow(&request.inputs())?.read().await?;
        let rendering = request
            .rendering(&self.cluster, &self.charts, &contents)
            .await?;
        let rendered = match self.renderer.render(&checkout, &rendering).await {
            Err(RenderError::EmptyRender { .. }) if request.allow_empty => {
                Arc::new(Rendered::nothing())
            }
            rendered => rendered?,
        };
        Ok(Brought {
            rendered: request.with_images(rendered)?,
            signatures,
        })
    }

    /// A commit whose signatures are accepted.
    async fn commit(
        &self,
        request: &Request,
        git: &Git,
        candidate: &Candidate,
    ) -> Result<(Checkout, Vec<Signature>), Trouble> {
        let repository = self.repository(request).await?;
        let hub = self.hub().await?;
        let signatures = match self.policy(request).await? {
            Some(policy) => hub.verify(&repository, candidate, &policy).await?,
            None => Vec::new(),
        };
        let checkout = hub
            .checkout(&repository, &candidate.reference, &candidate.commit)
            .await?
            .through_submodules(submodules(git), hub)
            .through_lfs(lfs(git));
        Ok((checkout, signatures))
    }

    /// The commit of a revision such as `v1.2.3@sha1:1f0c…`, with the tag object where a signature on it is asked for.
    pub(super) async fn candidate(
        &self,
        request: &Request,
        revision: &str,
    ) -> Result<Candidate, Trouble> {
        let (before, commit) = revision
            .rsplit_once(':')
            .ok_or_else(|| Trouble::unavailable("the revision names no commit"))?;
        let label = before.rsplit_once('@').map(|(label, _)| label);
        let commit = Oid::parse(commit)?;
        let is_tag = request
            .verify()
            .is_some_and(|verify| verify.mode != VerifyMode::Head);
        let Some(label) = label.filter(|_| is_tag) else {
            return Ok(Candidate::of_commit(commit));
        };
        let tag = match label.strip_prefix("refs/tags/") {
            Some(name) => GitRef::tag(name)?,
            None => GitRef::tag(label)?,
        };
        let repository = self.repository(request).await?;
        let listing = self.hub().await?.list(&repository).await?;
        let found = listing.candidates(&tag)?.into_iter();
        let mut same = found.filter(|candidate| candidate.commit == commit);
        same.next()
            .ok_or_else(|| Trouble::unavailable(format!("{tag} has moved away from {commit}")))
    }

    /// Of several tags with one version, the one whose commit is the newest.
    pub(super) async fn newest(
        &self,
        request: &Request,
        candidates: &[Candidate],
    ) -> Result<Candidate, Trouble> {
        if let [only] = candidates {
            return Ok(only.clone());
        }
        let repository = self.repository(request).await?;
        Ok(self.hub().await?.newest(&repository, candidates).await?)
    }
}
