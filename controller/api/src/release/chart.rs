//! Charts that are not in the repository of the Release.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::SecretRef;

/// A chart of a Helm repository or of an OCI registry. Values files still come from the Git repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
// About the whole, not the address: the API server repeats the text that a rule about a text refuses.
#[x_kube(validation = Rule::new("self.repository.matches('^(https?|oci)://[^/@?#]+(/[^@?#]*)?$')").message("repository: write https://host/path or oci://host/path, without a user name, password or query (put those into a Secret and name it in secretRef)"))]
#[serde(rename_all = "camelCase")]
pub struct ChartSource {
    /// Address of the Helm repository, `https://…`, or of the charts in an OCI registry, `oci://registry.example.com/charts`.
    #[schemars(length(min = 1, max = 1024))]
    pub repository: String,
    /// Name of the chart.
    #[schemars(
        length(min = 1, max = 250),
        regex(pattern = r"^[a-zA-Z0-9]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?$")
    )]
    pub name: String,
    /// A version, or a range of which the highest version is followed, for example `1.2.3`, `~1.4` or `>=1.2.0 <2.0.0`. Repositories are
    /// looked at as often as `source.git.interval` says, for a range alone.
    #[schemars(length(min = 1, max = 128))]
    pub version: String,
    /// Secret in the namespace of the Release with the keys `username` and `password`. It is read in the name of the Release's
    /// service account, which needs `get`, `list` and `watch` on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}
