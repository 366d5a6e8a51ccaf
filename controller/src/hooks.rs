//! Receives webhooks of Git servers at `/hooks/NAMESPACE/RELEASE` and has the named Release look at its source.
//!
//! Invariant: a webhook changes nothing but when a repository is looked at; and every answer to one that is not genuine is the same,
//! so that nobody learns which Releases exist. Any replica takes webhooks: the request is noted on the Release, where the one that acts
//! sees it. Left out: TLS, which is the ingress's; what a webhook says; and repeating what failed, for the next interval comes anyway.

mod signature;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::post,
};
use belay_api::{
    Release,
    names::{FIELD_MANAGER, RECONCILE_ANNOTATION},
    release::Webhook,
};
use futures::StreamExt as _;
use http::HeaderMap;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use prometheus_client::metrics::{counter::Counter, family::Family};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Result, client::bounded, http::listen, telemetry::Metrics, telemetry::metrics::HookLabel,
};
use signature::{Check, Verdict};

/// Webhooks at the same time, over all senders. Strangers can cause two reads of the API server each.
const CONCURRENCY: usize = 8;

/// Longest body in bytes; GitHub sends none that is longer.
const BODY_BYTES_MAX: usize = 25 << 20;

/// Longest time for a whole webhook.
const HOOK: Duration = Duration::from_secs(10);

/// Key of the Secret.
const TOKEN: &str = "token";

/// What the answers need.
pub struct Hooks {
    client: Client,
    namespace: Option<String>,
    turns: Semaphore,
    counts: Family<HookLabel, Counter>,
}

impl Hooks {
    /// Answers with `client`; in `namespace` only, if one is given.
    pub fn new(client: Client, namespace: Option<String>, metrics: &Metrics) -> Self {
        Self {
            client,
            namespace,
            turns: Semaphore::new(CONCURRENCY),
            counts: metrics.hooks.clone(),
        }
    }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

/// Starts to take webhooks; ends with `stop`. Gives the real address.
pub async fn serve(
    address: SocketAddr,
    hooks: Hooks,
    stop: CancellationToken,
) -> Result<SocketAddr> {
    let app = Router::new()
        .route("/hooks/{namespace}/{release}", post(take))
        .with_state(Arc::new(hooks));
    listen(address, app, stop).await
}

/// What becomes of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Refused(&'static str),
    Busy,
    Failed,
}

impl Outcome {
    /// For the metric.
    const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused(_) => "refused",
            Self::Busy | Self::Failed => "failed",
        }
    }
}

impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        match self {
            Self::Accepted => (StatusCode::ACCEPTED, "the repository is looked at\n").into_response(),
            // Why is for the log: a stranger learns nothing.
            Self::Refused(_) => (StatusCode::UNAUTHORIZED, "not a webhook of a Release, or not signed with its secret; the controller's log says which\n").into_response(),
            Self::Busy | Self::Failed => (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "10")], "try again; the next look at the interval comes in any case\n").into_response(),
        }
    }
}

async fn take(
    State(hooks): State<Arc<Hooks>>,
    Path((namespace, release)): Path<(String, String)>,
    request: Request,
) -> Outcome {
    let outcome = match hooks.turns.try_acquire() {
        Err(_) => Outcome::Busy,
        Ok(_turn) => tokio::time::timeout(HOOK, hooks.judge(&namespace, &release, request))
            .await
            .unwrap_or(Outcome::Failed),
    };
    let outcome_label = HookLabel {
        outcome: outcome.word(),
    };
    hooks.counts.get_or_create(&outcome_label).inc();
    match outcome {
        Outcome::Accepted => tracing::info!(namespace, release, "a webhook asks for a look"),
        Outcome::Refused(why) => tracing::info!(
            namespace = shown(&namespace),
            release = shown(&release),
            why,
            "a webhook was refused"
        ),
        Outcome::Busy | Outcome::Failed => {
            tracing::warn!(?outcome, "a webhook was not taken");
        }
    }
    outcome
}

/// Names that strangers send are shown only where they could be names.
fn shown(name: &str) -> &str {
    if is_name(name) { name } else { "?" }
}

fn is_name(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
}

impl Hooks {
    async fn judge(&self, namespace: &str, name: &str, request: Request) -> Outcome {
        if !is_name(namespace)
            || !is_name(name)
            || self.namespace.as_deref().is_some_and(|n| n != namespace)
        {
            return Outcome::Refused("no Release can have this name here");
        }
        let releases: Api<Release> = Api::namespaced(self.client.clone(), namespace);
        let webhook = match self.webhook(&releases, name).await {
            Ok(webhook) => webhook,
            Err(outcome) => return outcome,
        };
        let secret = match self.secret(namespace, &webhook.secret_ref.name).await {
            Ok(secret) => secret,
            Err(outcome) => return outcome,
        };
        let (head, body) = request.into_parts();
        match signed(&webhook, &secret, &head.headers, body).await {
            Outcome::Accepted => request_look(&releases, name).await,
            outcome => outcome,
        }
    }

    async fn webhook(
        &self,
        releases: &Api<Release>,
        name: &str,
    ) -> std::result::Result<Webhook, Outcome> {
        match bounded("reading a Release", releases.get_opt(name)).await {
            Ok(Some(release)) => release
                .spec
                .source
                .git
                .and_then(|git| git.webhook)
                .ok_or(Outcome::Refused("the Release has no source.git.webhook")),
            Ok(None) => Err(Outcome::Refused("there is no such Release")),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn secret(&self, namespace: &str, name: &str) -> std::result::Result<Vec<u8>, Outcome> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let found = match bounded("reading a Secret", secrets.get_opt(name)).await {
            Ok(Some(secret)) => secret,
            Ok(None) => return Err(Outcome::Refused("the webhook's Secret does not exist")),
            Err(error) => return Err(failed(&error)),
        };
        found
            .data
            .and_then(|mut data| data.remove(TOKEN))
            .map(|token| token.0)
            .filter(|token| !token.is_empty())
            .ok_or(Outcome::Refused("the webhook's Secret has no token"))
    }
}

async fn signed(webhook: &Webhook, secret: &[u8], headers: &HeaderMap, body: Body) -> Outcome {
    let mut check = Check::new(webhook.sender, secret, headers);
    let mut pieces = body.into_data_stream();
    let mut bytes = 0_usize;
    while let Some(piece) = pieces.next().await {
        let Ok(piece) = piece else {
            return Outcome::Failed;
        };
        bytes = bytes.saturating_add(piece.len());
        if bytes > BODY_BYTES_MAX {
            // Not told apart either: only a Release with a webhook gets as far as this.
            return Outcome::Refused("it is longer than any webhook");
        }
        check.take_in(&piece);
    }
    match check.verdict() {
        Verdict::Genuine => Outcome::Accepted,
        Verdict::Unsigned => {
            Outcome::Refused("it has no signature of the kind that its sender makes")
        }
        Verdict::Forged => Outcome::Refused("it is not signed with the secret"),
    }
}

/// Notes on the Release that its source is to be looked at.
async fn request_look(releases: &Api<Release>, name: &str) -> Outcome {
    let now = Timestamp::now().to_string();
    let patch = json!({"metadata": {"annotations": {RECONCILE_ANNOTATION: now}}});
    let (parameters, patch) = (
        PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        },
        Patch::Merge(&patch),
    );
    let write = releases.patch_metadata(name, &parameters, &patch);
    match bounded("asking for a look", write).await {
        Ok(_) => Outcome::Accepted,
        Err(error) => failed(&error),
    }
}

fn failed(error: &Error) -> Outcome {
    tracing::warn!(%error, "a webhook could not be taken");
    Outcome::Failed
}

#[cfg(test)]
mod tests {
    use belay_api::release::{SecretRef, WebhookSender};

    use super::*;

    #[tokio::test]
    async fn what_is_too_long_is_refused_like_anything_else_that_is_not_genuine() {
        let webhook = Webhook {
            sender: WebhookSender::Generic,
            secret_ref: SecretRef {
                name: "hook".into(),
            },
        };
        let answer = async |bytes: usize| {
            let body = Body::from(vec![0; bytes]);
            let outcome = signed(&webhook, b"sealed", &HeaderMap::new(), body).await;
            assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
            outcome.into_response().status()
        };
        assert_eq!(answer(BODY_BYTES_MAX + 1).await, answer(3).await);
    }
}
