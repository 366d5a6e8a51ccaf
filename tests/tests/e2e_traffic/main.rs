//! Not one request is lost by Belay: real requests through a real gateway to pods that answer, while versions change in every way,
//! pods come and go, and the controller is killed.
//!
//! All kinds of changes go on at the same time, each on a workload of its own, and the one controller is killed at a random moment
//! of every one of them. `BELAY_TRAFFIC_RUNS=10` makes it 20 canaries, 10 rollbacks, 10 switches and 5 newer versions;
//! `BELAY_TRAFFIC_SEED` repeats the choices of a run.

mod blue_green;
mod canary;
mod controller;
mod lane;
mod left;
mod report;

use std::process::ExitCode;
use std::sync::Arc;

use belay_lab::{Lab, Part};
use belay_tests::Error;
use belay_tests::plane::{Tests, main as run};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::controller::Belay;
use crate::lane::{Lane, PER_SECOND};
use crate::report::{Account, say, sum_up};

fn main() -> ExitCode {
    run(Tests::begin(), |tests| {
        tests.test(
            "no_request_is_lost_while_versions_change_and_belay_dies",
            everything,
        )
    })
}

/// What is done in a lane, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Canary,
    /// As a canary; who changes the number of pods is a `HorizontalPodAutoscaler`.
    Autoscaled,
    Rollback,
    Newer,
    RouteSwitch,
    ServiceSwitch,
}

impl Kind {
    /// Of the lane's namespace, and for the report.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Autoscaled => "canary-autoscaled",
            Self::Rollback => "rollback",
            Self::Newer => "newer",
            Self::RouteSwitch => "blue-green-route",
            Self::ServiceSwitch => "blue-green-service",
        }
    }

    fn spec(self) -> Value {
        match self {
            Self::Canary | Self::Autoscaled | Self::Rollback | Self::Newer => canary::spec(),
            Self::RouteSwitch => blue_green::by_route(),
            Self::ServiceSwitch => blue_green::by_service(),
        }
    }

    async fn go(self, lane: &mut Lane, turn: usize) -> Result<(), Error> {
        // Both ways take turns, beginning with a random one.
        let first = turn.is_multiple_of(2);
        match self {
            Self::Canary | Self::Autoscaled => canary::to_the_end(lane).await,
            Self::Rollback => canary::taken_back(lane, first).await,
            Self::Newer => canary::overtaken(lane).await,
            Self::RouteSwitch | Self::ServiceSwitch => blue_green::switched(lane, first).await,
        }
    }
}

/// The lanes, and how often each does its kind of change.
fn lanes(runs: usize) -> [(Kind, usize); 6] {
    [
        (Kind::Canary, runs),
        (Kind::Autoscaled, runs),
        (Kind::Rollback, runs.max(2)),
        (Kind::Newer, runs.div_ceil(2)),
        (Kind::RouteSwitch, runs.div_ceil(2)),
        (Kind::ServiceSwitch, runs.div_ceil(2)),
    ]
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

async fn everything() -> Result<(), Error> {
    let runs = number("BELAY_TRAFFIC_RUNS").unwrap_or(1);
    let runs = usize::try_from(runs).unwrap_or(1).clamp(1, 100);
    let seed = number("BELAY_TRAFFIC_SEED").unwrap_or_else(rand::random);
    say(&format!(
        "{runs} runs, seed {seed}, {:.0} requests a second",
        PER_SECOND * 6.0
    ));
    // The lanes' tasks need it as long as the process lives; its keeper ends it with the process.
    let lab = Lab::builder()
        .nodes(3)
        .with(Part::Prometheus)
        .with(Part::Gateway)
        .start()
        .await?;
    let lab: &'static Lab = Box::leak(Box::new(lab));
    let belay = Arc::new(Belay::install(lab).await?);
    let mut going = JoinSet::new();
    for (number, (kind, runs)) in (0..).zip(lanes(runs)) {
        going.spawn(one_lane(lab, Arc::clone(&belay), kind, runs, seed ^ number));
    }
    let mut accounts = Vec::new();
    let mut broken = Vec::new();
    while let Some(ended) = going.join_next().await {
        match ended {
            Ok(Ok(account)) => accounts.push(account),
            Ok(Err(error)) => broken.push(error.to_string()),
            Err(error) => broken.push(error.to_string()),
        }
    }
    sum_up(&accounts);
    belay.end().await?;
    if broken.is_empty() {
        Ok(())
    } else {
        Err(Error::Broken(format!("seed {seed}: {}", broken.join("\n"))))
    }
}

async fn one_lane(
    lab: &'static Lab,
    belay: Arc<Belay>,
    kind: Kind,
    runs: usize,
    seed: u64,
) -> Result<Account, Error> {
    let mut lane = Lane::open(lab, &belay, kind.name(), seed, kind.spec()).await?;
    if kind == Kind::Autoscaled {
        lane.autoscale().await?;
    }
    let offset = usize::from(seed.is_multiple_of(2));
    for turn in 0..runs {
        let gone = kind.go(&mut lane, turn + offset).await;
        gone.map_err(|error| lane.explained(&error))?;
    }
    let (measured, kills, disturbances) = (lane.measured.clone(), lane.kills, lane.disturbances);
    let tally = lane.close().await?;
    Ok(Account {
        kind,
        runs,
        measured,
        kills,
        disturbances,
        tally,
    })
}
