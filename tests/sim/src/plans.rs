//! Plans of all kinds, with times short enough for a history.

use std::time::Duration;

use belay_engine::{
    analysis::evidence::{OnInconclusive, Policy},
    gate::{GatePolicy, Method, Mode, Then, UnknownPolicy},
    rollout::{
        Plan,
        plan::{Approval, End, Routing, Share, Step},
    },
    traffic::{Affinity, Split},
};
use fastrand::Rng;

use crate::traffic::route_ids;

pub(crate) fn plan(rng: &mut Rng, routed: bool) -> Plan {
    let routing = (routed && rng.u8(0..8) > 0).then(|| routing(rng));
    // A gate of the same name is the same one, in whichever step.
    let smoke = gate(rng, "smoke");
    let steps = (0..rng.usize(1..=3))
        .map(|_| step(rng, &smoke, routing.as_ref()))
        .collect();
    let mut gates = Vec::new();
    if rng.u8(0..8) > 0 {
        gates.push(gate(rng, "errors"));
    }
    if rng.u8(0..4) == 0 {
        gates.push(GatePolicy {
            mode: Mode::DryRun,
            ..gate(rng, "trial")
        });
    }
    Plan {
        steps,
        gates,
        bake: Duration::from_secs(if rng.bool() { 0 } else { rng.u64(1..40) }),
        progress_deadline: Duration::from_secs(rng.u64(60..120)),
        routing,
        doubts: Vec::new(),
    }
}

/// One or two routes, or the Service itself to switch.
fn routing(rng: &mut Rng) -> Routing {
    let routes = rng.usize(0..=2);
    Routing {
        service: "web".to_owned(),
        routes: route_ids().into_iter().take(routes).collect(),
        drain: Duration::from_secs(rng.u64(0..6)),
        affinity: (routes > 0 && rng.u8(0..3) == 0).then(|| Affinity {
            cookie: "shop".to_owned(),
            max_age_seconds: 60,
        }),
    }
}

fn split(rng: &mut Rng, routing: &Routing) -> Split {
    if routing.routes.is_empty() {
        return Split::share(if rng.bool() { 0 } else { 100 });
    }
    let mut split = Split::share(match rng.u8(0..6) {
        0 => 0,
        1 => 100,
        _ => rng.u8(1..=100),
    });
    split.mirror_percent = (rng.u8(0..6) == 0).then(|| rng.u8(1..=100));
    split
}

fn step(rng: &mut Rng, smoke: &GatePolicy, routing: Option<&Routing>) -> Step {
    let split = routing.map(|routing| split(rng, routing));
    let share = match rng.u8(0..4) {
        0 => Share::Replicas(rng.i32(1..=4)),
        1 => Share::ReplicasPercent(rng.u8(1..=100)),
        _ => Share::WeightPercent(match &split {
            Some(split) => split.canary_percent,
            None => rng.u8(1..=50),
        }),
    };
    let own_gate = rng.u8(0..6) == 0;
    let (end, hold) = match rng.u8(0..8) {
        // Long enough for whoever is good to show it.
        0 => (End::Evidence, rng.u64(100..160)),
        1..=3 => (End::Time, 0),
        _ => (End::Time, rng.u64(1..30)),
    };
    Step {
        share,
        split,
        hold: Duration::from_secs(hold),
        end,
        approval: if rng.u8(0..8) == 0 {
            Approval::Required
        } else {
            Approval::NotRequired
        },
        gates: if own_gate {
            vec![smoke.clone()]
        } else {
            Vec::new()
        },
    }
}

fn gate(rng: &mut Rng, name: &str) -> GatePolicy {
    let unknown = UnknownPolicy {
        then: if rng.u8(0..3) == 0 {
            Then::RollBack
        } else {
            Then::Hold
        },
        consecutive_limit: rng.u32(1..=3),
        deadline: Duration::from_secs(rng.u64(20..60)),
    };
    GatePolicy {
        name: name.to_owned(),
        interval: Duration::from_secs(rng.u64(1..10)),
        initial_delay: Duration::from_secs(rng.u64(0..5)),
        success_count: rng.u32(1..=2),
        failure_limit: rng.u32(0..=2),
        on_no_data: unknown,
        on_error: unknown,
        mode: Mode::Enforce,
        method: if rng.u8(0..3) == 0 {
            Method::Compare(rules(rng))
        } else {
            Method::Readings
        },
    }
}

fn rules(rng: &mut Rng) -> Policy {
    Policy {
        min_requests: rng.u32(0..20_000),
        on_inconclusive: match rng.u8(0..6) {
            0 => OnInconclusive::Hold,
            1 => OnInconclusive::RollBack,
            _ => OnInconclusive::Advance,
        },
        ..Policy::default()
    }
}
