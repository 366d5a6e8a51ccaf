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
mod secrets;
mod team;

use std::path::PathBuf;

use belay_lab::{Lab, SharedLab};
use belay_tests::{
    installed::{Controller, Installed, controller_program},
    stage::policies_in_force,
};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

static LAB: SharedLab = SharedLab::new();
static BELAY: OnceCell<(Installed, PathBuf)> = OnceCell::const_new();
static TURN: Mutex<()> = Mutex::const_new(());

struct Turn {
    lab: &'static Lab,
    installed: &'static Installed,
    program: &'static PathBuf,
    _held: MutexGuard<'static, ()>,
}

impl Turn {
    async fn take() -> Self {
        let turn = TURN.lock().await;
        let lab = LAB.get(Lab::builder).await.expect("the lab starts");
        let install = || async {
            let installed = Installed::chart(lab, &[]).await.expect("the chart");
            policies_in_force(lab).await.expect("the policies");
            let installed = installed
                .with_argument("--allow-loopback")
                .with_argument("--log-filter=info,belay=debug");
            let program = controller_program(false).await.expect("the program");
            (installed, program)
        };
        let (installed, program) = BELAY.get_or_init(install).await;
        Self {
            lab,
            installed,
            program,
            _held: turn,
        }
    }

    /// A controller that holds the lease. The next one with this name takes it over at once.
    async fn controller(&self) -> Controller {
        let started = self.installed.start(self.program, "probes").await;
        let controller = started.expect("a controller");
        controller.acting().await.expect("it acts");
        controller
    }
}
