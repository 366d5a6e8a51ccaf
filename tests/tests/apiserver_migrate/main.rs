//! The guides for those who come from Argo Rollouts and Flagger, followed word by word on a real API server, with those projects'
//! own definitions; and what `kubectl belay convert` makes of their objects, as the API server sees it.
//!
//! Left out: the other projects' controllers. Their objects are made as their controllers leave them at rest.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod argo;
mod converted;
mod flagger;
mod guide;
mod served;
mod shell;

use belay_lab::{Lab, Manifests};
use belay_tests::{routers, stage::Stage};
use tokio::sync::OnceCell;

static STAGE: Stage = Stage::new();
static DEFINED: OnceCell<()> = OnceCell::const_new();

/// The lab with Belay, with every kind of route, and with the definitions of both projects.
async fn lab() -> &'static Lab {
    let lab = STAGE
        .lab(|| Lab::builder().nodes(3))
        .await
        .expect("the lab starts");
    DEFINED
        .get_or_init(|| async {
            routers::install(lab, &Manifests::ALL)
                .await
                .expect("the definitions install");
        })
        .await;
    lab
}
