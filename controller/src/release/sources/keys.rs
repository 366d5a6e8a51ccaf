//! The public keys whose signatures count, and word of their changes.
//!
//! Invariant: a change of the Secret has the commit checked anew; where the Secret may not be watched, the next commit does.

use belay_api::release::{Verify, VerifyMode};
use belay_source::{SignatureMode, SignaturePolicy, TrustedKeys};

use super::{Request, Tools, access, secrets::Changes, trouble::Trouble};

impl Tools {
    /// Word of changes of the Secret with the keys of `request`.
    pub(super) fn key_changes(&self, request: &Request) -> Changes {
        let names = request.verify().map(|verify| &*verify.secret_ref.name);
        self.secrets.changes(request.namespace(), names)
    }

    /// What must be signed and by whom, as the Secret says now.
    pub(super) async fn policy(
        &self,
        request: &Request,
    ) -> Result<Option<SignaturePolicy>, Trouble> {
        let Some(Verify { mode, secret_ref }) = request.verify() else {
            return Ok(None);
        };
        let needs = "create it with public keys (*.asc, *.pub)";
        let secret = access::secret(&self.client, request.namespace(), &secret_ref.name, needs)
            .await
            .map_err(Trouble::unavailable)?;
        let identity = format!("Secret {}/{}", request.namespace(), secret_ref.name);
        let data = secret.data.unwrap_or_default();
        let entries = data.iter().map(|(name, bytes)| (name.as_str(), &*bytes.0));
        Ok(Some(SignaturePolicy {
            mode: match mode {
                VerifyMode::Head => SignatureMode::Head,
                VerifyMode::Tag => SignatureMode::Tag,
                VerifyMode::TagAndHead => SignatureMode::TagAndHead,
            },
            keys: TrustedKeys::parse(&identity, entries)?,
        }))
    }
}
