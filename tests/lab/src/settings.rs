//! What a lab is asked to be.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::{Lab, LabError, Part};

/// Which optional parts and which properties a lab has. Made by [`LabBuilder`].
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) nodes: u16,
    pub(crate) parts: BTreeSet<Part>,
    pub(crate) api_server_arguments: Vec<String>,
    pub(crate) controller_manager_arguments: Vec<String>,
    pub(crate) mutating_admission_policy: bool,
    pub(crate) audit: bool,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) keep_folder: bool,
}

/// Describes a lab and starts it.
#[derive(Clone, Debug)]
#[must_use]
pub struct LabBuilder {
    settings: Settings,
}

impl Default for LabBuilder {
    fn default() -> Self {
        let settings = Settings {
            nodes: 3,
            parts: Part::ALWAYS.into(),
            api_server_arguments: Vec::new(),
            controller_manager_arguments: Vec::new(),
            mutating_admission_policy: true,
            audit: false,
            folder: None,
            keep_folder: std::env::var_os("BELAY_LAB_KEEP").is_some(),
        };
        Self { settings }
    }
}

impl LabBuilder {
    /// How many nodes there are; 3 when not said. Each takes 2,000 pods.
    pub fn nodes(mut self, count: u16) -> Self {
        self.settings.nodes = count;
        self
    }

    /// Adds one of [`Part::ON_REQUEST`]; the other parts are always there. The gateway brings the pods' servers along.
    pub fn with(mut self, part: Part) -> Self {
        self.settings.parts.insert(part);
        if part == Part::Gateway {
            self.settings.parts.insert(Part::Pods);
        }
        self
    }

    /// Leaves out everything but the API server and its database: no controller, no node, and nothing that brings a namespace's
    /// service account about. For a second cluster, in which objects need only be.
    pub fn bare(mut self) -> Self {
        self.settings.parts = [Part::Etcd, Part::ApiServer].into();
        self.settings.nodes = 0;
        self
    }

    /// Adds an argument of the API server, such as `--feature-gates=Name=true`.
    pub fn api_server_arg(mut self, argument: impl Into<String>) -> Self {
        self.settings.api_server_arguments.push(argument.into());
        self
    }

    /// Adds an argument of the controller-manager.
    pub fn controller_manager_arg(mut self, argument: impl Into<String>) -> Self {
        self.settings
            .controller_manager_arguments
            .push(argument.into());
        self
    }

    /// Switches the `MutatingAdmissionPolicy` API and its plugin off, as on clusters that don't have it.
    pub fn without_mutating_admission_policy(mut self) -> Self {
        self.settings.mutating_admission_policy = false;
        self
    }

    /// Writes an audit log at the `Metadata` level: one JSON line for each finished request.
    pub fn audit(mut self) -> Self {
        self.settings.audit = true;
        self
    }

    /// The lab's folder, which must not exist yet or be empty; a fresh one among the temporary files when not said.
    pub fn dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.settings.folder = Some(folder.into());
        self
    }

    /// Leaves the folder (logs, data, configuration) when the lab ends. So does the environment variable `BELAY_LAB_KEEP`.
    pub fn keep_dir(mut self) -> Self {
        self.settings.keep_folder = true;
        self
    }

    /// Starts the lab; builds missing programs first. When this returns, the API server answers and all nodes are ready.
    pub async fn start(self) -> Result<Lab, LabError> {
        Lab::start_with(self.settings).await
    }
}
