//! How a Git server tells of a push, so that nobody waits for the next look.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretRef;

/// A webhook at `/hooks/NAMESPACE/RELEASE` of the controller's hooks address. What it says is never believed: it has Belay look at the
/// repository, as at the next `interval`, for all Releases that follow it with the same credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Who sends it, and so how it proves that it knows the secret.
    pub sender: WebhookSender,
    /// Secret in the namespace of the Release with the key `token`: the secret that the sender was given.
    pub secret_ref: SecretRef,
}

/// Who sends a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum WebhookSender {
    /// GitHub: signed with SHA-256 in `X-Hub-Signature-256`.
    GitHub,
    /// GitLab: the secret token itself in `X-Gitlab-Token`.
    GitLab,
    /// Bitbucket, cloud and data centre: signed with SHA-256 in `X-Hub-Signature`.
    Bitbucket,
    /// Gitea and Forgejo: signed with SHA-256 in `X-Gitea-Signature`.
    Gitea,
    /// Anything else: `X-Signature: sha256=HEX`, the HMAC of the body with SHA-256.
    Generic,
}
