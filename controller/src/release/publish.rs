//! Puts the verified commit under a name in its repository.
//!
//! Invariant: a Git server takes whatever time it wants, and nothing of the Release waits for it: the push runs beside the
//! reconciliations, which look at its outcome.

use std::sync::{Arc, Mutex};

use belay_api::Release;
use belay_engine::{
    digest::Digest,
    release::{
        observed::Task,
        publish::{Publication, State},
    },
};
use kube::runtime::reflector::ObjectRef;
use tokio::task::AbortHandle;

use super::{Shell, lock, memory::Memory};
use crate::apply::Failure;

/// What became of a push: what somebody else put there later, if so.
type Outcome = Result<Option<String>, Failure>;

/// A push that was begun.
#[derive(Debug)]
pub(super) struct Push {
    publication: Publication,
    /// Digest of what is verified at the commit.
    digest: Option<Digest>,
    outcome: Arc<Mutex<Option<Outcome>>>,
    task: AbortHandle,
}

impl Drop for Push {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shell {
    /// Begins to publish a commit under a reference. `ours` is what was published there before.
    pub(super) fn publish(
        &self,
        release: &Arc<Release>,
        memory: &mut Memory,
        (reference, commit): (String, String),
        ours: Option<String>,
    ) {
        let publication = Publication {
            reference: reference.clone(),
            commit: commit.clone(),
            state: State::Underway,
        };
        let verified = release.status.as_ref().and_then(|s| s.verified.as_ref());
        let digest = verified.map(|verified| verified.content.digest.clone());
        let outcome: Arc<Mutex<Option<Outcome>>> = Arc::default();
        let slot = Arc::clone(&outcome);
        let pusher = self.sources.pusher();
        let triggers = self.context.links.releases.triggers.clone();
        let (release, term) = (Arc::clone(release), self.context.term.clone());
        let task = tokio::spawn(async move {
            let wanted = (reference.as_str(), commit.as_str(), ours.as_deref());
            let ended = match term.check() {
                Ok(()) => pusher.publish(&release, wanted).await,
                Err(error) => Err(Failure::passing(error.to_string())),
            };
            *lock(&slot) = Some(ended);
            triggers.trigger_ref(ObjectRef::from_obj(release.as_ref()));
        });
        memory.push = Some(Push {
            publication,
            digest,
            outcome,
            task: task.abort_handle(),
        });
    }
}

impl Memory {
    /// What is being published, or was last.
    pub(super) fn publication(&mut self) -> Option<Publication> {
        let Some(push) = self.push.take() else {
            return self.publication.clone();
        };
        let outcome = lock(&push.outcome).take();
        let outcome = match outcome {
            Some(outcome) => outcome,
            None if push.task.is_finished() => Err(Failure::passing("the push broke off")),
            None => {
                let underway = push.publication.clone();
                self.push = Some(push);
                return Some(underway);
            }
        };
        let state = match outcome {
            Ok(None) => State::Done,
            Ok(Some(newer)) => State::Newer(newer),
            Err(failure) => {
                self.failed(Task::Publish, push.digest.as_ref(), failure);
                return None;
            }
        };
        self.worked(Task::Publish, push.digest.as_ref());
        self.publication = Some(Publication {
            state,
            ..push.publication.clone()
        });
        self.publication.clone()
    }
}
