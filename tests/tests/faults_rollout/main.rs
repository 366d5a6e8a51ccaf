//! Faults in the middle of things: the controller killed, two controllers, no Prometheus, no API server.
//!
//! The controller runs as the program that is shipped, and ends by `kill -9`. Tests take turns on four labs, for a fault of one is
//! a fault for all on the same.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test ends where its assumption ends"
)]

mod away;
mod killed;
mod outages;

use std::{collections::BTreeMap, time::Duration};

use belay_lab::{Lab, Part, wait_for};
use belay_tests::{
    scene::Scene,
    turns::{Turn, Turns, first_free},
    watching::pods,
    workload::Workload,
};
use serde_json::{Value, json};

/// These tests mostly wait: four labs take little more of the processor than one, and a third of the time.
static LABS: [Turns; 4] = [const { Turns::new() }; 4];

/// Long enough for a lease to be taken over and several pods to change places.
const LONG: Duration = Duration::from_mins(2);
/// Long enough for a lease to be taken over from one who said no goodbye.
const SOON: Duration = Duration::from_mins(1);

/// The next turn on any of the labs.
async fn turn() -> Turn {
    first_free(
        &LABS,
        || Lab::builder().with(Part::Prometheus),
        |installed| installed,
    )
    .await
    .unwrap()
}

fn two_steps() -> Value {
    json!([{"replicas": 1, "hold": "1s"}, {"replicas": "50%", "hold": "1s"}])
}

/// Nothing but the workload of this tag runs, and its pods are as many as wanted.
async fn only_this_version_runs(scene: &Scene, web: &Workload, tag: &str, replicas: usize) {
    wait_for("one version at full strength", SOON, || async {
        let sets = web.sets().await.map_err(|error| error.to_string())?;
        let active: Vec<_> = sets.iter().filter(|set| set.desired > 0).collect();
        let live = pods(
            &scene.client,
            &scene.namespace,
            &format!("app={}", web.name),
        )
        .await
        .map_err(|error| error.to_string())?;
        match active.as_slice() {
            [only]
                if only.image.ends_with(tag)
                    && only.owner == "Deployment"
                    && live.len() == replicas =>
            {
                Ok(())
            }
            other => Err(format!("{other:?}, {} pods", live.len())),
        }
    })
    .await
    .unwrap();
}

/// The stable set had never another size than this while it was the stable one.
fn never_below(history: &BTreeMap<String, Vec<i32>>, hash: &str, replicas: i32) {
    let least = history
        .get(hash)
        .and_then(|sizes| sizes.iter().min().copied());
    assert_eq!(
        least,
        Some(replicas),
        "sizes of the stable set: {history:?}"
    );
}
