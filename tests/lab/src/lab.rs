//! A running lab: its start, its parts, its end.
//!
//! Invariant: whatever becomes of a `Lab` (dropped, leaked in a static, its process killed), its processes end and its folder goes,
//! because the keeper does both. Parts keep their ports and data over stop and start. Leaves out how each part is started
//! (`components`) and what the parts in this process do (`git`, `load`).

mod background;
mod faults;
mod gateway;
mod git;
mod kubernetes;
mod prometheus;
mod registry;
mod shared;
mod start;
mod status;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::access::{Access, Credential};
use crate::components::POD_LOG;
use crate::git::GitHost;
use crate::keeper::Keeper;
use crate::layout::Layout;
use crate::load::LoadHandle;
use crate::pki::Pki;
use crate::ports::Ports;
use crate::programs::Program;
use crate::service::Service;
use crate::settings::Settings;
use crate::{LabBuilder, LabError, Part};
use background::Background;
pub use shared::SharedLab;
pub use status::LabStatus;

/// A real control plane on this machine, with the parts it was built with.
pub struct Lab {
    // Fields are dropped in this order: the keeper first, for it removes the folder.
    keeper: Keeper,
    settings: Settings,
    layout: Layout,
    ports: Ports,
    pki: Pki,
    access: Access,
    admin: Credential,
    programs: BTreeMap<Program, PathBuf>,
    git: GitHost,
    git_service: Service,
    load: LoadHandle,
    load_service: Service,
    pods_service: Service,
    started_in: Duration,
    #[expect(dead_code, reason = "held for its drop: the lab's tasks run on it")]
    background: Background,
}

impl std::fmt::Debug for Lab {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Lab")
            .field("folder", &self.layout.root())
            .finish_non_exhaustive()
    }
}

impl Lab {
    /// Begins the description of a lab.
    pub fn builder() -> LabBuilder {
        LabBuilder::default()
    }

    /// The folder with everything the lab writes; logs are in `logs`.
    pub fn dir(&self) -> &Path {
        self.layout.root()
    }

    /// Whether the lab was built with this part.
    pub fn has(&self, part: Part) -> bool {
        self.settings.parts.contains(&part)
    }

    /// How long the start took, without the building of programs.
    pub const fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Changes what requests to pods meet while the load, or the pods' servers, run.
    pub fn load(&self) -> Result<&LoadHandle, LabError> {
        let there = self.require(Part::Pods).or(self.require(Part::Load));
        there.map(|()| &self.load)
    }

    /// What every container's log says from now on, one item a line; before, logs are empty.
    pub fn pods_say(&self, lines: &[&str]) -> Result<(), LabError> {
        // The format in which container runtimes write logs.
        let lines = lines
            .iter()
            .map(|line| format!("2026-01-01T00:00:00.000000000Z stdout F {line}\n"));
        let log = lines.collect::<Vec<_>>().concat();
        self.layout.write(POD_LOG, &log).map(drop)
    }

    /// Ports of this lab that no part uses: for the servers of a test.
    pub fn spare_ports(&self) -> impl Iterator<Item = u16> + use<> {
        self.ports.spare()
    }

    /// The path of a program; built first where needed.
    pub async fn program(&self, program: Program) -> Result<PathBuf, LabError> {
        match self.programs.get(&program) {
            Some(path) => Ok(path.clone()),
            None => crate::program(program).await,
        }
    }

    /// A program about to be run against this lab as its administrator. What clients of Kubernetes keep of a server's discovery
    /// stays in the lab's folder: by default they keep it by address, and the next lab may have this one's port.
    pub async fn command(&self, program: Program) -> Result<tokio::process::Command, LabError> {
        let mut command = tokio::process::Command::new(self.program(program).await?);
        command
            .env("KUBECONFIG", self.kubeconfig_path())
            .env("KUBECACHEDIR", self.dir().join("client-cache"))
            .kill_on_drop(true);
        Ok(command)
    }

    /// Ends the lab and waits until every process and, unless it is to be kept, its folder are gone.
    pub async fn down(self) -> Result<(), LabError> {
        self.keeper.end().await
    }

    fn url_of(&self, part: Part) -> Result<String, LabError> {
        self.require(part)?;
        Ok(format!("http://{}", self.ports.address(part)))
    }

    fn require(&self, part: Part) -> Result<(), LabError> {
        if self.has(part) {
            Ok(())
        } else {
            Err(LabError::PartAbsent(part))
        }
    }
}

/// A fresh folder among the temporary files; from here on the keeper removes it.
fn fresh_folder() -> Result<PathBuf, LabError> {
    let folder = tempfile::Builder::new()
        .prefix("belay-lab-")
        .tempdir()
        .map_err(LabError::io("create a temporary folder"))?;
    Ok(TempDir::keep(folder))
}
