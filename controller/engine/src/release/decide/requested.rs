//! A look at the source that a person asked for: acknowledged with what it showed, and with another try of what failed.

use super::pass::Pass;
use crate::release::{
    plan::Suspension,
    requested::{LookRequest, Reconciled},
};

pub(super) fn take_up(pass: &mut Pass<'_>) {
    let observed = pass.observed;
    let suspended = pass
        .plan
        .is_ok_and(|plan| plan.suspension == Suspension::Suspended);
    let request = match &observed.look {
        LookRequest::Answered { request } => request,
        // There will be no look: whoever waits for one is not kept waiting.
        LookRequest::Pending { request } if suspended => request,
        LookRequest::None | LookRequest::Pending { .. } => return,
    };
    let known = pass.status.reconciled.as_ref();
    if known.is_some_and(|known| known.request == *request) {
        return;
    }
    pass.status.reconciled = Some(Reconciled {
        request: request.clone(),
        at: pass.now,
    });
    pass.forgive();
}
