//! Between waves, after the Jobs that come first and before those that come last: what was applied is awaited.
//!
//! Workloads that a Rollout governs are its business and are not awaited here, nor is what is left alone.

use belay_api::Release;
use belay_engine::health::Health;

use super::{Shell, act::Undone, gather::stored, look, memory::Memory, run::Run, send::Sending};
use crate::apply::{Failure, Prepared, server_side::Mode, turn::Part};

impl Shell {
    /// Notes what was applied so far, and says whether the objects of `stage` may follow on those of `earlier`.
    pub(super) async fn go_on_after(
        &self,
        release: &Release,
        memory: &mut Memory,
        run: &mut Run<'_>,
        (all, earlier, stage): (&[Prepared], &[Prepared], &[Prepared]),
    ) -> Result<Result<(), Failure>, Undone> {
        let (Some(last), Some(next)) = (earlier.last(), stage.first()) else {
            return Ok(Ok(()));
        };
        if run.sending.mode != Mode::Apply || !next.turn.waits_for(last.turn) {
            return Ok(Ok(()));
        }
        self.note(release, memory, &run.answers).await?;
        run.progress.keep(run.sending.workloads(&run.answers));
        run.answers.clear();
        let sending = &run.sending;
        let awaited: Vec<&Prepared> = if next.turn.part == last.turn.part {
            earlier.iter().collect()
        } else {
            // Before the last Jobs everything is awaited, and after the first ones these.
            all.iter()
                .filter(|object| object.turn < next.turn)
                .collect()
        };
        for object in awaited {
            if sending.governs(object) {
                continue;
            }
            if let Err(failure) = self.awaited(release, memory, sending, object).await? {
                return Ok(Err(failure));
            }
        }
        Ok(Ok(()))
    }

    async fn awaited(
        &self,
        release: &Release,
        memory: &mut Memory,
        sending: &Sending<'_>,
        object: &Prepared,
    ) -> Result<Result<(), Failure>, Undone> {
        let Some(entry) = stored(memory).objects.get(&object.key) else {
            return Ok(Ok(()));
        };
        if entry.left_alone || entry.is_opted_out(None) {
            return Ok(Ok(()));
        }
        let known = memory.looked.get(&object.key);
        if known.is_none_or(|known| known.health != Health::Current) {
            let rules = memory.rules(release);
            let read =
                look::read(&sending.target.client, &rules, &object.kind, &object.key).await?;
            memory.looked.insert(object.key.clone(), read);
        }
        let Some(known) = memory.looked.get(&object.key) else {
            return Ok(Ok(()));
        };
        let is_over = object.is_passing()
            && object.turn.part == Part::Main
            && known.resource_version.is_empty();
        let key = &object.key;
        Ok(match &known.health {
            Health::Current => Ok(()),
            _ if is_over => Ok(()),
            Health::InProgress { message } => {
                Err(Failure::waiting(format!("waits for {key}: {message}")))
            }
            Health::Failed { message } => Err(Failure::content(format!(
                "{}: it failed: {message}",
                object.place()
            ))),
        })
    }
}
