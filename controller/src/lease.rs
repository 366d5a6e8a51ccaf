//! Leader election on a `Lease`: of several controllers one acts, and never two.
//!
//! Rules: another's lease is over when its record has not changed for its duration *by our own clock since we saw it*; clocks
//! of other machines don't matter. Every write carries the resource version that was read, so that of two takers one gets a
//! conflict. The holder stops acting at the renew deadline, well before anybody may take over. A lease that is let go is taken
//! at once. Each term has an epoch (`leaseTransitions`), which only rises.
//!
//! What this leaves out: fencing inside the API server, which has none. It is made up for by preconditions on all writes and by
//! the bound on the time of one request, shorter than the gap between renew deadline and lease duration.

mod term;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::time::Instant;

use crate::{Error, Result, client::bounded, limits};

pub use term::Term;

/// Which lease, and who asks for it.
#[derive(Clone, Debug)]
pub struct LeaseSettings {
    /// Namespace of the lease.
    pub namespace: String,
    /// Name of the lease.
    pub name: String,
    /// This process among the candidates.
    pub identity: String,
}

/// A process that asks for the lease, and the holder once it has it.
#[derive(Debug)]
pub struct Candidate {
    api: Api<Lease>,
    settings: LeaseSettings,
    seen: Option<Seen>,
}

/// The record as we last saw it change.
#[derive(Debug)]
struct Seen {
    resource_version: Option<String>,
    at: Instant,
}

/// A lease that is held.
#[derive(Debug)]
pub struct Held {
    lease: Lease,
    term: Term,
}

impl Held {
    /// The term under which its holder acts.
    pub fn term(&self) -> Term {
        self.term.clone()
    }
}

impl Candidate {
    /// Asks for the lease with `client`.
    pub fn new(client: Client, settings: LeaseSettings) -> Self {
        Self {
            api: Api::namespaced(client, &settings.namespace),
            settings,
            seen: None,
        }
    }

    /// One attempt: the lease if it can be had now. To be repeated every [`limits::LEASE_RETRY`].
    pub async fn try_acquire(&mut self) -> Result<Option<Held>> {
        let started = Instant::now();
        let present = bounded("reading the lease", self.api.get_opt(&self.settings.name)).await?;
        let written = match present {
            None => self.create().await,
            Some(lease) if self.is_free(&lease) => self.take(lease).await,
            Some(_) => return Ok(None),
        };
        match written {
            Ok(lease) => Ok(Some(self.held(lease, started))),
            // Somebody else was faster.
            Err(Error::Kube(kube::Error::Api(status)))
                if status.is_conflict() || status.is_already_exists() =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn is_free(&mut self, lease: &Lease) -> bool {
        let record = lease.spec.clone().unwrap_or_default();
        let holder = record.holder_identity.unwrap_or_default();
        if holder.is_empty() || holder == self.settings.identity {
            return true;
        }
        let promised = record
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(limits::LEASE_DURATION, Duration::from_secs);
        let version = &lease.metadata.resource_version;
        match &self.seen {
            Some(seen) if seen.resource_version == *version => seen.at.elapsed() > promised,
            _ => {
                self.seen = Some(Seen {
                    resource_version: version.clone(),
                    at: Instant::now(),
                });
                false
            }
        }
    }

    async fn create(&self) -> Result<Lease> {
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(self.settings.name.clone()),
                namespace: Some(self.settings.namespace.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(self.record(0)),
        };
        bounded(
            "creating the lease",
            self.api.create(&PostParams::default(), &lease),
        )
        .await
    }

    async fn take(&self, mut lease: Lease) -> Result<Lease> {
        let transitions = lease
            .spec
            .as_ref()
            .and_then(|spec| spec.lease_transitions)
            .unwrap_or(0);
        lease.spec = Some(self.record(transitions.saturating_add(1)));
        self.replace(&lease).await
    }

    fn record(&self, transitions: i32) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        LeaseSpec {
            holder_identity: Some(self.settings.identity.clone()),
            lease_duration_seconds: i32::try_from(limits::LEASE_DURATION.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease> {
        bounded(
            "writing the lease",
            self.api
                .replace(&self.settings.name, &PostParams::default(), lease),
        )
        .await
    }

    fn held(&mut self, lease: Lease, started: Instant) -> Held {
        self.seen = None;
        let epoch = lease
            .spec
            .as_ref()
            .and_then(|spec| spec.lease_transitions)
            .unwrap_or(0);
        Held {
            lease,
            term: Term::begin(epoch, started + limits::LEASE_RENEW_DEADLINE),
        }
    }

    /// Renews until the lease is lost: taken by another, or not renewed before the deadline. Ends the term before it returns.
    pub async fn keep(&self, held: &mut Held) {
        loop {
            let pause = limits::LEASE_RETRY.min(held.term.left());
            tokio::time::sleep(pause).await;
            let started = Instant::now();
            match tokio::time::timeout(held.term.left(), self.renew(&mut held.lease)).await {
                Ok(Ok(Renewal::Renewed)) => {
                    held.term.extend(started + limits::LEASE_RENEW_DEADLINE);
                }
                Ok(Ok(Renewal::Taken)) => {
                    tracing::warn!("another controller holds the lease");
                    break;
                }
                Ok(Err(error)) => tracing::warn!(%error, "the lease was not renewed; trying again"),
                Err(_) => {}
            }
            if held.term.check().is_err() {
                tracing::warn!("the lease could not be renewed in time");
                break;
            }
        }
        held.term.end();
    }

    async fn renew(&self, lease: &mut Lease) -> Result<Renewal> {
        if let Some(spec) = &mut lease.spec {
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        match self.replace(lease).await {
            Ok(written) => {
                *lease = written;
                Ok(Renewal::Renewed)
            }
            Err(error) if error.is_stale() => {
                // Either another holder, or somebody else's edit, or our own write whose answer was lost.
                let present =
                    bounded("reading the lease", self.api.get(&self.settings.name)).await?;
                let holder = present
                    .spec
                    .as_ref()
                    .and_then(|s| s.holder_identity.as_ref());
                let same_term = present.spec.as_ref().and_then(|s| s.lease_transitions)
                    == lease.spec.as_ref().and_then(|s| s.lease_transitions);
                if holder != Some(&self.settings.identity) || !same_term {
                    return Ok(Renewal::Taken);
                }
                *lease = present;
                if let Some(spec) = &mut lease.spec {
                    spec.renew_time = Some(MicroTime(Timestamp::now()));
                }
                *lease = self.replace(lease).await?;
                Ok(Renewal::Renewed)
            }
            Err(error) => Err(error),
        }
    }

    /// Lets the lease go, so that a standby takes over without waiting. Only after everything that acts has ended.
    pub async fn release(&self, held: Held) -> Result<()> {
        held.term.end();
        let mut lease = held.lease;
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        self.replace(&lease).await?;
        Ok(())
    }
}

enum Renewal {
    Renewed,
    Taken,
}
