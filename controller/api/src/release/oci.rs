//! An OCI artifact as a source: manifests that were packed and pushed to a registry.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SecretRef, defaults};
use crate::Duration;

/// A directory of an OCI artifact, as `flux push artifact` and `oras push` make them: a tar archive, packed with gzip or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
// About the whole, not the address: the API server repeats the text that a rule about a text refuses.
#[x_kube(validation = Rule::new("self.url.matches('^oci://[^/@?#]+/[a-z0-9]+([._/-]+[a-z0-9]+)*$')").message("url: write oci://host/path in lower case, without a user name or password (put those into a Secret and name it in secretRef), and without a tag or digest (those belong into ref)"))]
#[serde(rename_all = "camelCase")]
pub struct Oci {
    /// Address of the artifact's repository: `oci://host/path`, without a login, a tag or a digest. A registry on Belay's own machine
    /// is asked over HTTP, every other one over HTTPS.
    #[schemars(length(min = 1, max = 512))]
    pub url: String,
    /// What to follow.
    #[serde(rename = "ref")]
    pub reference: OciRef,
    /// Directory in the artifact; its root when absent.
    #[schemars(length(max = 1024))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')").message("write the path relative to the root of the artifact, without a leading / and without .. in it"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Secret in the namespace of the Release with the keys `username` and `password`, or of the type `kubernetes.io/dockerconfigjson`
    /// with a login for the registry; beside or instead of that with `ca.crt` (the authority of the registry's certificate, instead of
    /// the system's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// Which layer of the artifact holds the files. Absent: the first one that is a tar archive by its media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer_selector: Option<LayerSelector>,
    /// Time between two looks at the registry. All Releases that follow one tag or range with one credential share its looks; a digest
    /// is never looked at again.
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('24h')").message("write a time from 1s to 24h, for example 1m"))]
    #[serde(default = "defaults::interval")]
    pub interval: Duration,
}

/// What to follow in a repository of artifacts. Exactly one is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.tag), has(self.semver), has(self.digest)].filter(x, x).size() == 1").message("give exactly one of tag, semver and digest"))]
#[x_kube(validation = Rule::new("!has(self.tag) || (self.tag.matches('^[A-Za-z0-9_][A-Za-z0-9._-]*$') && !self.tag.matches('[.][.]|[.]$|[.]lock$'))").message("tag: write letters, digits, _, - and single dots between them, for example v1.2.3"))]
#[serde(rename_all = "camelCase")]
pub struct OciRef {
    /// The artifact of this tag, wherever it is moved to.
    #[schemars(length(min = 1, max = 128))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The highest version in this range among the tags, for example `>=1.2.0 <2.0.0`, `~1.4`, `^2` or `1.x || 3.x`. Tags may begin with `v`.
    /// Prereleases count when the range names one: `>=1.2.0-0`.
    #[schemars(length(min = 1, max = 128))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semver: Option<String>,
    /// This artifact: the digest of its manifest.
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// Which layer of an artifact holds the files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LayerSelector {
    /// The first layer of this media type.
    #[schemars(length(min = 1, max = 255))]
    pub media_type: String,
}
