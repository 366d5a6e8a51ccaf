//! Tests that take turns on a lab: a fault of one is a fault for all, and so is a controller that is killed. Tests without faults
//! share a turn, and a controller. Where many want to be alone, [`first_free`] gives them several labs to choose from.
//!
//! Invariant: a test that takes the turn is alone; lab, chart and program are set up once for all. What a test does in its turn is
//! its own.

mod door;

use std::path::PathBuf;

use belay_lab::{Lab, LabBuilder, SharedLab};
use futures::future::select_all;
use tokio::sync::{Mutex, OnceCell};

use crate::{
    Error,
    installed::{Controller, Installed, controller_program},
    stage::policies_in_force,
};
use door::{Door, Entered};

/// A lab of one test binary, and whose turn it is. Meant for a `static`.
#[derive(Debug)]
pub struct Turns {
    lab: SharedLab,
    belay: OnceCell<(Installed, PathBuf)>,
    door: Door,
    /// The controller of those who share; it ends when somebody wants to be alone.
    shared: Mutex<Option<Controller>>,
}

/// The turn of one test, alone or shared; it ends when this is dropped.
#[derive(Debug)]
pub struct Turn {
    /// The lab, with Belay installed and its policies in force.
    pub lab: &'static Lab,
    installed: &'static Installed,
    program: &'static PathBuf,
    _entered: Entered,
}

impl Default for Turns {
    fn default() -> Self {
        Self::new()
    }
}

impl Turns {
    /// Nothing is started yet.
    pub const fn new() -> Self {
        Self {
            lab: SharedLab::new(),
            belay: OnceCell::const_new(),
            door: Door::new(),
            shared: Mutex::const_new(None),
        }
    }

    /// Waits until it is alone; no controller runs. The first one starts the lab that `describe` says and installs Belay, as changed
    /// by `adjust`.
    pub async fn take(
        &'static self,
        describe: impl FnOnce() -> LabBuilder,
        adjust: impl FnOnce(Installed) -> Installed,
    ) -> Result<Turn, Error> {
        let entered = self.door.alone().await;
        self.begin(entered, describe, adjust).await
    }

    /// The rest of [`take`](Self::take), for one who is alone.
    async fn begin(
        &'static self,
        entered: Entered,
        describe: impl FnOnce() -> LabBuilder,
        adjust: impl FnOnce(Installed) -> Installed,
    ) -> Result<Turn, Error> {
        if let Some(controller) = self.shared.lock().await.take() {
            controller.terminate().await?;
        }
        self.set_up(entered, describe, adjust).await
    }

    /// Waits until nobody is alone. A controller acts, for all who share; nobody ends it.
    pub async fn share(
        &'static self,
        describe: impl FnOnce() -> LabBuilder,
        adjust: impl FnOnce(Installed) -> Installed,
    ) -> Result<Turn, Error> {
        let entered = self.door.share().await;
        let turn = self.set_up(entered, describe, adjust).await?;
        let mut shared = self.shared.lock().await;
        if shared.is_none() {
            *shared = Some(turn.acting("shared").await?);
        }
        Ok(turn)
    }

    async fn set_up(
        &'static self,
        entered: Entered,
        describe: impl FnOnce() -> LabBuilder,
        adjust: impl FnOnce(Installed) -> Installed,
    ) -> Result<Turn, Error> {
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
            _entered: entered,
        })
    }
}

/// Waits until it is alone on any of these labs, the first ones preferred; see [`Turns::take`]. Labs differ in nothing, so that tests
/// which need to be alone run side by side, for they mostly wait.
pub async fn first_free(
    labs: &'static [Turns],
    describe: impl FnOnce() -> LabBuilder,
    adjust: impl FnOnce(Installed) -> Installed,
) -> Result<Turn, Error> {
    let doors = labs
        .iter()
        .map(|lab| Box::pin(async move { (lab, lab.door.alone().await) }));
    let ((lab, entered), ..) = select_all(doors).await;
    lab.begin(entered, describe, adjust).await
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
