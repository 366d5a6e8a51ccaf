//! Gates that run a Kubernetes Job, such as a smoke test.
//!
//! Invariant: the Job travels as raw JSON, so that a field that Belay does not know reaches the API server all the same.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A Job that must succeed. One is created for each step and each measurement that counts, however often the controller looks at it
/// or is restarted; it is deleted when the change is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobGate {
    /// Service account of this namespace in whose name the Job is created, watched and deleted, and its logs are read. It needs
    /// `create`, `get`, `list`, `watch` and `delete` on Jobs, `list` on Pods and `get` on `pods/log`. Pods of the Job run under
    /// the account that their own template names.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub service_account_name: String,
    /// The `spec` of the Job. `{{name}}` in its texts stands for the argument of that name; arguments from Secrets can't be used:
    /// take them into the pod with `secretKeyRef`. Unless said otherwise `activeDeadlineSeconds` is 600, `backoffLimit` is 0 and
    /// the pods' `restartPolicy` is `Never`.
    #[schemars(schema_with = "crate::schema::any_object")]
    pub spec: Map<String, Value>,
    /// Lines of a failed pod's log that are shown, with the values of all Secrets that the pod refers to blotted out.
    #[schemars(range(max = 50))]
    #[serde(default = "defaults::log_lines")]
    pub log_lines: u32,
}

mod defaults {
    pub(super) const fn log_lines() -> u32 {
        10
    }
}
