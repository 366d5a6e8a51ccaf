//! What a history is given at its beginning: contents, a plan, and how the hold is kept. All of it is drawn, so the order in
//! which a world asks for these is a part of what a seed means. Deliberately absent: how requests are led, which only some
//! workloads have.

use std::time::Duration;

use belay_engine::{
    digest::Digest,
    gate::{GatePolicy, Method, Mode, Then, UnknownPolicy},
    rollout::{
        Plan,
        observed::{Hold, Template},
        plan::{Approval, End, Routing, Share, Step},
    },
    traffic::Split,
};
use fastrand::Rng;
use serde_json::json;

use super::core::Content;

/// What may be asked for. The first one is good, for it is what Belay finds.
pub(crate) fn contents(rng: &mut Rng, app: &str) -> Vec<Content> {
    (0..6)
        .map(|index| Content {
            template: Template::new(Digest::of(&json!(index)), None, format!("{app}:{index}")),
            bad: index > 0 && rng.u8(0..3) == 0,
            ready_after: (index == 0 || rng.u8(0..5) > 0).then(|| rng.i64(0..6)),
        })
        .collect()
}

/// In most clusters there is an admission policy.
pub(crate) fn hold(rng: &mut Rng) -> Hold {
    if rng.u8(0..4) == 0 {
        Hold::AlwaysPaused
    } else {
        Hold::Admission
    }
}

/// A plan of up to three steps with one gate.
pub(crate) fn plan(rng: &mut Rng, routing: Option<Routing>) -> Plan {
    let unknown = UnknownPolicy {
        then: Then::Hold,
        consecutive_limit: 2,
        deadline: Duration::from_mins(1),
    };
    let errors = GatePolicy {
        name: "errors".to_owned(),
        interval: Duration::from_secs(3),
        initial_delay: Duration::ZERO,
        success_count: 1,
        failure_limit: 0,
        on_no_data: unknown,
        on_error: unknown,
        mode: Mode::Enforce,
        method: Method::Readings,
    };
    let mut percents: Vec<u8> = (0..rng.usize(1..=3)).map(|_| rng.u8(1..=100)).collect();
    percents.sort_unstable();
    let mirror = (rng.u8(0..6) == 0).then(|| rng.u8(1..=100));
    Plan {
        steps: percents
            .into_iter()
            .map(|percent| Step {
                end: End::Time,
                share: Share::ReplicasPercent(percent),
                split: routing.as_ref().map(|_| Split {
                    mirror_percent: mirror,
                    ..Split::share(if rng.u8(0..6) == 0 { 0 } else { percent })
                }),
                hold: Duration::from_secs(rng.u64(0..10)),
                approval: Approval::NotRequired,
                gates: Vec::new(),
            })
            .collect(),
        gates: vec![errors],
        bake: Duration::from_secs(rng.u64(0..20)),
        progress_deadline: Duration::from_secs(rng.u64(60..120)),
        routing,
        doubts: Vec::new(),
    }
}
