//! What paths of a commit lead to, through links, and through submodules where they are read.
//!
//! Invariant: an object's id is only of use to the checkout it was found in, so the two go together.

use std::pin::Pin;

use super::Checkout;
use crate::mirror::{Found, Lookup, ObjectKind, Trace};
use crate::{Oid, RepoPath, SourceError};

/// What a path leads to.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) lookup: Lookup,
    /// The submodule that has it; none: the checkout that was asked.
    pub(crate) owner: Option<Checkout>,
}

/// A directory and the checkout that has it.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    pub(crate) tree: Oid,
    pub(crate) owner: Checkout,
}

type Located<'a> = Pin<Box<dyn Future<Output = Result<Vec<Place>, SourceError>> + Send + 'a>>;

impl Checkout {
    /// What each path leads to, through symbolic links inside the repository.
    pub(crate) async fn follow(&self, paths: &[String]) -> Result<Vec<Lookup>, SourceError> {
        let places = self.locate(paths).await?;
        Ok(places.into_iter().map(|place| place.lookup).collect())
    }

    /// What each path leads to, and in which repository.
    pub(crate) fn locate<'a>(&'a self, paths: &'a [String]) -> Located<'a> {
        Box::pin(async move {
            let mut places = Vec::with_capacity(paths.len());
            for (path, lookup) in paths.iter().zip(self.follow_here(paths).await?) {
                let place = if lookup.is_readable() {
                    None
                } else {
                    self.locate_beyond(path).await?
                };
                places.push(place.unwrap_or(Place {
                    lookup,
                    owner: None,
                }));
            }
            Ok(places)
        })
    }

    /// What a path leads to in a submodule; nothing when it leads into none, or they are not read.
    async fn locate_beyond(&self, path: &str) -> Result<Option<Place>, SourceError> {
        let Some(submodules) = &self.submodules else {
            return Ok(None);
        };
        if !submodules.exist(self).await? {
            return Ok(None);
        }
        let Trace::Crosses(crossing) = self.trace(path).await? else {
            return Ok(None);
        };
        let submodule = submodules.open(self, &crossing).await?;
        let places = submodule.locate(std::slice::from_ref(&crossing.rest)).await;
        Ok(places?.pop().map(|place| Place {
            lookup: place.lookup,
            owner: Some(place.owner.unwrap_or(submodule)),
        }))
    }

    pub(super) async fn directory(&self, path: &RepoPath) -> Result<Directory, SourceError> {
        let place = self.locate(&[path.as_str().to_owned()]).await?.pop();
        match place {
            Some(Place {
                lookup:
                    Lookup::Found(Found {
                        id,
                        kind: ObjectKind::Directory,
                        ..
                    }),
                owner,
            }) => Ok(Directory {
                tree: id,
                owner: owner.unwrap_or_else(|| self.clone()),
            }),
            Some(Place {
                lookup: Lookup::Outside,
                ..
            }) => Err(SourceError::refused(
                format!("the path {:?}", path.to_string()),
                "it is a symbolic link that leaves the repository; commit the directory itself",
            )),
            _ => Err(SourceError::PathNotFound {
                path: path.to_string(),
                commit: self.label(),
            }),
        }
    }

    async fn follow_here(&self, paths: &[String]) -> Result<Vec<Lookup>, SourceError> {
        let (repository, commit) = (&self.repository, &self.commit);
        let attempt = async || self.mirror.follow(repository, commit, paths).await;
        match attempt().await {
            Err(error) if self.repaired(&error).await? => attempt().await,
            result => result,
        }
    }

    async fn trace(&self, path: &str) -> Result<Trace, SourceError> {
        let (repository, commit) = (&self.repository, &self.commit);
        let attempt = async || self.mirror.trace(repository, commit, path).await;
        match attempt().await {
            Err(error) if self.repaired(&error).await? => attempt().await,
            result => result,
        }
    }

    /// What the commit says of its submodules, as git prints it.
    pub(crate) async fn gitmodules(&self) -> Result<Option<Vec<u8>>, SourceError> {
        let (repository, commit) = (&self.repository, &self.commit);
        let attempt = async || self.mirror.gitmodules(repository, commit).await;
        match attempt().await {
            Err(error) if self.repaired(&error).await? => attempt().await,
            result => result,
        }
    }
}
