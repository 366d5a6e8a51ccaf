//! The task that follows one source.

mod registry;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use belay_api::{
    Release,
    release::{Git, Origin},
};
use belay_engine::release::{
    observed::Asked,
    status::{self, Content},
};
use belay_source::{
    Candidate, GitRef, Observation, Oid, Signature, SignedObject, SourceError, Subscription,
};
use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::watch;

use super::{
    Finding, Request, Tools,
    access::Opened,
    bring::Brought,
    digest,
    inputs::Followed,
    lock,
    request::reference,
    trouble::{Place, Trouble},
    wanted::Wanted,
};
use crate::watch::Triggers;

/// First wait before something is tried again; doubles up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(2);

/// How long a credential that does not work is kept before the Secret is read again.
const CREDENTIAL_RETRY: Duration = Duration::from_secs(10);

struct Follower {
    tools: Arc<Tools>,
    request: Request,
    /// The objects of the cluster that the render reads.
    inputs: Followed,
    finding: Arc<Mutex<Finding>>,
    /// Looks that people ask for.
    wanted: Wanted,
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
    (finding, wanted): (Arc<Mutex<Finding>>, watch::Receiver<Option<String>>),
    triggers: Triggers<Release>,
    release: ObjectRef<Release>,
) {
    let mut follower = Follower {
        inputs: Followed::none(),
        tools,
        request,
        finding,
        wanted: Wanted::new(wanted),
        triggers,
        release,
        label: None,
        trouble_since: None,
    };
    loop {
        if let Err(trouble) = follower.look().await {
            follower.unavailable(trouble);
            if follower.wanted.rest(CREDENTIAL_RETRY).await {
                follower.wanted.take();
            }
        }
    }
}

/// Waits until a login ends; one that does not is waited for in vain.
async fn ended(until: Option<Timestamp>) {
    let Some(until) = until else {
        return std::future::pending().await;
    };
    let left = until.duration_since(Timestamp::now());
    tokio::time::sleep(Duration::try_from(left).unwrap_or_default()).await;
}

/// Ends when the render may have another result though the commit is the same.
async fn changed_beside_git(inputs: &mut Followed, charts_every: Option<Duration>) {
    let charts = async {
        match charts_every {
            Some(interval) => tokio::time::sleep(interval).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = inputs.changed() => {}
        () = charts => {}
    }
}

/// Whether it is known what a source asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    /// It is.
    Yes,
    /// Not yet, and somebody asks for another look.
    No,
}

impl Follower {
    /// Follows until the repository or its credential must be made anew.
    async fn look(&mut self) -> Result<(), Trouble> {
        self.inputs = self.tools.inputs.follow(&self.request.inputs())?;
        let request = self.request.clone();
        match request.origin()? {
            Origin::Git(git) => self.look_at_git(git).await,
            Origin::Oci(oci) => self.look_at_registry(oci).await,
        }
    }

    async fn look_at_git(&mut self, git: &Git) -> Result<(), Trouble> {
        let reference = reference(&git.reference)?;
        let tools = Arc::clone(&self.tools);
        let mut keys = tools.key_changes(&self.request);
        if let Some(commit) = reference.fixed_commit().cloned() {
            // A commit can't move: no look at the references.
            let candidates = [Candidate::of_commit(commit)];
            loop {
                tokio::select! {
                    () = self.settle_until_changed(&candidates) => {}
                    () = keys.next() => {}
                }
            }
        }
        let mut way = tools.way_changes(&self.request);
        let Opened {
            repository,
            app,
            until,
            read,
        } = tools.open(&self.request).await?;
        let hub = tools.hub().await?;
        let mut looks = hub.subscribe(&repository, self.request.interval())?;
        looks.want(&reference);
        let mut known: Option<Vec<Candidate>> = None;
        let mut seen = looks.changed().await;
        loop {
            let news = self
                .judge(seen, &reference, known.as_deref())
                .inspect_err(|_| {
                    // The login was turned down.
                    if let Some(app) = &app {
                        tools.apps.forget(app, Timestamp::now());
                    }
                })?;
            seen = tokio::select! {
                newer = self.work(news, &mut known, &mut looks) => newer,
                // A login that ends is exchanged before it does.
                () = ended(until) => return Ok(()),
                // Another login, other certificates, or another proxy.
                () = way.after(&read) => return Ok(()),
                // Other keys may judge the same commit differently.
                () = keys.next() => {
                    known = None;
                    looks.latest()
                }
            };
        }
    }

    /// Works on what a look showed, if it showed something new, and waits for the next look.
    async fn work(
        &mut self,
        news: Option<Vec<Candidate>>,
        known: &mut Option<Vec<Candidate>>,
        looks: &mut Subscription,
    ) -> Observation {
        let Some(candidates) = news else {
            self.answer();
            return self.next_look(known, looks).await;
        };
        // A newer look interrupts the work on an older commit.
        let settled = tokio::select! {
            settled = self.settle(&candidates) => settled,
            newer = looks.changed() => return newer,
        };
        *known = (settled == Settled::Yes).then_some(candidates);
        self.next_look(known, looks).await
    }

    /// The next look with news, or the one that somebody asks for, whatever it shows. When something that the render reads has
    /// changed, the last one is worth another.
    async fn next_look(
        &mut self,
        known: &mut Option<Vec<Candidate>>,
        looks: &mut Subscription,
    ) -> Observation {
        let charts_every = self.charts_every();
        tokio::select! {
            newer = looks.changed() => return newer,
            () = changed_beside_git(&mut self.inputs, charts_every) => {
                *known = None;
                return looks.latest();
            }
            () = self.wanted.next() => {
                if charts_every.is_some() {
                    *known = None;
                }
            }
        }
        looks.look().await
    }

    /// Settles what a fixed commit means; returns when something that the render reads has changed.
    async fn settle_until_changed(&mut self, candidates: &[Candidate]) {
        while self.settle(candidates).await == Settled::No {
            self.wanted.take();
        }
        let charts_every = self.charts_every();
        loop {
            tokio::select! {
                () = changed_beside_git(&mut self.inputs, charts_every) => return,
                () = self.wanted.next() => {
                    if charts_every.is_some() {
                        return;
                    }
                    self.answer();
                }
            }
        }
    }

    /// Time between two looks at the charts that the render follows, if it follows any.
    fn charts_every(&self) -> Option<Duration> {
        let request = &self.request;
        request.follows_charts().then(|| request.interval())
    }

    /// What to work on, if the look shows something that is not known yet.
    fn judge(
        &mut self,
        seen: Observation,
        reference: &GitRef,
        known: Option<&[Candidate]>,
    ) -> Result<Option<Vec<Candidate>>, Trouble> {
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

    /// What is known holds for the request at hand.
    fn answer(&mut self) {
        if let Some(request) = self.wanted.answered() {
            lock(&self.finding).answered = Some(request);
            self.triggers.trigger_ref(self.release.clone());
        }
    }

    /// Fetches and renders what the candidates mean, trying again until it is known what it asks for, or somebody asks for a look.
    async fn settle(&mut self, candidates: &[Candidate]) -> Settled {
        let mut wait = FIRST_RETRY;
        loop {
            match self.bring(candidates).await {
                Ok(()) => return Settled::Yes,
                Err(trouble) => self.unavailable(trouble),
            }
            tokio::select! {
                somebody_asks = self.wanted.rest(wait) => if somebody_asks {
                    return Settled::No;
                },
                () = self.inputs.changed() => {}
            }
            wait = wait
                .saturating_mul(2)
                .min(self.request.interval().max(FIRST_RETRY));
        }
    }

    async fn bring(&mut self, candidates: &[Candidate]) -> Result<(), Trouble> {
        let candidate = self.tools.newest(&self.request, candidates).await?;
        self.label = candidate.reference.label().map(str::to_owned);
        let commit = &candidate.commit;
        // What changes from here on is found to have changed.
        self.inputs.mark_seen();
        match self.tools.render(&self.request, &candidate).await {
            Ok(brought) => self.found(commit, brought).await,
            Err(Trouble { place, message }) => match place {
                Place::Content => {
                    let revision = self.revision(commit);
                    self.publish(Asked::Broken { revision, message });
                }
                Place::Signature => {
                    let revision = self.revision(commit);
                    self.publish(Asked::Unverified { revision, message });
                }
                Place::Environment | Place::Passing => return Err(Trouble { place, message }),
            },
        }
        Ok(())
    }

    async fn found(&mut self, commit: &Oid, brought: Brought) {
        for warning in &brought.rendered.warnings {
            tracing::info!(release = %self.release, warning, "rendering");
        }
        let subject = self.subject(commit).await;
        let mut content = Content::new(digest(&brought.rendered), self.revision(commit), subject);
        content.signatures = brought.signatures.into_iter().map(signature).collect();
        self.publish(Asked::Content(content));
    }

    fn publish(&mut self, asked: Asked) {
        self.trouble_since = None;
        {
            let mut finding = lock(&self.finding);
            finding.asked = asked;
            finding.answered = self.wanted.answered().or(finding.answered.take());
        }
        self.triggers.trigger_ref(self.release.clone());
    }

    fn unavailable(&mut self, trouble: Trouble) {
        let since = *self.trouble_since.get_or_insert_with(Timestamp::now);
        let asked = Asked::Unavailable {
            since,
            message: trouble.message,
        };
        let news = {
            let mut known = lock(&self.finding);
            let answers = self.wanted.answered();
            let news = known.asked != asked || answers.is_some();
            known.asked = asked;
            known.answered = answers.or(known.answered.take());
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
        let checkout = match self.request.origin().ok()? {
            Origin::Git(_) => {
                let repository = self.tools.repository(&self.request).await.ok()?;
                let reference = GitRef::commit(commit.as_str()).ok()?;
                let hub = self.tools.hub().await.ok()?;
                hub.checkout(&repository, &reference, commit).await.ok()?
            }
            Origin::Oci(oci) => {
                let artifact = self.tools.artifact(&self.request, oci, commit);
                artifact.await.ok()?
            }
        };
        let described = checkout.describe().await.ok()?;
        Some(described.subject).filter(|subject| !subject.is_empty())
    }
}

fn signature(found: Signature) -> status::Signature {
    status::Signature {
        object: match found.object {
            SignedObject::Commit => status::SignedObject::Commit,
            SignedObject::Tag => status::SignedObject::Tag,
        },
        key: format!("{} {}", found.kind, found.key),
        signer: found.signer,
    }
}
