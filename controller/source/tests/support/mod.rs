//! Real repositories in temporary directories, made by the real `git`.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part"
)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use belay_source::{
    Checkout, GitRef, LocalRepositories, Oid, Repository, RepositoryUrl, SourceError, SourceHub,
    SourceSettings,
};
use tempfile::TempDir;

/// A directory with a repository to read from, and a cache to read it into.
pub struct World {
    folder: TempDir,
    pub origin: Origin,
}

/// A repository under the test's control.
pub struct Origin(PathBuf);

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::create(folder.path().join("origin"), &[]);
        Self { folder, origin }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn settings(&self) -> SourceSettings {
        let mut settings = SourceSettings::new(self.path().join("cache"));
        settings.local_repositories = LocalRepositories::Allowed;
        settings
    }

    pub fn hub(&self) -> SourceHub {
        SourceHub::new(self.settings()).unwrap()
    }

    pub fn repository(&self) -> Repository {
        self.origin.repository()
    }

    /// The directory of the only local copy.
    pub fn mirror(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.path().join("cache/mirrors")).unwrap();
        let mut directories = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir());
        let only = directories.next().unwrap();
        assert_eq!(directories.next(), None, "more than one local copy");
        only
    }

    /// A program that notes its arguments in `calls` and then is the real git.
    pub fn counting_git(&self) -> (PathBuf, PathBuf) {
        let (program, calls) = (self.path().join("counting-git"), self.path().join("calls"));
        let script = format!(
            "#!/bin/sh\necho \"$*\" >> '{}'\nexec git \"$@\"\n",
            calls.display()
        );
        write_program(&program, &script);
        (program, calls)
    }
}

/// Writes an executable script by another process: a file that this one has open for writing can't be executed by its
/// children.
pub fn write_program(file: &Path, script: &str) {
    let write = "printf '%s' \"$1\" > \"$2\" && chmod +x \"$2\"";
    let status = Command::new("/bin/sh")
        .args(["-c", write, "sh", script])
        .arg(file)
        .status()
        .unwrap();
    assert!(status.success(), "{}", file.display());
}

impl Origin {
    pub fn create(path: PathBuf, options: &[&str]) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let origin = Self(path);
        origin.git([&["init", "--quiet", "--initial-branch=main"], options].concat());
        for (name, value) in [
            ("user.name", "Ada Lovelace"),
            ("user.email", "ada@example.com"),
        ] {
            origin.git(["config", name, value]);
        }
        // As the big forges do; a plain directory would send every file at once.
        origin.git(["config", "uploadpack.allowFilter", "true"]);
        origin
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn repository(&self) -> Repository {
        Repository::anonymous(RepositoryUrl::parse(self.0.to_str().unwrap()).unwrap())
    }

    pub fn git<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        let mut command = Command::new("git");
        command.current_dir(&self.0).args(args).stdin(Stdio::null());
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("LC_ALL", "C");
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let file = self.0.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
        self
    }

    pub fn link(&self, path: &str, target: &str) -> &Self {
        let file = self.0.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, file).unwrap();
        self
    }

    pub fn commit(&self, message: &str) -> Oid {
        self.git(["add", "--all"]);
        self.git(["commit", "--quiet", "--allow-empty", "--message", message]);
        self.head()
    }

    pub fn head(&self) -> Oid {
        Oid::parse(&self.git(["rev-parse", "HEAD"])).unwrap()
    }

    /// Commits one ConfigMap with the given name.
    pub fn commit_config(&self, path: &str, name: &str) -> Oid {
        self.write(path, config(name))
            .commit(&format!("Set {name}"))
    }
}

/// A ConfigMap as YAML.
pub fn config(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  key: value of {name}\n"
    )
}

pub fn main_branch() -> GitRef {
    GitRef::branch("main").unwrap()
}

/// Resolves and checks out a reference as a controller does.
pub async fn checkout(
    hub: &SourceHub,
    repository: &Repository,
    reference: &GitRef,
) -> Result<Checkout, SourceError> {
    let commit = match reference.fixed_commit() {
        Some(commit) => commit.clone(),
        None => hub.list(repository).await?.resolve(reference)?,
    };
    hub.checkout(repository, reference, &commit).await
}

/// Checks out `main`.
pub async fn checkout_main(hub: &SourceHub, repository: &Repository) -> Checkout {
    checkout(hub, repository, &main_branch()).await.unwrap()
}

/// Bytes that can't be compressed, the same at every run.
pub fn incompressible(count: u64) -> Vec<u8> {
    let mix = |index: u64| {
        let z = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).to_le_bytes()[0]
    };
    (0..count).map(mix).collect()
}
