//! Following an artifact of a registry.

use belay_api::release::Oci;
use belay_source::Candidate;

use super::{
    super::{
        artifacts::{Looks, Seen},
        registry::sha256,
        trouble::Trouble,
    },
    Follower, Settled, changed_beside_git,
};

impl Follower {
    /// Follows until the login must be read anew: after every look that failed.
    pub(super) async fn look_at_registry(&mut self, oci: &Oci) -> Result<(), Trouble> {
        if let Some(digest) = &oci.reference.digest {
            let digest = sha256(digest).ok_or_else(|| {
                Trouble::unavailable(
                    "source.oci.ref.digest: write sha256: and 64 hexadecimal digits",
                )
            })?;
            // A digest can't move: no look at the registry, once it was fetched.
            let candidates = [Candidate::of_commit(digest)];
            loop {
                self.settle_until_changed(&candidates).await;
            }
        }
        let looks = self.tools.artifact_looks(&self.request, oci).await?;
        let mut known: Option<Candidate> = None;
        let mut seen = if self.wanted.is_at_hand() {
            looks.look().await
        } else {
            looks.latest().await
        };
        loop {
            let found = seen.found.clone()?;
            seen = self.work_on(found, &mut known, &looks, &seen).await;
        }
    }

    /// Works on what a look showed, if that is not known yet, and waits for the next look.
    async fn work_on(
        &mut self,
        found: Candidate,
        known: &mut Option<Candidate>,
        looks: &Looks,
        seen: &Seen,
    ) -> Seen {
        if known.as_ref() == Some(&found) && self.trouble_since.is_none() {
            self.answer();
        } else {
            // A tag that moves on interrupts the work on what it was at.
            let candidates = [found];
            let settled = tokio::select! {
                settled = self.settle(&candidates) => settled,
                newer = looks.changed(seen) => return newer,
            };
            let [found] = candidates;
            *known = (settled == Settled::Yes).then_some(found);
        }
        let charts_every = self.charts_every();
        tokio::select! {
            newer = looks.next(seen) => newer,
            () = changed_beside_git(&mut self.inputs, charts_every) => {
                *known = None;
                looks.latest().await
            }
            () = self.wanted.next() => {
                if charts_every.is_some() {
                    *known = None;
                }
                looks.look().await
            }
        }
    }
}
