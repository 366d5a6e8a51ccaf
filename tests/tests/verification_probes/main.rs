//! Gates that run Jobs and send HTTP requests, on a real control plane, with the program that is shipped.
//!
//! Tests take turns on one lab: a controller that is killed is killed for all, and every pod of the lab has the same log.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod http;
mod job;
mod release;
mod secrets;
mod team;

use belay_lab::{Lab, Part};
use belay_tests::turns::{Turn, Turns};

static TURNS: Turns = Turns::new();

/// The next turn on the lab.
async fn turn() -> Turn {
    TURNS
        .take(
            || Lab::builder().with(Part::Git),
            |installed| {
                installed
                    .with_argument("--allow-loopback")
                    .with_argument("--log-filter=info,belay=debug")
            },
        )
        .await
        .unwrap()
}
