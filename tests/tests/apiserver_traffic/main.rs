//! Routes on a real API server, with the definitions that their projects publish, and with Belay installed from its chart. One lab
//! for all of these tests.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod blue_green;
mod canary;
mod costs;
mod gateway;
mod manifests;
mod ownership;
mod places;
mod release;
mod several;
mod strategies;
mod writers;

use belay_lab::{Lab, Part};
use belay_tests::{routers, stage::Stage};
use tokio::sync::OnceCell;

static STAGE: Stage = Stage::new();
static DEFINED: OnceCell<()> = OnceCell::const_new();

/// The lab, with every kind of route in it.
async fn lab() -> &'static Lab {
    let lab = STAGE
        .lab(|| {
            Lab::builder()
                .with(Part::Prometheus)
                .with(Part::Git)
                .audit()
        })
        .await
        .expect("the lab starts");
    DEFINED
        .get_or_init(|| async {
            routers::install(lab, &routers::DEFINITIONS)
                .await
                .expect("the definitions install");
        })
        .await;
    lab
}
