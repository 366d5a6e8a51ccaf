//! Where a lab keeps its files: everything lies in one folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{LabError, Part};

/// How much of a log is shown when a part ends.
const SHOWN_LINES: usize = 20;

/// The folder of one lab.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Makes the folders of a new lab; `root` must not exist yet or be empty.
    pub(crate) fn create(root: &Path) -> Result<Self, LabError> {
        let create = |path: &Path| {
            fs::create_dir_all(path).map_err(LabError::io(format!("create {}", path.display())))
        };
        create(root)?;
        let root = root
            .canonicalize()
            .map_err(LabError::io(format!("resolve {}", root.display())))?;
        let mut entries =
            fs::read_dir(&root).map_err(LabError::io(format!("read {}", root.display())))?;
        if entries.next().is_some() {
            return Err(LabError::FolderInUse(root));
        }
        let layout = Self { root };
        for folder in [
            layout.pki(),
            layout.logs(),
            layout.bin(),
            layout.scrape_targets(),
            layout.rules(),
            layout.git(),
        ] {
            create(&folder)?;
        }
        Ok(layout)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    pub(crate) fn log(&self, part: Part) -> PathBuf {
        self.logs().join(part.name()).with_extension("log")
    }

    /// Links to the lab's programs under their plain names, to be put on PATH.
    pub(crate) fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    pub(crate) fn data(&self, part: Part) -> PathBuf {
        self.root.join(part.name())
    }

    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.root.join(format!(
            "{}.kubeconfig",
            user.trim_start_matches("system:").replace([':', '/'], "-")
        ))
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn scrape_targets(&self) -> PathBuf {
        self.root.join("scrape")
    }

    pub(crate) fn rules(&self) -> PathBuf {
        self.root.join("rules")
    }

    pub(crate) fn git(&self) -> PathBuf {
        self.root.join("git")
    }

    /// Writes a file of the lab.
    pub(crate) fn write(&self, name: &str, content: &str) -> Result<PathBuf, LabError> {
        let path = self.file(name);
        fs::write(&path, content).map_err(LabError::io(format!("write {}", path.display())))?;
        Ok(path)
    }

    /// The last lines of a part's log.
    pub(crate) fn log_end(&self, part: Part) -> String {
        let text = fs::read_to_string(self.log(part)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines
            .get(lines.len().saturating_sub(SHOWN_LINES)..)
            .unwrap_or_default()
            .join("\n")
    }
}
