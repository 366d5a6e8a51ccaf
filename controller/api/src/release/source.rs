//! Where the objects of a Release come from.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{Git, Oci};
use crate::Duration;

/// Where the objects come from. Exactly one is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.git), has(self.oci)].filter(x, x).size() == 1").message("give exactly one of git and oci"))]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// A Git repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
    /// An OCI artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci: Option<Oci>,
}

/// The one source that is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// A Git repository.
    Git(&'a Git),
    /// An OCI artifact.
    Oci(&'a Oci),
}

impl Source {
    /// The one that is given; none where the rule of the definition was got around.
    pub fn origin(&self) -> Option<Origin<'_>> {
        match (&self.git, &self.oci) {
            (Some(git), None) => Some(Origin::Git(git)),
            (None, Some(oci)) => Some(Origin::Oci(oci)),
            (None, None) | (Some(_), Some(_)) => None,
        }
    }

    /// Address of the repository; empty where there is none.
    pub fn url(&self) -> &str {
        self.origin().map_or("", |origin| match origin {
            Origin::Git(git) => &git.url,
            Origin::Oci(oci) => &oci.url,
        })
    }

    /// The directory in it; its root when empty.
    pub fn path(&self) -> &str {
        let path = self.origin().and_then(|origin| match origin {
            Origin::Git(git) => git.path.as_deref(),
            Origin::Oci(oci) => oci.path.as_deref(),
        });
        path.unwrap_or_default()
    }

    /// Time between two looks.
    pub fn interval(&self) -> Duration {
        match self.origin() {
            Some(Origin::Git(git)) => git.interval,
            Some(Origin::Oci(oci)) => oci.interval,
            None => super::defaults::interval(),
        }
    }
}
