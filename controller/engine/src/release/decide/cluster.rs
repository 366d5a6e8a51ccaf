//! The cluster that the objects are in: nothing is decided about them while it is away, or while the spec means another one than
//! the one that they are in.

use super::pass::Pass;
use crate::{
    condition::{self, Truth},
    release::{
        Effect,
        cluster::{ClusterId, Outage, Reached},
        plan::DeletionPolicy,
    },
};

pub(super) const REACHABLE: &str = "ClusterReachable";

/// Why nothing can be done about the objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Barred {
    /// Their cluster can't be reached.
    Away(String),
    /// The spec means another cluster than the one that they are in.
    Elsewhere(String),
}

impl Barred {
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Away(_) => "ClusterUnreachable",
            Self::Elsewhere(_) => "ClusterChanged",
        }
    }

    pub(super) fn message(&self) -> &str {
        match self {
            Self::Away(message) | Self::Elsewhere(message) => message,
        }
    }
}

/// Takes in how the cluster is. It goes on record before the first object is.
pub(super) fn take_in(pass: &mut Pass<'_>) {
    let observed = match &pass.observed.cluster {
        Reached::Away { since, message } => {
            return away(pass, *since, message.clone());
        }
        Reached::Home => None,
        Reached::Remote { id, .. } => Some(id.clone()),
    };
    if pass.status.unreachable.take().is_some() {
        pass.normal(REACHABLE, "The cluster of the objects answers again");
    }
    let is_same = match (&pass.status.cluster, &observed) {
        (None, None) => true,
        (Some(known), Some(found)) => known.is(found),
        _ => false,
    };
    if is_same || pass.observed.inventory.objects == 0 {
        let known = pass.status.cluster.as_ref().filter(|_| is_same);
        pass.status.cluster = match (known, observed) {
            (Some(known), Some(found)) => Some(known.renewed(&found)),
            (_, found) => found,
        };
        return;
    }
    let message = changed(pass.status.cluster.as_ref(), observed.as_ref());
    pass.barred = Some(Barred::Elsewhere(message));
}

fn away(pass: &mut Pass<'_>, since: jiff::Timestamp, message: String) {
    let known = pass.status.unreachable.as_ref().map(|known| known.since);
    if known.is_none() {
        pass.warning("ClusterUnreachable", message.clone());
    }
    let since = known.unwrap_or(since);
    pass.barred = Some(Barred::Away(format!(
        "The cluster of the objects can't be reached since {since}: {message}; nothing is applied, pruned or rolled back until it \
         answers"
    )));
    pass.status.unreachable = Some(Outage { since, message });
}

fn changed(known: Option<&ClusterId>, found: Option<&ClusterId>) -> String {
    let (is_in, means) = match (known, found) {
        (None, _) => ("this cluster", "another one"),
        (Some(_), None) => ("another cluster", "this one"),
        (Some(_), Some(_)) => ("one cluster", "another one"),
    };
    format!(
        "The objects are in {is_in}, and spec.kubeConfig means {means}; nothing is written in either. Change it back, or delete this \
         Release (deletionPolicy: Orphan leaves its objects where they are) and make a new one for the other cluster"
    )
}

/// A Release that is deleted while nothing can be done about its objects: it leaves them, where that was asked for, or waits.
pub(super) fn leave(pass: &mut Pass<'_>, barred: &Barred, policy: DeletionPolicy) {
    let left = pass.observed.inventory.objects;
    match policy {
        DeletionPolicy::Orphan => {
            pass.warning(
                "ObjectsLeft",
                format!(
                    "{left} objects are left with Belay's marks on them: {}",
                    barred.message()
                ),
            );
            pass.effect(Effect::Finish);
        }
        DeletionPolicy::Delete => pass.wait(
            "Terminating",
            format!(
                "Can't delete its objects: {}. To let the Release go without them, set spec.deletionPolicy: Orphan",
                barred.message()
            ),
        ),
    }
}

/// `ClusterReachable` is there only where the objects are in another cluster, or are meant to be.
pub(super) fn condition(pass: &mut Pass<'_>) -> Option<(Truth, &'static str, String)> {
    let barred = pass.barred.clone();
    match (barred, &pass.observed.cluster) {
        (Some(barred), _) => Some((Truth::False, barred.reason(), barred.message().to_owned())),
        (None, Reached::Remote { .. }) => Some((
            Truth::True,
            "Answers",
            "The cluster of the objects answers".to_owned(),
        )),
        (None, _) => {
            condition::clear(&mut pass.status.conditions, REACHABLE);
            None
        }
    }
}
