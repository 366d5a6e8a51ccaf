//! Real Git repositories over smart HTTP.
//!
//! Git's own `git http-backend` serves them; only the bridge from HTTP to its CGI interface is the lab's (`git/bridge`). A repository
//! may ask for a name and a password. Files in Git LFS lie beside them (`git/lfs`). Left out: SSH, and anything about who may write: everybody who may read may push.

mod bridge;
mod lfs;
mod repo;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use tokio::process::Command;

use crate::LabError;
pub use repo::GitRepo;
pub(crate) use repo::git;

/// A user name and a password.
pub(crate) type Login = (String, String);

/// The repositories of a lab and who may use them.
#[derive(Clone, Debug)]
pub(crate) struct GitHost {
    root: PathBuf,
    url: String,
    logins: Arc<Mutex<BTreeMap<String, Login>>>,
    requests: Arc<AtomicU64>,
}

impl GitHost {
    pub(crate) fn new(root: PathBuf, url: String) -> Self {
        Self {
            root,
            url,
            logins: Arc::default(),
            requests: Arc::default(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn count(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// HTTP requests since the start.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Makes an empty repository, in need of a login or not.
    pub(crate) async fn create(
        &self,
        name: &str,
        login: Option<Login>,
    ) -> Result<GitRepo, LabError> {
        let folder = format!("{name}.git");
        if let Some(login) = login {
            self.logins
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(folder.clone(), login);
        }
        GitRepo::create(self.root.join(&folder), format!("{}/{folder}", self.url)).await
    }

    /// What serves the repositories; fails where Git has no `http-backend`.
    pub(crate) async fn router(&self) -> Result<Router, LabError> {
        let folder = git(&self.root, Command::new("git").arg("--exec-path")).await?;
        let backend = Path::new(folder.trim()).join("git-http-backend");
        if !backend.is_file() {
            return Err(LabError::GitHttpBackendMissing(backend));
        }
        Ok(bridge::router(self.clone(), backend))
    }

    /// The login a path asks for.
    fn login_for(&self, path: &str) -> Option<Login> {
        let folder = path
            .trim_start_matches('/')
            .split('/')
            .next()
            .unwrap_or_default();
        self.logins
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(folder)
            .cloned()
    }
}
