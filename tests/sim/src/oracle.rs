//! What the simulator expects of the true state, whatever was decided and seen.

use belay_engine::{
    digest::Digest,
    gate::Mode,
    quarantine,
    rollout::{
        RolloutStatus,
        observed::{Hold, Owner},
        reason,
        status::{Phase, Track},
    },
};

use crate::world::{Quality, World};

impl World {
    /// Whether nothing in this history may get past the hold.
    fn trusting(&self) -> bool {
        let labelled = self
            .workload
            .as_ref()
            .is_some_and(|workload| workload.shown.labelled);
        !self.spice.bypass && !self.spice.sleep && self.hold == Hold::Admission && labelled
    }

    /// Before promotion, stable has all its pods wanted once the Deployment controller has caught up.
    pub(crate) fn check_strength(&mut self) {
        let status = &self.rollout.status;
        let stepping = status.phase == Phase::Progressing
            && status
                .candidate
                .as_ref()
                .is_some_and(|candidate| candidate.track == Track::Steps);
        let (Some(workload), Some(stable)) = (&self.workload, &status.stable) else {
            return;
        };
        if !(stepping && self.trusting() && self.controller_idle && workload.shown.paused) {
            return;
        }
        let wanted = workload.shown.replicas;
        let desired = self
            .sets
            .values()
            .find(|set| set.shown.owner == Owner::Deployment && set.shown.hash == stable.hash)
            .map(|set| set.shown.desired);
        if desired != Some(wanted) {
            self.breaks(
                "stable_at_strength",
                format!("stable has {desired:?} of {wanted} during a canary"),
            );
        }
    }

    /// The Deployment controller never gives rejected content more pods, as long as nobody goes past the hold.
    pub(crate) fn check_growth(&mut self, name: &str, from: i32) {
        let status = &self.rollout.status;
        let Some(set) = self.sets.get(name).filter(|set| set.shown.desired > from) else {
            return;
        };
        let digest = &set.shown.template.digest;
        let stable = status
            .stable
            .as_ref()
            .is_some_and(|stable| stable.digest == *digest);
        let watched = matches!(
            status.phase,
            Phase::Promoting | Phase::Baking | Phase::RollingBack
        );
        let rejected = quarantine::find(&status.quarantine, digest).is_some();
        // An un-pausing for a promotion that was aborted at the same moment may still be on its way back.
        let returning = status.released_generation.is_some();
        // With no pods wanted anywhere the paused Deployment's controller wakes the newest ReplicaSet, whatever it holds.
        let woken = from == 0
            && !self.sets.values().any(|other| {
                other.shown.owner == Owner::Deployment
                    && other.shown.desired > 0
                    && other.shown.name != name
            });
        let held = !stable && !watched && !returning && !woken && !self.rollout.deleting;
        if rejected && held && self.trusting() {
            let detail = format!("{name} grows from {from} to {}", set.shown.desired);
            self.breaks("quarantine_holds", detail);
        }
    }

    /// Belay lets the workload go only to what is stable or promoted, or when nothing runs.
    pub(crate) fn check_letting_go(&mut self, digest: &Digest) {
        let status = &self.rollout.status;
        let stable = status
            .stable
            .as_ref()
            .is_some_and(|stable| stable.digest == *digest);
        let promoted = matches!(status.phase, Phase::Promoting | Phase::Baking)
            && status
                .candidate
                .as_ref()
                .is_some_and(|c| c.version.digest == *digest);
        let runs = self
            .sets
            .values()
            .any(|set| set.shown.owner == Owner::Deployment && set.shown.desired > 0);
        let sleeps = self
            .workload
            .as_ref()
            .is_some_and(|workload| workload.shown.replicas == 0);
        // Before the first version is recorded, there is nothing to protect.
        if !stable && !promoted && runs && !sleeps && status.stable.is_some() {
            self.breaks(
                "no_unverified_promotion",
                format!("let go to {digest:?} in {:?}", status.phase),
            );
        }
    }

    /// A status that is about to be written: nothing bad is promoted or verified, and every act is taken up once.
    pub(crate) fn check_status(&mut self, next: &RolloutStatus) {
        let before = &self.rollout.status;
        let quality = before
            .candidate
            .as_ref()
            .and_then(|candidate| self.content_of(&candidate.version.digest))
            .and_then(|index| self.contents.get(index))
            .map_or(Quality::Good, |content| content.quality);
        let gated = self
            .plan
            .as_ref()
            .is_ok_and(|plan| plan.gates.iter().any(|gate| gate.mode == Mode::Enforce));
        let steps = next
            .candidate
            .as_ref()
            .is_some_and(|candidate| candidate.track == Track::Steps);
        let promotes =
            before.phase == Phase::Progressing && next.phase == Phase::Promoting && steps;
        let verifies = before.phase == Phase::Baking
            && before.rollback == next.rollback
            && before.stable != next.stable
            && next.stable.as_ref().map(|stable| &stable.digest)
                == before
                    .candidate
                    .as_ref()
                    .map(|candidate| &candidate.version.digest);
        let twice = next.actions.iter().find(|receipt| {
            !before.actions.contains(receipt) && self.taken_up.contains(&receipt.uid)
        });
        let twice = twice.map(|receipt| receipt.uid.clone());
        if gated && promotes && quality == Quality::Bad {
            self.breaks(
                "no_unverified_promotion",
                "a version that always fails was promoted".to_owned(),
            );
        }
        if gated && verifies && quality != Quality::Good {
            self.breaks(
                "no_unverified_promotion",
                "a version that fails was verified".to_owned(),
            );
        }
        if let Some(uid) = twice {
            self.breaks("one_receipt_an_act", format!("{uid} was taken up twice"));
        }
        if next.phase == Phase::Promoting && self.rollout.status.phase != Phase::Promoting {
            let hash = next
                .candidate
                .as_ref()
                .map_or("", |candidate| &candidate.version.hash);
            self.canary_pods = self.pods_of(hash);
        }
        if !self.spice.clock_jumps {
            self.check_counts(next);
        }
        let uids: Vec<String> = next
            .actions
            .iter()
            .map(|receipt| receipt.uid.clone())
            .collect();
        self.taken_up.extend(uids);
    }

    /// Each millisecond brings one canary request: none was counted twice, whatever restarts there were.
    fn check_counts(&mut self, next: &RolloutStatus) {
        let doubled = next.gates.iter().find_map(|gate| {
            let evidence = gate.evidence.as_ref()?;
            let time = evidence.counted_through.duration_since(evidence.since);
            let possible = time.as_secs_f64() * 1000.0;
            let counted = evidence.canary.total();
            (counted > possible + 0.5).then(|| {
                format!(
                    "gate {} counted {counted} requests in {possible} ms",
                    gate.name
                )
            })
        });
        if let Some(detail) = doubled {
            self.breaks("requests_count_once", detail);
        }
    }

    /// Whether the stable version's pods get ready at all.
    pub(crate) fn stable_works(&self) -> bool {
        let stable = self.rollout.status.stable.as_ref();
        let content = stable.and_then(|stable| self.content_of(&stable.digest));
        content
            .and_then(|index| self.contents.get(index))
            .is_some_and(|content| content.ready_ms.is_some())
    }

    /// A good version in a fair world is the stable one in the end, and its canary's pods serve on.
    pub(crate) fn check_promoted(&mut self, content: usize) {
        let bare = self.template(content).bare;
        let asked = self
            .workload
            .as_ref()
            .map(|workload| &workload.shown.template);
        let status = &self.rollout.status;
        let stable = status.stable.as_ref().filter(|stable| {
            stable.is_of_template(&bare) && asked.is_some_and(|asked| asked.digest == stable.digest)
        });
        let Some(stable) = stable.filter(|_| status.phase == Phase::Healthy) else {
            let detail = format!("{:?} because of {:?}", status.phase, status.rollback);
            return self.breaks("good_comes_through", detail);
        };
        let pods = self.pods_of(&stable.hash);
        if self.canary_pods.is_empty() || !self.canary_pods.iter().all(|pod| pods.contains(pod)) {
            let detail = format!("of {:?} only {pods:?} serve on", self.canary_pods);
            self.breaks("canary_pods_are_kept", detail);
        }
    }

    /// A bad version in a fair world is rejected, and no stable pod was restarted for it.
    pub(crate) fn check_taken_back(&mut self, stable_hash: &str, pods: &[u64]) {
        let gated = self
            .good_plan
            .gates
            .iter()
            .any(|gate| gate.mode == Mode::Enforce);
        let own_gate = self
            .good_plan
            .steps
            .iter()
            .any(|step| !step.gates.is_empty());
        if !(gated || own_gate) || !self.broken.is_empty() {
            return;
        }
        let phase = self.rollout.status.phase;
        if phase != Phase::Rejected {
            self.breaks("bad_is_rejected", format!("ended {phase:?}"));
        }
        let now = self.pods_of(stable_hash);
        if now != pods {
            self.breaks("stable_pods_stay", format!("{pods:?} became {now:?}"));
        }
    }

    /// What must be true when nothing changes any more.
    pub(crate) fn check_settled(&mut self) {
        if let Err(why) = self.settled() {
            self.breaks("eventually_settled", why);
        }
    }

    fn settled(&self) -> Result<(), String> {
        if let Some(set) = self
            .sets
            .values()
            .find(|set| set.shown.owner == Owner::Rollout)
        {
            return Err(format!("{} is left over", set.shown.name));
        }
        if let Some(left) = self.roads.leftover() {
            return Err(left);
        }
        if self.rollout.finished {
            return self.let_go();
        }
        if self.rollout.deleting {
            return Err("the Rollout is not let go".to_owned());
        }
        let status = &self.rollout.status;
        let workload = self.workload.as_ref().ok_or("no workload")?;
        let asked = &workload.shown.template.digest;
        let waits = status
            .waiting_for
            .as_ref()
            .map_or("", |waiting| waiting.reason.as_str());
        let works = |digest: &Digest| {
            let index = self.content_of(digest).unwrap_or(0);
            self.contents
                .get(index)
                .is_some_and(|content| content.ready_ms.is_some())
        };
        let stable = status.stable.as_ref().ok_or("no stable version")?;
        if !works(&stable.digest) {
            // What Belay found as the first version does not work: there is nothing good to come back to.
            return Ok(());
        }
        let right = match status.phase {
            Phase::Healthy => *asked == stable.digest && waits.is_empty(),
            // So many versions went past the hold that the only source of the stable template was cleaned up.
            Phase::RollingBack | Phase::Pending => {
                let unheld =
                    self.spice.bypass || self.spice.sleep || self.hold == Hold::AlwaysPaused;
                waits == reason::STABLE_LOST && unheld
            }
            Phase::Rejected => {
                quarantine::find(&status.quarantine, asked).is_some() && workload.shown.paused
            }
            _ => false,
        };
        if !right {
            return Err(format!(
                "ended {:?} waiting for {:?}",
                status.phase, status.waiting_for
            ));
        }
        let paused = self.hold == Hold::AlwaysPaused;
        if status.phase == Phase::Healthy
            && works(&stable.digest)
            && workload.shown.paused != paused
        {
            return Err(format!(
                "the idle workload is paused: {}",
                workload.shown.paused
            ));
        }
        if quarantine::find(&status.quarantine, &stable.digest).is_some() && self.trusting() {
            return Err("the stable version is quarantined".to_owned());
        }
        if waits == reason::STABLE_LOST {
            return Ok(());
        }
        self.settled_sets(&stable.hash, workload.shown.replicas)
    }

    /// A workload whose Rollout is gone belongs to itself again: with the label left on it, its next template would be held
    /// by a policy that nobody follows up. That it stays paused with a template that was not verified is as it should be.
    fn let_go(&self) -> Result<(), String> {
        match &self.workload {
            Some(workload) if workload.shown.labelled => Err("the label is left behind".to_owned()),
            Some(workload) if workload.shown.template.stamp.is_some() && self.trusting() => {
                Err("the stamp is left behind".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn settled_sets(&self, stable_hash: &str, replicas: i32) -> Result<(), String> {
        for set in self.sets.values() {
            let stable = set.shown.hash == stable_hash;
            let wanted = if stable { replicas } else { 0 };
            if set.shown.desired != wanted {
                let shown = &set.shown;
                return Err(format!(
                    "{} ends with {} of {wanted}",
                    shown.name, shown.desired
                ));
            }
        }
        Ok(())
    }
}
