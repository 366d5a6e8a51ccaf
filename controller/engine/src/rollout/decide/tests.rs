//! Behaviour of `decide`, one file a theme. The bench plays a cluster in which every effect works at once; the simulator
//! of the tests crate plays one in which they don't.

mod actions;
mod bench;
mod canary;
mod compare;
mod config;
mod copies;
mod gates;
mod hold;
mod in_place;
mod leaving;
mod nodes;
mod promotion;
mod requests;
mod rollback;
mod scale;
mod stay;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use self::bench::Bench;
use super::super::{
    Decision, Effect, Observed, Plan, RolloutStatus, decide,
    observed::{
        Config, Deployment, Group, Hold, Kind, Lifecycle, Owner, ReplicaSet, Template, Workload,
    },
    plan::{Approval, End, Share, Step},
    status::Phase,
};
use crate::{
    action::{Request, Verb},
    config::Stamp,
    digest::Digest,
    gate::{GatePolicy, Mode, Reading, Result, Then, UnknownPolicy},
};

fn template(version: &str) -> Template {
    stamped(version, None)
}

/// The template with a stamp of its configuration.
fn stamped(version: &str, stamp: Option<Stamp>) -> Template {
    Template::new(Digest::of(&json!(version)), stamp, version.to_owned())
}

fn gate(name: &str) -> GatePolicy {
    let unknown = UnknownPolicy {
        then: Then::Hold,
        consecutive_limit: 2,
        deadline: Duration::from_mins(1),
    };
    GatePolicy {
        name: name.to_owned(),
        interval: Duration::from_secs(10),
        initial_delay: Duration::ZERO,
        success_count: 1,
        failure_limit: 0,
        on_no_data: unknown,
        on_error: unknown,
        mode: Mode::Enforce,
        method: crate::gate::Method::Readings,
    }
}

fn step(share: Share, hold_seconds: u64) -> Step {
    Step {
        share,
        split: None,
        hold: Duration::from_secs(hold_seconds),
        end: End::Time,
        approval: Approval::NotRequired,
        gates: Vec::new(),
    }
}

fn plan() -> Plan {
    Plan {
        steps: vec![
            step(Share::WeightPercent(20), 60),
            step(Share::WeightPercent(50), 60),
        ],
        gates: vec![gate("errors")],
        bake: Duration::from_mins(2),
        progress_deadline: Duration::from_mins(10),
        routing: None,
        doubts: Vec::new(),
    }
}
