//! Tests that take turns on one lab: a fault of one is a fault for all, and so is a controller that is killed.
//!
//! Invariant: one test at a time; lab, chart and program are set up once for all of them. What a test does in its turn is its own.

use std::path::PathBuf;

use belay_lab::{Lab, LabBuilder, SharedLab};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::{
    Error,
    installed::{Controller, Installed, controller_program},
    stage::policies_in_force,
};

/// The lab of one test binary, and whose turn it is. Meant for a `static`.
#[derive(Debug, Default)]
pub struct Turns {
    lab: SharedLab,
    belay: OnceCell<(Installed, PathBuf)>,
    turn: Mutex<()>,
}

/// The turn of one test; it ends when this is dropped.
#[derive(Debug)]
pub struct Turn {
    /// The lab, with Belay installed and its policies in force.
    pub lab: &'static Lab,
    installed: &'static Installed,
    program: &'static PathBuf,
    _held: MutexGuard<'static, ()>,
}

impl Turns {
    /// Nothing is started yet.
    pub const fn new() -> Self {
        Self {
            lab: SharedLab::new(),
            belay: OnceCell::const_new(),
            turn: Mutex::const_new(()),
        }
    }

    /// Waits for its turn. The first one starts the lab that `describe` says and installs Belay, as changed by `adjust`.
    pub async fn take(
        &'static self,
        describe: impl FnOnce() -> LabBuilder,
        adjust: impl FnOnce(Installed) -> Installed,
    ) -> Result<Turn, Error> {
        let held = self.turn.lock().await;
        let lab = self.lab.get(describe).await?;
        let install = || async {
            let installed = adjust(Installed::chart(lab, &[]).await?);
            policies_in_force(lab).await?;
            Ok::<_, Error>((installed, controller_program(false).await?))
        };
        let (installed, program) = self.belay.get_or_try_init(install).await?;
        Ok(Turn {
            lab,
            installed,
            program,
            _held: held,
        })
    }
}

impl Turn {
    /// Starts a controller of this name; one that follows another of the same name takes its lease over at once.
    pub async fn controller(&self, identity: &str) -> Result<Controller, Error> {
        self.installed.start(self.program, identity).await
    }

    /// Starts a controller of this name, and waits until it holds the lease and acts.
    pub async fn acting(&self, identity: &str) -> Result<Controller, Error> {
        let controller = self.controller(identity).await?;
        controller.acting().await?;
        Ok(controller)
    }
}
