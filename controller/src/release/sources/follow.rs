//! The task that follows one source.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use belay_api::Release;
use belay_engine::release::{
    observed::{Asked, Fault},
    status::Content,
};
use belay_source::{GitRef, Observation, Oid, Permanence, RenderError, Rendered, SourceError};
use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;

use super::{Request, Tools, digest, lock};
use crate::{apply::Failure, watch::Triggers};

/// First wait before something is tried again; doubles up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(2);

/// How long a credential that does not work is kept before the Secret is read again.
const CREDENTIAL_RETRY: Duration = Duration::from_secs(10);

/// Why a source can't be had or rendered.
#[derive(Debug)]
pub(super) struct Trouble {
    /// Where the fault lies: `Content` is a commit that can't be rendered.
    fault: Fault,
    message: String,
}

impl Trouble {
    pub(super) fn into_failure(self) -> Failure {
        Failure {
            fault: self.fault,
            message: self.message,
        }
    }

    /// May be gone at the next look.
    pub(super) fn passing(message: impl Into<String>) -> Self {
        Self {
            fault: Fault::Passing,
            message: message.into(),
        }
    }

    fn unavailable(message: impl Into<String>) -> Self {
        Self {
            fault: Fault::Environment,
            message: message.into(),
        }
    }
}

impl From<SourceError> for Trouble {
    fn from(error: SourceError) -> Self {
        let fault = match (&error, error.permanence()) {
            (SourceError::PathNotFound { .. } | SourceError::TooLarge { .. }, _) => Fault::Content,
            (_, Permanence::Permanent) => Fault::Environment,
            (_, Permanence::Transient) => Fault::Passing,
        };
        Self {
            fault,
            message: error.to_string(),
        }
    }
}

impl From<RenderError> for Trouble {
    fn from(error: RenderError) -> Self {
        let fault = if error.lies_in_content() {
            Fault::Content
        } else {
            match error {
                RenderError::Source(error) => return error.into(),
                _ => Fault::Environment,
            }
        };
        Self {
            fault,
            message: error.to_string(),
        }
    }
}

impl Tools {
    /// The objects of one commit.
    pub(super) async fn render(
        &self,
        request: &Request,
        reference: &GitRef,
        commit: &Oid,
    ) -> Result<Arc<Rendered>, Trouble> {
        let repository = request
            .repository(&self.client)
            .await
            .map_err(Trouble::unavailable)?;
        let checkout = self
            .hub()
            .await?
            .checkout(&repository, reference, commit)
            .await?;
        Ok(self
            .renderer
            .render(&checkout, &request.rendering(&self.cluster).await?)
            .await?)
    }
}

impl Tools {
    /// Of several tags with one version, the one whose commit is the newest.
    async fn newest(
        &self,
        request: &Request,
        candidates: &[(GitRef, Oid)],
    ) -> Result<(GitRef, Oid), Trouble> {
        if let [only] = candidates {
            return Ok(only.clone());
        }
        let repository = request
            .repository(&self.client)
            .await
            .map_err(Trouble::unavailable)?;
        Ok(self.hub().await?.newest(&repository, candidates).await?)
    }
}

struct Follower {
    tools: Arc<Tools>,
    request: Request,
    asked: Arc<Mutex<Asked>>,
    triggers: Triggers<Release>,
    release: ObjectRef<Release>,
    /// Name of the reference for people: `main`, `v1.2.3`, or nothing for a commit.
    label: Option<String>,
    /// Since when the source can't be had.
    trouble_since: Option<Timestamp>,
}

/// Follows a source for ever.
pub(super) async fn follow(
    tools: Arc<Tools>,
    request: Request,
    asked: Arc<Mutex<Asked>>,
    triggers: Triggers<Release>,
    release: ObjectRef<Release>,
) {
    let mut follower = Follower {
        tools,
        request,
        asked,
        triggers,
        release,
        label: None,
        trouble_since: None,
    };
    loop {
        let trouble = match follower.look().await {
            Ok(never) => match never {},
            Err(trouble) => trouble,
        };
        follower.unavailable(trouble);
        tokio::time::sleep(CREDENTIAL_RETRY).await;
    }
}

/// Nothing is ever of this type: the loop ends only with a trouble.
enum Never {}

impl Follower {
    /// Follows until the repository or its credential must be made anew.
    async fn look(&mut self) -> Result<Never, Trouble> {
        let reference = self.request.reference()?;
        if let Some(commit) = reference.fixed_commit().cloned() {
            // A commit can't move: no look at the references.
            self.settle(&[(reference, commit)]).await;
            return std::future::pending().await;
        }
        let repository = self
            .request
            .repository(&self.tools.client)
            .await
            .map_err(Trouble::unavailable)?;
        let tools = Arc::clone(&self.tools);
        let mut looks = tools
            .hub()
            .await?
            .subscribe(&repository, self.request.interval())?;
        looks.want(&reference);
        let mut known: Option<Vec<(GitRef, Oid)>> = None;
        let mut seen = looks.changed().await;
        loop {
            seen = match self.judge(seen, &reference, known.as_deref())? {
                None => looks.changed().await,
                // A newer look interrupts the work on an older commit.
                Some(candidates) => tokio::select! {
                    () = self.settle(&candidates) => {
                        known = Some(candidates);
                        looks.changed().await
                    }
                    newer = looks.changed() => newer,
                },
            };
        }
    }

    /// What to work on, if the look shows something that is not known yet.
    fn judge(
        &mut self,
        seen: Observation,
        reference: &GitRef,
        known: Option<&[(GitRef, Oid)]>,
    ) -> Result<Option<Vec<(GitRef, Oid)>>, Trouble> {
        if let Some(error) = seen.error {
            if matches!(error, SourceError::AuthenticationFailed { .. }) {
                return Err(error.into());
            }
            self.unavailable(error.into());
            return Ok(None);
        }
        let Some(listing) = seen.listing.filter(|listing| listing.covers(reference)) else {
            return Ok(None);
        };
        match listing.candidates(reference) {
            Ok(found) if known == Some(&*found) && self.trouble_since.is_none() => Ok(None),
            Ok(found) => Ok(Some(found)),
            Err(error) => {
                self.unavailable(error.into());
                Ok(None)
            }
        }
    }

    /// Fetches and renders what the candidates mean, trying again until it is known what it asks for.
    async fn settle(&mut self, candidates: &[(GitRef, Oid)]) {
        let mut wait = FIRST_RETRY;
        loop {
            match self.bring(candidates).await {
                Ok(()) => return,
                Err(trouble) => self.unavailable(trouble),
            }
            tokio::time::sleep(wait).await;
            wait = wait
                .saturating_mul(2)
                .min(self.request.interval().max(FIRST_RETRY));
        }
    }

    async fn bring(&mut self, candidates: &[(GitRef, Oid)]) -> Result<(), Trouble> {
        let (reference, commit) = self.tools.newest(&self.request, candidates).await?;
        self.label = reference.label().map(str::to_owned);
        match self.tools.render(&self.request, &reference, &commit).await {
            Ok(rendered) => self.found(&commit, &rendered).await,
            Err(trouble) if trouble.fault == Fault::Content => {
                self.broken(&commit, trouble.message);
            }
            Err(trouble) => return Err(trouble),
        }
        Ok(())
    }

    async fn found(&mut self, commit: &Oid, rendered: &Rendered) {
        for warning in &rendered.warnings {
            tracing::info!(release = %self.release, warning, "rendering");
        }
        let subject = self.subject(commit).await;
        let content = Content::new(digest(rendered), self.revision(commit), subject);
        self.publish(Asked::Content(content));
    }

    fn broken(&mut self, commit: &Oid, message: String) {
        let revision = self.revision(commit);
        self.publish(Asked::Broken { revision, message });
    }

    fn publish(&mut self, asked: Asked) {
        self.trouble_since = None;
        *lock(&self.asked) = asked;
        self.triggers.trigger_ref(self.release.clone());
    }

    fn unavailable(&mut self, trouble: Trouble) {
        let since = *self.trouble_since.get_or_insert_with(Timestamp::now);
        let asked = Asked::Unavailable {
            since,
            message: trouble.message,
        };
        let news = {
            let mut known = lock(&self.asked);
            let news = *known != asked;
            *known = asked;
            news
        };
        if news {
            self.triggers.trigger_ref(self.release.clone());
        }
    }

    /// `main@sha1:1f0c…`
    fn revision(&self, commit: &Oid) -> String {
        let commit = commit.as_str();
        let hash = if commit.len() == 64 { "sha256" } else { "sha1" };
        match &self.label {
            Some(label) => format!("{label}@{hash}:{commit}"),
            None => format!("{hash}:{commit}"),
        }
    }

    /// First line of the commit's message, if it can be had without trouble.
    async fn subject(&self, commit: &Oid) -> Option<String> {
        let repository = self.request.repository(&self.tools.client).await.ok()?;
        let reference = GitRef::commit(commit.as_str()).ok()?;
        let hub = self.tools.hub().await.ok()?;
        let checkout = hub.checkout(&repository, &reference, commit).await.ok()?;
        let described = checkout.describe().await.ok()?;
        Some(described.subject).filter(|subject| !subject.is_empty())
    }
}
