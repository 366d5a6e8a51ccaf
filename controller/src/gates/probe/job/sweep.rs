//! Deletes Jobs of trials that are over.
//!
//! Invariant: only Jobs with the label of the Rollout or Release and of another trial than the present one are deleted, in the name
//! of the account that may have created them, and only while the lease is held. What is missed here (the account is gone, say) goes
//! with the owner, or a week after its end.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use belay_api::names::{PROBE_LABEL, TRIAL_LABEL};
use k8s_openapi::api::batch::v1::Job;
use kube::{Api, ResourceExt as _, api::ListParams};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    Error, Result,
    apply::{Identities, Identity},
    client::bounded,
    lease::Term,
};

/// Attempts to tidy up after one trial.
const ATTEMPTS: u32 = 6;

/// Wait after the first failed attempt; it doubles with each.
const RETRY: Duration = Duration::from_secs(2);

/// What to tidy up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// UID of the Rollout or Release.
    pub(crate) uid: String,
    /// The account in whose name.
    pub(crate) account: Identity,
    /// The trial whose Jobs stay.
    pub(crate) keep: Option<String>,
}

/// Takes orders. What was ordered last for an object is not ordered again.
#[derive(Debug)]
pub(crate) struct Sweeper {
    orders: mpsc::UnboundedSender<Order>,
    last: Mutex<Last>,
}

/// The trial whose Jobs stay, by object and account.
type Last = HashMap<String, HashMap<Identity, Option<String>>>;

impl Sweeper {
    /// Starts the task that carries orders out.
    pub(crate) fn start(
        identities: Arc<Identities>,
        term: Term,
        tasks: &mut JoinSet<Result<()>>,
    ) -> Self {
        // Bounded by the number of trials that end.
        let (orders, mut taken) = mpsc::unbounded_channel::<Order>();
        tasks.spawn(async move {
            let mut running = JoinSet::new();
            loop {
                tokio::select! {
                    order = taken.recv() => match order {
                        Some(order) => {
                            running.spawn(carry_out(Arc::clone(&identities), term.clone(), order));
                        }
                        None => return Ok(()),
                    },
                    Some(_) = running.join_next(), if !running.is_empty() => {}
                }
            }
        });
        Self {
            orders,
            last: Mutex::default(),
        }
    }

    /// Has the Jobs of all other trials than `keep` deleted, in the names of `accounts` and of those that were named before,
    /// unless that was ordered already.
    pub(crate) fn settle(&self, uid: &str, accounts: Vec<Identity>, keep: Option<&str>) {
        let mut last = self.lock();
        if accounts.is_empty() && !last.contains_key(uid) {
            return;
        }
        let known = last.entry(uid.to_owned()).or_default();
        for account in accounts {
            // After a restart nobody knows what earlier trials left behind: the first order is always carried out.
            known.entry(account).or_insert(Some(String::new()));
        }
        for (account, kept) in known {
            if kept.as_deref() != keep {
                *kept = keep.map(str::to_owned);
                self.send(uid, account, keep);
            }
        }
    }

    /// Has them deleted once more: one may have been created while that was carried out.
    pub(crate) fn again(&self, uid: &str) {
        let last = self.lock();
        for (account, keep) in last.get(uid).into_iter().flatten() {
            self.send(uid, account, keep.as_deref());
        }
    }

    /// Forgets an object that is gone; its Jobs go with it.
    pub(crate) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn send(&self, uid: &str, account: &Identity, keep: Option<&str>) {
        // The receiver lives as long as the controllers do.
        let _ = self.orders.send(Order {
            uid: uid.to_owned(),
            account: account.clone(),
            keep: keep.map(str::to_owned),
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn carry_out(identities: Arc<Identities>, term: Term, order: Order) {
    let mut wait = RETRY;
    for _ in 0..ATTEMPTS {
        match sweep(&identities, &term, &order).await {
            Ok(()) | Err(Error::NotLeading) => return,
            Err(error) => {
                tracing::debug!(account = %order.account, %error, "tidying up Jobs failed");
            }
        }
        tokio::time::sleep(wait).await;
        wait = wait.saturating_mul(2);
    }
    tracing::warn!(account = %order.account, "Jobs of a trial that is over could not be deleted; they go a week after their end");
}

async fn sweep(identities: &Identities, term: &Term, order: &Order) -> Result<()> {
    let Ok(client) = identities.client(&order.account) else {
        // Not the name of an account, so nothing was created in it.
        return Ok(());
    };
    let api: Api<Job> = Api::namespaced(client, &order.account.namespace);
    let selector = match &order.keep {
        Some(keep) => format!("{PROBE_LABEL}={},{TRIAL_LABEL}!={keep}", order.uid),
        None => format!("{PROBE_LABEL}={}", order.uid),
    };
    let parameters = ListParams::default().labels(&selector);
    let list = bounded("listing Jobs", api.list(&parameters)).await?;
    for job in list.items {
        let mut owners = job.owner_references().iter();
        let owned = owners.any(|owner| owner.uid == order.uid);
        if !owned || job.metadata.deletion_timestamp.is_some() {
            continue;
        }
        term.check()?;
        super::delete(&api, &job).await?;
    }
    Ok(())
}
