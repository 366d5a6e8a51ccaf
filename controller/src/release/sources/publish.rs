//! Writing to a source: the one thing that is ever pushed, a name for a verified commit.

use std::sync::Arc;

use belay_api::Release;
use belay_source::{GitRef, Oid, Publication, SourceError};

use super::{Request, Sources, Tools, trouble::Trouble};
use crate::apply::Failure;

/// What is needed to push.
#[derive(Clone)]
pub(in crate::release) struct Pusher(Arc<Tools>);

impl Sources {
    /// What is needed to push, for a task that outlives the caller.
    pub(in crate::release) fn pusher(&self) -> Pusher {
        Pusher(Arc::clone(&self.tools))
    }
}

impl Pusher {
    /// Puts a commit under a reference, with the credential of the source, over what was put there before. Gives what somebody else put there later, if so.
    pub(in crate::release) async fn publish(
        &self,
        release: &Release,
        wanted: (&str, &str, Option<&str>),
    ) -> Result<Option<String>, Failure> {
        let done = self.push(release, wanted).await;
        match done.map_err(Trouble::into_failure)? {
            Publication::Done => Ok(None),
            Publication::Newer(newer) => Ok(Some(newer.as_str().to_owned())),
        }
    }

    async fn push(
        &self,
        release: &Release,
        (reference, commit, ours): (&str, &str, Option<&str>),
    ) -> Result<Publication, Trouble> {
        let request = Request::of(release);
        let repository = self.0.repository(&request).await?;
        let (reference, commit) = (GitRef::named(reference)?, Oid::parse(commit)?);
        let ours = ours.map(Oid::parse).transpose()?;
        let hub = self.0.hub().await?;
        let pushed = hub.publish(&repository, &reference, &commit, ours.as_ref());
        pushed.await.map_err(SourceError::into)
    }
}
