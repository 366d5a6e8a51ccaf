//! How long to wait after a failed reconciliation: longer with each failure in a row, and not at all when the observation was
//! merely old.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use kube::{Resource, ResourceExt as _, runtime::controller::Action};

use crate::{
    Error, limits,
    telemetry::{Metrics, metrics::ErrorLabels},
};

/// After a conflict the newer object is a moment away.
const STALE_RETRY: Duration = Duration::from_millis(20);

/// Failures in a row by UID.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<String, u32>>);

impl Failures {
    /// Counts and reports a failure, and says when to try again.
    pub(super) fn next<K: Resource>(
        &self,
        object: &K,
        error: &Error,
        controller: &'static str,
        metrics: &Metrics,
    ) -> Action {
        if matches!(error, Error::NotLeading) {
            return Action::await_change();
        }
        let reason = error.reason();
        metrics
            .reconcile_errors
            .get_or_create(&ErrorLabels { controller, reason })
            .inc();
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let in_a_row = self.count(object);
        if error.is_stale() && in_a_row < 10 {
            tracing::debug!(%error, controller, namespace, name, "decided on an old observation");
            return Action::requeue(STALE_RETRY * in_a_row);
        }
        let delay = delay_after(in_a_row);
        tracing::warn!(%error, controller, namespace, name, ?delay, "a pass failed; trying again");
        Action::requeue(delay)
    }

    /// Forgets the failures of an object.
    pub(super) fn clear<K: Resource>(&self, object: &K) {
        if let Some(uid) = object.uid() {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&uid);
        }
    }

    fn count<K: Resource>(&self, object: &K) -> u32 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(object.uid().unwrap_or_default()).or_default();
        *count = count.saturating_add(1);
        *count
    }
}

fn delay_after(failures: u32) -> Duration {
    let doubled = limits::RETRY_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(limits::RETRY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_limit() {
        assert_eq!(delay_after(1), limits::RETRY_MIN);
        assert_eq!(delay_after(2), limits::RETRY_MIN * 2);
        assert_eq!(delay_after(1000), limits::RETRY_MAX);
    }
}
