//! The API server's side of an effect: preconditions against the true state, then the write.

use belay_engine::{
    digest::Digest,
    rollout::{Effect, Guard, observed::Owner},
};

use crate::world::World;

/// Why a write was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Conflict,
    Gone,
}

type Written = Result<(), Refusal>;

impl World {
    /// Carries one effect out, if its preconditions hold.
    pub(crate) fn write(&mut self, effect: &Effect) -> Written {
        match effect {
            Effect::Adopt => {
                self.workload.as_mut().ok_or(Refusal::Gone)?.shown.labelled = true;
                self.touch_workload();
                Ok(())
            }
            Effect::Pause { resource_version } => {
                self.at_version(resource_version)?;
                self.pause(true);
                Ok(())
            }
            Effect::CreateCandidate {
                digest,
                hash,
                replicas,
            } => self.create(digest, hash, *replicas),
            Effect::ScaleCandidate {
                name,
                resource_version,
                replicas,
            } => {
                self.set_at(name, resource_version, Owner::Rollout)?;
                if *replicas == 0 {
                    self.check_going(name);
                }
                if let Some(set) = self.sets.get_mut(name) {
                    set.shown.desired = *replicas;
                }
                self.changed_set(name);
                Ok(())
            }
            Effect::RemoveCandidate {
                name,
                uid,
                resource_version,
            } => self.remove(name, uid, resource_version),
            Effect::HandOver {
                name,
                resource_version,
            } => {
                self.set_at(name, resource_version, Owner::Rollout)?;
                self.give(name, Owner::Deployment);
                Ok(())
            }
            Effect::TakeBack {
                name,
                resource_version,
            } => {
                self.set_at(name, resource_version, Owner::Deployment)?;
                self.give(name, Owner::Rollout);
                Ok(())
            }
            Effect::Resume {
                digest,
                resource_version,
                guard,
            } => self.resume(digest, resource_version, *guard),
            Effect::RestoreTemplate {
                hash,
                digest,
                resource_version,
            } => self.restore(hash, digest, resource_version),
            Effect::MovePartition { .. } | Effect::RemovePod { .. } => {
                self.breaks("fits_the_kind", format!("{effect:?}"));
                Err(Refusal::Gone)
            }
            Effect::Acknowledge(receipt) => {
                self.actions.remove(&receipt.uid);
                Ok(())
            }
            Effect::LetGo {
                resume,
                resource_version,
            } => self.label_off(*resume, resource_version),
            Effect::Finish => {
                self.rollout.finished = true;
                // The garbage collector deletes what the Rollout still controls.
                self.sets
                    .retain(|_, set| set.shown.owner == Owner::Deployment);
                Ok(())
            }
            Effect::Stamp { .. }
            | Effect::StampSet { .. }
            | Effect::SweepConfig { .. }
            | Effect::RemakeCopy { .. } => self.write_config(effect),
            Effect::EnsureService { .. }
            | Effect::RemoveService { .. }
            | Effect::PinService { .. }
            | Effect::UnpinService { .. }
            | Effect::SetRoute { .. }
            | Effect::SendRouteHome { .. } => self.write_traffic(effect),
        }
    }

    /// The label is taken off, and the Deployment un-paused if it may roll.
    fn label_off(&mut self, resume: bool, resource_version: &str) -> Written {
        self.at_version(resource_version)?;
        if let Some(workload) = &mut self.workload {
            workload.shown.labelled = false;
        }
        if resume {
            self.pause(false);
        }
        self.touch_workload();
        Ok(())
    }

    fn create(&mut self, digest: &Digest, hash: &str, replicas: i32) -> Written {
        let workload = self.workload.as_ref().ok_or(Refusal::Gone)?;
        if workload.shown.template.digest != *digest {
            return Err(Refusal::Conflict);
        }
        let content = workload.content;
        if !self.sets.contains_key(&format!("app-{hash}")) {
            self.add_set(content, Owner::Rollout, hash, replicas);
        }
        Ok(())
    }

    fn resume(&mut self, digest: &Digest, version: &str, guard: Guard) -> Written {
        let workload = self.workload.as_ref().ok_or(Refusal::Gone)?;
        let same_template = workload.shown.template.digest == *digest;
        let same_version = workload.shown.resource_version == version;
        if !(same_template && (same_version || guard == Guard::Template)) {
            return Err(Refusal::Conflict);
        }
        self.check_letting_go(digest);
        let status = &self.rollout.status;
        let stable = status.stable.as_ref();
        if stable.is_some_and(|stable| stable.digest != *digest) {
            self.check_rolling(digest.as_str());
        }
        self.pause(false);
        Ok(())
    }

    fn restore(&mut self, hash: &str, digest: &Digest, version: &str) -> Written {
        self.at_version(version)?;
        let set = self
            .sets
            .values()
            .find(|set| set.shown.hash == hash)
            .ok_or(Refusal::Gone)?;
        if set.shown.template.digest != *digest {
            return Err(Refusal::Conflict);
        }
        let content = set.content;
        let template = self.template(content);
        self.check_rolling_back();
        if let Some(workload) = &mut self.workload {
            workload.content = content;
            workload.shown.template = template;
            workload.shown.paused = false;
        }
        self.changed_spec();
        Ok(())
    }

    fn remove(&mut self, name: &str, uid: &str, version: &str) -> Written {
        let set = self.sets.get_mut(name).ok_or(Refusal::Gone)?;
        if set.shown.uid != uid || set.shown.resource_version != version {
            return Err(Refusal::Conflict);
        }
        if set.shown.owner != Owner::Rollout {
            self.breaks(
                "deletes_only_own",
                format!("{name} belongs to the Deployment"),
            );
            return Err(Refusal::Conflict);
        }
        self.check_going(name);
        let Some(set) = self.sets.get_mut(name) else {
            return Err(Refusal::Gone);
        };
        // Most deletions are done when they are answered; some linger.
        if self.rng.u8(0..4) == 0 {
            set.shown.terminating = true;
            self.changed_set(name);
        } else {
            self.sets.remove(name);
            self.controller_idle = false;
        }
        Ok(())
    }

    pub(crate) fn at_version(&self, version: &str) -> Written {
        let workload = self.workload.as_ref().ok_or(Refusal::Gone)?;
        if workload.shown.resource_version == version {
            Ok(())
        } else {
            Err(Refusal::Conflict)
        }
    }

    fn set_at(&self, name: &str, version: &str, owner: Owner) -> Written {
        let set = self.sets.get(name).ok_or(Refusal::Gone)?;
        let fits = set.shown.resource_version == version && set.shown.owner == owner;
        if fits { Ok(()) } else { Err(Refusal::Conflict) }
    }

    fn give(&mut self, name: &str, owner: Owner) {
        if let Some(set) = self.sets.get_mut(name) {
            set.shown.owner = owner;
        }
        self.changed_set(name);
    }

    pub(crate) fn pause(&mut self, paused: bool) {
        if let Some(workload) = &mut self.workload
            && workload.shown.paused != paused
        {
            workload.shown.paused = paused;
            self.changed_spec();
        }
    }

    fn touch_workload(&mut self) {
        let version = self.fresh_version();
        if let Some(workload) = &mut self.workload {
            workload.shown.resource_version = version;
        }
    }
}
