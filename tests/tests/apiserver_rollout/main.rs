//! Rollouts on a real control plane, with Belay installed from its chart. One lab for all of these tests.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod acts;
mod canary;
mod changes;
mod daemon;
mod elsewhere;
mod hold;
mod router;
mod stateful;

use belay_lab::{Lab, Part};
use belay_tests::stage::Stage;

static STAGE: Stage = Stage::new();

async fn lab() -> &'static Lab {
    STAGE
        .lab(|| Lab::builder().with(Part::Prometheus))
        .await
        .expect("the lab starts")
}
