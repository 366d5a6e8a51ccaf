//! The regular look at one repository, shared by its subscribers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::Inner;
use crate::git::Git;
use crate::repository::RepositoryKey;
use crate::{GitRef, Permanence, RefListing, Repository, SourceError};

/// Looks are never closer than this, however often somebody pokes.
const CLOSEST: Duration = Duration::from_secs(1);
/// Wait after the first of several failures; doubles up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(5);

/// What is known of a repository's references.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// The latest references that could be read.
    pub listing: Option<Arc<RefListing>>,
    /// Why the latest look failed, when it did. `listing` is then of an earlier look.
    pub error: Option<SourceError>,
    /// When the latest look ended.
    pub looked_at: Option<Instant>,
}

/// Keeps a repository watched until dropped.
#[derive(Debug)]
pub struct Subscription {
    hub: Arc<Inner>,
    poll: Arc<Poll>,
    number: u64,
    receiver: watch::Receiver<Observation>,
}

impl Subscription {
    pub(super) fn join(hub: &Arc<Inner>, repository: &Repository, interval: Duration) -> Self {
        let mut polls = hub.polls();
        let poll = Arc::clone(
            polls
                .entry(repository.key())
                .or_insert_with(|| Poll::start(&hub.git, repository)),
        );
        let number = poll.join(repository, interval.max(CLOSEST));
        let mut receiver = poll.sender.subscribe();
        if receiver.borrow().looked_at.is_some() {
            receiver.mark_changed();
        }
        drop(polls);
        Self {
            hub: Arc::clone(hub),
            poll,
            number,
            receiver,
        }
    }

    /// Has the looks find this reference as well, when it is neither branch nor tag.
    pub fn want(&self, reference: &GitRef) {
        let Some(name) = reference.listed_by_name() else {
            return;
        };
        let is_known = {
            let observation = self.receiver.borrow();
            let listing = observation.listing.as_ref();
            listing.is_some_and(|listing| listing.covers(reference))
        };
        self.poll.want(self.number, name, is_known);
    }

    /// What is known now.
    pub fn latest(&self) -> Observation {
        self.receiver.borrow().clone()
    }

    /// Looks at the repository now and tells what is known after that, whether it is new or not. All who ask before a look begins
    /// share it.
    pub async fn look(&mut self) -> Observation {
        let mut ended = self.poll.ended.subscribe();
        let number = self.poll.next_number();
        // The sender lives in the poll this subscription holds, so this ends only when the look has.
        let _ = ended.wait_for(|ended| *ended >= number).await;
        self.receiver.borrow_and_update().clone()
    }

    /// Waits until the references or the error differ from what this subscriber has seen. The first call returns with the
    /// first look.
    pub async fn changed(&mut self) -> Observation {
        // The sender lives in the poll this subscription holds, so this ends only with news.
        let _ = self.receiver.changed().await;
        self.receiver.borrow_and_update().clone()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut polls = self.hub.polls();
        if self.poll.leave(self.number) {
            polls.remove(&self.poll.key);
        }
    }
}

#[derive(Debug)]
pub(super) struct Poll {
    key: RepositoryKey,
    plan: Mutex<Plan>,
    /// The plan has changed.
    replan: Notify,
    sender: watch::Sender<Observation>,
    /// Number of the last look that ended.
    ended: watch::Sender<u64>,
}

#[derive(Debug)]
struct Plan {
    /// With the newest content of its credential.
    repository: Repository,
    intervals: BTreeMap<u64, Duration>,
    /// References that are neither branch nor tag, by subscriber.
    names: BTreeMap<u64, String>,
    next_number: u64,
    is_poked: bool,
    /// Looks begun so far.
    begun: u64,
    task: Option<AbortHandle>,
}

impl Poll {
    fn start(git: &Arc<Git>, repository: &Repository) -> Arc<Self> {
        let plan = Plan {
            repository: repository.clone(),
            intervals: BTreeMap::new(),
            names: BTreeMap::new(),
            next_number: 0,
            is_poked: false,
            begun: 0,
            task: None,
        };
        let poll = Arc::new(Self {
            key: repository.key(),
            plan: Mutex::new(plan),
            replan: Notify::new(),
            sender: watch::Sender::new(Observation::default()),
            ended: watch::Sender::new(0),
        });
        let task = tokio::spawn(keep_looking(Arc::clone(git), Arc::clone(&poll)));
        poll.plan().task = Some(task.abort_handle());
        poll
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, repository: &Repository, interval: Duration) -> u64 {
        let mut plan = self.plan();
        if plan.repository != *repository {
            // The Secret has new content: what the old one led to may no longer be true.
            plan.repository = repository.clone();
            plan.is_poked = true;
        }
        let number = plan.next_number;
        plan.next_number += 1;
        plan.intervals.insert(number, interval);
        drop(plan);
        self.replan.notify_one();
        number
    }

    fn want(&self, number: u64, name: &str, is_known: bool) {
        let mut plan = self.plan();
        plan.names.insert(number, name.to_owned());
        plan.is_poked |= !is_known;
        drop(plan);
        self.replan.notify_one();
    }

    /// Takes a subscriber off; true when it was the last.
    fn leave(&self, number: u64) -> bool {
        let mut plan = self.plan();
        plan.intervals.remove(&number);
        plan.names.remove(&number);
        if !plan.intervals.is_empty() {
            return false;
        }
        if let Some(task) = plan.task.take() {
            task.abort();
        }
        true
    }

    pub(super) fn poke(&self) {
        self.next_number();
    }

    /// Pokes, and gives the number of the look that begins next.
    fn next_number(&self) -> u64 {
        let mut plan = self.plan();
        plan.is_poked = true;
        let number = plan.begun + 1;
        drop(plan);
        self.replan.notify_one();
        number
    }

    /// When to look again, after `failures` failed looks in a row.
    fn next_look(&self, last: Option<Instant>, failures: u32) -> Instant {
        let Some(last) = last else {
            return Instant::now();
        };
        let plan = self.plan();
        let interval = plan.intervals.values().min().copied().unwrap_or(CLOSEST);
        let wait = match failures {
            _ if plan.is_poked => CLOSEST,
            0 => interval,
            count => {
                interval.min(FIRST_RETRY.saturating_mul(2_u32.saturating_pow(count.min(10) - 1)))
            }
        };
        last + wait
    }

    fn publish(&self, result: Result<RefListing, SourceError>) {
        self.sender.send_if_modified(|observation| {
            let is_first = observation.looked_at.replace(Instant::now()).is_none();
            match result {
                Ok(listing) => {
                    let is_same = observation.listing.as_deref() == Some(&listing);
                    let recovers = observation.error.take().is_some();
                    if !is_same {
                        observation.listing = Some(Arc::new(listing));
                    }
                    is_first || recovers || !is_same
                }
                Err(error) => {
                    let is_same = observation.error.as_ref() == Some(&error);
                    observation.error = Some(error);
                    is_first || !is_same
                }
            }
        });
    }
}

/// Looks at the repository until the last subscriber leaves, which ends this task.
async fn keep_looking(git: Arc<Git>, poll: Arc<Poll>) {
    let (mut last, mut failures) = (None, 0_u32);
    loop {
        let next = poll.next_look(last, failures);
        tokio::select! {
            () = sleep_until(next) => {}
            () = poll.replan.notified() => continue,
        }
        let (repository, names, number) = {
            let mut plan = poll.plan();
            plan.is_poked = false;
            plan.begun += 1;
            let names: BTreeSet<String> = plan.names.values().cloned().collect();
            (plan.repository.clone(), names, plan.begun)
        };
        let result = git.list(&repository, &names).await;
        failures = match &result {
            Err(error) if error.permanence() == Permanence::Transient => failures.saturating_add(1),
            _ => 0,
        };
        last = Some(Instant::now());
        poll.publish(result);
        poll.ended.send_replace(number);
    }
}
