//! Counters of canary and stable pods, as a gate that compares counts them: one request a millisecond on the canary, four on
//! stable, so that what was counted can be held against the time it was counted in.

use std::collections::BTreeMap;

use belay_engine::{
    analysis::{
        Count,
        dispersion::Spread,
        ledger::{SeriesTick, Tick},
    },
    digest::Digest,
    gate::Result as Measured,
    rollout::{RolloutStatus, status::Phase},
};
use jiff::Timestamp;

use crate::{
    shell::{is_bad, unknown},
    world::World,
};

type Trial = (Digest, Timestamp);

/// Through when each gate has counted, in memory.
#[derive(Default)]
pub(crate) struct Ledgers {
    trial: Option<Trial>,
    through: BTreeMap<String, Timestamp>,
    before: BTreeMap<String, Timestamp>,
}

impl Ledgers {
    /// From when on `gate` counts now; after a restart that is where its evidence on record ends.
    pub(crate) fn advance(
        &mut self,
        trial: &Trial,
        gate: &str,
        status: &RolloutStatus,
        now: Timestamp,
    ) -> Timestamp {
        if self.trial.as_ref() != Some(trial) {
            *self = Self {
                trial: Some(trial.clone()),
                ..Self::default()
            };
        }
        let on_record = || {
            let state = status.gates.iter().find(|state| state.name == gate);
            let counted = state.and_then(|state| state.evidence.as_ref());
            let ready = status.candidate.as_ref().and_then(|c| c.first_ready_at);
            counted
                .map(|evidence| evidence.counted_through)
                .or(ready)
                .unwrap_or(now)
        };
        let known = self.through.get(gate).copied();
        let from = known.unwrap_or_else(on_record).min(now);
        self.before.insert(gate.to_owned(), from);
        self.through.insert(gate.to_owned(), now);
        from
    }

    /// Takes the last advance of `gate` back.
    pub(crate) fn stay(&mut self, gate: &str) {
        if let Some(before) = self.before.get(gate) {
            self.through.insert(gate.to_owned(), *before);
        }
    }
}

/// What a look at the counters gives.
pub(crate) fn counted(
    world: &mut World,
    digest: &Digest,
    gate: &str,
    (from, to): (Timestamp, Timestamp),
    chaos: bool,
) -> Measured {
    if let Some(unknown) = unknown(world, chaos) {
        return unknown;
    }
    let baking = world.rollout.status.phase == Phase::Baking;
    let bad = is_bad(world, digest, gate);
    if baking && !bad {
        return Measured::NoBaseline;
    }
    if chaos && world.chance(10) {
        return Measured::Unchanged;
    }
    let milliseconds = to.duration_since(from).as_secs_f64() * 1000.0;
    if milliseconds <= 0.0 {
        return Measured::Unchanged;
    }
    let series = SeriesTick {
        canary: Count::new(if bad { milliseconds / 4.0 } else { 0.0 }, milliseconds),
        stable: Count::new(0.0, 4.0 * milliseconds),
        spread: Spread::NONE,
        worst_pods: Vec::new(),
    };
    Measured::Counted(Tick {
        from,
        to,
        series: vec![series],
        canary_pods: 1,
        stable_pods: 1,
        skipped: Vec::new(),
    })
}
