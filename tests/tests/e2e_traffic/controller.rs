//! The controller, which is killed at random moments and started again.

use std::path::PathBuf;
use std::time::Duration;

use belay_lab::Lab;
use belay_tests::Error;
use belay_tests::installed::{Controller, Installed, controller_program};
use belay_tests::stage::policies_in_force;
use tokio::sync::Mutex;
use tokio::time::sleep;

/// Belay, installed on the lab and acting.
pub(crate) struct Belay {
    installed: Installed,
    program: PathBuf,
    running: Mutex<Option<Controller>>,
}

impl Belay {
    /// Installs the chart and starts the controller as a process of its own.
    pub(crate) async fn install(lab: &Lab) -> Result<Self, Error> {
        let installed = Installed::chart(lab, &[]).await?;
        policies_in_force(lab).await?;
        let belay = Self {
            installed,
            program: controller_program(false).await?,
            running: Mutex::default(),
        };
        belay.start(&mut *belay.running.lock().await).await?;
        Ok(belay)
    }

    /// Ends it as `kill -9` does, leaves it dead for so long, and starts it again. One at a time, whoever asks.
    pub(crate) async fn kill(&self, dead_for: Duration) -> Result<(), Error> {
        let mut running = self.running.lock().await;
        if let Some(controller) = running.take() {
            controller.kill().await?;
        }
        sleep(dead_for).await;
        self.start(&mut running).await
    }

    /// Ends it for good.
    pub(crate) async fn end(&self) -> Result<(), Error> {
        let running = self.running.lock().await.take();
        match running {
            Some(controller) => controller.terminate().await,
            None => Ok(()),
        }
    }

    async fn start(&self, running: &mut Option<Controller>) -> Result<(), Error> {
        // Of the same name, it takes the lease over at once, as a restarted container does.
        let controller = self.installed.start(&self.program, "traffic").await?;
        let acting = controller.acting().await;
        *running = Some(controller);
        acting
    }
}
