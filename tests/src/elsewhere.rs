//! How other tools see objects of the lab: Flux by kstatus, and Argo CD by the scripts that Belay brings along.

use std::io::Write as _;
use std::process::{Command, Stdio};

use belay_lab::Program;
use serde::Serialize;
use serde_json::Value;

use crate::{Error, installed::workspace_root};

/// Argo CD's scripts, as they are merged into its ConfigMap.
const SCRIPTS: &str = "deploy/argo-cd/health.yaml";

/// Tells how others see an object.
#[derive(Debug)]
pub struct Elsewhere {
    program: std::path::PathBuf,
    scripts: Value,
}

impl Elsewhere {
    /// Builds the program that tells it, where that is not done yet.
    pub async fn build() -> Result<Self, Error> {
        let path = workspace_root().join(SCRIPTS);
        let text = std::fs::read_to_string(&path).map_err(Error::io(format!("read {SCRIPTS}")))?;
        let scripts =
            serde_saphyr::from_str(&text).map_err(|error| Error::Broken(error.to_string()))?;
        Ok(Self {
            program: belay_lab::program(Program::Health).await?,
            scripts,
        })
    }

    /// What kstatus makes of it: `InProgress`, `Failed`, `Current` or `Terminating`.
    pub fn to_kstatus(&self, object: &impl Serialize) -> Result<String, Error> {
        self.ask(&["kstatus"], object)
    }

    /// What Argo CD makes of it by the script for `kind`: `Progressing`, `Suspended`, `Degraded` or `Healthy`.
    pub fn to_argo_cd(&self, kind: &str, object: &impl Serialize) -> Result<String, Error> {
        let key = format!("resource.customizations.health.belay.dev_{kind}");
        let script = self.scripts.get("data").and_then(|data| data.get(&key));
        let script = script.and_then(Value::as_str).unwrap_or_default();
        let mut file = tempfile::NamedTempFile::new().map_err(Error::io("create a file"))?;
        file.write_all(script.as_bytes())
            .map_err(Error::io("write a script"))?;
        self.ask(&["lua", &file.path().to_string_lossy()], object)
    }

    fn ask(&self, arguments: &[&str], object: &impl Serialize) -> Result<String, Error> {
        let input = tempfile::NamedTempFile::new().map_err(Error::io("create a file"))?;
        serde_json::to_writer(&input, object)?;
        let read = std::fs::File::open(input.path()).map_err(Error::io("open a file"))?;
        let output = Command::new(&self.program)
            .args(arguments)
            .stdin(Stdio::from(read))
            .output()
            .map_err(Error::io("run the program that tells health"))?;
        if !output.status.success() {
            return Err(Error::Program {
                program: "health".to_owned(),
                output: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
        let answer: Value = serde_json::from_slice(&output.stdout)?;
        Ok(answer
            .get("status")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned())
    }
}
