//! Makes an object anew whose change the API server refuses because a field is immutable.
//!
//! Invariants: this happens only where somebody allowed it, and only when nothing else is wrong with the object: every cause that
//! the API server gives is an immutable field, and the new object, under another name, passes a dry run. What holds data or other
//! objects needs a word of its own. A workload that a Rollout governs is never made anew: it would take the stable version along.

use std::time::Duration;

use belay_api::release::OnImmutable;
use belay_engine::release::words::{Permission, is_guarded};
use either::Either;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, DynamicObject, Preconditions},
    runtime::wait,
};
use serde_json::{Value, json};

use super::{send::Sending, treat::Live};
use crate::{
    apply::{
        Failure, Prepared,
        server_side::{self, Mode, Over},
    },
    limits,
};

/// How long an object that is to be made anew may take to be gone before the attempt ends; the next one goes on waiting.
const GONE_WITHIN: Duration = Duration::from_secs(20);

impl Sending<'_> {
    /// Whether `object` may be made anew; says why not.
    fn may_replace(&self, object: &Prepared, live: Option<&Live>) -> Result<(), &'static str> {
        let words = live.map(|live| live.foreign).unwrap_or_default();
        let own = words.or(object.words).replace == Permission::Allowed;
        if self.governs(object) {
            return Err("a Rollout governs it, so it is never deleted to be made anew");
        }
        if is_guarded(&object.key.group, &object.key.kind) {
            return if own {
                Ok(())
            } else {
                Err(
                    "to have it deleted and made anew with all that it holds, put the annotation belay.dev/replace: Allowed on it",
                )
            };
        }
        if own || self.on_immutable == OnImmutable::Replace {
            return Ok(());
        }
        Err(
            "to have it deleted and made anew, put the annotation belay.dev/replace: Allowed on it, or say apply.onImmutable: Replace",
        )
    }

    /// What becomes of an object whose change was refused for an immutable field and nothing else.
    pub(super) async fn replace(
        &self,
        object: &Prepared,
        live: Option<&Live>,
        body: &Value,
        refused: Failure,
    ) -> Result<DynamicObject, Failure> {
        if let Err(why) = self.may_replace(object, live) {
            return Err(Failure {
                message: format!("{}; {why}", refused.message),
                ..refused
            });
        }
        let anew = self.would_be_taken(object, body).await?;
        if self.mode == Mode::Rehearse {
            return Ok(anew);
        }
        self.take_away(object).await?;
        tracing::info!(object = %object.key, "deleted to be made anew, for a field of it is immutable");
        let send = server_side::send(&self.target.client, object, body, self.mode, Over::People);
        send.await
    }

    /// Tries the object out under another name: what is wrong with it beside the immutable field shows before anything is deleted.
    async fn would_be_taken(
        &self,
        object: &Prepared,
        body: &Value,
    ) -> Result<DynamicObject, Failure> {
        let name: String = object.key.name.chars().take(40).collect();
        let mut twin = object.clone();
        twin.key.name = format!("{}-belay-trial", name.trim_end_matches(['.', '-']));
        let mut body = body.clone();
        if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("name".to_owned(), json!(twin.key.name));
        }
        let trial = server_side::send(
            &self.target.client,
            &twin,
            &body,
            Mode::Rehearse,
            Over::People,
        );
        trial.await.map_err(|failure| Failure {
            message: format!(
                "{}: a field is immutable, and the object can't be made anew as it is: {}",
                object.place(),
                failure.message
            ),
            ..failure
        })
    }

    /// Deletes the live object, under its identity, and waits until it is gone with its finalizers.
    pub(super) async fn take_away(&self, object: &Prepared) -> Result<(), Failure> {
        let api = server_side::api(&self.target.client, object);
        let failed = |error: &kube::Error| {
            Failure::of(error, server_side::secrecy(object)).at(object.place())
        };
        let slow = || Failure::passing("the API server did not answer in time").at(object.place());
        let name = &object.key.name;
        let live = tokio::time::timeout(limits::API_CALL, api.get_opt(name))
            .await
            .map_err(|_| slow())?
            .map_err(|error| failed(&error))?;
        let Some(live) = live else { return Ok(()) };
        if live.metadata.deletion_timestamp.is_none() {
            let parameters = DeleteParams {
                preconditions: Some(Preconditions {
                    uid: live.uid(),
                    resource_version: live.resource_version(),
                }),
                ..DeleteParams::foreground()
            };
            match tokio::time::timeout(limits::API_CALL, api.delete(name, &parameters)).await {
                Err(_) => return Err(slow()),
                Ok(Err(kube::Error::Api(status))) if status.is_not_found() => return Ok(()),
                Ok(Err(error)) => return Err(failed(&error)),
                Ok(Ok(Either::Left(_) | Either::Right(_))) => {}
            }
        }
        self.gone(object, &api, &live.uid().unwrap_or_default())
            .await
    }

    async fn gone(
        &self,
        object: &Prepared,
        api: &Api<DynamicObject>,
        uid: &str,
    ) -> Result<(), Failure> {
        let name = &object.key.name;
        let gone = wait::await_condition(api.clone(), name, wait::conditions::is_deleted(uid));
        match tokio::time::timeout(GONE_WITHIN, gone).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Failure::passing(format!(
                "{}: it is being deleted to be made anew, and can't be watched: {error}",
                object.place()
            ))),
            Err(_) => {
                let live = api.get_opt(name).await.ok().flatten();
                let finalizers = live.map(|live| live.finalizers().join(", "));
                Err(Failure::passing(format!(
                    "{}: it is being deleted to be made anew and waits for its finalizers: {}",
                    object.place(),
                    finalizers.unwrap_or_default()
                )))
            }
        }
    }
}
