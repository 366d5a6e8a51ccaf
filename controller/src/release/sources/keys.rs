//! The public keys whose signatures count, and word of their changes.
//!
//! Invariant: a change of the Secret has the commit checked anew; where the Secret may not be watched, the next commit does.

use std::pin::Pin;

use belay_api::release::{Verify, VerifyMode};
use belay_source::{SignatureMode, SignaturePolicy, TrustedKeys};
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{ApiResource, DynamicObject},
    core::PartialObjectMeta,
    runtime::watcher::Event,
};

use super::{Request, Tools, access, trouble::Trouble};
use crate::watch::{Selection, events};

type Meta = PartialObjectMeta<DynamicObject>;

/// Word of changes of a Secret with keys.
pub(super) struct KeyChanges(Option<Pin<Box<dyn Stream<Item = Event<Meta>> + Send>>>);

impl KeyChanges {
    /// Waits for the next change. Without verification there is none.
    pub(super) async fn next(&mut self) {
        let Some(events) = &mut self.0 else {
            return std::future::pending().await;
        };
        loop {
            match events.next().await {
                // What the first list says was read already, or is read at once; what a later one says may be news.
                Some(Event::Apply(_) | Event::Delete(_) | Event::InitDone) => return,
                Some(Event::Init | Event::InitApply(_)) => {}
                None => return std::future::pending().await,
            }
        }
    }
}

impl Tools {
    /// Follows the Secret with the keys of `request`, by its metadata alone.
    pub(super) fn key_changes(&self, request: &Request) -> KeyChanges {
        let Some(verify) = request.verify() else {
            return KeyChanges(None);
        };
        let resource = ApiResource::erase::<Secret>(&());
        let api: Api<Meta> =
            Api::namespaced_with(self.client.clone(), request.namespace(), &resource);
        let one = Selection {
            labels: None,
            fields: Some(format!("metadata.name={}", verify.secret_ref.name)),
        };
        let stream = events(api, one, self.server, &self.metrics, "secrets");
        KeyChanges(Some(Box::pin(stream)))
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
