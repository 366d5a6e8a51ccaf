//! Arguments that are known only when a gate is asked: fields of the Rollout or Release, and keys of Secrets.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use belay_api::analysis::SecretKey;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::{client::bounded, gates::question::Arguments};

/// How long a value of a Secret is used before it is read again.
const SECRET_AGE: Duration = Duration::from_secs(30);

/// Values kept at the same time.
const SECRETS_KEPT: usize = 256;

/// The object as JSON, if any of `arguments` is one of its fields.
pub(super) fn fields_of(object: &impl Serialize, arguments: &Arguments) -> Option<Value> {
    if arguments.fields.is_empty() {
        return None;
    }
    serde_json::to_value(object).ok()
}

/// Values of the arguments that come from fields.
pub(super) fn field_values(
    arguments: &Arguments,
    object: Option<&Value>,
) -> Result<BTreeMap<String, String>, String> {
    arguments
        .fields
        .iter()
        .map(|(argument, pointer)| {
            let value = object.and_then(|object| object.pointer(pointer));
            match value {
                Some(Value::String(text)) => Ok((argument.clone(), text.clone())),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => {
                    Ok((argument.clone(), value.to_string()))
                }
                Some(_) => Err(format!(
                    "argument {argument:?}: the field {pointer} is not a single value"
                )),
                None => Err(format!(
                    "argument {argument:?}: there is no field {pointer} at present"
                )),
            }
        })
        .collect()
}

/// Reads keys of Secrets on demand. There is no watch on Secrets: the process holds none that it does not need just now.
pub(super) struct Secrets {
    client: Client,
    kept: Mutex<HashMap<(String, SecretKey), (Instant, String)>>,
}

impl Secrets {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            kept: Mutex::default(),
        }
    }

    pub(super) async fn value(&self, namespace: &str, key: &SecretKey) -> Result<String, String> {
        let id = (namespace.to_owned(), key.clone());
        if let Some((read_at, value)) = self.lock().get(&id)
            && read_at.elapsed() < SECRET_AGE
        {
            return Ok(value.clone());
        }
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let secret = bounded("reading a Secret", api.get(&key.name))
            .await
            .map_err(|error| format!("Secret {namespace}/{}: {error}", key.name))?;
        let bytes = secret
            .data
            .unwrap_or_default()
            .remove(&key.key)
            .ok_or_else(|| format!("Secret {namespace}/{} has no key {}", key.name, key.key))?;
        let value = String::from_utf8(bytes.0).map_err(|_| {
            format!(
                "key {} of Secret {namespace}/{} is not text",
                key.key, key.name
            )
        })?;
        let mut kept = self.lock();
        if kept.len() >= SECRETS_KEPT {
            kept.clear();
        }
        kept.insert(id, (Instant::now(), value.clone()));
        Ok(value)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, SecretKey), (Instant, String)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
