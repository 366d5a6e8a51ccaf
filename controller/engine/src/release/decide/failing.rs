//! What happens when content fails: it is quarantined, and the last verified version comes back.

use super::pass::{Pass, brief};
use crate::{
    quarantine::{self, Cause, Entry},
    release::status::{FailureReason, Phase, Purpose, Rollback, Target},
};

fn cause(reason: FailureReason) -> Cause {
    match reason {
        FailureReason::Aborted | FailureReason::Undone => Cause::Person,
        FailureReason::ApplyFailed
        | FailureReason::RolloutRejected
        | FailureReason::Unhealthy
        | FailureReason::DeadlineExceeded
        | FailureReason::GateFailed
        | FailureReason::NoData
        | FailureReason::ProviderError => Cause::Failure,
    }
}

/// Fails the present target.
pub(super) fn fail(pass: &mut Pass<'_>, reason: FailureReason, message: impl Into<String>) {
    let Some(failed) = pass.status.target.clone() else {
        return;
    };
    let message = message.into();
    quarantine::add(
        &mut pass.status.quarantine,
        Entry {
            digest: failed.content.digest.clone(),
            version: failed.content.revision.clone(),
            reason: message.clone(),
            since: pass.now,
            cause: cause(reason),
            bare: None,
        },
    );
    let good = pass.last_good().cloned();
    pass.status.verified.clone_from(&good);
    pass.status.rollback = Some(Rollback {
        from: failed.content.clone(),
        to: good.clone().map(|good| good.content),
        reason,
        message: message.clone(),
        at: pass.now,
    });
    let from = brief(&failed.content);
    if let Some(good) = good {
        pass.warning(
            "RollbackStarted",
            format!(
                "{from} is rolled back to {}: {message}",
                brief(&good.content)
            ),
        );
        let target = Target {
            content: good.content,
            purpose: Purpose::Rollback,
            started_at: pass.now,
            applied_at: None,
            healthy_at: None,
            retried_by: None,
        };
        let gates = std::mem::take(&mut pass.status.gates);
        let verdict = pass.status.verdict;
        pass.begin(target, Phase::RollingBack);
        pass.status.gates = gates;
        pass.status.verdict = verdict;
    } else {
        pass.warning(
            "Failed",
            format!("{from} failed, and nothing was verified before it; its objects are left as they are: {message}"),
        );
        pass.status.promotable = None;
        pass.enter(Phase::Failed);
    }
}
