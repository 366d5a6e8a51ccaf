//! Files encrypted by SOPS, and the key that opens them.

use std::process::Command;

use belay_lab::Program;

use crate::Error;

/// A key for tests alone, as `age-keygen` writes it.
pub const KEY: &str = "# public key: age10yk9cqnjy5l34vevxr9agmnzhutp8asjaytxcufajwymztfvwd3q49dkce\n\
                       AGE-SECRET-KEY-1G2QJVDAN2FELR7NJPY57V7QAJFRGFTCZM7PL9YWSLN7VJ0YLVYPS25FD3A\n";
const RECIPIENT: &str = "age10yk9cqnjy5l34vevxr9agmnzhutp8asjaytxcufajwymztfvwd3q49dkce";

/// A manifest, encrypted for [`KEY`] by the real program.
pub async fn sealed(manifest: &str) -> Result<String, Error> {
    let sops = belay_lab::program(Program::Sops).await?;
    let folder = tempfile::tempdir().map_err(Error::io("create a folder"))?;
    let file = "manifest.yaml";
    std::fs::write(folder.path().join(file), manifest).map_err(Error::io("write a file"))?;
    let output = Command::new(sops)
        .args(["encrypt", "--age", RECIPIENT, file])
        .current_dir(folder.path())
        .output()
        .map_err(Error::io("run sops"))?;
    if !output.status.success() {
        return Err(Error::Program {
            program: "sops".to_owned(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    String::from_utf8(output.stdout).map_err(|error| Error::Broken(error.to_string()))
}
