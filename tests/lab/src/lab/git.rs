//! The Git repositories of a lab.

use std::path::Path;

use super::Lab;
use crate::{GitRepo, LabError, Part};

impl Lab {
    /// The address under which repositories are served.
    pub fn git_url(&self) -> Result<String, LabError> {
        self.url_of(Part::Git)
    }

    /// HTTP requests for repositories since the start.
    pub fn git_requests(&self) -> u64 {
        self.git.requests()
    }

    /// The folder of the repositories; every `NAME.git` in it is served.
    pub fn git_dir(&self) -> Result<&Path, LabError> {
        self.require(Part::Git).map(|()| self.git.root())
    }

    /// Makes an empty repository that everybody may read and push to. Its name must be new in this lab.
    pub async fn create_repo(&self, name: &str) -> Result<GitRepo, LabError> {
        self.require(Part::Git)?;
        self.git.create(name, None).await
    }

    /// Makes an empty repository that asks for this login over HTTP.
    pub async fn create_private_repo(
        &self,
        name: &str,
        user: &str,
        password: &str,
    ) -> Result<GitRepo, LabError> {
        self.require(Part::Git)?;
        self.git
            .create(name, Some((user.to_owned(), password.to_owned())))
            .await
    }
}
