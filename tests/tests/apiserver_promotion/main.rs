//! Releases that refer to other Releases, on a real control plane and real Git repositories.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod dependencies;
mod environments;
mod images;
mod nested;
mod publish;
mod scene;

use std::time::Duration;

use belay_lab::{Lab, Part};
use belay_tests::stage::Stage;

static STAGE: Stage = Stage::new();

/// Longest wait for anything that should happen soon; only a test that fails waits so long.
const SOON: Duration = Duration::from_mins(2);

async fn lab() -> &'static Lab {
    STAGE
        .lab(|| Lab::builder().with(Part::Git).with(Part::Prometheus))
        .await
        .expect("the lab starts")
}
