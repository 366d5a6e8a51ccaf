//! The status file of a lab, read by `cargo lab status`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Lab;
use crate::programs::programs_dir;
use crate::{LabError, Part};

const FILE: &str = "lab.json";

/// What a person or a script needs to use a running lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabStatus {
    /// The lab's folder.
    pub dir: PathBuf,
    /// Kubeconfig file of an administrator.
    pub kubeconfig: PathBuf,
    /// Address of the API server.
    pub api_url: String,
    /// Address of Prometheus, if the lab has one.
    pub prometheus_url: Option<String>,
    /// Address of the Git server, if the lab has one.
    pub git_url: Option<String>,
    /// Address of the load's metrics, if the lab has them.
    pub load_url: Option<String>,
    /// Address of the gateway, if the lab has one.
    #[serde(default)]
    pub gateway_url: Option<String>,
    /// The audit log, if one is written.
    pub audit_log: Option<PathBuf>,
    /// Number of nodes.
    pub nodes: u16,
    /// Folder of the built programs.
    pub programs_dir: PathBuf,
    /// Folder with the lab's programs under their plain names.
    pub bin_dir: PathBuf,
    /// Loopback port of each part.
    pub ports: BTreeMap<String, u16>,
    /// Process id of each part that is a process.
    pub pids: BTreeMap<String, u32>,
    /// Process id of the process that holds the lab.
    pub holder_pid: u32,
    /// How long the start took, in milliseconds.
    pub started_in_ms: u64,
}

impl LabStatus {
    /// Reads the status of the lab in `folder`.
    pub fn read(folder: &Path) -> Result<Self, LabError> {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => LabError::NoLab(folder.to_path_buf()),
            _ => LabError::io(format!("read {}", path.display()))(error),
        })?;
        serde_json::from_str(&text).map_err(LabError::format(path.display().to_string()))
    }
}

impl Lab {
    /// What a person or a script needs to use this lab.
    pub fn status(&self) -> LabStatus {
        let parts = self.settings.parts.iter();
        LabStatus {
            dir: self.layout.root().to_path_buf(),
            kubeconfig: self.kubeconfig_path(),
            api_url: self.api_url().to_owned(),
            prometheus_url: self.prometheus_url().ok(),
            git_url: self.url_of(Part::Git).ok(),
            load_url: self.url_of(Part::Load).ok().map(|url| url + "/metrics"),
            gateway_url: self.gateway_url().ok(),
            audit_log: self.audit_log_path().ok(),
            nodes: self.settings.nodes,
            programs_dir: programs_dir(),
            bin_dir: self.layout.bin(),
            ports: parts
                .map(|part| (part.name().to_owned(), self.ports.of(*part)))
                .collect(),
            pids: self
                .keeper
                .pids()
                .into_iter()
                .map(|(name, pid)| (name.to_owned(), pid))
                .collect(),
            holder_pid: std::process::id(),
            started_in_ms: u64::try_from(self.started_in.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Writes the status file anew; a reader sees the old one or the new one.
    pub(crate) fn write_status(&self) -> Result<(), LabError> {
        let text = serde_json::to_string_pretty(&self.status()).map_err(LabError::format(FILE))?;
        let aside = self.layout.write("lab.json.new", &(text + "\n"))?;
        fs::rename(aside, self.layout.file(FILE)).map_err(LabError::io("write the lab's status"))
    }
}
