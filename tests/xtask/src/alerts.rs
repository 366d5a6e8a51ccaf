//! `deploy/alerts`: the chart's alerting rules for a Prometheus without the operator.

use std::{fs, path::Path};

use crate::{Error, File};

/// The rules inside the chart, which are the source.
pub const SOURCE: &str = "charts/belay/files/alerts.yaml";

/// The copy for rule files.
pub fn file(root: &Path) -> Result<File, Error> {
    let path = root.join(SOURCE);
    let rules = fs::read_to_string(&path).map_err(|source| Error::Io { path, source })?;
    let header = "# Copied from the chart by `cargo xtask generate`. Change charts/belay/files/alerts.yaml, not this file.\n";
    Ok(File::new(
        "deploy/alerts/belay.yaml",
        format!("{header}{rules}"),
    ))
}
