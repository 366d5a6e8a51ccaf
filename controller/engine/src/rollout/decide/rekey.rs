//! Same content under a new digest. When an API server is upgraded, it may fill new defaults into stored templates: every
//! digest changes though nobody changed anything. A workload whose generation is the judged one still asks for the same
//! content, so the records of it move to the new digest, silently.

use super::{
    super::{
        Observed, RolloutStatus,
        observed::{Template, Workload},
        status::{Asked, Version},
    },
    lookup::bare_of,
};
use crate::{digest::Digest, quarantine::Entry};

/// `status` with the judged template's digest brought up to date.
pub(super) fn same_content(status: &RolloutStatus, observed: &Observed) -> RolloutStatus {
    let mut status = status.clone();
    let Workload::Deployment(deployment) = &observed.workload else {
        return status;
    };
    if let Some(asked) = status.asked.clone()
        && (&asked.uid, asked.generation) == (&deployment.uid, deployment.generation)
        && asked.digest != deployment.template.digest
    {
        replace(&mut status, &asked.digest, &deployment.template);
        status.asked = Some(Asked {
            digest: deployment.template.digest.clone(),
            ..asked
        });
    }
    status
}

fn replace(status: &mut RolloutStatus, old: &Digest, new: &Template) {
    let versions = status
        .stable
        .iter_mut()
        .chain(
            status
                .candidate
                .iter_mut()
                .map(|candidate| &mut candidate.version),
        )
        .chain(
            status
                .rollback
                .iter_mut()
                .map(|rollback| &mut rollback.from),
        )
        .chain(status.verified.iter_mut());
    let entries = status.quarantine.iter_mut();
    let both = versions
        .map(|Version { digest, bare, .. }| (digest, bare))
        .chain(entries.map(|Entry { digest, bare, .. }| (digest, bare)));
    for (digest, bare) in both.filter(|(digest, _)| **digest == *old) {
        *digest = new.digest.clone();
        *bare = bare_of(new);
    }
}
