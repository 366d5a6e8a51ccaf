//! The kubectl plugin, called as people call it: `kubectl belay …`.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use belay_lab::{Lab, Program};
use tokio::process::Command;

use crate::{Error, installed::plugin_program};

/// kubectl with the plugin on its PATH.
pub struct Plugin {
    kubectl: PathBuf,
    path: String,
    kubeconfig: PathBuf,
}

/// What a call ended with.
#[derive(Debug)]
pub struct Ended {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Plugin {
    /// Builds the plugin.
    pub async fn build(lab: &Lab) -> Result<Self, Error> {
        let program = plugin_program().await?;
        let folder = program.parent().unwrap_or(Path::new("."));
        let inherited = std::env::var("PATH").unwrap_or_default();
        Ok(Self {
            kubectl: lab.program(Program::Kubectl).await?,
            path: format!("{}:{inherited}", folder.display()),
            kubeconfig: lab.kubeconfig_path(),
        })
    }

    /// Puts the lab's `program` on the plugin's PATH, under the name by which people have it.
    pub async fn with_program(mut self, lab: &Lab, program: Program) -> Result<Self, Error> {
        let built = lab.program(program).await?;
        let folder = lab.dir().join("plugin-path");
        std::fs::create_dir_all(&folder).map_err(Error::io("create a folder"))?;
        std::os::unix::fs::symlink(built, folder.join(program.name()))
            .map_err(Error::io("link a program"))?;
        self.path = format!("{}:{}", folder.display(), self.path);
        Ok(self)
    }

    /// `kubectl belay` with these arguments, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.kubectl);
        command
            .arg("belay")
            .args(arguments)
            .env("PATH", &self.path)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Calls it and waits for its end.
    pub async fn call(&self, arguments: &[&str]) -> Result<Ended, Error> {
        let output = self
            .command(arguments)
            .output()
            .await
            .map_err(Error::io("run kubectl"))?;
        Ok(Ended {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}
