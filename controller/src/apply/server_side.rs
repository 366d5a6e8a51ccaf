//! One object by server-side apply, for real or as a rehearsal.

use belay_api::names::FIELD_MANAGER;
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, ValidationDirective},
};
use serde_json::Value;

use super::{
    Failure, Prepared,
    conflict::{self, Verdict},
    failure::{Secrecy, is_only_immutable},
};
use crate::limits;

/// How an object is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is stored; unknown fields are errors.
    Rehearse,
    /// It is stored; unknown fields are errors.
    Apply,
    /// It is stored; fields that the API server no longer knows are dropped, for what was verified once must be able to return.
    Return,
}

impl Mode {
    fn parameters(self) -> PatchParams {
        PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            field_validation: Some(match self {
                Self::Rehearse | Self::Apply => ValidationDirective::Strict,
                Self::Return => ValidationDirective::Ignore,
            }),
            dry_run: self == Self::Rehearse,
            force: false,
        }
    }
}

/// The API of an object's kind and namespace, for `client`'s identity.
pub fn api(client: &Client, object: &Prepared) -> Api<DynamicObject> {
    let resource = &object.kind.resource;
    match &object.key.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

/// Whether the API server's words about this object may be repeated.
pub fn secrecy(object: &Prepared) -> Secrecy {
    if object.key.group.is_empty() && object.key.kind == "Secret" {
        Secrecy::Secret
    } else {
        object.secrecy
    }
}

/// Over whose claims to a field an object is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Those of people and programs that update.
    People,
    /// Those of other appliers, too: somebody said so.
    Everybody,
}

/// Why an object was not taken.
#[derive(Debug)]
pub struct Refused {
    /// What happened.
    pub failure: Failure,
    /// Whether the only reason is that fields can't be changed.
    pub is_immutable: bool,
}

/// Sends `body` for `object`; gives what the API server made of it.
pub async fn send(
    client: &Client,
    object: &Prepared,
    body: &Value,
    mode: Mode,
    over: Over,
) -> Result<DynamicObject, Failure> {
    let sent = try_send(client, object, body, mode, over).await;
    sent.map_err(|refused| refused.failure)
}

/// The same, and says whether an immutable field is all that is in the way.
pub async fn try_send(
    client: &Client,
    object: &Prepared,
    body: &Value,
    mode: Mode,
    over: Over,
) -> Result<DynamicObject, Refused> {
    let parameters = mode.parameters();
    let error = match patch(client, object, body, &parameters).await {
        Ok(answer) => return Ok(answer),
        Err(Sent::Slow) => return Err(slow(object).into()),
        Err(Sent::Refused(error)) => error,
    };
    match conflict::judge(&error) {
        None => return Err(refused(object, &error)),
        Some(Verdict::Refuse(why)) if over == Over::People => {
            return Err(Failure::environment(why).at(object.place()).into());
        }
        Some(_) => {}
    }
    let forced = parameters.force();
    patch(client, object, body, &forced)
        .await
        .map_err(|sent| match sent {
            Sent::Slow => slow(object).into(),
            Sent::Refused(error) => refused(object, &error),
        })
}

fn refused(object: &Prepared, error: &kube::Error) -> Refused {
    Refused {
        failure: Failure::of(error, secrecy(object)).at(object.place()),
        is_immutable: is_only_immutable(error),
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            is_immutable: false,
        }
    }
}

enum Sent {
    Slow,
    Refused(kube::Error),
}

async fn patch(
    client: &Client,
    object: &Prepared,
    body: &Value,
    parameters: &PatchParams,
) -> Result<DynamicObject, Sent> {
    let api = api(client, object);
    let patch = Patch::Apply(body);
    let request = api.patch(&object.key.name, parameters, &patch);
    match tokio::time::timeout(limits::API_CALL, request).await {
        Ok(answer) => answer.map_err(Sent::Refused),
        Err(_) => Err(Sent::Slow),
    }
}

fn slow(object: &Prepared) -> Failure {
    let seconds = limits::API_CALL.as_secs();
    Failure::passing(format!("the API server did not answer within {seconds} s")).at(object.place())
}
