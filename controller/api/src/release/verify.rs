//! Whose signatures a Release asks for before it renders a commit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretRef;

/// Whose signatures are asked for. A commit without them is never rendered, and what runs stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verify {
    /// What must be signed: the commit (`Head`), the annotated tag that led to it (`Tag`), or both (`TagAndHead`).
    #[serde(default)]
    pub mode: VerifyMode,
    /// Secret in the namespace of the Release with public keys: armored PGP keys under names that end in `.asc`, SSH keys under names
    /// that end in `.pub` (the name before that is the signer's) or, in the notation of `ssh-keygen`, under `allowed_signers`; under
    /// `revoked_keys` SSH keys that count no more.
    pub secret_ref: SecretRef,
}

/// What must be signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VerifyMode {
    /// The commit.
    #[default]
    Head,
    /// The annotated tag that led to the commit.
    Tag,
    /// Both.
    TagAndHead,
}
