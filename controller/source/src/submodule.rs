//! Going on in the repositories that submodules stand for.
//!
//! Invariant: only a submodule on the way to something that is read is fetched, at the commit that its superproject
//! names, into a local copy of its own with its own limits. No submodule command of git runs, nothing is checked out,
//! and a link never leads from one repository into another by `..`. Depth and number are bounded.

mod address;
mod declared;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Mutex, OnceCell};

use crate::checkout::Checkout;
use crate::mirror::Crossing;
use crate::{GitRef, RepoPath, SourceError, SourceHub};
use address::Address;
use declared::Declared;

/// Submodules of submodules.
const DEPTH: usize = 4;
/// Submodules that one render reads.
const COUNT: usize = 32;

/// What is done with the submodules of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SubmoduleMode {
    /// They are not read.
    #[default]
    Refuse,
    /// Those on the way to what is read are fetched.
    Fetch,
}

/// The submodules of one commit, opened as they are needed. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Submodules {
    hub: SourceHub,
    /// Where the commit's own repository is, from the outermost one.
    prefix: RepoPath,
    depth: usize,
    /// Opened so far, in all repositories.
    count: Arc<AtomicUsize>,
    /// None where the commit has no `.gitmodules`.
    declared: Arc<OnceCell<Option<Declared>>>,
    opened: Arc<Mutex<HashMap<String, Checkout>>>,
}

impl Submodules {
    /// Those of an outermost commit.
    pub(crate) fn new(hub: SourceHub) -> Self {
        Self {
            hub,
            prefix: RepoPath::default(),
            depth: 0,
            count: Arc::default(),
            declared: Arc::default(),
            opened: Arc::default(),
        }
    }

    fn within(&self, path: &str) -> Result<Self, SourceError> {
        Ok(Self {
            prefix: RepoPath::parse(&self.prefix.child(path))?,
            depth: self.depth + 1,
            count: Arc::clone(&self.count),
            ..Self::new(self.hub.clone())
        })
    }

    /// Whether the commit tells of any.
    pub(crate) async fn exist(&self, parent: &Checkout) -> Result<bool, SourceError> {
        Ok(self.declared(parent).await?.is_some())
    }

    async fn declared(&self, parent: &Checkout) -> Result<Option<&Declared>, SourceError> {
        let read = async || {
            let settings = parent.gitmodules().await?;
            settings
                .map(|settings| Declared::parse(&settings))
                .transpose()
        };
        let declared = self.declared.get_or_try_init(read).await?;
        Ok(declared.as_ref())
    }

    /// The repository that the submodule stands for, at its commit.
    pub(crate) async fn open(
        &self,
        parent: &Checkout,
        crossing: &Crossing,
    ) -> Result<Checkout, SourceError> {
        let mut opened = self.opened.lock().await;
        if let Some(checkout) = opened.get(&crossing.path) {
            return Ok(checkout.clone());
        }
        let checkout = self.fetch(parent, crossing).await?;
        opened.insert(crossing.path.clone(), checkout.clone());
        Ok(checkout)
    }

    async fn fetch(&self, parent: &Checkout, crossing: &Crossing) -> Result<Checkout, SourceError> {
        let shown = self.prefix.child(&crossing.path);
        if self.depth >= DEPTH {
            let limit = format!("{DEPTH}");
            let what = format!("the depth of submodules at {shown}");
            return Err(SourceError::TooLarge { what, limit });
        }
        if self.count.fetch_add(1, Ordering::Relaxed) >= COUNT {
            let what = "the number of submodules".to_owned();
            let limit = COUNT.to_string();
            return Err(SourceError::TooLarge { what, limit });
        }
        let refused = |why: String| refused(&shown, why);
        let written = self.declared(parent).await?;
        let written = written.and_then(|declared| declared.address(&crossing.path));
        let written = written.ok_or_else(|| refused(UNKNOWN.to_owned()))?;
        let address = address::resolve(parent.repository(), written).map_err(refused)?;
        let commit = &crossing.commit;
        let reference = GitRef::commit(commit.as_str())?;
        let checkout = self
            .hub
            .checkout(address.repository(), &reference, commit)
            .await;
        let checkout = checkout.map_err(|error| SourceError::Submodule {
            path: shown.clone(),
            error: Box::new(explained(error, &address)),
        })?;
        Ok(checkout.with(self.within(&crossing.path)?))
    }

    /// Those that were opened.
    pub(crate) async fn opened(&self) -> Vec<Checkout> {
        self.opened.lock().await.values().cloned().collect()
    }
}

const UNKNOWN: &str = ".gitmodules of its repository gives no address for this path; add the submodule with git submodule add, or remove it";

/// The refusal of a submodule for what the commit says of it.
pub(crate) fn refused(path: &str, why: impl Into<String>) -> SourceError {
    SourceError::SubmoduleRefused {
        what: format!("the submodule {path}"),
        why: why.into(),
    }
}

/// The refusal of one that no `.gitmodules` tells of.
pub(crate) fn unknown(path: &str) -> SourceError {
    refused(path, UNKNOWN)
}

/// A Secret would not help where the credential must not go.
fn explained(error: SourceError, address: &Address) -> SourceError {
    match (error, address) {
        (SourceError::AuthenticationFailed { url, .. }, Address::Foreign(_)) => {
            SourceError::refused(
                format!("reading {url} without a credential"),
                "the Release's credential is for the server of its own repository alone; move the submodule's repository there, or let anyone \
             read it",
            )
        }
        (error, _) => error,
    }
}
