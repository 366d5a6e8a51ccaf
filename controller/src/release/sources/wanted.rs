//! Requests for a look, on their way to the task that follows a source.
//!
//! Invariant: a request is answered by what is found after it was taken, never by what was known before.

use std::time::Duration;

use tokio::sync::watch;

/// Shortest wait before something that failed is tried again, however often somebody asks for it.
const CLOSEST: Duration = Duration::from_secs(2);

/// The requests of one Release; only the last one counts.
pub(super) struct Wanted {
    asked: watch::Receiver<Option<String>>,
    /// The request that the present look is for.
    at_hand: Option<String>,
}

impl Wanted {
    pub(super) const fn new(asked: watch::Receiver<Option<String>>) -> Self {
        Self {
            asked,
            at_hand: None,
        }
    }

    /// Waits for a request and takes it.
    pub(super) async fn next(&mut self) {
        if self.asked.changed().await.is_err() {
            // Nobody can ask any more: the task is about to be ended.
            std::future::pending::<()>().await;
        }
        self.take();
    }

    /// Takes the last request: what is found from now on answers it.
    pub(super) fn take(&mut self) {
        self.at_hand.clone_from(&self.asked.borrow_and_update());
    }

    /// Whether somebody asked for the present look.
    pub(super) const fn is_at_hand(&self) -> bool {
        self.at_hand.is_some()
    }

    /// The request that what was just found answers, if there is one.
    pub(super) fn answered(&mut self) -> Option<String> {
        self.at_hand.take()
    }

    /// Waits so long, or less when somebody asks for a look; says whether anybody did. The request is still to be taken then.
    pub(super) async fn rest(&self, wait: Duration) -> bool {
        let mut asked = self.asked.clone();
        tokio::select! {
            () = tokio::time::sleep(wait) => false,
            Ok(()) = asked.changed() => {
                tokio::time::sleep(CLOSEST.min(wait)).await;
                true
            }
        }
    }
}
